//! The names of the storage modes, as configuration and command line say them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where credentials are kept, and in what form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StorageMode {
    /// One JSON file per credential, readable by Python's google-auth and by everyone who can read the file.
    FilePlaintext,
    /// One sealed file per credential.
    #[default]
    FileEncrypted,
    /// Only in memory; nothing ever touches the disk, and everything is gone when the process ends.
    MemoryOnly,
    /// Read from memory; every write is also sealed to a file before it is acknowledged.
    MemoryWithBackup,
    /// Rows of a PostgreSQL database, sealed before they leave the process; for several servers at once.
    Postgres,
}

impl StorageMode {
    /// Every mode.
    pub const ALL: [Self; 5] =
        [Self::FilePlaintext, Self::FileEncrypted, Self::MemoryOnly, Self::MemoryWithBackup, Self::Postgres];

    /// The name in lower case, as [`fmt::Display`] writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FilePlaintext => "file_plaintext",
            Self::FileEncrypted => "file_encrypted",
            Self::MemoryOnly => "memory_only",
            Self::MemoryWithBackup => "memory_with_backup",
            Self::Postgres => "postgres",
        }
    }
}

impl fmt::Display for StorageMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no storage mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no storage mode; there are file_plaintext, file_encrypted, memory_only, memory_with_backup, postgres"
)]
pub struct UnknownMode(pub String);

impl FromStr for StorageMode {
    type Err = UnknownMode;

    /// Takes a name in any case.
    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        let name = text.trim();
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownMode(text.to_owned()))
    }
}

impl Serialize for StorageMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for StorageMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_read_in_any_case_and_written_in_lower_case() {
        for mode in StorageMode::ALL {
            assert_eq!(mode.to_string().to_uppercase().parse(), Ok(mode));
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!("File_Encrypted".parse(), Ok(StorageMode::FileEncrypted));
    }

    #[test]
    fn an_unknown_mode_is_refused_with_the_known_ones() {
        let error = "file-encrypted".parse::<StorageMode>().unwrap_err();
        assert!(error.to_string().contains("file_encrypted"), "{error}");
    }
}
