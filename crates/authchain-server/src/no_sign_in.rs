//! A server at which nobody can sign in, because its operator has set up another way to the provider's APIs: whatever would
//! send a person there says so instead, as a page or as JSON.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{any, post},
};
use http::{
    HeaderMap, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION},
};

use crate::{
    errors::OAuthError,
    pages::{ErrorPage, Language, Problem},
    paths::Paths,
    server::{Shared, path},
};

/// In the place of registration and of the codes of devices.
pub(crate) fn programs(paths: &Paths) -> Router<Arc<Shared>> {
    Router::new()
        .route(&paths.register, post(for_a_program))
        .route(path::REGISTER_ALIAS, post(for_a_program))
        .route(&paths.device_authorization, post(for_a_program))
}

/// In the place of the pages.
pub(crate) fn people(paths: &Paths) -> Router<Arc<Shared>> {
    let below_local = format!("{}/{{*page}}", path::LOCAL);
    let below_device = format!("{}/{{*page}}", paths.device);
    let places =
        [paths.authorize.as_str(), &paths.consent, &paths.callback, path::NEW_CLIENT, path::LOCAL, &paths.device];
    let places = places.into_iter().chain([below_local.as_str(), below_device.as_str()]);
    places.fold(Router::new(), |router, place| router.route(place, any(for_whoever_asks)))
}

async fn for_a_program() -> OAuthError {
    let why = "nobody can sign in through Google at this server: its operator has set up another credential for Google's \
               APIs; ask the operator for a token";
    OAuthError::new(StatusCode::NOT_FOUND, "not_found", why)
}

/// Programs are told by what they send: a browser asks for a page and has no token.
async fn for_whoever_asks(State(server): State<Arc<Shared>>, method: Method, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let json = accept.contains("application/json") && !accept.contains("text/html");
    if json || headers.contains_key(AUTHORIZATION) || method == Method::DELETE {
        return for_a_program().await.into_response();
    }
    ErrorPage::new(&server, Language::of(&headers)).plain(StatusCode::NOT_FOUND, &Problem::NoSignIn)
}
