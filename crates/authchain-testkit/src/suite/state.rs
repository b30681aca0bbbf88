//! The promises of [`StateStore`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use authchain_core::{
    Clock, Expect, ManualClock, Namespace, StateEntry, StateKey, StateStore, StoreError, Timestamp, Version, Versioned,
};
use futures_util::{StreamExt, TryStreamExt, future::join_all};

use super::{dice::Dice, samples::awkward_ids};

const CODES: Namespace = Namespace("codes");
const CLIENTS: Namespace = Namespace("clients");
const MINUTE: Duration = Duration::from_secs(60);

/// Puts a store through every promise of [`StateStore`]. `make` is called several times; each time it gives an empty
/// store that is independent of the others and goes by the clock it is given.
///
/// # Panics
/// When a promise is broken.
pub async fn state_store<S: StateStore + 'static>(mut make: impl AsyncFnMut(Arc<dyn Clock>) -> S) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_763_712_000)));
    what_was_never_written_is_absent(&make(clock.clone()).await).await;
    what_was_written_is_read_back(&make(clock.clone()).await).await;
    a_write_that_expects_something_else_changes_nothing(&make(clock.clone()).await).await;
    every_write_has_a_new_version(&make(clock.clone()).await).await;
    a_value_goes_away_at_its_time(&make(clock.clone()).await, &clock).await;
    an_expired_value_counts_as_absent(&make(clock.clone()).await, &clock).await;
    a_write_sets_the_time_anew(&make(clock.clone()).await, &clock).await;
    what_was_taken_is_gone(&make(clock.clone()).await, &clock).await;
    no_two_keys_meet(&make(clock.clone()).await).await;
    a_scan_yields_the_live_entries_in_order(&make(clock.clone()).await, &clock).await;
    of_many_takers_one_gets_it(Arc::new(make(clock.clone()).await)).await;
    of_many_first_writers_one_wins(Arc::new(make(clock.clone()).await)).await;
    for seed in 0..6 {
        any_sequence_does_what_a_map_does(&make(clock.clone()).await, &clock, seed).await;
    }
}

fn is_conflict<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict { .. }))
}

async fn scanned(store: &impl StateStore, namespace: Namespace) -> Vec<StateEntry> {
    store.scan(namespace).try_collect().await.expect("a scan has no broken entry")
}

async fn what_was_never_written_is_absent(store: &impl StateStore) {
    let key = StateKey::new(CODES, "a");
    assert_eq!(store.get(&key).await.unwrap(), None);
    assert_eq!(store.take(&key).await.unwrap(), None);
    assert_eq!(store.scan(CODES).count().await, 0);
}

async fn what_was_written_is_read_back(store: &impl StateStore) {
    let all_bytes: Vec<u8> = (0..=255).collect();
    for (n, value) in [&b""[..], b"{}", &all_bytes, &vec![7; 1 << 20]].into_iter().enumerate() {
        let key = StateKey::new(CODES, n.to_string());
        let version = store.put(&key, value, MINUTE, Expect::Absent).await.unwrap();
        let read = store.get(&key).await.unwrap();
        assert_eq!(read, Some(Versioned { value: value.to_vec(), version }), "value {n} with the version of its write");
    }
}

async fn a_write_that_expects_something_else_changes_nothing(store: &impl StateStore) {
    let key = StateKey::new(CODES, "a");
    let missing = store.put(&key, b"0", MINUTE, Expect::Version(Version(7))).await;
    assert!(is_conflict(&missing), "nothing is stored, and a version was expected: {missing:?}");
    let first = store.put(&key, b"1", MINUTE, Expect::Absent).await.unwrap();
    let again = store.put(&key, b"2", MINUTE, Expect::Absent).await;
    assert!(is_conflict(&again), "something is stored, and nothing was expected: {again:?}");
    let second = store.put(&key, b"3", MINUTE, Expect::Version(first)).await.unwrap();
    let stale = store.put(&key, b"4", MINUTE, Expect::Version(first)).await;
    assert!(is_conflict(&stale), "an old version was expected: {stale:?}");
    assert_eq!(store.get(&key).await.unwrap(), Some(Versioned { value: b"3".to_vec(), version: second }));
}

async fn every_write_has_a_new_version(store: &impl StateStore) {
    let key = StateKey::new(CODES, "a");
    let mut seen: Vec<Version> = Vec::new();
    for n in 0..10 {
        let version = store.put(&key, b"same", MINUTE, Expect::Any).await.unwrap();
        assert!(!seen.contains(&version), "write {n} has the version of an earlier one");
        seen.push(version);
        if n == 5 {
            assert!(store.take(&key).await.unwrap().is_some());
        }
    }
}

async fn a_value_goes_away_at_its_time(store: &impl StateStore, clock: &ManualClock) {
    let (short, long) = (StateKey::new(CODES, "short"), StateKey::new(CODES, "long"));
    store.put(&short, b"s", MINUTE, Expect::Absent).await.unwrap();
    store.put(&long, b"l", Duration::MAX, Expect::Absent).await.unwrap();
    clock.advance(MINUTE - Duration::from_secs(1));
    assert!(store.get(&short).await.unwrap().is_some(), "a second before its end it is there");
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.get(&short).await.unwrap(), None, "at its end it is gone");
    clock.advance(MINUTE * 60 * 24 * 365 * 100);
    assert!(store.get(&long).await.unwrap().is_some(), "what has no end stays");
    let blink = StateKey::new(CODES, "blink");
    store.put(&blink, b"b", Duration::from_millis(1), Expect::Absent).await.unwrap();
    assert!(store.get(&blink).await.unwrap().is_some(), "a part of a second lasts until the next second");
}

async fn an_expired_value_counts_as_absent(store: &impl StateStore, clock: &ManualClock) {
    let key = StateKey::new(CODES, "a");
    let version = store.put(&key, b"1", MINUTE, Expect::Absent).await.unwrap();
    clock.advance(MINUTE);
    let stale = store.put(&key, b"2", MINUTE, Expect::Version(version)).await;
    assert!(is_conflict(&stale), "the version went with the value: {stale:?}");
    assert_eq!(store.take(&key).await.unwrap(), None, "nobody can take it");
    store.put(&key, b"3", MINUTE, Expect::Absent).await.expect("its place is free");
    assert_eq!(store.take(&key).await.unwrap(), Some(b"3".to_vec()));
}

async fn a_write_sets_the_time_anew(store: &impl StateStore, clock: &ManualClock) {
    let key = StateKey::new(CODES, "a");
    store.put(&key, b"1", MINUTE, Expect::Absent).await.unwrap();
    store.put(&key, b"2", MINUTE * 3, Expect::Any).await.unwrap();
    clock.advance(MINUTE * 2);
    assert!(store.get(&key).await.unwrap().is_some(), "the longer time counts");
    store.put(&key, b"3", MINUTE / 2, Expect::Any).await.unwrap();
    clock.advance(MINUTE / 2);
    assert_eq!(store.get(&key).await.unwrap(), None, "and then the shorter one");
}

async fn what_was_taken_is_gone(store: &impl StateStore, clock: &ManualClock) {
    let key = StateKey::new(CODES, "a");
    let version = store.put(&key, b"1", MINUTE, Expect::Absent).await.unwrap();
    clock.advance(MINUTE / 2);
    assert_eq!(store.take(&key).await.unwrap(), Some(b"1".to_vec()));
    assert_eq!(store.take(&key).await.unwrap(), None, "a second taker gets nothing");
    assert_eq!(store.get(&key).await.unwrap(), None);
    let revived = store.put(&key, b"2", MINUTE, Expect::Version(version)).await;
    assert!(is_conflict(&revived), "the version went with it: {revived:?}");
}

async fn no_two_keys_meet(store: &impl StateStore) {
    let mut keys: Vec<StateKey> = awkward_ids().into_iter().map(|id| StateKey::new(CODES, id)).collect();
    keys.push(StateKey::new(CLIENTS, "ann@example.com"));
    keys.push(StateKey::new(CODES, ""));
    let writes = keys.iter().enumerate().map(|(n, key)| async move {
        store.put(key, n.to_string().as_bytes(), MINUTE, Expect::Absent).await.unwrap();
    });
    join_all(writes).await;
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(store.take(key).await.unwrap(), Some(n.to_string().into_bytes()), "{key:?}");
    }
}

async fn a_scan_yields_the_live_entries_in_order(store: &impl StateStore, clock: &ManualClock) {
    let mut ids: Vec<String> = awkward_ids();
    ids.extend((0..1200).map(|n| format!("{n:04}")));
    let now = clock.now();
    let writes = ids.iter().map(|id| async move {
        store.put(&StateKey::new(CODES, id), id.as_bytes(), MINUTE, Expect::Absent).await.unwrap();
    });
    join_all(writes).await;
    store.put(&StateKey::new(CODES, "dead"), b"", MINUTE / 2, Expect::Absent).await.unwrap();
    store.put(&StateKey::new(CLIENTS, "other"), b"", Duration::MAX, Expect::Absent).await.unwrap();
    clock.advance(MINUTE / 2);

    ids.sort();
    let entries = scanned(store, CODES).await;
    let found: Vec<&String> = entries.iter().map(|entry| &entry.id).collect();
    assert_eq!(found, ids.iter().collect::<Vec<_>>(), "all that is live, ordered by id, nothing of other kinds");
    for entry in &entries {
        assert_eq!(entry.value.value, entry.id.as_bytes());
        assert_eq!(entry.expires_at, now + MINUTE);
        let read = store.get(&StateKey::new(CODES, &entry.id)).await.unwrap();
        assert_eq!(read.as_ref(), Some(&entry.value), "a scan shows what a read shows");
    }
    assert_eq!(scanned(store, CLIENTS).await[0].expires_at, Timestamp::NEVER);
}

async fn of_many_takers_one_gets_it(store: Arc<impl StateStore + 'static>) {
    for round in 0..10 {
        let key = StateKey::new(CODES, round.to_string());
        store.put(&key, b"the code", MINUTE, Expect::Absent).await.unwrap();
        let takers = (0..16).map(|_| {
            let (store, key) = (Arc::clone(&store), key.clone());
            tokio::spawn(async move { store.take(&key).await.unwrap() })
        });
        let got = join_all(takers).await.into_iter().filter(|taken| taken.as_ref().unwrap().is_some()).count();
        assert_eq!(got, 1, "exactly one of sixteen takers gets the value");
    }
}

async fn of_many_first_writers_one_wins(store: Arc<impl StateStore + 'static>) {
    let key = StateKey::new(CODES, "a");
    let writers = (0..16).map(|n: u8| {
        let (store, key) = (Arc::clone(&store), key.clone());
        tokio::spawn(async move { store.put(&key, &[n], MINUTE, Expect::Absent).await })
    });
    let mut won = Vec::new();
    for (n, result) in join_all(writers).await.into_iter().enumerate() {
        let result = result.unwrap();
        if result.is_ok() {
            won.push(u8::try_from(n).unwrap());
        } else {
            assert!(is_conflict(&result), "a loser hears of a conflict: {result:?}");
        }
    }
    assert_eq!(won.len(), 1, "exactly one wins");
    assert_eq!(store.take(&key).await.unwrap(), Some(won), "and what it wrote is stored");
}

async fn any_sequence_does_what_a_map_does(store: &impl StateStore, clock: &ManualClock, seed: u64) {
    struct Entry {
        value: Vec<u8>,
        version: Version,
        expires_at: Timestamp,
    }
    let mut dice = Dice::new(seed + 100);
    let mut map: BTreeMap<String, Entry> = BTreeMap::new();
    let mut last = Version(1);
    for step in 0..150_u64 {
        if dice.roll(6) == 0 {
            clock.advance(Duration::from_secs(dice.roll(40)));
        }
        let now = clock.now();
        map.retain(|_, entry| entry.expires_at > now);
        let key = StateKey::new(CODES, dice.roll(4).to_string());
        let stored = map.get(&key.id).map(|entry| entry.version);
        match dice.roll(8) {
            0 => {
                let expected = map.remove(&key.id).map(|entry| entry.value);
                assert_eq!(store.take(&key).await.unwrap(), expected, "seed {seed}, step {step}");
            }
            1 | 2 => {
                let expected = map.get(&key.id).map(|e| Versioned { value: e.value.clone(), version: e.version });
                assert_eq!(store.get(&key).await.unwrap(), expected, "seed {seed}, step {step}");
            }
            3 => {
                let found: Vec<String> = scanned(store, CODES).await.into_iter().map(|entry| entry.id).collect();
                assert_eq!(found, map.keys().cloned().collect::<Vec<_>>(), "seed {seed}, step {step}");
            }
            other => {
                let expect = match other {
                    4 => Expect::Absent,
                    5 => Expect::Any,
                    6 => Expect::Version(stored.unwrap_or(last)),
                    _ => Expect::Version(last),
                };
                let ttl = Duration::from_secs(10 * dice.roll(10));
                let value = step.to_be_bytes();
                let result = store.put(&key, &value, ttl, expect).await;
                if expect.allows(stored) {
                    last = result.unwrap_or_else(|e| panic!("seed {seed}, step {step}: {e}"));
                    map.insert(key.id, Entry { value: value.to_vec(), version: last, expires_at: now + ttl });
                } else {
                    assert!(is_conflict(&result), "seed {seed}, step {step}: {result:?}");
                }
            }
        }
    }
}
