//! One root key, and everything that is derived from it.

use authchain_core::constant_time_eq;
use aws_lc_rs::hkdf;
use base64::{Engine, engine::general_purpose::URL_SAFE};
use fernet::Fernet;
use zeroize::Zeroizing;

use super::{KeyId, envelope::Key, expand, random};

/// A root key of 32 bytes in Fernet form, with its derived key-encryption key.
pub(super) struct RootKey {
    pub(super) id: KeyId,
    /// Wraps data keys.
    pub(super) kek: Key,
    /// Opens what earlier programs wrote.
    pub(super) fernet: Fernet,
    /// The 44 characters, which earlier programs use as the key of an HMAC.
    pub(super) text: Zeroizing<String>,
    prk: hkdf::Prk,
}

impl RootKey {
    /// Reads the Fernet form: 44 characters of URL-safe base64.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE.decode(text).ok()?);
        let bytes: Key = Zeroizing::new(*bytes.first_chunk().filter(|_| bytes.len() == 32)?);
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"authchain/root/1").extract(&*bytes);
        let id = expand(&prk, b"authchain/key-id/1");
        Some(Self {
            id: KeyId(*id.first_chunk()?),
            kek: expand(&prk, b"authchain/seal/kek/1"),
            fernet: Fernet::new(text)?,
            text: Zeroizing::new(text.to_owned()),
            prk,
        })
    }

    /// A new key.
    pub(super) fn random() -> Self {
        let mut bytes = Key::default();
        random(&mut *bytes);
        let text = Zeroizing::new(URL_SAFE.encode(*bytes));
        Self::parse(&text).expect("32 bytes are a key")
    }

    /// The key of another purpose.
    pub(super) fn derive(&self, purpose: &str) -> Key {
        expand(&self.prk, format!("authchain/derive/1/{purpose}").as_bytes())
    }

    /// Checks an HMAC-SHA256 that earlier programs made with the text of the key, as it stood in the file.
    pub(super) fn signed(&self, message: &[u8], hmac: &[u8]) -> bool {
        // Some editors end a file with a line feed, and those programs took the file as it was.
        [self.text.as_str(), &format!("{}\n", *self.text)].iter().any(|key| {
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.as_bytes());
            constant_time_eq(aws_lc_rs::hmac::sign(&key, message).as_ref(), hmac)
        })
    }
}
