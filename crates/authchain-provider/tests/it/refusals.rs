//! `invalid_grant` ends a credential, and nothing else does.

use std::time::Duration;

use authchain_core::{AuthError, CredentialStatus, ErrorCode, Secret, SignIn, TokenSource};
use authchain_provider::CredentialEvent;
use serde_json::json;

use crate::support::{HOUR, NOW, Reply, World, credential, drive, key, until};

#[tokio::test]
async fn invalid_grant_is_written_down_and_the_provider_is_asked_no_more() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.forget_grants();
    let manager = world.manager();
    let mut events = manager.subscribe();
    assert!(!manager.needs_sign_in(&ann));
    for _ in 0..10 {
        let refused = manager.access_token(&ann, &drive()).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::SignInNeeded);
        assert!(refused.to_string().contains("Token has been expired or revoked."), "{refused}");
        assert!(manager.needs_sign_in(&ann));
    }
    assert_eq!(world.upstream.requests(), 1);
    let stored = world.store.stored(&ann).unwrap();
    assert!(matches!(stored.status, CredentialStatus::NeedsSignIn { since, .. } if since == NOW));
    assert!(stored.refresh_token.is_some(), "nothing is deleted");
    assert!(matches!(events.recv().await.unwrap(), CredentialEvent::NeedsSignIn { key, .. } if key == ann));
    assert!(events.is_empty(), "it is told once");

    let restarted = world.manager();
    assert!(restarted.access_token(&ann, &drive()).await.is_err());
    assert!(restarted.needs_sign_in(&ann));
    assert_eq!(world.upstream.requests(), 1, "a restart does not forget it");
}

#[tokio::test]
async fn a_refusal_that_cannot_be_written_down_is_remembered() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.forget_grants();
    world.store.fail_writes(true);
    let manager = world.manager();
    for _ in 0..5 {
        let refused = manager.access_token(&ann, &drive()).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::SignInNeeded);
    }
    assert_eq!(world.upstream.requests(), 1);
}

#[tokio::test]
async fn a_sign_in_heals_it() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.forget_grants();
    let manager = world.manager();
    manager.access_token(&ann, &drive()).await.unwrap_err();
    let mut signed_in = credential("ann@example.com");
    signed_in.access_token = Some(Secret::new("signed-in"));
    signed_in.refresh_token = Some(Secret::new("first"));
    manager.adopt(&ann, signed_in).await.unwrap();
    assert!(!manager.needs_sign_in(&ann));
    assert_eq!(manager.access_token(&ann, &drive()).await.unwrap().secret().expose(), "signed-in");
    assert_eq!(world.store.stored(&ann).unwrap().status, CredentialStatus::Active);
}

#[tokio::test]
async fn a_sign_in_at_another_process_heals_it_here() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.forget_grants();
    let here = world.manager();
    here.access_token(&ann, &drive()).await.unwrap_err();
    let mut signed_in = credential("ann@example.com");
    signed_in.access_token = Some(Secret::new("signed-in"));
    signed_in.refresh_token = Some(Secret::new("first"));
    world.manager().adopt(&ann, signed_in).await.unwrap();

    assert_eq!(here.access_token(&ann, &drive()).await.unwrap().secret().expose(), "signed-in");
    assert!(!here.needs_sign_in(&ann));
}

#[tokio::test]
async fn who_only_asks_whether_a_sign_in_is_needed_sees_the_healing_too() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.forget_grants();
    let here = world.manager();
    here.access_token(&ann, &drive()).await.unwrap_err();
    world.manager().adopt(&ann, credential("ann@example.com")).await.unwrap();
    world.clock.advance(Duration::from_secs(2));
    until(|| !here.needs_sign_in(&ann)).await;
}

#[tokio::test]
async fn t10_the_words_of_an_administrators_session_control_are_kept() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.next(Reply::Json(
        400,
        json!({ "error": "invalid_grant", "error_subtype": "invalid_rapt", "error_description": "reauth" }),
    ));
    let refused = world.manager().access_token(&ann, &drive()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::SessionControl);
    assert!(matches!(&world.store.stored(&ann).unwrap().status,
        CredentialStatus::NeedsSignIn { reason, .. } if reason.contains("invalid_rapt")));
}

#[tokio::test]
async fn t10_a_grant_that_dies_on_its_seventh_day_is_called_what_it_is() {
    let world = World::new().await;
    let mut credential = credential("ann@example.com");
    credential.granted_at = NOW - Duration::from_secs(7 * 24 * 3600);
    credential.expires_at = None;
    world.store.set(&key("ann@example.com"), credential);
    let refused = world.manager().access_token(&key("ann@example.com"), &drive()).await.unwrap_err();
    assert!(refused.to_string().contains("testing mode"), "{refused}");
}

#[tokio::test]
async fn a_refused_client_leaves_the_credential_alone() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let before = world.store.stored(&ann);
    world.upstream.always(Reply::Json(401, json!({ "error": "invalid_client", "error_description": "Unauthorized" })));
    let manager = world.manager();
    for _ in 0..10 {
        let refused = manager.access_token(&ann, &drive()).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::UpstreamRefused);
        assert!(refused.to_string().contains("invalid_client"));
    }
    assert_eq!(world.upstream.requests(), 1, "it is not asked again at once");
    assert_eq!(world.store.stored(&ann), before);
    assert!(!manager.needs_sign_in(&ann));

    world.upstream.always(None);
    world.clock.advance(Duration::from_secs(5));
    assert!(manager.access_token(&ann, &drive()).await.is_ok(), "mended, without a sign-in");
}

#[tokio::test]
async fn a_refusal_in_the_background_ends_the_old_token_too() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW + HOUR);
    let manager = world.manager();
    let mut events = manager.subscribe();
    manager.access_token(&ann, &drive()).await.unwrap();
    world.upstream.forget_grants();
    world.clock.advance(HOUR - Duration::from_secs(200));
    manager.access_token(&ann, &drive()).await.unwrap();
    assert!(matches!(events.recv().await.unwrap(), CredentialEvent::NeedsSignIn { .. }));
    let refused = manager.access_token(&ann, &drive()).await.unwrap_err();
    assert!(matches!(refused, AuthError::SignInNeeded { why: SignIn::Refused(_), .. }));
}

#[tokio::test]
async fn no_secret_is_in_an_error_or_in_what_is_printed_for_debugging() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.next(Reply::Json(
        400,
        json!({ "error": "invalid_grant", "error_description": "refresh-ann@example.com of client-hush is dead" }),
    ));
    let refused = world.manager().access_token(&ann, &drive()).await.unwrap_err();
    let printed = format!("{refused} {refused:?} {:?} {:?}", world.store.stored(&ann), world.provider());
    for secret in ["refresh-ann", "client-hush", "old-ann"] {
        assert!(!printed.contains(secret), "{secret}");
    }
}
