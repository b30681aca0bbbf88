//! The store that a section of the configuration names, as one end of a migration.

use std::{path::PathBuf, sync::Arc};

use authchain::{
    core::SystemClock,
    store::{
        MemoryStore, StorageMode,
        migrate::{Place, PlaceError},
        seal::Keyring,
    },
};

use crate::{
    StartError, Storage,
    config::{ConfigError, StorageSection},
};

/// Whether a folder that is not there is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// It is made.
    Create,
    /// It counts as empty, and nothing is written.
    Empty,
}

/// Opens the store that a section names, for a command.
///
/// # Errors
/// [`StartError`], also for `memory_only`, which only the server's own process reaches.
pub async fn open_place(section: &StorageSection, missing: IfMissing) -> Result<Place, StartError> {
    let (mode, dir) = (section.mode, &section.directory);
    match mode {
        StorageMode::Postgres => {
            let storage = Storage::open(section, Arc::new(SystemClock)).await?;
            Ok(Place::new("postgres", storage.credentials))
        }
        _ if missing == IfMissing::Empty && !dir.exists() => {
            Ok(Place::new(format!("{mode} in {}", dir.display()), Arc::new(MemoryStore::new())))
        }
        _ => {
            let (dir, encryption, keyring) = (dir.clone(), section.encryption, keyring(section).await?);
            let opening = tokio::task::spawn_blocking(move || Place::in_folder(mode, &dir, &keyring, encryption));
            match opening.await.map_err(std::io::Error::other)? {
                Ok(place) => Ok(place),
                Err(PlaceError::Store(error)) => Err(error.into()),
                Err(error) => Err(ConfigError::at("storage.mode", error.to_string()).into()),
            }
        }
    }
}

/// Where the keys are, unless they come from the configuration or from a command.
pub fn key_file(section: &StorageSection) -> PathBuf {
    section.key_file.clone().unwrap_or_else(|| section.directory.join(".auth_encryption_key"))
}

/// Whether there are keys already.
pub fn has_keys(section: &StorageSection) -> bool {
    !section.keys.is_empty()
        || section.key_command.is_some()
        || section.desktop_keyring.is_some()
        || key_file(section).exists()
}

/// The keys of a store. A folder of plain files needs none, and gets none; nor does the memory of a process.
async fn keyring(section: &StorageSection) -> Result<Keyring, StartError> {
    let needs_none = section.mode == StorageMode::FilePlaintext && !has_keys(section);
    if needs_none || section.mode == StorageMode::MemoryOnly {
        return Ok(Keyring::ephemeral());
    }
    Ok(Storage::keyring(section).await?)
}
