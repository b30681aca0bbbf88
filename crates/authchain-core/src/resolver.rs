//! One tier of the chain.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{AuthError, AuthRequest, Principal, Tier};

/// What a tier can say at once, without waiting for anything.
#[derive(Clone, Debug)]
pub enum Look {
    /// This is the caller; the chain ends.
    Known(Arc<Principal>),
    /// A credential meant for this tier, already known to be bad; the chain ends with a challenge.
    Refused(AuthError),
    /// Certainly nothing here for this tier; the next one is asked.
    Absent,
    /// Only [`Resolver::resolve`] can tell.
    Ask,
}

/// One tier of the chain.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// Which tier this is.
    fn tier(&self) -> Tier;

    /// The answer that needs no I/O and no waiting: a warm request is decided here. The default leaves everything to
    /// [`Resolver::resolve`].
    fn look(&self, _request: &AuthRequest<'_>) -> Look {
        Look::Ask
    }

    /// `Ok(Some)`: this is the caller; the chain ends. `Ok(None)`: nothing here for this tier; the next one is asked.
    ///
    /// # Errors
    /// A credential meant for this tier was presented and is bad, or cannot be checked now; the chain ends. A bad
    /// credential never falls through to a weaker tier.
    async fn resolve(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError>;
}
