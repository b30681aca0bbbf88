//! The service factory against a tiny Drive.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use authchain_core::{
    AuthError, CredentialKey, ErrorCode, ManualClock, ProviderId, Scopes, SignIn, Timestamp, TokenGroup, UserId,
};
use authchain_google::{CacheOptions, DriveHub, Endpoints, Problem, ServiceFactory, explain};

use crate::source::{Tokens, drive};

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn key(name: &str) -> CredentialKey {
    CredentialKey::new(ProviderId::google(), user(name))
}

fn scopes() -> Scopes {
    Scopes::from("https://www.googleapis.com/auth/drive.readonly")
}

/// A factory that never calls anybody.
fn factory(tokens: &Arc<Tokens>) -> ServiceFactory {
    let base = "http://127.0.0.1:1".parse().unwrap();
    ServiceFactory::new(tokens.clone(), Endpoints::under(base), CacheOptions::default()).unwrap()
}

fn tokens(names: &[&str]) -> Arc<Tokens> {
    let tokens = Arc::new(Tokens::default());
    for name in names {
        tokens.set(&key(name), "t");
    }
    tokens
}

#[tokio::test]
async fn a_hub_never_sees_a_stale_token() {
    let (base, seen) = drive().await;
    let tokens = tokens(&[]);
    let factory = ServiceFactory::new(tokens.clone(), Endpoints::under(base), CacheOptions::default()).unwrap();
    tokens.set(&key("ann"), "first");
    let hub = factory.service::<DriveHub<_>>(&user("ann"), &key("ann"), &scopes()).await.unwrap();
    let (_, files) = hub.files().list().doit().await.unwrap();
    assert_eq!(files.files.unwrap()[0].name.as_deref(), Some("Plan.txt"));
    tokens.set(&key("ann"), "second");
    hub.files().list().doit().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["Bearer first", "Bearer second"]);
}

#[tokio::test]
async fn a_hub_whose_account_is_gone_fails_with_the_reason_and_asks_nobody() {
    let (base, seen) = drive().await;
    let tokens = tokens(&["ann"]);
    let factory = ServiceFactory::new(tokens.clone(), Endpoints::under(base), CacheOptions::default()).unwrap();
    let hub = factory.service::<DriveHub<_>>(&user("ann"), &key("ann"), &scopes()).await.unwrap();
    tokens.remove(&key("ann"));
    let error = hub.files().list().doit().await.unwrap_err();
    let explained = explain(&error);
    assert!(matches!(&explained.problem, Problem::NoToken(AuthError::SignInNeeded { why: SignIn::NeverSignedIn, .. })));
    assert_eq!(explained.into_auth_error(&key("ann"), &scopes()).code(), ErrorCode::SignInNeeded);
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_account_that_has_to_sign_in_gets_no_hub() {
    let tokens = tokens(&["ann"]);
    let factory = factory(&tokens);
    let of = |name: &'static str| {
        let factory = factory.clone();
        async move { factory.service::<DriveHub<_>>(&user(name), &key(name), &scopes()).await.map(|_| ()) }
    };
    assert_eq!(of("bob").await.unwrap_err().code(), ErrorCode::SignInNeeded);
    assert_eq!(factory.stats().entries, 0);
    of("ann").await.unwrap();
    tokens.remove(&key("ann"));
    assert_eq!(of("ann").await.unwrap_err().code(), ErrorCode::SignInNeeded);
    assert_eq!(factory.stats().entries, 0, "the hub of a dead credential is forgotten");
    tokens.set(&key("ann"), "t");
    tokens.grant_only(Scopes::none());
    assert_eq!(of("ann").await.unwrap_err().code(), ErrorCode::InsufficientScope);
}

#[tokio::test]
async fn a_hub_is_made_once_and_each_call_asks_for_the_token() {
    let tokens = tokens(&["ann"]);
    let factory = factory(&tokens);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let factory = factory.clone();
        calls.spawn(async move { factory.service::<DriveHub<_>>(&user("ann"), &key("ann"), &scopes()).await.unwrap() });
    }
    let hubs = calls.join_all().await;
    assert!(hubs.iter().all(|hub| Arc::ptr_eq(hub, &hubs[0])));
    let stats = factory.stats();
    assert_eq!((stats.entries, stats.hits, stats.misses), (1, 99, 1));
    assert_eq!(tokens.asked.load(Ordering::SeqCst), 100);
}

#[tokio::test]
async fn owners_accounts_groups_and_scopes_are_kept_apart() {
    let photos = CredentialKey { group: TokenGroup::new("photos").unwrap(), ..key("ann") };
    let tokens = tokens(&["ann", "bob"]);
    tokens.set(&photos, "t");
    let factory = factory(&tokens);
    let none = Scopes::none();
    let cases = [
        ("ann", key("ann"), &scopes()),
        ("ann", key("bob"), &scopes()),
        ("bob", key("ann"), &scopes()),
        ("ann", key("ann"), &none),
        ("ann", photos.clone(), &scopes()),
    ];
    let mut hubs = Vec::new();
    for (owner, key, scopes) in &cases {
        hubs.push(factory.service::<DriveHub<_>>(&user(owner), key, scopes).await.unwrap());
    }
    for (i, hub) in hubs.iter().enumerate() {
        assert!(hubs.iter().skip(i + 1).all(|other| !Arc::ptr_eq(hub, other)));
    }
    assert_eq!(factory.stats().entries, 5);
    assert_eq!(factory.invalidate(&key("ann")), 3);
    assert_eq!(factory.clear(Some(&user("ann"))), 2);
    assert_eq!(factory.clear(None), 0);
}

#[tokio::test]
async fn clearing_one_owner_leaves_the_others() {
    let tokens = tokens(&["ann", "bob"]);
    let factory = factory(&tokens);
    for name in ["ann", "bob"] {
        factory.service::<DriveHub<_>>(&user(name), &key(name), &scopes()).await.unwrap();
    }
    assert_eq!(factory.clear(Some(&user("eve"))), 0);
    assert_eq!(factory.clear(Some(&user("ann"))), 1);
    assert_eq!(factory.stats().entries, 1);
    assert_eq!(factory.clear(None), 1);
}

#[tokio::test]
async fn a_hub_is_made_anew_after_half_an_hour() {
    let tokens = tokens(&["ann"]);
    let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
    let base = "http://127.0.0.1:1".parse().unwrap();
    let factory =
        ServiceFactory::with_clock(tokens, Endpoints::under(base), CacheOptions::default(), clock.clone()).unwrap();
    let of = || async { factory.service::<DriveHub<_>>(&user("ann"), &key("ann"), &scopes()).await.unwrap() };
    let first = of().await;
    clock.advance(Duration::from_secs(30 * 60 - 1));
    assert!(Arc::ptr_eq(&first, &of().await));
    clock.advance(Duration::from_secs(1));
    assert!(!Arc::ptr_eq(&first, &of().await));
    assert_eq!(factory.stats().misses, 2);
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let names: Vec<String> = (0..100).map(|i| format!("user{i}")).collect();
    let tokens = tokens(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let options = CacheOptions { capacity: 10, ..CacheOptions::default() };
    let base = "http://127.0.0.1:1".parse().unwrap();
    let factory = ServiceFactory::new(tokens, Endpoints::under(base), options).unwrap();
    for name in &names {
        factory.service::<DriveHub<_>>(&user(name), &key(name), &scopes()).await.unwrap();
    }
    assert!(factory.stats().entries <= 10);
}

#[test]
fn tokens_are_not_sent_in_the_clear_to_another_machine() {
    let base = "http://example.com".parse().unwrap();
    let error = ServiceFactory::new(tokens(&[]), Endpoints::under(base), CacheOptions::default()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Configuration);
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_token() {
    let tokens = tokens(&[]);
    tokens.set(&key("ann"), "ya29.very-secret");
    let factory = factory(&tokens);
    factory.service::<DriveHub<_>>(&user("ann"), &key("ann"), &scopes()).await.unwrap();
    let bridge = authchain_google::TokenBridge::new(tokens, key("ann"), scopes());
    let printed = format!("{factory:?} {bridge:?}");
    assert!(!printed.contains("very-secret"), "{printed}");
}
