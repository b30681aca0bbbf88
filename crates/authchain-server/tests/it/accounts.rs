//! A person's accounts at the pages and for programs: linking, listing, switching, unlinking; asking for more scopes; scopes
//! that Google grants apart.

use authchain::{
    accounts::Account,
    core::{CredentialKey, ProviderId, Scopes, TokenGroup, UserId},
};
use authchain_testkit::{Browser, Choice, Page};
use serde_json::{Value, json};

use crate::world::{DRIVE, GMAIL, World, choice, scopes, text};

const ANN: &str = "ann@example.com";
const WORK: &str = "ann.work@example.com";
const BOB: &str = "bob@example.com";
const PHOTOS: &str = "https://www.googleapis.com/auth/photoslibrary.appendonly";
const PHOTOS_READ: &str = "https://www.googleapis.com/auth/photoslibrary.readonly.appcreateddata";

async fn signed_in(world: &World, account: &str) -> Browser {
    let browser = world.browser();
    let page = browser.walk(world.at("/auth"), &choice(account)).await.unwrap();
    assert!(page.text().contains("You are signed in"), "{}", page.text());
    browser
}

/// Signs in with a browser that stops where it would leave for Google.
async fn signs_in_at(world: &World, browser: &Browser, path: &str, account: &str) {
    let page = browser.open(world.at(path)).await.unwrap();
    let google = browser.press(&page, "Sign in with Google", &[]).await.unwrap();
    let back = browser.open(world.sign_in_at_google(&google.url, account).await).await.unwrap();
    assert!(back.text().contains("You are signed in"), "{}", back.text());
}

/// Walks from our page that offers to link an account to the list of accounts.
async fn link(world: &World, browser: &Browser, account: &str) -> Page {
    let page = browser.walk(world.at("/auth/link"), &choice(account)).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.text());
    page
}

fn account(email: &str) -> Account {
    Account { provider: ProviderId::google(), user: UserId::new(email).unwrap() }
}

fn photos_of(email: &str) -> CredentialKey {
    account(email).key_in(TokenGroup::new("photos").unwrap())
}

fn cookie(world: &World, browser: &Browser) -> String {
    format!("authchain-browser={}", browser.cookie(&world.base, "authchain-browser").unwrap())
}

async fn selects(world: &World, owner: &str, requested: &str) -> Option<String> {
    let selected = world.accounts().select_for(&account(owner), Some(requested)).await;
    selected.ok().map(|account| account.user.to_string())
}

async fn granted(world: &World, key: &CredentialKey) -> Scopes {
    world.manager().credential(key).await.unwrap().map(|credential| credential.scopes).unwrap_or_default()
}

#[tokio::test]
async fn a_second_account_is_linked_to_the_person_at_the_browser_who_is_told_so() {
    let world = World::new().await;
    let browser = signed_in(&world, ANN).await;
    let page = browser.open(world.at("/auth/link")).await.unwrap();
    assert!(page.text().contains("Link another account") && page.text().contains(ANN), "{}", page.text());
    let halted = world.halting_browser();
    signs_in_at(&world, &halted, "/auth", ANN).await;
    let page = halted.open(world.at("/auth/link")).await.unwrap();
    let google = halted.press(&page, "Sign in with Google", &[]).await.unwrap();
    assert!(google.query("prompt").unwrap().contains("select_account"), "{}", google.url);

    let page = link(&world, &browser, WORK).await;
    assert!(page.text().contains("ann.work@example.com is now linked to ann@example.com"), "{}", page.text());
    assert_eq!(selects(&world, ANN, WORK).await.as_deref(), Some(WORK));
    assert_eq!(selects(&world, ANN, "me").await.as_deref(), Some(ANN));
    world.restart();
    let list = browser.open(world.at("/auth/accounts")).await.unwrap();
    assert!(list.text().contains(WORK) && list.text().contains("It works"), "{}", list.text());
    // Who signs in at the other account is still ann.
    assert!(browser.open(world.at("/auth")).await.unwrap().text().contains(ANN));
}

#[tokio::test]
async fn n12_a_link_belongs_to_the_browser_and_the_person_that_began_it() {
    let world = World::new().await;
    let browser = world.halting_browser();
    signs_in_at(&world, &browser, "/auth", ANN).await;
    assert!(
        world.browser().open(world.at("/auth/link")).await.unwrap().text().contains("Sign in to"),
        "nobody is there"
    );

    // Bob sits down at ann's browser before the answer comes.
    let page = browser.open(world.at("/auth/link")).await.unwrap();
    let google = browser.press(&page, "Sign in with Google", &[]).await.unwrap();
    let back = world.sign_in_at_google(&google.url, WORK).await;
    let stolen = world.browser().open(&back).await.unwrap();
    assert_eq!(stolen.status, 403, "another browser: {}", stolen.text());
    signs_in_at(&world, &browser, "/auth?another=1", BOB).await;
    let refused = browser.open(&back).await.unwrap();
    assert_eq!(refused.status, 403, "{}", refused.text());
    for owner in [ANN, BOB] {
        assert_eq!(selects(&world, owner, WORK).await, None, "{owner}");
    }
    assert!(world.manager().credential(&account(WORK).key()).await.unwrap().is_none(), "nothing is stored");
}

#[tokio::test]
async fn n12_another_account_than_the_one_to_be_linked_is_refused() {
    let world = World::new().await;
    let browser = world.halting_browser();
    signs_in_at(&world, &browser, "/auth", ANN).await;
    let page = browser.open(world.at(&format!("/auth/link?account={WORK}"))).await.unwrap();
    let google = browser.press(&page, "Sign in with Google", &[]).await.unwrap();
    let mut address = google.url.clone();
    address.query_pairs_mut().clear().extend_pairs(google.url.query_pairs().filter(|(name, _)| name != "login_hint"));
    let back = world.sign_in_at_google(&address, BOB).await;
    let refused = browser.open(&back).await.unwrap();
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains(WORK) && refused.text().contains(BOB), "{}", refused.text());
    assert_eq!(selects(&world, ANN, BOB).await, None);
}

#[tokio::test]
async fn switching_is_a_button_and_unlinking_asks_first() {
    let world = World::new().await;
    let browser = signed_in(&world, ANN).await;
    let list = link(&world, &browser, WORK).await;
    browser.press(&list, "Make it the active account", &[]).await.unwrap();
    assert_eq!(selects(&world, ANN, "me").await.as_deref(), Some(WORK));

    let question = browser.open(world.at("/auth/accounts/ann.work%40example.com/unlink")).await.unwrap();
    assert!(question.text().contains(WORK) && question.text().contains("Keep it"), "{}", question.text());
    assert_eq!(selects(&world, ANN, WORK).await.as_deref(), Some(WORK), "asking changes nothing");
    let done = browser.press(&question, "Unlink", &[]).await.unwrap();
    assert!(done.text().contains("Google has ended the access"), "{}", done.text());
    assert_eq!(selects(&world, ANN, WORK).await, None);
    assert_eq!(selects(&world, ANN, "me").await.as_deref(), Some(ANN));
    assert!(world.manager().credential(&account(WORK).key()).await.unwrap().is_none());
}

#[tokio::test]
async fn it_is_said_when_google_did_not_confirm_the_end() {
    let world = World::new().await;
    let browser = signed_in(&world, ANN).await;
    link(&world, &browser, WORK).await;
    world.google.control().fail(authchain_testkit::Endpoint::Revoke, 400, 20);
    let question = browser.open(world.at("/auth/accounts/ann.work%40example.com/unlink")).await.unwrap();
    let done = browser.press(&question, "Unlink", &[]).await.unwrap();
    assert!(done.text().contains("did not confirm"), "{}", done.text());
}

#[tokio::test]
async fn an_account_that_two_people_linked_stays_until_both_have_let_go() {
    let world = World::new().await;
    for owner in [ANN, BOB] {
        let browser = signed_in(&world, owner).await;
        link(&world, &browser, WORK).await;
    }
    for (owner, words) in [(ANN, "somebody else uses the account"), (BOB, "has ended the access")] {
        let browser = signed_in(&world, owner).await;
        let question = browser.open(world.at("/auth/accounts/ann.work%40example.com/unlink")).await.unwrap();
        let done = browser.press(&question, "Unlink", &[]).await.unwrap();
        assert!(done.text().contains(words), "{owner}: {}", done.text());
        assert_eq!(selects(&world, owner, WORK).await, None);
    }
}

#[tokio::test]
async fn programs_with_the_browsers_cookie_list_switch_and_unlink() {
    let world = World::new().await;
    let browser = signed_in(&world, ANN).await;
    link(&world, &browser, WORK).await;
    let own = cookie(&world, &browser);
    let eve = cookie(&world, &signed_in(&world, "eve@example.com").await);
    let list = async |cookie: &str| -> (u16, Value) {
        let request = world.http.get(world.at("/auth/accounts")).header("accept", "application/json");
        let answer = request.header("cookie", cookie).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    };
    let (status, answer) = list(&own).await;
    assert_eq!(status, 200);
    assert_eq!(answer["accounts"][1]["user"], WORK);
    assert_eq!(answer["accounts"][1]["credentials"][0]["status"], "valid");
    assert_eq!(answer["health"]["status"], "healthy");
    assert!(!answer.to_string().contains("standin-"), "no token is in it: {answer}");
    assert_eq!(list(&eve).await.1["accounts"].as_array().unwrap().len(), 1);
    assert_eq!(list("").await.0, 401);

    let switch = async |cookie: &str, body: Value| {
        let request = world.http.post(world.at("/auth/accounts/active")).header("cookie", cookie).json(&body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(switch(&eve, json!({ "account": WORK })).await, 403);
    assert_eq!(switch("", json!({ "account": WORK })).await, 401);
    assert_eq!(switch(&own, json!({ "account": "nonsense" })).await, 400);
    assert_eq!(switch(&own, json!({ "account": WORK })).await, 200);
    assert_eq!(selects(&world, ANN, "me").await.as_deref(), Some(WORK));
    assert_eq!(selects(&world, "eve@example.com", "me").await.as_deref(), Some("eve@example.com"));

    let url = world.at("/auth/accounts/ann.work%40example.com");
    let unlink = async |cookie: &str| {
        let answer = world.http.delete(url.clone()).header("cookie", cookie).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(unlink(&eve).await.0, 403);
    assert_eq!(unlink("").await.0, 401);
    let (status, answer) = unlink(&own).await;
    assert_eq!((status, &answer["credential"], &answer["revoked"]), (200, &json!("deleted"), &json!(true)), "{answer}");
    assert_eq!(unlink(&own).await.0, 403, "it is not linked any more");
}

#[tokio::test]
async fn a_form_of_another_site_neither_switches_nor_unlinks() {
    let world = World::new().await;
    let browser = signed_in(&world, ANN).await;
    link(&world, &browser, WORK).await;
    let own = cookie(&world, &browser);
    for path in ["/auth/accounts/active", "/auth/accounts/ann.work%40example.com/unlink"] {
        let form = [("csrf", "x"), ("account", WORK)];
        let posted = world.http.post(world.at(path)).header("cookie", &own).form(&form).send().await.unwrap();
        assert_eq!(posted.status(), 403, "{path}");
    }
    let asked = world.http.post(world.at("/auth/accounts")).header("cookie", &own).form(&[("account", BOB)]);
    assert_eq!(asked.send().await.unwrap().status(), 400);
    assert_eq!(selects(&world, ANN, WORK).await.as_deref(), Some(WORK));
    assert_eq!(selects(&world, ANN, "me").await.as_deref(), Some(ANN));
}

#[tokio::test]
async fn more_scopes_are_added_to_what_was_there_and_the_client_gets_them() {
    let world = World::new().await;
    let client = world.client().await;
    let tokens = world.tokens(&client, ANN).await;
    let grant = world.grants().list(&account(ANN).user).await.unwrap().remove(0);
    assert!(!grant.scopes.contains(GMAIL));

    let url = format!("/auth?account={ANN}&scopes={GMAIL}&grant={}", grant.id);
    let halted = world.halting_browser();
    let page = halted.open(world.at(&url)).await.unwrap();
    for words in ["Send email on your behalf", "Test Client", "stays as it is"] {
        assert!(page.text().contains(words), "no {words:?} in {}", page.text());
    }
    let google = halted.press(&page, "Sign in with Google", &[]).await.unwrap();
    assert_eq!(google.query("login_hint").as_deref(), Some(ANN));
    assert_eq!(google.query("include_granted_scopes").as_deref(), Some("true"));
    assert!(google.query("scope").unwrap().contains(GMAIL));

    let done = world.browser().walk(world.at(&url), &choice(ANN)).await.unwrap();
    assert!(done.text().contains("You are signed in"), "{}", done.text());
    let stored = granted(&world, &account(ANN).key()).await;
    assert!(stored.contains(GMAIL) && stored.contains(DRIVE), "{stored}");
    let after = world.grants().get(&grant.id).await.unwrap().unwrap().value;
    assert!(after.scopes.contains(GMAIL) && after.scopes.contains(DRIVE));
    assert!(after.added.contains(GMAIL), "tokens that are out have it too");
    let (status, refreshed) = world.refresh(&client, &text(&tokens, "refresh_token")).await;
    assert_eq!(status, 200, "{refreshed}");
    assert!(scopes(&refreshed).contains(GMAIL) && scopes(&refreshed).contains(DRIVE));
}

#[tokio::test]
async fn somebody_elses_grant_gets_nothing() {
    let world = World::new().await;
    let client = world.client().await;
    world.tokens(&client, ANN).await;
    let grant = world.grants().list(&account(ANN).user).await.unwrap().remove(0);
    let url = format!("/auth?account={BOB}&scopes={GMAIL}&grant={}", grant.id);
    let page = world.browser().open(world.at(&url)).await.unwrap();
    assert!(!page.text().contains("Test Client"), "{}", page.text());
    world.browser().walk(world.at(&url), &choice(BOB)).await.unwrap();
    assert!(!world.grants().get(&grant.id).await.unwrap().unwrap().value.scopes.contains(GMAIL));
}

#[tokio::test]
async fn scopes_that_this_server_does_not_offer_are_not_asked_for() {
    let world = World::new().await;
    let page =
        world.browser().open(world.at("/auth?scopes=https://www.googleapis.com/auth/admin.directory.user")).await;
    assert_eq!(page.unwrap().status, 400);
}

#[tokio::test]
async fn a_linked_account_that_needs_more_stays_linked_and_the_person_stays_who_they_are() {
    let world = World::new().await;
    let browser = signed_in(&world, ANN).await;
    link(&world, &browser, WORK).await;
    let url = format!("/auth?account={WORK}&scopes={GMAIL}");
    let page = browser.open(world.at(&url)).await.unwrap();
    assert!(page.text().contains("Linked to") && page.text().contains(ANN), "{}", page.text());
    browser.walk(world.at(&url), &choice(WORK)).await.unwrap();
    let stored = granted(&world, &account(WORK).key()).await;
    assert!(stored.contains(GMAIL) && stored.contains(DRIVE), "{stored}");
    assert!(browser.open(world.at("/auth")).await.unwrap().text().contains(ANN));
    // It was never signed in for itself, so it goes when the link ends.
    world.accounts().unlink(&account(ANN), &account(WORK)).await.unwrap();
    assert!(world.manager().credential(&account(WORK).key()).await.unwrap().is_none());
}

/// A server that offers Photos beside Drive.
async fn with_photos() -> World {
    World::with(|options| {
        options.scopes_supported = [DRIVE, GMAIL, PHOTOS, PHOTOS_READ].into_iter().collect();
    })
    .await
}

#[tokio::test]
async fn what_google_grants_apart_is_asked_for_apart_and_stored_apart() {
    let world = with_photos().await;
    let client = world.client().await;
    let pkce = authchain::provider::Pkce::generate();
    let both = format!("{DRIVE} {PHOTOS}");
    let back = world.walk(&world.authorize_url(&client, &pkce, &[("scope", &both)]), ANN).await;
    assert!(back.stopped, "{}", back.text());
    let (status, tokens) = world.redeem(&client, &pkce, &back.query("code").unwrap()).await;
    assert_eq!(status, 200, "{tokens}");
    assert!(scopes(&tokens).contains(DRIVE) && scopes(&tokens).contains(PHOTOS), "{tokens}");
    let (drive, photos) = (granted(&world, &account(ANN).key()).await, granted(&world, &photos_of(ANN)).await);
    assert!(drive.contains(DRIVE) && !drive.contains(PHOTOS), "{drive}");
    assert!(photos.contains(PHOTOS) && !photos.contains(DRIVE), "{photos}");
    let tokens_of = |key: CredentialKey| {
        let manager = world.manager();
        async move { manager.credential(&key).await.unwrap().unwrap().refresh_token }
    };
    assert_ne!(tokens_of(account(ANN).key()).await, tokens_of(photos_of(ANN)).await);
}

#[tokio::test]
async fn the_second_sign_in_is_for_the_same_person() {
    let world = with_photos().await;
    let client = world.client().await;
    let pkce = authchain::provider::Pkce::generate();
    let both = format!("{DRIVE} {PHOTOS}");
    let browser = world.halting_browser();
    let consent = browser.open(world.authorize_url(&client, &pkce, &[("scope", &both)])).await.unwrap();
    let first = browser.press(&consent, "Allow", &[]).await.unwrap();
    let second = browser.open(world.sign_in_at_google(&first.url, ANN).await).await.unwrap();
    assert_eq!(second.query("login_hint").as_deref(), Some(ANN), "{}", second.url);
    assert_ne!(first.query("state"), second.query("state"));
    assert!(second.query("scope").unwrap().contains(PHOTOS) && !second.query("scope").unwrap().contains(DRIVE));
    let mut address = second.url.clone();
    address.query_pairs_mut().clear().extend_pairs(second.url.query_pairs().filter(|(name, _)| name != "login_hint"));
    let refused = browser.open(world.sign_in_at_google(&address, BOB).await).await.unwrap();
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(world.manager().credential(&photos_of(BOB)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_no_to_the_part_that_is_apart_leaves_the_rest() {
    let world = with_photos().await;
    let client = world.client().await;
    let pkce = authchain::provider::Pkce::generate();
    let both = format!("{DRIVE} {PHOTOS}");
    let browser = world.halting_browser();
    let consent = browser.open(world.authorize_url(&client, &pkce, &[("scope", &both)])).await.unwrap();
    let first = browser.press(&consent, "Allow", &[]).await.unwrap();
    let second = browser.open(world.sign_in_at_google(&first.url, ANN).await).await.unwrap();
    let at_google = world.browser().stop_at(world.at("/oauth2callback"));
    let no = at_google.walk(&second.url, &Choice::deny(ANN)).await.unwrap();
    let back = browser.open(&no.url).await.unwrap();
    let (status, tokens) = world.redeem(&client, &pkce, &back.query("code").unwrap()).await;
    assert_eq!(status, 200, "{tokens}");
    assert!(scopes(&tokens).contains(DRIVE) && !scopes(&tokens).contains(PHOTOS), "{tokens}");
}

#[tokio::test]
async fn more_of_a_part_that_is_apart_keeps_what_was_there() {
    let world = with_photos().await;
    let ask = async |scope: &str| {
        let url = format!("/auth?account={ANN}&scopes={scope}");
        let done = world.browser().walk(world.at(&url), &choice(ANN)).await.unwrap();
        assert!(done.text().contains("You are signed in"), "{}", done.text());
    };
    ask(PHOTOS).await;
    ask(PHOTOS_READ).await;
    let photos = granted(&world, &photos_of(ANN)).await;
    assert!(photos.contains(PHOTOS) && photos.contains(PHOTOS_READ), "{photos}");
    assert!(world.manager().credential(&account(ANN).key()).await.unwrap().is_none(), "nothing else was asked for");
}
