//! Writing as earlier programs do, for those who share a folder with one.

use std::fs;

use authchain_core::{CredentialStore, Expect, KeyFilter};
use authchain_store::{BackupStore, FileForm, FileStore};
use authchain_testkit::suite::{self, credential};
use futures_util::TryStreamExt;

use super::{ann, folder, keyring, names, only_file, sealed};

const THEIR_NAME: &str = "ann_at_example_com_credentials.enc";
const OUR_NAME: &str = "google~ann@example.com~default.enc";

fn fernet(dir: &std::path::Path) -> FileStore {
    FileStore::open(dir, FileForm::Fernet(keyring(dir))).unwrap()
}

#[tokio::test]
async fn a_file_has_the_name_that_earlier_programs_look_for() {
    let dir = folder();
    fernet(dir.path()).put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    assert_eq!(names(dir.path()), [THEIR_NAME]);
}

#[tokio::test]
async fn who_would_share_a_name_gets_one_of_their_own() {
    let dir = folder();
    let store = fernet(dir.path());
    let keys = ["a.b@example.com", "a_b@example.com"].map(|user| suite::key("google", user, "default"));
    for (n, key) in (0..).zip(&keys) {
        store.put(key, &credential(n), Expect::Absent).await.unwrap();
    }
    assert_eq!(names(dir.path()), ["a_b_at_example_com_credentials.enc", "google~a_b@example.com~default.enc"]);
    for (n, key) in (0..).zip(&keys) {
        assert_eq!(store.get(key).await.unwrap().unwrap().value, credential(n));
    }
    let mut listed: Vec<_> = store.list(&KeyFilter::default()).try_collect().await.unwrap();
    listed.sort();
    assert_eq!(listed, keys);
}

#[tokio::test]
async fn one_can_change_to_it_and_back() {
    let dir = folder();
    sealed(dir.path()).put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let store = fernet(dir.path());
    let read = store.get(&ann()).await.unwrap().unwrap();
    assert_eq!(read.value, credential(0), "what is sealed is read");
    store.put(&ann(), &credential(1), Expect::Version(read.version)).await.unwrap();
    assert_eq!(names(dir.path()), [THEIR_NAME]);
    let store = sealed(dir.path());
    let read = store.get(&ann()).await.unwrap().unwrap();
    assert_eq!(read.value, credential(1));
    store.put(&ann(), &credential(2), Expect::Version(read.version)).await.unwrap();
    assert_eq!(names(dir.path()), [OUR_NAME]);
}

#[tokio::test]
async fn a_file_copied_over_another_users_is_refused() {
    let dir = folder();
    let store = fernet(dir.path());
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    fs::copy(only_file(dir.path()), dir.path().join("bob_at_example_com_credentials.enc")).unwrap();
    assert!(store.get(&super::bob()).await.is_err());
    assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_for_earlier_programs_keep_the_promises_of_a_credential_store() {
    let mut folders = Vec::new();
    suite::credential_store(async || {
        folders.push(folder());
        fernet(folders.last().unwrap().path())
    })
    .await;
    suite::credential_store(async || {
        folders.push(folder());
        let dir = folders.last().unwrap().path();
        BackupStore::open_as(dir, FileForm::Fernet(keyring(dir))).unwrap()
    })
    .await;
}
