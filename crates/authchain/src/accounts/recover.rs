//! After the loss of the state database: the links are written anew from the notes beside the credentials.

use std::{collections::BTreeMap, time::Duration};

use authchain_core::{AuthError, Expect, KeyFilter, Namespace, StateKey, StoreError, Timestamp};
use tracing::{info, warn};

use super::{
    Account, Accounts, Linked, Owned,
    note::{Switched, switched},
    owners,
};

/// Says that the records have been made once in this database.
const RECOVERED: Namespace = Namespace("accounts-recovered");

impl Accounts {
    /// Writes the records of a new state database from the notes beside the credentials; does nothing where that was done
    /// before. How many links there were.
    ///
    /// # Errors
    /// [`AuthError::Store`]. A credential that cannot be read is left out, with a warning.
    pub async fn recover(&self) -> Result<usize, AuthError> {
        let done = StateKey::new(RECOVERED, "1");
        if self.state.get(&done).await?.is_some() {
            return Ok(0);
        }
        let links = self.recover_again().await?;
        self.state.put(&done, b"1", Duration::MAX, Expect::Any).await?;
        Ok(links)
    }

    /// As [`Accounts::recover`], also where it was done before: after credentials came with their notes from another store.
    /// Whoever has a record keeps it as it is.
    ///
    /// # Errors
    /// As [`Accounts::recover`].
    pub async fn recover_again(&self) -> Result<usize, AuthError> {
        let mut found: BTreeMap<Account, Owned> = BTreeMap::new();
        let mut active: BTreeMap<Account, (Timestamp, Account)> = BTreeMap::new();
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
            for Switched { owner, at } in switched(&credential.extra) {
                let last = active.entry(owner).or_insert_with(|| (at, account.clone()));
                if at > last.0 {
                    *last = (at, account.clone());
                }
            }
            for owner in owners(&credential.extra).unwrap_or_default() {
                let owned = found.entry(owner.clone()).or_default();
                if owner != account && owned.find(&account).is_none() {
                    let (subject, since) = (credential.subject.clone(), credential.granted_at);
                    owned.linked.push(Linked { account: account.clone(), subject, since });
                    links += 1;
                }
            }
        }
        for (owner, mut owned) in found {
            owned.active = active.remove(&owner).map(|(_, account)| account).filter(|to| owned.find(to).is_some());
            let record = serde_json::to_vec(&owned).map_err(|e| StoreError::Unsupported(e.to_string()))?;
            match self.state.put(&owner.record(), &record, Duration::MAX, Expect::Absent).await {
                // Another instance was first, or the person has linked an account since: theirs is newer.
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if links > 0 {
            info!(links, "linked accounts were found beside their credentials");
        }
        Ok(links)
    }
}
