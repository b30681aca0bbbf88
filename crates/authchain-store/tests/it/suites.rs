//! Every store passes the suites of the test kit.

use authchain_store::{BackupStore, FileForm, FileStore, MemoryState, MemoryStore, StateDb, seal::Keyring};
use authchain_testkit::suite;
use tempfile::TempDir;

use super::folder;

/// Folders that live as long as the test.
#[derive(Default)]
struct Folders(Vec<TempDir>);

impl Folders {
    fn next(&mut self) -> &std::path::Path {
        self.0.push(folder());
        self.0.last().unwrap().path()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plaintext_files_keep_the_promises_of_a_credential_store() {
    let mut folders = Folders::default();
    suite::credential_store(async || FileStore::open(folders.next(), FileForm::Plaintext).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sealed_files_keep_the_promises_of_a_credential_store() {
    let mut folders = Folders::default();
    suite::credential_store(async || FileStore::open(folders.next(), FileForm::Sealed(Keyring::ephemeral())).unwrap())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_keeps_the_promises_of_a_credential_store() {
    suite::credential_store(async || MemoryStore::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_with_backup_keeps_the_promises_of_a_credential_store() {
    let mut folders = Folders::default();
    suite::credential_store(async || BackupStore::open(folders.next(), Keyring::ephemeral()).unwrap()).await;
}

#[tokio::test]
async fn the_promises_hold_on_one_thread_too() {
    let mut folders = Folders::default();
    suite::credential_store(async || FileStore::open(folders.next(), FileForm::Sealed(Keyring::ephemeral())).unwrap())
        .await;
    suite::state_store(async |clock| StateDb::open(&folders.next().join("state.db"), clock).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_state_database_keeps_the_promises_of_a_state_store() {
    let mut folders = Folders::default();
    suite::state_store(async |clock| StateDb::open(&folders.next().join("state.db"), clock).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn state_in_memory_keeps_the_promises_of_a_state_store() {
    suite::state_store(async |clock| MemoryState::new(clock)).await;
}
