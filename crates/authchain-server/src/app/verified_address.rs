//! Nobody goes by an address that nobody verified. Accounts are filed by address, so a JWT without a verified one, whose
//! subject merely looks like an address, would reach the credentials of the person whose address it is.

use std::sync::Arc;

use async_trait::async_trait;
use authchain::core::{AuthError, AuthRequest, Email, Look, Principal, Resolver, Tier};

const WHY: AuthError = AuthError::InvalidToken("its subject is an address that nobody verified");

/// A tier whose callers are refused when they are named by an address without having one that is verified.
pub(super) struct VerifiedAddress<R>(pub(super) R);

fn is_borrowed(principal: &Principal) -> bool {
    principal.email.is_none() && Email::new(principal.user.as_str()).is_ok()
}

#[async_trait]
impl<R: Resolver> Resolver for VerifiedAddress<R> {
    fn tier(&self) -> Tier {
        self.0.tier()
    }

    fn look(&self, request: &AuthRequest<'_>) -> Look {
        match self.0.look(request) {
            Look::Known(principal) if is_borrowed(&principal) => Look::Refused(WHY),
            other => other,
        }
    }

    async fn resolve(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError> {
        match self.0.resolve(request).await? {
            Some(principal) if is_borrowed(&principal) => Err(WHY),
            other => Ok(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use authchain::core::{ProviderId, Scopes, Timestamp, UserId};

    use super::*;

    /// A tier that knows everybody by this name.
    struct Knows(&'static str, Option<&'static str>);

    impl Knows {
        fn principal(&self) -> Arc<Principal> {
            Arc::new(Principal {
                user: UserId::new(self.0).unwrap(),
                email: self.1.map(|email| email.parse().unwrap()),
                provider: ProviderId::google(),
                tier: Tier::JwtClaims,
                scopes: Scopes::none(),
                client: None,
                grant: None,
                expires_at: Timestamp::NEVER,
            })
        }
    }

    #[async_trait]
    impl Resolver for Knows {
        fn tier(&self) -> Tier {
            Tier::JwtClaims
        }

        fn look(&self, _: &AuthRequest<'_>) -> Look {
            Look::Known(self.principal())
        }

        async fn resolve(&self, _: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError> {
            Ok(Some(self.principal()))
        }
    }

    async fn admitted(user: &'static str, email: Option<&'static str>) -> bool {
        let request = http::Request::get("/").body(()).unwrap();
        let request = AuthRequest::of(&request).unwrap();
        let tier = VerifiedAddress(Knows(user, email));
        let at_once = matches!(tier.look(&request), Look::Known(_));
        assert_eq!(at_once, tier.resolve(&request).await.is_ok());
        at_once
    }

    #[tokio::test]
    async fn a_subject_that_looks_like_an_address_is_not_taken_for_one() {
        assert!(!admitted("ann@example.com", None).await);
        assert!(admitted("ann@example.com", Some("ann@example.com")).await);
        assert!(admitted("1029384756", None).await);
    }
}
