//! The keys that ID tokens are signed with: RSA-2048 and RS256, as Google's are, and the JWKS that publishes them.

use std::io;

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The key in use, and the one before it, which verifiers may still need.
pub(crate) struct Keys {
    current: Key,
    before: Option<Key>,
}

struct Key {
    pair: KeyPair,
    id: String,
    modulus: String,
    exponent: String,
}

impl Keys {
    /// Makes the first key. Takes some 100 ms.
    pub(crate) fn generate() -> io::Result<Self> {
        Ok(Self { current: Key::generate()?, before: None })
    }

    /// Signs with a new key from now on.
    pub(crate) fn rotate(&mut self) -> io::Result<()> {
        let before = std::mem::replace(&mut self.current, Key::generate()?);
        self.before = Some(before);
        Ok(())
    }

    /// A compact JWS (RFC 7515, section 7.1) over these claims.
    pub(crate) fn sign(&self, claims: &Value) -> io::Result<String> {
        let header = json!({"alg": "RS256", "kid": self.current.id, "typ": "JWT"});
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.current.pair.public_modulus_len()];
        self.current
            .pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| io::Error::other("RSA signing failed"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The JWK set (RFC 7517, section 5), the key in use first.
    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<Value> = std::iter::once(&self.current).chain(&self.before).map(Key::jwk).collect();
        json!({ "keys": keys })
    }
}

impl Key {
    fn generate() -> io::Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| io::Error::other("no RSA key could be made"))?;
        let der = pair.public_key().as_ref();
        let (modulus, exponent) =
            public_numbers(der).ok_or_else(|| io::Error::other("an RSA public key of an unknown form"))?;
        let id = digest::digest(&digest::SHA256, der).as_ref().iter().take(20).map(|b| format!("{b:02x}")).collect();
        Ok(Self { modulus: URL_SAFE_NO_PAD.encode(modulus), exponent: URL_SAFE_NO_PAD.encode(exponent), pair, id })
    }

    fn jwk(&self) -> Value {
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "n": self.modulus, "e": self.exponent})
    }
}

/// `n` and `e` of an `RSAPublicKey` in DER (RFC 8017, appendix A.1.1), without leading zeros.
fn public_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = element(der, 0x30)?;
    let (modulus, rest) = element(sequence, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    let bare = |number: &'_ [u8]| number.iter().position(|b| *b != 0).unwrap_or(number.len());
    Some((modulus.get(bare(modulus)..)?, exponent.get(bare(exponent)..)?))
}

/// The content of the first DER element, if it has this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

    use super::*;

    #[test]
    fn the_jwks_verifies_what_was_signed_before_and_after_a_rotation() {
        let mut keys = Keys::generate().unwrap();
        let old = keys.sign(&json!({"sub": "1"})).unwrap();
        keys.rotate().unwrap();
        let new = keys.sign(&json!({"sub": "2"})).unwrap();
        for token in [&old, &new] {
            assert!(verifies(token, &keys.jwks()), "{token}");
        }
        keys.rotate().unwrap();
        assert!(!verifies(&old, &keys.jwks()), "the key before the last is gone");
    }

    fn verifies(token: &str, jwks: &Value) -> bool {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let header: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').next().unwrap()).unwrap()).unwrap();
        let Some(key) = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]) else {
            return false;
        };
        let number = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        RsaPublicKeyComponents { n: number("n"), e: number("e") }
            .verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .is_ok()
    }
}
