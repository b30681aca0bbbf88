//! The grant `jwt-bearer` (RFC 7523, section 2.1), in two forms that the operator switches on by naming who is trusted.
//!
//! Enterprise-managed authorization: an organisation's identity provider says, in an ID-JAG
//! (draft-ietf-oauth-identity-assertion-authz-grant), that this person may use this resource through this client. The
//! exchange of a person's token for it (RFC 8693) is the identity provider's business (see `exchange`, where that is another
//! server of ours); here it is redeemed.
//!
//! Workload identity: the platform that a program runs on vouches for it; the token that it has from there stands for a
//! client of the configuration, which then needs no secret.

use std::time::Duration;

use authchain::{
    core::{AuthError, Email, Scopes, UserId},
    jwt::{ClaimNames, JwtError, TrustedIssuer, Verified, Verifier, VerifierOptions},
};
use axum::response::Response;
use serde_json::Value;

use super::{
    Asked,
    access::{self, Alone},
    alone, invalid_target, unauthorized,
};
use crate::{
    audit::{Event, What},
    clients,
    errors::OAuthError,
    keys::from_base64url,
    once,
    options::AssertionIssuer,
    params::Params,
    resource, scopes,
    server::Shared,
};

/// `typ` of an identity assertion.
pub(super) const ID_JAG: &str = "oauth-id-jag+jwt";
/// An identity assertion that is good for longer was not made for one request.
const LONGEST_LIFE: Duration = Duration::from_secs(60 * 60);

/// Whether an assertion is an ID-JAG, by its type. Nothing is verified.
pub(super) fn is_identity_assertion(assertion: Option<&str>) -> bool {
    let header = assertion.and_then(|jwt| from_base64url(jwt.split('.').next()?));
    let header = header.and_then(|json| serde_json::from_slice::<serde_json::Map<String, Value>>(&json).ok());
    let kind = header.as_ref().and_then(|header| header.get("typ")?.as_str()).unwrap_or_default();
    kind.trim_start_matches("application/").eq_ignore_ascii_case(ID_JAG)
}

/// Redeems an ID-JAG for the client that it was given to.
pub(super) async fn enterprise(server: &Shared, asked: &Asked<'_>) -> Result<Response, OAuthError> {
    let client = asked.client;
    let event = Event::new(What::Assertion).client(client);
    if client.metadata.is_public() {
        let why = "an identity assertion is taken from a client that proves itself only";
        event.refused(why);
        return Err(unauthorized(why));
    }
    let issuers = &server.options.grants.enterprise;
    let claims = verify(server, issuers, &[ID_JAG], asked.params).await?;
    let refuse = |why: &'static str| {
        event.refused(why);
        OAuthError::invalid_grant(why)
    };
    if claims.claims.get("client_id").and_then(Value::as_str) != Some(client.id.as_str()) {
        return Err(refuse("the assertion was given to another client"));
    }
    if !names_resource(server, claims.claims.get("resource")) {
        event.refused("another resource");
        return Err(invalid_target(server));
    }
    if claims.expires_at > server.parts.clock.now() + LONGEST_LIFE {
        return Err(refuse("the assertion lives for more than an hour"));
    }
    if !is_proven(claims.claims.get("cnf"), asked.key.as_deref()) {
        return Err(refuse("the assertion is bound to a key that this request does not prove"));
    }
    let Some(email) = vouched_for(issuers, &claims) else {
        return Err(refuse("the assertion names no address that its issuer may speak for"));
    };
    let jti = claims.claims.get("jti").and_then(Value::as_str).filter(|jti| !jti.is_empty());
    let jti = jti.ok_or_else(|| refuse("the assertion has no jti"))?;
    if !once::is_first(server, &claims.issuer, jti, claims.expires_at).await? {
        return Err(refuse("the assertion was used before"));
    }
    let scopes = scopes_of(server, &claims, asked.params)?;
    let user = UserId::from(email);
    let answer = access::answer_alone(
        server,
        &Alone {
            user: &user,
            email: Some(email),
            provider: &server.parts.provider.provider().id,
            client: &client.id,
            scopes: &scopes,
            key: asked.key.as_deref(),
        },
    )?;
    event.who(email.as_str()).allowed();
    Ok(answer)
}

/// Gives a workload the token of the client that it is.
pub(super) async fn workload(server: &Shared, params: &Params, key: Option<String>) -> Result<Response, OAuthError> {
    let event = Event::new(What::Assertion);
    let claims = verify(server, &server.options.grants.workloads, &["jwt", ""], params).await?;
    let is_it = |workload: &clients::Workload| workload.issuer == claims.issuer && workload.subject == claims.subject;
    let registered = &server.options.registered;
    let client = registered.iter().find(|client| client.workload.as_ref().is_some_and(is_it));
    let named = params.one("client_id")?;
    let Some(client) = client.filter(|client| named.is_none_or(|named| named == client.id.as_str())) else {
        event.refused("no client is this workload");
        return Err(OAuthError::invalid_grant("no client of this server is this workload"));
    };
    let answer = alone::give(server, client, params, key.as_deref())?;
    event.who(client.id.as_str()).allowed();
    Ok(answer)
}

/// Checks that somebody who is trusted made the assertion, for us.
async fn verify(
    server: &Shared,
    issuers: &[AssertionIssuer],
    types: &[&str],
    params: &Params,
) -> Result<Verified, OAuthError> {
    let assertion = params.one("assertion")?.ok_or_else(|| OAuthError::invalid_request("assertion is missing"))?;
    let trusted = issuers.iter().map(|issuer| TrustedIssuer {
        issuer: issuer.issuer.clone(),
        audiences: clients::assertion_audiences(server),
        types: types.iter().map(|kind| (*kind).to_owned()).collect(),
        keys: issuer.keys.clone(),
        claims: ClaimNames::default(),
        algorithms: issuer.algorithms.clone(),
        provider: server.parts.provider.provider().id.clone(),
    });
    let options = VerifierOptions { refused: 0, ..VerifierOptions::default() };
    let verifier = Verifier::with_options(trusted.collect(), server.parts.clock.clone(), options);
    verifier.verify(assertion).await.map_err(|error| {
        if matches!(error, JwtError::KeysUnavailable { .. }) {
            return AuthError::from(error).into();
        }
        Event::new(What::Assertion).refused(error.reason());
        OAuthError::invalid_grant(error.reason())
    })
}

/// Whether the request proves the key that an assertion is bound to, if it is bound to one (the draft, "Proof-of-Possession
/// During ID-JAG Exchange").
fn is_proven(cnf: Option<&Value>, proven: Option<&str>) -> bool {
    let Some(cnf) = cnf.filter(|cnf| !cnf.is_null()) else { return true };
    proven.is_some() && cnf.get("jkt").and_then(Value::as_str) == proven
}

/// `resource` of an assertion: one address or several, all ours.
fn names_resource(server: &Shared, named: Option<&Value>) -> bool {
    let ours = |value: &Value| value.as_str().is_some_and(|named| resource::names(&server.options.resource, named));
    match named {
        Some(Value::Array(several)) => !several.is_empty() && several.iter().all(ours),
        Some(one) => ours(one),
        None => false,
    }
}

/// The verified address of the person, if it lies in a domain that the issuer may speak for.
fn vouched_for<'c>(issuers: &[AssertionIssuer], claims: &'c Verified) -> Option<&'c Email> {
    let email = claims.email.as_ref()?;
    let (_, domain) = email.as_str().rsplit_once('@')?;
    let mut of_issuer = issuers.iter().filter(|issuer| issuer.issuer == claims.issuer);
    of_issuer.any(|issuer| issuer.domains.iter().any(|own| own.eq_ignore_ascii_case(domain))).then_some(email)
}

/// What the assertion allows of what the client asks for; both may be silent.
fn scopes_of(server: &Shared, claims: &Verified, params: &Params) -> Result<Scopes, OAuthError> {
    let (supported, default) = (&server.options.scopes_supported, &server.options.default_scopes);
    let asked = params.one("scope")?;
    let allowed = match claims.scopes.is_empty() {
        true => scopes::narrow(asked, supported, default),
        false => scopes::offered(&claims.scopes.to_string(), supported),
    };
    let given = match asked {
        Some(asked) => Scopes::from(asked).iter().filter(|scope| allowed.contains(scope)).collect(),
        None => allowed.clone(),
    };
    // As everywhere: what is not known here is left out, and a request of which nothing is left means what is allowed.
    Ok(if given.is_empty() { allowed } else { given })
}
