//! Tier 1, JWT claims: a bearer JWT of a trusted issuer, verified here; the caller is who its claims say.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use authchain_core::{AuthError, AuthRequest, Clock, Look, Principal, Resolver, Tier, UserId};
use authchain_jwt::{CacheTicket, Checked, Verified, VerifiedCache, Verifier};

/// How many verified tokens are remembered.
const REMEMBERED: usize = 50_000;
/// For how long at most, whatever their own expiry says.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

/// A resolver for JWTs of issuers that the configuration trusts: Google, an organisation's identity provider, dev keys.
pub struct JwtClaims {
    verifier: Arc<Verifier>,
    verified: VerifiedCache<Arc<Principal>>,
    /// The verifier's generation of keys that `verified` was filled with.
    generation: AtomicU64,
}

impl JwtClaims {
    /// A tier that trusts the issuers of `verifier`.
    pub fn new(verifier: Arc<Verifier>, clock: Arc<dyn Clock>) -> Self {
        let generation = AtomicU64::new(verifier.generation());
        Self { verifier, verified: VerifiedCache::new(REMEMBERED, REMEMBERED_FOR, clock), generation }
    }

    /// What was verified with a key that has since been withdrawn is forgotten.
    fn forget_withdrawn(&self) {
        let now = self.verifier.generation();
        if self.generation.load(Ordering::Acquire) != now {
            self.verified.clear();
            self.generation.store(now, Ordering::Release);
        }
    }

    fn admit(&self, before: CacheTicket, token: &str, verified: Verified) -> Result<Arc<Principal>, AuthError> {
        let principal = Arc::new(principal(verified)?);
        self.verified.insert_since(before, token, principal.clone(), principal.expires_at);
        Ok(principal)
    }
}

#[async_trait]
impl Resolver for JwtClaims {
    fn tier(&self) -> Tier {
        Tier::JwtClaims
    }

    fn look(&self, request: &AuthRequest<'_>) -> Look {
        let Some(token) = request.presented.bearer() else { return Look::Absent };
        self.forget_withdrawn();
        if let Some(principal) = self.verified.get(token) {
            return Look::Known(principal);
        }
        if !self.verifier.trusts(token) {
            return Look::Absent;
        }
        let before = self.verified.ticket();
        match self.verifier.check(token) {
            Checked::Verified(verified) => match self.admit(before, token, *verified) {
                Ok(principal) => Look::Known(principal),
                Err(error) => Look::Refused(error),
            },
            Checked::Refused(error) => Look::Refused(error.into()),
            Checked::NeedsKeys => Look::Ask,
        }
    }

    async fn resolve(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError> {
        match request.presented.bearer() {
            Some(token) if self.verifier.trusts(token) => {
                let before = self.verified.ticket();
                let verified = self.verifier.verify(token).await?;
                self.admit(before, token, verified).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// The person is the verified address where there is one, else the subject.
fn principal(verified: Verified) -> Result<Principal, AuthError> {
    let user = match &verified.email {
        Some(email) => UserId::from(email),
        None => UserId::new(&verified.subject).map_err(|_| AuthError::InvalidToken("it names nobody"))?,
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
