//! The pages for devices without a browser: the code, who asks for what, and that the device has been answered.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use maud::html;

use super::{
    Language,
    consent::{asked, provider_name},
    layout,
};
use crate::{clients::Client, device::DeviceRequest, server::Shared};

/// Why a code was not accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WrongCode {
    /// No device waits with it.
    Unknown,
    /// Too many were typed; how long to wait.
    TooOften(Duration),
}

/// Asks for the code. `code`: what a link has filled in.
pub(crate) fn enter_code(
    server: &Shared,
    language: Language,
    code: Option<&str>,
    wrong: Option<WrongCode>,
) -> Response {
    let words = &language.words().device;
    let (status, sentence) = match wrong {
        None => (StatusCode::OK, None),
        Some(WrongCode::Unknown) => (StatusCode::BAD_REQUEST, Some(words.unknown)),
        Some(WrongCode::TooOften(_)) => (StatusCode::TOO_MANY_REQUESTS, Some(words.too_often)),
    };
    let content = html! {
        @if let Some(sentence) = sentence { p.hint role="alert" id="wrong" { (sentence) } }
        p { @if code.is_some() { (words.compare) } @else { (words.text) } }
        p.hint { (words.warning) }
        form method="post" action=(server.urls.link(&server.options.paths.device)) {
            label for="user_code" { (words.code) }
            input.code type="text" id="user_code" name="user_code" value=[code] required maxlength="20" autocomplete="off"
                autocapitalize="characters" spellcheck="false" aria-describedby=[sentence.map(|_| "wrong")];
            div.row { button.main type="submit" { (words.go_on) } }
        }
    };
    let mut response = layout::page(server, language, status, words.title, &content);
    if let Some(WrongCode::TooOften(wait)) = wrong {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}

/// Shows who asks for what. `ticket` is the sealed request that comes back with the answer; `nothing_chosen`: the person has
/// just unticked everything.
pub(crate) fn device_consent(
    server: &Shared,
    language: Language,
    client: &Client,
    request: &DeviceRequest,
    ticket: &str,
    nothing_chosen: bool,
) -> Response {
    let words = language.words();
    let (consent, device, provider) = (&words.consent, &words.device, provider_name(server));
    let content = html! {
        @if nothing_chosen { p.hint role="alert" { (consent.nothing_chosen) } }
        p.soft { (consent.unverified) }
        p { (device.same_code) }
        p.code { (request.code) }
        p.hint { (device.warning) }
        dl {
            @if let Some(host) = client.host() {
                dt { (consent.described_at) }
                dd { (host) }
            }
            dt { (consent.returns_to) }
            dd { (device.the_device) }
            dt { (consent.account) }
            dd { ((consent.account_chosen_next)(&provider)) }
        }
        form method="post" action=(server.urls.link(&server.options.paths.device_decide())) {
            input type="hidden" name="ticket" value=(ticket);
            (asked(server, words, &request.scopes, nothing_chosen))
            div.row {
                button.main type="submit" name="decision" value="allow" { (consent.allow) }
                button type="submit" name="decision" value="deny" { (consent.deny) }
            }
        }
        p.soft { ((consent.next)(&provider)) }
        p.soft { ((consent.never)(&provider)) }
    };
    let title = (consent.title)(client.metadata.name(), &provider);
    let status = if nothing_chosen { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    layout::page(server, language, status, &title, &content)
}

/// The device has its answer: yes.
pub(crate) fn device_done(server: &Shared, language: Language) -> Response {
    let sentence = &language.words().device.done;
    layout::page(server, language, StatusCode::OK, sentence.title, &html! { p { (sentence.text) } })
}

/// The device has its answer: no.
pub(crate) fn device_denied(server: &Shared, language: Language) -> Response {
    let sentence = &language.words().device.denied;
    layout::page(server, language, StatusCode::OK, sentence.title, &html! { p { (sentence.text) } })
}
