//! The store that a command works on.

use std::{path::Path, sync::Arc};

use authchain::{
    core::{AuthError, Cause, ErrorCode, StoreError},
    store::{
        MemoryStore, StorageMode,
        migrate::{Place, PlaceError},
        seal::Keyring,
    },
};
use authchain_server::config::Config;

use crate::failure::Failure;

/// Whether a folder that is not there is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfMissing {
    Create,
    /// It counts as empty, and nothing is written.
    Empty,
}

/// The configured store.
pub(super) async fn configured(config: &Config, missing: IfMissing) -> Result<Place, Failure> {
    in_folder(config.storage.mode, &config.storage.directory, missing).await
}

/// The store of a mode in a folder.
pub(super) async fn in_folder(mode: StorageMode, dir: &Path, missing: IfMissing) -> Result<Place, Failure> {
    if mode == StorageMode::MemoryOnly {
        return Err(Failure::of(
            ErrorCode::Configuration,
            "memory_only keeps credentials in the memory of the server: another process cannot reach them, and would lose \
             its own when it ends",
        )
        .fix("Set storage.mode to a mode that keeps something, or name one with --from and --to."));
    }
    if missing == IfMissing::Empty && !dir.exists() {
        return Ok(Place::new(format!("{mode} in {}", dir.display()), Arc::new(MemoryStore::new())));
    }
    let (dir, keyring) = (dir.to_owned(), keyring(mode, dir).await?);
    let opened = tokio::task::spawn_blocking(move || Place::in_folder(mode, &dir, &keyring)).await;
    match opened.map_err(|error| Failure::new(error, "Try again."))? {
        Ok(place) => Ok(place),
        Err(PlaceError::Store(error)) => Err(error.into()),
        Err(error) => Err(Failure::of(ErrorCode::Configuration, error)),
    }
}

/// The keys of a folder. A folder of plain files needs none, and gets none.
pub(super) async fn keyring(mode: StorageMode, dir: &Path) -> Result<Keyring, Failure> {
    let file = dir.join(".auth_encryption_key");
    if mode == StorageMode::FilePlaintext && !file.exists() {
        return Ok(Keyring::ephemeral());
    }
    let opened = tokio::task::spawn_blocking(move || Keyring::open_or_create(&file)).await;
    Ok(opened.map_err(|error| StoreError::unavailable("open the key file", error))??)
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
