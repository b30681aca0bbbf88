//! Migration between every pair of stores: nothing is lost, whatever happens in the middle.

use std::{
    any::Any,
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use authchain_core::{
    BoxStream, Cause, Credential, CredentialKey, CredentialStore, Expect, KeyFilter, Secret, StoreError, Timestamp,
    Version, Versioned,
};
use authchain_store::{
    BackupStore, Encryption, FileForm, FileStore, MemoryStore, StorageMode,
    migrate::{self, Options, Outcome, Place, PlaceError, Plan, Report, Step},
    seal::Keyring,
    transfer::{Arrival, Collision, TransferError},
};
use authchain_testkit::suite::{self, awkward_ids, credential};
use futures_util::TryStreamExt;

use super::{ann, bob, folder, plain, sealed};

fn place(name: &str, store: impl CredentialStore + 'static) -> Place {
    Place::new(name, Arc::new(store))
}

/// Credentials of people with difficult names, in two groups and of two providers.
async fn fill(store: &dyn CredentialStore) -> BTreeMap<CredentialKey, Credential> {
    let mut all = BTreeMap::new();
    for (n, id) in (0..).zip(awkward_ids()) {
        all.insert(suite::key("google", &id, "default"), credential(n));
    }
    all.insert(suite::key("google", "ann@example.com", "photos"), credential(100));
    all.insert(suite::key("github", "ann@example.com", "default"), credential(101));
    for (key, credential) in &all {
        store.put(key, credential, Expect::Absent).await.unwrap();
    }
    all
}

async fn content(store: &dyn CredentialStore) -> BTreeMap<CredentialKey, Credential> {
    let keys: Vec<_> = store.list(&KeyFilter::default()).try_collect().await.unwrap();
    let mut all = BTreeMap::new();
    for key in keys {
        let stored = store.get(&key).await.unwrap().unwrap();
        all.insert(key, stored.value);
    }
    all
}

async fn migrate(from: &Place, to: &Place, options: Options) -> (Plan, Report) {
    let plan = migrate::plan(from, to).await.unwrap();
    let report = migrate::run(&plan, from, to, options, |_| {}).await;
    (plan, report)
}

const DELETE: Options = Options { delete_source: true, collision: Collision::Refuse };

/// The stores that a migration is tried between, each mode of [`StorageMode`] and the form of earlier programs.
const STORES: [&str; 6] =
    ["file_plaintext", "file_encrypted", "fernet", "memory_with_backup", "memory_only", "postgres"];

/// An empty store of this kind, in the folder if it has files, and what it needs to live; `None` where the tests are built
/// without PostgreSQL.
async fn open(kind: &str, dir: &Path) -> Option<(Place, Box<dyn Any>)> {
    let place = match kind {
        "file_plaintext" => place(kind, plain(dir)),
        "file_encrypted" => place(kind, sealed(dir)),
        "fernet" => place(kind, FileStore::open(dir, FileForm::Fernet(super::keyring(dir))).unwrap()),
        "memory_with_backup" => place(kind, BackupStore::open(dir, super::keyring(dir)).unwrap()),
        "memory_only" => place(kind, MemoryStore::new()),
        #[cfg(feature = "postgres")]
        "postgres" => {
            let (server, database) = super::postgres::empty_database().await;
            return Some((place(kind, database.credentials(Keyring::ephemeral())), Box::new(server)));
        }
        _ => return None,
    };
    Some((place, Box::new(())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_credential_goes_from_every_store_to_every_other() {
    for mode in StorageMode::ALL {
        assert!(STORES.contains(&mode.as_str()), "{mode} is tried");
    }
    for from_kind in STORES {
        for to_kind in STORES {
            let (here, there) = (folder(), folder());
            let Some((from, _needed)) = open(from_kind, here.path()).await else { continue };
            let Some((to, _needed)) = open(to_kind, there.path()).await else { continue };
            let all = fill(from.store()).await;
            let (plan, report) = migrate(&from, &to, DELETE).await;
            assert!(report.is_complete(), "{from_kind} to {to_kind}: {report:?}");
            assert_eq!((plan.keys.len(), report.removed), (all.len(), all.len()));
            assert_eq!(content(to.store()).await, all, "{from_kind} to {to_kind}");
            assert!(content(from.store()).await.is_empty(), "{from_kind} to {to_kind}");
        }
    }
}

#[tokio::test]
async fn within_one_folder_plaintext_becomes_sealed_and_back() {
    let dir = folder();
    let keyring = super::keyring(dir.path());
    let place = |mode| Place::in_folder(mode, dir.path(), &keyring, Encryption::AesGcm).unwrap();
    let all = fill(place(StorageMode::FilePlaintext).store()).await;
    for (from, to) in [
        (StorageMode::FilePlaintext, StorageMode::FileEncrypted),
        (StorageMode::MemoryWithBackup, StorageMode::FilePlaintext),
    ] {
        let (from, to) = (place(from), place(to));
        let (_, report) = migrate(&from, &to, DELETE).await;
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(content(to.store()).await, all);
    }
    let endings: Vec<_> = super::names(dir.path()).into_iter().filter(|name| !name.ends_with(".json")).collect();
    assert_eq!(endings, Vec::<String>::new(), "nothing sealed is left");
}

#[tokio::test]
async fn within_one_folder_plaintext_becomes_what_earlier_programs_open() {
    let dir = folder();
    let keyring = super::keyring(dir.path());
    let place = |mode| Place::in_folder(mode, dir.path(), &keyring, Encryption::Fernet).unwrap();
    let (from, to) = (place(StorageMode::FilePlaintext), place(StorageMode::FileEncrypted));
    from.store().put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    assert!(migrate(&from, &to, DELETE).await.1.is_complete());
    assert_eq!(super::names(dir.path()), ["ann_at_example_com_credentials.enc"]);
}

#[tokio::test]
async fn the_same_files_under_two_names_are_recognized() {
    let (dir, keyring) = (folder(), Keyring::ephemeral());
    let place = |mode| Place::in_folder(mode, dir.path(), &keyring, Encryption::AesGcm).unwrap();
    assert!(place(StorageMode::FileEncrypted).is_same_as(&place(StorageMode::MemoryWithBackup)));
    assert!(!place(StorageMode::FileEncrypted).is_same_as(&place(StorageMode::FilePlaintext)));
}

#[tokio::test]
async fn memory_of_a_process_is_no_end_of_a_migration() {
    let refused = Place::in_folder(StorageMode::MemoryOnly, folder().path(), &Keyring::ephemeral(), Encryption::AesGcm);
    assert!(matches!(refused, Err(PlaceError::Memory)));
}

#[tokio::test]
async fn the_source_stays_unless_its_removal_is_asked_for() {
    let (from, to) = (place("from", MemoryStore::new()), place("to", MemoryStore::new()));
    let all = fill(from.store()).await;
    let steps = Mutex::new(Vec::new());
    let plan = migrate::plan(&from, &to).await.unwrap();
    let report = migrate::run(&plan, &from, &to, Options::default(), |step| steps.lock().unwrap().push(step)).await;
    assert!(report.is_complete() && report.removed == 0);
    assert_eq!(content(from.store()).await, all);
    assert_eq!(*steps.lock().unwrap(), (1..=all.len()).map(Step::Copied).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_second_run_finds_everything_done() {
    let (from, to) = (place("from", MemoryStore::new()), place("to", MemoryStore::new()));
    let all = fill(from.store()).await;
    migrate(&from, &to, Options::default()).await;
    let (plan, report) = migrate(&from, &to, Options::default()).await;
    assert_eq!(plan.in_target, all.len());
    assert!(report.outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Arrived(Arrival::AlreadyThere))));
}

#[tokio::test]
async fn what_was_refreshed_in_the_source_since_is_brought_along() {
    let (from, to) = (place("from", MemoryStore::new()), place("to", MemoryStore::new()));
    from.store().put(&ann(), &credential(0), Expect::Any).await.unwrap();
    migrate(&from, &to, Options::default()).await;
    let mut refreshed = credential(0);
    refreshed.access_token = Some(Secret::new("ya29.later"));
    refreshed.expires_at = refreshed.expires_at.map(|at| Timestamp(at.0 + 3600));
    from.store().put(&ann(), &refreshed, Expect::Any).await.unwrap();
    let (_, report) = migrate(&from, &to, DELETE).await;
    assert!(matches!(report.outcomes[0].1, Outcome::Arrived(Arrival::Updated)), "{report:?}");
    assert_eq!(to.store().get(&ann()).await.unwrap().unwrap().value, refreshed);
}

#[tokio::test]
async fn another_credential_in_the_target_keeps_the_whole_source() {
    let (from, to) = (place("from", MemoryStore::new()), place("to", MemoryStore::new()));
    from.store().put(&ann(), &credential(0), Expect::Any).await.unwrap();
    from.store().put(&bob(), &credential(4), Expect::Any).await.unwrap();
    to.store().put(&ann(), &credential(8), Expect::Any).await.unwrap();
    let (_, report) = migrate(&from, &to, DELETE).await;
    let failed: Vec<_> = report.failures().collect();
    assert!(matches!(failed[..], [(key, TransferError::Occupied(_))] if *key == ann()), "{failed:?}");
    assert_eq!(to.store().get(&ann()).await.unwrap().unwrap().value, credential(8), "it was not written over");
    assert_eq!(to.store().get(&bob()).await.unwrap().unwrap().value, credential(4), "the others arrive");
    assert_eq!(content(from.store()).await.len(), 2, "and nothing is removed");

    let replace = Options { collision: Collision::Replace, ..DELETE };
    assert!(migrate(&from, &to, replace).await.1.is_complete());
    assert_eq!(to.store().get(&ann()).await.unwrap().unwrap().value, credential(0));
}

#[tokio::test]
async fn a_broken_record_is_reported_and_keeps_the_whole_source() {
    let (here, there) = (folder(), folder());
    let (from, to) = (place("from", plain(here.path())), place("to", sealed(there.path())));
    from.store().put(&ann(), &credential(0), Expect::Any).await.unwrap();
    from.store().put(&bob(), &credential(4), Expect::Any).await.unwrap();
    let broken = here.path().join("google~bob@example.com~default.json");
    fs::write(&broken, "{\"token\": \"ya29.half").unwrap();
    let (_, report) = migrate(&from, &to, DELETE).await;
    let failed: Vec<_> = report.failures().map(|(key, error)| (key.clone(), error.to_string())).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].0 == bob() && failed[0].1.contains("google~bob@example.com~default.json"), "{failed:?}");
    assert!(!failed[0].1.contains("ya29"), "no secret in it: {failed:?}");
    assert_eq!((report.removed, super::names(here.path()).len()), (0, 2));
}

#[tokio::test]
async fn a_record_that_does_not_say_whose_it_is_keeps_the_whole_source() {
    let (here, there) = (folder(), folder());
    let (from, to) = (place("from", plain(here.path())), place("to", sealed(there.path())));
    from.store().put(&ann(), &credential(0), Expect::Any).await.unwrap();
    super::write_private(&here.path().join(format!("long%~{}.json", "a".repeat(64))), "{}");
    let (plan, report) = migrate(&from, &to, DELETE).await;
    assert_eq!((plan.unreadable.len(), report.removed), (1, 0));
    assert!(from.store().get(&ann()).await.unwrap().is_some());
}

/// A store that forgets what it acknowledged, or says that it cannot write.
#[derive(Default)]
struct Faulty {
    inner: MemoryStore,
    forgets: AtomicBool,
    full_after: Option<usize>,
    writes: AtomicUsize,
}

#[async_trait]
impl CredentialStore for Faulty {
    async fn get(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &CredentialKey, credential: &Credential, expect: Expect) -> Result<Version, StoreError> {
        if self.full_after.is_some_and(|limit| self.writes.fetch_add(1, SeqCst) >= limit) {
            return Err(StoreError::Unavailable { what: "write".into(), cause: Cause::text("no space left") });
        }
        let mut kept = credential.clone();
        if self.forgets.load(SeqCst) {
            kept.refresh_token = Some(Secret::new("garbled"));
        }
        self.inner.put(key, &kept, expect).await
    }

    async fn delete(&self, key: &CredentialKey, expect: Expect) -> Result<bool, StoreError> {
        self.inner.delete(key, expect).await
    }

    fn list(&self, filter: &KeyFilter) -> BoxStream<'_, Result<CredentialKey, StoreError>> {
        self.inner.list(filter)
    }
}

#[tokio::test]
async fn what_is_read_back_otherwise_than_it_was_written_does_not_count() {
    let from = place("from", MemoryStore::new());
    from.store().put(&ann(), &credential(0), Expect::Any).await.unwrap();
    let to = place("to", Faulty { forgets: AtomicBool::new(true), ..Faulty::default() });
    let (_, report) = migrate(&from, &to, DELETE).await;
    assert!(matches!(report.outcomes[0].1, Outcome::Failed(TransferError::NotAsWritten(_))), "{report:?}");
    assert!(from.store().get(&ann()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_full_disk_in_the_middle_keeps_the_whole_source_and_the_next_run_finishes() {
    let from = place("from", MemoryStore::new());
    let all = fill(from.store()).await;
    let full = Arc::new(Faulty { full_after: Some(5), ..Faulty::default() });
    let (_, report) = migrate(&from, &Place::new("to", full.clone()), DELETE).await;
    assert_eq!(report.failures().count(), all.len() - 5);
    assert_eq!(content(from.store()).await, all);
    let roomy = MemoryStore::new();
    for (key, credential) in content(&*full).await {
        roomy.put(&key, &credential, Expect::Absent).await.unwrap();
    }
    let to = place("to", roomy);
    assert!(migrate(&from, &to, DELETE).await.1.is_complete());
    assert_eq!(content(to.store()).await, all);
}

/// A store whose owner goes on working: each of the first reads is followed by a write of the next state, and so many
/// removals come right after one.
#[derive(Default)]
struct Restless {
    store: MemoryStore,
    writes: AtomicUsize,
    writes_at_removal: AtomicUsize,
}

fn one_less(left: usize) -> Option<usize> {
    left.checked_sub(1)
}

fn later(credential: &Credential) -> Credential {
    let expires_at = credential.expires_at.map(|at| Timestamp(at.0 + 3600));
    Credential { access_token: Some(Secret::new("ya29.later")), expires_at, ..credential.clone() }
}

#[async_trait]
impl CredentialStore for Restless {
    async fn get(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError> {
        let found = self.store.get(key).await?;
        if let Some(found) = &found
            && self.writes.fetch_update(SeqCst, SeqCst, one_less).is_ok()
        {
            self.store.put(key, &later(&found.value), Expect::Any).await?;
        }
        Ok(found)
    }

    async fn put(&self, key: &CredentialKey, credential: &Credential, expect: Expect) -> Result<Version, StoreError> {
        self.store.put(key, credential, expect).await
    }

    async fn delete(&self, key: &CredentialKey, expect: Expect) -> Result<bool, StoreError> {
        if let Some(found) = self.store.get(key).await?
            && self.writes_at_removal.fetch_update(SeqCst, SeqCst, one_less).is_ok()
        {
            self.store.put(key, &later(&found.value), Expect::Any).await?;
        }
        self.store.delete(key, expect).await
    }

    fn list(&self, filter: &KeyFilter) -> BoxStream<'_, Result<CredentialKey, StoreError>> {
        self.store.list(filter)
    }
}

#[tokio::test]
async fn what_a_server_writes_while_its_credential_is_removed_is_brought_along() {
    let (store, there) = (MemoryStore::new(), place("to", MemoryStore::new()));
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let newest = later(&later(&later(&credential(0))));
    let here = place("from", Restless { store, writes: AtomicUsize::new(3), ..Restless::default() });
    let (_, report) = migrate(&here, &there, DELETE).await;
    assert!(report.is_complete() && report.removed == 1, "{report:?}");
    assert_eq!(content(there.store()).await, BTreeMap::from([(ann(), newest)]));
    assert!(content(here.store()).await.is_empty());
}

#[tokio::test]
async fn what_a_server_writes_after_the_last_look_and_before_the_removal_survives() {
    let (store, there) = (MemoryStore::new(), place("to", MemoryStore::new()));
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let here = place("from", Restless { store, writes_at_removal: AtomicUsize::new(1), ..Restless::default() });
    let (_, report) = migrate(&here, &there, DELETE).await;
    assert!(report.is_complete() && report.removed == 1, "{report:?}");
    assert_eq!(content(there.store()).await, BTreeMap::from([(ann(), later(&credential(0)))]));
    assert!(content(here.store()).await.is_empty());
}

#[tokio::test]
async fn what_is_written_before_every_removal_is_kept_where_it_was() {
    let (store, there) = (MemoryStore::new(), place("to", MemoryStore::new()));
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let here = place("from", Restless { store, writes_at_removal: AtomicUsize::new(1000), ..Restless::default() });
    let (_, report) = migrate(&here, &there, DELETE).await;
    assert_eq!((report.removed, report.not_removed.len()), (0, 1), "{report:?}");
    let (kept, arrived) = (&content(here.store()).await[&ann()], &content(there.store()).await[&ann()]);
    assert_eq!(*kept, later(arrived), "the last write is in the source");
}

#[tokio::test]
async fn a_source_that_never_rests_is_not_removed() {
    let (store, there) = (MemoryStore::new(), place("to", MemoryStore::new()));
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let here = place("from", Restless { store, writes: AtomicUsize::new(1000), ..Restless::default() });
    let (_, report) = migrate(&here, &there, DELETE).await;
    assert_eq!((report.removed, report.not_removed.len()), (0, 1), "{report:?}");
    assert!(content(here.store()).await.contains_key(&ann()) && content(there.store()).await.contains_key(&ann()));
}

#[tokio::test]
async fn a_migration_that_is_stopped_ends_after_what_is_on_its_way_and_finishes_when_run_again() {
    let (from, to) = (place("from", MemoryStore::new()), place("to", MemoryStore::new()));
    for n in 0..2000 {
        let key = suite::key("google", &format!("user{n}@example.com"), "default");
        from.store().put(&key, &credential(n), Expect::Absent).await.unwrap();
    }
    let all = content(from.store()).await;
    let plan = migrate::plan(&from, &to).await.unwrap();
    let stop = tokio::sync::Notify::new();
    let stop_at = |at: Step| {
        let stop = &stop;
        move |step| {
            if step == at {
                stop.notify_one()
            }
        }
    };
    let stopped = migrate::run_until(&plan, &from, &to, DELETE, stop_at(Step::Copied(1)), stop.notified()).await;
    assert!(!stopped.is_of(&plan) && stopped.removed == 0, "nothing is removed before all have arrived");
    let arrived = content(to.store()).await;
    assert_eq!(arrived.len(), stopped.outcomes.len(), "what was on its way has arrived");
    assert!(!arrived.is_empty() && arrived.len() < all.len());

    let stopped = migrate::run_until(&plan, &from, &to, DELETE, stop_at(Step::Removed(1)), stop.notified()).await;
    assert!(stopped.is_of(&plan) && (1..2000).contains(&stopped.removed), "{}", stopped.removed);
    assert_eq!(content(to.store()).await, all);
    assert_eq!(content(from.store()).await.len(), all.len() - stopped.removed);

    let (_, report) = migrate(&from, &to, DELETE).await;
    assert!(report.is_complete());
    assert_eq!(content(to.store()).await, all);
    assert!(content(from.store()).await.is_empty());
}
