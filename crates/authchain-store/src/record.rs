//! One credential as the bytes of one file: plain, sealed, or encrypted as earlier programs do it.
//!
//! A sealed file is one line of text that says whose it is (`authchain-credential 1 {"provider":...}`), then the
//! envelope; inside is the same JSON that a plain file holds. The line is for people and for listings; what counts is that
//! the envelope is bound to the key it was sealed for.

use std::path::Path;

use authchain_core::{Clock, Credential, CredentialKey, StoreError, SystemClock};
use zeroize::Zeroizing;

use crate::{
    authorized_user::{self, AuthorizedUser},
    private::corrupt,
    seal::{self, Encryption, KeyId, Keyring, recipients},
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
    /// Encrypted with the primary key of this keyring as earlier programs do it, which open it.
    Fernet(Keyring),
}

/// What earlier programs write beside the credential in their encrypted files.
const ENCRYPTED_AT: &str = "encrypted_at";
const STORAGE_MODE: &str = "storage_mode";

/// How every file of version 1 begins: the first bytes of a Fernet token, in base64 twice.
const VERSION_1: &[u8] = b"Z0FBQUFB";

impl FileForm {
    /// The form of a folder whose files are encrypted so.
    pub fn encrypted(encryption: Encryption, keyring: Keyring) -> Self {
        match encryption {
            Encryption::AesGcm => Self::Sealed(keyring),
            Encryption::Fernet => Self::Fernet(keyring),
        }
    }

    /// What the names of such files end in.
    pub(crate) const fn extension(&self) -> &'static str {
        match self {
            Self::Plaintext => "json",
            Self::Sealed(_) | Self::Fernet(_) => "enc",
        }
    }

    /// The keys that it takes, if it takes any.
    pub(crate) const fn keyring(&self) -> Option<&Keyring> {
        match self {
            Self::Plaintext => None,
            Self::Sealed(keyring) | Self::Fernet(keyring) => Some(keyring),
        }
    }

    /// The bytes of a credential's file. `before` is the envelope that they take the place of, where users' keys open that.
    pub(crate) fn encode(
        &self,
        key: &CredentialKey,
        credential: &Credential,
        before: Option<&[u8]>,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let keyring = match self {
            Self::Plaintext => return authorized_user::write(key, credential),
            Self::Sealed(keyring) => keyring,
            Self::Fernet(keyring) => {
                let mut marked = credential.clone();
                let now = authorized_user::write_time(SystemClock.now());
                marked.extra.insert(ENCRYPTED_AT.into(), now.into());
                marked.extra.insert(STORAGE_MODE.into(), "file_encrypted".into());
                return Ok(Zeroizing::new(keyring.seal_fernet(&authorized_user::write(key, &marked)?)));
            }
        };
        let json = authorized_user::write(key, credential)?;
        file(key, &keyring.seal_record(&key.user, &associated(key), &json, before)?)
    }

    /// The bytes of a file for the primary key, without opening what is sealed in it; `None` when they are so already, or are
    /// none that this can be done with.
    pub(crate) fn rewrap(
        &self,
        key: &CredentialKey,
        bytes: &[u8],
        path: &Path,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let (Some(keyring), Some((owner, envelope))) = (self.keyring(), split(bytes)) else { return Ok(None) };
        belongs(owner_of(owner, path)?, key, path)?;
        let rewrapped = keyring.rewrap(&associated(key), envelope, &path.display().to_string())?;
        rewrapped.map(|envelope| file(key, &envelope)).transpose()
    }

    /// Reads a file that authchain named for `key`.
    pub(crate) fn decode(&self, key: &CredentialKey, bytes: &[u8], path: &Path) -> Result<Credential, StoreError> {
        let file = match self.keyring() {
            None => authorized_user::read(bytes, path)?,
            Some(keyring) => match split(bytes) {
                Some((owner, envelope)) => {
                    belongs(owner_of(owner, path)?, key, path)?;
                    let what = path.display().to_string();
                    let json =
                        open(keyring, |keyring| keyring.open_record(&key.user, &associated(key), envelope, &what))?;
                    authorized_user::read(&json, path)?
                }
                None => self.version_1(bytes, path)?,
            },
        };
        // A file that another program has written since does not say whose it is; its name still does.
        if let Some(owner) = file.key {
            belongs(owner, key, path)?;
        }
        Ok(file.credential)
    }

    /// As [`FileForm::decode`], without looking for other keys where those at hand are not enough, and without a word about
    /// what is wrong: for those who may not block.
    pub(crate) fn decode_with_keys_at_hand(
        &self,
        key: &CredentialKey,
        bytes: &[u8],
        path: &Path,
    ) -> Option<Credential> {
        let needs = self.sealed_with(bytes);
        let at_hand = self.keyring().is_none_or(|keyring| keyring.ids().iter().any(|id| needs.contains(id)));
        at_hand.then(|| self.decode(key, bytes, path)).and_then(Result::ok)
    }

    /// Reads a file of earlier programs, whose name does not say for certain whose it is.
    pub(crate) fn decode_old(&self, bytes: &[u8], path: &Path) -> Result<AuthorizedUser, StoreError> {
        let Some(keyring) = self.keyring() else { return authorized_user::read(bytes, path) };
        let json = open(keyring, |keyring| keyring.open_fernet(bytes, &path.display().to_string()))?;
        let mut file = authorized_user::read(&json, path)?;
        // Ours: they say how the file was made, and are made anew with each.
        if file.key.is_some() {
            file.credential.extra.retain(|field, _| field != ENCRYPTED_AT && field != STORAGE_MODE);
        }
        Ok(file)
    }

    /// Reads a file of version 1 under a name that only authchain gives. It is not bound to its name, so it has to say in
    /// itself whose it is; otherwise anybody's could be put in place of anybody's.
    fn version_1(&self, bytes: &[u8], path: &Path) -> Result<AuthorizedUser, StoreError> {
        let stranger = || corrupt(path, "it is no sealed credential");
        if !bytes.starts_with(VERSION_1) {
            return Err(stranger());
        }
        let file = self.decode_old(bytes, path)?;
        if file.key.is_some() { Ok(file) } else { Err(stranger()) }
    }

    /// The key that a file says it is for, for files whose name is too short to tell.
    pub(crate) fn owner(&self, bytes: &[u8], path: &Path) -> Result<CredentialKey, StoreError> {
        let said = match (self.keyring(), split(bytes)) {
            (None, _) => authorized_user::read(bytes, path)?.key,
            (Some(_), Some((owner, _))) => return owner_of(owner, path),
            (Some(_), None) => self.version_1(bytes, path)?.key,
        };
        said.ok_or_else(|| corrupt(path, "it says not whose it is"))
    }

    /// The ids of the keys that a file opens with, any of them; none where no key at hand opens it and it names none.
    pub(crate) fn sealed_with(&self, bytes: &[u8]) -> Vec<KeyId> {
        let Some(keyring) = self.keyring() else { return Vec::new() };
        match split(bytes) {
            Some((_, envelope)) => recipients(envelope),
            None => keyring.ids_for_fernet(bytes),
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

/// The first line and the envelope, put together.
fn file(key: &CredentialKey, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mut file = FIRST_WORDS.to_vec();
    serde_json::to_writer(&mut file, key).map_err(|e| StoreError::Unsupported(format!("a key in JSON: {e}")))?;
    file.push(b'\n');
    file.extend(envelope);
    Ok(Zeroizing::new(file))
}

/// The envelope in a file, if it is one that a user's key opens.
pub(crate) fn envelope_for_users(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let envelope = envelope_of(bytes).filter(|envelope| seal::has_users(envelope))?;
    Some(Zeroizing::new(envelope.to_vec()))
}

/// The envelope in a sealed file.
pub(crate) fn envelope_of(bytes: &[u8]) -> Option<&[u8]> {
    split(bytes).map(|parts| parts.1)
}
