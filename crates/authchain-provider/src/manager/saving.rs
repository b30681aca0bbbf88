//! Saving what a refresh brought: compare and swap against other processes, and patience with a store that fails.

use std::sync::Arc;

use authchain_core::{AuthError, Credential, CredentialKey, Expect, StoreError, Version};

use super::{
    CredentialManager,
    memory::Unsaved,
    record::{Record, Resolution, resolve},
};
use crate::{CredentialEvent, RetryPolicy};

/// So many times another writer may be first.
const SWAPS: usize = 8;

/// What became of saving.
pub(super) enum Saved {
    /// It is stored, as this version.
    Ours(Version),
    /// Another process was first and its credential is kept.
    Theirs(Box<Record>),
    /// It was disconnected meanwhile.
    Gone,
    /// The store did not take it.
    Failed(StoreError),
}

impl CredentialManager {
    /// The newest that is known of a credential: the stored one, or what the store did not take so far.
    pub(super) async fn load(&self, key: &CredentialKey) -> Result<Option<Record>, AuthError> {
        let unsaved = self.memory.look(key, |entry| entry.unsaved.clone());
        let stored = match (self.store.get_newest(key).await, &unsaved) {
            (Ok(stored), _) => stored.map(Record::from),
            (Err(error), None) => return Err(error.into()),
            (Err(error), Some(unsaved)) => {
                tracing::warn!(%key, %error, "the store cannot be read; going on with what is in memory");
                return Ok(Some(Record { credential: unsaved.credential.clone(), ..unsaved.base.clone() }));
            }
        };
        let Some(unsaved) = unsaved else { return Ok(stored) };
        let Some(record) = stored else {
            self.memory.forget_unsaved(key, &unsaved);
            return Ok(None);
        };
        Ok(Some(match resolve(&unsaved.base.stored, &unsaved.credential, &record.stored) {
            Resolution::Ours(credential) => Record { credential: *credential, ..record },
            Resolution::Theirs => {
                self.memory.forget_unsaved(key, &unsaved);
                record
            }
        }))
    }

    /// Stores `ours`, which was made from `base`, unless another process got further meanwhile.
    pub(super) async fn save(&self, key: &CredentialKey, base: &Record, ours: &Credential) -> Saved {
        let mut ours = ours.clone();
        let mut version = base.version;
        for _ in 0..SWAPS {
            match self.put(key, &ours, Expect::Version(version)).await {
                Ok(version) => return Saved::Ours(version),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Saved::Failed(error),
            }
            let theirs = match self.store.get_newest(key).await {
                Ok(Some(theirs)) => theirs,
                Ok(None) => return Saved::Gone,
                Err(error) => return Saved::Failed(error),
            };
            match resolve(&base.stored, &ours, &theirs.value) {
                Resolution::Theirs => return Saved::Theirs(Box::new(theirs.into())),
                Resolution::Ours(merged) => (ours, version) = (*merged, theirs.version),
            }
        }
        Saved::Failed(StoreError::Conflict { what: key.to_string() })
    }

    /// A write with an end: a write that is given up may still happen, and the next one will find its version changed.
    pub(super) async fn put(
        &self,
        key: &CredentialKey,
        credential: &Credential,
        expect: Expect,
    ) -> Result<Version, StoreError> {
        let patience = self.options.save_patience;
        tokio::time::timeout(patience, self.store.put(key, credential, expect)).await.unwrap_or_else(|slow| {
            Err(StoreError::unavailable(format!("writing {key} takes longer than {patience:?}"), slow))
        })
    }

    /// Tries in the background, until it works, to save what the store did not take.
    pub(super) fn keep_saving(&self, key: &CredentialKey, unsaved: Arc<Unsaved>) {
        let (first_pause, longest_pause) = self.options.save_pauses;
        let pauses = RetryPolicy { first_pause, longest_pause, ..RetryPolicy::default() };
        let (manager, key) = (self.me.clone(), key.clone());
        tokio::spawn(async move {
            for failures in 1.. {
                tokio::time::sleep(pauses.pause(failures)).await;
                let Some(manager) = manager.upgrade() else { return };
                if manager.try_again_to_save(&key, &unsaved).await.is_ok() {
                    return;
                }
            }
        });
    }

    /// One attempt. `Ok` when there is nothing left to do.
    pub(super) async fn try_again_to_save(
        &self,
        key: &CredentialKey,
        unsaved: &Arc<Unsaved>,
    ) -> Result<(), StoreError> {
        if !self.memory.is_waiting(key, unsaved) {
            return Ok(());
        }
        match self.save(key, &unsaved.base, &unsaved.credential).await {
            Saved::Failed(error) => {
                tracing::warn!(%key, %error, "a fresh token can still not be saved");
                return Err(error);
            }
            Saved::Ours(_) => {
                tracing::info!(%key, "the fresh token that could not be saved is saved now");
                self.tell(CredentialEvent::Saved { key: key.clone() });
            }
            Saved::Theirs(_) | Saved::Gone => {
                tracing::info!(%key, "the fresh token need not be saved any more: another process was further");
            }
        }
        self.memory.forget_unsaved(key, unsaved);
        Ok(())
    }
}
