//! The bridge between hubs and the [`TokenSource`]: a hub asks it for a token at every call.

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc};

use authchain_core::{AccessToken, AuthError, CredentialKey, Scopes, TokenSource};
use google_apis_common::GetToken;

/// Gives a hub a token that is valid now. It demands the scopes that the hub was made for and ignores those that the hub
/// passes: generated hubs pass the widest scope that a method accepts, which nobody needs to have granted.
#[derive(Clone)]
pub struct TokenBridge {
    tokens: Arc<dyn TokenSource>,
    key: Arc<CredentialKey>,
    scopes: Scopes,
}

impl TokenBridge {
    /// A bridge to one account's credential.
    pub fn new(tokens: Arc<dyn TokenSource>, key: CredentialKey, scopes: Scopes) -> Self {
        Self { tokens, key: Arc::new(key), scopes }
    }

    /// A token that is valid now.
    ///
    /// # Errors
    /// Those of [`TokenSource::access_token`].
    pub async fn token(&self) -> Result<AccessToken, AuthError> {
        self.tokens.access_token(&self.key, &self.scopes).await
    }

    /// Whose credential it is.
    pub fn key(&self) -> &CredentialKey {
        &self.key
    }

    /// The scopes that each token has to cover.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }
}

impl fmt::Debug for TokenBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBridge").field("key", &self.key).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Option<String>, Box<dyn Error + Send + Sync>>> + Send + 'a>>;

impl GetToken for TokenBridge {
    /// The error, if any, is an [`AuthError`](authchain_core::AuthError) in a box: [`crate::explain`] finds it again.
    fn get_token<'a>(&'a self, _scopes: &'a [&str]) -> Answer<'a> {
        Box::pin(async move {
            let token = self.token().await?;
            Ok(Some(token.secret().expose().to_owned()))
        })
    }
}
