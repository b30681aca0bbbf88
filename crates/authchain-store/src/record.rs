//! One credential as the bytes of one file, plain or sealed.
//!
//! A sealed file is one line of text that says whose it is (`authchain-credential 1 {"provider":...}`), then the
//! envelope; inside is the same JSON that a plain file holds. The line is for people and for listings; what counts is that
//! the envelope is bound to the key it was sealed for.

use std::path::Path;

use authchain_core::{Credential, CredentialKey, StoreError};
use zeroize::Zeroizing;

use crate::{
    authorized_user::{self, AuthorizedUser},
    private::corrupt,
    seal::Keyring,
};

/// The beginning of a sealed file.
const FIRST_WORDS: &[u8] = b"authchain-credential 1 ";

/// In what form the files of a folder are.
#[derive(Clone, Debug)]
pub enum FileForm {
    /// authorized_user JSON that google-auth in Python reads and writes. Whoever can read the file has the credential.
    Plaintext,
    /// Sealed with the primary key of this keyring.
    Sealed(Keyring),
}

impl FileForm {
    /// What the names of such files end in.
    pub(crate) const fn extension(&self) -> &'static str {
        match self {
            Self::Plaintext => "json",
            Self::Sealed(_) => "enc",
        }
    }

    /// The bytes of a credential's file.
    pub(crate) fn encode(
        &self,
        key: &CredentialKey,
        credential: &Credential,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let json = authorized_user::write(key, credential)?;
        let Self::Sealed(keyring) = self else { return Ok(json) };
        let mut file = FIRST_WORDS.to_vec();
        serde_json::to_writer(&mut file, key).map_err(|e| StoreError::Unsupported(format!("a key in JSON: {e}")))?;
        file.push(b'\n');
        file.extend(keyring.seal(&associated(key), &json)?);
        Ok(Zeroizing::new(file))
    }

    /// Reads a file that authchain named for `key`.
    pub(crate) fn decode(&self, key: &CredentialKey, bytes: &[u8], path: &Path) -> Result<Credential, StoreError> {
        let opened;
        let json = match self {
            Self::Plaintext => bytes,
            Self::Sealed(keyring) => {
                let (owner, envelope) = split(bytes).ok_or_else(|| corrupt(path, "it is no sealed credential"))?;
                belongs(owner_of(owner, path)?, key, path)?;
                opened =
                    open(keyring, |keyring| keyring.open(&associated(key), envelope, &path.display().to_string()))?;
                &opened[..]
            }
        };
        let file = authorized_user::read(json, path)?;
        // A file that another program has written since does not say whose it is; its name still does.
        if let Some(owner) = file.key {
            belongs(owner, key, path)?;
        }
        Ok(file.credential)
    }

    /// Reads a file of earlier programs, whose name does not say for certain whose it is.
    pub(crate) fn decode_old(&self, bytes: &[u8], path: &Path) -> Result<AuthorizedUser, StoreError> {
        match self {
            Self::Plaintext => authorized_user::read(bytes, path),
            Self::Sealed(keyring) => {
                let json = open(keyring, |keyring| keyring.open_fernet(bytes, &path.display().to_string()))?;
                authorized_user::read(&json, path)
            }
        }
    }

    /// The key that a file says it is for, for files whose name is too short to tell.
    pub(crate) fn owner(&self, bytes: &[u8], path: &Path) -> Result<CredentialKey, StoreError> {
        match self {
            Self::Plaintext => {
                authorized_user::read(bytes, path)?.key.ok_or_else(|| corrupt(path, "it says not whose it is"))
            }
            Self::Sealed(_) => {
                owner_of(split(bytes).ok_or_else(|| corrupt(path, "it is no sealed credential"))?.0, path)
            }
        }
    }
}

/// Opens with the keys at hand, and if they are not enough, once more with what the key file holds now.
fn open<T>(keyring: &Keyring, open: impl Fn(&Keyring) -> Result<T, StoreError>) -> Result<T, StoreError> {
    match open(keyring) {
        Err(error @ StoreError::WrongKey { .. }) => match keyring.refresh() {
            Ok(()) => open(keyring),
            Err(_) => Err(error),
        },
        other => other,
    }
}

fn belongs(owner: CredentialKey, key: &CredentialKey, path: &Path) -> Result<(), StoreError> {
    if owner == *key { Ok(()) } else { Err(corrupt(path, format!("it was written for {owner}, not for {key}"))) }
}

/// What seals and opens a key's record: provider, user and group, each with its length, so that no two keys look alike.
pub(crate) fn associated(key: &CredentialKey) -> Vec<u8> {
    let mut bytes = b"authchain/credential/1".to_vec();
    for part in [key.provider.as_str(), key.user.as_str(), key.group.as_str()] {
        // No part is longer than 1,024 bytes.
        bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes
}

/// The first line's JSON and the envelope.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(FIRST_WORDS)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (owner, envelope) = rest.split_at_checked(end)?;
    Some((owner, envelope.get(1..)?))
}

fn owner_of(json: &[u8], path: &Path) -> Result<CredentialKey, StoreError> {
    serde_json::from_slice(json).map_err(|_| corrupt(path, "its first line is broken"))
}

/// The envelope in a sealed file.
pub(crate) fn envelope_of(bytes: &[u8]) -> Option<&[u8]> {
    split(bytes).map(|parts| parts.1)
}
