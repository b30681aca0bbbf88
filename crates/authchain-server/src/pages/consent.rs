//! The consent page: who asks, for what, where the answer goes, as whom.

use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::{Language, layout, scopes};
use crate::{
    authorize::AuthorizeRequest,
    clients::{Client, Destination, destination},
    server::{Shared, path},
};

/// Shows the page. `ticket` is the sealed request that comes back with the answer.
pub(crate) fn consent(
    server: &Shared,
    language: Language,
    client: &Client,
    request: &AuthorizeRequest,
    ticket: &str,
) -> Response {
    let words = language.words();
    let (consent, provider) = (&words.consent, provider_name(server));
    let (goes_to, on_this_device) = match destination(&request.redirect_uri) {
        Destination::Site(host) => (host, false),
        Destination::ThisComputer(host) => ((consent.this_computer)(&host), true),
        Destination::App(scheme) => ((consent.app)(&scheme), true),
    };
    let content = html! {
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
        h2 { (consent.wants) }
        (scopes::list(&request.scopes, server.parts.describe, words))
        form method="post" action=(server.urls.link(path::CONSENT)) {
            input type="hidden" name="ticket" value=(ticket);
            div.row {
                button.main type="submit" name="decision" value="allow" { (consent.allow) }
                button type="submit" name="decision" value="deny" { (consent.deny) }
            }
        }
        p.soft { ((consent.next)(&provider)) }
        p.soft { ((consent.never)(&provider)) }
    };
    let title = (consent.title)(client.metadata.name(), &provider);
    layout::page(server, language, StatusCode::OK, &title, &content)
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
