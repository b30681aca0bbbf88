//! The public keys of one issuer.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{Algorithm, KeyError, PublicKey};

/// More keys than this no issuer has.
const MOST_KEYS: usize = 64;
/// How many keys are tried for one token, where its `kid` does not tell.
const MOST_TRIES: usize = 3;

/// Public keys of one issuer. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(Arc<[PublicKey]>);

impl KeySet {
    /// Puts a set together.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self(keys.into())
    }

    /// Reads a JWK set (RFC 7517, section 5). Keys for other purposes or of other kinds are left out, so that an issuer
    /// may publish what it likes beside those that count. At most 64 keys are read.
    ///
    /// # Errors
    /// [`KeyError::Unusable`] when there is no `keys` list; [`KeyError::Private`] when a private key is published, which
    /// everybody then knows.
    pub fn from_jwks(jwks: &Value) -> Result<Self, KeyError> {
        match Self::published(jwks)? {
            (_, true) => Err(KeyError::Private),
            (keys, false) => Ok(keys),
        }
    }

    /// The usable keys of a set that somebody else publishes, and whether a private key was among the others.
    pub(crate) fn published(jwks: &Value) -> Result<(Self, bool), KeyError> {
        let keys = jwks.get("keys").and_then(Value::as_array).ok_or(KeyError::Unusable("not a JWK set"))?;
        let (mut usable, mut private) = (Vec::new(), false);
        for jwk in keys.iter().take(MOST_KEYS) {
            match PublicKey::from_jwk(jwk) {
                Ok(key) => usable.push(key),
                Err(e) => private |= matches!(e, KeyError::Private),
            }
        }
        Ok((Self::new(usable), private))
    }

    /// Reads public keys in PEM form, one after the other.
    ///
    /// # Errors
    /// As [`PublicKey::from_pem`]; an empty text is an error, too.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let keys = pem
            .split_inclusive("-----END")
            .filter_map(|piece| piece.find("-----BEGIN").and_then(|at| piece.get(at..)))
            .map(|piece| {
                let kind = piece.trim_start_matches("-----BEGIN ").split("-----").next().unwrap_or_default();
                PublicKey::from_pem(&format!("{piece} {kind}-----\n"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(KeyError::Unusable("no PEM public key")) } else { Ok(Self::new(keys)) }
    }

    /// How many keys are in it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter()
    }

    /// The set as a JWKS.
    pub fn to_jwks(&self) -> Value {
        json!({ "keys": self.iter().map(PublicKey::to_jwk).collect::<Vec<_>>() })
    }

    /// The keys that a token with this header may be signed with, at most three. A key with an id fits a token that
    /// names it, or that names none; a pinned key without an id fits any.
    pub(crate) fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &PublicKey> {
        self.0
            .iter()
            .filter(move |key| {
                key.algorithm() == algorithm
                    && match (id, key.id()) {
                        (Some(wanted), Some(has)) => wanted == has,
                        _ => true,
                    }
            })
            .take(MOST_TRIES)
    }

    /// Whether the token's key is missing here, and not merely one of another algorithm.
    pub(crate) fn lacks(&self, id: Option<&str>) -> bool {
        !self.0.iter().any(|key| match (id, key.id()) {
            (Some(wanted), Some(has)) => wanted == has,
            _ => true,
        })
    }

    /// Whether every key of `self` is still in `other`.
    pub(crate) fn is_kept_by(&self, other: &Self) -> bool {
        self.iter().all(|key| other.iter().any(|kept| kept == key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PublicKey {
        // Ed25519 takes these bytes for a key without a look at the curve until a signature is checked.
        PublicKey::ed25519(&[byte; 32]).unwrap()
    }

    #[test]
    fn an_issuer_may_publish_what_it_likes_beside_the_keys_that_count() {
        let mut jwks = KeySet::new(vec![key(1).named("a")]).to_jwks();
        for other in [json!({"kty": "EC", "crv": "P-521"}), json!(7), json!({"kty": "RSA", "kid": 7}), json!({})] {
            jwks["keys"].as_array_mut().unwrap().push(other);
        }
        assert_eq!(KeySet::from_jwks(&jwks).unwrap(), KeySet::new(vec![key(1).named("a")]));
    }

    #[test]
    fn a_published_private_key_is_an_error_where_it_is_pinned_and_left_out_where_it_is_fetched() {
        let mut jwks = KeySet::new(vec![key(1).named("a"), key(2).named("b")]).to_jwks();
        jwks["keys"][0]["d"] = json!("AAAA");
        assert!(matches!(KeySet::from_jwks(&jwks), Err(KeyError::Private)));
        assert_eq!(KeySet::published(&jwks).unwrap(), (KeySet::new(vec![key(2).named("b")]), true));
    }

    #[test]
    fn what_has_no_keys_is_no_set() {
        for bad in [json!({}), json!([]), json!({"keys": {}}), json!(null)] {
            assert!(KeySet::from_jwks(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_found_by_id_and_algorithm() {
        let keys = KeySet::new(vec![key(1).named("a"), key(2).named("b"), key(3)]);
        let ids = |id, algorithm| keys.candidates(id, algorithm).map(|k| k.id()).collect::<Vec<_>>();
        assert_eq!(ids(Some("a"), Algorithm::EdDSA), [Some("a"), None]);
        assert_eq!(ids(Some("c"), Algorithm::EdDSA), [None]);
        assert_eq!(ids(None, Algorithm::EdDSA), [Some("a"), Some("b"), None]);
        assert!(ids(Some("a"), Algorithm::RS256).is_empty());
    }

    #[test]
    fn only_a_few_keys_are_tried_for_one_token() {
        let keys = KeySet::new((0..20).map(key).collect());
        assert_eq!(keys.candidates(None, Algorithm::EdDSA).count(), MOST_TRIES);
    }

    #[test]
    fn a_key_that_is_gone_or_changed_is_noticed() {
        let both = KeySet::new(vec![key(1).named("a"), key(2).named("b")]);
        assert!(KeySet::new(vec![key(1).named("a")]).is_kept_by(&both));
        assert!(!both.is_kept_by(&KeySet::new(vec![key(1).named("a")])));
        assert!(!both.is_kept_by(&KeySet::new(vec![key(1).named("a"), key(3).named("b")])));
    }
}
