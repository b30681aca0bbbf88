//! Errors for programs: the JSON of RFC 6749, section 5.2, and RFC 7591, section 3.2.2, never cached.

use std::{borrow::Cow, time::Duration};

use authchain::{
    core::{AuthError, StoreError},
    dpop,
};
use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use crate::params::BadParams;

/// An error of an endpoint for programs.
#[derive(Debug)]
pub(crate) struct OAuthError {
    status: StatusCode,
    error: &'static str,
    description: Cow<'static, str>,
    retry_after: Option<Duration>,
    /// How a caller that must prove itself does so.
    challenge: Option<&'static str>,
    /// The nonce that the next DPoP proof has to carry.
    nonce: Option<String>,
}

impl OAuthError {
    pub(crate) fn new(status: StatusCode, error: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self { status, error, description: description.into(), retry_after: None, challenge: None, nonce: None }
    }

    /// 400 `invalid_request`.
    pub(crate) fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// 401 `invalid_client`: the client forgets its registration and registers anew. `basic`: it used the header.
    pub(crate) fn invalid_client(description: impl Into<Cow<'static, str>>, basic: bool) -> Self {
        let challenge = basic.then_some("Basic realm=\"authchain\", charset=\"UTF-8\"");
        Self { challenge, ..Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description) }
    }

    /// 401 `invalid_token`, with the challenge of RFC 6750, section 3.
    pub(crate) fn invalid_token(description: &'static str) -> Self {
        let challenge = Some("Bearer realm=\"authchain\", error=\"invalid_token\"");
        Self { challenge, ..Self::new(StatusCode::UNAUTHORIZED, "invalid_token", description) }
    }

    /// 400 `invalid_grant`: the client drops its tokens and signs in anew. It is 400, as the standard says: clients get
    /// stuck on anything else.
    pub(crate) fn invalid_grant(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    /// The same, to be tried again after a while.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Whether it is a failure of the server and no mistake of whoever asks.
    pub(crate) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// The sentence, for a log.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// The sentence.
    pub(crate) fn into_description(self) -> Cow<'static, str> {
        self.description
    }

    /// The error word.
    #[cfg(test)]
    pub(crate) fn error(&self) -> &'static str {
        self.error
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    error_description: &'a str,
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &Body { error: self.error, error_description: &plain(&self.description) });
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if let Some(nonce) = self.nonce.and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
            headers.insert(dpop::NONCE, nonce);
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// Only the characters that RFC 6749, section 5.2, allows in a description.
fn plain(description: &str) -> String {
    description.chars().map(|c| if matches!(c, ' ' | '!' | '#'..='[' | ']'..='~') { c } else { '\'' }).collect()
}

/// A JSON answer that nobody may keep.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let Ok(body) = serde_json::to_vec(body) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

impl From<AuthError> for OAuthError {
    fn from(error: AuthError) -> Self {
        // At this endpoint a bad proof is a 400 (RFC 9449, sections 5 and 8).
        match error {
            AuthError::InvalidDpopProof(why) => return Self::new(StatusCode::BAD_REQUEST, "invalid_dpop_proof", why),
            AuthError::UseDpopNonce { nonce } => {
                let why = "make the proof again with the nonce in the header DPoP-Nonce";
                return Self { nonce: Some(nonce), ..Self::new(StatusCode::BAD_REQUEST, "use_dpop_nonce", why) };
            }
            _ => {}
        }
        let code = error.code();
        let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(code = %code, %error, "an authorization request failed");
        }
        let word = if code.oauth_error().is_empty() { "invalid_request" } else { code.oauth_error() };
        Self { retry_after: error.retry_after(), ..Self::new(status, word, code.what_to_do()) }
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        AuthError::from(error).into()
    }
}

impl From<BadParams> for OAuthError {
    fn from(bad: BadParams) -> Self {
        Self::invalid_request(bad.describe())
    }
}

#[cfg(test)]
mod tests {
    use authchain::core::Cause;

    use super::*;

    #[test]
    fn an_outage_is_a_503_with_retry_after_and_never_a_lost_sign_in() {
        let down = AuthError::UpstreamUnavailable { retry_after: Duration::from_secs(7), cause: Cause::text("down") };
        let response = OAuthError::from(down).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "7");
    }

    #[test]
    fn n17_no_error_is_ever_cached() {
        let response = OAuthError::invalid_grant("x").into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["cache-control"], "no-store");
    }

    #[test]
    fn a_description_has_only_the_characters_that_are_allowed() {
        assert_eq!(plain("say \"hi\"\\ ü\n"), "say 'hi'' ''");
    }
}
