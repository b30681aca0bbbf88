//! Speaking to one provider: the code exchange and a refresh. (Revocation is next door.)

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use authchain_core::{
    AuthError, Cause, Clock, Credential, CredentialStatus, Email, OAuthClient, Scopes, Secret, Timestamp,
};
use authchain_jwt::{Verified, Verifier};
use reqwest::RequestBuilder;
use serde_json::Value;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use crate::{
    AuthorizationRequest, ClientAuth, Provider, RefreshError, RetryPolicy,
    answer::{self, Failure, TokenAnswer},
    http, id_token,
};

/// After how long to try again where the provider did not say.
const PAUSE: Duration = Duration::from_secs(5);

/// Who signed in, and what was granted.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// What was granted; without a refresh token when the provider sent none.
    pub credential: Credential,
    /// The verified address of the person.
    pub email: Email,
    /// The provider's unchanging id of the account (`sub`).
    pub subject: String,
}

/// Speaks to one provider. Share it in an `Arc`.
pub struct ProviderClient {
    provider: Provider,
    pub(crate) http: reqwest::Client,
    clock: Arc<dyn Clock>,
    retry: RetryPolicy,
    verifier: Verifier,
}

impl ProviderClient {
    /// A client over the shared HTTP client ([`crate::http_client`]), with the default [`RetryPolicy`].
    pub fn new(provider: Provider, http: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        let verifier = id_token::verifier(&provider, &http, &clock);
        Self { provider, http, clock, retry: RetryPolicy::default(), verifier }
    }

    /// The same with another way of trying again.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// The provider that it speaks to.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The address that a person's browser is sent to. It carries `state`, so it is shown to that person only.
    pub fn authorization_url(&self, request: &AuthorizationRequest) -> Url {
        self.provider.authorization_url(request)
    }

    /// Turns the code of a finished sign-in into a credential (RFC 6749, section 4.1.3), and says who signed in.
    /// `asked` are the scopes of the authorization request: they were granted when the answer names none (section 5.1).
    ///
    /// # Errors
    /// [`AuthError::UpstreamUnavailable`] when there is no answer, [`AuthError::CodeRefused`] when the provider refuses
    /// the code, [`AuthError::UpstreamRefused`] when it refuses our client or does not say who signed in, [`AuthError::InvalidToken`] when the id token is
    /// forged, meant for another client, or of another sign-in.
    pub async fn exchange(
        &self,
        code: &Secret,
        verifier: &Secret,
        redirect_uri: &str,
        nonce: &str,
        asked: &Scopes,
    ) -> Result<SignedIn, AuthError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("code_verifier", verifier.expose()),
            ("redirect_uri", redirect_uri),
        ];
        let client = &self.provider.client;
        // A code is good for one use: only a request that never left is sent again.
        let never_sent = |failure: &Failure| matches!(failure, Failure::Unavailable { never_sent: true, .. });
        let secrets = [code, verifier];
        let attempt = || self.token(client, &form, &secrets);
        let answer = self.persist(attempt, never_sent).await.map_err(|failure| match failure {
            Failure::Unavailable { retry_after, cause, .. } => {
                AuthError::UpstreamUnavailable { retry_after: retry_after.unwrap_or(PAUSE), cause }
            }
            Failure::Misconfigured { cause } => AuthError::UpstreamRefused { cause },
            Failure::Dead { words } => AuthError::CodeRefused { words },
        })?;
        let now = self.clock.now();
        let Some(id_token) = &answer.id_token else {
            return Err(AuthError::UpstreamRefused { cause: Cause::text("the answer does not say who signed in") });
        };
        let verified = id_token::verify(&self.verifier, &self.provider, &*self.clock, id_token, nonce).await?;
        let email = match verified.email.clone() {
            Some(email) => email,
            None => self.ask_for_email(&answer.access_token, &verified).await?,
        };
        let credential = Credential {
            email: Some(email.clone()),
            subject: Some(verified.subject.clone()),
            expires_at: Some(self.expiry(&answer, now)),
            access_token: Some(answer.access_token),
            refresh_token: answer.refresh_token,
            scopes: answer.scope.unwrap_or_else(|| asked.union(&self.provider.identity_scopes)),
            token_uri: self.provider.token_url.to_string(),
            client: client.clone(),
            status: CredentialStatus::Active,
            granted_at: now,
            extra: serde_json::Map::new(),
        };
        Ok(SignedIn { credential, email, subject: verified.subject })
    }

    /// A new access token (RFC 6749, section 6). What comes back is the whole credential: the old refresh token stays
    /// where none came, the scopes stay where none are named. Requests that are not answered are sent again within the
    /// [`RetryPolicy`].
    ///
    /// It always goes to this provider's token endpoint, whatever address is stored: a secret is not sent where a file
    /// says.
    ///
    /// # Errors
    /// [`RefreshError`]; only [`RefreshError::Refused`] says that the credential is dead.
    pub async fn refresh(&self, credential: &Credential) -> Result<Credential, RefreshError> {
        let Some(refresh_token) = &credential.refresh_token else {
            return Err(RefreshError::NoRefreshToken);
        };
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let client = self.client_of(credential);
        let secrets = [refresh_token];
        let attempt = || self.token(client, &form, &secrets);
        let passes = |failure: &Failure| matches!(failure, Failure::Unavailable { .. });
        let answer = self.persist(attempt, passes).await.map_err(|failure| match failure {
            Failure::Dead { words } => RefreshError::Refused { words },
            Failure::Unavailable { retry_after, cause, .. } => RefreshError::Unavailable { retry_after, cause },
            Failure::Misconfigured { cause } => RefreshError::Misconfigured { cause },
        })?;
        let now = self.clock.now();
        if let Some(id_token) = &answer.id_token {
            id_token::same_account(id_token, credential)?;
        }
        Ok(Credential {
            expires_at: Some(self.expiry(&answer, now)),
            access_token: Some(answer.access_token),
            refresh_token: answer.refresh_token.or_else(|| Some(refresh_token.clone())),
            scopes: answer.scope.unwrap_or_else(|| credential.scopes.clone()),
            status: CredentialStatus::Active,
            ..credential.clone()
        })
    }

    /// The address from the userinfo endpoint, for providers that keep it out of the id token
    /// (OpenID Connect Core 1.0, section 5.3).
    async fn ask_for_email(&self, access_token: &Secret, verified: &Verified) -> Result<Email, AuthError> {
        let nobody = |what| AuthError::UpstreamRefused { cause: Cause::text(what) };
        // An address that the id token names and calls unverified is not looked for elsewhere.
        let (Some(url), false) = (&self.provider.userinfo_url, verified.claims.contains_key("email")) else {
            return Err(nobody("the provider does not vouch for the address of the person who signed in"));
        };
        let answer = self.send(self.http.get(url.clone()).bearer_auth(access_token.expose())).await;
        let answer = answer.map_err(|failure| match failure {
            Failure::Unavailable { retry_after, cause, .. } => {
                AuthError::UpstreamUnavailable { retry_after: retry_after.unwrap_or(PAUSE), cause }
            }
            Failure::Misconfigured { cause } => AuthError::UpstreamRefused { cause },
            Failure::Dead { .. } => nobody("the provider does not say who signed in"),
        })?;
        let claims: BTreeMap<String, Value> =
            serde_json::from_slice(&answer.body).map_err(|_| nobody("the provider does not say who signed in"))?;
        let claim = |name: &str| claims.get(name).and_then(Value::as_str);
        // Section 5.3.2: an answer about somebody else must not be used.
        if claim("sub") != Some(verified.subject.as_str()) {
            return Err(nobody("the provider's userinfo is about another account than its id token"));
        }
        let vouched = match claims.get("email_verified") {
            Some(Value::Bool(yes)) => *yes,
            Some(Value::String(text)) => text == "true",
            Some(_) => false,
            None => !self.provider.email_must_be_verified,
        };
        claim("email")
            .filter(|_| vouched)
            .and_then(|email| Email::new(email).ok())
            .ok_or_else(|| nobody("the provider does not vouch for the address of the person who signed in"))
    }

    /// The client to refresh or revoke with: the one that the credential was granted to. Where that is our present one,
    /// its present secret is used, so that a new secret heals old credentials.
    pub(crate) fn client_of<'a>(&'a self, credential: &'a Credential) -> &'a OAuthClient {
        if credential.client.id == self.provider.client.id { &self.provider.client } else { &credential.client }
    }

    /// When the access token of an answer that came at `now` expires.
    fn expiry(&self, answer: &TokenAnswer, now: Timestamp) -> Timestamp {
        answer.expires_in.or(self.provider.life_when_untold).map_or(Timestamp::NEVER, |life| now + life)
    }

    /// One request to the token endpoint.
    async fn token(
        &self,
        client: &OAuthClient,
        form: &[(&str, &str)],
        secrets: &[&Secret],
    ) -> Result<TokenAnswer, Failure> {
        let answer = self.send(self.authenticated(&self.provider.token_url, client, form)).await?;
        let secrets: Vec<&Secret> = secrets.iter().copied().chain(&client.secret).collect();
        answer::read(&answer, &secrets)
    }

    /// A form with the client's proof (RFC 6749, section 2.3.1).
    pub(crate) fn authenticated(&self, url: &Url, client: &OAuthClient, form: &[(&str, &str)]) -> RequestBuilder {
        let mut form = form.to_vec();
        let request = self.http.post(url.clone());
        let request = match (self.provider.client_auth, &client.secret) {
            (ClientAuth::Basic, Some(secret)) => {
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                request.basic_auth(encoded(&client.id), Some(encoded(secret.expose())))
            }
            (_, secret) => {
                form.push(("client_id", &client.id));
                form.extend(secret.as_ref().map(|secret| ("client_secret", secret.expose())));
                request
            }
        };
        request.form(&form)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<http::Answer, Failure> {
        let request = request.header(reqwest::header::ACCEPT, "application/json");
        http::send(request, &*self.clock).await.map_err(|unanswered| Failure::Unavailable {
            retry_after: None,
            cause: unanswered.cause,
            never_sent: unanswered.never_sent,
        })
    }

    /// Tries until it works, fails in a way that is not worth another attempt, or the policy says stop.
    pub(crate) async fn persist<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        attempt: impl Fn() -> F,
        again: impl Fn(&Failure) -> bool,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let mut failures = 0;
        loop {
            let left = self.retry.deadline.saturating_sub(started.elapsed());
            let failure = match tokio::time::timeout(left, attempt()).await {
                Ok(Err(failure)) if again(&failure) => failure,
                Ok(done) => return done,
                Err(_) => return Err(Failure::unavailable(Cause::text("it does not answer in time"))),
            };
            failures += 1;
            let asked_for = match &failure {
                Failure::Unavailable { retry_after, .. } => retry_after.unwrap_or_default(),
                _ => Duration::ZERO,
            };
            let pause = self.retry.pause(failures).max(asked_for);
            if failures >= self.retry.attempts || started.elapsed() + pause >= self.retry.deadline {
                return Err(failure);
            }
            tracing::debug!(provider = %self.provider.id, failures, ?pause, ?failure, "no answer, trying again");
            tokio::time::sleep(pause).await;
        }
    }
}
