//! Writing as earlier programs do, for those who share a folder with one.

use std::{fs, process::Command};

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

/// What those programs do with a file, in their language.
const PYTHON: &str = "
import base64, json, sys
from cryptography.fernet import Fernet
key, path = open(sys.argv[1], 'rb').read(), sys.argv[2]
content = json.loads(Fernet(key).decrypt(base64.urlsafe_b64decode(open(path, 'rb').read())))
print(content['refresh_token'], content['storage_mode'], content['encrypted_at'][-1])
";

#[tokio::test]
async fn python_opens_what_is_written() {
    let dir = folder();
    fernet(dir.path()).put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    assert_eq!(names(dir.path()), [THEIR_NAME], "under the name that they look for");
    let python = Command::new("python3")
        .args(["-c", PYTHON])
        .arg(dir.path().join(".auth_encryption_key"))
        .arg(only_file(dir.path()))
        .output();
    match python {
        Ok(ran) if ran.status.success() => {
            assert_eq!(String::from_utf8(ran.stdout).unwrap().trim(), "1//refresh-0 file_encrypted Z");
        }
        // A machine without that library still compares with another implementation of Fernet.
        other => {
            let complaint = other.map(|ran| String::from_utf8_lossy(&ran.stderr).into_owned()).unwrap_or_default();
            assert!(complaint.is_empty() || complaint.contains("No module named"), "{complaint}");
            eprintln!("skipped: no Python with cryptography");
        }
    }
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
