//! A new key for what is stored, while others read and write it.

use std::{fs, sync::Arc};

use authchain_core::{CredentialStore, Expect, StoreError};
use authchain_store::{
    BackupStore, FileForm, FileStore, SealedRecords,
    rotation::{Resealed, reseal, usage},
    seal::Keyring,
};
use authchain_testkit::suite::{self, credential};

use super::{ann, bob, folder, keyring, only_file};

/// Each kind of store that seals, in a folder.
fn stores(dir: &std::path::Path) -> Vec<Arc<dyn SealedRecords>> {
    let form = |form: fn(Keyring) -> FileForm| form(keyring(dir));
    vec![
        Arc::new(FileStore::open(dir, form(FileForm::Sealed)).unwrap()),
        Arc::new(BackupStore::open(dir, keyring(dir)).unwrap()),
        Arc::new(FileStore::open(dir, form(FileForm::Fernet)).unwrap()),
    ]
}

#[tokio::test]
async fn after_rotation_and_resealing_the_old_key_is_needed_no_more() {
    for kind in 0..3 {
        let dir = folder();
        let keys = keyring(dir.path());
        let running = stores(dir.path()).swap_remove(kind);
        for n in 0..5 {
            let key = suite::key("google", &format!("user{n}@example.com"), "default");
            running.put(&key, &credential(n), Expect::Absent).await.unwrap();
        }
        let old = keys.ids()[0];
        let new = keys.rotate().unwrap();
        running.put(&ann(), &credential(9), Expect::Absent).await.unwrap();
        let before = usage(&*running).await.unwrap();
        assert_eq!((before.only[&old], before.only[&new]), (5, 1), "a running store takes the new key: {kind}");

        for n in 0..5 {
            let key = suite::key("google", &format!("user{n}@example.com"), "default");
            assert_eq!(reseal(&*running, &key, new).await.unwrap(), Resealed::Done);
            assert_eq!(reseal(&*running, &key, new).await.unwrap(), Resealed::Already);
        }
        assert_eq!(reseal(&*running, &bob(), new).await.unwrap(), Resealed::Gone);
        let after = usage(&*running).await.unwrap();
        assert_eq!((after.records.get(&old), after.records[&new], after.unknown.len()), (None, 6, 0));
        keys.retire(old).unwrap();
        let fresh = stores(dir.path()).swap_remove(kind);
        for store in [&running, &fresh] {
            assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(9));
            let key = suite::key("google", "user3@example.com", "default");
            let read = store.get(&key).await.unwrap().unwrap();
            assert_eq!(read.value, credential(3));
            store.put(&key, &credential(3), Expect::Any).await.expect("and it can be written");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_write_meanwhile_lose_nothing() {
    let dir = folder();
    let server = Arc::new(FileStore::open(dir.path(), FileForm::Sealed(keyring(dir.path()))).unwrap());
    server.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let keys = keyring(dir.path());
    let writer = {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            for _ in 0..40 {
                loop {
                    let mut read = server.get(&ann()).await.unwrap().unwrap();
                    let count = read.value.extra.get("count").and_then(serde_json::Value::as_u64).unwrap_or(0);
                    read.value.extra.insert("count".into(), (count + 1).into());
                    match server.put(&ann(), &read.value, Expect::Version(read.version)).await {
                        Ok(_) => break,
                        Err(StoreError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        })
    };
    let other = FileStore::open(dir.path(), FileForm::Sealed(keys.clone())).unwrap();
    while !writer.is_finished() {
        let new = keys.rotate().unwrap();
        reseal(&other, &ann(), new).await.unwrap();
        let ids: Vec<_> = keys.ids().into_iter().skip(1).collect();
        for id in ids {
            keys.retire(id).unwrap();
        }
    }
    writer.await.unwrap();
    assert_eq!(server.get(&ann()).await.unwrap().unwrap().value.extra["count"], 40);
}

#[tokio::test]
async fn a_record_that_does_not_tell_its_key_is_reported() {
    let dir = folder();
    let store = FileStore::open(dir.path(), FileForm::Sealed(keyring(dir.path()))).unwrap();
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    fs::write(only_file(dir.path()), "broken").unwrap();
    store.put(&bob(), &credential(1), Expect::Absent).await.unwrap();
    let usage = usage(&store).await.unwrap();
    assert_eq!(usage.unknown.len(), 1, "{usage:?}");
    assert!(usage.unknown[0].0.contains("ann@example.com"), "{usage:?}");
    assert_eq!(usage.records.values().sum::<u64>(), 1);
    let id = keyring(dir.path()).ids()[0];
    assert!(matches!(reseal(&store, &ann(), id).await, Err(StoreError::Corrupt { .. })));
}
