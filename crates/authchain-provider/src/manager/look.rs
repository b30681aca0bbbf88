//! The look at the store again: whether what is handed out from memory is still what is stored.
//!
//! An operator's command or another server writes beside this process and need not tell. So a token in memory is compared
//! with the store when that was last done [`RefreshOptions::look_again`](super::RefreshOptions) ago: by its version, once
//! however many ask, and they wait for it. A store that cannot be read takes nothing away: the token serves until it ends.

use std::time::Duration;

use authchain_core::{AccessToken, AuthError, Cause, CredentialKey, StoreError, Timestamp};

use super::{CredentialManager, memory::Held, record::Record};

/// How long after a look that failed the next one is tried, at the latest.
const PAUSE: Duration = Duration::from_secs(10);

/// A look that saw nothing.
pub(super) enum Blind {
    /// This serves until it ends.
    Serves(AccessToken),
    /// There is nothing to hand out.
    Failed(AuthError),
}

impl CredentialManager {
    /// Whether a token that serves has to be compared with the store before it is handed out.
    pub(super) fn is_look_due(&self, held: &Held, now: Timestamp) -> bool {
        let every = self.options.look_again;
        let pause = if held.blind { every.min(PAUSE) } else { every };
        // A clock that was set back must not put the look off.
        now < held.looked || now.since(held.looked) >= pause
    }

    /// The token that serves, if somebody looked between the question and this flight.
    pub(super) fn looked_already(&self, key: &CredentialKey) -> Option<AccessToken> {
        let now = self.clock.now();
        self.memory.look(key, |entry| {
            let held = entry.held.as_ref().filter(|held| now < held.stale_at && !self.is_look_due(held, now))?;
            Some(held.token.clone())
        })
    }

    /// Reads what is stored, with an end to waiting, since there is a token that serves.
    pub(super) async fn look(&self, key: &CredentialKey) -> Result<Option<Record>, Blind> {
        if let Some(error) = self.sight.answer(self.clock.now()) {
            return Err(self.go_on_blind(key, error));
        }
        let patience = self.options.look_patience;
        let read = tokio::time::timeout(patience, self.load(key)).await.unwrap_or_else(|slow| {
            Err(StoreError::unavailable(format!("reading {key} takes longer than {patience:?}"), slow).into())
        });
        let error = match read {
            Ok(stored) => {
                self.sight.answered();
                if self.memory.look(key, |entry| entry.held.as_ref().map(|held| held.blind)) == Some(true) {
                    tracing::info!(%key, "the stored credential can be read again");
                }
                return Ok(stored);
            }
            Err(error) => error,
        };
        let mut known = self.memory.look(key, |entry| entry.held.as_ref().map(|held| held.blind)) == Some(true);
        if let AuthError::Store(StoreError::Unavailable { .. }) = &error {
            known |= self.sight.failed(key, self.clock.now(), PAUSE, &Cause::new(error.clone()));
        }
        if known {
            tracing::debug!(%key, %error, "the stored credential can still not be read");
        } else {
            tracing::error!(
                %key, %error,
                "the stored credential cannot be read: the access token in memory serves until it ends, whether it was \
                 deleted or replaced meanwhile or not"
            );
        }
        Err(self.go_on_blind(key, error))
    }

    fn go_on_blind(&self, key: &CredentialKey, error: AuthError) -> Blind {
        let now = self.clock.now();
        let serves = self.memory.update(key, |entry| {
            let held = entry.held.as_mut().filter(|held| now < held.stale_at)?;
            (held.looked, held.blind) = (now, true);
            Some(held.token.clone())
        });
        serves.map_or(Blind::Failed(error), Blind::Serves)
    }
}
