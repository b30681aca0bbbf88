//! Discovery: protected resource metadata (RFC 9728), authorization server metadata (RFC 8414), OpenID configuration, and
//! the public keys. Every form that a client in the field asks for is answered, and every other path under
//! `/.well-known/` with a 404 in JSON: some clients show that body to the person.

mod documents;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use crate::{errors::OAuthError, server::Shared};

/// How long a client may keep a document. Short: a change of scopes should be seen the same hour.
const FRESH: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// Browsers of any origin may read what is public and send what needs no cookie. `WWW-Authenticate` is exposed, because
/// browser clients begin with it.
pub(crate) fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([WWW_AUTHENTICATE, RETRY_AFTER, HeaderName::from_static("mcp-session-id")])
        .max_age(std::time::Duration::from_secs(3600))
}

/// The well-known places, at the root of the host and below the MCP endpoint and the issuer.
pub(crate) fn routes(server: &Shared) -> Router<Arc<Shared>> {
    let mut router = Router::new().route("/.well-known", get(nothing)).route("/.well-known/", get(nothing));
    let mut prefixes = vec![String::new(), path_of(&server.urls.resource), server.urls.base.clone()];
    prefixes.sort();
    prefixes.dedup();
    for prefix in prefixes {
        router = router.route(&format!("{prefix}/.well-known/{{*document}}"), get(well_known));
    }
    router.layer(cors())
}

async fn well_known(State(server): State<Arc<Shared>>, Path(document): Path<String>) -> Response {
    documents::find(&server, &document).map_or_else(not_found, |document| public(&document))
}

async fn nothing() -> Response {
    not_found()
}

fn not_found() -> Response {
    OAuthError::new(StatusCode::NOT_FOUND, "not_found", "there is no such document here").into_response()
}

/// `GET /oauth/jwks` (RFC 7517, section 5).
pub(crate) async fn jwks(State(server): State<Arc<Shared>>) -> Response {
    public(&server.parts.signing.jwks())
}

/// `GET /oauth/status`: that the server is up, and what it is. Nothing about anybody.
pub(crate) async fn status(State(server): State<Arc<Shared>>) -> Response {
    crate::errors::json(
        StatusCode::OK,
        &json!({
            "status": "ok",
            "name": server.options.name,
            "issuer": server.urls.issuer,
            "resource": server.urls.resource,
            "provider": server.parts.provider.provider().id,
            "version": env!("CARGO_PKG_VERSION"),
        }),
    )
}

fn public(document: &Value) -> Response {
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (CACHE_CONTROL, FRESH)];
    (StatusCode::OK, headers, document.to_string()).into_response()
}

/// The path of an address of ours, without a trailing slash.
fn path_of(address: &str) -> String {
    url::Url::parse(address).map_or_else(|_| String::new(), |url| url.path().trim_end_matches('/').to_owned())
}
