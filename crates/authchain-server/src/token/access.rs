//! What a client gets: an access token for the one resource (RFC 9068), a refresh token, and an id token where it asked who
//! the person is.

use authchain::{
    core::{AuthError, Scopes, Secret, Timestamp},
    grants::Grant,
};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

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
    /// The grant.
    sid: &'a str,
    email: &'a str,
    /// The provider that the person signed in at.
    idp: &'a str,
    iat: Timestamp,
    exp: Timestamp,
    jti: String,
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

/// The successful answer (RFC 6749, section 5.1). Every one carries a refresh token: some clients lose theirs otherwise.
pub(super) fn answer(
    server: &Shared,
    grant: &Grant,
    scopes: &Scopes,
    refresh_token: &Secret,
    nonce: Option<&str>,
) -> Result<Response, OAuthError> {
    let now = server.parts.clock.now();
    let life = server.options.access_token_life;
    let access_token = sign(
        server,
        "at+jwt",
        &AccessClaims {
            iss: &server.urls.issuer,
            aud: &grant.resource,
            sub: grant.user.as_str(),
            client_id: grant.client.as_str(),
            scope: scopes,
            sid: &grant.id,
            email: grant.email.as_str(),
            idp: grant.provider.as_str(),
            iat: now,
            exp: now + life,
            jti: base64url(random::<12>()?),
        },
    )?;
    let mut body = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": life.as_secs(),
        "refresh_token": refresh_token.expose(),
        "scope": scopes,
    });
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
    Ok(json(StatusCode::OK, &body))
}

fn sign(server: &Shared, typ: &str, claims: &impl Serialize) -> Result<String, AuthError> {
    server
        .parts
        .signing
        .sign(typ, claims)
        .map_err(|why| AuthError::Configuration(format!("a token cannot be signed: {why}")))
}
