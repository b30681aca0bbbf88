//! The store that a command works on, and its keys.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use authchain::{
    core::{AuthError, Cause, ErrorCode, StoreError, SystemClock},
    store::{
        MemoryStore, StorageMode,
        migrate::{Place, PlaceError},
        seal::Keyring,
    },
};
use authchain_server::{
    Storage,
    config::{Config, StorageSection},
};

use crate::failure::Failure;

/// Whether a folder that is not there is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfMissing {
    Create,
    /// It counts as empty, and nothing is written.
    Empty,
}

/// The configured store.
pub(super) async fn configured(config: &Config, missing: IfMissing) -> Result<Place, Failure> {
    open(&config.storage, missing).await
}

/// The store that a section names.
pub(super) async fn open(section: &StorageSection, missing: IfMissing) -> Result<Place, Failure> {
    let (mode, dir) = (section.mode, &section.directory);
    match mode {
        StorageMode::MemoryOnly => {
            let failure = Failure::of(
                ErrorCode::Configuration,
                "memory_only keeps credentials in the memory of the server: another process cannot reach them, and would \
                 lose its own when it ends",
            );
            Err(failure.fix("Set storage.mode to one that keeps something, or name one with --from and --to."))
        }
        StorageMode::Postgres => {
            let storage = Storage::open(section, Arc::new(SystemClock)).await?;
            Ok(Place::new("postgres", storage.credentials))
        }
        _ if missing == IfMissing::Empty && !dir.exists() => {
            Ok(Place::new(format!("{mode} in {}", dir.display()), Arc::new(MemoryStore::new())))
        }
        _ => {
            let (dir, encryption, keyring) = (dir.clone(), section.encryption, keyring(section).await?);
            match blocking(move || Place::in_folder(mode, &dir, &keyring, encryption)).await? {
                Ok(place) => Ok(place),
                Err(PlaceError::Store(error)) => Err(error.into()),
                Err(error) => Err(Failure::of(ErrorCode::Configuration, error)),
            }
        }
    }
}

/// The keys of a store. A folder of plain files needs none, and gets none.
async fn keyring(section: &StorageSection) -> Result<Keyring, Failure> {
    if section.mode == StorageMode::FilePlaintext && !has_keys(section) {
        return Ok(Keyring::ephemeral());
    }
    sealing_keys(section).await
}

/// The keys that something is sealed with which is no record; made at first use.
pub(super) async fn sealing_keys(section: &StorageSection) -> Result<Keyring, Failure> {
    Ok(Storage::keyring(section).await?)
}

/// Where the keys are, unless they come from the configuration or from a command.
pub(super) fn key_file(section: &StorageSection) -> PathBuf {
    section.key_file.clone().unwrap_or_else(|| section.directory.join(".auth_encryption_key"))
}

/// Whether there are keys already.
pub(super) fn has_keys(section: &StorageSection) -> bool {
    !section.keys.is_empty()
        || section.key_command.is_some()
        || section.desktop_keyring.is_some()
        || key_file(section).exists()
}

/// Does something where blocking is allowed.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::new(error, "Try again."))
}

/// A configuration that lacks something for this command.
pub(super) fn unconfigured(what: impl Into<String>) -> Failure {
    AuthError::Configuration(what.into()).into()
}

/// An error of the operating system about a file.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let cause = Cause::text(error.to_string());
    StoreError::Unavailable { what: format!("read {}", path.display()), cause }.into()
}
