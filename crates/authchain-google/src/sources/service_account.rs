//! A service account with domain-wide delegation: it acts as a person of its organisation without that person signing in
//! (RFC 7523, section 2.1: an assertion as an authorization grant).

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use authchain_core::{
    AccessToken, AuthError, Cause, CredentialKey, Email, ProviderId, ScopeRules, Scopes, SignIn, Timestamp, TokenSource,
};
use aws_lc_rs::{rand::SystemRandom, signature::RSA_PKCS1_SHA256};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::{
    ServiceAccountKey, Upstream,
    flights::Flights,
    grant::{Failure, Granted, Refusal, refused},
};
use crate::registry;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest that Google accepts.
const ASSERTION_LIFE: i64 = 3600;

/// What a service account may do in the name of others.
#[derive(Clone, Debug)]
pub struct Delegation {
    /// The domains whose people it may act for. None at all allows nobody.
    pub domains: Vec<String>,
    /// What is asked for when a tool names no scopes: a delegated token has to be asked for something.
    pub usual_scopes: Scopes,
}

/// Access tokens of a service account that acts as the account which it is asked for, and as nobody else. Whether a caller
/// may use that account is decided before.
///
/// Tokens are kept per account and scope set; of many who ask at once, one request is sent.
pub struct DelegatedServiceAccount {
    shared: Arc<Shared>,
    flights: Flights<(Email, Scopes)>,
    domains: Vec<String>,
    usual_scopes: Scopes,
}

struct Shared {
    key: ServiceAccountKey,
    upstream: Upstream,
}

impl DelegatedServiceAccount {
    /// A source over a key.
    pub fn new(key: ServiceAccountKey, delegation: Delegation, upstream: Upstream) -> Self {
        Self {
            flights: Flights::new(upstream.clock.clone()),
            shared: Arc::new(Shared { key, upstream }),
            domains: delegation.domains.iter().map(|domain| domain.to_lowercase()).collect(),
            usual_scopes: delegation.usual_scopes,
        }
    }

    /// Whom it is asked to act for: a whole address in one of the domains.
    fn subject(&self, key: &CredentialKey) -> Result<Email, AuthError> {
        let email = Email::new(key.user.as_str()).ok().filter(|_| key.provider == ProviderId::google());
        let email = email.ok_or_else(|| AuthError::NotYourAccount(key.user.to_string()))?;
        let allowed =
            email.as_str().rsplit_once('@').is_some_and(|(_, domain)| self.domains.iter().any(|d| d == domain));
        if allowed {
            Ok(email)
        } else {
            Err(AuthError::NotYourAccount(format!("{email}, outside the allowed domains,")))
        }
    }
}

impl fmt::Debug for DelegatedServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelegatedServiceAccount")
            .field("key", &self.shared.key)
            .field("domains", &self.domains)
            .finish()
    }
}

#[async_trait]
impl TokenSource for DelegatedServiceAccount {
    async fn access_token(&self, key: &CredentialKey, scopes: &Scopes) -> Result<AccessToken, AuthError> {
        let subject = self.subject(key)?;
        let asked = if scopes.is_empty() { &self.usual_scopes } else { scopes };
        let asked = registry().canonical(asked);
        let (shared, for_flight) = (self.shared.clone(), (subject.clone(), key.clone(), asked.clone()));
        let token = self
            .flights
            .get((subject, asked.clone()), move || async move {
                let (subject, key, asked) = for_flight;
                shared.fetch(&subject, &key, &asked).await
            })
            .await?;
        if registry().missing(&asked, &token.scopes).is_empty() {
            return Ok(token);
        }
        Err(AuthError::InsufficientScope { needed: asked, granted: token.scopes })
    }
}

impl Shared {
    async fn fetch(&self, subject: &Email, key: &CredentialKey, asked: &Scopes) -> Result<AccessToken, AuthError> {
        let assertion = self.assertion(subject, asked, self.upstream.clock.now())?;
        let form = [("grant_type", GRANT_TYPE), ("assertion", assertion.as_str())];
        match self.upstream.post::<Granted>(self.key.token_uri.as_str(), &form).await {
            Ok(granted) => Ok(granted.token(asked, &*self.upstream.clock).counted_for(self.key.quota_project.clone())),
            Err(Failure::Refused(refusal)) => Err(self.explain(&refusal, key, asked)),
            Err(Failure::Other(error)) => Err(error),
        }
    }

    /// A JWT that says: I am the service account, and I ask in this person's name (RFC 7523, section 3).
    fn assertion(&self, subject: &Email, scopes: &Scopes, now: Timestamp) -> Result<String, AuthError> {
        let header = match &self.key.key_id {
            Some(kid) => json!({ "alg": "RS256", "typ": "JWT", "kid": kid }),
            None => json!({ "alg": "RS256", "typ": "JWT" }),
        };
        let claims = json!({
            "iss": self.key.client_email,
            "sub": subject.as_str(),
            "scope": scopes.to_string(),
            "aud": self.key.token_uri.as_str(),
            "iat": now.0,
            "exp": now.0 + ASSERTION_LIFE,
        });
        let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.signer.public_modulus_len()];
        self.key
            .signer
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| AuthError::Configuration("the service account's key cannot sign".into()))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Google's refusals by who can do something about them: the person, an administrator, or whoever set this up.
    fn explain(&self, refusal: &Refusal, key: &CredentialKey, asked: &Scopes) -> AuthError {
        let (words, about) = (refusal.words(), refusal.error_description.as_deref().unwrap_or_default());
        match refusal.error.as_str() {
            // The assertion itself is wrong: another key, or a clock that is off.
            "invalid_grant" if about.contains("JWT") => refused(words),
            "invalid_grant" => AuthError::SignInNeeded { key: key.clone(), why: SignIn::Refused(words) },
            "unauthorized_client" | "access_denied" => {
                let id = self.key.client_id.as_deref().unwrap_or(&self.key.client_email);
                refused(format!(
                    "{words}. An administrator has to allow the client id {id} domain-wide delegation, in the Admin \
                     console under Security, API controls, for: {asked}"
                ))
            }
            "internal_failure" | "temporarily_unavailable" => AuthError::UpstreamUnavailable {
                retry_after: self
                    .upstream
                    .retry
                    .pause(self.upstream.retry.attempts)
                    .max(std::time::Duration::from_secs(1)),
                cause: Cause::text(words),
            },
            _ => refused(words),
        }
    }
}
