//! Number 10 of the checklist: what was allowed is shown on a page and taken back there.

use std::time::Duration;

use authchain::provider::Pkce;
use authchain_server::RememberConsent;
use authchain_testkit::Browser;
use serde_json::Value;

use crate::world::{DRIVE, GMAIL, World, choice, text};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";

async fn signed_in(world: &World, account: &str) -> Browser {
    let browser = world.browser();
    browser.walk(world.at("/auth"), &choice(account)).await.unwrap();
    browser
}

fn cookie(world: &World, browser: &Browser) -> String {
    format!("authchain-browser={}", browser.cookie(&world.base, "authchain-browser").unwrap())
}

/// What a program gets that has the browser's cookie.
async fn listed(world: &World, browser: &Browser) -> Vec<Value> {
    let request = world.http.get(world.at("/auth/apps")).header("accept", "application/json");
    let answer = request.header("cookie", cookie(world, browser)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json::<Value>().await.unwrap()["apps"].as_array().unwrap().clone()
}

#[tokio::test]
async fn n10_a_person_sees_which_programs_may_do_what() {
    let world = World::new().await;
    let (client, other) = (world.client().await, world.confidential_client("client_secret_post").await.0);
    let browser = signed_in(&world, ANN).await;
    let none = browser.open(world.at("/auth/apps")).await.unwrap();
    assert!(none.text().contains("No program is connected"), "{}", none.text());
    world.tokens(&client, ANN).await;
    world.clock.advance(Duration::from_secs(600));
    let again = world.tokens(&client, ANN).await;
    world.tokens(&other, BOB).await;
    world.clock.advance(Duration::from_secs(600));
    world.refresh(&client, &text(&again, "refresh_token")).await;

    let home = browser.open(world.at("/auth")).await.unwrap();
    let page = browser.follow(&home, "See and disconnect programs").await.unwrap();
    for seen in
        ["Test Client", "a program on this computer (127.0.0.1)", "See and download all your files", "Last used"]
    {
        assert!(page.text().contains(seen), "{seen:?} is not in {:?}", page.text());
    }
    assert!(!page.text().contains("Confidential Client"), "it is bob's: {}", page.text());
    let apps = listed(&world, &browser).await;
    assert_eq!(apps.len(), 1, "one program, however often it was connected: {apps:?}");
    let (since, last_used) = (apps[0]["since"].as_i64().unwrap(), apps[0]["last_used"].as_i64().unwrap());
    assert_eq!(last_used - since, 1200);
    assert_eq!(apps[0]["name"], "Test Client");
    assert!(!Value::from(apps).to_string().contains(&client.id), "a client id is not needed for anything here");
}

#[tokio::test]
async fn n10_disconnecting_asks_first_and_then_ends_everything_at_once() {
    let world = World::with(|options| {
        options.remember_consent = RememberConsent::All(Duration::from_secs(24 * 60 * 60));
    })
    .await;
    let (client, other) = (world.client().await, world.confidential_client("client_secret_post").await.0);
    let (first, second) = (world.tokens(&client, ANN).await, world.tokens(&client, ANN).await);
    let (bobs, others) = (world.tokens(&client, BOB).await, world.tokens(&other, ANN).await);
    let browser = signed_in(&world, ANN).await;
    let url = world.authorize_url(&client, &Pkce::generate(), &[]);
    assert!(browser.open(&url).await.unwrap().stopped, "consent is remembered");

    let page = browser.open(world.at("/auth/apps")).await.unwrap();
    assert!(page.text().contains("Not asked again until"), "{}", page.text());
    let id = listed(&world, &browser).await.iter().find(|app| app["name"] == "Test Client").unwrap()["id"].clone();
    let path = format!("/auth/apps/{}/revoke", id.as_str().unwrap());
    let question = browser.follow(&page, &path).await.unwrap();
    assert!(question.text().contains("Disconnect “Test Client”?"), "{}", question.text());
    assert_eq!(world.refresh(&client, &text(&first, "refresh_token")).await.0, 200, "nothing has happened yet");
    let done = browser.press(&question, "Disconnect", &[]).await.unwrap();
    assert!(done.text().contains("“Test Client” is disconnected"), "{}", done.text());

    for tokens in [&first, &second] {
        let (status, answer) = world.refresh(&client, &text(tokens, "refresh_token")).await;
        assert_eq!((status, answer["error"].as_str()), (400, Some("invalid_grant")));
        let grant = world.verified(tokens).grant.unwrap();
        assert!(world.grants().get(&grant).await.unwrap().is_none(), "its access tokens end with it");
    }
    assert_eq!(browser.open(&url).await.unwrap().status, 200, "it has to ask again");
    assert_eq!(world.refresh(&client, &text(&bobs, "refresh_token")).await.0, 200, "bob did not disconnect it");
    assert_eq!(world.refresh(&other, &text(&others, "refresh_token")).await.0, 200, "the other one stays");
    let gone = browser.open(world.at(&path)).await.unwrap();
    assert_eq!(gone.status, 404);
    assert!(gone.text().contains("is not connected"), "{}", gone.text());
}

#[tokio::test]
async fn n10_a_remembered_consent_can_be_taken_back_although_the_client_never_came_for_its_tokens() {
    let world = World::with(|options| {
        options.remember_consent = RememberConsent::All(Duration::from_secs(24 * 60 * 60));
    })
    .await;
    let (client, browser) = (world.client().await, signed_in(&world, ANN).await);
    let url = world.authorize_url(&client, &Pkce::generate(), &[]);
    assert!(browser.walk(&url, &choice(ANN)).await.unwrap().query("code").is_some());
    let apps = listed(&world, &browser).await;
    let id = apps[0]["id"].as_str().unwrap();
    assert_eq!((apps[0]["name"].as_str(), &apps[0]["last_used"]), (Some("Test Client"), &Value::Null));
    let request = world.http.delete(world.at(&format!("/auth/apps/{id}"))).header("cookie", cookie(&world, &browser));
    assert_eq!(request.send().await.unwrap().status(), 200);
    assert!(listed(&world, &browser).await.is_empty());
    assert_eq!(browser.open(&url).await.unwrap().status, 200);
}

#[tokio::test]
async fn n10_nobody_reaches_another_persons_programs_and_no_other_site_disconnects_one() {
    let world = World::new().await;
    let client = world.client().await;
    let tokens = world.tokens(&client, ANN).await;
    let (anns, bobs) = (signed_in(&world, ANN).await, signed_in(&world, BOB).await);
    let id = listed(&world, &anns).await[0]["id"].as_str().unwrap().to_owned();
    assert!(listed(&world, &bobs).await.is_empty());
    let (path, page) = (format!("/auth/apps/{id}"), format!("/auth/apps/{id}/revoke"));

    assert_eq!(bobs.open(world.at(&page)).await.unwrap().status, 404);
    let question = anns.open(world.at(&page)).await.unwrap();
    assert_eq!(bobs.press(&question, "Disconnect", &[]).await.unwrap().status, 403, "the form is ann's");
    for (who, body) in [(&anns, ""), (&anns, "csrf=x"), (&bobs, "")] {
        let request = world.http.post(world.at(&page)).header("cookie", cookie(&world, who)).body(body);
        assert_eq!(request.send().await.unwrap().status(), 403, "{body:?}");
    }
    let delete = |cookie: Option<String>| {
        let request = world.http.delete(world.at(&path));
        cookie.into_iter().fold(request, |request, cookie| request.header("cookie", cookie)).send()
    };
    assert_eq!(delete(None).await.unwrap().status(), 401);
    assert_eq!(delete(Some(cookie(&world, &bobs))).await.unwrap().status(), 404);
    let json = world.http.get(world.at("/auth/apps")).header("accept", "application/json").send().await.unwrap();
    assert_eq!(json.status(), 401);
    let nobody = world.browser().open(world.at("/auth/apps")).await.unwrap();
    assert!(nobody.text().contains("Sign in to"), "{}", nobody.text());
    assert_eq!(world.refresh(&client, &text(&tokens, "refresh_token")).await.0, 200, "it lives on");
    assert_eq!(delete(Some(cookie(&world, &anns))).await.unwrap().status(), 200);
    assert_eq!(world.refresh(&client, &text(&tokens, "refresh_token")).await.0, 400);
}

#[tokio::test]
async fn n10_a_client_at_a_site_is_shown_with_its_host_and_everything_it_may_do() {
    let world = World::new().await;
    let body = serde_json::json!({
        "client_name": "<b>Site</b>",
        "redirect_uris": ["https://client.example/callback"],
        "token_endpoint_auth_method": "none",
    });
    let client = crate::world::Client { id: text(&world.register(&body).await.1, "client_id"), secret: None };
    let (browser, pkce) = (world.browser().stop_at("https://client.example/"), Pkce::generate());
    let scope = format!("{DRIVE} {GMAIL}");
    let changes = [("redirect_uri", "https://client.example/callback"), ("scope", scope.as_str())];
    let back = browser.walk(world.authorize_url(&client, &pkce, &changes), &choice(ANN)).await.unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &back.query("code").unwrap()),
        ("client_id", &client.id),
        ("code_verifier", pkce.verifier.expose()),
    ];
    assert_eq!(world.post_form("/oauth/token", &form).await.0, 200);
    browser.walk(world.at("/auth"), &choice(ANN)).await.unwrap();
    let page = browser.open(world.at("/auth/apps")).await.unwrap();
    for seen in ["client.example", "Send email on your behalf", "See and download all your files", "<b>Site</b>"] {
        assert!(page.text().contains(seen), "{seen:?} is not in {:?}", page.text());
    }
    assert!(!page.body.contains("<b>Site"), "a name is only text");
}
