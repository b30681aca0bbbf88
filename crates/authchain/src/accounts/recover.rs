//! After the loss of the state database: the links are written anew from the notes beside the credentials.

use std::{collections::BTreeMap, time::Duration};

use authchain_core::{AuthError, Expect, KeyFilter, Namespace, StateKey, StoreError};
use tracing::{info, warn};

use super::{Account, Accounts, Linked, Owned, owners};

/// Says that the records have been made once in this database.
const RECOVERED: Namespace = Namespace("accounts-recovered");

impl Accounts {
    /// Writes the records of a new state database from the notes beside the credentials; does nothing where that was done
    /// before. Which account was active is not noted: everybody's is their primary one again. How many links there were.
    ///
    /// # Errors
    /// [`AuthError::Store`]. A credential that cannot be read is left out, with a warning.
    pub async fn recover(&self) -> Result<usize, AuthError> {
        let done = StateKey::new(RECOVERED, "1");
        if self.state.get(&done).await?.is_some() {
            return Ok(0);
        }
        let mut found: BTreeMap<Account, Owned> = BTreeMap::new();
        let mut links = 0;
        for key in self.credentials.stored(&KeyFilter::default()).await? {
            let credential = match self.credentials.credential(&key).await {
                Ok(Some(credential)) => credential,
                Ok(None) => continue,
                Err(error) => {
                    warn!(%key, %error, "whose account this is cannot be read; its links are not recovered");
                    continue;
                }
            };
            let account = Account::from(&key);
            for owner in owners(&credential.extra).unwrap_or_default() {
                let owned = found.entry(owner.clone()).or_default();
                if owner != account && owned.find(&account).is_none() {
                    let (subject, since) = (credential.subject.clone(), credential.granted_at);
                    owned.linked.push(Linked { account: account.clone(), subject, since });
                    links += 1;
                }
            }
        }
        for (owner, owned) in found {
            let record = serde_json::to_vec(&owned).map_err(|e| StoreError::Unsupported(e.to_string()))?;
            match self.state.put(&owner.record(), &record, Duration::MAX, Expect::Absent).await {
                // Another instance was first, or the person has linked an account since: theirs is newer.
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.state.put(&done, b"1", Duration::MAX, Expect::Any).await?;
        if links > 0 {
            info!(links, "linked accounts were found beside their credentials");
        }
        Ok(links)
    }
}
