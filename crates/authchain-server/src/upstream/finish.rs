//! Coming back: the answer of the provider, accepted once, from the browser that was sent out, for the purpose it was sent
//! out for. Only then anything is stored.

use std::sync::Arc;

use authchain::{
    accounts::Account,
    core::{AuthError, CredentialKey, Email, Scopes, Secret, StoreError, UserId},
    provider::SignedIn,
};
use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, StatusCode,
    header::{ALLOW, SET_COOKIE},
};

use super::begin::{Pending, SoFar, next, pending_key, redirect_uri};
use crate::{
    audit::{Event, What},
    authorize::{self, AuthorizeRequest},
    device, keys, local,
    pages::{self, ErrorPage, Language, Problem},
    params::Params,
    scopes,
    server::Shared,
    ticket::{self, BadTicket, Purpose},
    token,
};

/// `GET /oauth2callback`: back from the provider on a client's behalf.
pub(crate) async fn oauth_callback(
    State(server): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let is_ours = |purpose: &Purpose| matches!(purpose, Purpose::Authorize(_) | Purpose::Device(_));
    callback(&server, query.as_deref(), &headers, is_ours).await
}

/// `GET /auth/callback`: back from the provider without a client.
pub(crate) async fn local_callback(
    State(server): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    callback(&server, query.as_deref(), &headers, |purpose| matches!(purpose, Purpose::Local { .. })).await
}

/// `HEAD` of a callback: it would use up the sign-in, and throw the answer away (RFC 9110, section 9.2.1: it is safe).
pub(crate) async fn only_get() -> impl IntoResponse {
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET")])
}

async fn callback(
    server: &Shared,
    query: Option<&str>,
    headers: &HeaderMap,
    is_ours: impl Fn(&Purpose) -> bool,
) -> Response {
    let error = ErrorPage::new(server, Language::of(headers));
    let params = Params::query(query);
    let reference = keys::reference();
    let event = Event::new(What::SignIn).reference(&reference);
    let pending = match accept(server, &params, headers, is_ours).await {
        Ok(pending) => pending,
        Err(NotAccepted::Unknown) => {
            event.refused("state unknown, used or expired");
            return error.show(StatusCode::BAD_REQUEST, &Problem::UnknownState, &reference);
        }
        Err(NotAccepted::OtherBrowser) => {
            event.refused("another browser came back than was sent out");
            return error.show(StatusCode::FORBIDDEN, &Problem::of(BadTicket::OtherBrowser), &reference);
        }
        Err(NotAccepted::Store(failure)) => return error.failure(&failure.into()),
    };
    match provider_answer(server, &params, &pending).await {
        // A no to what the provider grants apart takes nothing back of what was granted before.
        Err(TurnedDown::Denied) if pending.so_far.is_some() => {
            event.refused("the person said no to a part at the provider");
            go_on(server, headers, error, pending, None).await
        }
        Ok(signed_in) => finish(server, headers, error, &reference, pending, signed_in).await,
        Err(bad) => {
            if let (TurnedDown::Denied, Purpose::Device(request)) = (&bad, &pending.purpose)
                && let Err(failure) = device::denied_at_provider(server, request).await
            {
                return error.failure(&failure);
            }
            turned_down(server, error, &reference, &pending, bad)
        }
    }
}

enum NotAccepted {
    Unknown,
    OtherBrowser,
    Store(StoreError),
}

/// The transaction that a `state` belongs to. It is taken only for the right browser, so that a stranger who calls the
/// address does not end somebody's sign-in.
async fn accept(
    server: &Shared,
    params: &Params,
    headers: &HeaderMap,
    is_ours: impl Fn(&Purpose) -> bool,
) -> Result<Pending, NotAccepted> {
    let state = params.one("state").ok().flatten().ok_or(NotAccepted::Unknown)?;
    let key = pending_key(&Secret::new(state));
    let stored = server.parts.state.get(&key).await.map_err(NotAccepted::Store)?.ok_or(NotAccepted::Unknown)?;
    let pending: Pending = serde_json::from_slice(&stored.value).map_err(|_| NotAccepted::Unknown)?;
    if !is_ours(&pending.purpose) {
        return Err(NotAccepted::Unknown);
    }
    if !ticket::is_browser_of(server, &pending.transaction, &pending.browser, headers) {
        return Err(NotAccepted::OtherBrowser);
    }
    // Of two that come back at once, one gets it.
    server.parts.state.take(&key).await.map_err(NotAccepted::Store)?.ok_or(NotAccepted::Unknown)?;
    Ok(pending)
}

enum TurnedDown {
    /// The person said no at the provider.
    Denied,
    /// The provider answered with this error word.
    Provider(String),
    /// The code could not be exchanged.
    Exchange(AuthError),
}

async fn provider_answer(server: &Shared, params: &Params, pending: &Pending) -> Result<SignedIn, TurnedDown> {
    if let Some(error) = params.one("error").ok().flatten() {
        return Err(match error {
            "access_denied" => TurnedDown::Denied,
            other => TurnedDown::Provider(other.chars().filter(char::is_ascii_graphic).take(64).collect()),
        });
    }
    let Ok(Some(code)) = params.one("code") else { return Err(TurnedDown::Provider("no_code".into())) };
    let derived = pending.derived(server);
    server
        .parts
        .provider
        .exchange(
            &Secret::new(code),
            &derived.verifier,
            &redirect_uri(server, &pending.purpose),
            &derived.nonce,
            &pending.asked,
        )
        .await
        .map_err(TurnedDown::Exchange)
}

fn turned_down(server: &Shared, error: ErrorPage<'_>, reference: &str, pending: &Pending, bad: TurnedDown) -> Response {
    let event = Event::new(What::SignIn).reference(reference);
    let way_back = |word: &str| way_back(server, pending, word, reference);
    match bad {
        TurnedDown::Denied => {
            event.refused("the person said no at the provider");
            match &pending.purpose {
                Purpose::Authorize(request) => authorize::redirect_with_error(
                    server,
                    &request.redirect_uri,
                    request.state.as_deref(),
                    "access_denied",
                    "the person did not allow the access at the provider; nothing was shared",
                ),
                Purpose::Device(_) | Purpose::Local { .. } => {
                    error.show(StatusCode::FORBIDDEN, &Problem::DeniedAtProvider, reference)
                }
            }
        }
        TurnedDown::Provider(word) => {
            event.refused(&word);
            error.with_way_back(way_back("server_error")).show(
                StatusCode::BAD_GATEWAY,
                &Problem::Provider(word),
                reference,
            )
        }
        TurnedDown::Exchange(failure) => {
            event.refused(failure.code().as_str());
            let word = failure.code().oauth_error();
            error
                .with_way_back(way_back(if word.is_empty() { "server_error" } else { word }))
                .failure_as(&failure, reference)
        }
    }
}

/// The link that takes the person back to the client with an error.
fn way_back(server: &Shared, pending: &Pending, word: &str, reference: &str) -> Option<(String, String)> {
    let Purpose::Authorize(request) = &pending.purpose else { return None };
    let why = format!("the sign-in at the provider failed, reference {reference}");
    let address = authorize::return_address(server, &request.redirect_uri, request.state.as_deref(), word, &why);
    Some((request.client_name.clone(), address))
}

async fn finish(
    server: &Shared,
    headers: &HeaderMap,
    error: ErrorPage<'_>,
    reference: &str,
    pending: Pending,
    signed_in: SignedIn,
) -> Response {
    let SignedIn { credential, email, .. } = signed_in;
    let event = Event::new(What::SignIn).reference(reference).who(email.as_str());
    if let Some(expected) = pending.expected().filter(|expected| **expected != email) {
        event.refused("another account than expected");
        let problem = Problem::WrongAccount { expected: expected.clone(), got: email };
        return error.with_way_back(way_back(server, &pending, "access_denied", reference)).show(
            StatusCode::FORBIDDEN,
            &problem,
            reference,
        );
    }
    let owner = match &pending.purpose {
        Purpose::Local { link, .. } => link.as_ref(),
        Purpose::Authorize(_) | Purpose::Device(_) => None,
    };
    if let Some(owner) = owner {
        match local::is_signed_in(server, headers, owner).await {
            Ok(true) => {}
            // Somebody else sat down at this browser, or the person signed out.
            Ok(false) => {
                event.account(owner.user.as_str()).refused("the person to whom it was to be linked is gone");
                return error.show(StatusCode::FORBIDDEN, &Problem::of(BadTicket::OtherBrowser), reference);
            }
            Err(failure) => return error.failure(&failure.into()),
        }
    }
    let provider = server.parts.provider.provider().id.clone();
    let key = CredentialKey { provider, user: UserId::from(&email), group: pending.group.clone() };
    let (accounts, granted) = (&server.parts.accounts, credential.scopes.clone());
    let kept = match owner {
        Some(owner) => accounts.link(owner, &key, credential).await,
        None => accounts.sign_in(&key, credential).await,
    };
    if let Err(failure) = kept {
        return error.failure(&failure);
    }
    event.allowed();
    go_on(server, headers, error, pending, Some((email, granted))).await
}

/// To the next sign-in of the transaction, or to its end. `just_now`: who signed in, and what was granted.
async fn go_on(
    server: &Shared,
    headers: &HeaderMap,
    error: ErrorPage<'_>,
    pending: Pending,
    just_now: Option<(Email, Scopes)>,
) -> Response {
    let so_far = match (&pending.so_far, just_now) {
        (None, None) => return error.show(StatusCode::BAD_REQUEST, &Problem::UnknownState, &keys::reference()),
        (None, Some((email, granted))) => SoFar { email, granted, steps: 1 },
        (Some(before), just_now) => SoFar {
            email: before.email.clone(),
            granted: before.granted.union(&just_now.map(|(_, granted)| granted).unwrap_or_default()),
            steps: before.steps.saturating_add(1),
        },
    };
    let (email, granted) = (so_far.email.clone(), so_far.granted.clone());
    match next(server, &pending, so_far).await {
        Ok(Some(address)) => return pages::go_to(&address),
        Ok(None) => {}
        Err(failure) => return error.failure(&failure),
    }
    let done = match pending.purpose {
        Purpose::Authorize(request) => give_code(server, headers, request, &granted, email).await,
        Purpose::Device(request) => device::came_back(server, &error, &request, email, &granted).await,
        Purpose::Local { link, more, .. } => {
            local::came_back(server, &email, link.as_ref(), more.as_ref(), &granted).await
        }
    };
    done.unwrap_or_else(|failure| error.failure(&failure))
}

async fn give_code(
    server: &Shared,
    headers: &HeaderMap,
    request: AuthorizeRequest,
    granted: &Scopes,
    email: Email,
) -> Result<Response, AuthError> {
    let person = Account { provider: server.parts.provider.provider().id.clone(), user: UserId::from(&email) };
    // What was unticked a moment ago is not kept either.
    let asked = request.scopes.union(&request.declined);
    let kept = authorize::kept(server, &person, &request.client, &asked, Some(granted)).await?;
    let scopes = scopes::after_sign_in(&request.scopes, granted).union(&kept);
    let mut cookie = None;
    if request.remember {
        authorize::remembered::remember(server, &person, &request, &request.scopes.union(&kept)).await?;
        // What is remembered counts in a browser that is signed in.
        cookie = local::sign_in_here(server, headers, &email).await?;
    }
    let (redirect_uri, state) = (request.redirect_uri.clone(), request.state.clone());
    let code = token::issue_code(server, request, scopes, email).await?;
    let mut response = authorize::redirect_with_code(server, &redirect_uri, state.as_deref(), code.expose());
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}
