//! One private key: made, read, and used here only.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use zeroize::Zeroizing;

use crate::{Algorithm, KeyError, PublicKey};

/// A private key, parsed once, with its public half under its thumbprint as `kid` (RFC 7638).
pub(crate) struct PrivateKey {
    pair: Pair,
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl PrivateKey {
    /// A new key: RSA of 2048 bits, P-256 or Ed25519.
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Crypto("make a key");
        Self::of(match algorithm {
            Algorithm::RS256 => Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?)),
            Algorithm::ES256 => {
                Pair::P256(Box::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?))
            }
            Algorithm::EdDSA => Pair::Ed25519(Box::new(Ed25519KeyPair::generate().map_err(failed)?)),
        })
    }

    /// Reads PKCS#8 (RFC 5958).
    pub(crate) fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        let unusable = |_| KeyError::Unusable("not a PKCS#8 key of the algorithm that is named");
        Self::of(match algorithm {
            Algorithm::RS256 => Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(der).map_err(unusable)?)),
            Algorithm::ES256 => {
                Pair::P256(Box::new(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map_err(unusable)?))
            }
            Algorithm::EdDSA => Pair::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8(der).map_err(unusable)?)),
        })
    }

    fn of(pair: Pair) -> Result<Self, KeyError> {
        let public = match &pair {
            Pair::Rsa(rsa) => {
                let public = rsa.public_key();
                PublicKey::rsa(
                    public.modulus().big_endian_without_leading_zero(),
                    public.exponent().big_endian_without_leading_zero(),
                )?
            }
            Pair::P256(ec) => PublicKey::point(ec.public_key().as_ref())?,
            Pair::Ed25519(ed) => PublicKey::ed25519(ed.public_key().as_ref())?,
        };
        let failed = |_| KeyError::Crypto("write a key");
        let pkcs8 = Zeroizing::new(match &pair {
            Pair::Rsa(rsa) => AsDer::<Pkcs8V1Der<'_>>::as_der(&**rsa).map_err(failed)?.as_ref().to_vec(),
            Pair::P256(ec) => ec.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Ed25519(ed) => ed.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
        });
        let id = public.thumbprint();
        Ok(Self { pair, pkcs8, public: public.named(&id) })
    }

    /// PKCS#8, version 1, which every program reads.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half.
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Crypto("sign");
        match &self.pair {
            Pair::Rsa(rsa) => {
                let mut signature = vec![0; rsa.public_modulus_len()];
                rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Pair::P256(ec) => Ok(ec.sign(&SystemRandom::new(), message).map_err(failed)?.as_ref().to_vec()),
            Pair::Ed25519(ed) => Ok(ed.try_sign(message).map_err(failed)?.as_ref().to_vec()),
        }
    }
}
