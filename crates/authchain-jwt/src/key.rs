//! One public key, parsed once, pinned to one algorithm.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest,
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
        RsaSubjectPublicKey,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    DecodingKey,
    jwk::{
        AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters, EllipticCurveKeyType, Jwk,
        KeyAlgorithm, KeyOperations, OctetKeyPairParameters, OctetKeyPairType, PublicKeyUse, RSAKeyParameters,
        RSAKeyType,
    },
};
use serde::Deserialize;
use serde_json::Value;

use crate::{Algorithm, KeyError};

/// RSA keys below this are refused (RFC 7518, section 3.3).
const SMALLEST_RSA_BITS: usize = 2048;
/// RSA keys above this cost too much to check.
const LARGEST_RSA_BITS: usize = 8192;

/// A public key for signatures, parsed once. Cheap to clone.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    parsed: ParsedPublicKey,
    signature_len: usize,
    parameters: AlgorithmParameters,
    thumbprint: [u8; 32],
}

impl PublicKey {
    /// Reads a JWK (RFC 7517). Its `use`, `key_ops` and `alg` have to allow one of our algorithms where they are there.
    ///
    /// # Errors
    /// [`KeyError::Private`] when it holds a private part, [`KeyError::Unusable`] for anything else than an RSA key of
    /// 2048 to 8192 bits, a point on P-256 or an Ed25519 key.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let members = jwk.as_object().ok_or(KeyError::Unusable("not a JSON object"))?;
        if members.contains_key("d") || members.contains_key("k") {
            return Err(KeyError::Private);
        }
        let read = Jwk::deserialize(jwk).map_err(|_| KeyError::Unusable("not a JWK"))?;
        if read.common.public_key_use.is_some_and(|purpose| purpose != PublicKeyUse::Signature) {
            return Err(KeyError::Unusable("it is not for signatures"));
        }
        if read.common.key_operations.is_some_and(|allowed| !allowed.contains(&KeyOperations::Verify)) {
            return Err(KeyError::Unusable("it is not for verifying"));
        }
        let key = match read.algorithm {
            AlgorithmParameters::RSA(rsa) => Self::rsa(&bytes(&rsa.n)?, &bytes(&rsa.e)?)?,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
                Self::p256(&bytes(&ec.x)?, &bytes(&ec.y)?)?
            }
            AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
                Self::ed25519(&bytes(&okp.x)?)?
            }
            _ => return Err(KeyError::Unusable("neither RSA nor P-256 nor Ed25519")),
        };
        let pinned = members.get("alg").map(|name| name.as_str().and_then(Algorithm::from_header));
        if pinned.is_some_and(|algorithm| algorithm != Some(key.0.algorithm)) {
            return Err(KeyError::Unusable("its `alg` is not allowed here"));
        }
        Ok(match read.common.key_id {
            Some(id) => key.named(&id),
            None => key,
        })
    }

    /// Reads a public key in PEM form: `PUBLIC KEY` (RFC 5280) or `RSA PUBLIC KEY` (RFC 8017). It has no id and so
    /// fits a token with any `kid`.
    ///
    /// # Errors
    /// As [`PublicKey::from_jwk`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("PRIVATE KEY") {
            return Err(KeyError::Private);
        }
        if pem.contains("CERTIFICATE") {
            return Err(KeyError::Unusable("a certificate; write its public key"));
        }
        let pem = pem.as_bytes();
        let unusable = |_| KeyError::Unusable("not a PEM public key of RSA, P-256 or Ed25519");
        if let Ok(ec) = DecodingKey::from_ec_pem(pem) {
            return Self::point(ec.try_get_as_bytes().map_err(unusable)?);
        }
        if let Ok(ed) = DecodingKey::from_ed_pem(pem) {
            return Self::ed25519(ed.try_get_as_bytes().map_err(unusable)?);
        }
        let rsa = DecodingKey::from_rsa_pem(pem).map_err(unusable)?;
        let rsa = RsaSubjectPublicKey::from_der(rsa.try_get_as_bytes().map_err(unusable)?)
            .map_err(|_| KeyError::Unusable("not an RSA public key"))?;
        Self::rsa(rsa.modulus().big_endian_without_leading_zero(), rsa.exponent().big_endian_without_leading_zero())
    }

    /// An RSA key by modulus and exponent, big-endian.
    pub(crate) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
        if n.first() == Some(&0) || !(SMALLEST_RSA_BITS..=LARGEST_RSA_BITS).contains(&bits) {
            return Err(KeyError::Unusable("an RSA key has 2048 to 8192 bits"));
        }
        // With the exponent 1 everybody signs; the library lets it pass.
        if !matches!(e, [first, .., last] if *first != 0 && last & 1 == 1 && e.len() <= 4) && e != [3] && e != [17] {
            return Err(KeyError::Unusable("an RSA exponent is 3, 17 or an odd number of two to four bytes"));
        }
        let parsed = RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| KeyError::Unusable("not an RSA public key"))?;
        let (n_text, e_text) = (text(n), text(e));
        let thumbprint = sha256(&format!(r#"{{"e":"{e_text}","kty":"RSA","n":"{n_text}"}}"#));
        let parameters = AlgorithmParameters::RSA(RSAKeyParameters { key_type: RSAKeyType::RSA, n: n_text, e: e_text });
        Ok(Self::build(Algorithm::RS256, parsed, n.len(), parameters, thumbprint))
    }

    /// A point on P-256 in the uncompressed form of SEC 1.
    pub(crate) fn point(point: &[u8]) -> Result<Self, KeyError> {
        match point.split_first() {
            Some((4, rest)) if rest.len() == 64 => {
                let (x, y) = rest.split_at(32);
                Self::p256(x, y)
            }
            _ => Err(KeyError::Unusable("not an uncompressed point on P-256")),
        }
    }

    fn p256(x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        if x.len() != 32 || y.len() != 32 {
            return Err(KeyError::Unusable("a coordinate on P-256 has 32 bytes"));
        }
        let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4], x, y].concat())
            .map_err(|_| KeyError::Unusable("not a point on P-256"))?;
        let (x, y) = (text(x), text(y));
        let thumbprint = sha256(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
        let parameters = AlgorithmParameters::EllipticCurve(EllipticCurveKeyParameters {
            key_type: EllipticCurveKeyType::EC,
            curve: EllipticCurve::P256,
            x,
            y,
        });
        Ok(Self::build(Algorithm::ES256, parsed, 64, parameters, thumbprint))
    }

    /// An Ed25519 key by its 32 bytes.
    pub(crate) fn ed25519(key: &[u8]) -> Result<Self, KeyError> {
        if key.len() != 32 {
            return Err(KeyError::Unusable("an Ed25519 key has 32 bytes"));
        }
        let parsed = ParsedPublicKey::new(&ED25519, key).map_err(|_| KeyError::Unusable("not an Ed25519 key"))?;
        let x = text(key);
        let thumbprint = sha256(&format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        let parameters = AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
            key_type: OctetKeyPairType::OctetKeyPair,
            curve: EllipticCurve::Ed25519,
            x,
        });
        Ok(Self::build(Algorithm::EdDSA, parsed, 64, parameters, thumbprint))
    }

    fn build(
        algorithm: Algorithm,
        parsed: ParsedPublicKey,
        signature_len: usize,
        parameters: AlgorithmParameters,
        thumbprint: [u8; 32],
    ) -> Self {
        Self(Arc::new(Inner { id: None, algorithm, parsed, signature_len, parameters, thumbprint }))
    }

    /// The same key under a `kid`.
    #[must_use]
    pub fn named(&self, id: &str) -> Self {
        let inner = &self.0;
        Self(Arc::new(Inner {
            id: Some(id.into()),
            algorithm: inner.algorithm,
            parsed: inner.parsed.clone(),
            signature_len: inner.signature_len,
            parameters: inner.parameters.clone(),
            thumbprint: inner.thumbprint,
        }))
    }

    /// The algorithm that it is pinned to.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// Its `kid`, where it has one.
    pub fn id(&self) -> Option<&str> {
        self.0.id.as_deref()
    }

    /// The thumbprint with SHA-256 in base64url (RFC 7638).
    pub fn thumbprint(&self) -> String {
        text(&self.0.thumbprint)
    }

    /// The bytes of the thumbprint.
    pub(crate) fn fingerprint(&self) -> &[u8; 32] {
        &self.0.thumbprint
    }

    /// Whether `signature` is one of this key over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == self.0.signature_len && self.0.parsed.verify_sig(message, signature).is_ok()
    }

    /// The key as a JWK with `alg`, `use` and, where it has one, `kid`.
    pub fn to_jwk(&self) -> Value {
        let jwk = Jwk {
            common: CommonParameters {
                public_key_use: Some(PublicKeyUse::Signature),
                key_algorithm: Some(match self.0.algorithm {
                    Algorithm::RS256 => KeyAlgorithm::RS256,
                    Algorithm::ES256 => KeyAlgorithm::ES256,
                    Algorithm::EdDSA => KeyAlgorithm::EdDSA,
                }),
                key_id: self.0.id.as_deref().map(str::to_owned),
                ..CommonParameters::default()
            },
            algorithm: self.0.parameters.clone(),
        };
        serde_json::to_value(jwk).unwrap_or_default()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("id", &self.0.id)
            .field("algorithm", &self.0.algorithm)
            .finish_non_exhaustive()
    }
}

impl PartialEq for PublicKey {
    /// The same key under the same id.
    fn eq(&self, other: &Self) -> bool {
        self.0.thumbprint == other.0.thumbprint && self.0.id == other.0.id
    }
}

impl Eq for PublicKey {}

/// A number of a JWK. Some issuers pad it or write leading zeros, which RFC 7518 forbids; neither is accepted.
fn bytes(part: &str) -> Result<Vec<u8>, KeyError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| KeyError::Unusable("a number that is not base64url"))
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sha256(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()) {
        *to = *from;
    }
    hash
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// RFC 7638, section 3.1.
    fn rfc_7638() -> Value {
        json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29"
        })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut jwk = rfc_7638();
        jwk[name] = value;
        jwk
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        let key = PublicKey::from_jwk(&rfc_7638()).unwrap();
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(key.id(), Some("2011-04-29"));
    }

    #[test]
    fn the_thumbprint_of_an_ed25519_key_is_that_of_rfc_8037() {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let key = PublicKey::from_jwk(&jwk).unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_signature_of_rfc_8037_is_verified() {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let key = PublicKey::from_jwk(&jwk).unwrap();
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature =
            bytes("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg").unwrap();
        assert!(key.verify(message, &signature));
        assert!(!key.verify(b"another message", &signature));
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let key = PublicKey::from_jwk(&rfc_7638()).unwrap();
        let written = key.to_jwk();
        assert_eq!(written["use"], "sig");
        assert_eq!(PublicKey::from_jwk(&written).unwrap(), key);
    }

    #[test]
    fn a_private_key_is_refused_and_named_as_such() {
        assert!(matches!(PublicKey::from_jwk(&with("d", json!("AQAB"))), Err(KeyError::Private)));
        assert!(matches!(PublicKey::from_jwk(&json!({"kty": "oct", "k": "AAAA"})), Err(KeyError::Private)));
        assert!(matches!(PublicKey::from_pem("-----BEGIN PRIVATE KEY-----"), Err(KeyError::Private)));
    }

    #[test]
    fn a_key_for_something_else_is_refused() {
        for (name, value) in [
            ("use", json!("enc")),
            ("use", json!("tls")),
            ("key_ops", json!(["encrypt"])),
            ("key_ops", json!([])),
            ("alg", json!("RS512")),
            ("alg", json!("PS256")),
            ("alg", json!("ES256")),
            ("alg", json!("HS256")),
            ("alg", json!("RSA-OAEP")),
            ("alg", json!("none")),
            ("alg", json!(null)),
            ("kty", json!("oct")),
            ("kty", json!("AKP")),
        ] {
            assert!(PublicKey::from_jwk(&with(name, value.clone())).is_err(), "{name} {value}");
        }
    }

    #[test]
    fn a_small_or_odd_rsa_key_is_refused() {
        let half = text(&bytes(rfc_7638()["n"].as_str().unwrap()).unwrap()[..255]);
        let zero = text(&[&[0], bytes(rfc_7638()["n"].as_str().unwrap()).unwrap().as_slice()].concat());
        for n in [json!(half), json!(zero), json!(""), json!("AQAB"), json!("not base64!")] {
            assert!(PublicKey::from_jwk(&with("n", n.clone())).is_err(), "{n}");
        }
        for e in ["", "AQ", "Ag", "AAEAAQ", "AQAB="] {
            assert!(PublicKey::from_jwk(&with("e", json!(e))).is_err(), "{e:?}");
        }
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        let zeros = text(&[0; 32]);
        let ec = |crv: &str, x: &str| json!({"kty": "EC", "crv": crv, "x": x, "y": zeros});
        assert!(PublicKey::from_jwk(&ec("P-256", &zeros)).is_err());
        assert!(PublicKey::from_jwk(&ec("P-256", "AAAA")).is_err());
        assert!(PublicKey::from_jwk(&ec("P-384", &zeros)).is_err());
        assert!(PublicKey::from_jwk(&json!({"kty": "OKP", "crv": "X25519", "x": zeros})).is_err());
    }
}
