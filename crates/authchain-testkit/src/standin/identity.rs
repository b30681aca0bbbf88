//! Who signed in: discovery, the published keys, ID tokens, tokeninfo and userinfo (OpenID Connect Core 1.0 and Discovery 1.0).

use std::{io, sync::Arc};

use authchain_core::Email;
use aws_lc_rs::digest;
use axum::{
    Json,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

use super::{
    api::bearer,
    ledger::Issued,
    oauth_error::OAuthError,
    params::Params,
    scopes::{EMAIL, PROFILE},
    world::World,
};

/// Whose ID tokens the stand-in issues when it lies about the audience.
const SOMEBODY_ELSE: &str = "999999999999-somebody-else.apps.example.com";

/// `/.well-known/openid-configuration`
pub(crate) async fn discovery(State(world): State<Arc<World>>) -> Response {
    let issuer = &world.issuer;
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/o/oauth2/v2/auth"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/oauth2/v3/userinfo"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "jwks_uri": format!("{issuer}/oauth2/v3/certs"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "claims_supported": ["aud", "email", "email_verified", "exp", "family_name", "given_name", "iat", "iss", "name",
                             "picture", "sub"],
        "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
    });
    ([(header::CACHE_CONTROL, "public, max-age=3600")], Json(document)).into_response()
}

/// `/oauth2/v3/certs`: a set that clients keep for some hours, as Google's.
pub(crate) async fn certs(State(world): State<Arc<World>>) -> Response {
    let keys = world.keys().jwks();
    ([(header::CACHE_CONTROL, "public, max-age=19845, must-revalidate, no-transform")], Json(keys)).into_response()
}

/// An ID token for what was just issued, when `openid` is among the scopes.
pub(crate) fn id_token(world: &World, issued: &Issued) -> io::Result<Option<String>> {
    if !issued.scopes.contains("openid") {
        return Ok(None);
    }
    let mood = world.mood();
    let email = &issued.holder.email;
    let mut claims = person_claims(world, email, |scope| issued.scopes.contains(scope));
    if let Some(lie) = &mood.wrong_email
        && claims.contains_key("email")
    {
        claims.insert("email".into(), lie.as_str().into());
    }
    let audience = if mood.wrong_audience { SOMEBODY_ELSE } else { &issued.holder.client };
    let issued_at = world.now().0.saturating_add(mood.id_token_skew);
    let hash = digest::digest(&digest::SHA256, issued.access_token.as_bytes());
    let half = hash.as_ref().get(..16).unwrap_or_default();
    claims.insert("iss".into(), world.issuer.as_str().into());
    claims.insert("aud".into(), audience.into());
    claims.insert("azp".into(), audience.into());
    claims.insert("at_hash".into(), URL_SAFE_NO_PAD.encode(half).into());
    claims.insert("iat".into(), issued_at.into());
    claims.insert("exp".into(), issued_at.saturating_add(3600).into());
    if let Some(nonce) = &issued.nonce {
        claims.insert("nonce".into(), nonce.as_str().into());
    }
    let token = world.keys().sign(&Value::Object(claims))?;
    world.ledger().note(token.clone());
    Ok(Some(token))
}

/// `/tokeninfo?access_token=`
pub(crate) async fn tokeninfo(State(world): State<Arc<World>>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let (query, form) = (Params::of_query(query.as_deref()), Params::parse(&body));
    let Some(token) = query.get("access_token").or_else(|| form.get("access_token")) else {
        return OAuthError::new(400, "invalid_request", "Either access_token, id_token, or token_handle required")
            .into_response();
    };
    let now = world.now();
    let Some(access) = world.ledger().access(token, now).cloned() else {
        return OAuthError::new(400, "invalid_token", "Invalid Value").into_response();
    };
    let mut info =
        person_claims(&world, &access.holder.email, |scope| scope != PROFILE && access.scopes.contains(scope));
    info.remove("hd");
    if info.contains_key("email_verified") {
        info.insert("email_verified".into(), "true".into());
    }
    info.insert("azp".into(), access.holder.client.as_str().into());
    info.insert("aud".into(), access.holder.client.as_str().into());
    info.insert("scope".into(), access.scopes.to_string().into());
    info.insert("exp".into(), access.expires_at.0.to_string().into());
    info.insert("expires_in".into(), access.expires_at.since(now).as_secs().to_string().into());
    Json(Value::Object(info)).into_response()
}

/// `/oauth2/v3/userinfo`
pub(crate) async fn userinfo(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    let access = bearer(&headers).and_then(|token| world.ledger().access(token, world.now()).cloned());
    let Some(access) = access else {
        let challenge = r#"Bearer realm="https://accounts.google.com/", error="invalid_token""#;
        let error = OAuthError::new(401, "invalid_request", "Invalid Credentials");
        return ([(header::WWW_AUTHENTICATE, challenge)], error).into_response();
    };
    if !access.scopes.contains("openid") {
        return OAuthError::new(403, "insufficient_scope", "Request had insufficient authentication scopes.")
            .into_response();
    }
    Json(Value::Object(person_claims(&world, &access.holder.email, |scope| access.scopes.contains(scope))))
        .into_response()
}

/// What is said about a person to somebody with these scopes.
fn person_claims(world: &World, email: &Email, has: impl Fn(&str) -> bool) -> Map<String, Value> {
    let mut claims = Map::new();
    let people = world.people();
    let Some(person) = people.by_email(email) else { return claims };
    claims.insert("sub".into(), person.subject.into());
    if has(EMAIL) {
        claims.insert("email".into(), person.email.as_str().into());
        claims.insert("email_verified".into(), true.into());
        let domain = person.email.as_str().split_once('@').map(|(_, domain)| domain);
        claims.extend(domain.map(|domain| ("hd".to_owned(), domain.into())));
    }
    if has(PROFILE) {
        claims.insert("name".into(), person.name().into());
        claims.insert("given_name".into(), person.given_name.into());
        claims.insert("family_name".into(), person.family_name.into());
    }
    claims
}
