//! Memory with a backup on disk.

use std::fs;

use authchain_core::{CredentialStore, Expect, StoreError};
use authchain_store::{BackupStore, FileForm, FileStore, seal::Keyring};
use authchain_testkit::suite::credential;

use super::{ann, bob, folder, only_file};

#[tokio::test]
async fn what_was_acknowledged_is_loaded_at_the_next_start() {
    let dir = folder();
    let keyring = Keyring::ephemeral();
    let store = BackupStore::open(dir.path(), keyring.clone()).unwrap();
    let version = store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    drop(store);
    let store = BackupStore::open(dir.path(), keyring).unwrap();
    let read = store.get(&ann()).await.unwrap().unwrap();
    assert_eq!((read.value, read.version), (credential(0), version));
}

#[tokio::test]
async fn reads_come_from_memory() {
    let dir = folder();
    let store = BackupStore::open(dir.path(), Keyring::ephemeral()).unwrap();
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    fs::remove_file(only_file(dir.path())).unwrap();
    assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0));
}

#[tokio::test]
async fn one_broken_file_keeps_nobody_else_from_working() {
    let dir = folder();
    let keyring = Keyring::ephemeral();
    let store = BackupStore::open(dir.path(), keyring.clone()).unwrap();
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    fs::write(only_file(dir.path()), "broken").unwrap();
    store.put(&bob(), &credential(1), Expect::Absent).await.unwrap();
    drop(store);
    let store = BackupStore::open(dir.path(), keyring).unwrap();
    assert!(matches!(store.get(&ann()).await, Err(StoreError::Corrupt { .. })));
    assert_eq!(store.get(&bob()).await.unwrap().unwrap().value, credential(1));
}

#[tokio::test]
async fn a_write_of_another_process_is_met_as_a_conflict_and_then_seen() {
    let dir = folder();
    let keyring = Keyring::ephemeral();
    let store = BackupStore::open(dir.path(), keyring.clone()).unwrap();
    let seen = store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let other = FileStore::open(dir.path(), FileForm::Sealed(keyring)).unwrap();
    other.put(&ann(), &credential(1), Expect::Version(seen)).await.unwrap();
    other.put(&bob(), &credential(2), Expect::Absent).await.unwrap();
    assert_eq!(store.get(&bob()).await.unwrap().unwrap().value, credential(2), "one who is not in memory is looked up");
    let conflict = store.put(&ann(), &credential(3), Expect::Version(seen)).await;
    assert!(matches!(conflict, Err(StoreError::Conflict { .. })), "{conflict:?}");
    let read = store.get(&ann()).await.unwrap().unwrap();
    assert_eq!(read.value, credential(1), "after the conflict memory holds what is stored");
    store.put(&ann(), &credential(3), Expect::Version(read.version)).await.unwrap();
}

#[tokio::test]
async fn a_look_at_the_disk_shows_what_another_process_wrote_or_deleted() {
    let dir = folder();
    let keyring = Keyring::ephemeral();
    let store = BackupStore::open(dir.path(), keyring.clone()).unwrap();
    let other = FileStore::open(dir.path(), FileForm::Sealed(keyring)).unwrap();
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    assert_eq!(store.get_newest(&ann()).await.unwrap().unwrap().value, credential(0));
    other.put(&ann(), &credential(1), Expect::Any).await.unwrap();
    assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0), "it is in memory");
    assert_eq!(store.get_newest(&ann()).await.unwrap().unwrap().value, credential(1));
    let read = store.get(&ann()).await.unwrap().unwrap();
    assert_eq!(read.value, credential(1), "what was seen to be of the past is not remembered");
    store.put(&ann(), &credential(2), Expect::Version(read.version)).await.unwrap();
    other.delete(&ann(), Expect::Any).await.unwrap();
    assert_eq!(store.get_newest(&ann()).await.unwrap(), None);
    assert_eq!(store.get(&ann()).await.unwrap(), None);
}

#[tokio::test]
async fn a_look_at_a_disk_that_is_away_shows_what_is_in_memory() {
    let dir = folder();
    let path = dir.path().join("credentials");
    let store = BackupStore::open(&path, Keyring::ephemeral()).unwrap();
    let version = store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let away = dir.path().join("away");
    fs::rename(&path, &away).unwrap();
    for read in [store.get_newest(&ann()).await, store.get(&ann()).await] {
        let read = read.unwrap().unwrap();
        assert_eq!((read.value, read.version), (credential(0), version));
    }
    fs::rename(&away, &path).unwrap();
    fs::remove_file(only_file(&path)).unwrap();
    assert_eq!(store.get_newest(&ann()).await.unwrap(), None, "it is there again, and the credential is not");
}

#[tokio::test]
async fn a_failed_write_leaves_memory_as_the_disk_is() {
    let dir = folder();
    let path = dir.path().join("credentials");
    let store = BackupStore::open(&path, Keyring::ephemeral()).unwrap();
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let away = dir.path().join("away");
    fs::rename(&path, &away).unwrap();
    assert!(store.put(&ann(), &credential(1), Expect::Any).await.is_err());
    assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0), "what was not stored is not shown");
    fs::rename(&away, &path).unwrap();
    store.put(&ann(), &credential(1), Expect::Any).await.unwrap();
    assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(1));
}
