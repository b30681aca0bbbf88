//! Tier 2, provider session: a token that our own authorization server issued. It stands for a grant, and the account that
//! signed in for that grant is the caller's primary account. A token without a grant names its caller itself: a client that
//! acts for nobody but itself, or a person whom an organisation's identity provider vouches for.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use authchain_core::{
    AuthError, AuthRequest, Clock, CredentialKey, Look, Principal, ProviderId, Resolver, SignIn, Tier, UserId,
};
use authchain_jwt::{Verified, VerifiedCache, Verifier};
use authchain_provider::CredentialManager;

use super::jwts::Jwts;
use crate::{dpop::Dpop, grants::Grants};

const REMEMBERED: usize = 50_000;
/// Another instance may end a grant; no longer than this is its token still taken here.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// A resolver for our own access tokens.
pub struct ProviderSession {
    jwts: Jwts,
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
        Self { jwts: Jwts::new(verifier), grants, credentials, verified }
    }

    /// Takes tokens that are bound to a key, too, with a proof by that key (RFC 9449, section 7).
    #[must_use]
    pub fn dpop(mut self, dpop: Arc<Dpop>) -> Self {
        self.jwts.dpop = Some(dpop);
        self
    }

    /// Whom a verified token stands for now.
    async fn bearer_of(&self, verified: Verified) -> Result<Principal, AuthError> {
        let Some(id) = verified.grant.as_deref() else { return self.named_by_itself(verified).await };
        let grant = self.grants.get(id).await?.ok_or(AuthError::InvalidToken("it was revoked"))?.value;
        Ok(Principal {
            user: grant.user,
            email: Some(grant.email),
            provider: grant.provider,
            tier: Tier::ProviderSession,
            scopes: verified.scopes.union(&grant.added),
            client: Some(grant.client),
            grant: Some(grant.id.into()),
            expires_at: verified.expires_at,
        })
    }

    /// The caller of a token without a grant. Our own server wrote what it says; only whether it was withdrawn is stored.
    async fn named_by_itself(&self, verified: Verified) -> Result<Principal, AuthError> {
        const NOBODY: AuthError = AuthError::InvalidToken("it names no grant");
        let text = |name: &str| verified.claims.get(name).and_then(serde_json::Value::as_str);
        let (Some(provider), Some(id)) = (text("idp"), text("jti")) else { return Err(NOBODY) };
        if self.grants.is_withdrawn(id).await? {
            return Err(AuthError::InvalidToken("it was revoked"));
        }
        Ok(Principal {
            user: UserId::new(&verified.subject).map_err(|_| NOBODY)?,
            provider: ProviderId::new(provider).map_err(|_| NOBODY)?,
            tier: Tier::ProviderSession,
            grant: Some(id.into()),
            email: verified.email,
            scopes: verified.scopes,
            client: verified.client,
            expires_at: verified.expires_at,
        })
    }

    /// A caller whose stored credential the provider has refused for good must sign in again: the OAuth client learns it
    /// from the challenge instead of failing call after call.
    fn alive(&self, principal: Arc<Principal>) -> Result<Arc<Principal>, AuthError> {
        if !self.credentials.anybody_needs_sign_in() {
            return Ok(principal);
        }
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
        let Some(token) = request.presented.bearer() else { return self.jwts.look_bound(request) };
        match self.verified.get(token).map(|principal| self.alive(principal)) {
            Some(Ok(principal)) => Look::Known(principal),
            Some(Err(error)) => Look::Refused(error),
            None if self.jwts.bearer(request).is_some() => Look::Ask,
            None => Look::Absent,
        }
    }

    async fn resolve(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError> {
        if let Some(verified) = self.jwts.bound(request).await? {
            return self.alive(Arc::new(self.bearer_of(verified).await?)).map(Some);
        }
        let Some(token) = self.jwts.bearer(request) else { return Ok(None) };
        // What is bound to a key never gets into the cache: a warm bearer request need not look for that.
        let verified = self.jwts.verify(token).await?;
        let before = self.verified.ticket();
        let principal = Arc::new(self.bearer_of(verified).await?);
        // Not remembered if a grant has ended since: it may have been this one.
        self.verified.insert_since(before, &token, principal.clone(), principal.expires_at);
        self.alive(principal).map(Some)
    }
}
