//! Sign-in for people without a client that speaks OAuth: `/auth` on this computer's browser, and session tokens for
//! programs that cannot sign in by themselves.

mod accounts;
mod apps;
mod browser_session;
mod caller;
mod more;
mod new_client;
mod sessions;

use std::sync::Arc;

pub(crate) use accounts::{
    ask_for_link, link_page, list as accounts, switch as switch_account, unlink as unlink_account,
    unlink_form as unlink_account_form, unlink_page,
};
pub(crate) use apps::{
    App, list as apps, revoke as revoke_app, revoke_form as revoke_app_form, revoke_page as revoke_app_page,
};
use authchain::{
    accounts::{Account, SetUp},
    core::{AuthError, Email, Scopes, StoreError},
};
use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    response::Response,
};
use browser_session::BrowserSession;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, SET_COOKIE},
};
pub(crate) use new_client::{make as make_client, page as new_client_page};
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
    ticket::{self, BadTicket, More, Purpose},
    upstream::{self, Decision, Outcome},
};

/// `GET /auth`: says who is signed in at this browser, or offers to sign in. `?account=` names the account that is expected;
/// `?another=1` offers it in any case; `?scopes=` asks for these beside what is there, for the client's grant or session
/// `?grant=` too. A program that asks for JSON learns who is signed in.
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
    let asked = match more::asked(&server, &headers, &params, expected).await {
        Ok(asked) => asked,
        Err(more::Refused::NotOffered(names)) => {
            let why = format!("this server does not offer {names}");
            return error.plain(StatusCode::BAD_REQUEST, &Problem::BadRequest(why));
        }
        Err(more::Refused::Failure(failure)) => return error.failure(&failure),
    };
    if let Some((session, granted)) = &signed_in
        && asked.is_plain()
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
    offer(&server, &error, language, asked)
}

/// The page that offers a sign-in, with its ticket.
fn offer(server: &Shared, error: &ErrorPage<'_>, language: Language, asked: more::Asked) -> Response {
    let more::Asked { expected, scopes, named, link, more, client } = asked;
    let owner = link.clone();
    match ticket::issue(server, Purpose::Local { expected: expected.clone(), scopes, link, more }) {
        Ok(issued) => {
            let shown = pages::SignIn {
                expected: expected.as_ref(),
                asked: named.as_ref(),
                owner: owner.as_ref(),
                client: client.as_deref(),
                ticket: &issued.sealed,
            };
            let mut response = pages::sign_in(server, language, &shown);
            response.headers_mut().append(SET_COOKIE, issued.cookie);
            response
        }
        Err(failure) => error.failure(&failure),
    }
}

/// Whether this is the person who is signed in at the browser that sends these headers.
pub(crate) async fn is_signed_in(server: &Shared, headers: &HeaderMap, person: &Account) -> Result<bool, StoreError> {
    Ok(BrowserSession::of(server, headers).await?.is_some_and(|session| session.person() == *person))
}

/// The person who is signed in at the browser that sends these headers.
pub(crate) async fn person_at(server: &Shared, headers: &HeaderMap) -> Result<Option<(Email, Account)>, StoreError> {
    let session = BrowserSession::of(server, headers).await?;
    Ok(session.map(|session| (session.email.clone(), session.person())))
}

/// Signs a browser in to our pages, unless somebody is signed in already; the cookie to set.
pub(crate) async fn sign_in_here(
    server: &Shared,
    headers: &HeaderMap,
    email: &Email,
) -> Result<Option<HeaderValue>, AuthError> {
    match BrowserSession::of(server, headers).await? {
        Some(_) => Ok(None),
        None => BrowserSession::begin(server, email).await.map(Some),
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
    let accounts = server.parts.accounts.list(&session.person()).await?;
    let own = accounts.into_iter().filter(|account| account.primary).flat_map(|account| account.credentials);
    let usable: Vec<_> = own.filter(|credential| credential.status != SetUp::NeedsSignIn).collect();
    let granted = usable.iter().fold(Scopes::none(), |all, credential| all.union(&credential.scopes));
    Ok((!usable.is_empty()).then_some((session, granted)))
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

/// Back from the provider. An account that was linked is shown among the others; whoever signed in for themselves is
/// remembered by this browser.
pub(crate) async fn came_back(
    server: &Shared,
    email: &Email,
    linked_to: Option<&Account>,
    more: Option<&More>,
    granted: &Scopes,
) -> Result<Response, AuthError> {
    if let Some(more) = more {
        more::give(server, more, granted).await?;
    }
    let address = |path: &str, parameter: &str, value: &str| {
        let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        format!("{}?{parameter}={value}", server.urls.link(path))
    };
    if let Some(owner) = linked_to {
        Event::new(What::AccountLinked).who(owner.user.as_str()).account(email.as_str()).allowed();
        return Ok(pages::go_to(&address(path::ACCOUNTS, "linked", email.as_str())));
    }
    let cookie = BrowserSession::begin(server, email).await?;
    let mut response = pages::go_to(&address(path::LOCAL, "done", "1"));
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
