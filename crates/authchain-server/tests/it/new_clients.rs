//! Clients that a person makes, for programs that cannot register (client case R18), and what an operator sees of clients.

use std::time::Duration;

use authchain::provider::Pkce;
use authchain_testkit::{Browser, Page};
use serde_json::json;

use crate::world::{CALLBACK, Client, World, choice, text};

const ANN: &str = "ann@example.com";

async fn signed_in(world: &World) -> Browser {
    let browser = world.browser();
    browser.walk(world.at("/auth"), &choice(ANN)).await.unwrap();
    browser
}

async fn make(world: &World, browser: &Browser, fields: &[(&str, &str)]) -> Page {
    let form = browser.open(world.at("/oauth/clients/new")).await.unwrap();
    browser.press(&form, "Make the client id", fields).await.unwrap()
}

/// The values that the page shows, in their order.
fn shown(page: &Page) -> Vec<String> {
    page.body.split("<code>").skip(1).map(|rest| rest.split("</code>").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn r18_a_signed_in_person_makes_a_client_id_to_paste_and_it_works() {
    let world = World::new().await;
    let browser = signed_in(&world).await;
    let page = make(&world, &browser, &[("name", "Gemini"), ("redirect_uris", CALLBACK), ("kind", "public")]).await;
    assert_eq!(page.status, 201, "{}", page.text());
    let [id, mcp, authorize, token]: [String; 4] = shown(&page).try_into().unwrap();
    assert_eq!(mcp, world.resource());
    assert_eq!(authorize, world.at("/oauth/authorize").as_str());
    assert_eq!(token, world.at("/oauth/token").as_str());
    world.tokens(&Client { id, secret: None }, ANN).await;
}

#[tokio::test]
async fn r18_a_client_with_a_secret_shows_it_once_and_lives_as_long_as_an_id() {
    let world = World::new().await;
    let browser = signed_in(&world).await;
    let fields = [("name", "ChatGPT"), ("redirect_uris", CALLBACK), ("kind", "confidential")];
    let page = make(&world, &browser, &fields).await;
    let [id, secret, _, _, _]: [String; 5] = shown(&page).try_into().unwrap();
    let client = Client { id: id.clone(), secret: Some(secret.clone()) };
    let tokens = world.tokens(&client, ANN).await;
    // A person cannot be asked to paste a new secret every day.
    world.clock.advance(Duration::from_secs(30 * 86_400));
    assert_eq!(world.refresh(&client, &text(&tokens, "refresh_token")).await.0, 200);
    let nobody = Client { id, secret: None };
    let pkce = Pkce::generate();
    assert_eq!(world.redeem(&nobody, &pkce, "x").await.1["error"], "invalid_client");
    assert!(!browser.open(world.at("/oauth/clients/new")).await.unwrap().body.contains(&secret));
}

#[tokio::test]
async fn r18_a_mistake_is_explained_and_what_was_typed_stays() {
    let world = World::new().await;
    let browser = signed_in(&world).await;
    let page = make(&world, &browser, &[("name", "Tool <1>"), ("redirect_uris", "javascript:alert(1)")]).await;
    assert_eq!(page.status, 400);
    assert!(page.text().contains("This cannot be done"), "{}", page.text());
    assert!(
        page.body.contains("Tool &lt;1&gt;") && page.body.contains("javascript:alert(1)</textarea>"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn r18_only_a_person_who_is_signed_in_makes_clients() {
    let world = World::new().await;
    let page = world.browser().open(world.at("/oauth/clients/new")).await.unwrap();
    assert!(page.url.path() == "/auth", "{}", page.url);
    let fields = [("name", "X"), ("redirect_uris", CALLBACK)];
    assert_eq!(world.post_form("/oauth/clients/new", &fields).await.0, 403, "without a cookie");
    let browser = signed_in(&world).await;
    let cookie = format!("authchain-browser={}", browser.cookie(&world.base, "authchain-browser").unwrap());
    let forged = world.http.post(world.at("/oauth/clients/new")).header("cookie", cookie).form(&fields);
    assert_eq!(forged.send().await.unwrap().status(), 403, "without the form's token");
}

#[tokio::test]
async fn n06_many_and_long_redirect_uris_fit_into_an_id() {
    let world = World::new().await;
    let uris: Vec<_> = (0..10).map(|n| format!("https://client.example/{n}/{}", "x".repeat(175))).collect();
    assert!(uris.iter().all(|uri| uri.len() == 200));
    let body =
        json!({"client_name": "Long", "redirect_uris": uris, "token_endpoint_auth_method": "client_secret_post"});
    let (status, answer) = world.register(&body).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["redirect_uris"], body["redirect_uris"]);
    let id = text(&answer, "client_id");
    assert!(id.len() < 4096, "{} characters", id.len());
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "art_x"),
        ("client_id", id.as_str()),
        ("client_secret", answer["client_secret"].as_str().unwrap()),
    ];
    assert_eq!(world.post_form("/oauth/token", &form).await.1["error"], "invalid_grant", "it is known");
    let too_long: Vec<_> = (0..20).map(|n| format!("https://client.example/{n}/{}", "x".repeat(300))).collect();
    let (status, answer) = world.register(&json!({ "redirect_uris": too_long })).await;
    assert_eq!((status, &answer["error"]), (400, &"invalid_client_metadata".into()), "{answer}");
}
