//! Changing the key that records are sealed with, while servers run: which keys are needed, and sealing one record anew.

use std::collections::BTreeMap;

use async_trait::async_trait;
use authchain_core::{CredentialKey, CredentialStore, Expect, KeyFilter, StoreError};
use futures_util::StreamExt;

use crate::{BackupStore, FileStore, seal::KeyId};

/// A store that seals what it holds, and can tell with which keys.
#[async_trait]
pub trait SealedRecords: CredentialStore {
    /// The keys that a record opens with, any one of them. `None` when there is no such record; an empty list when no key
    /// at hand opens it and it names none.
    ///
    /// # Errors
    /// As [`CredentialStore::get`].
    async fn sealed_with(&self, key: &CredentialKey) -> Result<Option<Vec<KeyId>>, StoreError>;

    /// Seals a record for the primary key without opening what is in it, which may take a user's key, too. Whether there was
    /// something to do; there is not where a key that is not at hand is the only one.
    ///
    /// # Errors
    /// As [`CredentialStore::put`].
    async fn rewrap(&self, key: &CredentialKey) -> Result<bool, StoreError>;

    /// Waits until every write that began before now, in any process, can be seen.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when that takes too long.
    async fn settle(&self) -> Result<(), StoreError>;
}

#[async_trait]
impl SealedRecords for FileStore {
    async fn sealed_with(&self, key: &CredentialKey) -> Result<Option<Vec<KeyId>>, StoreError> {
        self.keys_of(key).await
    }

    async fn rewrap(&self, key: &CredentialKey) -> Result<bool, StoreError> {
        Self::rewrap(self, key).await
    }

    async fn settle(&self) -> Result<(), StoreError> {
        Self::settle(self).await
    }
}

#[async_trait]
impl SealedRecords for BackupStore {
    async fn sealed_with(&self, key: &CredentialKey) -> Result<Option<Vec<KeyId>>, StoreError> {
        self.files().keys_of(key).await
    }

    async fn rewrap(&self, key: &CredentialKey) -> Result<bool, StoreError> {
        self.files().rewrap(key).await
    }

    async fn settle(&self) -> Result<(), StoreError> {
        self.files().settle().await
    }
}

/// Which keys the records of a store need.
#[derive(Debug, Default)]
pub struct Usage {
    /// How many records open with a key; one that several keys open counts for each.
    pub records: BTreeMap<KeyId, u64>,
    /// How many records open with this key and with no other.
    pub only: BTreeMap<KeyId, u64>,
    /// Records that do not tell, with the reason: they cannot be read, or no key at hand opens them.
    pub unknown: Vec<(String, String)>,
}

/// Looks through a store for the keys that its records need.
///
/// # Errors
/// [`StoreError::Unavailable`] when the store cannot be listed.
pub async fn usage(store: &dyn SealedRecords) -> Result<Usage, StoreError> {
    let mut usage = Usage::default();
    let mut keys = store.list(&KeyFilter::default());
    while let Some(key) = keys.next().await {
        let key = match key {
            Ok(key) => key,
            Err(error @ StoreError::Unavailable { .. }) => return Err(error),
            Err(error) => {
                usage.unknown.push(("a record".into(), error.to_string()));
                continue;
            }
        };
        match store.sealed_with(&key).await {
            Ok(None) => {}
            Ok(Some(ids)) => {
                if ids.is_empty() {
                    usage.unknown.push((key.to_string(), "no key at hand opens it".into()));
                }
                if let [only] = ids.as_slice() {
                    *usage.only.entry(*only).or_default() += 1;
                }
                ids.into_iter().for_each(|id| *usage.records.entry(id).or_default() += 1);
            }
            Err(error @ StoreError::Unavailable { .. }) => return Err(error),
            Err(error) => usage.unknown.push((key.to_string(), error.to_string())),
        }
    }
    Ok(usage)
}

/// What became of a record that was to be sealed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resealed {
    /// It is sealed with the primary key now.
    Done,
    /// It was already; or a server has written it in the meantime.
    Already,
    /// There is no such record any more.
    Gone,
}

/// Seals one record with the primary key, unless it is. Servers may write it at the same time: nothing of theirs is lost.
///
/// # Errors
/// As [`CredentialStore::get`] and [`CredentialStore::put`]; the record stays as it was.
pub async fn reseal(store: &dyn SealedRecords, key: &CredentialKey, primary: KeyId) -> Result<Resealed, StoreError> {
    /// A record that changes faster than this is being sealed by those who change it.
    const TRIES: usize = 16;
    let mut lost = None;
    for _ in 0..TRIES {
        match store.sealed_with(key).await? {
            None => return Ok(Resealed::Gone),
            Some(ids) if ids == [primary] => return Ok(Resealed::Already),
            Some(_) => {}
        }
        let read = match store.get(key).await {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(Resealed::Gone),
            // It opens only together with a user's key. The server's part of it can be changed all the same.
            Err(error @ StoreError::WrongKey { .. }) => match store.rewrap(key).await {
                Ok(true) => return Ok(Resealed::Done),
                Ok(false) => return Err(error),
                Err(conflict @ StoreError::Conflict { .. }) => {
                    lost = Some(conflict);
                    continue;
                }
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        };
        match store.put(key, &read.value, Expect::Version(read.version)).await {
            Ok(_) => return Ok(Resealed::Done),
            Err(error @ StoreError::Conflict { .. }) => lost = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(lost.unwrap_or_else(|| StoreError::Conflict { what: key.to_string() }))
}
