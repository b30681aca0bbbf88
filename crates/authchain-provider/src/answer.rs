//! Answers of a token endpoint (RFC 6749, sections 5.1 and 5.2), as they are and as they ought to be: what came, and if
//! nothing good came, whether the grant is dead, the provider is away, or our client is refused.

use std::time::Duration;

use authchain_core::{Cause, Scopes, Secret};
use reqwest::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::http::Answer;

/// Longer descriptions are cut; nobody reads them.
const LONGEST_WORDS: usize = 300;

/// A successful answer.
#[derive(Debug, Deserialize)]
pub(crate) struct TokenAnswer {
    pub(crate) access_token: Secret,
    token_type: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) expires_in: Option<Duration>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) refresh_token: Option<Secret>,
    #[serde(default)]
    pub(crate) scope: Option<Scopes>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) id_token: Option<Secret>,
}

/// Why there is no token.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The code or refresh token is dead for good.
    Dead { words: String },
    /// It passes.
    Unavailable { retry_after: Option<Duration>, cause: Cause, never_sent: bool },
    /// Our client, or what we sent, is refused.
    Misconfigured { cause: Cause },
}

impl Failure {
    pub(crate) fn unavailable(cause: Cause) -> Self {
        Self::Unavailable { retry_after: None, cause, never_sent: false }
    }
}

/// What an answer of the token endpoint means. `sent` are the secrets of the request: words that repeat one are not
/// kept.
pub(crate) fn read(answer: &Answer, sent: &[&Secret]) -> Result<TokenAnswer, Failure> {
    let status = answer.status;
    let away = |what: String| Failure::Unavailable {
        retry_after: answer.retry_after,
        cause: Cause::text(what),
        never_sent: false,
    };
    if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
        // Whatever word stands in such an answer: a server in trouble is not believed that a grant is dead.
        return Err(away(format!("it answers {status}")));
    }
    // Some providers report errors with 200.
    if let Some(refusal) = Refusal::read(&answer.body, sent) {
        return Err(match refusal.meaning() {
            Meaning::Dead => Failure::Dead { words: refusal.words },
            Meaning::Passing => away(refusal.words),
            Meaning::Ours => Failure::Misconfigured { cause: Cause::text(refusal.words) },
        });
    }
    if status != StatusCode::OK && status != StatusCode::CREATED {
        return Err(away(format!("it answers {status} without saying why")));
    }
    let Ok(token) = serde_json::from_slice::<TokenAnswer>(&answer.body) else {
        // The parser's own words are not repeated: they may quote the answer.
        return Err(away(format!("its answer of {} bytes is no token answer", answer.body.len())));
    };
    if token.access_token.is_empty() {
        return Err(away("its answer has an empty access token".into()));
    }
    if token.token_type.as_ref().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(Failure::Misconfigured { cause: Cause::text("it issues tokens of another type than Bearer") });
    }
    Ok(token)
}

/// A refusal: the word that programs match on, and all that was said.
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) words: String,
}

enum Meaning {
    Dead,
    Passing,
    Ours,
}

impl Refusal {
    /// The refusal in a body, if there is one.
    pub(crate) fn read(body: &[u8], sent: &[&Secret]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let said = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let code = match body.get("error")? {
            Value::String(word) if !word.is_empty() => word.as_str(),
            // The form of Google's other APIs, which a front end may answer with.
            Value::Object(object) => object.get("status").and_then(Value::as_str).unwrap_or("error"),
            _ => return None,
        };
        let words = [Some(code), said("error_subtype"), said("suberror"), said("error_description")];
        let words = words.into_iter().flatten().collect::<Vec<_>>().join(": ");
        let repeats_a_secret = sent.iter().any(|secret| !secret.is_empty() && words.contains(secret.expose()));
        let words = if repeats_a_secret { code.to_owned() } else { words };
        let clean = |text: &str| -> String {
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_WORDS).collect()
        };
        Some(Self { code: clean(code), words: clean(&words) })
    }

    fn meaning(&self) -> Meaning {
        match self.code.as_str() {
            // The second row: words of providers that have their own for the same thing.
            "invalid_grant"
            | "bad_refresh_token" | "invalid_refresh_token" | "token_revoked" | "token_expired"
            // OpenID Connect Core 1.0, section 3.1.2.6: only the person can go on.
            | "interaction_required" | "login_required" | "consent_required" => Meaning::Dead,
            "temporarily_unavailable" | "server_error" | "slow_down" | "internal_failure" | "rate_limit_exceeded"
            | "UNAVAILABLE" | "INTERNAL" | "RESOURCE_EXHAUSTED" | "DEADLINE_EXCEEDED" => Meaning::Passing,
            _ => Meaning::Ours,
        }
    }
}

/// Seconds as a number or as text, whole or not; anything else counts as not said.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let seconds = match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    // Half a century is for ever; more would not fit into a date.
    Ok(seconds.filter(|s| s.is_finite()).map(|s| Duration::from_secs_f64(s.clamp(0.0, 1.6e9))))
}

/// An empty text counts as absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<Secret>::deserialize(deserializer)?.filter(|secret| !secret.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<TokenAnswer, Failure> {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: Some(Duration::from_secs(9)),
            body: body.into(),
        };
        read(&answer, &[&Secret::new("1//hush")])
    }

    fn words(failure: Failure) -> String {
        match failure {
            Failure::Dead { words } => words,
            Failure::Unavailable { cause, .. } | Failure::Misconfigured { cause } => cause.to_string(),
        }
    }

    #[test]
    fn a_token_answer_is_read() {
        let token =
            answer(200, r#"{"access_token":"a","expires_in":3599,"token_type":"Bearer","scope":"b a"}"#).unwrap();
        assert_eq!(token.expires_in, Some(Duration::from_secs(3599)));
        assert_eq!(token.scope, Some(Scopes::from("a b")));
        assert!(token.refresh_token.is_none());
    }

    #[test]
    fn an_expiry_may_be_text_and_nonsense_counts_as_not_said() {
        for (expiry, seconds) in
            [("\"60\"", Some(60)), ("60.5", Some(60)), ("-5", Some(0)), ("null", None), ("[]", None)]
        {
            let token = answer(200, &format!(r#"{{"access_token":"a","expires_in":{expiry}}}"#)).unwrap();
            assert_eq!(token.expires_in.map(|d| d.as_secs()), seconds, "{expiry}");
        }
    }

    #[test]
    fn an_empty_refresh_token_is_none() {
        assert!(answer(200, r#"{"access_token":"a","refresh_token":""}"#).unwrap().refresh_token.is_none());
        assert!(answer(200, r#"{"access_token":"a","refresh_token":null}"#).unwrap().refresh_token.is_none());
    }

    #[test]
    fn invalid_grant_is_dead_and_keeps_its_words() {
        let body = r#"{"error":"invalid_grant","error_subtype":"invalid_rapt","error_description":"reauth\nneeded"}"#;
        let failure = answer(400, body).unwrap_err();
        assert!(matches!(failure, Failure::Dead { .. }));
        assert_eq!(words(failure), "invalid_grant: invalid_rapt: reauth needed");
        assert!(matches!(answer(200, r#"{"error":"bad_refresh_token"}"#), Err(Failure::Dead { .. })));
    }

    #[test]
    fn a_server_in_trouble_is_not_believed_that_a_grant_is_dead() {
        for status in [500, 502, 503, 504, 408, 429] {
            let failure = answer(status, r#"{"error":"invalid_grant"}"#).unwrap_err();
            assert!(
                matches!(failure, Failure::Unavailable { retry_after: Some(after), .. } if after.as_secs() == 9),
                "{status}"
            );
        }
    }

    #[test]
    fn garbage_is_an_outage_and_is_not_quoted() {
        for (status, body) in
            [(200, "<html>hush"), (200, "{}"), (403, "<html>"), (302, ""), (200, r#"{"access_token":""}"#)]
        {
            let failure = answer(status, body).unwrap_err();
            assert!(matches!(failure, Failure::Unavailable { .. }), "{status} {body}");
            assert!(!words(failure).contains("html"));
        }
    }

    #[test]
    fn a_refused_client_is_for_the_operator() {
        for word in ["invalid_client", "unauthorized_client", "deleted_client", "invalid_scope", "never_heard_of"] {
            let failure = answer(401, &format!(r#"{{"error":"{word}"}}"#)).unwrap_err();
            assert!(matches!(failure, Failure::Misconfigured { .. }), "{word}");
        }
        assert!(matches!(
            answer(200, r#"{"access_token":"a","token_type":"mac"}"#),
            Err(Failure::Misconfigured { .. })
        ));
    }

    #[test]
    fn words_that_repeat_a_secret_are_not_kept() {
        let failure = answer(400, r#"{"error":"invalid_grant","error_description":"bad token 1//hush"}"#).unwrap_err();
        assert_eq!(words(failure), "invalid_grant");
    }
}
