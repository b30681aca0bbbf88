//! Several processes on one store: the winner is kept, and the loser is served by it.

use std::sync::Arc;

use authchain_core::{AuthError, Credential, CredentialStatus, Scopes, Secret, SignIn, TokenSource};
use authchain_provider::CredentialManager;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use crate::support::{HOUR, NOW, Reply, World, credential, drive, key, until};

type Asked = JoinHandle<Result<String, AuthError>>;

fn ask(manager: &Arc<CredentialManager>, user: &str) -> Asked {
    let (manager, key) = (manager.clone(), key(user));
    tokio::spawn(async move { Ok(manager.access_token(&key, &drive()).await?.secret().expose().to_owned()) })
}

#[tokio::test]
async fn two_processes_that_refresh_at_once_are_both_served_and_one_wins() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let (one, two) = (world.manager(), world.manager());
    world.upstream.close_gate();
    let asked = [ask(&one, "ann@example.com"), ask(&two, "ann@example.com")];
    world.upstream.arrived(2).await;
    world.upstream.open_gate();
    for answer in asked {
        assert!(answer.await.unwrap().unwrap().starts_with("new-ann@example.com-"));
    }
    assert_eq!(world.store.writes(), 1, "the loser writes nothing");
    let winner = world.store.stored(&ann).unwrap().access_token.unwrap();
    for manager in [one, two] {
        assert_eq!(manager.cached(&ann, &drive()).unwrap().secret(), &winner);
    }
}

#[tokio::test]
async fn the_losers_invalid_grant_deletes_nothing_and_the_winners_token_is_served() {
    let world = World::new().await;
    world.upstream.rotate();
    let ann = world.expired("ann@example.com");
    let (one, two) = (world.manager(), world.manager());
    world.upstream.close_gate();
    let asked = [ask(&one, "ann@example.com"), ask(&two, "ann@example.com")];
    world.upstream.arrived(2).await;
    world.upstream.open_gate();
    for answer in asked {
        assert_eq!(answer.await.unwrap().unwrap(), "new-ann@example.com-1");
    }
    let stored = world.store.stored(&ann).unwrap();
    assert_eq!(stored.status, CredentialStatus::Active);
    assert!(world.upstream.knows(stored.refresh_token.unwrap().expose()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_with_many_tasks_and_a_rotating_provider_stay_signed_in() {
    let world = World::new().await;
    world.upstream.rotate();
    let ann = world.expired("ann@example.com");
    let processes: Vec<_> = (0..4).map(|_| world.manager()).collect();
    for _hour in 0..5 {
        let mut tasks = JoinSet::new();
        for n in 0..1_000 {
            let asked = ask(&processes[n % 4], "ann@example.com");
            tasks.spawn(async move { asked.await.unwrap().unwrap() });
        }
        tasks.join_all().await;
        let stored = world.store.stored(&ann).unwrap();
        assert_eq!(stored.status, CredentialStatus::Active);
        assert!(
            world.upstream.knows(stored.refresh_token.unwrap().expose()),
            "the live refresh token is the stored one"
        );
        world.clock.advance(HOUR);
    }
}

#[tokio::test]
async fn what_another_process_refreshed_is_taken_without_asking_the_provider() {
    let world = World::new().await;
    world.upstream.rotate();
    let ann = world.stored("ann@example.com", NOW + HOUR);
    let (one, two) = (world.manager(), world.manager());
    one.access_token(&ann, &drive()).await.unwrap();
    two.access_token(&ann, &drive()).await.unwrap();
    world.clock.advance(HOUR);
    let fresh = one.access_token(&ann, &drive()).await.unwrap();
    assert_eq!(two.access_token(&ann, &drive()).await.unwrap().secret(), fresh.secret());
    assert_eq!(world.upstream.requests(), 1);
}

#[tokio::test]
async fn a_winner_who_writes_late_is_waited_for() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.forget_grants();
    let manager = world.manager();
    // The refusal is on its way; the winner's write comes after the loser's first look at the store.
    world.upstream.close_gate();
    let asked = ask(&manager, "ann@example.com");
    world.upstream.arrived(1).await;
    let reads = world.store.reads();
    world.upstream.open_gate();
    until(|| world.store.reads() > reads).await;
    world.store.set(&ann, winner());
    assert_eq!(asked.await.unwrap().unwrap(), "winner");
    assert_eq!(world.store.stored(&ann), Some(winner()));
}

#[tokio::test]
async fn a_winner_who_writes_while_the_loser_marks_is_seen() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.forget_grants();
    let key = ann.clone();
    world.store.before_next_write(move |store| store.set(&key, winner()));
    let manager = world.manager();
    assert_eq!(ask(&manager, "ann@example.com").await.unwrap().unwrap(), "winner");
    assert_eq!(world.store.stored(&ann), Some(winner()));
}

#[tokio::test]
async fn a_winner_who_comes_after_the_losers_mark_takes_it_back() {
    let world = World::new().await;
    world.upstream.rotate();
    let ann = world.expired("ann@example.com");
    let key = ann.clone();
    world.store.before_next_write(move |store| {
        let status = CredentialStatus::NeedsSignIn { since: NOW, reason: "invalid_grant".into() };
        store.set(&key, Credential { status, ..store.stored(&key).unwrap() });
    });
    let manager = world.manager();
    assert_eq!(ask(&manager, "ann@example.com").await.unwrap().unwrap(), "new-ann@example.com-1");
    let stored = world.store.stored(&ann).unwrap();
    assert_eq!(stored.status, CredentialStatus::Active);
    assert_eq!(stored.refresh_token, Some(Secret::new("rotated-ann@example.com-1")));
}

#[tokio::test]
async fn what_another_writer_changed_besides_is_not_lost() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    let key = ann.clone();
    world.store.before_next_write(move |store| {
        let mut labelled = store.stored(&key).unwrap();
        labelled.extra.insert("label".into(), json!("work"));
        store.set(&key, labelled);
    });
    world.manager().access_token(&ann, &drive()).await.unwrap();
    let stored = world.store.stored(&ann).unwrap();
    assert_eq!(stored.extra["label"], "work");
    assert_eq!(stored.access_token, Some(Secret::new("new-ann@example.com-1")));
}

#[tokio::test]
async fn a_winner_whose_token_has_expired_too_is_refreshed_with_its_own_refresh_token() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.forget_grants();
    world.upstream.grant("winners-refresh", "ann@example.com");
    let key = ann.clone();
    world.store.before_next_write(move |store| {
        store.set(&key, Credential { expires_at: Some(NOW), ..winner() });
    });
    let manager = world.manager();
    assert!(ask(&manager, "ann@example.com").await.unwrap().is_ok());
    assert_eq!(world.upstream.log("token")[1]["refresh_token"], "winners-refresh");
}

#[tokio::test]
async fn a_disconnection_during_a_refresh_is_final() {
    let world = World::new().await;
    world.upstream.rotate();
    let ann = world.expired("ann@example.com");
    let manager = world.manager();
    world.upstream.close_gate();
    let asked = ask(&manager, "ann@example.com");
    world.upstream.arrived(1).await;
    manager.disconnect(&ann).await.unwrap();
    // The provider had not heard of the revocation when it refreshed.
    world.upstream.grant("refresh-ann@example.com", "ann@example.com");
    world.upstream.open_gate();
    let refused = asked.await.unwrap().unwrap_err();
    assert!(matches!(refused, AuthError::SignInNeeded { why: SignIn::NeverSignedIn, .. }));
    assert_eq!(world.store.stored(&ann), None);
    until(|| !world.upstream.knows("rotated-ann@example.com-1")).await;
    assert!(manager.cached(&ann, &drive()).is_none());
}

#[tokio::test]
async fn a_sign_in_during_a_refresh_is_what_stays() {
    for refused in [false, true] {
        let world = World::new().await;
        let ann = world.expired("ann@example.com");
        if refused {
            world.upstream.forget_grants();
        }
        let manager = world.manager();
        world.upstream.close_gate();
        let asked = ask(&manager, "ann@example.com");
        world.upstream.arrived(1).await;
        manager.adopt(&ann, winner()).await.unwrap();
        world.upstream.open_gate();
        assert_eq!(asked.await.unwrap().unwrap(), "winner", "who waited is served by the sign-in");
        assert_eq!(manager.cached(&ann, &drive()).unwrap().secret().expose(), "winner");
        assert_eq!(world.store.stored(&ann).unwrap().refresh_token, Some(Secret::new("winners-refresh")));
    }
}

#[tokio::test]
async fn two_sign_ins_at_once_are_both_kept_as_far_as_they_go() {
    let world = World::new().await;
    let ann = key("ann@example.com");
    let key = ann.clone();
    let first = Credential { scopes: Scopes::from("drive"), ..winner() };
    world.store.before_next_write(move |store| store.set(&key, first));
    let second = Credential { refresh_token: None, scopes: Scopes::from("gmail"), ..credential("ann@example.com") };
    world.manager().adopt(&ann, second).await.unwrap();
    let stored = world.store.stored(&ann).unwrap();
    assert_eq!(stored.refresh_token, Some(Secret::new("winners-refresh")));
    assert_eq!(stored.scopes, Scopes::from("drive gmail"));
}

#[tokio::test]
async fn an_outage_after_a_refusal_of_the_store_decides_nothing() {
    let world = World::new().await;
    let ann = world.expired("ann@example.com");
    world.upstream.next(Reply::Json(400, json!({ "error": "invalid_grant" })));
    world.upstream.close_gate();
    let manager = world.manager();
    let asked = ask(&manager, "ann@example.com");
    world.upstream.arrived(1).await;
    world.store.fail_reads(true);
    world.upstream.open_gate();
    assert!(matches!(asked.await.unwrap().unwrap_err(), AuthError::Store(_)));
    world.store.fail_reads(false);
    assert_eq!(world.store.stored(&ann).unwrap().status, CredentialStatus::Active);
    assert!(!manager.needs_sign_in(&ann));
}

fn winner() -> Credential {
    Credential {
        access_token: Some(Secret::new("winner")),
        expires_at: Some(NOW + HOUR),
        refresh_token: Some(Secret::new("winners-refresh")),
        ..credential("ann@example.com")
    }
}
