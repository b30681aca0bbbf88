//! Credential and state stores of authchain, and the sealing of what they hold.
//!
//! Credentials (durable, secret) live in a [`FileStore`], a [`MemoryStore`] or a [`BackupStore`]; [`open_credentials`]
//! opens the one that a [`StorageMode`] names. Short-lived state lives in a [`StateDb`] or a [`MemoryState`]. What is
//! sealed is sealed by a [`seal::Keyring`], in the format of `docs/sealed-format.md`.
//!
//! Every store passes the suites in `authchain_testkit::suite`; so can a store of your own.

pub mod archive;
mod authorized_user;
mod backup;
pub mod export;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod import;
mod lock;
mod memory;
pub mod migrate;
mod mode;
#[cfg(feature = "postgres")]
pub mod postgres;
mod private;
mod record;
pub mod rotation;
pub mod seal;
mod state;
pub mod transfer;
mod writer;

use std::{path::Path, sync::Arc};

use authchain_core::{CredentialStore, StoreError, Version};

pub use backup::BackupStore;
pub use file::FileStore;
pub use memory::MemoryStore;
pub use mode::{StorageMode, UnknownMode};
pub use record::FileForm;
pub use rotation::SealedRecords;
pub use seal::Encryption;
pub use state::{MemoryState, StateDb};

/// Opens the credential store that `mode` names, in `dir` where it has files.
///
/// # Errors
/// Those of [`FileStore::open`] and [`BackupStore::open`].
pub fn open_credentials(
    mode: StorageMode,
    dir: &Path,
    keyring: seal::Keyring,
) -> Result<Arc<dyn CredentialStore>, StoreError> {
    if let Some(sealed) = open_sealed(mode, dir, keyring, Encryption::AesGcm)? {
        return Ok(sealed);
    }
    match mode {
        StorageMode::FilePlaintext => Ok(Arc::new(FileStore::open(dir, FileForm::Plaintext)?)),
        StorageMode::MemoryOnly => Ok(Arc::new(MemoryStore::new())),
        other => Err(StoreError::Unsupported(format!("{other} is not a store of this folder"))),
    }
}

/// Opens the credential store that `mode` names, if it is one that seals its records in `dir`; otherwise `None`.
///
/// # Errors
/// Those of [`FileStore::open`] and [`BackupStore::open`].
pub fn open_sealed(
    mode: StorageMode,
    dir: &Path,
    keyring: seal::Keyring,
    encryption: Encryption,
) -> Result<Option<Arc<dyn SealedRecords>>, StoreError> {
    let form = FileForm::encrypted(encryption, keyring);
    Ok(match mode {
        StorageMode::FileEncrypted => Some(Arc::new(FileStore::open(dir, form)?)),
        StorageMode::MemoryWithBackup => Some(Arc::new(BackupStore::open_as(dir, form)?)),
        _ => None,
    })
}

/// A version that was never there before and will not come again: 63 random bits, which SQLite can hold, too.
fn fresh_version() -> Version {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    Version(u64::from_be_bytes(bytes) >> 1)
}
