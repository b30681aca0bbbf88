//! Credentials in memory and nowhere else.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use authchain_core::{
    BoxStream, Credential, CredentialKey, CredentialStore, Expect, KeyFilter, StoreError, Version, Versioned,
};
use futures_util::stream;

/// Credentials that never touch a disk and are gone when the process ends.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    credentials: HashMap<CredentialKey, Versioned<Credential>>,
    writes: u64,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // No operation leaves the map half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl CredentialStore for MemoryStore {
    async fn get(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError> {
        Ok(self.inner().credentials.get(key).cloned())
    }

    async fn put(&self, key: &CredentialKey, credential: &Credential, expect: Expect) -> Result<Version, StoreError> {
        let mut inner = self.inner();
        if !expect.allows(inner.credentials.get(key).map(|stored| stored.version)) {
            return Err(StoreError::Conflict { what: key.to_string() });
        }
        inner.writes += 1;
        let version = Version(inner.writes);
        inner.credentials.insert(key.clone(), Versioned { value: credential.clone(), version });
        Ok(version)
    }

    async fn delete(&self, key: &CredentialKey, expect: Expect) -> Result<bool, StoreError> {
        let mut inner = self.inner();
        let Some(stored) = inner.credentials.get(key) else { return Ok(false) };
        if !expect.allows(Some(stored.version)) {
            return Err(StoreError::Conflict { what: key.to_string() });
        }
        Ok(inner.credentials.remove(key).is_some())
    }

    fn list(&self, filter: &KeyFilter) -> BoxStream<'_, Result<CredentialKey, StoreError>> {
        let inner = self.inner();
        let keys: Vec<_> = inner.credentials.keys().filter(|key| filter.matches(key)).cloned().map(Ok).collect();
        Box::pin(stream::iter(keys))
    }
}
