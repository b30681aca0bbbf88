//! A key that a user brings: what is sealed for it opens only together with a key of the keyring.

use authchain_core::{Secret, StoreError};
use aws_lc_rs::hkdf;

use super::{envelope::Key, expand};

/// Shorter secrets can be guessed.
const SHORTEST: usize = 16;

/// The key of one user, made from a secret that they keep: an API key, a key file.
#[derive(Clone)]
pub struct UserKey(pub(super) Key);

impl UserKey {
    /// Makes the key from a secret of at least 16 bytes that nobody can guess. It is no place for a password: the key is
    /// as easy to guess as the secret.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] for a shorter one.
    pub fn new(secret: &Secret) -> Result<Self, StoreError> {
        let bytes = secret.expose().as_bytes();
        if bytes.len() < SHORTEST {
            return Err(StoreError::Unsupported(format!("a user's key has at least {SHORTEST} bytes")));
        }
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"authchain/user/1").extract(bytes);
        Ok(Self(expand(&prk, b"authchain/user-key/1")))
    }
}

impl std::fmt::Debug for UserKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserKey(..)")
    }
}

/// Who may open what is sealed, beside or in place of the server alone.
#[derive(Clone, Copy, Debug)]
pub enum Openers<'a> {
    /// The server alone.
    Server,
    /// The server alone, and each of these users together with it.
    ServerAndUsers(&'a [UserKey]),
    /// Each of these users together with the server, and the server never alone.
    UsersOnly(&'a [UserKey]),
}
