//! The pages for people who sign in without a client: sign-in, success, session tokens.

use authchain::{
    accounts::Account,
    core::{Email, Scopes, Secret},
    sessions::Session,
};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::{Language, consent::provider_name, layout, scopes};
use crate::server::{Shared, path};

/// What the sign-in page shows.
pub(crate) struct SignIn<'a> {
    /// Who has to sign in.
    pub(crate) expected: Option<&'a Email>,
    /// What is asked for beside what is there.
    pub(crate) asked: Option<&'a Scopes>,
    /// To whom the account is linked.
    pub(crate) owner: Option<&'a Account>,
    /// Which client gets more with it.
    pub(crate) client: Option<&'a str>,
    pub(crate) ticket: &'a str,
}

/// The sign-in page.
pub(crate) fn sign_in(server: &Shared, language: Language, shown: &SignIn<'_>) -> Response {
    let words = language.words();
    let (sign_in, accounts) = (&words.sign_in, &words.accounts);
    let provider = provider_name(server);
    let content = html! {
        @match shown.owner {
            Some(owner) => {
                p { ((accounts.link_text)(&provider)) }
                dl {
                    dt { (accounts.account) }
                    dd { @match shown.expected { Some(email) => (email), None => ((accounts.chosen_next)(&provider)) } }
                    dt { (accounts.linked_to) } dd { (owner.user) }
                }
                p.hint { ((accounts.link_hint)(owner.user.as_str())) }
            }
            None => {
                p { ((sign_in.text)(&provider)) }
                @if let Some(expected) = shown.expected {
                    dl { dt { (sign_in.expected) } dd { (expected) } }
                }
            }
        }
        @if let Some(asked) = shown.asked {
            h2 { (accounts.more) }
            (scopes::list(asked, server.parts.describe, words))
            @if let Some(client) = shown.client {
                p { ((accounts.more_for)(if client.is_empty() { words.sessions.unnamed } else { client })) }
            }
            p.soft { (accounts.rest_stays) }
        }
        form method="post" action=(server.urls.link(path::LOCAL_START)) {
            input type="hidden" name="ticket" value=(shown.ticket);
            div.row { button.main type="submit" { ((sign_in.button)(&provider)) } }
        }
    };
    let title = match shown.owner {
        Some(_) => accounts.link_title.to_owned(),
        None => (sign_in.title)(&server.options.name),
    };
    layout::page(server, language, StatusCode::OK, &title, &content)
}

/// What the success page shows.
pub(crate) struct SignedIn<'a> {
    pub(crate) email: &'a Email,
    pub(crate) granted: &'a Scopes,
    pub(crate) csrf: &'a str,
    /// Whether the person has come back from the provider just now.
    pub(crate) just_now: bool,
}

/// The success page.
pub(crate) fn signed_in(server: &Shared, language: Language, shown: &SignedIn<'_>) -> Response {
    let words = language.words();
    let (sign_in, sessions) = (&words.sign_in, &words.sessions);
    let sentence = if shown.just_now { &sign_in.done } else { &sign_in.already };
    let content = html! {
        p { (sentence.text) }
        dl { dt { (sign_in.account) } dd { (shown.email) } }
        h2 { (sign_in.stored) }
        (scopes::list(shown.granted, server.parts.describe, words))
        p.soft { ((sign_in.take_back)(&provider_name(server))) }
        h2 { (words.accounts.title) }
        p { (words.accounts.text) }
        p { a.line href=(server.urls.link(path::ACCOUNTS)) { (words.accounts.manage) } }
        p { a.line href=(server.urls.link(path::LINK)) { (words.accounts.link) } }
        h2 { (words.apps.title) }
        p { a.line href=(server.urls.link(path::APPS)) { (words.apps.open) } }
        h2 { (sessions.title) }
        p { (sessions.text) }
        p { a.line href=(server.urls.link(path::SESSIONS)) { (sessions.open) } }
        p { a.line href=(server.urls.link(path::NEW_CLIENT)) { (words.new_client.link) } }
        div.row {
            a.button href=(format!("{}?another=1", server.urls.link(path::LOCAL))) { (sign_in.another) }
        }
        (sign_out(server, language, shown.csrf))
    };
    layout::page(server, language, StatusCode::OK, sentence.title, &content)
}

/// The page after signing out.
pub(crate) fn signed_out(server: &Shared, language: Language) -> Response {
    let words = &language.words().sign_in;
    let content = html! {
        p { (words.signed_out.text) }
        p { a.button href=(server.urls.link(path::LOCAL)) { ((words.button)(&provider_name(server))) } }
    };
    layout::page(server, language, StatusCode::OK, words.signed_out.title, &content)
}

/// The list of session tokens.
pub(crate) fn sessions(server: &Shared, language: Language, list: &[Session], csrf: &str) -> Response {
    let words = &language.words().sessions;
    let content = html! {
        p { (words.text) }
        @if list.is_empty() { p { (words.none) } }
        @for session in list {
            @let label = if session.label.is_empty() { words.unnamed } else { session.label.as_str() };
            div.row.between {
                span { (label) " " span.mark { "(" (words.last_used) " " (date(session.last_used.0)) ")" } }
                form method="post" action=(server.urls.link(&format!("{}/{}/end", path::SESSIONS, session.id))) {
                    input type="hidden" name="csrf" value=(csrf);
                    button type="submit" aria-label=((words.end_named)(label)) { (words.end) }
                }
            }
        }
        form method="post" action=(server.urls.link(path::SESSIONS)) {
            input type="hidden" name="csrf" value=(csrf);
            label for="label" { (words.label) }
            input type="text" id="label" name="label" maxlength="60" autocomplete="off";
            div.row { button.main type="submit" { (words.open) } }
        }
        p { a.line href=(server.urls.link(path::LOCAL)) { (words.back) } }
    };
    layout::page(server, language, StatusCode::OK, words.title, &content)
}

/// A new session token, shown this once.
pub(crate) fn new_session(server: &Shared, language: Language, token: &Secret, label: &str) -> Response {
    let words = &language.words().sessions;
    let content = html! {
        p.hint { (words.opened.text) }
        @if !label.is_empty() { h2 { (label) } }
        code { (token.expose()) }
        p { (words.use_it) }
        p { a.line href=(server.urls.link(path::SESSIONS)) { (words.back) } }
    };
    layout::page(server, language, StatusCode::CREATED, words.opened.title, &content)
}

fn sign_out(server: &Shared, language: Language, csrf: &str) -> Markup {
    html! {
        form method="post" action=(server.urls.link(path::SIGN_OUT)) {
            input type="hidden" name="csrf" value=(csrf);
            div.row { button type="submit" { (language.words().sign_in.sign_out) } }
        }
    }
}

/// A day and minute that every language reads: `2026-11-21 07:30 UTC`.
pub(super) fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |t| t.strftime("%F %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(1_795_246_200), "2026-11-21 07:30 UTC");
        assert_eq!(date(i64::MAX), "");
    }
}
