//! The token endpoint (RFC 6749, section 3.2): codes and refresh tokens become access tokens.

mod access;
mod codes;
mod refresh;

use std::sync::Arc;

use axum::{body::Bytes, extract::State, response::Response};
use http::{HeaderMap, StatusCode};

pub(crate) use codes::issue as issue_code;
pub(crate) use refresh::{Presented as PresentedRefresh, recognise as recognise_refresh};

use crate::{clients, errors::OAuthError, params::Params, resource, server::Shared};

/// `POST /oauth/token`, with a form as the standard has it, or JSON as some clients send.
pub(crate) async fn endpoint(
    State(server): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    let params = Params::body(&headers, &body)?;
    let grant_type = params.one("grant_type")?.ok_or_else(|| OAuthError::invalid_request("grant_type is missing"))?;
    if !matches!(grant_type, "authorization_code" | "refresh_token") {
        return Err(OAuthError::new(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "grant_type must be authorization_code or refresh_token",
        ));
    }
    let client = clients::authenticate(&server, &headers, &params).await?;
    if !resource::all_name(&server.options.resource, params.all("resource")) {
        return Err(OAuthError::new(
            StatusCode::BAD_REQUEST,
            "invalid_target",
            format!("this server gives access to {} only", server.urls.resource),
        ));
    }
    let answer = match grant_type {
        "authorization_code" => codes::redeem(&server, &client, &params).await?,
        _ => refresh::refresh(&server, &client, &params).await?,
    };
    client.touch(&server).await;
    Ok(answer)
}
