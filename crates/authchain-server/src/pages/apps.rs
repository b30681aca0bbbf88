//! The pages about connected programs: the list, the question before one is disconnected, and the answer.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::{
    Language,
    consent::{goes_to, provider_name},
    layout,
    local::date,
    scopes,
    words::Words,
};
use crate::{
    local::App,
    server::{Shared, path},
};

/// All programs that a person connected.
pub(crate) fn apps(server: &Shared, language: Language, list: &[App]) -> Response {
    let words = language.words();
    let apps = &words.apps;
    let content = html! {
        p { @if list.is_empty() { (apps.none) } @else { (apps.text) } }
        @for app in list { (section(server, words, app)) }
        p { a.line href=(server.urls.link(path::LOCAL)) { (words.sessions.back) } }
    };
    layout::page(server, language, StatusCode::OK, apps.title, &content)
}

fn section(server: &Shared, words: &Words, app: &App) -> Markup {
    let apps = &words.apps;
    html! {
        section aria-labelledby=(format!("app-{}", app.id)) {
            h2 id=(format!("app-{}", app.id)) { (app.name) }
            (facts(words, app))
            (scopes::list(&app.scopes, server.parts.describe, words))
            div.row {
                a.button href=(revoke_path(server, app)) aria-label=((apps.revoke_named)(&app.name)) { (apps.revoke) }
            }
        }
    }
}

fn facts(words: &Words, app: &App) -> Markup {
    let apps = &words.apps;
    html! {
        dl {
            @if !app.returns_to.is_empty() {
                dt { (apps.returns_to) }
                @for uri in &app.returns_to { dd { (goes_to(uri, words).0) } }
            }
            @if let Some(since) = app.since { dt { (apps.since) } dd { (date(since.0)) } }
            @if let Some(last_used) = app.last_used { dt { (apps.last_used) } dd { (date(last_used.0)) } }
            @if let Some(until) = app.remembered_until { dt { (apps.not_asked_until) } dd { (date(until.0)) } }
        }
    }
}

/// The question before a program is disconnected.
pub(crate) fn ask_to_revoke(server: &Shared, language: Language, app: &App, csrf: &str) -> Response {
    let words = language.words();
    let apps = &words.apps;
    let content = html! {
        (facts(words, app))
        p { (apps.ask_text) }
        form method="post" action=(revoke_path(server, app)) {
            input type="hidden" name="csrf" value=(csrf);
            div.row {
                button.main type="submit" { (apps.revoke) }
                a.button href=(server.urls.link(path::APPS)) { (words.accounts.keep) }
            }
        }
    };
    layout::page(server, language, StatusCode::OK, &(apps.ask)(&app.name), &content)
}

/// What became of it; `None` where there was nothing to disconnect.
pub(crate) fn revoked(server: &Shared, language: Language, app: Option<&App>) -> Response {
    let words = language.words();
    let apps = &words.apps;
    let (status, title, text) = match app {
        Some(app) => (StatusCode::OK, (apps.revoked)(&app.name), (apps.revoked_text)(&provider_name(server))),
        None => (StatusCode::NOT_FOUND, apps.gone.title.to_owned(), apps.gone.text.to_owned()),
    };
    let content = html! {
        p { (text) }
        p { a.line href=(server.urls.link(path::APPS)) { (words.sessions.back) } }
    };
    layout::page(server, language, status, &title, &content)
}

fn revoke_path(server: &Shared, app: &App) -> String {
    server.urls.link(&format!("{}/{}/revoke", path::APPS, app.id))
}
