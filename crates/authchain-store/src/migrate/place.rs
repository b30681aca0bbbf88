//! The two ends of a migration: a store, and how to call it.

use std::{fmt, path::Path, sync::Arc};

use authchain_core::{CredentialStore, StoreError};

use crate::{Encryption, FileForm, FileStore, StorageMode, seal::Keyring};

/// A store with a name that people know it by.
#[derive(Clone)]
pub struct Place {
    name: String,
    store: Arc<dyn CredentialStore>,
    /// What this place and another share if they are the same records.
    identity: String,
}

/// Why a place cannot be an end of a migration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// What is in the memory of a process is reached by that process only, which has it as [`Place::new`].
    #[error("memory_only keeps records in the memory of a server: only a migration inside that server reaches them")]
    Memory,
    /// Such a store is opened by its address: see [`Place::new`].
    #[error("{0} is not kept in a folder")]
    NoFolder(StorageMode),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Place {
    /// Any store. `name` is for people, and the same for the same records only.
    pub fn new(name: impl Into<String>, store: Arc<dyn CredentialStore>) -> Self {
        let name = name.into();
        Self { identity: name.clone(), name, store }
    }

    /// What a mode with files keeps in a folder. `memory_with_backup` keeps the same files as `file_encrypted`; here they
    /// are read from the disk, so that what is read back was written. `encryption` is for those that are encrypted.
    ///
    /// # Errors
    /// [`PlaceError`], and those of [`FileStore::open`].
    pub fn in_folder(
        mode: StorageMode,
        dir: &Path,
        keyring: &Keyring,
        encryption: Encryption,
    ) -> Result<Self, PlaceError> {
        let form = match mode {
            StorageMode::FilePlaintext => FileForm::Plaintext,
            StorageMode::FileEncrypted | StorageMode::MemoryWithBackup => {
                FileForm::encrypted(encryption, keyring.clone())
            }
            StorageMode::MemoryOnly => return Err(PlaceError::Memory),
            StorageMode::Postgres => return Err(PlaceError::NoFolder(mode)),
        };
        let extension = form.extension();
        let store = Arc::new(FileStore::open(dir, form)?);
        let folder = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        let identity = format!("*.{extension} in {}", folder.display());
        Ok(Self { name: format!("{mode} in {}", dir.display()), store, identity })
    }

    /// The store.
    pub fn store(&self) -> &dyn CredentialStore {
        &*self.store
    }

    /// The store, to share.
    pub fn shared(&self) -> Arc<dyn CredentialStore> {
        Arc::clone(&self.store)
    }

    /// Whether both are the same records, so that there is nothing to move.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.identity).finish()
    }
}
