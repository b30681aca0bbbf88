//! Numbers 10 and 11 of the checklist: choosing services, remembered consent, asking for more.

use std::time::Duration;

use authchain::provider::Pkce;
use authchain_server::RememberConsent;
use authchain_testkit::{Browser, Endpoint, Page};
use serde_json::{Value, json};
use url::Url;

use crate::world::{CALLBACK, Client, DRIVE, GMAIL, World, choice, scopes, text};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const SITE: &str = "https://client.example/callback";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn remembering(consent: RememberConsent) -> World {
    World::with(|options| options.remember_consent = consent).await
}

async fn client_at(world: &World, redirect_uri: &str, method: &str) -> Client {
    let body = json!({ "client_name": "Site", "redirect_uris": [redirect_uri], "token_endpoint_auth_method": method });
    let (status, answer) = world.register(&body).await;
    assert_eq!(status, 201, "{answer}");
    let secret = answer["client_secret"].as_str().map(str::to_owned);
    Client { id: text(&answer, "client_id"), secret }
}

/// The services whose boxes are on the page, and whether they are ticked.
fn boxes(page: &Page) -> Vec<(String, bool)> {
    let fields = page.forms().into_iter().flat_map(|form| form.fields);
    fields.filter(|field| field.kind == "checkbox").map(|field| (field.label, field.on)).collect()
}

/// A person says yes, with these fields of the form, and comes back with a code, which is redeemed.
async fn tokens(world: &World, browser: &Browser, client: &Client, scope: &str, fields: &[(&str, &str)]) -> Value {
    let pkce = Pkce::generate();
    let page = browser.open(world.authorize_url(client, &pkce, &[("scope", scope)])).await.unwrap();
    let google = browser.press(&page, "Allow", fields).await.unwrap();
    let back = browser.open(world.sign_in_at_google(&google.url, ANN).await).await.unwrap();
    let (status, tokens) = world.redeem(client, &pkce, &back.query("code").unwrap()).await;
    assert_eq!(status, 200, "{tokens}");
    tokens
}

fn both() -> String {
    format!("openid {DRIVE} {GMAIL}")
}

#[tokio::test]
async fn n11_a_person_grants_drive_without_gmail() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.halting_browser());
    let page = browser.open(world.authorize_url(&client, &pkce, &[("scope", &both())])).await.unwrap();
    assert_eq!(boxes(&page), [("Google Drive".to_owned(), true), ("Gmail".to_owned(), true)]);
    let google = browser.press(&page, "Allow", &[("Gmail", "")]).await.unwrap();
    let asked = google.query("scope").unwrap();
    assert!(asked.contains(DRIVE) && !asked.contains(GMAIL), "{asked}");
    let back = browser.open(world.sign_in_at_google(&google.url, ANN).await).await.unwrap();
    let (_, tokens) = world.redeem(&client, &pkce, &back.query("code").unwrap()).await;
    assert_eq!(scopes(&tokens), format!("openid {DRIVE}").as_str().into());
    assert_eq!(world.verified(&tokens).scopes, scopes(&tokens));
}

#[tokio::test]
async fn n11_what_is_asked_of_one_service_only_has_no_box() {
    let world = World::new().await;
    let client = world.client().await;
    for scope in [DRIVE, "openid email", &format!("openid {GMAIL}")] {
        let url = world.authorize_url(&client, &Pkce::generate(), &[("scope", scope)]);
        let page = world.browser().open(url).await.unwrap();
        assert!(boxes(&page).is_empty(), "{scope}");
    }
}

#[tokio::test]
async fn n10_a_posted_choice_only_narrows_what_the_ticket_holds() {
    let world = World::new().await;
    let client = world.client().await;
    for (scope, posted, granted) in [
        (DRIVE.to_owned(), "service=gmail", DRIVE.to_owned()),
        (both(), "service=gmail&service=calendar&service=other&scope=all", format!("openid {GMAIL}")),
    ] {
        let (pkce, browser) = (Pkce::generate(), world.halting_browser());
        let page = browser.open(world.authorize_url(&client, &pkce, &[("scope", &scope)])).await.unwrap();
        let form = page.forms().into_iter().next().unwrap();
        let ticket = &form.fields.iter().find(|field| field.name == "ticket").unwrap().value;
        let cookies = page.headers.get_all("set-cookie").iter().map(|c| c.to_str().unwrap().split(';').next().unwrap());
        let answer = world
            .http
            .post(form.action.clone())
            .header("cookie", cookies.collect::<Vec<_>>().join("; "))
            .body(format!("ticket={ticket}&decision=allow&{posted}"))
            .send()
            .await
            .unwrap();
        let google = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
        let back = browser.open(world.sign_in_at_google(&google, ANN).await).await.unwrap();
        let (_, tokens) = world.redeem(&client, &pkce, &back.query("code").unwrap()).await;
        assert_eq!(scopes(&tokens), granted.as_str().into(), "{posted}");
    }
}

#[tokio::test]
async fn n11_who_unticks_everything_is_told_and_can_choose_again() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.halting_browser());
    let page = browser.open(world.authorize_url(&client, &pkce, &[("scope", &both())])).await.unwrap();
    let again = browser.press(&page, "Allow", &[("gmail", ""), ("drive", "")]).await.unwrap();
    assert_eq!(again.status, 422);
    assert!(again.text().contains("You have unticked everything"), "{}", again.text());
    assert!(again.text().contains("“Test Client” asks for access"), "{}", again.text());
    assert_eq!(world.google.control().requests(Endpoint::Authorize), 0);
    let google = browser.press(&again, "Allow", &[("drive", "on")]).await.unwrap();
    assert!(google.stopped && google.query("scope").unwrap().contains(DRIVE), "{}", google.url);
    let page = browser.open(world.authorize_url(&client, &pkce, &[("scope", &both())])).await.unwrap();
    let denied = browser.press(&page, "Deny", &[("gmail", ""), ("drive", "")]).await.unwrap();
    assert_eq!(denied.query("error").as_deref(), Some("access_denied"), "a no is a no, whatever is ticked");
}

#[tokio::test]
async fn n11_who_goes_back_and_chooses_less_gets_less() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.halting_browser());
    let page = browser.open(world.authorize_url(&client, &pkce, &[("scope", &both())])).await.unwrap();
    let everything = browser.press(&page, "Allow", &[]).await.unwrap();
    let less = browser.press(&page, "Allow", &[("gmail", "")]).await.unwrap();
    assert_eq!(everything.query("state"), less.query("state"), "it is the same sign-in");
    assert!(!less.query("scope").unwrap().contains(GMAIL), "{}", less.url);
    // Whichever of the provider's pages is finished.
    let back = browser.open(world.sign_in_at_google(&everything.url, ANN).await).await.unwrap();
    let (_, tokens) = world.redeem(&client, &pkce, &back.query("code").unwrap()).await;
    assert_eq!(scopes(&tokens), format!("openid {DRIVE}").as_str().into());
}

#[tokio::test]
async fn n10_by_default_a_page_is_shown_every_time() {
    let world = World::new().await;
    let (client, browser) = (world.client().await, world.browser());
    browser.walk(world.at("/auth"), &choice(ANN)).await.unwrap();
    for _ in 0..2 {
        let page = browser.open(world.authorize_url(&client, &Pkce::generate(), &[])).await.unwrap();
        assert!(page.text().contains("asks for access") && !page.text().contains("not asked again"), "{}", page.text());
        let back = browser.walk(&page.url, &choice(ANN)).await.unwrap();
        assert!(back.query("code").is_some(), "{}", back.url);
    }
}

#[tokio::test]
async fn n10_remembered_consent_passes_without_a_page_for_the_same_or_less() {
    let world = remembering(RememberConsent::All(30 * DAY)).await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.browser());
    let asking = world.authorize_url(&client, &pkce, &[("scope", &both())]);
    let page = browser.open(&asking).await.unwrap();
    assert!(page.text().contains("For 30 days you are not asked again"), "{}", page.text());
    assert!(browser.walk(&asking, &choice(ANN)).await.unwrap().query("code").is_some());
    world.restart();
    for scope in [both(), DRIVE.to_owned(), format!("{GMAIL} openid")] {
        let back = browser.open(world.authorize_url(&client, &pkce, &[("scope", &scope)])).await.unwrap();
        assert!(back.stopped, "{}", back.text());
        let (status, tokens) = world.redeem(&client, &pkce, &back.query("code").unwrap()).await;
        assert_eq!((status, scopes(&tokens)), (200, scope.as_str().into()));
    }
    let other_port = "http://127.0.0.1:50123/callback";
    let halted = world.authorize_url(&client, &pkce, &[("redirect_uri", other_port), ("scope", DRIVE)]);
    assert_eq!(ask(&world, &browser, &halted, &[("sec-fetch-site", "none")]).await, 303, "the port may vary");
}

/// The status of the answer to a browser that says this about the request: 200 is our page, 303 goes straight to Google.
async fn ask(world: &World, browser: &Browser, url: &Url, says: &[(&str, &str)]) -> u16 {
    let cookie = browser.cookie(&world.base, "authchain-browser").unwrap_or_default();
    let mut request = world.http.get(url.clone()).header("cookie", format!("authchain-browser={cookie}"));
    for (name, value) in says {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn n10_every_other_request_shows_the_page_although_consent_is_remembered() {
    let world = remembering(RememberConsent::All(30 * DAY)).await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.browser());
    let url = world.authorize_url(&client, &pkce, &[("scope", DRIVE)]);
    assert!(browser.walk(&url, &choice(ANN)).await.unwrap().query("code").is_some());
    let own = [("sec-fetch-site", "none")];
    assert_eq!(ask(&world, &browser, &url, &own).await, 303);

    for says in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none"), ("sec-purpose", "prefetch;prerender")],
    ] {
        assert_eq!(ask(&world, &browser, &url, says).await, 200, "{says:?}");
    }
    for change in
        [("scope", both().as_str()), ("scope", GMAIL), ("prompt", "consent"), ("prompt", "login"), ("login_hint", BOB)]
    {
        let changed = world.authorize_url(&client, &pkce, &[("scope", DRIVE), change]);
        assert_eq!(ask(&world, &browser, &changed, &own).await, 200, "{change:?}");
    }
    let namesake = world.confidential_client("client_secret_post").await.0;
    let namesakes = world.authorize_url(&namesake, &pkce, &[("scope", DRIVE)]);
    assert_eq!(ask(&world, &browser, &namesakes, &own).await, 200, "another client");
    let nobody = world.browser();
    assert_eq!(ask(&world, &nobody, &url, &own).await, 200, "nobody is signed in at this browser");
    nobody.walk(world.at("/auth"), &choice(BOB)).await.unwrap();
    assert_eq!(ask(&world, &nobody, &url, &own).await, 200, "it was not bob who agreed");
    world.clock.advance(30 * DAY);
    browser.walk(world.at("/auth"), &choice(ANN)).await.unwrap();
    assert_eq!(ask(&world, &browser, &url, &own).await, 200, "it was too long ago");
}

#[tokio::test]
async fn n10_what_was_agreed_for_one_redirect_uri_is_not_agreed_for_another() {
    let world = remembering(RememberConsent::All(30 * DAY)).await;
    let body = json!({
        "client_name": "Two ways back",
        "redirect_uris": [CALLBACK, "http://127.0.0.1/other", SITE],
        "token_endpoint_auth_method": "none",
    });
    let (_, answer) = world.register(&body).await;
    let (client, browser) = (Client { id: text(&answer, "client_id"), secret: None }, world.browser());
    let to = |redirect_uri: &str| world.authorize_url(&client, &Pkce::generate(), &[("redirect_uri", redirect_uri)]);
    assert!(browser.walk(to(CALLBACK), &choice(ANN)).await.unwrap().query("code").is_some());
    let own = [("sec-fetch-site", "none")];
    assert_eq!(ask(&world, &browser, &to(CALLBACK), &own).await, 303);
    for other in ["http://127.0.0.1/other", SITE] {
        assert_eq!(ask(&world, &browser, &to(other), &own).await, 200, "{other}");
    }
}

#[tokio::test]
async fn n10_no_answer_becomes_a_request_that_seems_to_be_the_persons_own() {
    let world = remembering(RememberConsent::All(30 * DAY)).await;
    let (client, browser) = (world.client().await, world.browser());
    let url = world.authorize_url(&client, &Pkce::generate(), &[]);
    assert!(browser.walk(&url, &choice(ANN)).await.unwrap().query("code").is_some());
    // Denying this client's request would send the browser from our page to a request of the other one.
    let detour = client_at(&world, url.as_str(), "none").await;
    let page = browser.open(world.authorize_url(&detour, &Pkce::generate(), &[("redirect_uri", url.as_str())])).await;
    let page = page.unwrap();
    assert_eq!(page.status, 400, "{}", page.text());
    assert!(page.text().contains("leads somewhere else"), "{}", page.text());
}

#[tokio::test]
async fn n10_only_clients_that_nobody_else_can_pass_for_are_proven() {
    let world = remembering(RememberConsent::Proven(30 * DAY)).await;
    for (redirect_uri, method, status) in [
        (CALLBACK, "none", 200),
        ("com.example.app:/cb", "none", 200),
        (SITE, "none", 303),
        (CALLBACK, "client_secret_basic", 303),
    ] {
        let client = client_at(&world, redirect_uri, method).await;
        let browser = world.browser().stop_at(SITE);
        let url = world.authorize_url(&client, &Pkce::generate(), &[("redirect_uri", redirect_uri)]);
        let page = browser.open(&url).await.unwrap();
        assert_eq!(page.text().contains("not asked again"), status == 303, "{redirect_uri} {method}");
        assert!(browser.walk(&url, &choice(ANN)).await.unwrap().query("code").is_some());
        browser.walk(world.at("/auth"), &choice(ANN)).await.unwrap();
        let asked = ask(&world, &browser, &url, &[("sec-fetch-site", "none")]).await;
        assert_eq!(asked, status, "{redirect_uri} {method}");
    }
}

#[tokio::test]
async fn n10_without_a_page_the_way_to_google_is_bound_to_browser_and_person_all_the_same() {
    let world = remembering(RememberConsent::All(30 * DAY)).await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    let url = world.authorize_url(&client, &pkce, &[]);
    let browser = world.halting_browser();
    let page = browser.open(&url).await.unwrap();
    let google = browser.press(&page, "Allow", &[]).await.unwrap();
    assert!(browser.open(world.sign_in_at_google(&google.url, ANN).await).await.unwrap().query("code").is_some());

    let google = browser.open(&url).await.unwrap();
    assert!(google.stopped, "{}", google.text());
    assert_eq!(google.query("login_hint").as_deref(), Some(ANN));
    let states = [google.query("state"), browser.open(&url).await.unwrap().query("state")];
    assert_ne!(states[0], states[1], "each request has its own");
    let callback = world.sign_in_at_google(&google.url, ANN).await;
    assert_eq!(world.browser().open(&callback).await.unwrap().status, 403, "another browser");
    assert!(browser.open(&callback).await.unwrap().query("code").is_some());

    // Bob signs in where ann's consent let the request pass.
    let google = browser.open(&url).await.unwrap();
    let mut address = google.url.clone();
    address.query_pairs_mut().clear().extend_pairs(google.url.query_pairs().filter(|(name, _)| name != "login_hint"));
    let refused = browser.open(world.sign_in_at_google(&address, BOB).await).await.unwrap();
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains(BOB), "{}", refused.text());
    let way_back = refused.link("Return to Test Client").unwrap();
    assert!(way_back.as_str().contains("error=access_denied"), "{way_back}");
    assert!(world.manager().credential(&world.key_of(BOB)).await.unwrap().is_none(), "nothing is stored");
}

#[tokio::test]
async fn n10_a_client_that_signs_the_person_out_has_to_ask_again() {
    let world = remembering(RememberConsent::All(30 * DAY)).await;
    let (client, browser) = (world.client().await, world.halting_browser());
    let tokens = tokens(&world, &browser, &client, DRIVE, &[]).await;
    let url = world.authorize_url(&client, &Pkce::generate(), &[("scope", DRIVE)]);
    let own = [("sec-fetch-site", "none")];
    assert_eq!(ask(&world, &browser, &url, &own).await, 303);
    let revoked = [("token", text(&tokens, "refresh_token")), ("client_id", client.id.clone())];
    let revoked: Vec<(&str, &str)> = revoked.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(world.post_form("/oauth/revoke", &revoked).await.0, 200);
    assert_eq!(ask(&world, &browser, &url, &own).await, 200);
}

#[tokio::test]
async fn n17_asking_for_more_keeps_what_the_client_had() {
    let world = World::new().await;
    let (client, browser) = (world.client().await, world.halting_browser());
    let first = tokens(&world, &browser, &client, DRIVE, &[]).await;
    assert_eq!(scopes(&first), DRIVE.into());
    let more = tokens(&world, &browser, &client, GMAIL, &[]).await;
    assert_eq!(scopes(&more), format!("{DRIVE} {GMAIL}").as_str().into());
    let (status, refreshed) = world.refresh(&client, &text(&more, "refresh_token")).await;
    assert_eq!((status, scopes(&refreshed)), (200, scopes(&more)));
    assert_eq!(world.refresh(&client, &text(&first, "refresh_token")).await.0, 200, "nobody is signed out by it");
}

#[tokio::test]
async fn n17_a_client_that_asks_for_less_gets_less() {
    let world = World::new().await;
    let (client, browser) = (world.client().await, world.halting_browser());
    tokens(&world, &browser, &client, &both(), &[]).await;
    let less = tokens(&world, &browser, &client, DRIVE, &[]).await;
    assert_eq!(scopes(&less), DRIVE.into());
}

#[tokio::test]
async fn n10_no_client_gets_what_another_one_or_another_person_was_allowed() {
    let world = World::new().await;
    let (one, other, browser) =
        (world.client().await, client_at(&world, CALLBACK, "none").await, world.halting_browser());
    tokens(&world, &browser, &one, DRIVE, &[]).await;
    assert_eq!(scopes(&tokens(&world, &browser, &other, GMAIL, &[]).await), GMAIL.into());
    let pkce = Pkce::generate();
    let url = world.authorize_url(&one, &pkce, &[("scope", GMAIL)]);
    let back = world.walk(&url, BOB).await;
    let (_, bobs) = world.redeem(&one, &pkce, &back.query("code").unwrap()).await;
    assert_eq!(scopes(&bobs), GMAIL.into());
}

#[tokio::test]
async fn n17_what_is_unticked_or_gone_at_google_is_not_kept() {
    let world = World::new().await;
    let (client, browser) = (world.client().await, world.halting_browser());
    tokens(&world, &browser, &client, DRIVE, &[]).await;
    let without = tokens(&world, &browser, &client, &format!("{DRIVE} {GMAIL}"), &[("drive", "")]).await;
    assert_eq!(scopes(&without), GMAIL.into());

    let client = client_at(&world, CALLBACK, "none").await;
    tokens(&world, &browser, &client, DRIVE, &[]).await;
    // The person takes everything back in the settings of their account at Google.
    let stored = world.manager().credential(&world.key_of(ANN)).await.unwrap().unwrap();
    let token = stored.refresh_token.unwrap();
    let revoke = world.http.post(world.google.url().join("/revoke").unwrap()).form(&[("token", token.expose())]);
    assert_eq!(revoke.send().await.unwrap().status(), 200);
    let gone = tokens(&world, &browser, &client, GMAIL, &[]).await;
    assert_eq!(scopes(&gone), GMAIL.into());
}

#[tokio::test]
async fn n11_the_page_names_what_the_client_keeps_where_the_person_is_known() {
    let world = World::new().await;
    let (client, browser) = (world.client().await, world.browser());
    tokens(&world, &world.halting_browser(), &client, DRIVE, &[]).await;
    let more = world.authorize_url(&client, &Pkce::generate(), &[("scope", GMAIL)]);
    let unknown = browser.open(&more).await.unwrap();
    assert!(!unknown.text().contains("See and download all your files"), "{}", unknown.text());
    assert!(unknown.text().contains("What you allowed it before, it keeps"), "{}", unknown.text());
    browser.walk(world.at("/auth"), &choice(ANN)).await.unwrap();
    let known = browser.open(&more).await.unwrap();
    assert!(known.text().contains("It keeps what you allowed it before"), "{}", known.text());
    assert!(known.text().contains("See and download all your files"), "{}", known.text());
}

#[tokio::test]
async fn n17_what_google_grants_apart_is_kept_too() {
    const PHOTOS: &str = "https://www.googleapis.com/auth/photoslibrary.appendonly";
    let world = World::with(|options| options.scopes_supported = [DRIVE, GMAIL, PHOTOS].into_iter().collect()).await;
    let client = world.client().await;
    let walk = async |scope: &str| {
        let pkce = Pkce::generate();
        let back = world.walk(&world.authorize_url(&client, &pkce, &[("scope", scope)]), ANN).await;
        world.redeem(&client, &pkce, &back.query("code").unwrap()).await.1
    };
    walk(PHOTOS).await;
    assert_eq!(scopes(&walk(DRIVE).await), format!("{DRIVE} {PHOTOS}").as_str().into());
    assert_eq!(scopes(&walk(PHOTOS).await), PHOTOS.into(), "it asks for no more than it has");
}

#[tokio::test]
async fn n11_two_presses_at_once_with_different_choices_end_in_one_sign_in() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.halting_browser());
    let page = browser.open(world.authorize_url(&client, &pkce, &[("scope", &both())])).await.unwrap();
    let (one, two) =
        tokio::join!(browser.press(&page, "Allow", &[("gmail", "")]), browser.press(&page, "Allow", &[("drive", "")]));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.query("state"), two.query("state"));
    for google in [one, two] {
        let asked = google.query("scope").unwrap();
        assert_ne!(asked.contains(DRIVE), asked.contains(GMAIL), "one choice or the other: {asked}");
    }
}
