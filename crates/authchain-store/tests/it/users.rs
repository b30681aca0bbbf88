//! Records that take a user's key as well as the server's: who opens them, who does not, and that nobody is shut out by a
//! write or by a new key of the server.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use authchain_core::{
    BoxStream, Credential, CredentialKey, CredentialStore, Expect, KeyFilter, Secret, StoreError, Version, Versioned,
};
use authchain_store::{
    BackupStore, FileForm, FileStore, SealedRecords,
    rotation::{Resealed, reseal, usage},
    seal::{Keyring, Sharing, UserKey, UserKeys},
};
use authchain_testkit::suite::{self, credential};

use super::{ann, bob, folder, keyring};

fn key_of(name: &str) -> UserKey {
    UserKey::new(&Secret::new(format!("the API key that only {name} has"))).unwrap()
}

fn bring(users: &UserKeys, whose: &CredentialKey, names: &[&str], sharing: Sharing) {
    users.bring(whose.user.clone(), names.iter().map(|name| key_of(name)), sharing);
}

fn form(dir: &Path, users: &UserKeys) -> FileForm {
    FileForm::Sealed(keyring(dir).with_users(users.clone()))
}

/// The stores that seal, in a folder.
fn stores(dir: &Path, users: &UserKeys) -> [Arc<dyn SealedRecords>; 2] {
    let files = FileStore::open(&dir.join("files"), form(dir, users)).unwrap();
    [Arc::new(files), Arc::new(BackupStore::open_as(&dir.join("backup"), form(dir, users)).unwrap())]
}

async fn is_refused(store: &dyn CredentialStore, key: &CredentialKey, why: &str) {
    let error = store.get(key).await.expect_err(why);
    assert!(matches!(&error, StoreError::WrongKey { .. }), "{why}: {error}");
    assert!(error.to_string().contains("together with the key of one of its users"), "{why}: {error}");
    for expect in [Expect::Any, Expect::Absent] {
        assert!(store.put(key, &credential(9), expect).await.is_err(), "{why}: nobody writes over it");
    }
}

#[tokio::test]
async fn a_split_record_opens_with_the_servers_key_and_the_users_together_and_with_neither_alone() {
    let (dir, users) = (folder(), UserKeys::new());
    for store in stores(dir.path(), &users) {
        bring(&users, &ann(), &["ann"], Sharing::Split);
        store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
        store.put(&bob(), &credential(1), Expect::Absent).await.unwrap();
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0));

        users.take_away(&ann().user);
        is_refused(&*store, &ann(), "the server alone").await;
        bring(&users, &ann(), &["eve"], Sharing::Split);
        is_refused(&*store, &ann(), "another key").await;
        users.take_away(&ann().user);
        bring(&users, &bob(), &["ann"], Sharing::Split);
        is_refused(&*store, &ann(), "her key in another user's name").await;
        users.take_away(&bob().user);
        assert_eq!(store.get(&bob()).await.unwrap().unwrap().value, credential(1), "who has no key is as before");

        bring(&users, &ann(), &["ann"], Sharing::Split);
        let read = store.get(&ann()).await.unwrap().unwrap();
        assert_eq!(read.value, credential(0));
        store.put(&ann(), &credential(2), Expect::Version(read.version)).await.unwrap();
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(2));
        users.take_away(&ann().user);
    }
}

#[tokio::test]
async fn the_users_key_without_the_servers_opens_nothing() {
    let (dir, users) = (folder(), UserKeys::new());
    let store = FileStore::open(&dir.path().join("files"), form(dir.path(), &users)).unwrap();
    bring(&users, &ann(), &["ann"], Sharing::Split);
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let elsewhere = FileForm::Sealed(Keyring::ephemeral().with_users(users));
    let error = FileStore::open(&dir.path().join("files"), elsewhere).unwrap_err();
    assert!(matches!(error, StoreError::WrongKey { .. }), "{error}");
}

#[tokio::test]
async fn after_a_restart_a_split_record_waits_for_its_user() {
    let dir = folder();
    let users = UserKeys::new();
    bring(&users, &ann(), &["ann"], Sharing::Split);
    stores(dir.path(), &users)[1].put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let users = UserKeys::new();
    let [_, store] = stores(dir.path(), &users);
    is_refused(&*store, &ann(), "nobody has signed in").await;
    bring(&users, &ann(), &["ann"], Sharing::Split);
    assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0));
}

#[tokio::test]
async fn a_shared_record_opens_with_either_and_becomes_split_when_the_user_wants_it() {
    let (dir, users) = (folder(), UserKeys::new());
    for store in stores(dir.path(), &users) {
        bring(&users, &ann(), &["ann"], Sharing::Shared);
        store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
        users.take_away(&ann().user);
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0), "the server alone");
        store.put(&ann(), &credential(1), Expect::Any).await.expect("and it refreshes it while she is away");
        bring(&users, &ann(), &["ann"], Sharing::Split);
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(1));
        store.put(&ann(), &credential(2), Expect::Any).await.unwrap();
        users.take_away(&ann().user);
        is_refused(&*store, &ann(), "from now on").await;
        bring(&users, &ann(), &["ann"], Sharing::Shared);
        store.put(&ann(), &credential(3), Expect::Any).await.unwrap();
        users.take_away(&ann().user);
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(3), "and back");
    }
}

#[tokio::test]
async fn whoever_has_one_of_a_users_keys_shuts_the_others_out_with_no_write() {
    let (dir, users) = (folder(), UserKeys::new());
    for store in stores(dir.path(), &users) {
        bring(&users, &ann(), &["her laptop", "her telephone"], Sharing::Split);
        store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
        // Her laptop writes, then a device that is new, which the laptop lets in.
        bring(&users, &ann(), &["her laptop"], Sharing::Split);
        store.put(&ann(), &credential(1), Expect::Any).await.unwrap();
        bring(&users, &ann(), &["her laptop", "her tablet"], Sharing::Split);
        store.put(&ann(), &credential(2), Expect::Any).await.unwrap();
        for device in ["her laptop", "her telephone", "her tablet"] {
            bring(&users, &ann(), &[device], Sharing::Split);
            assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(2), "{device}");
        }
        users.take_away(&ann().user);
        is_refused(&*store, &ann(), "the server alone").await;
    }
}

#[tokio::test]
async fn a_new_key_of_the_server_takes_over_without_the_user() {
    let (dir, users) = (folder(), UserKeys::new());
    for store in stores(dir.path(), &users) {
        bring(&users, &ann(), &["her laptop", "her telephone"], Sharing::Split);
        bring(&users, &bob(), &["bob"], Sharing::Shared);
        store.put(&ann(), &credential(0), Expect::Any).await.unwrap();
        store.put(&bob(), &credential(1), Expect::Any).await.unwrap();
        users.take_away(&ann().user);
        users.take_away(&bob().user);

        // Another process does it, which never sees a user's key.
        let command = keyring(dir.path());
        let old = command.ids()[0];
        let new = command.rotate().unwrap();
        for key in [ann(), bob()] {
            assert_eq!(reseal(&*store, &key, new).await.unwrap(), Resealed::Done);
            assert_eq!(reseal(&*store, &key, new).await.unwrap(), Resealed::Already);
        }
        assert_eq!(usage(&*store).await.unwrap().records.into_iter().collect::<Vec<_>>(), [(new, 2)]);
        assert!(usage(&*store).await.unwrap().unknown.is_empty());
        is_refused(&*store, &ann(), "still not the server alone").await;
        for device in ["her laptop", "her telephone"] {
            bring(&users, &ann(), &[device], Sharing::Split);
            assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0), "{device}");
        }
        bring(&users, &bob(), &["bob"], Sharing::Split);
        store.put(&bob(), &credential(2), Expect::Any).await.expect("his key opens it still");
        for key in [ann(), bob()] {
            users.take_away(&key.user);
        }
        assert_ne!(old, new);
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn in_a_database_it_is_the_same() {
    let (_server, database) = super::postgres::empty_database().await;
    let (dir, users) = (folder(), UserKeys::new());
    let store = database.credentials(keyring(dir.path()).with_users(users.clone()));
    bring(&users, &ann(), &["her laptop", "her telephone"], Sharing::Split);
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    bring(&users, &ann(), &["her laptop"], Sharing::Split);
    let read = store.get(&ann()).await.unwrap().unwrap();
    store.put(&ann(), &credential(1), Expect::Version(read.version)).await.unwrap();
    users.take_away(&ann().user);
    is_refused(&store, &ann(), "the server alone").await;
    let new = keyring(dir.path()).rotate().unwrap();
    assert_eq!(reseal(&store, &ann(), new).await.unwrap(), Resealed::Done);
    assert_eq!(store.sealed_with(&ann()).await.unwrap(), Some(vec![new]));
    bring(&users, &ann(), &["her telephone"], Sharing::Split);
    assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(1));
}

/// Every user brings their key before they ask for anything.
struct WithKeys<S> {
    store: S,
    users: UserKeys,
    sharing: Sharing,
}

impl<S> WithKeys<S> {
    fn of(&self, key: &CredentialKey) -> &S {
        let name = format!("{} {}", key.provider, key.user.as_str());
        self.users.bring(key.user.clone(), [key_of("everybody"), key_of(&name)], self.sharing);
        &self.store
    }
}

#[async_trait]
impl<S: CredentialStore> CredentialStore for WithKeys<S> {
    async fn get(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError> {
        self.of(key).get(key).await
    }

    async fn put(&self, key: &CredentialKey, credential: &Credential, expect: Expect) -> Result<Version, StoreError> {
        self.of(key).put(key, credential, expect).await
    }

    async fn delete(&self, key: &CredentialKey, expect: Expect) -> Result<bool, StoreError> {
        self.of(key).delete(key, expect).await
    }

    fn list(&self, filter: &KeyFilter) -> BoxStream<'_, Result<CredentialKey, StoreError>> {
        self.store.list(filter)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_keys_of_users_the_stores_keep_the_promises_of_a_credential_store() {
    let mut folders = Vec::new();
    for sharing in [Sharing::Split, Sharing::Shared] {
        suite::credential_store(async || {
            folders.push(folder());
            let (dir, users) = (folders.last().unwrap().path(), UserKeys::new());
            WithKeys { store: FileStore::open(dir, form(dir, &users)).unwrap(), users, sharing }
        })
        .await;
        suite::credential_store(async || {
            folders.push(folder());
            let (dir, users) = (folders.last().unwrap().path(), UserKeys::new());
            WithKeys { store: BackupStore::open_as(dir, form(dir, &users)).unwrap(), users, sharing }
        })
        .await;
    }
}
