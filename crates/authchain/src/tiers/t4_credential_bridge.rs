//! Tier 4, credential bridge: from a caller to the stored credentials that the caller owns. By itself it identifies
//! nobody but the one trusted local user, where the configuration names one.

use std::sync::Arc;

use async_trait::async_trait;
use authchain_core::{
    AuthError, AuthRequest, CredentialKey, Email, Look, Presented, Principal, ProviderId, Resolver, Scopes, Tier,
    Timestamp, UserId,
};
use tracing::warn;

use crate::accounts::{Accounts, primary_only};

/// The person whom a request without any credential is taken for. Only for a server that nobody else can reach.
#[derive(Clone, Debug)]
pub struct LocalUser {
    /// Whose account it is.
    pub email: Email,
    /// The provider that the account is at.
    pub provider: ProviderId,
    /// What such requests may do.
    pub scopes: Scopes,
}

/// Which stored credentials a caller may use.
#[derive(Clone, Default)]
pub struct CredentialBridge {
    local: Option<Arc<Principal>>,
    accounts: Option<Arc<Accounts>>,
}

impl CredentialBridge {
    /// Callers use the account that they signed in with; nobody is taken for anyone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes every request without a credential for one person. This weakens the server: whoever reaches it *is* that
    /// person. The caller makes sure that it listens on a loopback address only.
    #[must_use]
    pub fn trusting_local_user(user: LocalUser) -> Self {
        warn!(user = %user.email, "requests without a credential are taken for this person");
        let principal = Principal {
            user: UserId::from(&user.email),
            email: Some(user.email),
            provider: user.provider,
            tier: Tier::CredentialBridge,
            scopes: user.scopes,
            client: None,
            grant: None,
            expires_at: Timestamp::NEVER,
        };
        Self { local: Some(Arc::new(principal)), accounts: None }
    }

    /// Lets callers use the accounts that they linked to themselves as well.
    #[must_use]
    pub fn with_accounts(self, accounts: Arc<Accounts>) -> Self {
        Self { accounts: Some(accounts), ..self }
    }

    /// The credential of the account that a tool asks for: nothing, `me` or `myself` select the active account, which is
    /// the primary one unless the person switched; an address selects that account.
    ///
    /// # Errors
    /// [`AuthError::NotYourAccount`] for any other: it is refused, never quietly replaced by one that is at hand.
    /// [`AuthError::Store`] when the caller's accounts cannot be looked up.
    pub async fn select(&self, principal: &Principal, requested: Option<&str>) -> Result<CredentialKey, AuthError> {
        let account = match &self.accounts {
            Some(accounts) => accounts.select(principal, requested).await?,
            None => primary_only(principal, requested)?,
        };
        Ok(account.key())
    }
}

#[async_trait]
impl Resolver for CredentialBridge {
    fn tier(&self) -> Tier {
        Tier::CredentialBridge
    }

    fn look(&self, request: &AuthRequest<'_>) -> Look {
        // A credential that no earlier tier knew is a bad one: it never becomes the local user.
        match (request.presented, &self.local) {
            (Presented::Nothing, Some(local)) => Look::Known(local.clone()),
            _ => Look::Absent,
        }
    }

    async fn resolve(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError> {
        match self.look(request) {
            Look::Known(principal) => Ok(Some(principal)),
            _ => Ok(None),
        }
    }
}
