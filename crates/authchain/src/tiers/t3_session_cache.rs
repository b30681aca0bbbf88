//! Tier 3, session cache: an opaque session token of ours, for clients that speak no OAuth.

use std::sync::Arc;

use async_trait::async_trait;
use authchain_core::{AuthError, AuthRequest, Look, Principal, Resolver, Tier, Token};

use crate::sessions::{Sessions, TOKEN_PREFIX};

/// A resolver for session tokens.
pub struct SessionCache {
    sessions: Arc<Sessions>,
}

impl SessionCache {
    /// A tier over these sessions.
    pub fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions }
    }
}

fn session_token<'a>(request: &AuthRequest<'a>) -> Option<&'a str> {
    let of_a_session = |token: &Token<'_>| token.as_bytes().starts_with(TOKEN_PREFIX.as_bytes());
    request.presented.bearer().filter(of_a_session).map(Token::as_str)
}

#[async_trait]
impl Resolver for SessionCache {
    fn tier(&self) -> Tier {
        Tier::SessionCache
    }

    fn look(&self, request: &AuthRequest<'_>) -> Look {
        match session_token(request) {
            None => Look::Absent,
            Some(token) => self.sessions.look(token).map_or(Look::Ask, Look::Known),
        }
    }

    async fn resolve(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError> {
        let Some(token) = session_token(request) else { return Ok(None) };
        match self.sessions.resolve(token).await? {
            Some(principal) => Ok(Some(principal)),
            None => Err(AuthError::InvalidToken("the session has ended")),
        }
    }
}
