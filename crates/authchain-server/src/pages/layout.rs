//! What all pages have in common: the frame, the style sheet, and the headers that keep a page to itself.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, VARY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use maud::{DOCTYPE, Markup, html};

use super::Language;
use crate::{
    keys::{base64url, sha256},
    server::Shared,
};

const STYLE: &str = include_str!("style.css");

/// The route of the style sheet.
pub(crate) const STYLE_ROUTE: &str = "/auth/assets/{file}";

/// Nothing is loaded but the style sheet, nobody may frame the page, no base address can be slipped in. There is no
/// `form-action`: browsers hold it against every redirect that follows a form, also the one to a client's own scheme.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Where the style sheet is: its name has a hash of its content, so that it can be kept for ever.
pub(crate) fn style_path() -> String {
    let hash: String = base64url(sha256(STYLE.as_bytes())).chars().take(16).collect();
    format!("/auth/assets/style-{hash}.css")
}

/// The style sheet.
pub(crate) async fn style(State(server): State<Arc<Shared>>, Path(file): Path<String>) -> Response {
    if !server.style.ends_with(&format!("/{file}")) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (StatusCode::OK, headers, STYLE).into_response()
}

/// A page.
pub(super) fn page(server: &Shared, language: Language, status: StatusCode, title: &str, content: &Markup) -> Response {
    let lang = language.words().lang;
    let page = html! {
        (DOCTYPE)
        html lang=(lang) dir="ltr" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · " (server.options.name) }
                link rel="stylesheet" href=(server.urls.link(&server.style));
            }
            body {
                header { (server.options.name) }
                main {
                    h1 { (title) }
                    (content)
                }
            }
        }
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_LANGUAGE, HeaderValue::from_static(lang)),
        (VARY, HeaderValue::from_static("accept-language, cookie")),
    ];
    guarded((status, headers, page.into_string()).into_response())
}

/// Sends the browser on.
pub(crate) fn go_to(address: &str) -> Response {
    match HeaderValue::from_str(address) {
        Ok(location) => guarded((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()),
        Err(_) => guarded(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
    }
}

fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "geolocation=(), camera=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
