//! Whom a client brings a token of: the subject token of an exchange (RFC 8693, section 2.1).

use std::sync::Arc;

use authchain::{
    core::{AuthError, Email},
    grants::Grant,
    jwt::{Algorithm, Checked, ClaimNames, JwtError, KeySource, TrustedIssuer, Verified, Verifier, VerifierOptions},
};
use serde_json::Value;

use super::super::{Asked, refresh};
use crate::{errors::OAuthError, server::Shared};

/// The tokens of ours that say which person signed in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    AccessToken,
    IdToken,
}

impl Kind {
    /// By its name (RFC 8693, section 3). A refresh token is not taken: it would be used without being rotated, and whoever
    /// holds one gets a fresh token of the other kinds for it.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "urn:ietf:params:oauth:token-type:access_token" => Some(Self::AccessToken),
            "urn:ietf:params:oauth:token-type:id_token" => Some(Self::IdToken),
            _ => None,
        }
    }
}

/// Why there is no person, and who it would have been, where that is known.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) who: Option<Email>,
    pub(super) error: OAuthError,
}

impl<E: Into<OAuthError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self { who: None, error: error.into() }
    }
}

/// The living grant behind a subject token that this server issued to the client that asks.
///
/// Only what a person granted counts: a client's own token, and one that was got for another's assertion, name nobody who
/// signed in here. A token that is bound to a key needs its proof, as everywhere.
///
/// # Errors
/// `invalid_request` for a token that is not good in every way (RFC 8693, section 2.2.2), `invalid_dpop_proof` for a bound
/// one without its proof; 503 where that cannot be told now.
pub(super) async fn grant(server: &Shared, asked: &Asked<'_>, kind: Kind, token: &str) -> Result<Grant, Refused> {
    let refuse = OAuthError::invalid_request;
    let verified = verified(server, asked, kind, token).map_err(refuse)?;
    if kind == Kind::AccessToken && verified.client.as_ref() != Some(&asked.client.id) {
        return Err(refuse(FOREIGN).into());
    }
    let id = verified.grant.ok_or_else(|| refuse("the subject token is of nobody who signed in here"))?;
    let stored = server.parts.grants.get(&id).await?;
    let grant = stored.ok_or_else(|| refuse("the sign-in behind the subject token has ended"))?.value;
    let known = |error: OAuthError| Refused { who: Some(grant.email.clone()), error };
    if grant.client != asked.client.id {
        return Err(known(refuse(FOREIGN)));
    }
    is_proven(verified.claims.get("cnf"), asked.key.as_deref()).map_err(|error| known(error.into()))?;
    if let Err(why) = refresh::still_signed_in(server, &grant).await? {
        return Err(known(refuse(why)));
    }
    Ok(grant)
}

const FOREIGN: &str = "the subject token was given to another client";

fn verified(server: &Shared, asked: &Asked<'_>, kind: Kind, token: &str) -> Result<Verified, &'static str> {
    let (audience, typ) = match kind {
        Kind::AccessToken => (server.urls.resource.as_str(), "at+jwt"),
        Kind::IdToken => (asked.client.id.as_str(), "jwt"),
    };
    let ourselves = TrustedIssuer {
        issuer: server.urls.issuer.clone(),
        audiences: vec![audience.to_owned()],
        types: vec![typ.into()],
        keys: KeySource::Own(Arc::clone(&server.parts.signing)),
        claims: ClaimNames::default(),
        algorithms: Algorithm::ALL.to_vec(),
        provider: server.parts.provider.provider().id.clone(),
    };
    let options = VerifierOptions { refused: 0, ..VerifierOptions::default() };
    let clock = Arc::clone(&server.parts.clock);
    match Verifier::with_options(vec![ourselves], clock, options).check(token) {
        // The leeway is for the clocks of others; what expires here is our own.
        Checked::Verified(verified) if verified.expires_at > server.parts.clock.now() => Ok(*verified),
        Checked::Verified(_) | Checked::Refused(JwtError::Expired) => Err("the subject token has expired"),
        Checked::Refused(JwtError::WrongAudience) if kind == Kind::IdToken => Err(FOREIGN),
        Checked::Refused(_) | Checked::NeedsKeys => Err("the subject token is no token of this server of that type"),
    }
}

/// A bound token is taken with a proof by its key only (RFC 9449, section 6).
fn is_proven(cnf: Option<&Value>, proven: Option<&str>) -> Result<(), AuthError> {
    let Some(cnf) = cnf.filter(|cnf| !cnf.is_null()) else { return Ok(()) };
    match (cnf.get("jkt").and_then(Value::as_str), proven) {
        (Some(bound_to), Some(proven)) if bound_to == proven => Ok(()),
        (_, Some(_)) => Err(AuthError::InvalidDpopProof("the proof is by another key than the subject token's")),
        (_, None) => Err(AuthError::InvalidDpopProof("the subject token is bound to a key: a proof is needed")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn n19_a_bound_token_is_worth_nothing_without_the_proof_of_its_own_key() {
        let bound = json!({"jkt": "a"});
        assert!(is_proven(None, None).is_ok() && is_proven(Some(&Value::Null), None).is_ok());
        assert!(is_proven(None, Some("a")).is_ok() && is_proven(Some(&bound), Some("a")).is_ok());
        for (cnf, proven) in [(&bound, None), (&bound, Some("b")), (&json!({"x5t#S256": "a"}), Some("a"))] {
            assert!(is_proven(Some(cnf), proven).is_err(), "{cnf} {proven:?}");
        }
        assert!(is_proven(Some(&json!({"x5t#S256": "a"})), None).is_err(), "bound in a way that is not known here");
    }

    #[test]
    fn n19_only_tokens_that_name_a_person_are_subject_tokens() {
        assert_eq!(Kind::named("urn:ietf:params:oauth:token-type:access_token"), Some(Kind::AccessToken));
        assert_eq!(Kind::named("urn:ietf:params:oauth:token-type:id_token"), Some(Kind::IdToken));
        for other in ["refresh_token", "saml2", "jwt", "id-jag"] {
            assert_eq!(Kind::named(&format!("urn:ietf:params:oauth:token-type:{other}")), None, "{other}");
        }
    }
}
