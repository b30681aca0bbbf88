//! How a refusal looks on the wire: status, `WWW-Authenticate` and a JSON body that says what to do.

use std::sync::{Arc, PoisonError, RwLock};

use authchain_core::{AuthError, ErrorCode, Scopes};
use authchain_jwt::Algorithm;
use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use serde::Serialize;
use url::Url;

use crate::dpop;

/// What every challenge of this resource says: where its metadata is, which scopes to ask for, where a person can sign in.
#[derive(Clone, Debug, Default)]
pub struct Challenge {
    resource_metadata: Option<Url>,
    scopes: Scopes,
    sign_in: Option<Url>,
    made: Made,
}

/// Refusals that were made before. Most have fixed words, and whoever floods a server gets the same few again and again.
#[derive(Clone, Debug, Default)]
struct Made(Arc<RwLock<Vec<(FixedWords, Parts)>>>);

/// What makes a refusal the same as another of the same challenge.
type FixedWords = (ErrorCode, &'static str);

/// What is not the same in every refusal.
#[derive(Clone, Debug)]
struct Parts {
    www_authenticate: Option<HeaderValue>,
    body: Bytes,
}

/// More fixed words than this program has.
const MOST_MADE: usize = 64;

impl Made {
    fn get_or(&self, words: FixedWords, make: impl FnOnce() -> Parts) -> Parts {
        let made = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, parts)) = made.iter().find(|(known, _)| *known == words) {
            return parts.clone();
        }
        drop(made);
        let parts = make();
        let mut made = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if made.len() < MOST_MADE && made.iter().all(|(known, _)| *known != words) {
            made.push((words, parts.clone()));
        }
        parts
    }
}

fn fixed_words(error: &AuthError) -> Option<FixedWords> {
    let words = match error {
        AuthError::MissingCredential => "",
        AuthError::InvalidRequest(why) | AuthError::InvalidToken(why) => why,
        _ => return None,
    };
    Some((error.code(), words))
}

impl Challenge {
    /// A challenge that only says `Bearer`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the protected resource metadata (RFC 9728, section 5.1), as an absolute URL.
    #[must_use]
    pub fn resource_metadata(mut self, url: Url) -> Self {
        self.resource_metadata = Some(url);
        self.made = Made::default();
        self
    }

    /// Names the scopes that a client should ask for at first (RFC 6750, section 3).
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self.made = Made::default();
        self
    }

    /// Names a page where a person can sign in without an OAuth client; it goes into the body.
    #[must_use]
    pub fn sign_in(mut self, url: Url) -> Self {
        self.sign_in = Some(url);
        self.made = Made::default();
        self
    }

    /// The response to a request that `error` ended.
    pub fn response(&self, error: &AuthError) -> Response<Full<Bytes>> {
        self.response_with(error, None)
    }

    /// As [`Challenge::response`], with the page where a person can mend this very error.
    pub fn response_with(&self, error: &AuthError, page: Option<&Url>) -> Response<Full<Bytes>> {
        let code = error.code();
        let Parts { www_authenticate, body } = match fixed_words(error) {
            Some(words) if page.is_none() => self.made.get_or(words, || self.parts(error, None)),
            _ => self.parts(error, page),
        };
        let mut response = Response::new(Full::from(body));
        // Every status of the table is a valid one.
        *response.status_mut() = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = error.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if let AuthError::UseDpopNonce { nonce } = error
            && let Ok(nonce) = HeaderValue::try_from(nonce)
        {
            headers.insert(dpop::NONCE, nonce);
        }
        if let Some(value) = www_authenticate {
            headers.insert(WWW_AUTHENTICATE, value);
        }
        response
    }

    fn parts(&self, error: &AuthError, page: Option<&Url>) -> Parts {
        let challenges = matches!(error.code().http_status(), 400 | 401 | 403);
        let www_authenticate = challenges.then(|| HeaderValue::try_from(self.www_authenticate(error)).ok()).flatten();
        Parts { www_authenticate, body: self.body(error, page) }
    }

    /// RFC 6750, section 3, with the parameter of RFC 9728, section 5.1. `error` is sent only when something was
    /// presented (RFC 6750, section 3.1).
    fn www_authenticate(&self, error: &AuthError) -> String {
        let mut parameters = Vec::with_capacity(4);
        let word = error.code().oauth_error();
        if !word.is_empty() {
            parameters.push(format!("error=\"{word}\""));
            parameters.push(format!("error_description=\"{}\"", quotable(&error.to_string())));
        }
        if let Some(url) = &self.resource_metadata {
            parameters.push(format!("resource_metadata=\"{url}\""));
        }
        // A step-up names all that is needed and all that is there already: clients ask for exactly what it says.
        let scopes = match error {
            AuthError::InsufficientScope { needed, granted } => needed.union(granted),
            _ => self.scopes.clone(),
        };
        if !scopes.is_empty() {
            parameters.push(format!("scope=\"{}\"", quotable(&scopes.to_string())));
        }
        let scheme = match error {
            AuthError::InvalidDpopProof(_) | AuthError::UseDpopNonce { .. } => {
                let names: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.as_str()).collect();
                parameters.push(format!("algs=\"{}\"", names.join(" ")));
                "DPoP"
            }
            _ => "Bearer",
        };
        if parameters.is_empty() { scheme.into() } else { format!("{scheme} {}", parameters.join(", ")) }
    }

    fn body(&self, error: &AuthError, page: Option<&Url>) -> Bytes {
        let code = error.code();
        let word = if code.oauth_error().is_empty() { code.as_str() } else { code.oauth_error() };
        // Only who is not signed in is told where to sign in.
        let signed_out = code.http_status() == 401;
        let body = Refusal {
            error: word,
            error_description: error.to_string(),
            code: code.as_str(),
            what_to_do: code.what_to_do(),
            sign_in_url: page.or(self.sign_in.as_ref().filter(|_| signed_out)),
            resource_metadata: self.resource_metadata.as_ref().filter(|_| signed_out),
        };
        serde_json::to_vec(&body).unwrap_or_default().into()
    }
}

/// The body of a refusal.
#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
    error_description: String,
    code: &'a str,
    what_to_do: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in_url: Option<&'a Url>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_metadata: Option<&'a Url>,
}

/// RFC 6750, section 3: the characters of an `error_description` or a scope: no quotes, no backslashes, nothing but ASCII.
fn quotable(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') && c != '"' && c != '\\' { c } else { '\'' }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use authchain_core::Cause;

    use super::*;

    fn challenge() -> Challenge {
        Challenge::new()
            .resource_metadata("https://mcp.example.com/.well-known/oauth-protected-resource/mcp".parse().unwrap())
            .scopes("a b".into())
            .sign_in("https://mcp.example.com/auth".parse().unwrap())
    }

    fn header(error: &AuthError) -> String {
        challenge().response(error).headers()[WWW_AUTHENTICATE].to_str().unwrap().into()
    }

    #[test]
    fn n02_without_a_credential_the_challenge_carries_no_error() {
        assert_eq!(
            header(&AuthError::MissingCredential),
            "Bearer resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", scope=\"a b\""
        );
    }

    #[test]
    fn n02_with_a_bad_token_it_says_invalid_token() {
        let value = header(&AuthError::InvalidToken("expired"));
        assert!(
            value.starts_with("Bearer error=\"invalid_token\", error_description=\"the token is not valid: expired\"")
        );
    }

    #[test]
    fn n17_m5_a_step_up_names_all_that_is_needed_and_all_that_is_there() {
        let error = AuthError::InsufficientScope { needed: "c".into(), granted: "a".into() };
        assert_eq!(challenge().response(&error).status(), 403);
        assert!(header(&error).contains("scope=\"a c\""));
    }

    #[test]
    fn n02_a_refusal_that_is_made_again_is_the_same_and_follows_what_the_challenge_says_since() {
        let body = |challenge: &Challenge, error: &AuthError| {
            let response = challenge.response(error);
            let value = response.headers()[WWW_AUTHENTICATE].to_str().unwrap().to_owned();
            (value, format!("{:?}", response.into_body()))
        };
        let before = challenge();
        let (expired, forged) = (AuthError::InvalidToken("expired"), AuthError::InvalidToken("forged"));
        assert_eq!(body(&before, &expired), body(&before, &expired));
        assert_ne!(body(&before, &expired), body(&before, &forged));
        assert_ne!(body(&before, &expired), body(&before, &AuthError::InvalidRequest("expired")));
        let after = before.clone().scopes("c".into());
        assert!(
            body(&after, &expired).0.contains("scope=\"c\"") && body(&before, &expired).0.contains("scope=\"a b\"")
        );
    }

    #[test]
    fn an_outage_says_when_to_come_back_and_does_not_ask_for_a_sign_in() {
        let error =
            AuthError::UpstreamUnavailable { retry_after: Duration::from_secs(7), cause: Cause::text("timeout") };
        let response = challenge().response(&error);
        assert_eq!((response.status().as_u16(), response.headers()[RETRY_AFTER].to_str().unwrap()), (503, "7"));
        assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
    }

    #[test]
    fn nothing_that_came_from_outside_breaks_out_of_the_quotes() {
        let error = AuthError::InsufficientScope { needed: "x\"y\\z\u{e9}".into(), granted: Scopes::none() };
        assert!(header(&error).contains("scope=\"x'y'z'\""));
    }
}
