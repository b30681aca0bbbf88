//! Session tokens: made, listed and ended by the person who is signed in at the browser.

use std::sync::Arc;

use authchain::{core::AuthError, sessions::NewSession};
use axum::{
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};

use super::{BrowserSession, signed_in_here, wants_json};
use crate::{
    audit::{Event, What},
    errors::{OAuthError, json},
    pages::{self, ErrorPage, Language},
    params::Params,
    server::{Shared, path},
    ticket::BadTicket,
};

/// A name is for people.
const MAX_LABEL: usize = 60;

/// `GET /auth/sessions`.
pub(crate) async fn list(State(server): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let language = Language::of(&headers);
    let found = async {
        let Some(session) = BrowserSession::of(&server, &headers).await? else { return Ok(None) };
        let list = server.parts.sessions.list(&session.user()).await?;
        Ok::<_, AuthError>(Some((session, list)))
    };
    match found.await {
        Ok(Some((_, list))) if wants_json(&headers) => json(StatusCode::OK, &list),
        Ok(Some((session, list))) => pages::sessions(&server, language, &list, &session.csrf(&server)),
        Ok(None) if wants_json(&headers) => not_signed_in().into_response(),
        Ok(None) => pages::go_to(&server.urls.link(path::LOCAL)),
        Err(failure) => ErrorPage::new(&server, language).failure(&failure),
    }
}

/// `POST /auth/sessions`: a new token, shown this once.
pub(crate) async fn open(State(server): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let language = Language::of(&headers);
    let error = ErrorPage::new(&server, language);
    let params = Params::form(&body);
    let opened = async {
        if BrowserSession::posting(&server, &headers, &params).await?.is_none() {
            return Ok(None);
        }
        let Some((session, scopes)) = signed_in_here(&server, &headers, None).await? else { return Ok(None) };
        let label: String = params.one("label").ok().flatten().unwrap_or_default().trim().to_owned();
        let label: String = label.chars().filter(|c| !c.is_control()).take(MAX_LABEL).collect();
        let (user, email, provider) = (session.user(), session.email, session.provider);
        server.parts.sessions.open(NewSession { user, email, provider, scopes, label }).await.map(Some)
    };
    match opened.await {
        Ok(Some((token, session))) => {
            Event::new(What::SessionOpened).who(session.email.as_str()).allowed();
            pages::new_session(&server, language, &token, &session.label)
        }
        Ok(None) => error.bad_ticket(BadTicket::OtherBrowser),
        Err(failure) => error.failure(&failure),
    }
}

/// `POST /auth/sessions/{id}/end`: from the page.
pub(crate) async fn end_by_form(
    State(server): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let error = ErrorPage::new(&server, Language::of(&headers));
    let ended = async {
        let posting = BrowserSession::posting(&server, &headers, &Params::form(&body)).await?;
        let Some(session) = posting else { return Ok(None) };
        finish(&server, &session, &id).await.map(Some)
    };
    match ended.await {
        Ok(Some(_)) => pages::go_to(&server.urls.link(path::SESSIONS)),
        Ok(None) => error.bad_ticket(BadTicket::OtherBrowser),
        Err(failure) => error.failure(&failure),
    }
}

/// `DELETE /auth/sessions/{id}`: for programs. No form of another site can send it, and the cookie would not come along.
pub(crate) async fn end(
    State(server): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, OAuthError> {
    let session = BrowserSession::of(&server, &headers).await?.ok_or_else(not_signed_in)?;
    if finish(&server, &session, &id).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(OAuthError::new(StatusCode::NOT_FOUND, "not_found", "you have no session with this id"))
    }
}

async fn finish(server: &Shared, session: &BrowserSession, id: &str) -> Result<bool, AuthError> {
    let ended = server.parts.sessions.end(&session.user(), id).await?;
    if ended {
        Event::new(What::SessionEnded).who(session.email.as_str()).allowed();
    }
    Ok(ended)
}

pub(super) fn not_signed_in() -> OAuthError {
    OAuthError::new(StatusCode::UNAUTHORIZED, "login_required", "nobody is signed in at this browser")
}
