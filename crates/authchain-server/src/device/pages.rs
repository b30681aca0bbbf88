//! The person's side: they type the code, see who asks for what, say yes or no, and sign in at the provider.

use std::sync::Arc;

use authchain::core::{AuthError, Email, Scopes};
use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    response::Response,
};
use http::{HeaderMap, StatusCode, header::SET_COOKIE};

use super::{
    DeviceRequest, codes,
    record::{self, Answer},
};
use crate::{
    audit::{Event, What},
    clients::{Client, NoClient},
    limits::Caller,
    pages::{self, ErrorPage, Language, Problem, WrongCode},
    params::Params,
    scopes,
    server::Shared,
    ticket::{self, BadTicket, Purpose, Ticket},
    upstream::{self, Decision, Outcome, Settled},
};

/// `GET /device`: asks for the code. A link may fill it in (RFC 8628, section 3.3.1), and the person is asked all the same:
/// somebody else may have sent it.
pub(crate) async fn page(State(server): State<Arc<Shared>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let language = Language::of(&headers);
    let params = Params::query(query.as_deref());
    if matches!(params.one("done"), Ok(Some(_))) {
        return pages::device_done(&server, language);
    }
    let code = params.one("user_code").ok().flatten().and_then(codes::read_user_code);
    pages::enter_code(&server, language, code.as_deref(), None)
}

/// `POST /device`: the code was typed; shows who asks for what.
pub(crate) async fn enter(
    State(server): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let language = Language::of(&headers);
    let error = ErrorPage::new(&server, language);
    let params = Params::form(&body);
    let typed = params.one("user_code").ok().flatten().unwrap_or_default();
    let code = codes::read_user_code(typed);
    // Another site has typed it: the person has not seen our question yet.
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if matches!(site, Some("cross-site" | "same-site")) {
        return pages::enter_code(&server, language, code.as_deref(), None);
    }
    let event = Event::new(What::DeviceCodeEntered);
    if let Err(wait) = server.limits.count_user_code(caller) {
        Event::new(What::Limited).refused("codes of devices from an address");
        return pages::enter_code(&server, language, code.as_deref(), Some(WrongCode::TooOften(wait)));
    }
    let wrong = |event: Event<'_>| {
        event.refused("no device waits with this code");
        pages::enter_code(&server, language, None, Some(WrongCode::Unknown))
    };
    let Some(code) = code else { return wrong(event) };
    let (id, device) = match record::show(&server, &code).await {
        Ok(Some(found)) => found,
        Ok(None) => return wrong(event),
        Err(failure) => return error.failure(&failure.into()),
    };
    let client = match Client::find(&server, device.client.as_str()).await {
        Ok(client) => client,
        Err(none) => return no_client(&error, none),
    };
    let record::Device { client: client_id, client_name, scopes, .. } = device;
    let request = DeviceRequest { device: id, code, client: client_id, client_name, scopes };
    event.client(&client).allowed();
    match ticket::issue(&server, Purpose::Device(request.clone())) {
        Ok(issued) => {
            let mut response = pages::device_consent(&server, language, &client, &request, &issued.sealed, false);
            response.headers_mut().append(SET_COOKIE, issued.cookie);
            response
        }
        Err(failure) => error.failure(&failure),
    }
}

/// `POST /device/decide`: the person said yes or no.
pub(crate) async fn decide(State(server): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let language = Language::of(&headers);
    let error = ErrorPage::new(&server, language);
    let params = Params::form(&body);
    let (sealed, ticket, decision) = match upstream::pressed(&server, &params, &headers) {
        Ok(pressed) => pressed,
        Err(bad) => return error.bad_ticket(bad),
    };
    let Purpose::Device(request) = &ticket.purpose else { return error.bad_ticket(BadTicket::Foreign) };
    let client = match Client::find(&server, request.client.as_str()).await {
        Ok(client) => client,
        Err(none) => return no_client(&error, none),
    };
    let event = Event::new(What::Consent).client(&client);
    let ticket = match scopes::chosen(&params, &request.scopes).filter(|_| decision == Decision::Allow) {
        Some(chosen) if scopes::services(&chosen).is_empty() => {
            return pages::device_consent(&server, language, &client, request, sealed, true);
        }
        Some(scopes) => {
            Ticket { purpose: Purpose::Device(DeviceRequest { scopes, ..request.clone() }), ..ticket.clone() }
        }
        None => ticket.clone(),
    };
    let settled = async {
        if !record::waits(&server, &request.device).await? {
            return Ok(None);
        }
        let settled = upstream::settle(&server, &ticket, decision).await?;
        if let Settled { outcome: Outcome::Denied, .. } = settled {
            record::answer(&server, &request.device, &Answer::Denied).await?;
        }
        Ok::<_, AuthError>(Some(settled))
    };
    match settled.await {
        Ok(Some(Settled { outcome: Outcome::GoTo(address), first })) => {
            if first {
                event.allowed();
                client.touch(&server).await;
            }
            pages::go_to(&address)
        }
        Ok(Some(Settled { outcome: Outcome::Denied, .. })) => {
            event.refused("the person said no");
            pages::device_denied(&server, language)
        }
        Ok(Some(Settled { outcome: Outcome::Finished, .. })) => {
            error.plain(StatusCode::CONFLICT, &Problem::AlreadyDone)
        }
        Ok(None) => error.plain(StatusCode::CONFLICT, &Problem::DeviceOver),
        Err(failure) => error.failure(&failure),
    }
}

fn no_client(error: &ErrorPage<'_>, none: NoClient) -> Response {
    match none {
        NoClient::Unknown => error.plain(StatusCode::BAD_REQUEST, &Problem::UnknownClient),
        NoClient::BadDocument(rule) => {
            error.plain(StatusCode::BAD_REQUEST, &Problem::ClientDocument(rule.into_owned()))
        }
        NoClient::Failed(failure) => error.failure(&failure),
    }
}

/// Back from the provider: the device gets what the person allowed and the provider granted.
pub(crate) async fn came_back(
    server: &Shared,
    error: &ErrorPage<'_>,
    request: &DeviceRequest,
    email: Email,
    granted: &Scopes,
) -> Result<Response, AuthError> {
    let scopes = scopes::after_sign_in(&request.scopes, granted);
    if record::answer(server, &request.device, &Answer::Allowed { email, scopes }).await? {
        Ok(pages::go_to(&format!("{}?done=1", server.urls.link(&server.options.paths.device))))
    } else {
        Ok(error.plain(StatusCode::CONFLICT, &Problem::DeviceOver))
    }
}

/// The person said no at the provider.
pub(crate) async fn denied_at_provider(server: &Shared, request: &DeviceRequest) -> Result<(), AuthError> {
    record::answer(server, &request.device, &Answer::Denied).await?;
    Ok(())
}
