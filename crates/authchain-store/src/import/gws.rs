//! The sealed file of gws, Google's Workspace CLI: a nonce of 12 bytes, then AES-256-GCM; the key lies beside it where it
//! is not in the desktop's keyring.

use std::path::Path;

use aes_gcm::{Aes256Gcm, KeyInit, Nonce, aead::Aead};
use base64::{Engine, engine::general_purpose};
use zeroize::Zeroizing;

use super::Flaw;

const NONCE: usize = 12;

/// The name of the key file.
pub(super) const KEY_FILE: &str = ".encryption_key";

/// Opens the file with the key beside it.
pub(super) fn open(path: &Path, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let key_file = path.with_file_name(KEY_FILE);
    let text = std::fs::read(&key_file).map(Zeroizing::new).map_err(|_| {
        Flaw::new(
            format!("its key is not in {}: it may be in the desktop's keyring", key_file.display()),
            "Import what `gws auth export --unmasked` prints",
        )
    })?;
    let key = general_purpose::STANDARD
        .decode(text.trim_ascii())
        .ok()
        .map(Zeroizing::new)
        .and_then(|key| Aes256Gcm::new_from_slice(&key).ok())
        .ok_or_else(|| Flaw::broken(format!("{}: a key is 32 bytes in base64", key_file.display())))?;
    let wrong = || Flaw::broken("the key beside it does not open it: it was changed, or belongs to another key");
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(wrong)?;
    key.decrypt(&Nonce::from(*nonce), sealed).map(Zeroizing::new).map_err(|_| wrong())
}
