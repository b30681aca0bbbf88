//! Changing the keys that seal while servers run: which are needed and by what, sealing anew, and taking one away for good.

use std::{collections::BTreeMap, time::Duration};

use authchain::{
    core::{StoreError, SystemClock},
    grants::Grants,
    store::{
        rotation::{Usage, usage},
        seal::KeyId,
    },
};

use super::{signing, storage::Storage};

/// What needs which key.
#[derive(Debug, Default)]
pub struct KeysInUse {
    /// The credentials; nothing where they are not sealed.
    pub credentials: Usage,
    /// The keys that the server's own signing keys open with, any of them.
    pub signing: Vec<KeyId>,
    /// Of how many sign-ins of clients the refresh token is derived from a key. They change to the primary key when they
    /// are used next.
    pub sign_ins: BTreeMap<String, u64>,
}

impl KeysInUse {
    /// What would be lost with a key, in words; `None` when nothing would.
    pub fn needed_by(&self, id: KeyId) -> Option<String> {
        let mut needs = Vec::new();
        match self.credentials.only.get(&id) {
            None => {}
            Some(1) => needs.push("1 credential".to_owned()),
            Some(count) => needs.push(format!("{count} credentials")),
        }
        if let Some((name, why)) = self.credentials.unknown.first() {
            let count = self.credentials.unknown.len();
            needs.push(format!("perhaps {count} that cannot be read, {name} among them ({why})"));
        }
        if self.signing == [id] {
            needs.push("the server's signing keys".to_owned());
        }
        match self.sign_ins.get(&id.to_string()) {
            None => {}
            Some(1) => needs.push("1 client's sign-in, until it is used next".to_owned()),
            Some(count) => needs.push(format!("{count} clients' sign-ins, each until it is used next")),
        }
        (!needs.is_empty()).then(|| needs.join("; "))
    }
}

/// Why a key is not taken away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetireError {
    /// Something opens with it and with no other.
    #[error("{id} is still needed: {by}")]
    Needed {
        /// The key.
        id: KeyId,
        /// What needs it, in words.
        by: String,
    },
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Storage {
    /// Looks at everything that is sealed or derived.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn keys_in_use(&self) -> Result<KeysInUse, StoreError> {
        let credentials = match &self.sealed {
            Some(sealed) => usage(&**sealed).await?,
            None => Usage::default(),
        };
        let signing = signing::sealed_with(&self.state).await?.unwrap_or_default();
        let grants = Grants::new(self.state.clone(), std::sync::Arc::new(SystemClock), Duration::MAX);
        Ok(KeysInUse { credentials, signing, sign_ins: grants.keys_in_use().await? })
    }

    /// Seals the server's signing keys for the primary key. `false` when they are already.
    ///
    /// # Errors
    /// What the store says, or that no key at hand opens them.
    pub async fn reseal_signing_keys(&self) -> Result<bool, StoreError> {
        signing::reseal(&self.state, &self.keyring).await
    }

    /// Takes a key away for good, unless something needs it.
    ///
    /// A server that was sealing with it in this very moment is noticed: then the key is brought back.
    ///
    /// # Errors
    /// [`RetireError::Needed`] when something needs it.
    pub async fn retire(&self, id: KeyId) -> Result<(), RetireError> {
        self.refuse_if_needed(id).await?;
        let keyring = self.keyring.clone();
        let retired = blocking(move || keyring.retire(id)).await?;
        if let Some(sealed) = &self.sealed {
            sealed.settle().await?;
        }
        if let Err(error) = self.refuse_if_needed(id).await {
            let keyring = self.keyring.clone();
            blocking(move || keyring.bring_back(&retired)).await?;
            return Err(error);
        }
        Ok(())
    }

    async fn refuse_if_needed(&self, id: KeyId) -> Result<(), RetireError> {
        match self.keys_in_use().await?.needed_by(id) {
            Some(by) => Err(RetireError::Needed { id, by }),
            None => Ok(()),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(StoreError::unavailable("change the key file", error)))
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use authchain::{
        core::{CredentialKey, Expect, ProviderId, UserId},
        store::rotation::reseal,
    };
    use authchain_testkit::suite::credential;

    use super::*;
    use crate::config::Sources;

    async fn storage(dir: &Path) -> Storage {
        let config = Sources::new().set("storage.directory", dir.join("c").display(), "--data").load().unwrap();
        Storage::open(&config.storage, Arc::new(SystemClock)).await.unwrap()
    }

    fn ann() -> CredentialKey {
        CredentialKey::new(ProviderId::google(), UserId::new("ann@example.com").unwrap())
    }

    #[tokio::test]
    async fn a_key_is_retired_only_when_nothing_needs_it() {
        let dir = tempfile::tempdir().unwrap();
        let (server, command) = (storage(dir.path()).await, storage(dir.path()).await);
        server.credentials.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
        signing::open(&server.state, &server.keyring, &(Arc::new(SystemClock) as _)).await.unwrap();
        let old = command.keyring.ids()[0];
        let new = command.keyring.rotate().unwrap();

        let refused = command.retire(old).await.unwrap_err().to_string();
        assert!(refused.contains("1 credential") && refused.contains("signing keys"), "{refused}");
        reseal(&**command.sealed.as_ref().unwrap(), &ann(), new).await.unwrap();
        let refused = command.retire(old).await.unwrap_err().to_string();
        assert!(!refused.contains("credential") && refused.contains("signing keys"), "{refused}");
        assert!(command.reseal_signing_keys().await.unwrap());
        assert!(!command.reseal_signing_keys().await.unwrap(), "once is enough");
        command.retire(old).await.unwrap();

        assert_eq!(command.keyring.ids(), [new]);
        assert_eq!(server.credentials.get(&ann()).await.unwrap().unwrap().value, credential(0));
        server.credentials.put(&ann(), &credential(1), Expect::Any).await.expect("a running server goes on");
        signing::open(&server.state, &server.keyring, &(Arc::new(SystemClock) as _)).await.unwrap();
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_keeps_every_key() {
        let dir = tempfile::tempdir().unwrap();
        let storage = storage(dir.path()).await;
        storage.credentials.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
        let old = storage.keyring.ids()[0];
        storage.keyring.rotate().unwrap();
        std::fs::write(dir.path().join("c/google~ann@example.com~default.enc"), "broken").unwrap();
        let refused = storage.retire(old).await.unwrap_err().to_string();
        assert!(refused.contains("cannot be read"), "{refused}");
    }

    #[test]
    fn a_sign_in_needs_the_key_of_its_refresh_token() {
        let id = authchain::store::seal::Keyring::ephemeral().ids()[0];
        let in_use = KeysInUse { sign_ins: [(id.to_string(), 3)].into(), ..KeysInUse::default() };
        assert!(in_use.needed_by(id).unwrap().contains("3 clients"));
    }
}
