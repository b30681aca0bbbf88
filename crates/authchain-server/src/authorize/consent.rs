//! The consent page: who asks, for what, where the answer goes; and the answer. It is shown for every authorization,
//! because all clients share one client at the provider, which would wave a second one through without a question
//! (MCP security best practices: confused deputy).

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    response::Response,
};
use http::{HeaderMap, StatusCode, header::SET_COOKIE};

use super::{answer, request};
use crate::{
    audit::{Event, What},
    clients::{Client, NoClient},
    keys,
    pages::{self, Language, Problem},
    params::Params,
    server::Shared,
    ticket::{self, BadTicket, Purpose},
    upstream::{self, Decision, Outcome, Settled},
};

/// `GET /oauth/authorize`: shows the page. Nothing is stored and nothing changes: some clients fetch the address
/// themselves before they open it in a browser.
pub(crate) async fn page(State(server): State<Arc<Shared>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let language = Language::of(&headers);
    let error = pages::ErrorPage::new(&server, language);
    let (request, client) = match request::read(&server, &Params::query(query.as_deref())).await {
        Ok(read) => read,
        Err(refused) => return refuse(&server, error, refused),
    };
    let issued = match ticket::issue(&server, Purpose::Authorize(request.clone())) {
        Ok(issued) => issued,
        Err(failure) => return error.failure(&failure),
    };
    let mut response = pages::consent(&server, language, &client, &request, &issued.sealed);
    response.headers_mut().append(SET_COOKIE, issued.cookie);
    response
}

fn refuse(server: &Shared, error: pages::ErrorPage<'_>, refused: request::Refused) -> Response {
    let reference = keys::reference();
    let event = Event::new(What::Authorization).reference(&reference);
    match refused {
        request::Refused::NoClient(NoClient::Unknown) => {
            event.refused("unknown client");
            error.show(StatusCode::BAD_REQUEST, &Problem::UnknownClient, &reference)
        }
        request::Refused::NoClient(NoClient::BadDocument(rule)) => {
            event.refused(&rule);
            error.show(StatusCode::BAD_REQUEST, &Problem::ClientDocument(rule.into_owned()), &reference)
        }
        request::Refused::NoClient(NoClient::Failed(failure)) => error.failure_as(&failure, &reference),
        request::Refused::BadRedirect(client) => {
            event.client(&client).refused("redirect URI not registered");
            error.show(StatusCode::BAD_REQUEST, &Problem::BadRedirect, &reference)
        }
        request::Refused::Unreadable(why) => {
            event.refused(&why);
            error.show(StatusCode::BAD_REQUEST, &Problem::BadRequest(why), &reference)
        }
        request::Refused::Tell { client, redirect_uri, state, error, description } => {
            event.client(&client).refused(&description);
            answer::redirect_with_error(server, &redirect_uri, state.as_deref(), error, &description)
        }
    }
}

/// `POST /oauth/consent`: the person said yes or no.
pub(crate) async fn decide(State(server): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let error = pages::ErrorPage::new(&server, Language::of(&headers));
    let params = Params::form(&body);
    let (Ok(Some(sealed)), Ok(Some(word))) = (params.one("ticket"), params.one("decision")) else {
        return error.bad_ticket(BadTicket::Foreign);
    };
    let Some(decision) = Decision::of(word) else { return error.bad_ticket(BadTicket::Foreign) };
    let ticket = match ticket::open(&server, sealed, &headers) {
        Ok(ticket) => ticket,
        Err(bad) => return error.bad_ticket(bad),
    };
    let Purpose::Authorize(request) = &ticket.purpose else { return error.bad_ticket(BadTicket::Foreign) };
    let client = match Client::find(&server, request.client.as_str()).await {
        Ok(client) => client,
        Err(none) => return refuse(&server, error, request::Refused::NoClient(none)),
    };
    let event = Event::new(What::Consent).client(&client);
    match upstream::settle(&server, &ticket, decision).await {
        Ok(Settled { outcome: Outcome::GoTo(address), first }) => {
            if first {
                event.allowed();
                client.touch(&server).await;
            }
            pages::go_to(&address)
        }
        Ok(Settled { outcome: Outcome::Denied, first }) => {
            if first {
                event.refused("the person said no");
            }
            denied(&server, request)
        }
        Ok(Settled { outcome: Outcome::Finished, .. }) => error.plain(StatusCode::CONFLICT, &Problem::AlreadyDone),
        Err(failure) => error.failure(&failure),
    }
}

fn denied(server: &Shared, request: &request::AuthorizeRequest) -> Response {
    let description = "the person did not allow the access; nothing was shared";
    answer::redirect_with_error(server, &request.redirect_uri, request.state.as_deref(), "access_denied", description)
}
