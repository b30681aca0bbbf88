//! A provider that is away: nothing stored changes, nobody is signed out, and it is not hammered.

use std::time::Duration;

use authchain_core::{AuthError, ErrorCode, TokenSource};
use authchain_provider::RetryPolicy;
use serde_json::json;

use crate::support::{HOUR, NOW, Reply, World, drive, key, options, quick_retry};

fn after(error: &AuthError) -> u64 {
    assert_eq!(error.code(), ErrorCode::UpstreamUnavailable, "{error}");
    error.retry_after().unwrap().as_secs()
}

#[tokio::test]
async fn t9_server_errors_and_garbage_are_outages_that_leave_the_credential_alone() {
    for reply in [
        Reply::Json(500, json!({ "error": "invalid_grant" })),
        Reply::Text(502, "<html>Bad Gateway</html>"),
        Reply::Json(503, json!({})),
        Reply::Json(429, json!({ "error": "rate_limit_exceeded" })),
        Reply::Json(400, json!({ "error": "temporarily_unavailable" })),
        Reply::Text(200, "<html>Sign in to the hotel's network</html>"),
        Reply::Text(302, ""),
        Reply::Json(200, json!({ "hello": "world" })),
    ] {
        let world = World::new().await;
        let ann = world.expired("ann@example.com");
        let before = world.store.stored(&ann);
        world.upstream.always(reply);
        let manager = world.manager();
        let error = manager.access_token(&ann, &drive()).await.unwrap_err();
        assert_eq!(after(&error), 5);
        assert_eq!(error.code().http_status(), 503);
        assert_eq!(world.upstream.requests(), 3, "bounded attempts");
        assert_eq!(world.store.stored(&ann), before);
        assert!(!manager.needs_sign_in(&ann));

        world.upstream.always(None);
        world.clock.advance(Duration::from_secs(5));
        assert!(manager.access_token(&ann, &drive()).await.is_ok(), "back without a sign-in");
    }
}

#[tokio::test]
async fn a_fault_that_passes_is_not_seen_by_anyone() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.next(Reply::Text(503, ""));
    world.upstream.next(Reply::Text(200, "garbage"));
    assert!(world.manager().access_token(&ann, &drive()).await.is_ok());
    assert_eq!(world.upstream.requests(), 3);
}

#[tokio::test]
async fn a_refused_connection_is_an_outage() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let manager = world.manager();
    let World { upstream, store, .. } = world;
    upstream.die().await;
    let error = manager.access_token(&ann, &drive()).await.unwrap_err();
    assert_eq!(after(&error), 5);
    assert!(!error.to_string().contains("http://"), "no address: {error}");
    assert_eq!(store.writes(), 0);
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_an_outage() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let mut provider = world.provider();
    provider.token_url = "http://provider.invalid/token".parse().unwrap();
    let manager = world.manager_over(world.client_of(provider, quick_retry()), options());
    assert_eq!(after(&manager.access_token(&ann, &drive()).await.unwrap_err()), 5);
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.always(Reply::Silence);
    let retry = RetryPolicy { deadline: Duration::from_millis(30), ..quick_retry() };
    let manager = world.manager_over(world.client_of(world.provider(), retry), options());
    let error = manager.access_token(&ann, &drive()).await.unwrap_err();
    assert_eq!(after(&error), 5);
    assert_eq!(world.store.writes(), 0);
}

#[tokio::test]
async fn the_time_that_the_provider_names_is_kept() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let manager = world.manager();
    world.upstream.always(Reply::Away(503, "120"));
    assert_eq!(after(&manager.access_token(&ann, &drive()).await.unwrap_err()), 120);
    assert_eq!(world.upstream.requests(), 1, "two minutes are longer than anyone waits here");

    world.clock.advance(Duration::from_secs(100));
    for _ in 0..1_000 {
        assert_eq!(after(&manager.access_token(&ann, &drive()).await.unwrap_err()), 20);
    }
    assert_eq!(world.upstream.requests(), 1, "and a thousand who ask meanwhile are told, and ask nobody");

    world.upstream.always(None);
    world.clock.advance(Duration::from_secs(20));
    assert!(manager.access_token(&ann, &drive()).await.is_ok());
}

#[tokio::test]
async fn an_outage_seen_for_several_accounts_holds_the_others_back() {
    let world = World::new().await;
    world.upstream.always(Reply::Text(503, ""));
    let manager = world.manager();
    for n in 0..100 {
        let user = world.expired(&format!("user{n}@example.com"));
        assert_eq!(after(&manager.access_token(&user, &drive()).await.unwrap_err()), 5);
    }
    assert_eq!(world.upstream.requests(), 9, "three accounts tried three times each");

    world.upstream.always(None);
    world.clock.advance(Duration::from_secs(5));
    for n in 0..100 {
        assert!(manager.access_token(&key(&format!("user{n}@example.com")), &drive()).await.is_ok(), "{n}");
    }
}

#[tokio::test]
async fn a_token_that_still_lives_serves_through_an_outage_and_asks_seldom() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW + HOUR);
    let manager = world.manager();
    manager.access_token(&ann, &drive()).await.unwrap();
    world.clock.advance(HOUR - Duration::from_secs(100));
    world.upstream.always(Reply::Text(503, ""));
    manager.access_token(&ann, &drive()).await.unwrap();
    world.upstream.arrived(3).await;
    for _ in 0..100 {
        let token = manager.access_token(&ann, &drive()).await.unwrap();
        assert_eq!(token.secret().expose(), "old-ann@example.com");
        tokio::task::yield_now().await;
    }
    assert_eq!(world.upstream.requests(), 3);
    world.clock.advance(Duration::from_secs(99));
    assert!(manager.access_token(&ann, &drive()).await.is_ok(), "to its last second");
    world.clock.advance(Duration::from_secs(6));
    assert_eq!(after(&manager.access_token(&ann, &drive()).await.unwrap_err()), 5);
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_no_reason_to_sign_in() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.store.fail_reads(true);
    let manager = world.manager();
    let error = manager.access_token(&ann, &drive()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StoreUnavailable);
    assert_eq!(error.code().http_status(), 503);
    world.store.fail_reads(false);
    assert!(manager.access_token(&ann, &drive()).await.is_ok());
}
