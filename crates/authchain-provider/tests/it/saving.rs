//! A refresh that worked and a store that does not.

use authchain_core::{CredentialStatus, ErrorCode, Secret, TokenSource};
use authchain_provider::{CredentialEvent, RefreshOptions};
use std::time::Duration;

use crate::support::{HOUR, World, drive, options};

fn never_by_itself() -> RefreshOptions {
    RefreshOptions { save_pauses: (Duration::from_secs(9_999), Duration::from_secs(9_999)), ..options() }
}

#[tokio::test]
async fn a_fresh_token_that_cannot_be_saved_is_served_and_saved_later() {
    let world = World::new().await;
    world.upstream.rotate();
    let ann = world.expired("ann@example.com");
    let before = world.store.stored(&ann);
    world.store.fail_writes(true);
    let manager = world.manager();
    let mut events = manager.subscribe();
    for _ in 0..10 {
        let token = manager.access_token(&ann, &drive()).await.unwrap();
        assert_eq!(token.secret().expose(), "new-ann@example.com-1");
    }
    assert_eq!(world.upstream.requests(), 1);
    assert_eq!(events.recv().await.unwrap(), CredentialEvent::SaveFailed { key: ann.clone() });
    assert_eq!(manager.unsaved(), std::slice::from_ref(&ann));
    assert_eq!(world.store.stored(&ann), before);
    assert_eq!(
        manager.credential(&ann).await.unwrap().unwrap().refresh_token,
        Some(Secret::new("rotated-ann@example.com-1"))
    );

    world.store.fail_writes(false);
    assert_eq!(events.recv().await.unwrap(), CredentialEvent::Saved { key: ann.clone() });
    assert!(manager.unsaved().is_empty());
    let restarted = world.manager();
    assert_eq!(restarted.access_token(&ann, &drive()).await.unwrap().secret().expose(), "new-ann@example.com-1");
    assert_eq!(world.upstream.requests(), 1, "the next start has it");
}

#[tokio::test]
async fn refreshing_goes_on_while_the_store_fails_with_the_newest_refresh_token() {
    let world = World::new().await;
    world.upstream.rotate();
    let ann = world.expired("ann@example.com");
    let manager = world.manager_with(never_by_itself());
    world.store.fail_writes(true);
    for number in 1..=3 {
        if number == 3 {
            world.store.fail_reads(true);
        }
        let token = manager.access_token(&ann, &drive()).await.unwrap();
        assert_eq!(token.secret().expose(), format!("new-ann@example.com-{number}"));
        world.clock.advance(HOUR);
    }
    world.store.fail_writes(false);
    world.store.fail_reads(false);
    manager.flush().await.unwrap();
    assert_eq!(world.store.stored(&ann).unwrap().refresh_token, Some(Secret::new("rotated-ann@example.com-3")));
    assert!(manager.unsaved().is_empty());
}

#[tokio::test]
async fn what_is_unsaved_survives_the_mark_of_a_loser() {
    let world = World::new().await;
    world.upstream.rotate();
    let ann = world.expired("ann@example.com");
    let (one, two) = (world.manager_with(never_by_itself()), world.manager());
    world.store.fail_writes(true);
    one.access_token(&ann, &drive()).await.unwrap();
    world.store.fail_writes(false);
    // Another process knows only the old refresh token, which has been used up.
    assert_eq!(two.access_token(&ann, &drive()).await.unwrap_err().code(), ErrorCode::SignInNeeded);
    assert!(matches!(world.store.stored(&ann).unwrap().status, CredentialStatus::NeedsSignIn { .. }));

    one.flush().await.unwrap();
    assert_eq!(world.store.stored(&ann).unwrap().status, CredentialStatus::Active);
    assert_eq!(two.access_token(&ann, &drive()).await.unwrap().secret().expose(), "new-ann@example.com-1");
}

#[tokio::test]
async fn what_is_unsaved_does_not_overwrite_a_sign_in_or_undo_a_disconnection() {
    for disconnected in [false, true] {
        let world = World::new().await;
        world.upstream.rotate();
        let ann = world.expired("ann@example.com");
        let manager = world.manager_with(never_by_itself());
        world.store.fail_writes(true);
        manager.access_token(&ann, &drive()).await.unwrap();
        world.store.fail_writes(false);
        let mut signed_in = crate::support::credential("ann@example.com");
        signed_in.refresh_token = Some(Secret::new("signed-in"));
        if disconnected {
            world.store.remove(&ann);
        } else {
            world.store.set(&ann, signed_in.clone());
        }
        manager.flush().await.unwrap();
        assert!(manager.unsaved().is_empty());
        assert_eq!(world.store.stored(&ann), (!disconnected).then_some(signed_in));
    }
}

#[tokio::test]
async fn flushing_says_when_it_still_fails() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let manager = world.manager_with(never_by_itself());
    world.store.fail_writes(true);
    manager.access_token(&ann, &drive()).await.unwrap();
    assert_eq!(manager.flush().await.unwrap_err().code(), ErrorCode::StoreUnavailable);
    assert_eq!(manager.unsaved(), [ann]);
}

#[tokio::test]
async fn a_store_that_hangs_holds_nobody_up_for_long() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.store.hang_writes(true);
    let manager = world.manager_with(RefreshOptions { save_patience: Duration::from_millis(1), ..options() });
    let mut events = manager.subscribe();
    assert!(manager.access_token(&ann, &drive()).await.is_ok());
    assert_eq!(events.recv().await.unwrap(), CredentialEvent::SaveFailed { key: ann.clone() });
    world.store.hang_writes(false);
    assert_eq!(events.recv().await.unwrap(), CredentialEvent::Saved { key: ann });
}
