//! The one upstream HTTP client, and answers of bounded size.

use std::time::Duration;

use authchain_core::{AuthError, Cause, Clock, Timestamp, with_causes};
use authchain_trust::Trust;
use reqwest::{Certificate, ClientBuilder, RequestBuilder, Response, StatusCode, header::RETRY_AFTER};

/// No answer of a token endpoint is near this size; what is longer is no answer.
const LARGEST_BODY: usize = 256 * 1024;
/// No provider is believed when it wants to be left alone for longer.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// The HTTP client that every request to a provider goes through: redirects are not followed (a token endpoint has
/// none, and a secret must not travel where a redirect points), connecting takes at most 5 seconds, silence at most 10,
/// all together at most 15. Build it once and clone it: clones share connections.
///
/// # Errors
/// [`AuthError::Configuration`] when the TLS set-up of this machine cannot be used.
pub fn http_client() -> Result<reqwest::Client, AuthError> {
    http_client_trusting(&Trust::default())
}

/// As [`http_client`], where the configuration says whose certificates to trust.
///
/// # Errors
/// As [`http_client`].
pub fn http_client_trusting(trust: &Trust) -> Result<reqwest::Client, AuthError> {
    trusting(reqwest::Client::builder(), trust)
        .user_agent(concat!("authchain/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(15))
        .build()
        .map_err(|error| AuthError::Configuration(format!("the HTTP client cannot be built: {error}")))
}

/// A client of one's own that trusts the same certificates as all others.
pub fn trusting(client: ClientBuilder, trust: &Trust) -> ClientBuilder {
    let Some(certificates) = trust.certificates() else { return client };
    client.tls_certs_only(certificates.iter().filter_map(|certificate| Certificate::from_der(certificate).ok()))
}

/// Why there is no answer.
pub(crate) struct Unanswered {
    /// A sentence without the address, which may carry secrets.
    pub(crate) cause: Cause,
    /// The connection could not be made, so the request has done nothing.
    pub(crate) never_sent: bool,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

/// Sends a request and reads the whole answer.
pub(crate) async fn send(request: RequestBuilder, clock: &dyn Clock) -> Result<Answer, Unanswered> {
    let unanswered = |error: reqwest::Error| Unanswered {
        never_sent: error.is_connect(),
        cause: Cause::text(with_causes(&error.without_url())),
    };
    let mut response = request.send().await.map_err(unanswered)?;
    let retry_after = retry_after(&response, clock.now());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(Unanswered { cause: Cause::text("its answer is longer than 256 KiB"), never_sent: false });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: response.status(), retry_after, body })
}

/// `Retry-After` as a span from `now`: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    parse_retry_after(text, now)
}

fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let span = if let Ok(seconds) = text.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        let seconds = date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
        Timestamp(i64::try_from(seconds).ok()?).since(now)
    };
    Some(span.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        let now = Timestamp(784_111_770);
        assert_eq!(parse_retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("soon", now), None);
        assert_eq!(parse_retry_after("999999999", now), Some(LONGEST_RETRY_AFTER));
    }
}
