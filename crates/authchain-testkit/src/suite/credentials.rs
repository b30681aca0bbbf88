//! The promises of [`CredentialStore`].

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use authchain_core::{
    CredentialKey, CredentialStore, Expect, KeyFilter, ProviderId, StoreError, UserId, Version, Versioned,
};
use futures_util::{StreamExt, TryStreamExt, future::join_all};
use serde_json::json;

use super::{
    dice::Dice,
    samples::{awkward_ids, credential, key},
};

/// Puts a store through every promise of [`CredentialStore`]. `make` is called several times; each time it gives an
/// empty store that is independent of the others.
///
/// # Panics
/// When a promise is broken.
pub async fn credential_store<S: CredentialStore + 'static>(mut make: impl AsyncFnMut() -> S) {
    what_was_never_written_is_absent(&make().await).await;
    what_was_written_is_read_back(&make().await).await;
    every_write_has_a_new_version(&make().await).await;
    a_write_that_expects_something_else_changes_nothing(&make().await).await;
    what_was_deleted_is_absent(&make().await).await;
    a_removal_that_expects_something_else_removes_nothing(&make().await).await;
    no_two_keys_meet(&make().await).await;
    a_listing_yields_what_passes_the_filter(&make().await).await;
    of_many_first_writers_one_wins(Arc::new(make().await)).await;
    no_update_is_lost(Arc::new(make().await)).await;
    no_removal_takes_what_its_caller_has_not_seen(Arc::new(make().await)).await;
    many_keys_are_written_at_once(Arc::new(make().await)).await;
    for seed in 0..6 {
        any_sequence_does_what_a_map_does(&make().await, seed).await;
    }
}

async fn listed(store: &impl CredentialStore, filter: &KeyFilter) -> BTreeSet<CredentialKey> {
    let keys: Vec<CredentialKey> = store.list(filter).try_collect().await.expect("a listing has no broken entry");
    let set: BTreeSet<CredentialKey> = keys.iter().cloned().collect();
    assert_eq!(set.len(), keys.len(), "a listing yields each key once");
    set
}

fn is_conflict<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict { .. }))
}

async fn what_was_never_written_is_absent(store: &impl CredentialStore) {
    let key = key("google", "ann@example.com", "default");
    assert_eq!(store.get(&key).await.unwrap(), None, "an empty store holds nothing");
    assert!(!store.delete(&key, Expect::Any).await.unwrap(), "there is nothing to delete");
    assert_eq!(store.list(&KeyFilter::default()).count().await, 0, "there is nothing to list");
}

async fn what_was_written_is_read_back(store: &impl CredentialStore) {
    for n in 0..8 {
        let (key, written) = (key("google", &format!("user{n}@example.com"), "default"), credential(n));
        let version = store.put(&key, &written, Expect::Absent).await.unwrap();
        let read = store.get(&key).await.unwrap();
        assert_eq!(read, Some(Versioned { value: written, version }), "credential {n} with the version of its write");
    }
}

async fn every_write_has_a_new_version(store: &impl CredentialStore) {
    let key = key("google", "ann@example.com", "default");
    let mut seen: Vec<Version> = Vec::new();
    for n in 0..10 {
        // The same value again and again, with a deletion on the way: the version still changes.
        let version = store.put(&key, &credential(0), Expect::Any).await.unwrap();
        assert!(!seen.contains(&version), "write {n} has the version of an earlier one");
        seen.push(version);
        if n == 5 {
            assert!(store.delete(&key, Expect::Any).await.unwrap());
        }
    }
}

async fn a_write_that_expects_something_else_changes_nothing(store: &impl CredentialStore) {
    let key = key("google", "ann@example.com", "default");
    let missing = store.put(&key, &credential(0), Expect::Version(Version(7))).await;
    assert!(is_conflict(&missing), "nothing is stored, and a version was expected: {missing:?}");
    assert_eq!(store.get(&key).await.unwrap(), None, "the refused write left nothing");

    let first = store.put(&key, &credential(0), Expect::Absent).await.unwrap();
    let again = store.put(&key, &credential(1), Expect::Absent).await;
    assert!(is_conflict(&again), "something is stored, and nothing was expected: {again:?}");

    let second = store.put(&key, &credential(2), Expect::Version(first)).await.unwrap();
    let stale = store.put(&key, &credential(3), Expect::Version(first)).await;
    assert!(is_conflict(&stale), "an old version was expected: {stale:?}");
    let read = store.get(&key).await.unwrap();
    assert_eq!(read, Some(Versioned { value: credential(2), version: second }), "the refused writes changed nothing");
}

async fn what_was_deleted_is_absent(store: &impl CredentialStore) {
    let (ann, bob) = (key("google", "ann@example.com", "default"), key("google", "bob@example.com", "default"));
    let version = store.put(&ann, &credential(0), Expect::Absent).await.unwrap();
    store.put(&bob, &credential(4), Expect::Absent).await.unwrap();
    assert!(store.delete(&ann, Expect::Any).await.unwrap(), "there was one");
    assert!(!store.delete(&ann, Expect::Any).await.unwrap(), "and now there is none");
    assert_eq!(store.get(&ann).await.unwrap(), None);
    let revived = store.put(&ann, &credential(1), Expect::Version(version)).await;
    assert!(is_conflict(&revived), "the version went with the deletion: {revived:?}");
    assert_eq!(store.get(&bob).await.unwrap().map(|v| v.value), Some(credential(4)), "the other one stays");
    store.put(&ann, &credential(2), Expect::Absent).await.expect("after a deletion there is room again");
}

async fn a_removal_that_expects_something_else_removes_nothing(store: &impl CredentialStore) {
    let key = key("google", "ann@example.com", "default");
    for expect in [Expect::Any, Expect::Absent, Expect::Version(Version(7))] {
        assert!(!store.delete(&key, expect).await.unwrap(), "there is nothing to remove, whatever was expected");
    }
    let first = store.put(&key, &credential(0), Expect::Absent).await.unwrap();
    let second = store.put(&key, &credential(1), Expect::Version(first)).await.unwrap();
    for expect in [Expect::Absent, Expect::Version(first)] {
        let refused = store.delete(&key, expect).await;
        assert!(is_conflict(&refused), "{expect:?}, and something else is stored: {refused:?}");
    }
    let read = store.get(&key).await.unwrap();
    assert_eq!(read, Some(Versioned { value: credential(1), version: second }), "the refused removals changed nothing");
    assert!(store.delete(&key, Expect::Version(second)).await.unwrap(), "the version that is stored is removed");
    assert_eq!(store.get(&key).await.unwrap(), None);
    assert!(!store.delete(&key, Expect::Version(second)).await.unwrap(), "and once more there is none");

    // The same value again is not what was seen before.
    store.put(&key, &credential(1), Expect::Absent).await.unwrap();
    assert!(is_conflict(&store.delete(&key, Expect::Version(second)).await), "a version does not come again");
}

async fn no_two_keys_meet(store: &impl CredentialStore) {
    let mut keys: Vec<CredentialKey> = awkward_ids().iter().map(|id| key("google", id, "default")).collect();
    keys.extend([
        key("google", "ann@example.com", "photos"),
        key("google", "ann@example.com", "PHOTOS"),
        key("google", "ann@example.com", "a_credentials"),
        key("Google", "ann@example.com", "default"),
        key("google~ann@example.com", "default", "default"),
        key("..", "..", "-"),
        key("git/hub", "ann@example.com", "default"),
        key(&"p".repeat(1024), &"u".repeat(1024), &"g".repeat(64)),
    ]);
    let writes = keys.iter().enumerate().map(|(n, key)| async move {
        let n = u64::try_from(n).unwrap();
        store.put(key, &credential(n), Expect::Absent).await.unwrap_or_else(|e| panic!("{key:?}: {e}"));
    });
    join_all(writes).await;
    for (n, key) in keys.iter().enumerate() {
        let read = store.get(key).await.unwrap_or_else(|e| panic!("{key:?}: {e}"));
        assert_eq!(read.map(|v| v.value), Some(credential(u64::try_from(n).unwrap())), "{key:?}");
    }
    assert_eq!(
        listed(store, &KeyFilter::default()).await,
        keys.iter().cloned().collect(),
        "all are listed as they are"
    );
    for key in &keys {
        assert!(store.delete(key, Expect::Any).await.unwrap(), "{key:?} is deleted, and only that one");
    }
    assert!(listed(store, &KeyFilter::default()).await.is_empty());
}

async fn a_listing_yields_what_passes_the_filter(store: &impl CredentialStore) {
    let keys = [
        key("google", "ann@example.com", "default"),
        key("google", "ann@example.com", "photos"),
        key("google", "bob@example.com", "default"),
        key("github", "ann@example.com", "default"),
    ];
    for key in &keys {
        store.put(key, &credential(0), Expect::Absent).await.unwrap();
    }
    let ann = Some(UserId::new("ann@example.com").unwrap());
    let google = Some(ProviderId::google());
    for (filter, wanted) in [
        (KeyFilter { provider: google.clone(), user: None }, &[0, 1, 2][..]),
        (KeyFilter { provider: None, user: ann.clone() }, &[0, 1, 3]),
        (KeyFilter { provider: google, user: ann }, &[0, 1]),
    ] {
        let wanted: BTreeSet<_> = wanted.iter().map(|i| keys[*i].clone()).collect();
        assert_eq!(listed(store, &filter).await, wanted, "{filter:?}");
    }
}

async fn of_many_first_writers_one_wins(store: Arc<impl CredentialStore + 'static>) {
    let key = key("google", "ann@example.com", "default");
    let tasks = (0..24).map(|n| {
        let (store, key) = (Arc::clone(&store), key.clone());
        tokio::spawn(async move { store.put(&key, &credential(n), Expect::Absent).await })
    });
    let mut winners = Vec::new();
    for (n, result) in join_all(tasks).await.into_iter().enumerate() {
        match result.unwrap() {
            Ok(version) => winners.push((u64::try_from(n).unwrap(), version)),
            Err(error) => assert!(matches!(error, StoreError::Conflict { .. }), "a loser hears of a conflict: {error}"),
        }
    }
    assert_eq!(winners.len(), 1, "exactly one wins");
    let read = store.get(&key).await.unwrap().unwrap();
    assert_eq!((read.value, read.version), (credential(winners[0].0), winners[0].1), "and what it wrote is stored");
}

async fn no_update_is_lost(store: Arc<impl CredentialStore + 'static>) {
    let key = key("google", "ann@example.com", "default");
    store.put(&key, &credential(0), Expect::Absent).await.unwrap();
    let tasks = (0..8).map(|_| {
        let (store, key) = (Arc::clone(&store), key.clone());
        tokio::spawn(async move {
            for _ in 0..5 {
                loop {
                    let Versioned { mut value, version } = store.get(&key).await.unwrap().unwrap();
                    let count = value.extra.get("count").and_then(serde_json::Value::as_u64).unwrap_or(0);
                    value.extra.insert("count".into(), json!(count + 1));
                    match store.put(&key, &value, Expect::Version(version)).await {
                        Ok(_) => break,
                        Err(StoreError::Conflict { .. }) => {}
                        Err(error) => panic!("neither written nor a conflict: {error}"),
                    }
                }
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    let count = store.get(&key).await.unwrap().unwrap().value.extra.get("count").cloned();
    assert_eq!(count, Some(json!(40)), "eight tasks counted five times each");
}

async fn no_removal_takes_what_its_caller_has_not_seen(store: Arc<impl CredentialStore + 'static>) {
    let key = key("google", "ann@example.com", "default");
    for n in 0..10 {
        let seen = store.put(&key, &credential(n), Expect::Any).await.unwrap();
        let writers = (0..4).map(|writer| {
            let (store, key) = (Arc::clone(&store), key.clone());
            tokio::spawn(async move { store.put(&key, &credential(writer), Expect::Version(seen)).await })
        });
        let removers = (0..4).map(|_| {
            let (store, key) = (Arc::clone(&store), key.clone());
            tokio::spawn(async move { store.delete(&key, Expect::Version(seen)).await })
        });
        let (writers, removers): (Vec<_>, Vec<_>) = (writers.collect(), removers.collect());
        let written = join_all(writers).await.into_iter().filter_map(|result| result.unwrap().ok());
        let written: Vec<Version> = written.collect();
        let removed = join_all(removers).await.into_iter().filter(|result| matches!(result, Ok(Ok(true)))).count();
        assert_eq!(written.len() + removed, 1, "of all who saw one version, one changes it");
        let stored = store.get(&key).await.unwrap().map(|stored| stored.version);
        assert_eq!(stored, written.first().copied(), "what was written is there, and only that");
    }
}

async fn many_keys_are_written_at_once(store: Arc<impl CredentialStore + 'static>) {
    let tasks = (0..64).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let key = key("google", &format!("user{n}@example.com"), "default");
            let version = store.put(&key, &credential(n), Expect::Absent).await.unwrap();
            // An acknowledged write is seen at once by whoever wrote it.
            let written = Some(Versioned { value: credential(n), version });
            assert_eq!(store.get(&key).await.unwrap(), written);
            assert_eq!(store.get_newest(&key).await.unwrap(), written, "nothing is newer than what was just written");
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(listed(&*store, &KeyFilter::default()).await.len(), 64);
}

async fn any_sequence_does_what_a_map_does(store: &impl CredentialStore, seed: u64) {
    let mut dice = Dice::new(seed);
    let mut map: HashMap<CredentialKey, (u64, Version)> = HashMap::new();
    let mut last = Version(1);
    for step in 0..60 {
        let key = key("google", &format!("user{}@example.com", dice.roll(3)), "default");
        let stored = map.get(&key).map(|entry| entry.1);
        match dice.roll(8) {
            0 => {
                let expect = if step % 2 == 0 { Expect::Any } else { Expect::Version(last) };
                let result = store.delete(&key, expect).await;
                if stored.is_none() || expect.allows(stored) {
                    assert_eq!(result.unwrap(), map.remove(&key).is_some(), "seed {seed}, step {step}");
                } else {
                    assert!(is_conflict(&result), "seed {seed}, step {step}: {result:?}");
                }
            }
            1 | 2 => {
                let expected = map.get(&key).map(|(n, version)| Versioned { value: credential(*n), version: *version });
                assert_eq!(store.get(&key).await.unwrap(), expected, "seed {seed}, step {step}");
            }
            3 => assert_eq!(listed(store, &KeyFilter::default()).await, map.keys().cloned().collect()),
            other => {
                let expect = match other {
                    4 => Expect::Absent,
                    5 => Expect::Any,
                    // Sometimes the current version, sometimes one that was current elsewhere or earlier.
                    6 => Expect::Version(stored.unwrap_or(last)),
                    _ => Expect::Version(last),
                };
                let result = store.put(&key, &credential(step), expect).await;
                if expect.allows(stored) {
                    last = result.unwrap_or_else(|e| panic!("seed {seed}, step {step}: {e}"));
                    map.insert(key, (step, last));
                } else {
                    assert!(is_conflict(&result), "seed {seed}, step {step}: {result:?}");
                }
            }
        }
    }
}
