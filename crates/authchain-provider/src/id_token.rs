//! Whose sign-in it was: the id token of an exchange (OpenID Connect Core 1.0, section 3.1.3.7), and whether that of a
//! refresh is of the same account (section 12.2).

use std::{sync::Arc, time::Duration};

use authchain_core::{AuthError, Cause, Clock, Credential, Email, Secret};
use authchain_jwt::{Algorithm, ClaimNames, JwksCache, KeySource, TrustedIssuer, Verified, Verifier};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::{Provider, RefreshError};

/// How far the provider's clock may be from ours.
const LEEWAY: Duration = Duration::from_secs(60);

/// A verifier for the id tokens that a provider makes for our client.
pub(crate) fn verifier(provider: &Provider, http: &reqwest::Client, clock: &Arc<dyn Clock>) -> Verifier {
    let keys = Arc::new(JwksCache::new(provider.jwks_url.clone(), http.clone(), clock.clone()));
    let issuers = std::iter::once(&provider.issuer).chain(&provider.issuer_aliases).map(|issuer| TrustedIssuer {
        issuer: issuer.clone(),
        audiences: vec![provider.client.id.clone()],
        types: vec![String::new(), "jwt".into()],
        keys: KeySource::Jwks(keys.clone()),
        claims: ClaimNames { email_must_be_verified: provider.email_must_be_verified, ..ClaimNames::google() },
        algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        provider: provider.id.clone(),
    });
    Verifier::new(issuers.collect(), clock.clone())
}

/// Verifies the id token of an exchange: signature, issuer and audience by the verifier; time, nonce and the party that
/// it was issued to here.
pub(crate) async fn verify(
    verifier: &Verifier,
    provider: &Provider,
    clock: &dyn Clock,
    id_token: &Secret,
    nonce: &str,
) -> Result<Verified, AuthError> {
    let verified = verifier.verify(id_token.expose()).await?;
    let now = clock.now();
    if now >= verified.expires_at + LEEWAY {
        return Err(AuthError::InvalidToken("the id token has expired"));
    }
    if [verified.issued_at, verified.not_before].into_iter().flatten().any(|from| from > now + LEEWAY) {
        return Err(AuthError::InvalidToken("the id token is of the future: compare the clocks"));
    }
    let claim = |name: &str| verified.claims.get(name).and_then(Value::as_str);
    if claim("nonce") != Some(nonce) {
        return Err(AuthError::InvalidToken("the id token belongs to another sign-in (nonce)"));
    }
    if claim("azp").is_some_and(|party| party != provider.client.id) {
        return Err(AuthError::InvalidToken("the id token was issued to another client (azp)"));
    }
    Ok(verified)
}

/// Refuses the id token of a refresh answer when it is of another account than the credential. Its signature is not
/// looked at: it came from the token endpoint itself over TLS (section 3.1.3.7, point 6), nothing is taken from it, and
/// a fresh refresh token must not be lost because the signing keys cannot be fetched right now.
pub(crate) fn same_account(id_token: &Secret, credential: &Credential) -> Result<(), RefreshError> {
    let Some(claims) = unverified_claims(id_token.expose()) else {
        return Err(RefreshError::Misconfigured { cause: Cause::text("the id token of a refresh cannot be read") });
    };
    let claim = |name: &str| claims.get(name).and_then(Value::as_str);
    let got = claim("email").and_then(|email| Email::new(email).ok());
    let same = match (claim("sub"), &credential.subject) {
        // The subject never changes; the address of an account may.
        (Some(got), Some(expected)) => got == expected,
        _ => match (&got, &credential.email) {
            (Some(got), Some(expected)) => got == expected,
            _ => true,
        },
    };
    if same { Ok(()) } else { Err(RefreshError::OtherAccount { expected: credential.email.clone(), got }) }
}

fn unverified_claims(token: &str) -> Option<Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use authchain_core::{CredentialStatus, OAuthClient, Scopes, Timestamp};
    use serde_json::json;

    use super::*;

    fn credential(subject: Option<&str>, email: Option<&str>) -> Credential {
        Credential {
            email: email.map(|e| Email::new(e).unwrap()),
            subject: subject.map(Into::into),
            access_token: None,
            expires_at: None,
            refresh_token: None,
            scopes: Scopes::none(),
            token_uri: String::new(),
            client: OAuthClient { id: "c".into(), secret: None },
            status: CredentialStatus::Active,
            granted_at: Timestamp(0),
            extra: Map::new(),
        }
    }

    fn token(claims: &Value) -> Secret {
        Secret::new(format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string())))
    }

    #[test]
    fn the_subject_decides_and_the_address_only_without_it() {
        let ann = credential(Some("1"), Some("ann@example.com"));
        assert!(same_account(&token(&json!({"sub": "1", "email": "renamed@example.com"})), &ann).is_ok());
        assert!(same_account(&token(&json!({"sub": "2", "email": "ann@example.com"})), &ann).is_err());
        let imported = credential(None, Some("ann@example.com"));
        assert!(same_account(&token(&json!({"sub": "1", "email": "Ann@Example.com"})), &imported).is_ok());
        assert!(same_account(&token(&json!({"sub": "1", "email": "bob@example.com"})), &imported).is_err());
    }

    #[test]
    fn an_unreadable_id_token_is_refused() {
        let ann = credential(Some("1"), None);
        for bad in ["", "a.b", "e30.!!.x"] {
            assert!(same_account(&Secret::new(bad), &ann).is_err(), "{bad:?}");
        }
    }
}
