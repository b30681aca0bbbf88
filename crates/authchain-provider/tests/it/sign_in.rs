//! Adopting a sign-in: what of the old credential stays, and who may come back.

use authchain_core::{AuthError, Credential, ErrorCode, Scopes, Secret, SignIn, TokenSource};
use authchain_provider::CredentialEvent;

use crate::support::{NOW, World, credential, drive, key};

#[tokio::test]
async fn a_sign_in_is_stored_and_serves_at_once() {
    let world = World::new().await;
    let ann = key("ann@example.com");
    let manager = world.manager();
    let mut events = manager.subscribe();
    manager.adopt(&ann, credential("ann@example.com")).await.unwrap();
    assert_eq!(world.store.stored(&ann), Some(credential("ann@example.com")));
    assert_eq!(events.recv().await.unwrap(), CredentialEvent::Adopted { key: ann.clone() });
    assert_eq!(manager.cached(&ann, &drive()).unwrap().secret().expose(), "old-ann@example.com");
}

#[tokio::test]
async fn a_sign_in_without_a_refresh_token_keeps_the_old_one() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let manager = world.manager();
    let signed_in = Credential { refresh_token: None, scopes: Scopes::from("gmail"), ..credential("ann@example.com") };
    manager.adopt(&ann, signed_in).await.unwrap();
    let stored = world.store.stored(&ann).unwrap();
    assert_eq!(stored.refresh_token, Some(Secret::new("refresh-ann@example.com")));
    assert_eq!(stored.scopes, Scopes::from("drive email gmail openid"));
}

#[tokio::test]
async fn somebody_else_is_refused_and_nothing_is_stored() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW);
    let before = world.store.stored(&ann);
    let refused = world.manager().adopt(&ann, credential("bob@example.com")).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::WrongAccount);
    assert!(matches!(refused, AuthError::SignInNeeded { why: SignIn::WrongAccount { expected, got }, .. }
        if expected.as_str() == "ann@example.com" && got.as_str() == "bob@example.com"));
    assert_eq!(world.store.stored(&ann), before);
}

#[tokio::test]
async fn an_account_whose_address_changed_is_known_by_its_subject() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW);
    let renamed = Credential { subject: Some("sub-ann@example.com".into()), ..credential("ann.new@example.com") };
    world.manager().adopt(&ann, renamed).await.unwrap();
    assert_eq!(world.store.stored(&ann).unwrap().email.unwrap().as_str(), "ann.new@example.com");
}

#[tokio::test]
async fn a_sign_in_that_cannot_be_stored_is_no_sign_in() {
    let world = World::new().await;
    let ann = key("ann@example.com");
    world.store.fail_writes(true);
    let manager = world.manager();
    let refused = manager.adopt(&ann, credential("ann@example.com")).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::StoreUnavailable);
    world.store.fail_writes(false);
    assert!(manager.access_token(&ann, &drive()).await.is_err());
}
