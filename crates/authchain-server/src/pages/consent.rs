//! The consent page: who asks, for what, where the answer goes, as whom.

use std::collections::BTreeSet;

use authchain::core::Scopes;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::{Language, layout, scopes, words::Words};
use crate::{
    authorize::AuthorizeRequest,
    clients::{Client, Destination, destination},
    scopes::{offer_a_choice, services},
    server::Shared,
};

/// What the page shows.
pub(crate) struct Consent<'a> {
    pub(crate) client: &'a Client,
    pub(crate) request: &'a AuthorizeRequest,
    /// The sealed request, which comes back with the answer.
    pub(crate) ticket: &'a str,
    /// What the client has already and keeps.
    pub(crate) kept: Scopes,
    /// Whether a yes is remembered.
    pub(crate) remembered: bool,
    /// Whether the person has just unticked everything.
    pub(crate) nothing_chosen: bool,
}

/// Shows the page.
pub(crate) fn consent(server: &Shared, language: Language, shown: &Consent<'_>) -> Response {
    let words = language.words();
    let (consent, provider) = (&words.consent, provider_name(server));
    let Consent { client, request, .. } = shown;
    let (goes_to, on_this_device) = goes_to(&request.redirect_uri, words);
    let content = html! {
        @if shown.nothing_chosen { p.hint role="alert" { (consent.nothing_chosen) } }
        p.soft { (consent.unverified) }
        dl {
            @if let Some(host) = client.host() {
                dt { (consent.described_at) }
                dd { (host) }
            }
            dt { (consent.returns_to) }
            dd { (goes_to) }
            dt { (consent.account) }
            dd {
                @match &request.login_hint {
                    Some(email) => (email),
                    None => ((consent.account_chosen_next)(&provider)),
                }
            }
        }
        @if on_this_device { p.hint { (consent.this_computer_note) } }
        @if client.host().is_some() && client.metadata.only_this_computer() {
            p.hint { (consent.only_this_computer) }
        }
        form method="post" action=(server.urls.link(&server.options.paths.consent)) {
            input type="hidden" name="ticket" value=(shown.ticket);
            (asked(server, words, &request.scopes, shown.nothing_chosen))
            @if !shown.kept.is_empty() {
                h2 { (words.consent.keeps) }
                (scopes::list(&shown.kept, server.parts.describe, words))
            }
            div.row {
                button.main type="submit" name="decision" value="allow" { (consent.allow) }
                button type="submit" name="decision" value="deny" { (consent.deny) }
            }
        }
        p.soft { ((consent.next)(&provider)) }
        @if let (true, Some(life)) = (shown.remembered, server.options.remember_consent.life()) {
            p.soft { ((consent.remembered)(life.as_secs().div_ceil(24 * 60 * 60))) }
        }
        p.soft {
            ((consent.never)(&provider))
            // Who the person is, and so what they allowed before, is often known only after the sign-in.
            @if shown.kept.is_empty() { " " (consent.keeps_if_any) }
        }
    };
    let title = (consent.title)(client.metadata.name(), &provider);
    let status = if shown.nothing_chosen { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    layout::page(server, language, status, &title, &content)
}

/// What is asked for, with boxes to tick where there is a choice; to stand in a form.
pub(super) fn asked(server: &Shared, words: &Words, asked: &Scopes, nothing_chosen: bool) -> Markup {
    let (consent, describe) = (&words.consent, server.parts.describe);
    let ticked = if nothing_chosen { BTreeSet::new() } else { services(asked) };
    html! {
        @if offer_a_choice(asked) {
            fieldset aria-describedby="choose" {
                legend { h2 { (consent.wants) } }
                p.soft id="choose" { (consent.choose) }
                (scopes::choice(asked, describe, words, &ticked))
            }
        } @else {
            h2 { (consent.wants) }
            (scopes::list(asked, describe, words))
        }
    }
}

/// Where an answer goes, in words, and whether that is on the person's own device.
pub(super) fn goes_to(redirect_uri: &str, words: &Words) -> (String, bool) {
    match destination(redirect_uri) {
        Destination::Site(host) => (host, false),
        Destination::ThisComputer(host) => ((words.consent.this_computer)(&host), true),
        Destination::App(scheme) => ((words.consent.app)(&scheme), true),
    }
}

/// The provider as people call it.
pub(super) fn provider_name(server: &Shared) -> String {
    let id = server.parts.provider.provider().id.as_str();
    match id {
        "github" => "GitHub".into(),
        _ => {
            let mut letters = id.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        }
    }
}
