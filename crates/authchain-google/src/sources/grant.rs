//! One grant at a token endpoint (RFC 6749, section 4): sent again while nobody answers, and its refusals sorted by who can
//! do something about them.

use std::time::Duration;

use authchain_core::{AccessToken, AuthError, Cause, Clock, Scopes, Secret};
use reqwest::{StatusCode, header::RETRY_AFTER};
use serde::{Deserialize, de::DeserializeOwned};

use super::Upstream;

/// No answer of a token endpoint is near this size.
const LARGEST: usize = 256 * 1024;
/// Nobody waits for longer than this within one request, whatever the endpoint asks for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// What a token endpoint grants.
#[derive(Deserialize)]
pub(super) struct Granted {
    access_token: Secret,
    expires_in: Option<i64>,
    scope: Option<String>,
    pub(super) id_token: Option<Secret>,
}

impl Granted {
    /// The token; `asked` is what it is for when the answer does not say (RFC 6749, section 5.1).
    pub(super) fn token(self, asked: &Scopes, clock: &dyn Clock) -> AccessToken {
        let life = Duration::from_secs(self.expires_in.and_then(|s| u64::try_from(s).ok()).unwrap_or(3600));
        let scopes = self.scope.as_deref().map_or_else(|| asked.clone(), Scopes::from);
        AccessToken::new(self.access_token, clock.now() + life, scopes)
    }
}

/// How a token endpoint says no (RFC 6749, section 5.2).
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refusal {
    #[serde(default)]
    pub(super) error: String,
    #[serde(default)]
    error_subtype: Option<String>,
    #[serde(default)]
    pub(super) error_description: Option<String>,
}

impl Refusal {
    /// Its words in one line, cut where they are no words any more.
    pub(super) fn words(&self) -> String {
        let parts = [Some(self.error.as_str()), self.error_subtype.as_deref(), self.error_description.as_deref()];
        let words = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
        words.chars().filter(|c| !c.is_control()).take(300).collect()
    }
}

/// Why nothing was granted.
pub(super) enum Failure {
    /// The endpoint decided against it.
    Refused(Refusal),
    /// Anything else, as it is for those who wait.
    Other(AuthError),
}

impl Upstream {
    /// Posts a form until it is answered. Google takes any of these forms twice without harm.
    pub(super) async fn post<A: DeserializeOwned>(&self, url: &str, form: &[(&str, &str)]) -> Result<A, Failure> {
        let mut attempt = 1;
        loop {
            let (cause, asked) = match self.post_once(url, form).await {
                Ok((status, body)) if status.is_success() => {
                    let nonsense = |_| refused("its answer makes no sense".into());
                    return serde_json::from_slice(&body).map_err(nonsense).map_err(Failure::Other);
                }
                Ok((_, body)) => {
                    return Err(match serde_json::from_slice::<Refusal>(&body) {
                        Ok(refusal) if !refusal.error.is_empty() => Failure::Refused(refusal),
                        _ => Failure::Other(refused("it refused without a reason".into())),
                    });
                }
                Err(unanswered) => unanswered,
            };
            let pause = asked.unwrap_or_else(|| self.retry.pause(attempt));
            if attempt >= self.retry.attempts || pause > self.retry.longest_wait {
                return Err(Failure::Other(AuthError::UpstreamUnavailable {
                    retry_after: pause.max(Duration::from_secs(1)),
                    cause,
                }));
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// A whole answer; or why there is none, and the wait that was asked for.
    async fn post_once(
        &self,
        url: &str,
        form: &[(&str, &str)],
    ) -> Result<(StatusCode, Vec<u8>), (Cause, Option<Duration>)> {
        let lost = |error: reqwest::Error| (Cause::new(error.without_url()), None);
        let mut response = self.http.post(url).form(form).send().await.map_err(lost)?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            let asked = response.headers().get(RETRY_AFTER).and_then(|text| text.to_str().ok()?.trim().parse().ok());
            let asked = asked.map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
            return Err((Cause::text(format!("the token endpoint answers {status}")), asked));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > LARGEST {
                return Err((Cause::text("the answer is longer than 256 KiB"), None));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body))
    }
}

pub(super) fn refused(sentence: String) -> AuthError {
    AuthError::UpstreamRefused { cause: Cause::text(sentence) }
}
