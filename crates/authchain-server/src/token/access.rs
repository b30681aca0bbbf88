//! What a client gets: an access token for the one resource (RFC 9068), a refresh token, and an id token where it asked who
//! the person is.

use authchain::{
    core::{AuthError, ClientId, Email, ProviderId, Scopes, Secret, Timestamp, UserId},
    dpop::NONCE,
    grants::Grant,
};
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    errors::{OAuthError, json},
    keys::{base64url, random},
    server::Shared,
};

/// RFC 9068, section 2.2, with the names that tier 2 of the chain reads.
#[derive(Serialize)]
struct AccessClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    client_id: &'a str,
    scope: &'a Scopes,
    /// The grant; none where the token stands for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    /// The provider that the person signed in at.
    idp: &'a str,
    iat: Timestamp,
    exp: Timestamp,
    jti: String,
    /// RFC 9449, section 6.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation<'a>>,
}

/// The key that a token is bound to (RFC 9449, section 6.1).
#[derive(Serialize)]
pub(super) struct Confirmation<'a> {
    pub(super) jkt: &'a str,
}

/// OpenID Connect Core 1.0, section 2.
#[derive(Serialize)]
struct IdClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    email: &'a str,
    email_verified: bool,
    iat: Timestamp,
    exp: Timestamp,
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

/// Whom an access token is for that belongs to no grant.
pub(super) struct Alone<'a> {
    pub(super) user: &'a UserId,
    pub(super) email: Option<&'a Email>,
    pub(super) provider: &'a ProviderId,
    pub(super) client: &'a ClientId,
    pub(super) scopes: &'a Scopes,
    /// The key that the token is bound to.
    pub(super) key: Option<&'a str>,
}

/// The successful answer of a grant that is asked again for each token: no refresh token (RFC 6749, section 4.4.3).
pub(super) fn answer_alone(server: &Shared, alone: &Alone<'_>) -> Result<Response, OAuthError> {
    let token = sign_access(
        server,
        &AccessClaims {
            iss: &server.urls.issuer,
            aud: &server.urls.resource,
            sub: alone.user.as_str(),
            client_id: alone.client.as_str(),
            scope: alone.scopes,
            sid: None,
            email: alone.email.map(Email::as_str),
            idp: alone.provider.as_str(),
            iat: server.parts.clock.now(),
            exp: server.parts.clock.now() + server.options.access_token_life,
            jti: base64url(random::<12>()?),
            cnf: alone.key.map(|jkt| Confirmation { jkt }),
        },
    )?;
    finish(server, alone.key, &body(server, token, alone.scopes, alone.key))
}

fn body(server: &Shared, token: String, scopes: &Scopes, key: Option<&str>) -> Value {
    json!({
        "access_token": token,
        "token_type": if key.is_some() { "DPoP" } else { "Bearer" },
        "expires_in": server.options.access_token_life.as_secs(),
        "scope": scopes,
    })
}

/// A client that proves a key is told the nonce for its next proof (RFC 9449, section 8.2).
pub(super) fn finish(server: &Shared, key: Option<&str>, body: &Value) -> Result<Response, OAuthError> {
    let mut response = json(StatusCode::OK, body);
    if let (Some(_), Some(dpop)) = (key, &server.dpop)
        && let Ok(nonce) = HeaderValue::try_from(dpop.nonce())
    {
        response.headers_mut().insert(NONCE, nonce);
    }
    Ok(response)
}

/// The successful answer (RFC 6749, section 5.1). Every one carries a refresh token: some clients lose theirs otherwise.
/// `key`: the thumbprint of the key that the access token is bound to.
pub(super) fn answer(
    server: &Shared,
    grant: &Grant,
    scopes: &Scopes,
    refresh_token: &Secret,
    nonce: Option<&str>,
    key: Option<&str>,
) -> Result<Response, OAuthError> {
    let now = server.parts.clock.now();
    let life = server.options.access_token_life;
    let access_token = sign_access(
        server,
        &AccessClaims {
            iss: &server.urls.issuer,
            aud: &grant.resource,
            sub: grant.user.as_str(),
            client_id: grant.client.as_str(),
            scope: scopes,
            sid: Some(&grant.id),
            email: Some(grant.email.as_str()),
            idp: grant.provider.as_str(),
            iat: now,
            exp: now + life,
            jti: base64url(random::<12>()?),
            cnf: key.map(|jkt| Confirmation { jkt }),
        },
    )?;
    let mut body = body(server, access_token, scopes, key);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("refresh_token".into(), refresh_token.expose().into());
    }
    if scopes.contains("openid") {
        let id_token = sign(
            server,
            "JWT",
            &IdClaims {
                iss: &server.urls.issuer,
                aud: grant.client.as_str(),
                sub: grant.user.as_str(),
                email: grant.email.as_str(),
                email_verified: true,
                iat: now,
                exp: now + life,
                sid: &grant.id,
                nonce,
            },
        )?;
        if let Some(fields) = body.as_object_mut() {
            fields.insert("id_token".into(), id_token.into());
        }
    }
    finish(server, key, &body)
}

fn sign_access(server: &Shared, claims: &AccessClaims<'_>) -> Result<String, AuthError> {
    sign(server, "at+jwt", claims)
}

pub(super) fn sign(server: &Shared, typ: &str, claims: &impl Serialize) -> Result<String, AuthError> {
    server
        .parts
        .signing
        .sign(typ, claims)
        .map_err(|why| AuthError::Configuration(format!("a token cannot be signed: {why}")))
}
