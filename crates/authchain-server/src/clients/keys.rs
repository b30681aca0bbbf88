//! The public keys of a client that signs (`private_key_jwt`): in its registration, or at an address of its own
//! (RFC 7591, section 2: `jwks` and `jwks_uri`).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use authchain::{
    core::Clock,
    jwt::{JwksCache, JwksOptions, KeySet, KeySource},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::{ServerOptions, outbound::Outbound};

/// So many addresses of keys are remembered.
const MOST_ADDRESSES: usize = 1000;

/// Where a client's keys are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ClientKeys {
    /// Here.
    #[serde(rename = "s")]
    Set(Value),
    /// There.
    #[serde(rename = "u")]
    At(Url),
}

impl ClientKeys {
    /// Reads `jwks` or `jwks_uri`, exactly one of them.
    ///
    /// # Errors
    /// The sentence for the client's developer.
    pub(super) fn read(body: &Map<String, Value>, options: &ServerOptions) -> Result<Self, &'static str> {
        let present = |name| body.get(name).filter(|value| !value.is_null());
        match (present("jwks"), present("jwks_uri")) {
            (Some(jwks), None) => Self::set(jwks),
            (None, Some(Value::String(uri))) => Self::at(uri, options),
            (Some(_), Some(_)) => Err("jwks and jwks_uri must not both be there"),
            _ => Err("private_key_jwt needs jwks or jwks_uri"),
        }
    }

    fn set(jwks: &Value) -> Result<Self, &'static str> {
        let keys = KeySet::from_jwks(jwks).map_err(|_| "jwks is not a set of public keys")?;
        if keys.is_empty() {
            return Err("jwks holds no key for ES256, EdDSA or RS256");
        }
        // Only what is used is kept: the id of a client carries it.
        Ok(Self::Set(keys.to_jwks()))
    }

    fn at(uri: &str, options: &ServerOptions) -> Result<Self, &'static str> {
        let url = Url::parse(uri).map_err(|_| "jwks_uri is not a URL")?;
        let secure = url.scheme() == "https" || (url.scheme() == "http" && options.documents.allow_loopback);
        if !secure || !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err("jwks_uri must be https, without a user name or a fragment");
        }
        Ok(Self::At(url))
    }
}

/// The caches of keys that clients publish, one per address.
pub(crate) struct PublishedKeys {
    outbound: Arc<Outbound>,
    clock: Arc<dyn Clock>,
    caches: Mutex<HashMap<Url, Arc<JwksCache>>>,
}

impl PublishedKeys {
    pub(crate) fn new(outbound: Arc<Outbound>, clock: Arc<dyn Clock>) -> Self {
        Self { outbound, clock, caches: Mutex::default() }
    }

    /// Where to check a signature of a client; the refusal says which rule its keys break.
    pub(super) fn source(&self, keys: &ClientKeys) -> Result<KeySource, &'static str> {
        match keys {
            ClientKeys::Set(jwks) => {
                KeySet::from_jwks(jwks).map(KeySource::Pinned).map_err(|_| "the client's keys cannot be used")
            }
            ClientKeys::At(url) => {
                self.outbound.check(url).map_err(|_| "jwks_uri leads to an address that is not public https")?;
                let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
                if caches.len() >= MOST_ADDRESSES && !caches.contains_key(url) {
                    caches.clear();
                }
                let made = || {
                    let options = JwksOptions { longest: 64 * 1024, ..JwksOptions::default() };
                    let (http, clock) = (self.outbound.client(), self.clock.clone());
                    Arc::new(JwksCache::with_options(url.clone(), http, clock, options))
                };
                Ok(KeySource::Jwks(caches.entry(url.clone()).or_insert_with(made).clone()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use authchain::jwt::{Algorithm, SigningKeys};
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<ClientKeys, &'static str> {
        let options =
            ServerOptions::new("http://127.0.0.1:8002".parse().unwrap(), "http://127.0.0.1:8002/mcp".parse().unwrap());
        ClientKeys::read(body.as_object().unwrap(), &options)
    }

    #[test]
    fn n06_a_client_that_signs_names_its_keys_in_one_way() {
        let jwks = SigningKeys::generate(Algorithm::ES256).unwrap().jwks();
        assert!(matches!(read(json!({"jwks": jwks})), Ok(ClientKeys::Set(_))));
        assert!(matches!(read(json!({"jwks_uri": "https://client.example/keys"})), Ok(ClientKeys::At(_))));
        for bad in [
            json!({}),
            json!({"jwks": jwks, "jwks_uri": "https://client.example/keys"}),
            json!({"jwks": {"keys": []}}),
            json!({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}),
            json!({"jwks_uri": "http://client.example/keys"}),
            json!({"jwks_uri": "https://user@client.example/keys"}),
            json!({"jwks_uri": "file:///etc/passwd"}),
            json!({"jwks_uri": 7}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn n06_a_private_key_is_never_accepted_in_place_of_a_public_one() {
        let mut jwks = SigningKeys::generate(Algorithm::ES256).unwrap().jwks();
        jwks["keys"][0]["d"] = json!("AAAA");
        assert!(read(json!({"jwks": jwks})).is_err());
    }
}
