//! Refreshing: once however many ask, ahead of time, and what of an answer is kept.

use std::{sync::Arc, time::Duration};

use authchain_core::{AuthError, ErrorCode, Scopes, Secret, SignIn, TokenSource};
use authchain_provider::CredentialEvent;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{HOUR, NOW, World, credential, drive, key};

#[tokio::test]
async fn a_valid_token_is_handed_out_without_any_io() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW + HOUR);
    let manager = world.manager();
    manager.access_token(&ann, &drive()).await.unwrap();
    let reads = world.store.reads();
    for _ in 0..100 {
        let token = manager.access_token(&ann, &drive()).await.unwrap();
        assert_eq!(token.secret().expose(), "old-ann@example.com");
        assert!(manager.cached(&ann, &drive()).is_some());
    }
    assert_eq!((world.store.reads(), world.upstream.requests()), (reads, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tasks_cause_one_request_upstream() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let manager = world.manager();
    world.upstream.close_gate();
    let mut tasks = JoinSet::new();
    for _ in 0..1_000 {
        let (manager, ann) = (manager.clone(), ann.clone());
        tasks.spawn(async move { manager.access_token(&ann, &drive()).await.unwrap() });
    }
    world.upstream.arrived(1).await;
    world.upstream.open_gate();
    let tokens = tasks.join_all().await;
    assert_eq!(tokens.len(), 1_000);
    assert!(tokens.iter().all(|token| token.secret().expose() == "new-ann@example.com-1"));
    assert_eq!(world.upstream.requests(), 1);
    assert_eq!(world.store.stored(&ann).unwrap().access_token, Some(Secret::new("new-ann@example.com-1")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tasks_share_one_error() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.forget_grants();
    let manager = world.manager();
    world.upstream.close_gate();
    let mut tasks = JoinSet::new();
    for _ in 0..1_000 {
        let (manager, ann) = (manager.clone(), ann.clone());
        tasks.spawn(async move { manager.access_token(&ann, &drive()).await.unwrap_err() });
    }
    world.upstream.arrived(1).await;
    world.upstream.open_gate();
    let errors = tasks.join_all().await;
    assert!(errors.iter().all(|error| error.code() == ErrorCode::SignInNeeded));
    assert!(errors.iter().all(|error| error.to_string() == errors[0].to_string()));
    assert_eq!(world.upstream.requests(), 1);
}

#[tokio::test]
async fn the_first_who_asked_may_go_and_the_others_are_served() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let manager = world.manager();
    world.upstream.close_gate();
    let ask = || {
        let (manager, ann) = (manager.clone(), ann.clone());
        tokio::spawn(async move { manager.access_token(&ann, &drive()).await })
    };
    let first = ask();
    world.upstream.arrived(1).await;
    let second = ask();
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    world.upstream.open_gate();
    assert_eq!(second.await.unwrap().unwrap().secret().expose(), "new-ann@example.com-1");
    assert_eq!(world.upstream.requests(), 1);
}

#[tokio::test]
async fn a_refresh_whose_only_caller_has_gone_is_still_stored() {
    let world = World::new().await;
    world.upstream.rotate();
    let ann = world.expired("ann@example.com");
    let manager = world.manager();
    let mut events = manager.subscribe();
    world.upstream.close_gate();
    let asking = tokio::spawn({
        let (manager, ann) = (manager.clone(), ann.clone());
        async move { manager.access_token(&ann, &drive()).await }
    });
    world.upstream.arrived(1).await;
    asking.abort();
    world.upstream.open_gate();
    assert_eq!(events.recv().await.unwrap(), CredentialEvent::Refreshed { key: ann.clone() });
    assert_eq!(world.store.stored(&ann).unwrap().refresh_token, Some(Secret::new("rotated-ann@example.com-1")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_who_refresh_at_once_never_get_each_others_token() {
    let world = World::new().await;
    let users: Vec<_> = (0..20).map(|n| format!("user{n}@example.com")).collect();
    let manager = world.manager();
    users.iter().for_each(|user| drop(world.expired(user)));
    let mut tasks = JoinSet::new();
    for n in 0..1_000 {
        let (manager, user) = (manager.clone(), users[n % users.len()].clone());
        tasks.spawn(async move {
            let token = manager.access_token(&key(&user), &drive()).await.unwrap();
            assert!(token.secret().expose().starts_with(&format!("new-{user}-")), "{user}");
        });
    }
    tasks.join_all().await;
    assert_eq!(world.upstream.requests(), 20);
}

#[tokio::test]
async fn an_answer_without_a_refresh_token_keeps_the_old_one() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.answer_with(json!({ "refresh_token": "" }));
    world.manager().access_token(&ann, &drive()).await.unwrap();
    let stored = world.store.stored(&ann).unwrap();
    assert_eq!(stored.refresh_token, Some(Secret::new("refresh-ann@example.com")));
    assert_eq!(stored.expires_at, Some(NOW + HOUR));
    assert_eq!(stored.scopes, credential("ann@example.com").scopes, "no scope in the answer: as before");
}

#[tokio::test]
async fn a_rotated_refresh_token_is_stored_before_anyone_is_answered() {
    let world = World::new().await;
    world.upstream.rotate();
    let ann = world.expired("ann@example.com");
    let manager = world.manager();
    for number in 1..=3 {
        manager.access_token(&ann, &drive()).await.unwrap();
        let rotated = Secret::new(format!("rotated-ann@example.com-{number}"));
        assert_eq!(world.store.stored(&ann).unwrap().refresh_token, Some(rotated));
        world.clock.advance(HOUR);
    }
}

#[tokio::test]
async fn what_the_answer_grants_counts_be_it_less_or_more() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let manager = world.manager();
    world.upstream.answer_with(json!({ "scope": "openid email" }));
    let refused = manager.access_token(&ann, &drive()).await.unwrap_err();
    assert!(matches!(&refused, AuthError::InsufficientScope { needed, granted }
        if *needed == drive() && *granted == Scopes::from("email openid")));
    assert_eq!(world.store.stored(&ann).unwrap().scopes, Scopes::from("email openid"));

    world.clock.advance(HOUR);
    world.upstream.answer_with(json!({ "scope": "openid email drive gmail" }));
    assert!(manager.access_token(&ann, &Scopes::from("gmail")).await.is_ok());
}

#[tokio::test]
async fn scopes_that_are_missing_do_not_ask_the_provider() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW + HOUR);
    let manager = world.manager();
    for _ in 0..10 {
        let refused = manager.access_token(&ann, &Scopes::from("drive gmail")).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InsufficientScope);
    }
    assert_eq!(world.upstream.requests(), 0);
}

#[tokio::test]
async fn a_wider_grant_that_another_process_stored_is_seen() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW + HOUR);
    let manager = world.manager();
    manager.access_token(&ann, &drive()).await.unwrap();
    let mut wider = credential("ann@example.com");
    wider.access_token = Some(Secret::new("wider"));
    wider.scopes = Scopes::from("drive gmail");
    world.store.set(&ann, wider);
    let token = manager.access_token(&ann, &Scopes::from("gmail")).await.unwrap();
    assert_eq!(token.secret().expose(), "wider");
}

#[tokio::test]
async fn the_id_token_of_another_account_is_refused_and_nothing_of_it_is_stored() {
    let world = World::new().await;
    world.upstream.rotate();
    let ann = world.expired("ann@example.com");
    let before = world.store.stored(&ann);
    let bob = world.upstream.signed(&json!({ "sub": "sub-bob@example.com", "email": "bob@example.com" }));
    world.upstream.answer_with(json!({ "id_token": bob }));
    let refused = world.manager().access_token(&ann, &drive()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::WrongAccount);
    assert_eq!(
        refused.to_string(),
        "google/ann@example.com has to sign in: bob@example.com signed in where ann@example.com was expected"
    );
    assert_eq!(world.store.stored(&ann), before);
}

#[tokio::test]
async fn the_id_token_of_the_same_account_is_welcome() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let same = world.upstream.signed(&json!({ "sub": "sub-ann@example.com", "email": "ann@example.com" }));
    world.upstream.answer_with(json!({ "id_token": same }));
    assert!(world.manager().access_token(&ann, &drive()).await.is_ok());
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_end_while_it_still_serves() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW + HOUR);
    let manager = world.manager();
    let mut events = manager.subscribe();
    manager.access_token(&ann, &drive()).await.unwrap();

    world.clock.advance(HOUR - Duration::from_secs(299));
    world.upstream.close_gate();
    for _ in 0..100 {
        let token = manager.access_token(&ann, &drive()).await.unwrap();
        assert_eq!(token.secret().expose(), "old-ann@example.com", "nobody waits for the renewal");
    }
    world.upstream.arrived(1).await;
    world.upstream.open_gate();
    assert_eq!(events.recv().await.unwrap(), CredentialEvent::Refreshed { key: ann.clone() });
    assert_eq!(manager.cached(&ann, &drive()).unwrap().secret().expose(), "new-ann@example.com-1");
    assert_eq!(world.upstream.requests(), 1);
}

#[tokio::test]
async fn long_before_its_end_a_token_is_not_renewed() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW + HOUR);
    let manager = world.manager();
    manager.access_token(&ann, &drive()).await.unwrap();
    world.clock.advance(HOUR - Duration::from_secs(301));
    manager.access_token(&ann, &drive()).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(world.upstream.requests(), 0);
}

#[tokio::test]
async fn tokens_with_a_short_life_are_held_as_well() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.answer_with(json!({ "expires_in": 8 }));
    let manager = world.manager();
    for _ in 0..10 {
        manager.access_token(&ann, &drive()).await.unwrap();
    }
    assert_eq!(world.upstream.requests(), 1);
    world.clock.advance(Duration::from_secs(8));
    manager.access_token(&ann, &drive()).await.unwrap();
    assert_eq!(world.upstream.requests(), 2);
}

#[tokio::test]
async fn the_end_of_a_token_is_counted_on_our_own_clock() {
    for skew in [-300_i64, 300] {
        let world = World::new().await;
        let ann = world.stored("ann@example.com", NOW - HOUR);
        world.clock.set(authchain_core::Timestamp(NOW.0 + skew));
        let manager = world.manager();
        let token = manager.access_token(&ann, &drive()).await.unwrap();
        assert_eq!(token.expires_at.0, NOW.0 + skew + 3600);
    }
}

#[tokio::test]
async fn an_answer_that_names_no_end_counts_as_an_hour() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.answer_with(json!({ "expires_in": null }));
    assert_eq!(world.manager().access_token(&ann, &drive()).await.unwrap().expires_at, NOW + HOUR);
}

#[tokio::test]
async fn whoever_never_signed_in_is_told_so() {
    let world = World::new().await;
    let refused = world.manager().access_token(&key("eve@example.com"), &drive()).await.unwrap_err();
    assert!(matches!(refused, AuthError::SignInNeeded { why: SignIn::NeverSignedIn, .. }));
}

#[tokio::test]
async fn without_a_refresh_token_a_token_serves_to_its_end_and_then_a_sign_in_is_needed() {
    let world = World::new().await;
    let ann = key("ann@example.com");
    let mut only_access = credential("ann@example.com");
    only_access.refresh_token = None;
    world.store.set(&ann, only_access);
    let manager = world.manager();
    world.clock.advance(HOUR - Duration::from_secs(1));
    manager.access_token(&ann, &drive()).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let refused = manager.access_token(&ann, &drive()).await.unwrap_err();
    assert!(matches!(refused, AuthError::SignInNeeded { why: SignIn::NoRefreshToken, .. }));
    assert!(manager.needs_sign_in(&ann));
    assert_eq!(world.upstream.requests(), 0);
}

#[tokio::test]
async fn a_key_of_an_unknown_provider_is_a_mistake_of_the_configuration() {
    let world = World::new().await;
    let mut ann = key("ann@example.com");
    ann.provider = authchain_core::ProviderId::new("github").unwrap();
    let refused = world.manager().access_token(&ann, &drive()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Configuration);
}

#[tokio::test]
async fn a_token_that_the_api_does_not_take_is_replaced_once() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW + HOUR);
    let manager = world.manager();
    let dead = manager.access_token(&ann, &drive()).await.unwrap();
    manager.reject(&ann, &dead);
    let fresh = manager.access_token(&ann, &drive()).await.unwrap();
    assert_eq!(fresh.secret().expose(), "new-ann@example.com-1");
    manager.reject(&ann, &dead);
    let still = manager.access_token(&ann, &drive()).await.unwrap();
    assert_eq!(still.secret(), fresh.secret(), "a late complaint about the old token changes nothing");
    assert_eq!(world.upstream.requests(), 1);
}

#[tokio::test]
async fn a_refresh_goes_to_the_providers_own_endpoint_with_the_client_of_the_grant() {
    let world = World::new().await;
    let ann = key("ann@example.com");
    let mut other_client = credential("ann@example.com");
    other_client.client.id = "client-0".into();
    other_client.client.secret = Some(Secret::new("hush-0"));
    other_client.expires_at = None;
    world.upstream.grant("refresh-ann@example.com", "ann@example.com");
    world.store.set(&ann, other_client);
    world.manager().access_token(&ann, &drive()).await.unwrap();
    let form = &world.upstream.log("token")[0];
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("client-0", "hush-0"));
    assert_eq!(form["refresh_token"], "refresh-ann@example.com");
    assert!(!form.contains_key("resource"), "what our clients ask for is not handed on");
}

#[tokio::test]
async fn a_new_secret_of_our_client_heals_old_credentials() {
    let world = World::new().await;
    let ann = key("ann@example.com");
    let mut old_secret = credential("ann@example.com");
    old_secret.client.secret = Some(Secret::new("last-years"));
    old_secret.expires_at = None;
    world.upstream.grant("refresh-ann@example.com", "ann@example.com");
    world.store.set(&ann, old_secret);
    world.manager().access_token(&ann, &drive()).await.unwrap();
    assert_eq!(world.upstream.log("token")[0]["client_secret"], "client-hush");
}

#[tokio::test]
async fn a_manager_that_is_dropped_leaves_nothing_behind() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let manager = world.manager();
    manager.access_token(&ann, &drive()).await.unwrap();
    let weak = Arc::downgrade(&manager);
    drop(manager);
    tokio::task::yield_now().await;
    assert!(weak.upgrade().is_none());
}
