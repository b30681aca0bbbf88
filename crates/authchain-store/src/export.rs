//! A credential in the forms that other programs read. What is exported is out of the store's protection.

use std::path::Path;

use authchain_core::{Credential, CredentialKey, StoreError};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{authorized_user, private, seal::Keyring};

/// google-auth's authorized_user JSON: what `Credentials.from_authorized_user_file` of Python reads.
///
/// # Errors
/// [`StoreError::Unsupported`] for what is no JSON.
pub fn authorized_user(key: &CredentialKey, credential: &Credential) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let unsupported = |e: serde_json::Error| StoreError::Unsupported(format!("a credential in JSON: {e}"));
    let written = authorized_user::write(key, credential)?;
    let mut fields: Map<String, Value> = serde_json::from_slice(&written).map_err(unsupported)?;
    fields.remove("authchain");
    serde_json::to_vec_pretty(&fields).map(Zeroizing::new).map_err(unsupported)
}

/// The same, sealed as version 1 of earlier programs with the keyring's primary key: URL-safe base64 of a Fernet token
/// (AES-128-CBC with HMAC-SHA256), which Python's `cryptography` opens with the key file.
///
/// # Errors
/// As [`authorized_user`].
pub fn fernet(key: &CredentialKey, credential: &Credential, keyring: &Keyring) -> Result<Vec<u8>, StoreError> {
    Ok(keyring.seal_fernet(&authorized_user(key, credential)?))
}

/// Writes a new file with mode 0600, durable when this returns. It blocks.
///
/// # Errors
/// [`StoreError::Conflict`] when there is such a file already; [`StoreError::Unavailable`].
pub fn write_new(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let file = private::write_beside(path, content)?;
    publish(file, path)
}

/// Gives a finished file its name, unless there is one.
pub(crate) fn publish(file: tempfile::NamedTempFile, path: &Path) -> Result<(), StoreError> {
    file.as_file().sync_all().map_err(|e| private::unavailable("write", path, e))?;
    file.persist_noclobber(path).map_err(|e| match e.error.kind() {
        std::io::ErrorKind::AlreadyExists => StoreError::Conflict { what: path.display().to_string() },
        _ => private::unavailable("write", path, e.error),
    })?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => private::sync_folder(folder),
        _ => private::sync_folder(Path::new(".")),
    }
}
