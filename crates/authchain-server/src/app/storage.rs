//! The stores and the keys that a configuration names, open. A server is built on them; commands look at them and change
//! them while servers run.

use std::{sync::Arc, time::Duration};

use authchain::{
    core::{Clock, CredentialStore, StateStore, StoreError},
    provider::CredentialManager,
    store::{MemoryState, SealedRecords, StateDb, StorageMode, open_credentials, open_sealed, seal::Keyring},
};
use tracing::warn;

use super::StartError;
use crate::config::StorageSection;

/// How often the key file is looked at where nothing is written.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Open stores and their keys.
#[derive(Clone)]
pub struct Storage {
    /// What seals.
    pub keyring: Keyring,
    /// The credentials.
    pub credentials: Arc<dyn CredentialStore>,
    /// The same, where they are sealed.
    pub sealed: Option<Arc<dyn SealedRecords>>,
    /// Grants, sessions, signing keys and what else lives shorter than credentials.
    pub state: Arc<dyn StateStore>,
    #[cfg(feature = "postgres")]
    database: Option<Arc<authchain::store::postgres::PostgresStore>>,
}

impl Storage {
    /// Opens what a configuration names.
    ///
    /// # Errors
    /// [`StartError`], which says what to mend.
    pub async fn open(section: &StorageSection, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        match section.mode {
            // Nothing ever touches the disk: neither keys nor state.
            StorageMode::MemoryOnly => {
                let keyring = Keyring::ephemeral();
                let credentials = open_credentials(section.mode, &section.directory, keyring.clone())?;
                Ok(Self {
                    keyring,
                    credentials,
                    sealed: None,
                    state: Arc::new(MemoryState::new(clock)),
                    #[cfg(feature = "postgres")]
                    database: None,
                })
            }
            StorageMode::Postgres => Self::in_database(section, clock).await,
            _ => {
                if section.mode == StorageMode::FilePlaintext {
                    warn!("storage.mode is file_plaintext: whoever reads the folder reads the refresh tokens");
                }
                let section = section.clone();
                Ok(blocking(move || Self::in_folder(&section, clock)).await?)
            }
        }
    }

    fn in_folder(section: &StorageSection, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let (mode, directory) = (section.mode, section.directory.as_path());
        let keyring = keyring(section)?;
        let state: Arc<dyn StateStore> = Arc::new(StateDb::open(&directory.join("state.db"), clock)?);
        let sealed = open_sealed(mode, directory, keyring.clone(), section.encryption)?;
        let credentials = match &sealed {
            Some(sealed) => Arc::clone(sealed) as Arc<dyn CredentialStore>,
            None => open_credentials(mode, directory, keyring.clone())?,
        };
        Ok(Self {
            keyring,
            credentials,
            sealed,
            state,
            #[cfg(feature = "postgres")]
            database: None,
        })
    }

    #[cfg(feature = "postgres")]
    async fn in_database(section: &StorageSection, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        use authchain::store::postgres::Postgres;

        use crate::config::ConfigError;

        let url =
            section.url.clone().ok_or_else(|| ConfigError::at("storage.url", "it is needed with mode postgres"))?;
        let keyring = Self::keyring(section).await?;
        let database = Postgres::connect_trusting(&url, &section.trust).await?;
        let store = Arc::new(database.credentials(keyring.clone()));
        let state = Arc::new(database.state(clock));
        Ok(Self { keyring, credentials: store.clone(), sealed: Some(store.clone()), state, database: Some(store) })
    }

    #[cfg(not(feature = "postgres"))]
    #[expect(clippy::unused_async, reason = "it connects where the feature is on")]
    async fn in_database(_: &StorageSection, _: Arc<dyn Clock>) -> Result<Self, StartError> {
        let why = "this program was built without PostgreSQL: build it with --features postgres";
        Err(crate::config::ConfigError::at("storage.mode", why).into())
    }
}

/// Looks after what other processes change, as long as it lives: keys in the key file, credentials in the database.
pub(super) struct Watch(Vec<tokio::task::AbortHandle>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

impl Storage {
    /// Takes up new keys, and what other servers write, from now on.
    pub(super) fn watch(&self, manager: &Arc<CredentialManager>) -> Watch {
        let keyring = self.keyring.clone();
        let keys = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let keyring = keyring.clone();
                if let Ok(Err(error)) = tokio::task::spawn_blocking(move || keyring.refresh()).await {
                    warn!(%error, "the keys cannot be read again; those at hand stay");
                }
            }
        });
        let mut watch = Watch(vec![keys.abort_handle()]);
        #[cfg(feature = "postgres")]
        if let Some(database) = &self.database {
            use authchain::store::postgres::Change;
            let (mut changes, manager) = (database.changes(), manager.clone());
            let heard = tokio::spawn(async move {
                while let Some(change) = changes.next().await {
                    match change {
                        Change::Of(key) => manager.changed_elsewhere(Some(&key)),
                        Change::Anything => manager.changed_elsewhere(None),
                    }
                }
            });
            watch.0.push(heard.abort_handle());
        }
        #[cfg(not(feature = "postgres"))]
        let _ = (manager, &mut watch);
        watch
    }
}

impl Storage {
    /// The keys alone, from where the configuration says; made at first use where that is possible.
    ///
    /// # Errors
    /// Those of [`Keyring`]'s constructors.
    pub async fn keyring(section: &StorageSection) -> Result<Keyring, StoreError> {
        let section = section.clone();
        blocking(move || keyring(&section)).await
    }
}

/// The keys, from where the configuration says.
fn keyring(section: &StorageSection) -> Result<Keyring, StoreError> {
    if !section.keys.is_empty() {
        return Keyring::from_keys(&section.keys, "storage.keys");
    }
    if let Some(command) = &section.key_command {
        return Keyring::from_command(command);
    }
    if let Some(name) = &section.desktop_keyring {
        return Keyring::from_desktop(name, &section.directory);
    }
    let usual = section.directory.join(".auth_encryption_key");
    Keyring::open_or_create(section.key_file.as_ref().unwrap_or(&usual))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(StoreError::unavailable("opening the store", error)),
    }
}
