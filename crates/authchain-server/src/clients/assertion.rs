//! `private_key_jwt`: a client proves itself by a JWT that it signed (RFC 7523, sections 2.2 and 3; OpenID Connect Core
//! 1.0, section 9). The JWT is for us, expires soon, and is taken once.

use std::time::Duration;

use authchain::{
    core::{AuthError, ProviderId},
    jwt::{Algorithm, ClaimNames, JwtError, KeySource, TrustedIssuer, Verifier, VerifierOptions},
};

use super::Client;
use crate::{errors::OAuthError, keys::from_base64url, once, server::Shared};

/// The one type of assertion (RFC 7523, section 2.2).
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// An assertion that is good for longer was not made for this request.
const LONGEST_LIFE: Duration = Duration::from_secs(60 * 60);

/// Why an assertion proves nothing.
pub(super) enum Unproven {
    /// It is wrong.
    Wrong(&'static str),
    /// It cannot be checked now.
    Failed(OAuthError),
}

impl<E: Into<OAuthError>> From<E> for Unproven {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Which client an assertion claims to be of. Nothing is verified.
pub(super) fn claimed_client(assertion: &str) -> Option<String> {
    let payload = from_base64url(assertion.split('.').nth(1)?)?;
    let claims: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&payload).ok()?;
    claims.get("sub")?.as_str().map(str::to_owned)
}

/// Checks an assertion of a client.
pub(super) async fn verify(server: &Shared, client: &Client, assertion: &str) -> Result<(), Unproven> {
    let keys = client.metadata.keys.as_ref().ok_or(Unproven::Wrong("the client does not sign"))?;
    let keys: KeySource = server.published_keys.source(keys).map_err(Unproven::Wrong)?;
    let issuer = TrustedIssuer {
        issuer: client.id.as_str().to_owned(),
        audiences: audiences(server),
        types: ["jwt", "client-authentication+jwt", ""].map(Into::into).into(),
        keys,
        claims: ClaimNames::default(),
        algorithms: Algorithm::ALL.to_vec(),
        provider: ProviderId::google(),
    };
    let options = VerifierOptions { refused: 0, ..VerifierOptions::default() };
    let verifier = Verifier::with_options(vec![issuer], server.parts.clock.clone(), options);
    let verified = verifier.verify(assertion).await.map_err(|error| match error {
        JwtError::KeysUnavailable { .. } => Unproven::Failed(AuthError::from(error).into()),
        JwtError::UnknownIssuer => Unproven::Wrong("iss in the assertion is not the client"),
        wrong => Unproven::Wrong(wrong.reason()),
    })?;
    if verified.subject != client.id.as_str() {
        return Err(Unproven::Wrong("sub in the assertion is not the client"));
    }
    if verified.expires_at > server.parts.clock.now() + LONGEST_LIFE {
        return Err(Unproven::Wrong("the assertion lives for more than an hour"));
    }
    let jti = verified.claims.get("jti").and_then(|jti| jti.as_str()).filter(|jti| !jti.is_empty());
    let jti = jti.ok_or(Unproven::Wrong("the assertion has no jti"))?;
    if once::is_first(server, client.id.as_str(), jti, verified.expires_at).await? {
        Ok(())
    } else {
        Err(Unproven::Wrong("the assertion was used before"))
    }
}

/// How an assertion may name us: by our issuer, or by the token endpoint (RFC 7523, section 3).
pub(crate) fn audiences(server: &Shared) -> Vec<String> {
    vec![server.urls.issuer.clone(), server.urls.at(&server.options.paths.token)]
}
