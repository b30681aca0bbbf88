//! Sealed files: versions 1 and 2 of earlier programs, and authchain's own; with the key files that lie near them.

use std::path::{Path, PathBuf};

use authchain_core::{CredentialKey, Email, Secret, StoreError};
use aws_lc_rs::hkdf;
use base64::{Engine, engine::general_purpose::URL_SAFE};
use zeroize::Zeroizing;

use super::{Flaw, Found, Means};
use crate::{authorized_user, record::FileForm, seal::Keyring};

/// The name of the key file.
pub(super) const KEY_FILE: &str = ".auth_encryption_key";

/// Whether these are the bytes of a sealed file of an earlier program.
pub(super) fn is_earlier(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii();
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    // A Fernet token begins with its version, 0x80, and is base64 twice: `Z0FBQUFB`.
    text.starts_with(b"Z0FBQUFB") && text.iter().all(base64)
}

/// Opens a file of an earlier program.
pub(super) fn open_earlier(path: &Path, bytes: &[u8], means: &Means) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let (keyring, tried) = keyring(path, means)?;
    keyring.open_fernet(bytes, "it").map_err(|error| flaw(&error, &tried))
}

/// Opens a file of authchain.
pub(super) fn open_own(path: &Path, bytes: &[u8], means: &Means) -> Result<Found, Flaw> {
    let (keyring, tried) = keyring(path, means)?;
    let form = FileForm::Sealed(keyring);
    let opened = form.owner(bytes, path).and_then(|key| Ok((form.decode(&key, bytes, path)?, key)));
    let (credential, key) = opened.map_err(|error| flaw(&error, &tried))?;
    found(credential, &key)
}

/// Reads a plain file of authchain.
pub(super) fn read_own(path: &Path, bytes: &[u8]) -> Result<Found, Flaw> {
    let file = authorized_user::read(bytes, path).map_err(|error| flaw(&error, ""))?;
    let key = file.key.ok_or_else(|| Flaw::broken("authchain: it does not say whose it is"))?;
    found(file.credential, &key)
}

fn found(credential: authchain_core::Credential, key: &CredentialKey) -> Result<Found, Flaw> {
    if key.provider.as_str() != "google" {
        return Err(Flaw::new(
            format!("it is of the provider {}", key.provider),
            "Bring it along with `authchain credentials backup` and `restore`",
        ));
    }
    let owner = Email::new(key.user.as_str()).ok();
    let notes = Vec::new();
    Ok(Found { owner, owner_from: "account", hint: None, group: key.group.clone(), credential, notes })
}

/// The keys that lie beside a file or up to two folders above it, and those that were given.
fn keyring(path: &Path, means: &Means) -> Result<(Keyring, String), Flaw> {
    let mut keys = means.keys.clone();
    let mut tried: Vec<PathBuf> = Vec::new();
    for folder in path.ancestors().skip(1).take(3) {
        let file = folder.join(KEY_FILE);
        let Ok(text) = std::fs::read_to_string(&file).map(Zeroizing::new) else { continue };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        keys.extend(lines.map(Secret::from));
        tried.push(file);
    }
    if keys.is_empty() {
        return Err(Flaw::new(
            format!("its key is missing: there is no {KEY_FILE} near it"),
            "Put the key file beside it, or name it with --key-file",
        ));
    }
    let names = tried.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
    let names = if names.is_empty() { "the keys that were given".to_owned() } else { names };
    let keyring = Keyring::from_keys(&keys, &names).map_err(|error| flaw(&error, &names))?;
    Ok((keyring, names))
}

fn flaw(error: &StoreError, tried: &str) -> Flaw {
    match error {
        StoreError::WrongKey { .. } => Flaw::new(
            format!("it does not open with {tried}: it was changed, or sealed with another key"),
            "Name the right key file with --key-file",
        ),
        StoreError::Corrupt { why, .. } => Flaw::broken(why.clone()),
        other => Flaw::broken(other.to_string()),
    }
}

/// The key that earlier programs made of a passphrase (`MCP_API_KEY`), for the files that they sealed for one user.
pub(super) fn key_of_passphrase(passphrase: &Secret) -> Secret {
    let mut key = Zeroizing::new([0; 32]);
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"mcp-google-workspace-v1");
    salt.extract(passphrase.expose().as_bytes())
        .expand(&[b"credential-encryption"], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *key))
        .expect("HKDF gives 32 bytes of the hash's own length");
    Secret::new(URL_SAFE.encode(*key))
}
