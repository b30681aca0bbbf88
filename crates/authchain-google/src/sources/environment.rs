//! An access token that somebody put into the environment: one person's, for an hour at most. Google is asked once what it
//! allows, whose it is and when it ends.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use authchain_core::{AccessToken, AuthError, CredentialKey, Email, ScopeRules, Scopes, Secret, SignIn, TokenSource};
use serde::Deserialize;

use super::{Upstream, flights::Flights, grant::Failure, only};
use crate::registry;

const TOKENINFO: &str = "https://oauth2.googleapis.com/tokeninfo";

/// The access token that the program was started with.
pub struct AccessTokenFromEnvironment {
    shared: Arc<Shared>,
    flights: Flights<()>,
}

struct Shared {
    token: Secret,
    account: Email,
    upstream: Upstream,
}

/// Google's description of an access token. Its numbers are texts.
#[derive(Deserialize)]
struct TokenInfo {
    #[serde(default)]
    scope: String,
    expires_in: Option<NumberOrText>,
    email: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl AccessTokenFromEnvironment {
    /// A source for `account`, whose token it has to be: if Google says that it is somebody else's, it is refused.
    pub fn new(token: Secret, account: Email, upstream: Upstream) -> Self {
        let flights = Flights::without_renewal(upstream.clock.clone());
        Self { shared: Arc::new(Shared { token, account, upstream }), flights }
    }
}

impl fmt::Debug for AccessTokenFromEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenFromEnvironment").field("account", &self.shared.account).finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenSource for AccessTokenFromEnvironment {
    async fn access_token(&self, key: &CredentialKey, scopes: &Scopes) -> Result<AccessToken, AuthError> {
        only(&self.shared.account, key)?;
        let (shared, asked) = (self.shared.clone(), key.clone());
        let token = self.flights.get((), move || async move { shared.describe(&asked).await }).await?;
        if registry().missing(scopes, &token.scopes).is_empty() {
            return Ok(token);
        }
        Err(AuthError::InsufficientScope { needed: scopes.clone(), granted: token.scopes })
    }
}

impl Shared {
    async fn describe(&self, key: &CredentialKey) -> Result<AccessToken, AuthError> {
        let url = self.upstream.endpoints.locate(TOKENINFO);
        let sign_in = |why| AuthError::SignInNeeded { key: key.clone(), why };
        // In the form and not in the URL, which ends up in logs.
        let info: TokenInfo = match self.upstream.post(&url, &[("access_token", self.token.expose())]).await {
            Ok(info) => info,
            // The one thing that can be wrong with it: it has ended, and nothing can renew it.
            Err(Failure::Refused(_)) => return Err(sign_in(SignIn::NoRefreshToken)),
            Err(Failure::Other(error)) => return Err(error),
        };
        if let Some(got) = info.email.as_deref().and_then(|email| Email::new(email).ok())
            && got != self.account
        {
            return Err(sign_in(SignIn::WrongAccount { expected: self.account.clone(), got }));
        }
        let life = match info.expires_in {
            Some(NumberOrText::Number(seconds)) => seconds,
            Some(NumberOrText::Text(text)) => text.parse().unwrap_or(0),
            None => 0,
        };
        let expires_at = self.upstream.clock.now() + Duration::from_secs(life);
        Ok(AccessToken::new(self.token.clone(), expires_at, Scopes::from(info.scope.as_str())))
    }
}
