//! gcloud's application default credentials: one person's refresh token, used for that person only.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use authchain_core::{AccessToken, AuthError, CredentialKey, Email, ScopeRules, Scopes, Secret, SignIn, TokenSource};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{
    AuthorizedUser, Upstream,
    flights::Flights,
    grant::{Failure, Granted, refused},
    only,
};
use crate::registry;

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// Access tokens of the one person who signed in with `gcloud auth application-default login`.
pub struct GcloudCredentials {
    shared: Arc<Shared>,
    flights: Flights<()>,
}

struct Shared {
    user: AuthorizedUser,
    account: Email,
    token_uri: String,
    upstream: Upstream,
}

impl GcloudCredentials {
    /// A source for `account`, whose credential it has to be: if Google says that it is somebody else's, it is refused.
    pub fn new(user: AuthorizedUser, account: Email, upstream: Upstream) -> Self {
        let token_uri = match &user.token_uri {
            Some(uri) => uri.to_string(),
            None => upstream.endpoints.locate(TOKEN_URI),
        };
        let flights = Flights::new(upstream.clock.clone());
        Self { shared: Arc::new(Shared { user, account, token_uri, upstream }), flights }
    }
}

impl fmt::Debug for GcloudCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcloudCredentials").field("account", &self.shared.account).finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenSource for GcloudCredentials {
    async fn access_token(&self, key: &CredentialKey, scopes: &Scopes) -> Result<AccessToken, AuthError> {
        only(&self.shared.account, key)?;
        let (shared, asked) = (self.shared.clone(), key.clone());
        let token = self.flights.get((), move || async move { shared.refresh(&asked).await }).await?;
        if registry().missing(scopes, &token.scopes).is_empty() {
            return Ok(token);
        }
        Err(AuthError::InsufficientScope { needed: scopes.clone(), granted: token.scopes })
    }
}

impl Shared {
    async fn refresh(&self, key: &CredentialKey) -> Result<AccessToken, AuthError> {
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", self.user.refresh_token.expose()),
            ("client_id", self.user.client.id.as_str()),
        ];
        if let Some(secret) = &self.user.client.secret {
            form.push(("client_secret", secret.expose()));
        }
        let sign_in = |why| AuthError::SignInNeeded { key: key.clone(), why };
        let granted = match self.upstream.post::<Granted>(&self.token_uri, &form).await {
            Ok(granted) => granted,
            Err(Failure::Refused(refusal)) if refusal.error == "invalid_grant" => {
                return Err(sign_in(SignIn::Refused(refusal.words())));
            }
            Err(Failure::Refused(refusal)) => return Err(refused(refusal.words())),
            Err(Failure::Other(error)) => return Err(error),
        };
        match granted.id_token.as_ref().and_then(email_of) {
            Some(got) if got != self.account => {
                Err(sign_in(SignIn::WrongAccount { expected: self.account.clone(), got }))
            }
            _ => {
                let token = granted.token(&Scopes::none(), &*self.upstream.clock);
                Ok(token.counted_for(self.user.quota_project.clone()))
            }
        }
    }
}

/// Whose an id token is. It came from the token endpoint itself, so its signature need not be looked at (OpenID Connect
/// Core 1.0, section 3.1.3.7, item 6).
fn email_of(id_token: &Secret) -> Option<Email> {
    #[derive(Deserialize)]
    struct Claims {
        email: String,
    }
    let payload = id_token.expose().split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Email::new(&claims.email).ok()
}
