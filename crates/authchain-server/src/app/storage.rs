//! The stores and the keys that a configuration names, open. A server is built on them; commands look at them and change
//! them while servers run.

use std::sync::Arc;

use authchain::{
    core::{Clock, CredentialStore, StateStore, StoreError},
    store::{MemoryState, SealedRecords, StateDb, StorageMode, open_credentials, open_sealed, seal::Keyring},
};
use tracing::warn;

use super::StartError;
use crate::config::StorageSection;

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
                Ok(Self { keyring, credentials, sealed: None, state: Arc::new(MemoryState::new(clock)) })
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
        Ok(Self { keyring, credentials, sealed, state })
    }

    #[cfg(feature = "postgres")]
    async fn in_database(section: &StorageSection, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        use authchain::store::postgres::Postgres;

        use crate::config::ConfigError;

        let url =
            section.url.clone().ok_or_else(|| ConfigError::at("storage.url", "it is needed with mode postgres"))?;
        let from = section.clone();
        let keyring = blocking(move || keyring(&from)).await?;
        let database = Postgres::connect(&url).await?;
        let sealed: Arc<dyn SealedRecords> = Arc::new(database.credentials(keyring.clone()));
        let state = Arc::new(database.state(clock));
        Ok(Self { keyring, credentials: Arc::clone(&sealed) as Arc<dyn CredentialStore>, sealed: Some(sealed), state })
    }

    #[cfg(not(feature = "postgres"))]
    #[expect(clippy::unused_async, reason = "it connects where the feature is on")]
    async fn in_database(_: &StorageSection, _: Arc<dyn Clock>) -> Result<Self, StartError> {
        let why = "this program was built without PostgreSQL: build it with --features postgres";
        Err(crate::config::ConfigError::at("storage.mode", why).into())
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
