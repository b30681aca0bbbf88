//! Any sequence of operations gives the same answers on every store as on a plain map; and no bytes whatever, in place of
//! what is stored, do more than give an error.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use authchain_core::{
    Clock, CredentialKey, CredentialStore, Expect, KeyFilter, ManualClock, Namespace, StateKey, StateStore, StoreError,
    Timestamp, Version, Versioned,
};
use authchain_store::{BackupStore, FileForm, FileStore, MemoryState, MemoryStore, StateDb, seal::Keyring};
use authchain_testkit::suite::{self, credential};
use futures_util::TryStreamExt;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tokio::runtime::Runtime;

use super::{ann, bob, folder, write_private};

const CODES: Namespace = Namespace("codes");

/// What a writer may expect: nothing, anything, what is there, or what was there at some time.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Absent,
    Any,
    Current,
    Earlier,
}

/// One step; keys and values are small numbers.
#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8, Expected),
    Get(u8),
    Remove(u8),
    List,
    /// Time goes by; for state only.
    Wait(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let expected =
        prop_oneof![Just(Expected::Absent), Just(Expected::Any), Just(Expected::Current), Just(Expected::Earlier)];
    let step = prop_oneof![
        4 => (0..4_u8, 0..8_u8, expected).prop_map(|(key, value, expected)| Step::Put(key, value, expected)),
        2 => (0..4_u8).prop_map(Step::Get),
        1 => (0..4_u8).prop_map(Step::Remove),
        1 => Just(Step::List),
        1 => (0..40_u8).prop_map(Step::Wait),
    ];
    vec(step, 1..40)
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

fn expect(expected: Expected, current: Option<Version>, earlier: Version) -> Expect {
    match expected {
        Expected::Absent => Expect::Absent,
        Expected::Any => Expect::Any,
        Expected::Current => current.map_or(Expect::Absent, Expect::Version),
        Expected::Earlier => Expect::Version(earlier),
    }
}

/// Keys that are as alike as keys can be.
fn key(n: u8) -> CredentialKey {
    match n {
        0 => suite::key("google", "a.b@example.com", "default"),
        1 => suite::key("google", "a_b@example.com", "default"),
        2 => suite::key("google", "A.b@example.com", "default"),
        _ => suite::key("google", "a.b@example.com", "photos"),
    }
}

async fn play_credentials(store: &dyn CredentialStore, steps: &[Step]) {
    let mut map: BTreeMap<CredentialKey, (u8, Version)> = BTreeMap::new();
    let mut earlier = Version(1);
    for step in steps {
        match step {
            Step::Put(n, value, expected) => {
                let current = map.get(&key(*n)).map(|entry| entry.1);
                let expect = expect(*expected, current, earlier);
                let result = store.put(&key(*n), &credential(u64::from(*value)), expect).await;
                if expect.allows(current) {
                    let version = result.unwrap();
                    assert_ne!(Some(version), current);
                    earlier = current.unwrap_or(version);
                    map.insert(key(*n), (*value, version));
                } else {
                    assert!(matches!(result, Err(StoreError::Conflict { .. })), "{step:?}: {result:?}");
                }
            }
            Step::Get(n) => {
                let wanted = map
                    .get(&key(*n))
                    .map(|(value, version)| Versioned { value: credential(u64::from(*value)), version: *version });
                assert_eq!(store.get(&key(*n)).await.unwrap(), wanted);
            }
            Step::Remove(n) => {
                assert_eq!(store.delete(&key(*n), Expect::Any).await.unwrap(), map.remove(&key(*n)).is_some())
            }
            Step::List | Step::Wait(_) => {
                let mut listed: Vec<_> = store.list(&KeyFilter::default()).try_collect().await.unwrap();
                listed.sort();
                assert_eq!(listed, map.keys().cloned().collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn credentials_in_any_store_behave_as_in_a_map() {
    let runtime = Runtime::new().unwrap();
    runner(24)
        .run(&steps(), |steps| {
            let dirs = [(); 4].map(|()| folder());
            let stores: [Box<dyn CredentialStore>; 5] = [
                Box::new(MemoryStore::new()),
                Box::new(FileStore::open(dirs[0].path(), FileForm::Plaintext).unwrap()),
                Box::new(FileStore::open(dirs[1].path(), FileForm::Sealed(Keyring::ephemeral())).unwrap()),
                Box::new(FileStore::open(dirs[2].path(), FileForm::Fernet(Keyring::ephemeral())).unwrap()),
                Box::new(BackupStore::open(dirs[3].path(), Keyring::ephemeral()).unwrap()),
            ];
            for store in &stores {
                runtime.block_on(play_credentials(&**store, &steps));
            }
            Ok(())
        })
        .unwrap();
}

async fn play_state(store: &dyn StateStore, clock: &ManualClock, steps: &[Step]) {
    let mut map: BTreeMap<String, (Vec<u8>, Version, Timestamp)> = BTreeMap::new();
    let mut earlier = Version(1);
    for step in steps {
        let now = clock.now();
        map.retain(|_, entry| entry.2 > now);
        match step {
            Step::Put(n, value, expected) => {
                let (key, ttl) = (StateKey::new(CODES, n.to_string()), Duration::from_secs(u64::from(*value) * 10));
                let current = map.get(&key.id).map(|entry| entry.1);
                let expect = expect(*expected, current, earlier);
                let result = store.put(&key, &[*value], ttl, expect).await;
                if expect.allows(current) {
                    let version = result.unwrap();
                    earlier = current.unwrap_or(version);
                    map.insert(key.id, (vec![*value], version, now + ttl));
                } else {
                    assert!(matches!(result, Err(StoreError::Conflict { .. })), "{step:?}: {result:?}");
                }
                map.retain(|_, entry| entry.2 > now);
            }
            Step::Get(n) => {
                let wanted = map.get(&n.to_string()).map(|e| Versioned { value: e.0.clone(), version: e.1 });
                assert_eq!(store.get(&StateKey::new(CODES, n.to_string())).await.unwrap(), wanted);
            }
            Step::Remove(n) => {
                let wanted = map.remove(&n.to_string()).map(|entry| entry.0);
                assert_eq!(store.take(&StateKey::new(CODES, n.to_string())).await.unwrap(), wanted);
            }
            Step::List => {
                let scanned: Vec<_> = store.scan(CODES).map_ok(|entry| entry.id).try_collect().await.unwrap();
                assert_eq!(scanned, map.keys().cloned().collect::<Vec<_>>());
            }
            Step::Wait(seconds) => clock.advance(Duration::from_secs(u64::from(*seconds))),
        }
    }
}

#[test]
fn state_in_any_store_behaves_as_in_a_map() {
    let runtime = Runtime::new().unwrap();
    runner(48)
        .run(&steps(), |steps| {
            let dir = folder();
            let clock = || Arc::new(ManualClock::new(Timestamp(1_763_712_000)));
            let (one, two) = (clock(), clock());
            let db = StateDb::open(&dir.path().join("state.db"), two.clone()).unwrap();
            runtime.block_on(play_state(&MemoryState::new(one.clone()), &one, &steps));
            runtime.block_on(play_state(&db, &two, &steps));
            Ok(())
        })
        .unwrap();
}

/// Any bytes, and what is nearly right: a good file with some bytes replaced, cut or doubled.
fn bytes(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = good.len();
    let nearly =
        (vec((0..length, any::<u8>()), 1..4), 0..=length, any::<bool>()).prop_map(move |(changes, cut, whole)| {
            let mut bytes = good.clone();
            for (place, byte) in changes {
                bytes[place] = byte;
            }
            bytes.truncate(if whole { length } else { cut });
            bytes
        });
    prop_oneof![1 => vec(any::<u8>(), 0..200), 3 => nearly]
}

#[test]
fn no_bytes_in_place_of_a_file_do_more_than_give_an_error() {
    let runtime = Runtime::new().unwrap();
    for form in [FileForm::Plaintext, FileForm::Sealed(Keyring::ephemeral()), FileForm::Fernet(Keyring::ephemeral())] {
        let dir = folder();
        let store = FileStore::open(dir.path(), form.clone()).unwrap();
        runtime.block_on(store.put(&ann(), &credential(3), Expect::Absent)).unwrap();
        let path = super::only_file(dir.path());
        let good = fs::read(&path).unwrap();
        runtime.block_on(store.put(&bob(), &credential(0), Expect::Absent)).unwrap();
        runner(400)
            .run(&bytes(good.clone()), |bytes| {
                write_private(&path, &bytes);
                match runtime.block_on(store.get(&ann())) {
                    // The same credential, or, where nothing is authenticated, another one.
                    Ok(Some(read)) => {
                        let same = read.value == credential(3);
                        assert!(same || matches!(form, FileForm::Plaintext), "forged: {read:?}");
                    }
                    Ok(None) => panic!("it is there"),
                    Err(StoreError::Corrupt { .. } | StoreError::WrongKey { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
                assert!(runtime.block_on(store.get(&bob())).unwrap().is_some());
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn no_bytes_open_as_something_sealed() {
    let keyring = Keyring::ephemeral();
    let good = keyring.seal(b"ann", b"secret").unwrap();
    runner(4000)
        .run(&bytes(good.clone()), |bytes| {
            let opened = keyring.open(b"ann", &bytes, "it");
            assert!(opened.is_err() || bytes == good);
            let _ = keyring.rewrap(b"ann", &bytes, "it");
            Ok(())
        })
        .unwrap();
}

#[test]
fn no_bytes_in_a_key_file_are_taken_for_keys_unless_they_are() {
    let dir = folder();
    let path = dir.path().join(".auth_encryption_key");
    Keyring::open_or_create(&path).unwrap();
    let good = fs::read(&path).unwrap();
    runner(1000)
        .run(&bytes(good), |bytes| {
            write_private(&path, &bytes);
            match Keyring::open_or_create(&path) {
                Ok(keyring) => assert!(!keyring.ids().is_empty()),
                Err(StoreError::Corrupt { .. }) => {}
                Err(other) => panic!("{other}"),
            }
            assert_eq!(fs::read(&path).unwrap(), bytes, "it is left as it is");
            Ok(())
        })
        .unwrap();
}
