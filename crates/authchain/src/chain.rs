//! The chain: tiers in an order, and the rules that hold between them.

use std::sync::Arc;

use authchain_core::{AuthError, AuthRequest, Look, Presented, Principal, Resolver, Tier};
use tracing::debug;

/// Tiers in the order in which they are asked. Cheap to clone.
///
/// The first tier that knows the caller ends the chain. A tier that finds a bad credential ends it too, with a challenge.
/// A credential that no tier knows is a bad credential.
#[derive(Clone)]
pub struct Chain(Arc<[Arc<dyn Resolver>]>);

/// What a chain could say without waiting.
#[derive(Debug)]
pub enum FirstLook {
    /// It is decided.
    Decided(Result<Arc<Principal>, AuthError>),
    /// [`Chain::resolve`] has to be asked, beginning with this tier.
    AskFrom(usize),
}

impl Chain {
    /// An empty chain to add tiers to.
    pub fn builder() -> ChainBuilder {
        ChainBuilder::default()
    }

    /// The names of the tiers, in order.
    pub fn tiers(&self) -> impl Iterator<Item = Tier> {
        self.0.iter().map(|tier| tier.tier())
    }

    /// What can be said at once. Warm requests and plain refusals are decided here.
    pub fn look(&self, request: &AuthRequest<'_>) -> FirstLook {
        for (index, resolver) in self.0.iter().enumerate() {
            match resolver.look(request) {
                Look::Known(principal) => return FirstLook::Decided(Ok(known(&**resolver, principal))),
                Look::Refused(error) => return FirstLook::Decided(Err(refused(&**resolver, error))),
                Look::Absent => absent(&**resolver),
                Look::Ask => {
                    return match request.well_formed() {
                        Ok(()) => FirstLook::AskFrom(index),
                        Err(error) => FirstLook::Decided(Err(refused(&**resolver, error))),
                    };
                }
            }
        }
        FirstLook::Decided(Err(request.well_formed().err().unwrap_or_else(|| nobody_knows(request))))
    }

    /// Asks tier after tier, beginning with `from`, until one decides.
    ///
    /// # Errors
    /// What the deciding tier says; [`AuthError::InvalidToken`] when a credential was presented that no tier knows;
    /// [`AuthError::MissingCredential`] when none was.
    pub async fn resolve_from(&self, from: usize, request: &AuthRequest<'_>) -> Result<Arc<Principal>, AuthError> {
        for resolver in self.0.iter().skip(from) {
            match resolver.resolve(request).await {
                Ok(Some(principal)) => return Ok(known(&**resolver, principal)),
                Ok(None) => absent(&**resolver),
                Err(error) => return Err(refused(&**resolver, error)),
            }
        }
        Err(nobody_knows(request))
    }

    /// Who is calling.
    ///
    /// # Errors
    /// As [`Chain::resolve_from`].
    pub async fn resolve(&self, request: &AuthRequest<'_>) -> Result<Arc<Principal>, AuthError> {
        match self.look(request) {
            FirstLook::Decided(decision) => decision,
            FirstLook::AskFrom(index) => self.resolve_from(index, request).await,
        }
    }
}

fn nobody_knows(request: &AuthRequest<'_>) -> AuthError {
    match request.presented {
        Presented::Nothing => AuthError::MissingCredential,
        Presented::Bearer(_) | Presented::Dpop(_) => AuthError::InvalidToken("no issuer that is trusted here made it"),
    }
}

fn known(resolver: &dyn Resolver, principal: Arc<Principal>) -> Arc<Principal> {
    debug!(tier = %resolver.tier(), answer = "known", user = %principal.user, "tier");
    principal
}

fn absent(resolver: &dyn Resolver) {
    debug!(tier = %resolver.tier(), answer = "absent", "tier");
}

fn refused(resolver: &dyn Resolver, error: AuthError) -> AuthError {
    debug!(tier = %resolver.tier(), answer = "refused", code = %error.code(), why = %error, "tier");
    error
}

/// Puts a [`Chain`] together. Tiers are asked in the order in which they stand.
///
/// ```
/// use authchain::{Chain, core::Tier, tiers::OAuthFallback};
///
/// let chain = Chain::builder().tier(OAuthFallback).build();
/// assert_eq!(chain.tiers().collect::<Vec<_>>(), [Tier::OAuthFallback]);
/// ```
#[derive(Clone, Default)]
pub struct ChainBuilder(Vec<Arc<dyn Resolver>>);

impl ChainBuilder {
    /// Adds a tier at the end.
    #[must_use]
    pub fn tier(self, tier: impl Resolver + 'static) -> Self {
        self.shared_tier(Arc::new(tier))
    }

    /// Adds a tier at the end that is used elsewhere too.
    #[must_use]
    pub fn shared_tier(mut self, tier: Arc<dyn Resolver>) -> Self {
        self.0.push(tier);
        self
    }

    /// Puts a tier in front of another one; at the end, when that one is not there.
    #[must_use]
    pub fn before(mut self, other: &Tier, tier: impl Resolver + 'static) -> Self {
        let place = self.0.iter().position(|t| t.tier() == *other).unwrap_or(self.0.len());
        self.0.insert(place, Arc::new(tier));
        self
    }

    /// Takes a tier out.
    #[must_use]
    pub fn without(mut self, tier: &Tier) -> Self {
        self.0.retain(|t| t.tier() != *tier);
        self
    }

    /// Puts the named tiers first, in this order; the others follow as they stand.
    #[must_use]
    pub fn order(mut self, order: &[Tier]) -> Self {
        self.0.sort_by_key(|t| order.iter().position(|o| *o == t.tier()).unwrap_or(order.len()));
        self
    }

    /// The chain.
    pub fn build(self) -> Chain {
        Chain(self.0.into())
    }
}
