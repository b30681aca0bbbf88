//! One fetch of a JWKS (RFC 7517, section 5): limited in time and size, answered from where it was asked.

use std::time::Duration;

use reqwest::{
    StatusCode,
    header::{ACCEPT, CACHE_CONTROL, HeaderMap},
};
use serde_json::Value;
use url::{Host, Url};

use crate::{JwksOptions, KeySet, json};

/// What came back.
pub(crate) struct Fetched {
    /// At least one key.
    pub(crate) keys: KeySet,
    /// `Cache-Control: max-age`.
    pub(crate) max_age: Option<Duration>,
}

/// Why nothing usable came back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("plain http is only for loopback addresses")]
    PlainHttp,
    #[error("no answer")]
    NoAnswer(#[source] reqwest::Error),
    #[error("the answer has the status {0}")]
    Status(StatusCode),
    #[error("the answer comes from another address")]
    Redirected,
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("the answer is not a JWK set")]
    NotAJwks,
    #[error("the answer holds no key that can be used for RS256, ES256 or EdDSA signatures")]
    NoKeys,
}

pub(crate) async fn fetch(url: &Url, http: &reqwest::Client, options: &JwksOptions) -> Result<Fetched, FetchError> {
    if url.scheme() != "https" && !options.allow_plain_http && !is_loopback(url) {
        return Err(FetchError::PlainHttp);
    }
    let mut answer = http
        .get(url.clone())
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .timeout(options.timeout)
        .send()
        .await
        .map_err(no_answer)?;
    if answer.url() != url {
        return Err(FetchError::Redirected);
    }
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status()));
    }
    let max_age = max_age(answer.headers());
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(no_answer)? {
        if body.len() + piece.len() > options.longest {
            return Err(FetchError::TooLong(options.longest));
        }
        body.extend_from_slice(&piece);
    }
    let jwks = Value::Object(json::object(&body).map_err(|_| FetchError::NotAJwks)?);
    let (keys, private) = KeySet::published(&jwks).map_err(|_| FetchError::NotAJwks)?;
    if private {
        tracing::warn!(%url, "an issuer publishes a private key; it is not used");
    }
    if keys.is_empty() { Err(FetchError::NoKeys) } else { Ok(Fetched { keys, max_age }) }
}

fn no_answer(error: reqwest::Error) -> FetchError {
    FetchError::NoAnswer(error.without_url())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The seconds that a cache may keep the answer (RFC 9111, section 5.2.2.1).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|directive| {
            let (name, seconds) = directive.trim().split_once('=')?;
            name.eq_ignore_ascii_case("max-age").then(|| seconds.trim_matches('"').parse().ok()).flatten()
        })
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(value: &str) -> Option<u64> {
        max_age(&HeaderMap::from_iter([(CACHE_CONTROL, value.parse().unwrap())])).map(|age| age.as_secs())
    }

    #[test]
    fn the_age_that_an_issuer_allows_is_read() {
        assert_eq!(age("public, max-age=19845, must-revalidate, no-transform"), Some(19845));
        assert_eq!(age("Max-Age=\"60\""), Some(60));
        for none in ["no-store", "max-age", "max-age=x", "s-maxage=60", ""] {
            assert_eq!(age(none), None, "{none}");
        }
    }

    #[test]
    fn loopback_is_what_cannot_leave_the_machine() {
        for (url, loopback) in [
            ("http://127.0.0.1:8080/k", true),
            ("http://127.9.9.9/k", true),
            ("http://[::1]/k", true),
            ("http://localhost/k", true),
            ("http://localhost.evil.example/k", false),
            ("http://192.168.0.1/k", false),
            ("http://0.0.0.0/k", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), loopback, "{url}");
        }
    }
}
