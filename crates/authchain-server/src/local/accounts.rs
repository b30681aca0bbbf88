//! A person's accounts: shown, linked, switched and unlinked, by the person at a browser or by a program that acts for them.
//!
//! A program presents a bearer token that the chain accepts, or the browser's cookie with a JSON body: no form of another
//! site can send either. Forms of ours carry the session's token. With the token of an OAuth client it may look and change
//! nothing.

use std::sync::Arc;

use authchain::{
    accounts::{Account, Unlinked},
    core::{AuthError, Email, UserId},
};
use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, Method, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::{Value, json};

use super::{
    BrowserSession,
    caller::{person, person_who_changes},
    more::{self, Asked},
    offer, wants_json,
};
use crate::{
    audit::{Event, What},
    errors::{OAuthError, json},
    pages::{self, ErrorPage, Language, Problem},
    params::Params,
    server::{Shared, path},
    ticket::BadTicket,
};

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// `GET /auth/accounts`: all accounts with their state, as a page or as JSON.
pub(crate) async fn list(
    State(server): State<Arc<Shared>>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let accounts = &server.parts.accounts;
    if wants_json(&headers) || headers.contains_key(AUTHORIZATION) {
        let owner = match person(&server, &Method::GET, &uri, &headers).await {
            Ok(owner) => owner,
            Err(refusal) => return refusal,
        };
        let answer = async { Ok::<_, AuthError>((accounts.list(&owner).await?, accounts.validate(&owner).await?)) };
        return match answer.await {
            Ok((list, health)) => {
                let link_url = server.urls.at(path::LINK);
                json(StatusCode::OK, &json!({ "accounts": list, "health": health, "link_url": link_url }))
            }
            Err(failure) => OAuthError::from(failure).into_response(),
        };
    }
    let language = Language::of(&headers);
    let shown = async {
        let Some(session) = BrowserSession::of(&server, &headers).await? else { return Ok(None) };
        let list = accounts.list(&session.person()).await?;
        Ok::<_, AuthError>(Some((session, list)))
    };
    let params = Params::query(query.as_deref());
    match shown.await {
        Ok(Some((session, list))) => {
            let linked = params.one("linked").ok().flatten().and_then(|email| Email::new(email).ok());
            // Only what is true is said, whatever the address claims.
            let linked =
                linked.filter(|email| list.iter().any(|a| !a.primary && a.account.user == UserId::from(email)));
            pages::accounts(&server, language, &list, linked.as_ref(), &session.csrf(&server))
        }
        Ok(None) => pages::go_to(&server.urls.link(path::LOCAL)),
        Err(failure) => ErrorPage::new(&server, language).failure(&failure),
    }
}

/// `GET /auth/link`: offers to link another account to the person at this browser; `?account=` names the one that is
/// expected, `?scopes=` what to ask for.
pub(crate) async fn link_page(
    State(server): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let language = Language::of(&headers);
    let error = ErrorPage::new(&server, language);
    let params = Params::query(query.as_deref());
    let session = match BrowserSession::of(&server, &headers).await {
        Ok(Some(session)) => session,
        Ok(None) => return pages::go_to(&server.urls.link(path::LOCAL)),
        Err(failure) => return error.failure(&failure.into()),
    };
    let bad = |why: String| error.plain(StatusCode::BAD_REQUEST, &Problem::BadRequest(why));
    let expected = match params.one("account").ok().flatten().map(Email::new).transpose() {
        Ok(expected) => expected.filter(|email| *email != session.email),
        Err(why) => return bad(format!("account: {why}")),
    };
    let named = match params.one("scopes").ok().flatten().map(|names| more::wanted(&server, names)).transpose() {
        Ok(named) => named,
        Err(_) => return bad("scopes: this server does not offer them".into()),
    };
    let scopes = named.clone().unwrap_or_else(|| server.options.default_scopes.clone());
    let link = Some(session.person());
    offer(&server, &error, language, Asked { expected, scopes, named, link, more: None, client: None })
}

/// `POST /auth/accounts`: where a program sends the person to link another account. Nothing changes before they have.
pub(crate) async fn ask_for_link(
    State(server): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = async {
        person(&server, &Method::POST, &uri, &headers).await?;
        let account = account_in(&headers, &body).map_err(IntoResponse::into_response)?;
        let query: String = account.map_or_else(String::new, |email| {
            let mut query = url::form_urlencoded::Serializer::new(String::from("?"));
            query.append_pair("account", email.as_str()).finish()
        });
        Ok(json(StatusCode::OK, &json!({ "link_url": format!("{}{query}", server.urls.at(path::LINK)) })))
    };
    asked.await.unwrap_or_else(|refusal: Response| refusal)
}

/// `POST /auth/accounts/active`: which account stands for "me" from now on.
pub(crate) async fn switch(State(server): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if headers.contains_key(AUTHORIZATION) || is_json(&headers) {
        let switched = async {
            let owner = person_who_changes(&server, &Method::POST, &uri, &headers, What::AccountSwitched).await?;
            let account = account_in(&headers, &body).map_err(IntoResponse::into_response)?;
            let named = account.as_ref().map_or_else(|| owner.user.as_str(), Email::as_str);
            let active = make_active(&server, &owner, named).await;
            active.map_err(|failure| OAuthError::from(failure).into_response())
        };
        return match switched.await {
            Ok(active) => json(StatusCode::OK, &json!({ "active": active.user })),
            Err(refusal) => refusal,
        };
    }
    let error = ErrorPage::new(&server, Language::of(&headers));
    let params = Params::form(&body);
    match posting(&server, &headers, &params).await {
        Ok(Some(owner)) => {
            let named = params.one("account").ok().flatten().unwrap_or_default();
            match make_active(&server, &owner, named).await {
                Ok(_) => pages::go_to(&server.urls.link(path::ACCOUNTS)),
                Err(failure) => error.failure(&failure),
            }
        }
        Ok(None) => error.bad_ticket(BadTicket::OtherBrowser),
        Err(failure) => error.failure(&failure),
    }
}

async fn make_active(server: &Shared, owner: &Account, named: &str) -> Result<Account, AuthError> {
    let event = Event::new(What::AccountSwitched).who(owner.user.as_str()).account(named);
    match server.parts.accounts.switch(owner, named).await {
        Ok(active) => {
            event.allowed();
            Ok(active)
        }
        Err(failure) => {
            event.refused(failure.code().as_str());
            Err(failure)
        }
    }
}

/// `GET /auth/accounts/{account}/unlink`: asks first.
pub(crate) async fn unlink_page(
    State(server): State<Arc<Shared>>,
    Path(account): Path<String>,
    headers: HeaderMap,
) -> Response {
    let language = Language::of(&headers);
    let error = ErrorPage::new(&server, language);
    let found = async {
        let Some(session) = BrowserSession::of(&server, &headers).await? else { return Ok(None) };
        let list = server.parts.accounts.list(&session.person()).await?;
        Ok::<_, AuthError>(Some((session, list)))
    };
    match found.await {
        Ok(Some((session, list))) => {
            match list.iter().find(|known| !known.primary && known.account.user.as_str() == account) {
                Some(known) => {
                    pages::ask_to_unlink(&server, language, &known.account, &session.email, &session.csrf(&server))
                }
                None => pages::go_to(&server.urls.link(path::ACCOUNTS)),
            }
        }
        Ok(None) => pages::go_to(&server.urls.link(path::LOCAL)),
        Err(failure) => error.failure(&failure),
    }
}

/// `POST /auth/accounts/{account}/unlink`: from the page that asked.
pub(crate) async fn unlink_form(
    State(server): State<Arc<Shared>>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let language = Language::of(&headers);
    let error = ErrorPage::new(&server, language);
    match posting(&server, &headers, &Params::form(&body)).await {
        Ok(Some(owner)) => match end_link(&server, &owner, &account).await {
            Ok(unlinked) => pages::unlinked(&server, language, &account, &unlinked),
            Err(failure) => error.failure(&failure),
        },
        Ok(None) => error.bad_ticket(BadTicket::OtherBrowser),
        Err(failure) => error.failure(&failure),
    }
}

/// `DELETE /auth/accounts/{account}`: for programs; says what became of the credential.
pub(crate) async fn unlink(
    State(server): State<Arc<Shared>>,
    Path(account): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let owner = match person_who_changes(&server, &Method::DELETE, &uri, &headers, What::AccountUnlinked).await {
        Ok(owner) => owner,
        Err(refusal) => return refusal,
    };
    match end_link(&server, &owner, &account).await {
        Ok(unlinked) => json(StatusCode::OK, &what_became(&unlinked)),
        Err(failure) => OAuthError::from(failure).into_response(),
    }
}

async fn end_link(server: &Shared, owner: &Account, named: &str) -> Result<Unlinked, AuthError> {
    let event = Event::new(What::AccountUnlinked).who(owner.user.as_str()).account(named);
    let email = Email::new(named).map_err(|_| AuthError::NotYourAccount(named.into()));
    let ended = match email {
        Ok(email) => {
            let account = Account { provider: owner.provider.clone(), user: UserId::from(&email) };
            server.parts.accounts.unlink(owner, &account).await
        }
        Err(refused) => Err(refused),
    };
    match &ended {
        Ok(_) => event.allowed(),
        Err(failure) => event.refused(failure.code().as_str()),
    }
    ended
}

/// What became of an unlinked account's credential, for a program.
fn what_became(unlinked: &Unlinked) -> Value {
    match unlinked {
        Unlinked::Kept => json!({ "status": "unlinked", "credential": "kept", "why": "somebody else uses it too" }),
        Unlinked::Removed(revocations) => json!({
            "status": "unlinked",
            "credential": "deleted",
            "revoked": revocations.iter().all(authchain::provider::Revocation::is_ended),
            "at_the_provider": revocations.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
    }
}

/// The person who posts a form of ours.
async fn posting(server: &Shared, headers: &HeaderMap, params: &Params) -> Result<Option<Account>, AuthError> {
    Ok(BrowserSession::posting(server, headers, params).await?.map(|session| session.person()))
}

/// The account that a JSON body names, where it names one.
fn account_in(headers: &HeaderMap, body: &[u8]) -> Result<Option<Email>, OAuthError> {
    if body.is_empty() && headers.contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    // A form of another site could send anything but this type without asking first.
    if !is_json(headers) {
        return Err(OAuthError::invalid_request("the body must be application/json"));
    }
    let body = if body.is_empty() { b"{}" } else { body };
    let params = Params::body(headers, body)?;
    match params.one("account")?.map(Email::new).transpose() {
        Ok(account) => Ok(account),
        Err(why) => Err(OAuthError::invalid_request(format!("account: {why}"))),
    }
}
