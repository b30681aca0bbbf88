//! Number 10 of the checklist and tests 7, 8 and 15 of the field's lessons: the way to the provider and back.

use std::sync::Arc;

use authchain::{
    core::{Email, Scopes},
    provider::Pkce,
    store::StateDb,
};
use authchain_testkit::Endpoint;

use crate::world::{DRIVE, GMAIL, World, choice, scopes, text};

#[tokio::test]
async fn n14_t7_the_whole_way_ends_with_tokens_of_ours_for_this_resource() {
    let world = World::new().await;
    let client = world.client().await;
    let tokens = world.tokens(&client, "ann@example.com").await;
    assert_eq!(text(&tokens, "token_type"), "Bearer");
    assert_eq!(tokens["expires_in"], 3600);
    let token = world.verified(&tokens);
    assert_eq!(token.email, Some(Email::new("ann@example.com").unwrap()));
    assert_eq!(token.client.unwrap().as_str(), client.id);
    assert_eq!(token.claims["aud"], world.resource());
    assert_eq!(token.claims["iss"], world.issuer());
    assert_eq!(token.claims["idp"], "google");
    assert!(token.scopes.contains(DRIVE));
    assert_eq!(scopes(&tokens), token.scopes);
    let grant = world.grants().get(&token.grant.unwrap()).await.unwrap().unwrap().value;
    assert_eq!((grant.client_name.as_str(), grant.generation), ("Test Client", 1));
    let stored = world.manager().credential(&world.key_of("ann@example.com")).await.unwrap().unwrap();
    assert!(stored.refresh_token.is_some(), "Google was asked for offline access");
}

#[tokio::test]
async fn n16_no_secret_of_google_ever_reaches_a_client() {
    let world = World::new().await;
    let client = world.client().await;
    let pkce = Pkce::generate();
    let back = world.walk(&world.authorize_url(&client, &pkce, &[]), "ann@example.com").await;
    let (_, tokens) = world.redeem(&client, &pkce, &back.query("code").unwrap()).await;
    for secret in world.google.control().issued_secrets() {
        assert!(!tokens.to_string().contains(secret.expose()) && !back.url.as_str().contains(secret.expose()));
    }
}

#[tokio::test]
async fn a12_google_is_asked_for_offline_access_consent_pkce_and_nothing_of_the_clients() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.halting_browser());
    let resource = world.resource();
    let page = browser.open(world.authorize_url(&client, &pkce, &[("resource", &resource)])).await.unwrap();
    let google = browser.press(&page, "Allow", &[]).await.unwrap();
    for (name, value) in [("access_type", "offline"), ("prompt", "consent"), ("code_challenge_method", "S256")] {
        assert_eq!(google.query(name).as_deref(), Some(value), "{name}");
    }
    assert!(google.query("nonce").is_some());
    assert_eq!(google.query("resource"), None, "A12: a provider may refuse it");
    assert_ne!(google.query("code_challenge").as_deref(), Some(pkce.challenge.as_str()));
    assert_ne!(google.query("state").as_deref(), Some("st"));
}

#[tokio::test]
async fn a_restart_between_any_two_steps_goes_unnoticed() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.browser());
    world.restart();
    let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
    world.restart();
    let google = browser.press(&page, "Allow", &[]).await.unwrap();
    world.restart();
    let back = browser.walk(&google.url, &choice("ann@example.com")).await.unwrap();
    world.restart();
    let (status, tokens) = world.redeem(&client, &pkce, &back.query("code").unwrap()).await;
    assert_eq!(status, 200, "{tokens}");
    world.restart();
    assert_eq!(world.refresh(&client, &text(&tokens, "refresh_token")).await.0, 200);
}

#[tokio::test]
async fn n13_n15_on_the_durable_database_a_code_is_redeemed_once_and_everything_outlives_a_restart() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let open = || Arc::new(StateDb::open(&folder.path().join("state.db"), world.clock.clone()).unwrap());
    world.take_over(open());
    let (client, pkce) = (world.client().await, Pkce::generate());
    let code = world.code(&client, &pkce, "ann@example.com").await;
    world.take_over(open());
    let answers = futures_util::future::join_all((0..100).map(|_| world.redeem(&client, &pkce, &code))).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 1);

    let first = text(&world.tokens(&client, "ann@example.com").await, "refresh_token");
    let answers = futures_util::future::join_all((0..50).map(|_| world.refresh(&client, &first))).await;
    assert!(
        answers
            .iter()
            .all(|(status, answer)| *status == 200 && answer["refresh_token"] == answers[0].1["refresh_token"])
    );
    world.take_over(open());
    assert_eq!(world.refresh(&client, &text(&answers[0].1, "refresh_token")).await.0, 200);
}

#[tokio::test]
async fn a_client_outlives_the_loss_of_the_state_database() {
    let world = World::new().await;
    let (public, (confidential, _)) = (world.client().await, world.confidential_client("client_secret_post").await);
    world.lose_state();
    for client in [public, confidential] {
        let tokens = world.tokens(&client, "ann@example.com").await;
        assert!(tokens["access_token"].is_string());
    }
}

#[tokio::test]
async fn n10_another_browser_at_the_callback_is_refused_and_the_right_one_still_finishes() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    // One browser begins; somebody else comes back with its state.
    let browser = world.halting_browser();
    let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
    let google = browser.press(&page, "Allow", &[]).await.unwrap();
    let callback = world.sign_in_at_google(&google.url, "ann@example.com").await;
    let stranger = world.browser().open(&callback).await.unwrap();
    assert!(!stranger.stopped, "{}", stranger.url);
    assert_eq!(stranger.status, 403);
    assert!(stranger.text().contains("browser where you began"), "{}", stranger.text());
    assert!(world.manager().credential(&world.key_of("ann@example.com")).await.unwrap().is_none(), "nothing is stored");
    let back = browser.open(&callback).await.unwrap();
    assert!(back.query("code").is_some(), "the one who began still can");
}

#[tokio::test]
async fn n10_a_state_is_good_once_for_its_own_callback_and_for_ten_minutes() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.halting_browser());
    let begin = async || {
        let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
        browser.press(&page, "Allow", &[]).await.unwrap().query("state").unwrap()
    };
    let callback = |path: &str, state: &str| {
        let mut url = world.at(path);
        url.query_pairs_mut().append_pair("state", state).append_pair("error", "access_denied");
        url
    };
    let state = begin().await;
    let wrong = browser.open(callback("/auth/callback", &state)).await.unwrap();
    assert_eq!(wrong.status, 400, "a client's sign-in does not end at the local callback");
    assert!(browser.open(callback("/oauth2callback", &state)).await.unwrap().stopped);
    assert_eq!(browser.open(callback("/oauth2callback", &state)).await.unwrap().status, 400, "used");
    let state = begin().await;
    world.clock.advance(std::time::Duration::from_secs(601));
    assert_eq!(browser.open(callback("/oauth2callback", &state)).await.unwrap().status, 400, "expired");
    for state in ["", "x", "a.b"] {
        assert_eq!(browser.open(callback("/oauth2callback", state)).await.unwrap().status, 400, "{state:?}");
    }
    assert_eq!(browser.open(world.at("/oauth2callback")).await.unwrap().status, 400);
}

#[tokio::test]
async fn an_error_of_the_provider_is_a_page_with_a_number_and_a_way_back() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    world.google.control().fail(Endpoint::Token, 400, 50);
    let page = world.walk(&world.authorize_url(&client, &pkce, &[]), "ann@example.com").await;
    assert!(!page.stopped, "{}", page.url);
    assert_eq!(page.status, 502);
    assert!(page.text().contains("Reference number"), "{}", page.text());
    let way_back = page.link("Return to Test Client").unwrap();
    assert!(way_back.as_str().starts_with("http://127.0.0.1:33418/callback?error=server_error"), "{way_back}");
}

#[tokio::test]
async fn t9_a_provider_that_is_down_is_a_503_and_nothing_is_lost() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    world.google.control().fail(Endpoint::Token, 503, 50);
    let page = world.walk(&world.authorize_url(&client, &pkce, &[]), "ann@example.com").await;
    assert_eq!(page.status, 503, "{}", page.text());
    assert!(page.headers.contains_key("retry-after"));
    world.google.control().heal();
    world.code(&client, &pkce, "ann@example.com").await;
}

#[tokio::test]
async fn what_the_person_unticks_at_google_the_client_does_not_get() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    let only = Scopes::from(format!("openid email {GMAIL}").as_str());
    world.google.control().grant_only(&only);
    let url = world.authorize_url(&client, &pkce, &[("scope", &format!("{DRIVE} {GMAIL} openid"))]);
    let back = world.walk(&url, "ann@example.com").await;
    let (_, tokens) = world.redeem(&client, &pkce, &back.query("code").unwrap()).await;
    assert_eq!(scopes(&tokens), format!("{GMAIL} openid").as_str().into());
}

#[tokio::test]
async fn who_asks_who_the_person_is_gets_an_id_token() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    let url = world.authorize_url(&client, &pkce, &[("scope", "openid email"), ("nonce", "n-1")]);
    let back = world.walk(&url, "bob@example.com").await;
    let (_, tokens) = world.redeem(&client, &pkce, &back.query("code").unwrap()).await;
    let id_token = text(&tokens, "id_token");
    let payload = id_token.split('.').nth(1).unwrap();
    let claims: serde_json::Value =
        serde_json::from_slice(&base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, payload).unwrap())
            .unwrap();
    assert_eq!(claims["aud"], client.id);
    assert_eq!(claims["nonce"], "n-1");
    assert_eq!(claims["email"], "bob@example.com");
    let url = world.authorize_url(&client, &pkce, &[("scope", DRIVE)]);
    let back = world.walk(&url, "bob@example.com").await;
    let (_, tokens) = world.redeem(&client, &pkce, &back.query("code").unwrap()).await;
    assert!(tokens.get("id_token").is_none());
}

#[tokio::test]
async fn a_code_that_the_provider_does_not_take_has_a_sentence_of_its_own() {
    let world = World::new().await;
    let client = world.client().await;
    let browser = world.halting_browser();
    let url = world.authorize_url(&client, &Pkce::generate(), &[]);
    let consent = browser.open(url).await.unwrap();
    let leaving = browser.press(&consent, "Allow", &[]).await.unwrap();
    let state = leaving.query("state").unwrap();
    let back = browser.open(world.at(&format!("/oauth2callback?state={state}&code=stale"))).await.unwrap();
    assert_eq!(back.status, 400, "{}", back.text());
    assert!(back.text().contains("Please sign in once more"), "{}", back.text());
    assert!(!back.text().contains("upstream_refused"), "{}", back.text());
    assert!(back.link("Return to Test Client").is_some(), "the client is told, too: {}", back.text());
}
