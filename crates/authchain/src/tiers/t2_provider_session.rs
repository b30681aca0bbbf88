//! Tier 2, provider session: a token that our own authorization server issued. It stands for a grant, and the account that
//! signed in for that grant is the caller's primary account.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use authchain_core::{AuthError, AuthRequest, Clock, CredentialKey, Look, Principal, Resolver, SignIn, Tier};
use authchain_jwt::{VerifiedCache, Verifier};
use authchain_provider::CredentialManager;

use crate::grants::Grants;

const REMEMBERED: usize = 50_000;
/// Another instance may end a grant; no longer than this is its token still taken here.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// A resolver for our own access tokens.
pub struct ProviderSession {
    verifier: Arc<Verifier>,
    grants: Arc<Grants>,
    credentials: Arc<CredentialManager>,
    verified: Arc<VerifiedCache<Arc<Principal>>>,
}

impl ProviderSession {
    /// A tier whose `verifier` trusts exactly our own issuer and signing keys.
    pub fn new(
        verifier: Arc<Verifier>,
        grants: Arc<Grants>,
        credentials: Arc<CredentialManager>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let verified = Arc::new(VerifiedCache::new(REMEMBERED, REMEMBERED_FOR, clock));
        let of_ended_grants = Arc::downgrade(&verified);
        grants.on_end(move |ended| {
            if let Some(verified) = of_ended_grants.upgrade() {
                verified.remove_where(|principal: &Arc<Principal>| principal.grant.as_deref() == Some(ended));
            }
        });
        Self { verifier, grants, credentials, verified }
    }

    /// A caller whose stored credential the provider has refused for good must sign in again: the OAuth client learns it
    /// from the challenge instead of failing call after call.
    fn alive(&self, principal: Arc<Principal>) -> Result<Arc<Principal>, AuthError> {
        let key: CredentialKey = principal.primary_key();
        if self.credentials.needs_sign_in(&key) {
            return Err(AuthError::SignInNeeded { key, why: SignIn::Refused("invalid_grant".into()) });
        }
        Ok(principal)
    }
}

#[async_trait]
impl Resolver for ProviderSession {
    fn tier(&self) -> Tier {
        Tier::ProviderSession
    }

    fn look(&self, request: &AuthRequest<'_>) -> Look {
        let Some(token) = request.presented.bearer() else { return Look::Absent };
        match self.verified.get(token).map(|principal| self.alive(principal)) {
            Some(Ok(principal)) => Look::Known(principal),
            Some(Err(error)) => Look::Refused(error),
            None if self.verifier.trusts(token) => Look::Ask,
            None => Look::Absent,
        }
    }

    async fn resolve(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError> {
        let Some(token) = request.presented.bearer().filter(|token| self.verifier.trusts(token)) else {
            return Ok(None);
        };
        let verified = self.verifier.verify(token).await?;
        let id = verified.grant.as_deref().ok_or(AuthError::InvalidToken("it names no grant"))?;
        let before = self.verified.ticket();
        let grant = self.grants.get(id).await?.ok_or(AuthError::InvalidToken("it was revoked"))?.value;
        let principal = Arc::new(Principal {
            user: grant.user,
            email: Some(grant.email),
            provider: grant.provider,
            tier: Tier::ProviderSession,
            scopes: verified.scopes.union(&grant.added),
            client: Some(grant.client),
            grant: Some(grant.id.into()),
            expires_at: verified.expires_at,
        });
        // Not remembered if a grant has ended since: it may have been this one.
        self.verified.insert_since(before, token, principal.clone(), principal.expires_at);
        self.alive(principal).map(Some)
    }
}
