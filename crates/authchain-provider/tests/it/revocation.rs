//! Disconnecting: the refresh token first, the local copy in any case, and the truth about both.

use authchain_core::{ErrorCode, TokenSource};
use authchain_provider::{CredentialEvent, Revocation, RevokedToken};
use serde_json::json;

use crate::support::{NOW, Reply, World, credential, drive, key, options, quick_retry};

#[tokio::test]
async fn the_refresh_token_is_revoked_and_the_local_copy_removed() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW);
    let manager = world.manager();
    let mut events = manager.subscribe();
    let revocation = manager.disconnect(&ann).await.unwrap();
    assert!(matches!(revocation, Revocation::Revoked(RevokedToken::Refresh)) && revocation.is_ended());
    let sent = world.upstream.log("revoke");
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["token"], "refresh-ann@example.com");
    assert!(!sent[0].contains_key("client_secret"), "Google wants the token alone");
    assert_eq!(world.store.stored(&ann), None);
    assert_eq!(events.recv().await.unwrap(), CredentialEvent::Removed { key: ann.clone() });
    assert_eq!(manager.access_token(&ann, &drive()).await.unwrap_err().code(), ErrorCode::SignInNeeded);
}

#[tokio::test]
async fn the_access_token_is_revoked_only_where_refresh_tokens_cannot_be() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW);
    world.upstream.next_revocation(Reply::Json(400, json!({ "error": "unsupported_token_type" })));
    let revocation = world.manager().disconnect(&ann).await.unwrap();
    assert!(matches!(revocation, Revocation::Revoked(RevokedToken::Access)) && !revocation.is_ended());
    let sent: Vec<_> = world.upstream.log("revoke").iter().map(|form| form["token"].clone()).collect();
    assert_eq!(sent, ["refresh-ann@example.com", "old-ann@example.com"]);
}

#[tokio::test]
async fn another_error_does_not_touch_the_access_token_and_is_told() {
    let world = World::new().await;
    for reply in [Reply::Json(400, json!({ "error": "invalid_request" })), Reply::Text(404, "?")] {
        let ann = world.stored("ann@example.com", NOW);
        let requests = world.upstream.log("revoke").len();
        world.upstream.next_revocation(reply);
        let revocation = world.manager().disconnect(&ann).await.unwrap();
        assert!(matches!(revocation, Revocation::Failed { .. }) && !revocation.is_ended());
        assert!(revocation.to_string().contains("account page"), "{revocation}");
        assert_eq!(world.upstream.log("revoke").len(), requests + 1);
        assert_eq!(world.store.stored(&ann), None, "removed here all the same");
    }
}

#[tokio::test]
async fn a_provider_that_is_away_is_tried_again_and_then_told() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW);
    world.upstream.next_revocation(Reply::Text(503, ""));
    assert!(matches!(world.manager().disconnect(&ann).await.unwrap(), Revocation::Revoked(_)));

    let bob = world.stored("bob@example.com", NOW);
    (0..3).for_each(|_| world.upstream.next_revocation(Reply::Text(503, "")));
    assert!(matches!(world.manager().disconnect(&bob).await.unwrap(), Revocation::Failed { .. }));
    assert_eq!(world.store.stored(&bob), None);
}

#[tokio::test]
async fn a_token_that_was_dead_before_counts_as_ended() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW);
    world.upstream.next_revocation(Reply::Json(400, json!({ "error": "invalid_token" })));
    let revocation = world.manager().disconnect(&ann).await.unwrap();
    assert!(matches!(revocation, Revocation::AlreadyEnded) && revocation.is_ended());
}

#[tokio::test]
async fn a_provider_without_revocation_is_called_that() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW);
    let mut provider = world.provider();
    provider.revoke_url = None;
    let manager = world.manager_over(world.client_of(provider, quick_retry()), options());
    assert!(matches!(manager.disconnect(&ann).await.unwrap(), Revocation::Unsupported));
    assert_eq!(world.store.stored(&ann), None);
}

#[tokio::test]
async fn a_provider_that_wants_the_client_at_revocation_gets_it() {
    let world = World::new().await;
    let mut provider = world.provider();
    provider.revoke_with_client = true;
    world.client_of(provider, quick_retry()).revoke(&credential("ann@example.com")).await;
    let form = &world.upstream.log("revoke")[0];
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("client-1", "client-hush"));
    assert_eq!(form["token_type_hint"], "refresh_token");
}

#[tokio::test]
async fn a_store_that_fails_does_not_keep_the_grant_alive() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW);
    world.store.fail_deletes(true);
    assert_eq!(world.manager().disconnect(&ann).await.unwrap_err().code(), ErrorCode::StoreUnavailable);
    assert!(!world.upstream.knows("refresh-ann@example.com"));
}

#[tokio::test]
async fn whoever_never_signed_in_has_nothing_to_disconnect() {
    let world = World::new().await;
    let nothing = world.manager().disconnect(&key("eve@example.com")).await.unwrap();
    assert!(matches!(nothing, Revocation::NothingStored));
    assert!(world.upstream.log("revoke").is_empty());
}
