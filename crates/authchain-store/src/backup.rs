//! Memory in front of a folder of sealed files: reads come from memory, and every write is durable before it is
//! acknowledged.
//!
//! The folder has the same form as that of `file_encrypted`, so one can change between the two modes at any time.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use authchain_core::{
    BoxStream, Credential, CredentialKey, CredentialStore, Expect, KeyFilter, StoreError, Version, Versioned,
};

use crate::{file::FileStore, record::FileForm, seal::Keyring};

/// Credentials in memory, with a sealed file behind each.
///
/// Another process that writes in the folder is noticed when a write meets its version, when a key is asked for that is not
/// in memory, and by [`CredentialStore::get_newest`]; until then reads show what was here.
#[derive(Debug)]
pub struct BackupStore {
    files: FileStore,
    memory: Memory,
    /// Whether the last look at the files failed, so that it is said once.
    blind: AtomicBool,
}

type Memory = Arc<RwLock<HashMap<CredentialKey, Versioned<Credential>>>>;

impl BackupStore {
    /// Opens the folder and loads every record. One that cannot be read does not keep the others from working: whoever
    /// asks for it gets the error.
    ///
    /// # Errors
    /// Those of [`FileStore::open`].
    pub fn open(dir: &Path, keyring: Keyring) -> Result<Self, StoreError> {
        Self::open_as(dir, FileForm::Sealed(keyring))
    }

    /// As [`BackupStore::open`], with the files in another form than the sealed one.
    ///
    /// # Errors
    /// Those of [`FileStore::open`].
    pub fn open_as(dir: &Path, form: FileForm) -> Result<Self, StoreError> {
        let memory = Memory::default();
        let (mirror, keyring) = (Arc::clone(&memory), form.keyring().cloned());
        // What opens only together with a user's key must not stay open in memory when that key is taken away.
        let is_split = move |key: &CredentialKey| keyring.as_ref().is_some_and(|keyring| keyring.is_split(&key.user));
        let never_kept = is_split.clone();
        // The writing thread calls this in the order of its writes, so memory never falls back behind a file.
        let observer = Box::new(move |key: &CredentialKey, stored: Option<Versioned<Credential>>| {
            let mut memory = mirror.write().unwrap_or_else(PoisonError::into_inner);
            match stored {
                Some(stored) if !never_kept(key) => memory.insert(key.clone(), stored),
                _ => memory.remove(key),
            };
        });
        let files = FileStore::open_observed(dir, form, observer)?;
        let mut loaded = HashMap::new();
        for key in files.list_now(&KeyFilter::default())? {
            let read = key.and_then(|key| Ok(files.read_now(&key)?.map(|stored| (key, stored))));
            match read {
                Ok(Some((key, stored))) if !is_split(&key) => drop(loaded.insert(key, stored)),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a credential cannot be loaded"),
            }
        }
        *memory.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(Self { files, memory, blind: AtomicBool::new(false) })
    }

    /// The files behind the memory.
    pub(crate) const fn files(&self) -> &FileStore {
        &self.files
    }

    fn remembered(&self, key: &CredentialKey) -> Option<Versioned<Credential>> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

#[async_trait]
impl CredentialStore for BackupStore {
    async fn get(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError> {
        match self.remembered(key) {
            Some(stored) => Ok(Some(stored)),
            // Not there, or broken, or written by another process since; the file says which.
            None => self.files.get(key).await,
        }
    }

    async fn get_newest(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError> {
        let Some(remembered) = self.remembered(key) else { return self.files.get(key).await };
        let stored = match self.files.get(key).await {
            Ok(stored) => stored,
            Err(error) => {
                if !self.blind.swap(true, Ordering::Relaxed) {
                    tracing::error!(%key, %error, "the backup cannot be read; memory is gone on with");
                }
                return Ok(Some(remembered));
            }
        };
        if self.blind.swap(false, Ordering::Relaxed) {
            tracing::info!("the backup can be read again");
        }
        let version = |stored: &Versioned<Credential>| stored.version;
        if stored.as_ref().map(version) != Some(remembered.version) {
            // Forgotten and not replaced: a write of our own may have come in between, and only the writing thread knows
            // the order. Until it writes, the file is read.
            let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
            if memory.get(key).map(version) == Some(remembered.version) {
                memory.remove(key);
            }
        }
        Ok(stored)
    }

    async fn put(&self, key: &CredentialKey, credential: &Credential, expect: Expect) -> Result<Version, StoreError> {
        self.files.put(key, credential, expect).await
    }

    async fn delete(&self, key: &CredentialKey, expect: Expect) -> Result<bool, StoreError> {
        self.files.delete(key, expect).await
    }

    fn list(&self, filter: &KeyFilter) -> BoxStream<'_, Result<CredentialKey, StoreError>> {
        // Of the files, for those that cannot be read are listed, too.
        self.files.list(filter)
    }
}
