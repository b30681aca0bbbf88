//! Tier 5, OAuth fallback: nobody knows the caller. The chain ends here with a challenge that tells a client where to
//! start an OAuth flow and a person where to sign in; the words of it are in [`crate::Challenge`].

use std::sync::Arc;

use async_trait::async_trait;
use authchain_core::{AuthError, AuthRequest, Look, Presented, Principal, Resolver, Tier};

/// The end of the chain.
#[derive(Clone, Copy, Debug, Default)]
pub struct OAuthFallback;

#[async_trait]
impl Resolver for OAuthFallback {
    fn tier(&self) -> Tier {
        Tier::OAuthFallback
    }

    fn look(&self, request: &AuthRequest<'_>) -> Look {
        Look::Refused(match request.presented {
            Presented::Nothing => AuthError::MissingCredential,
            Presented::Bearer(_) | Presented::Dpop(_) => {
                AuthError::InvalidToken("no issuer that is trusted here made it")
            }
        })
    }

    async fn resolve(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError> {
        match self.look(request) {
            Look::Refused(error) => Err(error),
            _ => Ok(None),
        }
    }
}
