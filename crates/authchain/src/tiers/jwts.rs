//! What the two tiers that take JWTs share: whose tokens they trust, and those that are bound to a key.

use std::sync::Arc;

use authchain_core::{AuthError, AuthRequest, Look, Token};
use authchain_jwt::{Verified, Verifier};

use crate::dpop::{self, Dpop};

/// The tokens of some issuers.
pub(super) struct Jwts {
    pub(super) verifier: Arc<Verifier>,
    /// Where tokens that are bound to a key are taken.
    pub(super) dpop: Option<Arc<Dpop>>,
}

impl Jwts {
    pub(super) fn new(verifier: Arc<Verifier>) -> Self {
        Self { verifier, dpop: None }
    }

    /// The first look at a request without a bearer token: one that is bound to a key needs its proof looked at.
    pub(super) fn look_bound(&self, request: &AuthRequest<'_>) -> Look {
        match dpop::presented(request) {
            Some(token) if self.dpop.is_some() && self.verifier.trusts(token) => Look::Ask,
            _ => Look::Absent,
        }
    }

    /// A good token that came with a good proof (RFC 9449, section 7). `None` where no such token is meant for these.
    pub(super) async fn bound(&self, request: &AuthRequest<'_>) -> Result<Option<Verified>, AuthError> {
        let (Some(token), Some(dpop)) = (dpop::presented(request), &self.dpop) else { return Ok(None) };
        if !self.verifier.trusts(token) {
            return Ok(None);
        }
        let verified = self.verifier.verify(token).await?;
        dpop.check_bound(request, token, &verified.claims).await?;
        Ok(Some(verified))
    }

    /// The bearer token of a request, where it is meant for these.
    pub(super) fn bearer<'a>(&self, request: &AuthRequest<'a>) -> Option<Token<'a>> {
        let token = request.presented.bearer()?;
        self.verifier.trusts(&token).then_some(token)
    }

    /// A good bearer token. What is bound to a key is refused: without its proof it is a stolen one.
    pub(super) async fn verify(&self, token: Token<'_>) -> Result<Verified, AuthError> {
        let verified = self.verifier.verify(&token).await?;
        dpop::refuse_bound(&verified.claims)?;
        Ok(verified)
    }
}
