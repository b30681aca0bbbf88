//! "A usable access token for this credential, now."

use std::sync::Arc;

use async_trait::async_trait;

use crate::{AuthError, CredentialKey, Scopes, Secret, Timestamp};

/// A provider's access token that is valid now. Cloning copies no secret.
#[derive(Clone, Debug)]
pub struct AccessToken {
    secret: Arc<Secret>,
    /// When it expires.
    pub expires_at: Timestamp,
    /// What it was granted for.
    pub scopes: Scopes,
    quota_project: Option<Arc<str>>,
}

impl AccessToken {
    /// Puts a token together.
    pub fn new(secret: Secret, expires_at: Timestamp, scopes: Scopes) -> Self {
        Self { secret: Arc::new(secret), expires_at, scopes, quota_project: None }
    }

    /// The same, for calls that count for a project which is not the one that the token was granted to.
    #[must_use]
    pub fn counted_for(self, quota_project: Option<Arc<str>>) -> Self {
        Self { quota_project, ..self }
    }

    /// The project that calls count for, where it is another one: Google's `x-goog-user-project`.
    pub fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }

    /// The token, to be sent to the provider and nobody else.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// Where access tokens come from: a local store with refresh, a remote gateway, a service account. Tools see only this.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A token of `key`'s account that covers `scopes` and is valid now; refreshed first where needed, once however many
    /// ask.
    ///
    /// # Errors
    /// [`AuthError::SignInNeeded`] when there is no credential or the provider refused it for good,
    /// [`AuthError::InsufficientScope`] when it was not granted for `scopes`, [`AuthError::UpstreamUnavailable`] when the
    /// provider does not answer, [`AuthError::Store`] when the store does not.
    async fn access_token(&self, key: &CredentialKey, scopes: &Scopes) -> Result<AccessToken, AuthError>;

    /// The provider's API did not take this token although its time is not over: it was revoked, or expired early. It is
    /// not handed out again, and the next who asks gets a fresh one. A source that makes no tokens has nothing to do.
    fn reject(&self, _key: &CredentialKey, _token: &AccessToken) {}
}
