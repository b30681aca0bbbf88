//! Tests that the field's lessons suggest, as far as no other module has them: restarts on the durable database, and clocks
//! that are wrong. `docs/checklist.md` says where the others are.

use std::sync::Arc;

use authchain::{provider::Pkce, store::StateDb};
use authchain_testkit::Endpoint;

use crate::world::{Client, World, choice, text};

const FIVE_MINUTES: i64 = 5 * 60;

/// Test 8: the process ends between any two steps; all that is left is the file.
#[tokio::test]
async fn l8_on_the_durable_database_a_restart_between_any_two_steps_goes_unnoticed() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let restart =
        || world.take_over(Arc::new(StateDb::open(&folder.path().join("state.db"), world.clock.clone()).unwrap()));
    restart();
    for client in [world.client().await, world.confidential_client("client_secret_basic").await.0] {
        let (pkce, browser) = (Pkce::generate(), world.halting_browser());
        restart();
        let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
        restart();
        let google = browser.press(&page, "Allow", &[]).await.unwrap();
        restart();
        let back = browser.open(world.sign_in_at_google(&google.url, "ann@example.com").await).await.unwrap();
        restart();
        let (status, tokens) = world.redeem(&client, &pkce, &back.query("code").unwrap()).await;
        assert_eq!(status, 200, "{tokens}");
        restart();
        let (status, next) = world.refresh(&client, &text(&tokens, "refresh_token")).await;
        assert_eq!(status, 200, "{next}");
        restart();
        assert_eq!(world.refresh(&client, &text(&next, "refresh_token")).await.0, 200);
    }
}

/// Between the consent page and the press of its button, too: a page that is open stores nothing.
#[tokio::test]
async fn l8_a_consent_page_that_is_open_outlives_the_loss_of_the_state_database() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.halting_browser());
    let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
    world.lose_state();
    let google = browser.press(&page, "Allow", &[]).await.unwrap();
    let back = browser.open(world.sign_in_at_google(&google.url, "ann@example.com").await).await.unwrap();
    assert_eq!(world.redeem(&client, &pkce, &back.query("code").unwrap()).await.0, 200);
}

/// What was begun and is lost ends in a page and never in somebody else's sign-in.
#[tokio::test]
async fn l8_a_sign_in_whose_state_was_lost_on_the_way_is_a_page_and_can_be_begun_again() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.halting_browser());
    let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
    let google = browser.press(&page, "Allow", &[]).await.unwrap();
    let callback = world.sign_in_at_google(&google.url, "ann@example.com").await;
    world.lose_state();
    let lost = browser.open(&callback).await.unwrap();
    assert_eq!((lost.stopped, lost.status), (false, 400), "{}", lost.text());
    world.code(&client, &pkce, "ann@example.com").await;
}

/// Test 20, the provider's clock. What it says of now would be believed; so it is not, nothing is stored, and the person is
/// told, not left with a failure that has no name.
#[tokio::test]
async fn l20_a_provider_whose_clock_is_five_minutes_ahead_is_refused_with_a_page_and_nothing_is_stored() {
    let world = World::with_clocks_apart(FIVE_MINUTES).await;
    let client = world.client().await;
    let page = world.walk(&world.authorize_url(&client, &Pkce::generate(), &[]), "ann@example.com").await;
    assert!(!page.stopped && page.status >= 400, "{}", page.url);
    assert!(page.text().contains("Reference number"), "{}", page.text());
    assert!(page.link("Return to Test Client").is_some(), "{}", page.text());
    assert!(world.manager().credential(&world.key_of("ann@example.com")).await.unwrap().is_none());
}

/// Behind is as harmless as a slow network: the id token is still good.
#[tokio::test]
async fn l20_a_provider_whose_clock_is_five_minutes_behind_is_as_good_as_a_slow_one() {
    let world = World::with_clocks_apart(-FIVE_MINUTES).await;
    let client = world.client().await;
    let tokens = world.tokens(&client, "ann@example.com").await;
    // Ours counts from our own clock, to the second.
    assert_eq!(tokens["expires_in"], 3600);
    assert_eq!(world.refresh(&client, &text(&tokens, "refresh_token")).await.0, 200);
}

/// Our own clock is set right while people are signed in: nobody is signed out, in either direction.
#[tokio::test]
async fn l20_when_our_own_clock_is_set_five_minutes_on_or_back_nobody_is_signed_out() {
    use authchain::core::{Clock, Timestamp};
    for seconds in [FIVE_MINUTES, -FIVE_MINUTES] {
        let world = World::new().await;
        let client = world.client().await;
        let tokens = world.tokens(&client, "ann@example.com").await;
        world.clock.set(Timestamp(world.clock.now().0 + seconds));
        let (status, next) = world.refresh(&client, &text(&tokens, "refresh_token")).await;
        assert_eq!(status, 200, "{seconds}: {next}");
        world.restart();
        assert_eq!(world.refresh(&client, &text(&next, "refresh_token")).await.0, 200, "{seconds}");
        assert!(world.tokens(&client, "ann@example.com").await["access_token"].is_string());
    }
}

/// The client's clock does not come into it: a code and a refresh token are ours to date.
#[tokio::test]
async fn l20_a_transaction_that_began_before_the_clock_was_set_back_can_still_be_finished() {
    use authchain::core::{Clock, Timestamp};
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.halting_browser());
    let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
    let google = browser.press(&page, "Allow", &[]).await.unwrap();
    world.clock.set(Timestamp(world.clock.now().0 - FIVE_MINUTES));
    let back = world.walk_back(&browser, &google.url).await;
    assert_eq!(world.redeem(&client, &pkce, &back).await.0, 200);
}

impl World {
    /// Signs in at the provider and returns with the same browser; the code.
    async fn walk_back(&self, browser: &authchain_testkit::Browser, address: &url::Url) -> String {
        let callback = self.sign_in_at_google(address, "ann@example.com").await;
        let back = browser.open(&callback).await.unwrap();
        back.query("code").unwrap_or_else(|| panic!("{}: {}", back.url, back.text()))
    }
}

/// Test 13, the parts that are not in the tests of codes: a verifier that is missing or `plain`.
#[tokio::test]
async fn l13_n13_a_code_without_its_verifier_or_with_the_challenge_in_its_place_is_worth_nothing() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    for (verifier, error) in [(None, "invalid_request"), (Some(pkce.challenge.as_str()), "invalid_grant")] {
        let code = world.code(&client, &pkce, "ann@example.com").await;
        let mut form = vec![("grant_type", "authorization_code"), ("code", &code), ("client_id", &client.id)];
        form.push(("redirect_uri", crate::world::CALLBACK));
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        let (status, answer) = world.post_form("/oauth/token", &form).await;
        assert_eq!((status, &answer["error"]), (400, &error.into()), "{verifier:?}");
    }
    let code = world.code(&client, &pkce, "ann@example.com").await;
    let other = Client { id: world.confidential_client("client_secret_post").await.0.id, secret: None };
    assert_eq!(world.redeem(&other, &pkce, &code).await.0, 401, "nor to a client that does not prove itself");
    assert_eq!(world.redeem(&client, &pkce, &code).await.0, 200, "which has not used it up");
}

/// Test 4 at the authorization server: an outage of the provider neither signs anybody out nor is it an error of the client.
#[tokio::test]
async fn l4_t9_while_the_provider_is_down_clients_refresh_and_nothing_is_deleted() {
    let world = World::new().await;
    let client = world.client().await;
    let tokens = world.tokens(&client, "ann@example.com").await;
    world.google.control().fail(Endpoint::Any, 503, 1000);
    let (status, next) = world.refresh(&client, &text(&tokens, "refresh_token")).await;
    assert_eq!(status, 200, "our own tokens need nobody: {next}");
    let page = world.browser().walk(world.authorize_url(&client, &Pkce::generate(), &[]), &choice("x")).await.unwrap();
    assert!(page.status == 503 || page.url.as_str().starts_with(world.google.url().as_str()), "{}", page.url);
    world.google.control().heal();
    assert!(world.manager().credential(&world.key_of("ann@example.com")).await.unwrap().is_some());
    assert_eq!(world.refresh(&client, &text(&next, "refresh_token")).await.0, 200);
}
