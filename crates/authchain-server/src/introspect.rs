//! Introspection (RFC 7662): a client that proves itself asks what a token is worth. A resource server of the
//! configuration may ask about every token, any other client about its own; for everybody else every token is inactive.

use std::sync::Arc;

use authchain::{grants::Grant, jwt::Checked};
use axum::{body::Bytes, extract::State, response::Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::{
    audit::{Event, What},
    clients::{self, Client},
    errors::{self, OAuthError},
    limits::Caller,
    params::Params,
    server::Shared,
    token,
};

/// `POST /oauth/introspect`.
pub(crate) async fn endpoint(
    State(server): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    let params = Params::body(&headers, &body)?;
    let client = clients::authenticate(&server, caller, &headers, &params).await?;
    if client.metadata.is_public() {
        Event::new(What::Introspected).client(&client).refused("a public client");
        return Err(OAuthError::invalid_client("only a client with a secret or a key may ask about tokens", false));
    }
    let presented = params.one("token")?.ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
    let described = match token::recognise_refresh(&server, presented) {
        Some(refresh) => of_refresh_token(&server, &client, &refresh).await?,
        None => of_access_token(&server, &client, presented).await?,
    };
    let event = Event::new(What::Introspected).client(&client);
    match &described {
        Some(_) => event.allowed(),
        None => event.refused("inactive, or not this client's business"),
    }
    Ok(errors::json(StatusCode::OK, &described.unwrap_or_else(|| json!({ "active": false }))))
}

fn may_see(client: &Client, owner: &str) -> bool {
    client.id.as_str() == owner || client.configured().is_some_and(|configured| configured.introspection)
}

async fn of_access_token(server: &Shared, client: &Client, token: &str) -> Result<Option<Value>, OAuthError> {
    let Checked::Verified(verified) = server.own_tokens.check(token) else { return Ok(None) };
    let (grants, text) = (&server.parts.grants, |name: &str| verified.claims.get(name).and_then(Value::as_str));
    // Expired tokens are recognised too, for revocation.
    if verified.expires_at <= server.parts.clock.now() || !may_see(client, text("client_id").unwrap_or_default()) {
        return Ok(None);
    }
    let ended = match (&verified.grant, text("jti")) {
        (Some(grant), _) => grants.get(grant).await?.is_none(),
        (None, Some(id)) => grants.is_withdrawn(id).await?,
        (None, None) => true,
    };
    if ended {
        return Ok(None);
    }
    let mut described = serde_json::Map::new();
    described.insert("active".into(), true.into());
    let bound = verified.claims.contains_key("cnf");
    described.insert("token_type".into(), if bound { "DPoP" } else { "Bearer" }.into());
    for name in ["iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti", "cnf"] {
        if let Some(value) = verified.claims.get(name) {
            described.insert(name.into(), value.clone());
        }
    }
    if let Some(email) = &verified.email {
        described.insert("username".into(), email.as_str().into());
    }
    Ok(Some(described.into()))
}

async fn of_refresh_token(
    server: &Shared,
    client: &Client,
    refresh: &token::PresentedRefresh,
) -> Result<Option<Value>, OAuthError> {
    let Some(grant) = server.parts.grants.get(&refresh.grant).await?.map(|stored| stored.value) else {
        return Ok(None);
    };
    if !may_see(client, grant.client.as_str()) || !token::refresh_is_good(server, &grant, refresh) {
        return Ok(None);
    }
    let Grant { user, email, client, scopes, resource, created_at, last_used, .. } = grant;
    Ok(Some(json!({
        "active": true,
        "iss": server.urls.issuer,
        "aud": resource,
        "sub": user,
        "username": email,
        "client_id": client,
        "scope": scopes,
        "iat": created_at,
        "exp": last_used + server.options.refresh_life,
    })))
}
