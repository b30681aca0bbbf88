//! The store that a command works on, and its keys.

use std::path::Path;

use authchain::{
    core::{AuthError, Cause, ErrorCode, StoreError},
    store::{StorageMode, migrate::Place, seal::Keyring},
};
pub(super) use authchain_server::control::{IfMissing, has_keys, key_file};
use authchain_server::{
    Storage,
    config::{Config, StorageSection},
    control::open_place,
};

use crate::failure::Failure;

/// The configured store.
pub(super) async fn configured(config: &Config, missing: IfMissing) -> Result<Place, Failure> {
    if config.storage.mode == StorageMode::MemoryOnly {
        let failure = Failure::of(
            ErrorCode::Configuration,
            "memory_only keeps credentials in the memory of the server: another process cannot reach them, and would \
             lose its own when it ends",
        );
        let fix = "Set storage.mode to one that keeps something. What a running server has in memory is moved with \
                   `authchain credentials migrate --from memory_only --to MODE`.";
        return Err(failure.fix(fix));
    }
    Ok(open_place(&config.storage, missing).await?)
}

/// The keys that something is sealed with which is no record; made at first use.
pub(super) async fn sealing_keys(section: &StorageSection) -> Result<Keyring, Failure> {
    Ok(Storage::keyring(section).await?)
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
