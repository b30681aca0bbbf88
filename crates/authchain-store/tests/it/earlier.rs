//! Files of earlier programs, written by Python (`tests/fixtures/make.py`): found under their old names, and given the
//! new one at the next write.

use std::{fs, path::Path};

use authchain_core::{Credential, CredentialKey, CredentialStore, Expect, KeyFilter, Scopes, StoreError, Timestamp};
use authchain_store::{BackupStore, FileForm, FileStore, seal::Keyring};
use authchain_testkit::suite::{self, credential};
use futures_util::TryStreamExt;
use serde_json::Value;

use super::{ann, folder, names, plain, sealed, write_private};

const KEY: &[u8] = include_bytes!("../fixtures/auth_encryption_key");
const VERSION_1: &[u8] = include_bytes!("../fixtures/version_1.enc");
const VERSION_2: &[u8] = include_bytes!("../fixtures/version_2.enc");
const PLAIN: &[u8] = include_bytes!("../fixtures/plain.json");

const OLD_NAME: &str = "ann_at_example_com_credentials.enc";
const NEW_NAME: &str = "google~ann@example.com~default.enc";

/// A folder as an earlier program left it.
fn left_behind(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = folder();
    write_private(&dir.path().join(".auth_encryption_key"), KEY);
    for (name, content) in files {
        write_private(&dir.path().join(name), content);
    }
    dir
}

fn user(id: &str) -> CredentialKey {
    suite::key("google", id, "default")
}

pub(super) fn is_the_earlier_one(credential: &Credential) {
    let secret = |secret: &Option<authchain_core::Secret>| secret.as_ref().unwrap().expose().to_owned();
    assert_eq!(secret(&credential.access_token), "ya29.earlier");
    assert_eq!(secret(&credential.refresh_token), "1//earlier");
    assert_eq!(secret(&credential.client.secret), "client-secret-earlier");
    assert_eq!(credential.client.id, "client.apps.example.com");
    assert_eq!(credential.expires_at, Some(Timestamp(1_763_712_000)));
    assert_eq!(credential.scopes, Scopes::from("openid https://www.googleapis.com/auth/drive"));
}

async fn listed(store: &impl CredentialStore) -> Vec<CredentialKey> {
    store.list(&KeyFilter::default()).try_collect().await.unwrap()
}

#[tokio::test]
async fn versions_1_and_2_are_read_and_renamed_at_the_next_write() {
    for content in [VERSION_1, VERSION_2] {
        let dir = left_behind(&[(OLD_NAME, content)]);
        let store = sealed(dir.path());
        assert_eq!(listed(&store).await, [ann()]);
        let read = store.get(&ann()).await.unwrap().unwrap();
        is_the_earlier_one(&read.value);
        assert_eq!(names(dir.path()), [OLD_NAME], "reading changes nothing");

        let refused = store.put(&ann(), &read.value, Expect::Absent).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "it counts as stored: {refused:?}");
        store.put(&ann(), &read.value, Expect::Version(read.version)).await.unwrap();
        assert_eq!(names(dir.path()), [NEW_NAME]);
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, read.value);
        assert_eq!(listed(&store).await, [ann()]);
    }
}

#[tokio::test]
async fn a_backup_file_is_found_by_either_mode() {
    let dir = left_behind(&[("ann_at_example_com_backup.enc", VERSION_1)]);
    is_the_earlier_one(&sealed(dir.path()).get(&ann()).await.unwrap().unwrap().value);
    let store = BackupStore::open(dir.path(), super::keyring(dir.path())).unwrap();
    let read = store.get(&ann()).await.unwrap().unwrap();
    is_the_earlier_one(&read.value);
    store.put(&ann(), &read.value, Expect::Version(read.version)).await.unwrap();
    assert_eq!(names(dir.path()), [NEW_NAME]);
}

#[tokio::test]
async fn a_key_file_that_ends_in_a_line_feed_works_as_well() {
    let dir = left_behind(&[(OLD_NAME, VERSION_2)]);
    write_private(&dir.path().join(".auth_encryption_key"), [KEY, b"\n"].concat());
    is_the_earlier_one(&sealed(dir.path()).get(&ann()).await.unwrap().unwrap().value);
}

#[tokio::test]
async fn a_plain_file_is_read_and_renamed_and_keeps_what_the_earlier_program_wrote() {
    let dir = left_behind(&[("ann_at_example_com_credentials.json", PLAIN)]);
    let store = plain(dir.path());
    let read = store.get(&ann()).await.unwrap().unwrap();
    is_the_earlier_one(&read.value);
    store.put(&ann(), &read.value, Expect::Version(read.version)).await.unwrap();
    assert_eq!(names(dir.path()), ["google~ann@example.com~default.json"]);
    let file: Value = serde_json::from_slice(&fs::read(super::only_file(dir.path())).unwrap()).unwrap();
    assert_eq!((&file["user_email"], &file["token"]), (&"ann@example.com".into(), &"ya29.earlier".into()));
    assert_eq!(file["expiry"], "2025-11-21T08:00:00Z");
}

#[tokio::test]
async fn a_plain_file_that_python_has_rewritten_is_read() {
    let dir = folder();
    let store = plain(dir.path());
    let version = store.put(&ann(), &credential(4), Expect::Absent).await.unwrap();
    let path = super::only_file(dir.path());
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    // What google-auth's to_json writes: its own fields only, and the expiry with microseconds.
    file.as_object_mut().unwrap().remove("authchain");
    file["token"] = "ya29.by-python".into();
    file["expiry"] = "2025-11-21T09:00:00.500000Z".into();
    fs::write(&path, serde_json::to_vec(&file).unwrap()).unwrap();
    let read = store.get(&ann()).await.unwrap().unwrap();
    assert_eq!(read.value.access_token.unwrap().expose(), "ya29.by-python");
    assert_eq!(read.value.expires_at, Some(Timestamp(1_763_715_600)));
    let lost = store.put(&ann(), &credential(4), Expect::Version(version)).await;
    assert!(matches!(lost, Err(StoreError::Conflict { .. })), "Python's write is not lost silently: {lost:?}");
}

#[tokio::test]
async fn users_whose_names_become_the_same_do_not_get_one_anothers_file() {
    let dir = left_behind(&[("a_b_at_example_com_credentials.enc", VERSION_1)]);
    let store = sealed(dir.path());
    // The file does not say whose it is: it goes to the plainest reading of its name, and to nobody else.
    assert!(store.get(&user("a.b@example.com")).await.unwrap().is_some());
    assert_eq!(store.get(&user("a_b@example.com")).await.unwrap(), None);
    store.put(&user("a_b@example.com"), &credential(0), Expect::Absent).await.unwrap();
    assert!(!store.delete(&user("x.b@example.com"), Expect::Any).await.unwrap());
    is_the_earlier_one(&store.get(&user("a.b@example.com")).await.unwrap().unwrap().value);
    assert_eq!(store.get(&user("a_b@example.com")).await.unwrap().unwrap().value, credential(0));
}

#[tokio::test]
async fn a_file_that_names_its_user_is_given_to_that_user_only() {
    let named = String::from_utf8(PLAIN.to_vec()).unwrap().replace("ann@example.com", "a_b@example.com");
    let dir = left_behind(&[("a_b_at_example_com_credentials.json", named.as_bytes())]);
    let store = plain(dir.path());
    assert_eq!(store.get(&user("a.b@example.com")).await.unwrap(), None);
    is_the_earlier_one(&store.get(&user("a_b@example.com")).await.unwrap().unwrap().value);
    assert_eq!(listed(&store).await, [user("a_b@example.com")]);
}

#[tokio::test]
async fn a_file_that_names_somebody_else_is_refused() {
    let dir = left_behind(&[("bob_at_example_com_credentials.json", PLAIN)]);
    let error = plain(dir.path()).get(&super::bob()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { what, .. } if what.contains("bob_at_example_com")), "{error}");
}

#[tokio::test]
async fn another_provider_or_group_has_no_old_file() {
    let dir = left_behind(&[(OLD_NAME, VERSION_1)]);
    let store = sealed(dir.path());
    assert_eq!(store.get(&suite::key("github", "ann@example.com", "default")).await.unwrap(), None);
    assert_eq!(store.get(&suite::key("google", "ann@example.com", "photos")).await.unwrap(), None);
}

#[tokio::test]
async fn a_deletion_removes_the_old_file_too() {
    let dir = left_behind(&[(OLD_NAME, VERSION_1)]);
    let store = sealed(dir.path());
    store.put(&ann(), &credential(0), Expect::Any).await.unwrap();
    // As a crash between the new file and the removal of the old one leaves it.
    write_private(&dir.path().join(OLD_NAME), VERSION_1);
    assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0), "the new one counts");
    assert!(store.delete(&ann(), Expect::Any).await.unwrap());
    assert!(names(dir.path()).is_empty());
    assert_eq!(store.get(&ann()).await.unwrap(), None);
}

#[tokio::test]
async fn an_old_file_that_no_key_opens_is_an_error_and_stays() {
    for content in [VERSION_1, VERSION_2] {
        let dir = left_behind(&[(OLD_NAME, content)]);
        let store = FileStore::open(dir.path(), FileForm::Sealed(Keyring::ephemeral())).unwrap();
        assert!(matches!(store.get(&ann()).await, Err(StoreError::WrongKey { .. })));
        let refused = store.put(&ann(), &credential(0), Expect::Any).await;
        assert!(matches!(refused, Err(StoreError::WrongKey { .. })), "{refused:?}");
        assert_eq!(fs::read(dir.path().join(OLD_NAME)).unwrap(), content);
    }
}

#[tokio::test]
async fn damage_to_an_old_file_is_noticed_at_every_place() {
    for content in [VERSION_1, VERSION_2] {
        let dir = left_behind(&[(OLD_NAME, content)]);
        let (store, path) = (sealed(dir.path()), dir.path().join(OLD_NAME));
        for place in (0..content.len()).step_by(7) {
            let mut damaged = content.to_vec();
            damaged[place] = if damaged[place] == b'A' { b'B' } else { b'A' };
            fs::write(&path, &damaged).unwrap();
            match store.get(&ann()).await {
                Err(StoreError::WrongKey { what, .. } | StoreError::Corrupt { what, .. }) => {
                    assert!(what.contains(OLD_NAME), "{what}");
                }
                // Between the fields of version 2 there is white space that means nothing.
                Ok(_) if content[place].is_ascii_whitespace() => panic!("a letter is no white space"),
                other => panic!("byte {place}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_file_of_version_1_under_a_new_name_is_refused() {
    // It is bound to no user: under a name of ours anybody's could be put in place of anybody's.
    let dir = left_behind(&[(NEW_NAME, VERSION_1)]);
    assert!(matches!(sealed(dir.path()).get(&ann()).await, Err(StoreError::Corrupt { .. })));
}

#[tokio::test]
async fn no_key_is_made_beside_files_of_earlier_programs() {
    let dir = left_behind(&[(OLD_NAME, VERSION_1)]);
    let key_file: &Path = &dir.path().join(".auth_encryption_key");
    fs::remove_file(key_file).unwrap();
    assert!(matches!(Keyring::open_or_create(key_file), Err(StoreError::WrongKey { .. })));
    assert!(!key_file.exists());
}
