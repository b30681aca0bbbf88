//! Incremental consent for OAuth clients: where a tool lacks a scope, the request is answered with a challenge (403,
//! `insufficient_scope`) that names exactly what is granted already and what is missing, and the client asks the person
//! (MCP authorization 2026-07-28, "Scope challenge handling"; RFC 6750, section 3.1).

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use authchain_core::{AuthError, Clock, Principal, Scopes, Tier, Timestamp};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use url::Url;

use crate::Challenge;

/// A client that comes back without having asked for more has not understood: after so many challenges within
/// [`PATIENCE`] it gets the tool's own words instead, with the link that a person can follow. At once if it has only
/// refreshed its token meanwhile, as the TypeScript SDK does: it would report a second challenge as an error.
const TRIES: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(60);
/// How many challenges are remembered. Beyond that many within a minute clients get the words.
const REMEMBERED: usize = 10_000;

/// Makes the challenges.
pub struct StepUp {
    challenge: Challenge,
    clock: Arc<dyn Clock>,
    asked: Mutex<HashMap<(Arc<str>, Scopes), Asked>>,
    hash: RandomState,
}

#[derive(Clone, Copy)]
struct Asked {
    since: Timestamp,
    times: u32,
    /// With which token, as a hash.
    token: u64,
}

impl StepUp {
    /// Challenges that look like `challenge`.
    pub fn new(challenge: Challenge, clock: Arc<dyn Clock>) -> Self {
        Self { challenge, clock, asked: Mutex::default(), hash: RandomState::new() }
    }

    /// The answer to a request of `caller` that `error` ended. `None` where the caller is no client that can ask us for
    /// more, the error is another one, or the client was told often enough.
    pub(crate) fn answer(
        &self,
        caller: &Principal,
        token: &[u8],
        error: &AuthError,
        page: Option<&Url>,
    ) -> Option<Response<Full<Bytes>>> {
        let (AuthError::InsufficientScope { needed, .. }, Tier::ProviderSession, Some(grant)) =
            (error, &caller.tier, &caller.grant)
        else {
            return None;
        };
        if !self.asks_again(grant.clone(), token, needed) {
            return None;
        }
        // What others were granted for the same account is not this client's to ask for.
        let exactly = AuthError::InsufficientScope { needed: needed.clone(), granted: caller.scopes.clone() };
        tracing::info!(user = %caller.user, client = ?caller.client, %needed, "a tool lacks a scope: challenge");
        Some(self.challenge.response_with(&exactly, page))
    }

    fn asks_again(&self, grant: Arc<str>, token: &[u8], needed: &Scopes) -> bool {
        let now = self.clock.now();
        let fresh = Asked { since: now, times: 0, token: self.hash.hash_one(token) };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= REMEMBERED {
            asked.retain(|_, asked| now.since(asked.since) < PATIENCE);
            if asked.len() >= REMEMBERED {
                return false;
            }
        }
        let asked = asked.entry((grant, needed.clone())).or_insert(fresh);
        if now.since(asked.since) >= PATIENCE {
            *asked = fresh;
        }
        asked.times = asked.times.saturating_add(1);
        asked.times <= TRIES && asked.token == fresh.token
    }
}

impl fmt::Debug for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepUp").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use authchain_core::{ManualClock, ProviderId, UserId};
    use http::header::WWW_AUTHENTICATE;

    use super::*;

    fn caller(tier: Tier) -> Principal {
        Principal {
            user: UserId::new("ann@example.com").unwrap(),
            email: None,
            provider: ProviderId::google(),
            tier,
            scopes: "drive openid".into(),
            client: None,
            grant: Some("grant".into()),
            expires_at: Timestamp::NEVER,
        }
    }

    fn lacking(scope: &str) -> AuthError {
        AuthError::InsufficientScope { needed: scope.into(), granted: "granted.to.another.client".into() }
    }

    fn step_up() -> (StepUp, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp(1000)));
        (StepUp::new(Challenge::new(), clock.clone()), clock)
    }

    #[test]
    fn the_challenge_names_exactly_what_the_client_has_and_what_is_missing() {
        let (step_up, _) = step_up();
        let answer = step_up.answer(&caller(Tier::ProviderSession), b"token", &lacking("gmail"), None).unwrap();
        assert_eq!(answer.status(), 403);
        let header = answer.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(header.contains("error=\"insufficient_scope\"") && header.contains("scope=\"drive gmail openid\""));
    }

    #[test]
    fn m5_a_client_that_does_not_understand_gets_words_instead_of_a_third_challenge() {
        let (step_up, clock) = step_up();
        let challenged =
            |scope| step_up.answer(&caller(Tier::ProviderSession), b"token", &lacking(scope), None).is_some();
        assert_eq!([(); 4].map(|()| challenged("gmail")), [true, true, false, false]);
        assert!(challenged("calendar"), "another scope is another question");
        clock.advance(PATIENCE);
        assert!(challenged("gmail"), "a minute later it is asked again");
    }

    #[test]
    fn m5_a_client_that_only_refreshed_its_token_gets_words_at_once() {
        let (step_up, _) = step_up();
        let challenged =
            |token| step_up.answer(&caller(Tier::ProviderSession), token, &lacking("gmail"), None).is_some();
        assert!(challenged(b"before"));
        assert!(!challenged(b"after"));
    }

    #[test]
    fn who_cannot_ask_us_for_more_is_not_challenged() {
        let (step_up, _) = step_up();
        for tier in [Tier::JwtClaims, Tier::SessionCache, Tier::CredentialBridge] {
            assert!(step_up.answer(&caller(tier), b"token", &lacking("gmail"), None).is_none());
        }
        let other = AuthError::InvalidToken("expired");
        assert!(step_up.answer(&caller(Tier::ProviderSession), b"token", &other, None).is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (step_up, clock) = step_up();
        let all =
            (0..REMEMBERED + 10).filter(|n| step_up.asks_again(n.to_string().into(), b"", &"gmail".into())).count();
        assert_eq!(all, REMEMBERED);
        clock.advance(PATIENCE);
        assert!(step_up.asks_again("later".into(), b"", &"gmail".into()));
    }
}
