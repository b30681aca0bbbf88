//! Whom a program acts for that asks about a person's own, and whether it may change that.

use authchain::{AuthContext, accounts::Account, core::Tier};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri, header::AUTHORIZATION};

use super::BrowserSession;
use crate::{
    audit::{Event, What},
    errors::OAuthError,
    server::Shared,
};

/// The person whom a program acts for: the caller of its token, or who is signed in at the browser.
pub(super) async fn person(
    server: &Shared,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Account, Response> {
    if headers.contains_key(AUTHORIZATION) {
        return Ok(Account::of(caller(server, method, uri, headers).await?.principal()));
    }
    match BrowserSession::of(server, headers).await {
        Ok(Some(session)) => Ok(session.person()),
        Ok(None) => Err(super::sessions::not_signed_in().into_response()),
        Err(failure) => Err(OAuthError::from(failure).into_response()),
    }
}

/// The same, where something is changed: not with the token of a client that the person connected. They allowed it to use
/// what they have, and not to rearrange it; a session token they made for themselves.
pub(super) async fn person_who_changes(
    server: &Shared,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    what: What,
) -> Result<Account, Response> {
    if !headers.contains_key(AUTHORIZATION) || server.options.clients_may_change {
        return person(server, method, uri, headers).await;
    }
    let context = caller(server, method, uri, headers).await?;
    let principal = context.principal();
    match principal.tier {
        Tier::SessionCache | Tier::CredentialBridge => Ok(Account::of(principal)),
        _ => {
            Event::new(what).who(principal.user.as_str()).refused("a client's token");
            let why = "a program that you connected may look at this and not change it: do that in your browser, or with a \
                       session token that you made there, or with the command authchain";
            Err(OAuthError::new(StatusCode::FORBIDDEN, "access_denied", why).into_response())
        }
    }
}

/// Whose token it is.
async fn caller(server: &Shared, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<AuthContext, Response> {
    let Some(layer) = server.layer.get() else {
        let why = "sign in with a browser";
        return Err(OAuthError::new(StatusCode::UNAUTHORIZED, "login_required", why).into_response());
    };
    layer.identify(method, uri, headers).await.map_err(IntoResponse::into_response)
}
