//! What another process deletes or replaces: noticed within a minute, without a read at each call and without harm from a
//! store that cannot be read.

use std::{sync::Arc, time::Duration};

use authchain_core::{AuthError, Credential, CredentialKey, CredentialStatus, Secret, SignIn, TokenSource};
use authchain_provider::{CredentialEvent, CredentialManager, RefreshOptions};
use tokio::task::JoinSet;

use crate::support::{HOUR, NOW, World, credential, drive, key, options, until};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

async fn token(manager: &CredentialManager, key: &CredentialKey) -> Result<String, AuthError> {
    Ok(manager.access_token(key, &drive()).await?.secret().expose().to_owned())
}

fn is_missing(asked: &Result<String, AuthError>) -> bool {
    matches!(asked, Err(AuthError::SignInNeeded { why: SignIn::NeverSignedIn, .. }))
}

/// A process that holds ann's token, which ends in an hour.
async fn holding(world: &World) -> (Arc<CredentialManager>, CredentialKey) {
    let (ann, manager) = (world.stored("ann@example.com", NOW + HOUR), world.manager());
    assert_eq!(token(&manager, &ann).await.unwrap(), "old-ann@example.com");
    (manager, ann)
}

fn imported() -> Credential {
    Credential {
        access_token: Some(Secret::new("imported")),
        refresh_token: Some(Secret::new("imported-refresh")),
        ..credential("ann@example.com")
    }
}

#[tokio::test]
async fn a_credential_that_another_process_deleted_serves_for_a_minute_at_most() {
    let world = World::new().await;
    let (manager, ann) = holding(&world).await;
    let mut events = manager.subscribe();
    world.store.remove(&ann);
    world.clock.advance(MINUTE - SECOND);
    let reads = world.store.reads();
    assert_eq!(token(&manager, &ann).await.unwrap(), "old-ann@example.com");
    assert_eq!(world.store.reads(), reads, "within the minute nothing is read");
    world.clock.advance(SECOND);
    assert!(manager.cached(&ann, &drive()).is_none());
    assert!(is_missing(&token(&manager, &ann).await));
    assert_eq!(events.try_recv().unwrap(), CredentialEvent::Removed { key: ann.clone() });
    world.store.set(&ann, imported());
    assert_eq!(token(&manager, &ann).await.unwrap(), "imported", "one that is there again is used at once");
    assert_eq!(world.upstream.requests(), 0);
}

#[tokio::test]
async fn a_credential_that_another_process_replaced_is_used_after_a_minute() {
    let world = World::new().await;
    let (manager, ann) = holding(&world).await;
    world.store.set(&ann, imported());
    world.clock.advance(MINUTE);
    assert_eq!(token(&manager, &ann).await.unwrap(), "imported");
    assert_eq!(manager.cached(&ann, &drive()).unwrap().secret().expose(), "imported");
    assert_eq!(world.upstream.requests(), 0);
}

#[tokio::test]
async fn a_credential_that_another_process_found_dead_or_that_has_to_be_refreshed_is_treated_as_such() {
    let world = World::new().await;
    let (manager, ann) = holding(&world).await;
    world.upstream.grant("imported-refresh", "ann@example.com");
    world.store.set(&ann, Credential { access_token: None, expires_at: None, ..imported() });
    world.clock.advance(MINUTE);
    assert_eq!(token(&manager, &ann).await.unwrap(), "new-ann@example.com-1");
    let status = CredentialStatus::NeedsSignIn { since: NOW, reason: "invalid_grant".into() };
    world.store.set(&ann, Credential { status, ..imported() });
    world.clock.advance(MINUTE);
    let refused = token(&manager, &ann).await.unwrap_err();
    assert!(matches!(refused, AuthError::SignInNeeded { why: SignIn::Refused(_), .. }), "{refused}");
    assert!(manager.needs_sign_in(&ann));
}

#[tokio::test]
async fn what_is_stored_still_is_read_once_a_minute_and_nothing_changes() {
    let world = World::new().await;
    let (manager, ann) = holding(&world).await;
    let reads = world.store.reads();
    for minute in 1..=30 {
        world.clock.advance(MINUTE);
        for _ in 0..20 {
            assert_eq!(token(&manager, &ann).await.unwrap(), "old-ann@example.com");
        }
        assert_eq!(world.store.reads(), reads + minute);
    }
    assert_eq!((world.upstream.requests(), world.store.writes()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_ask_at_once_cause_one_look() {
    let world = World::new().await;
    let (manager, ann) = holding(&world).await;
    for is_stored in [true, false] {
        world.clock.advance(MINUTE);
        let reads = world.store.reads();
        world.store.hold_reads(true);
        if !is_stored {
            world.store.remove(&ann);
        }
        let mut tasks = JoinSet::new();
        for _ in 0..1_000 {
            let (manager, ann) = (manager.clone(), ann.clone());
            tasks.spawn(async move { token(&manager, &ann).await });
        }
        until(|| world.store.reads() > reads).await;
        assert_eq!(world.store.reads(), reads + 1, "while the answer is on its way nobody asks again");
        world.store.hold_reads(false);
        let answers = tasks.join_all().await;
        assert_eq!(answers.iter().filter(|answer| is_missing(answer)).count(), if is_stored { 0 } else { 1_000 });
        if is_stored {
            assert_eq!(world.store.reads(), reads + 1);
        }
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_signs_nobody_out_and_is_asked_now_and_then() {
    let world = World::new().await;
    let (manager, ann) = holding(&world).await;
    world.store.fail_reads(true);
    world.clock.advance(MINUTE);
    let reads = world.store.reads();
    for _ in 0..100 {
        assert_eq!(token(&manager, &ann).await.unwrap(), "old-ann@example.com");
    }
    assert_eq!(world.store.reads(), reads + 1);
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(token(&manager, &ann).await.unwrap(), "old-ann@example.com");
    assert_eq!(world.store.reads(), reads + 2);
    // Deleted or not cannot be seen; when it can be again, it is.
    world.store.remove(&ann);
    world.store.fail_reads(false);
    world.clock.advance(Duration::from_secs(10));
    assert!(is_missing(&token(&manager, &ann).await));
}

#[tokio::test]
async fn a_store_that_is_back_is_looked_at_once_a_minute_again() {
    let world = World::new().await;
    let (manager, ann) = holding(&world).await;
    world.store.fail_reads(true);
    world.clock.advance(MINUTE);
    token(&manager, &ann).await.unwrap();
    world.store.fail_reads(false);
    world.clock.advance(Duration::from_secs(10));
    let reads = world.store.reads();
    token(&manager, &ann).await.unwrap();
    world.clock.advance(MINUTE - SECOND);
    token(&manager, &ann).await.unwrap();
    assert_eq!(world.store.reads(), reads + 1);
}

#[tokio::test]
async fn with_a_store_that_cannot_be_read_a_token_serves_to_its_end_and_then_the_store_is_the_error() {
    let world = World::new().await;
    let (manager, ann) = holding(&world).await;
    world.store.fail_reads(true);
    for _ in 0..59 {
        world.clock.advance(MINUTE);
        assert_eq!(token(&manager, &ann).await.unwrap(), "old-ann@example.com");
    }
    world.clock.advance(MINUTE);
    assert!(matches!(token(&manager, &ann).await, Err(AuthError::Store(_))));
    world.store.fail_reads(false);
    assert_eq!(token(&manager, &ann).await.unwrap(), "new-ann@example.com-1");
}

#[tokio::test]
async fn a_store_that_does_not_answer_keeps_nobody_waiting_for_long() {
    let world = World::new().await;
    let ann = world.stored("ann@example.com", NOW + HOUR);
    let manager = world.manager_with(RefreshOptions { look_patience: Duration::from_millis(20), ..options() });
    token(&manager, &ann).await.unwrap();
    world.store.hold_reads(true);
    world.clock.advance(MINUTE);
    assert_eq!(token(&manager, &ann).await.unwrap(), "old-ann@example.com");
    let reads = world.store.reads();
    assert_eq!(token(&manager, &ann).await.unwrap(), "old-ann@example.com");
    assert_eq!(world.store.reads(), reads);
}

#[tokio::test]
async fn while_the_store_is_away_one_look_is_made_for_all() {
    let world = World::new().await;
    let manager = world.manager();
    let people: Vec<_> = (0..50).map(|n| world.stored(&format!("user{n}@example.com"), NOW + HOUR)).collect();
    for person in &people {
        token(&manager, person).await.unwrap();
    }
    world.store.fail_reads(true);
    world.clock.advance(MINUTE);
    let reads = world.store.reads();
    for person in &people {
        token(&manager, person).await.unwrap();
    }
    assert_eq!(world.store.reads(), reads + 3, "after three in a row it is known");
    world.store.fail_reads(false);
    world.clock.advance(Duration::from_secs(10));
    world.store.remove(&people[40]);
    for person in &people {
        assert_eq!(is_missing(&token(&manager, person).await), *person == people[40]);
    }
}

#[tokio::test]
async fn a_sign_in_during_a_look_is_what_stays() {
    let world = World::new().await;
    let (manager, ann) = holding(&world).await;
    world.clock.advance(MINUTE);
    for deleted in [false, true] {
        world.clock.advance(MINUTE);
        if deleted {
            world.store.remove(&ann);
        }
        let reads = world.store.reads();
        world.store.hold_reads(true);
        let asked = tokio::spawn({
            let (manager, ann) = (manager.clone(), ann.clone());
            async move { token(&manager, &ann).await }
        });
        until(|| world.store.reads() > reads).await;
        // The sign-in reads, too; it gets the same answer, and the look lands before or after it.
        let adopting = tokio::spawn({
            let (manager, ann) = (manager.clone(), ann.clone());
            async move { manager.adopt(&ann, imported()).await }
        });
        until(|| world.store.reads() > reads + 1).await;
        world.store.hold_reads(false);
        adopting.await.unwrap().unwrap();
        let _before_or_after = asked.await.unwrap();
        assert_eq!(token(&manager, &ann).await.unwrap(), "imported");
        assert_eq!(world.store.stored(&ann).unwrap().refresh_token, Some(Secret::new("imported-refresh")));
    }
}

#[tokio::test]
async fn a_look_that_another_process_overtakes_with_a_refresh_loses_no_rotated_token() {
    let world = World::new().await;
    world.upstream.rotate();
    let (looking, ann) = holding(&world).await;
    let refreshing = world.manager_with(RefreshOptions { ahead: 2 * HOUR, ..options() });
    world.clock.advance(MINUTE);
    let reads = world.store.reads();
    world.store.hold_reads(true);
    let asked = tokio::spawn({
        let (looking, ann) = (looking.clone(), ann.clone());
        async move { token(&looking, &ann).await }
    });
    until(|| world.store.reads() > reads).await;
    // The look has read what is stored and does not know it yet. Another process gets further meanwhile.
    let rotated = Credential {
        access_token: Some(Secret::new("rotated-access")),
        refresh_token: Some(Secret::new("rotated-refresh")),
        ..credential("ann@example.com")
    };
    world.upstream.grant("rotated-refresh", "ann@example.com");
    world.store.set(&ann, rotated);
    world.store.hold_reads(false);
    assert_eq!(asked.await.unwrap().unwrap(), "old-ann@example.com", "it was stored when it was looked at");
    world.clock.advance(MINUTE);
    assert_eq!(token(&looking, &ann).await.unwrap(), "rotated-access");
    world.clock.advance(HOUR);
    assert_eq!(token(&looking, &ann).await.unwrap(), "new-ann@example.com-1");
    assert_eq!(token(&refreshing, &ann).await.unwrap(), "new-ann@example.com-1");
    assert_eq!(world.upstream.log("token")[0]["refresh_token"], "rotated-refresh");
    assert!(world.upstream.knows(world.store.stored(&ann).unwrap().refresh_token.unwrap().expose()));
}

#[tokio::test]
async fn a_renewal_near_the_end_looks_too_and_takes_nothing_away() {
    let world = World::new().await;
    let (manager, ann) = holding(&world).await;
    world.clock.advance(HOUR - Duration::from_secs(240));
    token(&manager, &ann).await.unwrap();
    world.upstream.close_gate();
    token(&manager, &ann).await.unwrap();
    world.upstream.arrived(1).await;
    world.store.remove(&ann);
    assert_eq!(token(&manager, &ann).await.unwrap(), "old-ann@example.com", "it serves while a new one is on its way");
    world.upstream.open_gate();
    until(|| manager.cached(&ann, &drive()).is_none()).await;
    assert!(is_missing(&token(&manager, &ann).await), "the refresh brought nothing back");
    assert_eq!(world.store.stored(&ann), None);
}

#[tokio::test]
async fn a_fresh_token_that_the_store_did_not_take_outlives_a_look() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let never = (Duration::from_secs(9_999), Duration::from_secs(9_999));
    let manager = world.manager_with(RefreshOptions { save_pauses: never, ..options() });
    world.store.fail_writes(true);
    assert_eq!(token(&manager, &ann).await.unwrap(), "new-ann@example.com-1");
    world.clock.advance(MINUTE);
    assert_eq!(token(&manager, &ann).await.unwrap(), "new-ann@example.com-1");
    assert_eq!(manager.unsaved().first(), Some(&ann));
    world.store.fail_writes(false);
    manager.flush().await.unwrap();
    world.clock.advance(MINUTE);
    assert_eq!(token(&manager, &ann).await.unwrap(), "new-ann@example.com-1");
    world.store.remove(&ann);
    world.clock.advance(MINUTE);
    assert!(is_missing(&token(&manager, &ann).await));
    assert_eq!(world.upstream.requests(), 1);
}

#[tokio::test]
async fn a_clock_that_is_set_back_puts_no_look_off() {
    let world = World::new().await;
    let (manager, ann) = holding(&world).await;
    world.store.remove(&ann);
    world.clock.set(NOW - HOUR);
    assert!(is_missing(&token(&manager, &ann).await));
    assert!(is_missing(&token(&manager, &key("bob@example.com")).await));
}
