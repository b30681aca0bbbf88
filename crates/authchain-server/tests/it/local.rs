//! Sign-in without a client: `/auth`, session tokens, and the browser's own session.

use authchain_testkit::{Browser, Choice, Page};
use serde_json::Value;

use crate::world::{DRIVE, World, choice};

async fn signed_in(world: &World, account: &str) -> (Browser, Page) {
    let browser = world.browser();
    let page = browser.walk(world.at("/auth"), &choice(account)).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("You are signed in"), "{}", page.text());
    (browser, page)
}

#[tokio::test]
async fn a_person_signs_in_and_is_told_so_the_second_time() {
    let world = World::new().await;
    let (browser, page) = signed_in(&world, "ann@example.com").await;
    assert!(page.text().contains("ann@example.com") && page.text().contains("Google Drive"), "{}", page.text());
    assert!(world.manager().credential(&world.key_of("ann@example.com")).await.unwrap().is_some());
    world.restart();
    let again = browser.open(world.at("/auth")).await.unwrap();
    assert!(again.text().contains("You are already signed in"), "{}", again.text());
    assert!(world.browser().open(world.at("/auth")).await.unwrap().text().contains("Sign in with Google"));
}

#[tokio::test]
async fn a_program_that_asks_for_json_learns_the_same() {
    let world = World::new().await;
    let (browser, _) = signed_in(&world, "ann@example.com").await;
    let ask = async |cookie: String, query: &str| -> Value {
        let url = world.at(&format!("/auth{query}"));
        let request = world.http.get(url).header("accept", "application/json").header("cookie", cookie);
        request.send().await.unwrap().json().await.unwrap()
    };
    let cookie = format!("authchain-browser={}", browser.cookie(&world.base, "authchain-browser").unwrap());
    assert_eq!(ask(cookie.clone(), "").await["status"], "already_authenticated");
    assert_eq!(ask(cookie, "?account=bob@example.com").await["status"], "not_authenticated");
    let nobody = ask(String::new(), "?account=bob@example.com").await;
    assert_eq!(nobody["sign_in_url"], format!("{}/auth?account=bob%40example.com", world.issuer()));
}

#[tokio::test]
async fn another_account_than_the_expected_one_is_refused_and_nothing_is_stored() {
    let world = World::new().await;
    let browser = world.halting_browser();
    let page = browser.open(world.at("/auth?account=ann@example.com")).await.unwrap();
    assert!(page.text().contains("ann@example.com"));
    let google = browser.press(&page, "Sign in with Google", &[]).await.unwrap();
    assert_eq!(google.query("login_hint").as_deref(), Some("ann@example.com"));
    // The person does not heed the hint.
    let mut address = google.url.clone();
    address.query_pairs_mut().clear().extend_pairs(google.url.query_pairs().filter(|(name, _)| name != "login_hint"));
    let callback = world.sign_in_at_google(&address, "bob@example.com").await;
    let page = browser.open(&callback).await.unwrap();
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(page.text().contains("ann@example.com") && page.text().contains("bob@example.com"), "{}", page.text());
    for account in ["ann@example.com", "bob@example.com"] {
        assert!(world.manager().credential(&world.key_of(account)).await.unwrap().is_none(), "{account}");
    }
    assert_eq!(browser.open(world.at("/auth?account=nonsense")).await.unwrap().status, 400);
}

#[tokio::test]
async fn a_no_at_google_is_a_page_that_says_that_nothing_was_stored() {
    let world = World::new().await;
    let browser = world.browser();
    let page = browser.open(world.at("/auth")).await.unwrap();
    let google = browser.press(&page, "Sign in with Google", &[]).await.unwrap();
    let page = browser.walk(&google.url, &Choice::deny("ann@example.com")).await.unwrap();
    assert_eq!(page.status, 403);
    assert!(page.text().contains("nothing was stored"), "{}", page.text());
}

#[tokio::test]
async fn a_credential_that_was_disconnected_is_not_signed_in() {
    let world = World::new().await;
    let (browser, _) = signed_in(&world, "ann@example.com").await;
    world.manager().disconnect(&world.key_of("ann@example.com")).await.unwrap();
    assert!(browser.open(world.at("/auth")).await.unwrap().text().contains("Sign in with Google"));
}

#[tokio::test]
async fn a_session_token_is_shown_once_works_and_is_ended_by_its_owner() {
    let world = World::new().await;
    let (browser, _) = signed_in(&world, "ann@example.com").await;
    let list = browser.open(world.at("/auth/sessions")).await.unwrap();
    let shown = browser.press(&list, "Make a session token", &[("label", "cron <job>")]).await.unwrap();
    assert_eq!(shown.status, 201, "{}", shown.text());
    assert!(shown.body.contains("cron &lt;job&gt;"));
    let token = shown.text().split_whitespace().find(|word| word.starts_with("acs_")).unwrap().to_owned();
    let principal = world.sessions().resolve(&token).await.unwrap().unwrap();
    assert_eq!(principal.user.as_str(), "ann@example.com");
    assert!(principal.scopes.contains(DRIVE));
    let list = browser.open(world.at("/auth/sessions")).await.unwrap();
    assert!(list.text().contains("cron <job>") && !list.text().contains(&token));
    browser.press(&list, "End", &[]).await.unwrap();
    assert!(world.sessions().resolve(&token).await.unwrap().is_none());
}

#[tokio::test]
async fn sessions_are_nobody_elses_business() {
    let world = World::new().await;
    let (ann, _) = signed_in(&world, "ann@example.com").await;
    let (eve, _) = signed_in(&world, "eve@example.com").await;
    let list = ann.open(world.at("/auth/sessions")).await.unwrap();
    ann.press(&list, "Make a session token", &[]).await.unwrap();
    let sessions = world.sessions().list(&world.key_of("ann@example.com").user).await.unwrap();
    let id = &sessions[0].id;
    assert!(!eve.open(world.at("/auth/sessions")).await.unwrap().body.contains(id.as_str()));

    let cookie =
        |browser: &Browser| format!("authchain-browser={}", browser.cookie(&world.base, "authchain-browser").unwrap());
    let delete = async |cookie: String| {
        let url = world.at(&format!("/auth/sessions/{id}"));
        world.http.delete(url).header("cookie", cookie).send().await.unwrap().status().as_u16()
    };
    assert_eq!(delete(cookie(&eve)).await, 404);
    assert_eq!(delete(String::new()).await, 401);
    assert_eq!(delete(cookie(&ann)).await, 204);

    // A form of another site has the cookie at best, and never the token.
    for path in ["/auth/sessions", "/auth/sign-out", "/auth/sessions/x/end"] {
        let posted = world.http.post(world.at(path)).header("cookie", cookie(&ann)).form(&[("csrf", "x")]).send().await;
        assert_eq!(posted.unwrap().status(), 403, "{path}");
    }
    assert!(world.sessions().list(&world.key_of("ann@example.com").user).await.unwrap().is_empty());
}

#[tokio::test]
async fn signing_out_forgets_the_browser_and_nothing_else() {
    let world = World::new().await;
    let (browser, page) = signed_in(&world, "ann@example.com").await;
    let out = browser.press(&page, "Sign out of this page", &[]).await.unwrap();
    assert!(out.text().contains("You are signed out"), "{}", out.text());
    assert!(browser.open(world.at("/auth")).await.unwrap().text().contains("Sign in with Google"));
    assert!(world.manager().credential(&world.key_of("ann@example.com")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_sign_in_begins_with_the_button_of_our_page() {
    let world = World::new().await;
    let start = world.http.get(world.at("/auth/start")).send().await.unwrap();
    assert_eq!((start.status().as_u16(), &start.headers()["location"]), (303, &"/auth".parse().unwrap()));
    for body in ["", "ticket=x"] {
        let posted = world.http.post(world.at("/auth/start")).body(body).send().await.unwrap();
        assert_eq!(posted.status(), 403, "{body}");
    }
}
