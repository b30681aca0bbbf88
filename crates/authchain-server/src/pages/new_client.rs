//! The page on which a person makes a client id, and the one that shows it this once.

use authchain::core::Secret;
use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::{Language, layout, local::date};
use crate::{
    clients::{MadeClient, NewClient},
    server::{Shared, path},
};

/// The form, with what the person has filled in, and why it was refused.
pub(crate) fn new_client(
    server: &Shared,
    language: Language,
    csrf: &str,
    filled: &NewClient,
    refused: Option<&str>,
) -> Response {
    let words = &language.words().new_client;
    let kinds =
        [("public", words.public, !filled.confidential), ("confidential", words.confidential, filled.confidential)];
    let content = html! {
        p { (words.text) }
        @if let Some(why) = refused { p.hint role="alert" { (words.refused) " " (why) } }
        form method="post" action=(server.urls.link(path::NEW_CLIENT)) {
            input type="hidden" name="csrf" value=(csrf);
            label for="name" { (words.name) }
            input type="text" id="name" name="name" value=(filled.name) required maxlength="80" autocomplete="off";
            label for="redirect_uris" { (words.redirect_uris) }
            textarea id="redirect_uris" name="redirect_uris" rows="3" required spellcheck="false"
                aria-describedby="about-redirects" { (filled.redirect_uris.join("\n")) }
            p.soft id="about-redirects" { (words.about_redirects) }
            fieldset {
                legend { (words.kind) }
                @for (value, name, chosen) in kinds {
                    label.tick { input type="radio" name="kind" value=(value) checked[chosen]; (name) }
                }
            }
            div.row { button.main type="submit" { (words.make) } }
        }
        p { a.line href=(server.urls.link(path::LOCAL)) { (words.back) } }
    };
    let status = if refused.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    layout::page(server, language, status, words.title, &content)
}

/// What was made, shown this once.
pub(crate) fn made_client(server: &Shared, language: Language, made: &MadeClient) -> Response {
    let words = &language.words().new_client;
    let secret = made.client_secret.as_ref().map(Secret::expose);
    let lines = [
        (words.client_id, Some(made.client_id.as_str())),
        (words.client_secret, secret),
        (words.mcp_url, Some(made.mcp_url.as_str())),
        (words.authorize_url, Some(made.authorize_url.as_str())),
        (words.token_url, Some(made.token_url.as_str())),
    ];
    let content = html! {
        p.hint { (if secret.is_some() { words.once_with_secret } else { words.once }) }
        @for (name, value) in lines {
            @if let Some(value) = value { h2 { (name) } code { (value) } }
        }
        p.soft { ((words.ends)(&date(made.expires_at.0))) }
        p { a.line href=(server.urls.link(path::LOCAL)) { (words.back) } }
    };
    layout::page(server, language, StatusCode::CREATED, &(words.made)(&made.client_name), &content)
}
