//! Files: what is refused, what is kept, what two writers do to one another.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    sync::Arc,
};

use authchain_core::{CredentialStore, Expect, KeyFilter, StoreError, Version};
use authchain_store::{FileForm, FileStore, StorageMode, open_credentials, seal::Keyring};
use authchain_testkit::suite::credential;
use futures_util::{StreamExt, TryStreamExt, future::join_all};

use super::{ann, bob, folder, keyring, names, only_file, plain, sealed};

#[tokio::test]
async fn a_sealed_file_shows_no_secret_and_a_plain_one_is_json() {
    let dir = folder();
    sealed(dir.path()).put(&ann(), &credential(4), Expect::Absent).await.unwrap();
    let bytes = fs::read(only_file(dir.path())).unwrap();
    for secret in ["ya29.access-4", "refresh-4", "client-secret-4"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
    let dir = folder();
    plain(dir.path()).put(&ann(), &credential(4), Expect::Absent).await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&fs::read(only_file(dir.path())).unwrap()).unwrap();
    assert_eq!(json["token"], "ya29.access-4");
    assert_eq!(json["expiry"], "2025-11-21T08:00:04Z");
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart() {
    for form in [FileForm::Plaintext, FileForm::Sealed(Keyring::ephemeral())] {
        let dir = folder();
        let open = || FileStore::open(dir.path(), form.clone()).unwrap();
        let version = open().put(&ann(), &credential(3), Expect::Absent).await.unwrap();
        let read = open().get(&ann()).await.unwrap().unwrap();
        assert_eq!((read.value, read.version), (credential(3), version), "the version is the same for every process");
        open().put(&ann(), &credential(1), Expect::Version(version)).await.unwrap();
    }
}

#[tokio::test]
async fn a_lost_update_between_two_stores_on_one_folder_is_a_conflict() {
    let dir = folder();
    let keyring = Keyring::ephemeral();
    let open = || FileStore::open(dir.path(), FileForm::Sealed(keyring.clone())).unwrap();
    let (one, two) = (open(), open());
    let version = one.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    two.put(&ann(), &credential(1), Expect::Version(version)).await.unwrap();
    let lost = one.put(&ann(), &credential(2), Expect::Version(version)).await;
    assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
    assert_eq!(one.get(&ann()).await.unwrap().unwrap().value, credential(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_two_stores_on_one_folder_lose_nothing() {
    let dir = folder();
    let stores = [Arc::new(plain(dir.path())), Arc::new(plain(dir.path()))];
    stores[0].put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let tasks = (0..8_usize).map(|n| {
        let store = Arc::clone(&stores[n % 2]);
        tokio::spawn(async move {
            for _ in 0..5 {
                loop {
                    let mut read = store.get(&ann()).await.unwrap().unwrap();
                    let count = read.value.extra.get("count").and_then(serde_json::Value::as_u64).unwrap_or(0);
                    read.value.extra.insert("count".into(), (count + 1).into());
                    match store.put(&ann(), &read.value, Expect::Version(read.version)).await {
                        Ok(_) => break,
                        Err(StoreError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(stores[0].get(&ann()).await.unwrap().unwrap().value.extra["count"], 40);
}

#[tokio::test]
async fn a_file_copied_over_another_users_does_not_open() {
    for form in [FileForm::Plaintext, FileForm::Sealed(Keyring::ephemeral())] {
        let dir = folder();
        let store = FileStore::open(dir.path(), form).unwrap();
        store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
        let ann_file = only_file(dir.path());
        let bob_file = ann_file.with_file_name(ann_file.file_name().unwrap().to_str().unwrap().replace("ann", "bob"));
        fs::copy(&ann_file, &bob_file).unwrap();
        let error = store.get(&bob()).await.unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { what, .. } if what.contains("bob")), "{error}");

        // Nor with its first line changed to say what it should.
        let forged =
            String::from_utf8_lossy(&fs::read(&ann_file).unwrap()).replace("ann@example.com", "bob@example.com");
        if !forged.starts_with('{') {
            let bytes = fs::read(&ann_file).unwrap();
            let end = bytes.iter().position(|b| *b == b'\n').unwrap();
            let line = String::from_utf8(bytes[..end].to_vec()).unwrap().replace("ann", "bob");
            fs::write(&bob_file, [line.as_bytes(), &bytes[end..]].concat()).unwrap();
            assert!(matches!(store.get(&bob()).await, Err(StoreError::Corrupt { .. })));
        }
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0), "the other one goes on working");
    }
}

#[tokio::test]
async fn a_broken_file_is_an_error_that_names_it_and_is_never_written_over() {
    for form in [FileForm::Plaintext, FileForm::Sealed(Keyring::ephemeral())] {
        let dir = folder();
        let store = FileStore::open(dir.path(), form).unwrap();
        store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
        let file = only_file(dir.path());
        store.put(&bob(), &credential(4), Expect::Absent).await.unwrap();
        let good = fs::read(&file).unwrap();
        let cut = good[..good.len() / 2].to_vec();
        let mut flipped = good.clone();
        flipped[0] ^= 1;
        for broken in [cut, flipped, Vec::new(), b"{}garbage".to_vec()] {
            fs::write(&file, &broken).unwrap();
            let error = store.get(&ann()).await.unwrap_err();
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(matches!(&error, StoreError::Corrupt { what, .. } if what.contains(name)), "{error}");
            for expect in [Expect::Absent, Expect::Version(Version(7))] {
                let refused = store.put(&ann(), &credential(2), expect).await;
                assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
            }
            assert_eq!(fs::read(&file).unwrap(), broken, "it is as it was");
            assert_eq!(store.get(&bob()).await.unwrap().unwrap().value, credential(4), "others go on working");
        }
    }
}

#[tokio::test]
async fn a_new_sign_in_over_a_broken_file_keeps_the_broken_one_aside() {
    let dir = folder();
    let store = sealed(dir.path());
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let file = only_file(dir.path());
    fs::write(&file, "broken").unwrap();
    store.put(&ann(), &credential(2), Expect::Any).await.unwrap();
    assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(2));
    let aside = names(dir.path()).into_iter().find(|name| name.contains(".broken-")).unwrap();
    assert_eq!(fs::read(dir.path().join(aside)).unwrap(), b"broken");
    assert_eq!(store.list(&KeyFilter::default()).count().await, 1, "what is aside is no record");
}

#[tokio::test]
async fn with_another_key_nothing_opens_and_nothing_is_overwritten() {
    let dir = folder();
    sealed(dir.path()).put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let file = only_file(dir.path());
    let sealed_bytes = fs::read(&file).unwrap();
    let wanted = keyring(dir.path()).ids()[0].to_string();
    // At start: a key that opens nothing of what is there is a mix-up.
    let stranger = Keyring::ephemeral();
    let error = FileStore::open(dir.path(), FileForm::Sealed(stranger.clone())).unwrap_err();
    assert!(matches!(&error, StoreError::WrongKey { wanted: w, .. } if *w == wanted), "{error}");

    // Later: a single record of another key.
    let other = folder();
    let store = FileStore::open(other.path(), FileForm::Sealed(stranger)).unwrap();
    fs::copy(&file, other.path().join(file.file_name().unwrap())).unwrap();
    let error = store.get(&ann()).await.unwrap_err();
    assert!(matches!(&error, StoreError::WrongKey { wanted: w, .. } if *w == wanted), "{error}");
    let refused = store.put(&ann(), &credential(2), Expect::Any).await;
    assert!(matches!(refused, Err(StoreError::WrongKey { .. })), "{refused:?}");
    assert_eq!(fs::read(only_file(other.path())).unwrap(), sealed_bytes);
}

#[tokio::test]
async fn a_lost_key_file_stops_the_start_and_the_writes_and_makes_no_new_key() {
    let dir = folder();
    let store = sealed(dir.path());
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let key_file = dir.path().join(".auth_encryption_key");
    let key = fs::read(&key_file).unwrap();
    fs::remove_file(&key_file).unwrap();
    assert!(matches!(Keyring::open_or_create(&key_file), Err(StoreError::WrongKey { .. })));
    assert!(!key_file.exists());

    // What runs goes on reading, and writes nothing that could never be opened again.
    assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0));
    assert!(matches!(store.put(&bob(), &credential(1), Expect::Any).await, Err(StoreError::Unavailable { .. })));
    super::write_private(&key_file, key);
    store.put(&bob(), &credential(1), Expect::Any).await.unwrap();
}

#[tokio::test]
async fn a_running_store_reads_and_writes_with_a_key_that_another_process_made() {
    let dir = folder();
    let store = sealed(dir.path());
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let key_file = dir.path().join(".auth_encryption_key");
    let old = fs::read_to_string(&key_file).unwrap();
    let other = folder();
    drop(keyring(other.path()));
    let new = fs::read_to_string(other.path().join(".auth_encryption_key")).unwrap();
    super::write_private(&key_file, format!("{new}\n{old}\n"));

    let rotated = sealed(dir.path());
    let version = rotated.put(&ann(), &credential(1), Expect::Any).await.unwrap();
    let read = store.get(&ann()).await.unwrap().unwrap();
    assert_eq!((read.value, read.version), (credential(1), version));
    store.put(&bob(), &credential(2), Expect::Absent).await.unwrap();
    let only_new = Keyring::from_keys(&[new.into()], "test").unwrap();
    let newest = FileStore::open(dir.path(), FileForm::Sealed(only_new)).unwrap();
    assert_eq!(newest.get(&bob()).await.unwrap().unwrap().value, credential(2), "it sealed with the new key at once");
}

#[tokio::test]
async fn a_file_or_folder_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let dir = folder();
    let store = plain(dir.path());
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let file = only_file(dir.path());
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let refused = |error: StoreError, fix: &str| {
        assert!(matches!(&error, StoreError::Insecure { fix: f, .. } if f.starts_with(fix)), "{error}");
    };
    refused(store.get(&ann()).await.unwrap_err(), "chmod 600 ");
    refused(store.put(&ann(), &credential(1), Expect::Any).await.unwrap_err(), "chmod 600 ");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o750)).unwrap();
    refused(FileStore::open(dir.path(), FileForm::Plaintext).unwrap_err(), "chmod 700 ");
}

#[tokio::test]
async fn a_symbolic_link_in_place_of_a_file_is_neither_read_nor_written() {
    let (dir, elsewhere) = (folder(), folder());
    let store = plain(dir.path());
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let (file, target) = (only_file(dir.path()), elsewhere.path().join("target"));
    fs::rename(&file, &target).unwrap();
    symlink(&target, &file).unwrap();
    let before = fs::read(&target).unwrap();
    assert!(matches!(store.get(&ann()).await, Err(StoreError::Insecure { .. })));
    assert!(matches!(store.put(&ann(), &credential(1), Expect::Any).await, Err(StoreError::Insecure { .. })));
    assert_eq!(fs::read(&target).unwrap(), before);
}

#[tokio::test]
async fn a_folder_that_is_gone_is_an_error_and_its_return_is_noticed() {
    let dir = folder();
    let path = dir.path().join("credentials");
    let store = plain(&path);
    let version = store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let away = dir.path().join("away");
    fs::rename(&path, &away).unwrap();
    assert!(matches!(store.get(&ann()).await, Err(StoreError::Unavailable { .. })), "never: there is no credential");
    assert!(matches!(store.put(&ann(), &credential(1), Expect::Any).await, Err(StoreError::Unavailable { .. })));
    assert!(matches!(
        store.list(&KeyFilter::default()).try_collect::<Vec<_>>().await,
        Err(StoreError::Unavailable { .. })
    ));
    fs::rename(&away, &path).unwrap();
    assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0));
    store.put(&ann(), &credential(1), Expect::Version(version)).await.unwrap();
}

#[tokio::test]
async fn what_a_killed_writer_left_is_removed_at_the_next_start_or_write() {
    let dir = folder();
    let left = dir.path().join(".authchain-abc123.tmp");
    super::write_private(&left, "half a record");
    let store = plain(dir.path());
    assert!(!left.exists(), "nobody writes, so the start removes it");

    // While somebody writes, what looks like a left-over may be theirs: then the first write removes it.
    let held = fs::File::open(dir.path().join(".lock")).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    super::write_private(&left, "half a record");
    let other = plain(dir.path());
    assert!(left.exists());
    drop(held);
    other.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    assert!(!left.exists());
    assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0));
}

#[tokio::test]
async fn other_files_in_the_folder_are_left_alone_and_not_listed() {
    let dir = folder();
    for name in ["README.md", ".gitignore", "notes.json", "x.enc.bak", ".oauth_authentication.json"] {
        super::write_private(&dir.path().join(name), "not ours");
    }
    let store = plain(dir.path());
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let keys: Vec<_> = store.list(&KeyFilter::default()).try_collect().await.unwrap();
    assert_eq!(keys, [ann()]);
}

#[tokio::test]
async fn a_long_name_whose_file_is_broken_is_listed_as_an_error() {
    let dir = folder();
    let store = sealed(dir.path());
    let long = authchain_testkit::suite::key("google", &"x".repeat(500), "default");
    store.put(&long, &credential(0), Expect::Absent).await.unwrap();
    let file = only_file(dir.path());
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    fs::write(&file, "broken").unwrap();
    let listed: Vec<_> = store.list(&KeyFilter::default()).collect().await;
    assert_eq!(listed.iter().filter(|entry| entry.is_err()).count(), 1, "{listed:?}");
    assert_eq!(listed.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_never_see_half_a_file_or_none_while_it_is_written() {
    let dir = folder();
    let store = Arc::new(sealed(dir.path()));
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0..100 {
                store.put(&ann(), &credential(n), Expect::Any).await.unwrap();
            }
        })
    };
    while !writer.is_finished() {
        assert!(store.get(&ann()).await.unwrap().is_some());
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn a_database_is_not_looked_for_in_a_folder() {
    let refused = open_credentials(StorageMode::Postgres, folder().path(), Keyring::ephemeral()).map(drop);
    assert!(matches!(refused, Err(StoreError::Unsupported(_))), "{refused:?}");
}

#[tokio::test]
async fn each_mode_of_a_folder_opens_its_store() {
    for mode in StorageMode::ALL.into_iter().filter(|mode| *mode != StorageMode::Postgres) {
        let dir = folder();
        let path = dir.path().join("credentials");
        let store = open_credentials(mode, &path, Keyring::ephemeral()).unwrap();
        store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0));
        let files = if path.exists() { names(&path) } else { Vec::new() };
        let wanted: &[&str] = match mode {
            StorageMode::FilePlaintext => &["google~ann@example.com~default.json"],
            StorageMode::FileEncrypted | StorageMode::MemoryWithBackup => &["google~ann@example.com~default.enc"],
            StorageMode::MemoryOnly | StorageMode::Postgres => &[],
        };
        assert_eq!(files, wanted, "{mode}");
    }
}
