//! A client id to paste, made by a person who is signed in at this browser, for programs that cannot register themselves.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};

use super::BrowserSession;
use crate::{
    audit::{Event, What},
    clients::{self, NewClient},
    limits::Caller,
    pages::{self, ErrorPage, Language},
    params::Params,
    server::{Shared, path},
    ticket::BadTicket,
};

/// `GET /oauth/clients/new`: the form.
pub(crate) async fn page(State(server): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let language = Language::of(&headers);
    match BrowserSession::of(&server, &headers).await {
        Ok(Some(session)) => pages::new_client(&server, language, &session.csrf(&server), &NewClient::default(), None),
        Ok(None) => pages::go_to(&server.urls.link(path::LOCAL)),
        Err(failure) => ErrorPage::new(&server, language).failure(&failure.into()),
    }
}

/// `POST /oauth/clients/new`: makes it, and shows it this once.
pub(crate) async fn make(
    State(server): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let language = Language::of(&headers);
    let error = ErrorPage::new(&server, language);
    let params = Params::form(&body);
    let session = match BrowserSession::posting(&server, &headers, &params).await {
        Ok(Some(session)) => session,
        Ok(None) => return error.bad_ticket(BadTicket::OtherBrowser),
        Err(failure) => return error.failure(&failure),
    };
    if let Err(refused) = server.limits.count_registration(caller) {
        return refused.into_response();
    }
    let text = |name| params.one(name).ok().flatten().unwrap_or_default().trim();
    let new = NewClient {
        name: text("name").into(),
        redirect_uris: text("redirect_uris").split_whitespace().map(str::to_owned).collect(),
        confidential: text("kind") == "confidential",
        device_code: false,
    };
    let event = Event::new(What::Registered).who(session.email.as_str());
    let (keys, state) = (&server.keys, &*server.parts.state);
    match clients::make_by_hand(&new, &server.options, keys, state, server.parts.clock.now()).await {
        Ok(made) => {
            event.allowed();
            pages::made_client(&server, language, &made)
        }
        Err(failure) if failure.is_ours() => {
            let reference = crate::keys::reference();
            event.reference(&reference).refused("it could not be written down");
            let problem = pages::Problem::Ours(authchain::core::ErrorCode::StoreUnavailable);
            error.show(StatusCode::SERVICE_UNAVAILABLE, &problem, &reference)
        }
        Err(refused) => {
            let why = refused.into_description();
            event.refused(&why);
            pages::new_client(&server, language, &session.csrf(&server), &new, Some(&why))
        }
    }
}
