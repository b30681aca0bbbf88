//! The token endpoint (RFC 6749, section 3.2): codes, refresh tokens, and what the operator switched on besides, become
//! access tokens.

mod access;
mod alone;
mod assertions;
mod codes;
mod device;
mod exchange;
mod refresh;

use std::sync::Arc;

use authchain::{
    core::{Email, Scopes, UserId},
    grants::Grant,
};
use axum::{body::Bytes, extract::State, response::Response};
use http::{HeaderMap, Method, StatusCode};

pub(crate) use codes::issue as issue_code;
pub use exchange::{ExchangeAudience, ExchangeClient};
pub(crate) use exchange::{ID_JAG, check as check_audiences};
pub(crate) use refresh::{Presented as PresentedRefresh, is_good as refresh_is_good, recognise as recognise_refresh};

use crate::{
    clients::{self, Client},
    errors::OAuthError,
    limits::Caller,
    params::Params,
    resource,
    server::Shared,
};

/// The grants beyond codes and refresh tokens, by their names at this endpoint.
pub(crate) mod grant {
    pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";
    pub(crate) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
    pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
}

/// What is asked, and by whom.
struct Asked<'a> {
    client: &'a Client,
    params: &'a Params,
    /// The thumbprint of the key that the client proved (RFC 9449, section 5).
    key: Option<String>,
}

/// The names of all grants that are switched on.
pub(crate) fn grant_types(server: &Shared) -> Vec<&'static str> {
    let people = server.options.sign_in;
    let mut types = if people { vec!["authorization_code", "refresh_token"] } else { Vec::new() };
    if server.options.grants.client_credentials {
        types.push(grant::CLIENT_CREDENTIALS);
    }
    if people && server.options.grants.device_code {
        types.push(grant::DEVICE_CODE);
    }
    if server.options.grants.takes_assertions() {
        types.push(grant::JWT_BEARER);
    }
    if issues_assertions(server) {
        types.push(grant::TOKEN_EXCHANGE);
    }
    types
}

/// Whether tokens are exchanged here: for people who signed in here, and only they have any.
pub(crate) fn issues_assertions(server: &Shared) -> bool {
    server.options.sign_in && !server.options.grants.exchange.is_empty()
}

/// `POST /oauth/token`, with a form as the standard has it, or JSON as some clients send.
pub(crate) async fn endpoint(
    State(server): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    let params = Params::body(&headers, &body)?;
    let grant_type = params.one("grant_type")?.ok_or_else(|| OAuthError::invalid_request("grant_type is missing"))?;
    let offered = grant_types(&server);
    if !offered.contains(&grant_type) {
        let why = match offered.as_slice() {
            [] => "this server gives no tokens".into(),
            _ => format!("grant_type must be one of: {}", offered.join(", ")),
        };
        return Err(OAuthError::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", why));
    }
    // What is exchanged is for a resource of another server.
    let foreign = grant_type == grant::TOKEN_EXCHANGE;
    if !foreign && !resource::all_name(&server.options.resource, params.all("resource")) {
        return Err(invalid_target(&server));
    }
    // Before the client proves itself: an assertion would be used up by a request that has to come again with a nonce.
    let key = match &server.dpop {
        Some(dpop) if headers.contains_key(authchain::dpop::PROOF) => {
            Some(dpop.check(&headers, &Method::POST, &server.urls.link(&server.options.paths.token), None).await?)
        }
        _ => None,
    };
    if grant_type == grant::JWT_BEARER && !assertions::is_identity_assertion(params.one("assertion")?) {
        // The assertion itself proves which workload asks.
        return assertions::workload(&server, &params, key).await;
    }
    let client = clients::authenticate(&server, caller, &headers, &params).await?;
    let asked = Asked { client: &client, params: &params, key };
    let answer = match grant_type {
        "authorization_code" => codes::redeem(&server, &asked).await?,
        "refresh_token" => refresh::refresh(&server, &asked).await?,
        grant::DEVICE_CODE => device::ask(&server, &asked).await?,
        grant::TOKEN_EXCHANGE => exchange::exchange(&server, &asked).await?,
        grant::CLIENT_CREDENTIALS => alone::client_credentials(&server, &asked)?,
        _ => assertions::enterprise(&server, &asked).await?,
    };
    client.touch(&server).await;
    Ok(answer)
}

/// What a person grants the client that asks, from now on.
fn new_grant(
    server: &Shared,
    asked: &Asked<'_>,
    id: String,
    name: String,
    redirect_uri: Option<String>,
    scopes: Scopes,
    email: Email,
) -> Grant {
    let now = server.parts.clock.now();
    Grant {
        id,
        user: UserId::from(&email),
        email,
        provider: server.parts.provider.provider().id.clone(),
        client: asked.client.id.clone(),
        client_name: name,
        redirect_uri,
        scopes,
        added: Scopes::none(),
        resource: server.urls.resource.clone(),
        created_at: now,
        last_used: now,
        generation: 1,
        rotated_at: now,
        key_id: server.keys.refresh.primary_id(),
        // A confidential client proves itself at each refresh already (RFC 9449, section 5).
        bound_to: asked.key.clone().filter(|_| asked.client.metadata.is_public()),
    }
}

fn invalid_target(server: &Shared) -> OAuthError {
    let why = format!("this server gives access to {} only", server.urls.resource);
    OAuthError::new(StatusCode::BAD_REQUEST, "invalid_target", why)
}

/// 400 `unauthorized_client` (RFC 6749, section 5.2): this client may not use this grant.
fn unauthorized(why: &'static str) -> OAuthError {
    OAuthError::new(StatusCode::BAD_REQUEST, "unauthorized_client", why)
}
