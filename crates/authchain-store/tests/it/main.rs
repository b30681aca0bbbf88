//! The stores as their users see them.
#![expect(clippy::unwrap_used, clippy::string_slice, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod archive;
mod backup;
mod desktop;
mod earlier;
mod every_format;
mod faults;
mod fernet;
mod files;
mod import;
mod killed;
mod migration;
mod migration_killed;
#[cfg(feature = "postgres")]
mod postgres;
mod processes;
mod properties;
mod python;
mod rotation;
mod sealed_format;
mod state;
mod suites;
mod users;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use authchain_core::CredentialKey;
use authchain_store::{FileForm, FileStore, seal::Keyring};
use authchain_testkit::suite;

/// The key of Ann's default group.
fn ann() -> CredentialKey {
    suite::key("google", "ann@example.com", "default")
}

/// The key of Bob's default group.
fn bob() -> CredentialKey {
    suite::key("google", "bob@example.com", "default")
}

/// A folder for one test.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

/// A sealed store with its key file in the same folder, as it is by default.
fn sealed(dir: &Path) -> FileStore {
    FileStore::open(dir, FileForm::Sealed(keyring(dir))).unwrap()
}

fn plain(dir: &Path) -> FileStore {
    FileStore::open(dir, FileForm::Plaintext).unwrap()
}

fn keyring(dir: &Path) -> Keyring {
    Keyring::open_or_create(&dir.join(".auth_encryption_key")).unwrap()
}

/// The names of the files in a folder that hold credentials, broken ones too.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

/// The only credential file in a folder.
fn only_file(dir: &Path) -> PathBuf {
    let names = names(dir);
    assert_eq!(names.len(), 1, "{names:?}");
    dir.join(&names[0])
}

/// Writes a file as another program would that keeps its files private.
fn write_private(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
