//! Clients that the operator names in the configuration (number 8 of the checklist): they need no registration and never
//! expire, and only they can be trusted with more than what a person allows them.

use std::collections::HashSet;

use authchain::core::{AuthError, ClientId, Scopes, Secret};
use serde_json::Value;
use url::Url;

use super::{AuthMethod, Metadata, documents, keys::ClientKeys, redirect};

/// A shorter secret can be guessed.
const SHORTEST_SECRET: usize = 20;

/// A client that the operator registered.
#[derive(Clone, Debug)]
pub struct RegisteredClient {
    /// The id that it presents. It must not look like one of ours (`ac_…`) or like an address.
    pub id: ClientId,
    /// What people read on the consent page.
    pub name: String,
    /// Where answers may go; none for a client without people.
    pub redirect_uris: Vec<String>,
    /// How it proves itself.
    pub proof: ClientProof,
    /// Whether it may ask from a device without a browser (RFC 8628), where that grant is switched on.
    pub device_code: bool,
    /// Whether it may get tokens for itself, without a person (RFC 6749, section 4.4), where that grant is switched on.
    pub client_credentials: bool,
    /// What it may get for itself at most.
    pub scopes: Scopes,
    /// Whether it is a resource server that may look into every token (RFC 7662), and not only into its own.
    pub introspection: bool,
    /// The workload whose tokens stand for it (RFC 7523, section 2.1), where that grant is switched on.
    pub workload: Option<Workload>,
}

/// How a registered client proves itself.
#[derive(Clone, Debug)]
pub enum ClientProof {
    /// It cannot: a public client.
    Nothing,
    /// A secret, in the header or in the body.
    Secret(Secret),
    /// A signature by one of these keys (a JWK set, RFC 7517).
    Keys(Value),
    /// A signature by one of the keys at this address.
    KeysAt(Url),
}

/// A workload by the name that its platform vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// One of the configured workload issuers.
    pub issuer: String,
    /// `sub` of its tokens, to the byte.
    pub subject: String,
}

impl RegisteredClient {
    /// A public client with these redirect URIs.
    pub fn new(id: ClientId, name: impl Into<String>, redirect_uris: Vec<String>) -> Self {
        Self {
            id,
            name: name.into(),
            redirect_uris,
            proof: ClientProof::Nothing,
            device_code: false,
            client_credentials: false,
            scopes: Scopes::none(),
            introspection: false,
            workload: None,
        }
    }

    pub(super) fn metadata(&self) -> Metadata {
        let (auth, keys) = match &self.proof {
            ClientProof::Nothing => (AuthMethod::None, None),
            ClientProof::Secret(_) => (AuthMethod::Basic, None),
            ClientProof::Keys(jwks) => (AuthMethod::PrivateKeyJwt, Some(ClientKeys::Set(jwks.clone()))),
            ClientProof::KeysAt(url) => (AuthMethod::PrivateKeyJwt, Some(ClientKeys::At(url.clone()))),
        };
        Metadata::configured(&self.name, self.redirect_uris.clone(), auth, keys, self.device_code)
    }
}

/// Refuses what would not be safe or could not work.
pub(crate) fn check(clients: &[RegisteredClient], editors: &[String]) -> Result<(), AuthError> {
    let mut ids = HashSet::new();
    for client in clients {
        let refuse =
            |why: &str| Err(AuthError::Configuration(format!("clients.registered, id = {:?}: {why}", client.id)));
        let id = client.id.as_str();
        if id.starts_with("ac_") || documents::address(id).is_some() {
            return refuse("an id must not begin with ac_, http:// or https://");
        }
        if !ids.insert(id) {
            return refuse("the id is there twice");
        }
        let public = matches!(client.proof, ClientProof::Nothing);
        for uri in &client.redirect_uris {
            if let Err(why) = redirect::check(uri, public, editors) {
                return refuse(&format!("{uri}: {}", why.describe()));
            }
        }
        match &client.proof {
            ClientProof::Secret(secret) if secret.expose().len() < SHORTEST_SECRET => {
                return refuse("a secret has at least 20 characters");
            }
            ClientProof::Keys(jwks) if authchain::jwt::KeySet::from_jwks(jwks).map_or(true, |keys| keys.is_empty()) => {
                return refuse("jwks is not a set of public keys for ES256, EdDSA or RS256");
            }
            ClientProof::KeysAt(url) if url.scheme() != "https" && !crate::options::is_loopback(url) => {
                return refuse("jwks_uri must be https");
            }
            _ => {}
        }
        if public && (client.client_credentials || client.introspection) {
            return refuse("a client without a secret or keys cannot get tokens for itself or look into others");
        }
        let purposeless = client.redirect_uris.is_empty()
            && !client.client_credentials
            && !client.introspection
            && client.workload.is_none();
        if purposeless && public {
            return refuse("it needs redirect_uris");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: &str, uris: &[&str]) -> RegisteredClient {
        RegisteredClient::new(ClientId::new(id).unwrap(), "x", uris.iter().map(|u| (*u).into()).collect())
    }

    fn refused(clients: &[RegisteredClient]) -> bool {
        check(clients, &[]).is_err()
    }

    #[test]
    fn n08_a_registered_client_obeys_the_rules_of_all_clients() {
        assert!(!refused(&[client("dashboard", &["https://a.example/cb", "http://localhost/cb", "com.a.app:/cb"])]));
        for bad in [
            client("ac_x", &["https://a.example/cb"]),
            client("https://a.example/c", &["https://a.example/cb"]),
            client("x", &["http://a.example/cb"]),
            client("x", &["javascript:x"]),
            client("x", &[]),
        ] {
            assert!(refused(std::slice::from_ref(&bad)), "{bad:?}");
        }
        let twice = client("x", &["https://a.example/cb"]);
        assert!(refused(&[twice.clone(), twice]));
    }

    #[test]
    fn n08_only_a_client_that_proves_itself_gets_more_than_a_person_allows() {
        let public = RegisteredClient { introspection: true, ..client("x", &["https://a.example/cb"]) };
        assert!(refused(std::slice::from_ref(&public)));
        let proof = ClientProof::Secret("a long enough secret".into());
        assert!(!refused(&[RegisteredClient { proof, ..public.clone() }]));
        let short = ClientProof::Secret("short".into());
        assert!(refused(&[RegisteredClient { proof: short, ..public.clone() }]));
        let proof = ClientProof::Keys(serde_json::json!({"keys": []}));
        assert!(refused(&[RegisteredClient { proof, ..public }]));
    }
}
