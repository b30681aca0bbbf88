//! A provider from its discovery document (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2).

use std::time::Duration;

use authchain_core::{OAuthClient, ProviderId, Scopes};
use serde::Deserialize;
use url::Url;

use crate::{ClientAuth, Provider, provider::params};

/// Why a discovery document makes no provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// It is no JSON object with the members that a provider needs.
    #[error("the discovery document cannot be read: {0}")]
    Unreadable(String),
    /// It is the document of somebody else (OpenID Connect Discovery 1.0, section 4.3).
    #[error("the discovery document is of the issuer {found}, not of {expected}")]
    OtherIssuer {
        /// The configured issuer.
        expected: String,
        /// The issuer in the document.
        found: String,
    },
    /// It says that the provider cannot do PKCE with S256, without which no flow is started.
    #[error("the provider does not announce PKCE with S256")]
    NoPkce,
    /// An address in it is not `https` (or `http` on this machine).
    #[error("{member} is not an https address")]
    Insecure {
        /// Which member of the document.
        member: &'static str,
    },
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    revocation_endpoint: Option<Url>,
    userinfo_endpoint: Option<Url>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Provider {
    /// Any OpenID provider, from the document under its `/.well-known/openid-configuration`.
    ///
    /// `offline_access` is asked for where it is announced (OpenID Connect Core 1.0, section 11). A provider that lists
    /// no PKCE methods is sent S256 all the same: whoever does not know it ignores it.
    ///
    /// # Errors
    /// [`DiscoveryError`] when the document is unreadable, of another issuer, or offers less than a safe flow needs.
    pub fn oidc(id: ProviderId, issuer: &str, discovery: &[u8], client: OAuthClient) -> Result<Self, DiscoveryError> {
        let document: Document =
            serde_json::from_slice(discovery).map_err(|error| DiscoveryError::Unreadable(error.to_string()))?;
        if document.issuer != issuer {
            return Err(DiscoveryError::OtherIssuer { expected: issuer.into(), found: document.issuer });
        }
        if document.code_challenge_methods_supported.is_some_and(|methods| !methods.iter().any(|m| m == "S256")) {
            return Err(DiscoveryError::NoPkce);
        }
        let endpoints = [
            ("authorization_endpoint", Some(&document.authorization_endpoint)),
            ("token_endpoint", Some(&document.token_endpoint)),
            ("jwks_uri", Some(&document.jwks_uri)),
            ("revocation_endpoint", document.revocation_endpoint.as_ref()),
            ("userinfo_endpoint", document.userinfo_endpoint.as_ref()),
        ];
        for (member, url) in endpoints {
            if url.is_some_and(|url| !is_private_channel(url)) {
                return Err(DiscoveryError::Insecure { member });
            }
        }
        // RFC 8414, section 2: absent means `client_secret_basic`.
        let methods =
            document.token_endpoint_auth_methods_supported.unwrap_or_else(|| vec!["client_secret_basic".into()]);
        let client_auth = if methods.iter().any(|m| m == "client_secret_post" || m == "none") || client.secret.is_none()
        {
            ClientAuth::Post
        } else {
            ClientAuth::Basic
        };
        let identity = ["openid", "email"].into_iter();
        let offline = document.scopes_supported.iter().any(|s| s == "offline_access").then_some("offline_access");
        Ok(Self {
            id,
            issuer: document.issuer,
            issuer_aliases: Vec::new(),
            authorize_url: document.authorization_endpoint,
            token_url: document.token_endpoint,
            revoke_url: document.revocation_endpoint,
            userinfo_url: document.userinfo_endpoint,
            jwks_url: document.jwks_uri,
            client,
            client_auth,
            revoke_with_client: true,
            authorize_params: Vec::new(),
            consent_params: params(&[("prompt", "consent")]),
            choose_params: params(&[("prompt", "select_account")]),
            identity_scopes: identity.chain(offline).collect::<Scopes>(),
            email_must_be_verified: true,
            life_when_untold: Some(Duration::from_secs(3600)),
            testing_grants_live: None,
            exclusive: Vec::new(),
        })
    }
}

/// Encrypted, or not leaving this machine.
fn is_private_channel(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document() -> Value {
        json!({
            "issuer": "https://id.example.com",
            "authorization_endpoint": "https://id.example.com/authorize",
            "token_endpoint": "https://id.example.com/token",
            "jwks_uri": "https://id.example.com/keys",
            "scopes_supported": ["openid", "email", "offline_access"],
            "code_challenge_methods_supported": ["S256", "plain"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        })
    }

    fn provider(document: &Value) -> Result<Provider, DiscoveryError> {
        let client = OAuthClient { id: "c".into(), secret: Some("s".into()) };
        let id = ProviderId::new("example").unwrap();
        Provider::oidc(id, "https://id.example.com", document.to_string().as_bytes(), client)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut document = document();
        document[name] = value;
        document
    }

    #[test]
    fn a_discovery_document_becomes_a_provider() {
        let provider = provider(&document()).unwrap();
        assert_eq!(provider.token_url.as_str(), "https://id.example.com/token");
        assert_eq!(provider.client_auth, ClientAuth::Basic);
        assert_eq!(provider.identity_scopes, Scopes::from("email offline_access openid"));
        assert_eq!(provider.revoke_url, None);
    }

    #[test]
    fn the_document_of_another_issuer_is_refused() {
        let found = "https://id.example.com/".to_owned();
        let refused = provider(&with("issuer", json!(found))).unwrap_err();
        assert_eq!(refused, DiscoveryError::OtherIssuer { expected: "https://id.example.com".into(), found });
    }

    #[test]
    fn a_provider_without_s256_is_refused() {
        let only_plain = with("code_challenge_methods_supported", json!(["plain"]));
        assert_eq!(provider(&only_plain).unwrap_err(), DiscoveryError::NoPkce);
    }

    #[test]
    fn an_endpoint_without_encryption_is_refused() {
        let refused = provider(&with("token_endpoint", json!("http://id.example.com/token"))).unwrap_err();
        assert_eq!(refused, DiscoveryError::Insecure { member: "token_endpoint" });
        assert!(provider(&with("token_endpoint", json!("http://127.0.0.1:9/token"))).is_ok());
    }

    #[test]
    fn a_document_without_endpoints_is_refused() {
        assert!(matches!(provider(&with("jwks_uri", Value::Null)), Err(DiscoveryError::Unreadable(_))));
    }
}
