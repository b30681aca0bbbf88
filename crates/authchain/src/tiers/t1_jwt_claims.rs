//! Tier 1, JWT claims: a bearer JWT of a trusted issuer, verified here; the caller is who its claims say.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use authchain_core::{AuthError, AuthRequest, Clock, Look, Principal, Resolver, Tier, Token, UserId};
use authchain_jwt::{CacheTicket, Checked, Verified, VerifiedCache, Verifier};

use super::jwts::Jwts;
use crate::dpop::{self, Dpop};

/// How many verified tokens are remembered.
const REMEMBERED: usize = 50_000;
/// For how long at most, whatever their own expiry says.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

/// A resolver for JWTs of issuers that the configuration trusts: Google, an organisation's identity provider, dev keys.
pub struct JwtClaims {
    jwts: Jwts,
    verified: VerifiedCache<Arc<Principal>>,
    /// The verifier's generation of keys that `verified` was filled with.
    generation: AtomicU64,
}

impl JwtClaims {
    /// A tier that trusts the issuers of `verifier`.
    pub fn new(verifier: Arc<Verifier>, clock: Arc<dyn Clock>) -> Self {
        let generation = AtomicU64::new(verifier.generation());
        Self { jwts: Jwts::new(verifier), verified: VerifiedCache::new(REMEMBERED, REMEMBERED_FOR, clock), generation }
    }

    /// Takes tokens that are bound to a key, too, with a proof by that key (RFC 9449, section 7).
    #[must_use]
    pub fn dpop(mut self, dpop: Arc<Dpop>) -> Self {
        self.jwts.dpop = Some(dpop);
        self
    }

    /// What was verified with a key that has since been withdrawn is forgotten.
    fn forget_withdrawn(&self) {
        let now = self.jwts.verifier.generation();
        if self.generation.load(Ordering::Acquire) != now {
            self.verified.clear();
            self.generation.store(now, Ordering::Release);
        }
    }

    fn admit(&self, before: CacheTicket, token: Token<'_>, verified: Verified) -> Result<Arc<Principal>, AuthError> {
        // What is bound to a key never gets into the cache: a warm bearer request need not look for that.
        dpop::refuse_bound(&verified.claims)?;
        let principal = Arc::new(principal(verified)?);
        self.verified.insert_since(before, &token, principal.clone(), principal.expires_at);
        Ok(principal)
    }
}

#[async_trait]
impl Resolver for JwtClaims {
    fn tier(&self) -> Tier {
        Tier::JwtClaims
    }

    fn look(&self, request: &AuthRequest<'_>) -> Look {
        let Some(token) = request.presented.bearer() else { return self.jwts.look_bound(request) };
        self.forget_withdrawn();
        if let Some(principal) = self.verified.get(token) {
            return Look::Known(principal);
        }
        let before = self.verified.ticket();
        let Some(checked) = self.jwts.verifier.check_if_trusted(&token) else { return Look::Absent };
        match checked {
            Checked::Verified(verified) => match self.admit(before, token, *verified) {
                Ok(principal) => Look::Known(principal),
                Err(error) => Look::Refused(error),
            },
            Checked::Refused(error) => Look::Refused(error.into()),
            Checked::NeedsKeys => Look::Ask,
        }
    }

    async fn resolve(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError> {
        if let Some(verified) = self.jwts.bound(request).await? {
            return principal(verified).map(Arc::new).map(Some);
        }
        let Some(token) = self.jwts.bearer(request) else { return Ok(None) };
        let before = self.verified.ticket();
        let verified = self.jwts.verify(token).await?;
        self.admit(before, token, verified).map(Some)
    }
}

/// The person is the verified address where there is one, else the subject at its issuer: a subject that looks like
/// somebody's address must not reach what is filed under that address.
fn principal(verified: Verified) -> Result<Principal, AuthError> {
    let user = match &verified.email {
        Some(email) => UserId::from(email),
        None => UserId::new(format!("{}#{}", verified.issuer, verified.subject))
            .map_err(|_| AuthError::InvalidToken("it names nobody"))?,
    };
    Ok(Principal {
        user,
        email: verified.email,
        provider: verified.provider,
        tier: Tier::JwtClaims,
        scopes: verified.scopes,
        client: verified.client,
        grant: verified.grant.map(Into::into),
        expires_at: verified.expires_at,
    })
}
