//! What other rooms note beside a credential, and which credentials there are.

use authchain_core::{AuthError, Credential, CredentialKey, Expect, KeyFilter, StoreError};
use futures_util::TryStreamExt;
use serde_json::{Map, Value};

use super::{CredentialManager, SWAPS, expect_account, record::merge_sign_in};
use crate::CredentialEvent;

impl CredentialManager {
    /// The keys of what is stored, in no particular order.
    ///
    /// # Errors
    /// [`AuthError::Store`].
    pub async fn stored(&self, filter: &KeyFilter) -> Result<Vec<CredentialKey>, AuthError> {
        Ok(self.store.list(filter).try_collect().await?)
    }

    /// As [`CredentialManager::adopt`], with a last word on what is stored: `note` sees what was stored before and what
    /// will be, and may change the latter's `extra`. It runs once more when another writer was first.
    ///
    /// # Errors
    /// As [`CredentialManager::adopt`].
    pub async fn adopt_with(
        &self,
        key: &CredentialKey,
        signed_in: Credential,
        note: impl Fn(Option<&Credential>, &mut Map<String, Value>) + Send + Sync,
    ) -> Result<(), AuthError> {
        for _ in 0..SWAPS {
            let before = self.load(key).await?;
            let known = before.as_ref().map(|record| &record.credential);
            expect_account(key, known, &signed_in)?;
            let mut merged = merge_sign_in(known, signed_in.clone());
            note(known, &mut merged.extra);
            let expect = before.map_or(Expect::Absent, |record| Expect::Version(record.version));
            let now = self.clock.now();
            match self.put(key, &merged, expect).await {
                Ok(version) => {
                    self.memory.settle(key, self.hold(&merged, version, now, true));
                    self.tell(CredentialEvent::Adopted { key: key.clone() });
                    return Ok(());
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AuthError::Store(StoreError::Conflict { what: key.to_string() }))
    }

    /// Changes what is noted in a stored credential's `extra`, and nothing else of it. `false` when there is none.
    ///
    /// # Errors
    /// [`AuthError::Store`].
    pub async fn note(
        &self,
        key: &CredentialKey,
        change: impl Fn(&mut Map<String, Value>) + Send + Sync,
    ) -> Result<bool, AuthError> {
        for _ in 0..SWAPS {
            let Some(record) = self.load(key).await? else { return Ok(false) };
            let mut noted = record.credential.clone();
            change(&mut noted.extra);
            if noted.extra == record.stored.extra {
                return Ok(true);
            }
            match self.put(key, &noted, Expect::Version(record.version)).await {
                Ok(_) => return Ok(true),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AuthError::Store(StoreError::Conflict { what: key.to_string() }))
    }
}
