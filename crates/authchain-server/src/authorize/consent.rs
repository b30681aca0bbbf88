//! The consent page: who asks, for what, where the answer goes; and the answer. It is shown for every authorization,
//! because all clients share one client at the provider, which would wave a second one through without a question
//! (MCP security best practices: confused deputy). What an operator can leave out of that is in [`remembered`].

use std::sync::Arc;

use authchain::core::{AuthError, Email, Scopes};
use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    response::Response,
};
use http::{HeaderMap, StatusCode, header::SET_COOKIE};

use super::{
    answer, remembered,
    request::{self, AuthorizeRequest},
    step_up,
};
use crate::{
    audit::{Event, What},
    clients::{Client, NoClient},
    keys, local,
    pages::{self, Language, Problem},
    params::Params,
    scopes,
    server::Shared,
    ticket::{self, BadTicket, Purpose, Ticket},
    upstream::{self, Decision, Outcome, Settled},
};

/// `GET /oauth/authorize`: shows the page. Nothing is stored and nothing changes: some clients fetch the address
/// themselves before they open it in a browser.
pub(crate) async fn page(State(server): State<Arc<Shared>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let language = Language::of(&headers);
    let error = pages::ErrorPage::new(&server, language);
    let params = Params::query(query.as_deref());
    let (request, client) = match request::read(&server, &params).await {
        Ok(read) => read,
        Err(refused) => return refuse(&server, error, refused),
    };
    let shown = async {
        if let Some(person) = remembered::passes(&server, &headers, &params, &client, &request).await? {
            return without_a_page(&server, &client, request, person).await;
        }
        let issued = ticket::issue(&server, Purpose::Authorize(request.clone()))?;
        let shown = pages::Consent {
            client: &client,
            request: &request,
            ticket: &issued.sealed,
            kept: kept(&server, &headers, &request).await?,
            remembered: remembered::is_for(&server, &client, &request.redirect_uri),
            nothing_chosen: false,
        };
        let mut response = pages::consent(&server, language, &shown);
        response.headers_mut().append(SET_COOKIE, issued.cookie);
        Ok(response)
    };
    shown.await.unwrap_or_else(|failure: AuthError| error.failure(&failure))
}

/// What the client keeps, where the person is known before they sign in.
async fn kept(server: &Shared, headers: &HeaderMap, request: &AuthorizeRequest) -> Result<Scopes, AuthError> {
    match local::person_at(server, headers).await? {
        Some((_, person)) => step_up::kept(server, &person, &request.client, &request.scopes, None).await,
        None => Ok(Scopes::none()),
    }
}

/// Straight to the provider, where the person must be who is signed in here.
async fn without_a_page(
    server: &Shared,
    client: &Client,
    request: AuthorizeRequest,
    person: Email,
) -> Result<Response, AuthError> {
    let request = AuthorizeRequest { login_hint: Some(person.clone()), expected: Some(person.clone()), ..request };
    let issued = ticket::issue(server, Purpose::Authorize(request))?;
    let Settled { outcome: Outcome::GoTo(address), .. } =
        upstream::settle(server, &issued.ticket, Decision::Allow).await?
    else {
        return Err(AuthError::InvalidRequest("this sign-in was decided before"));
    };
    Event::new(What::ConsentRemembered).client(client).who(person.as_str()).allowed();
    client.touch(server).await;
    let mut response = pages::go_to(&address);
    response.headers_mut().append(SET_COOKIE, issued.cookie);
    Ok(response)
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
    let language = Language::of(&headers);
    let error = pages::ErrorPage::new(&server, language);
    let params = Params::form(&body);
    let (sealed, ticket, decision) = match upstream::pressed(&server, &params, &headers) {
        Ok(pressed) => pressed,
        Err(bad) => return error.bad_ticket(bad),
    };
    let Purpose::Authorize(request) = &ticket.purpose else { return error.bad_ticket(BadTicket::Foreign) };
    let client = match Client::find(&server, request.client.as_str()).await {
        Ok(client) => client,
        Err(none) => return refuse(&server, error, request::Refused::NoClient(none)),
    };
    let event = Event::new(What::Consent).client(&client);
    let ticket = match chosen(&params, request).filter(|_| decision == Decision::Allow) {
        Some(chosen) if scopes::services(&chosen.scopes).is_empty() => {
            let shown = pages::Consent {
                client: &client,
                request,
                ticket: sealed,
                kept: Scopes::none(),
                remembered: remembered::is_for(&server, &client, &request.redirect_uri),
                nothing_chosen: true,
            };
            return pages::consent(&server, language, &shown);
        }
        chosen => {
            let remember = remembered::is_for(&server, &client, &request.redirect_uri);
            let request = AuthorizeRequest { remember, ..chosen.unwrap_or_else(|| request.clone()) };
            Ticket { purpose: Purpose::Authorize(request), ..ticket.clone() }
        }
    };
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

/// The request with the services that the person left ticked, where the page let them choose. Nothing can be added to what
/// the ticket holds.
fn chosen(params: &Params, request: &AuthorizeRequest) -> Option<AuthorizeRequest> {
    let scopes = scopes::chosen(params, &request.scopes)?;
    let declined = request.scopes.difference(&scopes);
    Some(AuthorizeRequest { scopes, declined, ..request.clone() })
}

fn denied(server: &Shared, request: &request::AuthorizeRequest) -> Response {
    let description = "the person did not allow the access; nothing was shared";
    answer::redirect_with_error(server, &request.redirect_uri, request.state.as_deref(), "access_denied", description)
}
