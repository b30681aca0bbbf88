//! Sign-in for people without a client that speaks OAuth: `/auth` on this computer's browser, and session tokens for
//! programs that cannot sign in by themselves.

mod browser_session;
mod sessions;

use std::sync::Arc;

use authchain::core::{AuthError, CredentialKey, CredentialStatus, Email, Scopes, UserId};
use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    response::Response,
};
use browser_session::BrowserSession;
use http::{
    HeaderMap, StatusCode,
    header::{ACCEPT, SET_COOKIE},
};
use serde_json::json;
pub(crate) use sessions::{
    end as end_session, end_by_form as end_session_form, list as sessions, open as open_session,
};

use crate::{
    audit::{Event, What},
    errors,
    pages::{self, ErrorPage, Language, Problem},
    params::Params,
    server::{Shared, path},
    ticket::{self, BadTicket, Purpose},
    upstream::{self, Decision, Outcome},
};

/// `GET /auth`: says who is signed in at this browser, or offers to sign in. `?account=` names the account that is expected;
/// `?another=1` offers it in any case. A program that asks for JSON learns the same.
pub(crate) async fn page(State(server): State<Arc<Shared>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let language = Language::of(&headers);
    let error = ErrorPage::new(&server, language);
    let params = Params::query(query.as_deref());
    let expected = match params.one("account").ok().flatten().map(Email::new) {
        None => None,
        Some(Ok(email)) => Some(email),
        Some(Err(why)) => {
            return error.plain(StatusCode::BAD_REQUEST, &Problem::BadRequest(format!("account: {why}")));
        }
    };
    let signed_in = match signed_in_here(&server, &headers, expected.as_ref()).await {
        Ok(signed_in) => signed_in,
        Err(failure) => return error.failure(&failure),
    };
    if wants_json(&headers) {
        return status(&server, signed_in.as_ref().map(|(session, _)| session), expected.as_ref());
    }
    if let Some((session, granted)) = &signed_in
        && !matches!(params.one("another"), Ok(Some(_)))
    {
        let shown = pages::SignedIn {
            email: &session.email,
            granted,
            csrf: &session.csrf(&server),
            just_now: matches!(params.one("done"), Ok(Some(_))),
        };
        return pages::signed_in(&server, language, &shown);
    }
    let scopes = server.options.default_scopes.clone();
    match ticket::issue(&server, Purpose::Local { expected: expected.clone(), scopes }) {
        Ok(issued) => {
            let mut response = pages::sign_in(&server, language, expected.as_ref(), &issued.sealed);
            response.headers_mut().append(SET_COOKIE, issued.cookie);
            response
        }
        Err(failure) => error.failure(&failure),
    }
}

/// The person who is signed in at this browser, with what the provider granted, if their credential can still be used.
async fn signed_in_here(
    server: &Shared,
    headers: &HeaderMap,
    expected: Option<&Email>,
) -> Result<Option<(BrowserSession, Scopes)>, AuthError> {
    let Some(session) = BrowserSession::of(server, headers).await? else { return Ok(None) };
    if expected.is_some_and(|expected| *expected != session.email) {
        return Ok(None);
    }
    let key = CredentialKey::new(session.provider.clone(), UserId::from(&session.email));
    let usable = server.parts.credentials.credential(&key).await?.filter(|credential| {
        credential.status == CredentialStatus::Active
            && (credential.refresh_token.is_some()
                || credential.usable_access_token(server.parts.clock.now(), std::time::Duration::ZERO).is_some())
    });
    Ok(usable.map(|credential| (session, credential.scopes)))
}

fn status(server: &Shared, session: Option<&BrowserSession>, expected: Option<&Email>) -> Response {
    let link = server.urls.at(path::LOCAL);
    let body = match (session, expected) {
        (Some(session), _) => json!({ "status": "already_authenticated", "account": session.email }),
        (None, None) => json!({ "status": "not_authenticated", "sign_in_url": link }),
        (None, Some(expected)) => {
            let account: String = url::form_urlencoded::byte_serialize(expected.as_str().as_bytes()).collect();
            json!({ "status": "not_authenticated", "sign_in_url": format!("{link}?account={account}") })
        }
    };
    errors::json(StatusCode::OK, &body)
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/html")
}

/// `GET /auth/start`: a sign-in begins with the press of a button on the page.
pub(crate) async fn start_again(State(server): State<Arc<Shared>>) -> Response {
    pages::go_to(&server.urls.link(path::LOCAL))
}

/// `POST /auth/start`: to the provider.
pub(crate) async fn start(State(server): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let error = ErrorPage::new(&server, Language::of(&headers));
    let Ok(Some(sealed)) = Params::form(&body).one("ticket").map(|t| t.map(str::to_owned)) else {
        return error.bad_ticket(BadTicket::Foreign);
    };
    let ticket = match ticket::open(&server, &sealed, &headers) {
        Ok(ticket) if matches!(ticket.purpose, Purpose::Local { .. }) => ticket,
        Ok(_) => return error.bad_ticket(BadTicket::Foreign),
        Err(bad) => return error.bad_ticket(bad),
    };
    match upstream::settle(&server, &ticket, Decision::Allow).await.map(|settled| settled.outcome) {
        Ok(Outcome::GoTo(address)) => pages::go_to(&address),
        Ok(Outcome::Denied | Outcome::Finished) => error.plain(StatusCode::CONFLICT, &Problem::AlreadyDone),
        Err(failure) => error.failure(&failure),
    }
}

/// Back from the provider: this browser remembers who signed in.
pub(crate) async fn signed_in(server: &Shared, email: &Email) -> Result<Response, AuthError> {
    let cookie = BrowserSession::begin(server, email).await?;
    let mut response = pages::go_to(&format!("{}?done=1", server.urls.link(path::LOCAL)));
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}

/// `POST /auth/sign-out`: this browser forgets.
pub(crate) async fn sign_out(State(server): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let language = Language::of(&headers);
    let error = ErrorPage::new(&server, language);
    let ended = match BrowserSession::posting(&server, &headers, &Params::form(&body)).await {
        Ok(Some(session)) => session.end(&server).await,
        Ok(None) => return error.bad_ticket(BadTicket::OtherBrowser),
        Err(failure) => return error.failure(&failure),
    };
    match ended {
        Ok((email, cookie)) => {
            Event::new(What::SignedOut).who(email.as_str()).allowed();
            let mut response = pages::signed_out(&server, language);
            response.headers_mut().append(SET_COOKIE, cookie);
            response
        }
        Err(failure) => error.failure(&failure),
    }
}
