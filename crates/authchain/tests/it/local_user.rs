//! Tier 4: which accounts a caller may use, and the one trusted local user.

use authchain::{
    Chain,
    core::{AuthError, AuthRequest, Email, Principal, ProviderId, Scopes, UserId},
    tiers::{CredentialBridge, LocalUser, OAuthFallback},
};

use crate::support::{person, request};

fn ann() -> Principal {
    let email = Email::new("ann@example.com").unwrap();
    Principal { user: UserId::from(&email), email: Some(email), ..(*person("x")).clone() }
}

fn trusting() -> CredentialBridge {
    let email = Email::new("ann@example.com").unwrap();
    CredentialBridge::trusting_local_user(LocalUser { email, provider: ProviderId::google(), scopes: Scopes::none() })
}

#[tokio::test]
async fn a_request_without_a_credential_is_the_local_user_only_where_that_is_configured() {
    let request = request(None);
    let head = AuthRequest::of(&request).unwrap();
    let with = Chain::builder().tier(trusting()).tier(OAuthFallback).build();
    assert_eq!(with.resolve(&head).await.unwrap().user.as_str(), "ann@example.com");
    let without = Chain::builder().tier(CredentialBridge::new()).tier(OAuthFallback).build();
    assert!(matches!(without.resolve(&head).await, Err(AuthError::MissingCredential)));
}

#[tokio::test]
async fn a_bad_credential_does_not_become_the_local_user() {
    let request = request(Some("bad"));
    let head = AuthRequest::of(&request).unwrap();
    let chain = Chain::builder().tier(trusting()).tier(OAuthFallback).build();
    assert!(matches!(chain.resolve(&head).await, Err(AuthError::InvalidToken(_))));
}

#[tokio::test]
async fn the_own_account_is_selected_by_name_or_by_me() {
    let bridge = CredentialBridge::new();
    for requested in [None, Some(""), Some("me"), Some("myself"), Some("ann@example.com"), Some(" Ann@Example.com ")] {
        let key = bridge.select(&ann(), requested).await.unwrap();
        assert_eq!(key.user.as_str(), "ann@example.com", "{requested:?}");
    }
}

#[tokio::test]
async fn any_other_account_is_refused_and_never_replaced() {
    let bridge = CredentialBridge::new();
    for requested in ["bob@example.com", "ann@example.com.evil.example", "*", "../ann@example.com"] {
        let outcome = bridge.select(&ann(), Some(requested)).await;
        assert!(matches!(outcome, Err(AuthError::NotYourAccount(_))), "{requested}");
    }
}
