//! The programs that a person connected: listed and disconnected, by the person at a browser or by a program that acts for
//! them. Whatever is named, only what belongs to that person is looked at.

use std::{collections::BTreeMap, sync::Arc};

use authchain::{
    accounts::Account,
    core::{AuthError, ClientId, Scopes, Timestamp},
};
use axum::{
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, Uri, header::AUTHORIZATION};
use serde::Serialize;
use serde_json::json;

use super::{
    BrowserSession,
    caller::{person, person_who_changes},
    wants_json,
};
use crate::{
    audit::{Event, What},
    authorize::remembered,
    errors::{OAuthError, json},
    keys::hashed,
    pages::{self, ErrorPage, Language},
    params::Params,
    server::{Shared, path},
    ticket::BadTicket,
};

/// A client with everything that a person allowed it, at whatever time and place.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct App {
    /// A handle for links: client ids are long.
    pub(crate) id: String,
    /// What the client calls itself.
    pub(crate) name: String,
    /// The redirect URIs that it was connected through.
    pub(crate) returns_to: Vec<String>,
    /// What it may do.
    pub(crate) scopes: Scopes,
    /// When the person first agreed to what it has.
    pub(crate) since: Option<Timestamp>,
    /// When it was last given a token.
    pub(crate) last_used: Option<Timestamp>,
    /// Until when the person is not asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remembered_until: Option<Timestamp>,
    #[serde(skip)]
    client: ClientId,
    /// The grants that stand behind it.
    #[serde(skip)]
    grants: Vec<String>,
}

impl App {
    fn new(client: &ClientId, name: &str) -> Self {
        Self {
            id: hashed(client.as_str()),
            name: name.into(),
            returns_to: Vec::new(),
            scopes: Scopes::none(),
            since: None,
            last_used: None,
            remembered_until: None,
            client: client.clone(),
            grants: Vec::new(),
        }
    }

    fn comes_back_to(&mut self, redirect_uri: &str) {
        if !self.returns_to.iter().any(|known| known == redirect_uri) {
            self.returns_to.push(redirect_uri.into());
        }
    }
}

/// The programs of one person, the one used last first.
async fn of(server: &Shared, person: &Account) -> Result<Vec<App>, AuthError> {
    let mut apps: BTreeMap<String, App> = BTreeMap::new();
    let grants = server.parts.grants.list(&person.user).await?;
    // The newest comes first: it knows what the client calls itself now.
    for grant in grants.into_iter().filter(|grant| grant.provider == person.provider) {
        let app =
            apps.entry(grant.client.as_str().into()).or_insert_with(|| App::new(&grant.client, &grant.client_name));
        if let Some(uri) = &grant.redirect_uri {
            app.comes_back_to(&crate::clients::without_port(uri));
        }
        app.scopes = app.scopes.union(&grant.scopes);
        app.since = app.since.map_or(Some(grant.created_at), |since| Some(since.min(grant.created_at)));
        app.last_used = app.last_used.max(Some(grant.last_used));
        app.grants.push(grant.id);
    }
    for consent in remembered::list(server, person).await? {
        let app = apps
            .entry(consent.client.as_str().into())
            .or_insert_with(|| App::new(&consent.client, &consent.client_name));
        for agreed in consent.agreed {
            app.comes_back_to(&agreed.redirect_uri);
            app.since = app.since.or(Some(agreed.at));
            app.remembered_until = app.remembered_until.max(Some(agreed.until));
        }
    }
    let mut apps: Vec<App> = apps.into_values().collect();
    apps.sort_by(|one, other| (other.last_used, &one.name).cmp(&(one.last_used, &other.name)));
    Ok(apps)
}

/// Ends everything that a person allowed a client; `None` where it has nothing of theirs.
async fn end(server: &Shared, person: &Account, id: &str) -> Result<Option<App>, AuthError> {
    let Some(app) = of(server, person).await?.into_iter().find(|app| app.id == id) else { return Ok(None) };
    // First what could let it back in without a question.
    remembered::forget(server, person, &app.client).await?;
    for grant in &app.grants {
        server.parts.grants.end(grant).await?;
    }
    Event::new(What::AppRevoked).who(person.user.as_str()).named(&app.name).allowed();
    Ok(Some(app))
}

/// `GET /auth/apps`: all connected programs, as a page or as JSON.
pub(crate) async fn list(State(server): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response {
    if wants_json(&headers) || headers.contains_key(AUTHORIZATION) {
        let listed = async {
            let person = person(&server, &Method::GET, &uri, &headers).await?;
            of(&server, &person).await.map_err(|failure| OAuthError::from(failure).into_response())
        };
        return match listed.await {
            Ok(apps) => json(StatusCode::OK, &json!({ "apps": apps })),
            Err(refusal) => refusal,
        };
    }
    let language = Language::of(&headers);
    let listed = async {
        let Some(session) = BrowserSession::of(&server, &headers).await? else { return Ok(None) };
        of(&server, &session.person()).await.map(Some)
    };
    match listed.await {
        Ok(Some(apps)) => pages::apps(&server, language, &apps),
        Ok(None) => pages::go_to(&server.urls.link(path::LOCAL)),
        Err(failure) => ErrorPage::new(&server, language).failure(&failure),
    }
}

/// `GET /auth/apps/{id}/revoke`: asks first.
pub(crate) async fn revoke_page(
    State(server): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let language = Language::of(&headers);
    let found = async {
        let Some(session) = BrowserSession::of(&server, &headers).await? else { return Ok(None) };
        let app = of(&server, &session.person()).await?.into_iter().find(|app| app.id == id);
        Ok::<_, AuthError>(Some((session, app)))
    };
    match found.await {
        Ok(Some((session, Some(app)))) => pages::ask_to_revoke(&server, language, &app, &session.csrf(&server)),
        Ok(Some((_, None))) => pages::revoked(&server, language, None),
        Ok(None) => pages::go_to(&server.urls.link(path::LOCAL)),
        Err(failure) => ErrorPage::new(&server, language).failure(&failure),
    }
}

/// `POST /auth/apps/{id}/revoke`: from the page that asked.
pub(crate) async fn revoke_form(
    State(server): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let language = Language::of(&headers);
    let error = ErrorPage::new(&server, language);
    let ended = async {
        let posting = BrowserSession::posting(&server, &headers, &Params::form(&body)).await?;
        let Some(session) = posting else { return Ok(None) };
        end(&server, &session.person(), &id).await.map(Some)
    };
    match ended.await {
        Ok(Some(app)) => pages::revoked(&server, language, app.as_ref()),
        Ok(None) => error.bad_ticket(BadTicket::OtherBrowser),
        Err(failure) => error.failure(&failure),
    }
}

/// `DELETE /auth/apps/{id}`: for programs. No form of another site can send it, and the cookie would not come along.
pub(crate) async fn revoke(
    State(server): State<Arc<Shared>>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let ended = async {
        let person = person_who_changes(&server, &Method::DELETE, &uri, &headers, What::AppRevoked).await?;
        end(&server, &person, &id).await.map_err(|failure| OAuthError::from(failure).into_response())
    };
    match ended.await {
        Ok(Some(app)) => json(StatusCode::OK, &json!({ "status": "disconnected", "id": app.id, "name": app.name })),
        Ok(None) => {
            OAuthError::new(StatusCode::NOT_FOUND, "not_found", "you have connected no such program").into_response()
        }
        Err(refusal) => refusal,
    }
}
