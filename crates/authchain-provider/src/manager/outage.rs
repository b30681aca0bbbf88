//! One outage is not asked about by everybody: when a provider, or the store, failed for several accounts in a row, all
//! others are told so without asking it, and one at a time looks whether it is back.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use authchain_core::{AuthError, Cause, CredentialKey, Timestamp};

/// So many accounts in a row have to fail before the provider counts as down. One account alone may have a trouble of
/// its own.
const ACCOUNTS: u32 = 3;

#[derive(Default)]
pub(super) struct Outage(Mutex<State>);

#[derive(Default)]
struct State {
    accounts: u32,
    last: Option<CredentialKey>,
    down: Option<Down>,
}

struct Down {
    until: Timestamp,
    pause: Duration,
    cause: Cause,
}

impl Outage {
    /// What to tell those who would ask now. `None`: go and ask; when the provider was down, the others are held back
    /// for another while meanwhile.
    pub(super) fn answer(&self, now: Timestamp) -> Option<AuthError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let down = state.down.as_mut()?;
        // After a jump of the clock the end may be far away: nobody waits longer than one pause.
        if now < down.until && down.until.since(now) <= down.pause {
            let cause = down.cause.clone();
            return Some(AuthError::UpstreamUnavailable { retry_after: down.until.since(now), cause });
        }
        down.until = now + down.pause;
        None
    }

    /// The provider failed for an account. Whether it counted as down already.
    pub(super) fn failed(&self, key: &CredentialKey, now: Timestamp, pause: Duration, cause: &Cause) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.as_ref() != Some(key) {
            state.accounts += 1;
            state.last = Some(key.clone());
        }
        let known = state.down.is_some();
        if state.accounts >= ACCOUNTS {
            state.down = Some(Down { until: now + pause, pause, cause: cause.clone() });
        }
        known
    }

    /// The provider answered, whatever it said.
    pub(super) fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }
}

#[cfg(test)]
mod tests {
    use authchain_core::{ProviderId, UserId};

    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    fn fail(outage: &Outage, user: &str, now: i64) {
        let key = CredentialKey::new(ProviderId::google(), UserId::new(user).unwrap());
        outage.failed(&key, Timestamp(now), PAUSE, &Cause::text("503"));
    }

    #[test]
    fn one_account_in_trouble_holds_nobody_back() {
        let outage = Outage::default();
        for _ in 0..10 {
            fail(&outage, "a", 0);
        }
        assert!(outage.answer(Timestamp(0)).is_none());
    }

    #[test]
    fn during_an_outage_one_at_a_time_looks_again() {
        let outage = Outage::default();
        for user in ["a", "b", "c"] {
            fail(&outage, user, 0);
        }
        let told = outage.answer(Timestamp(2)).unwrap();
        assert_eq!(told.retry_after(), Some(Duration::from_secs(3)));
        assert!(outage.answer(Timestamp(5)).is_none(), "one looks");
        assert!(outage.answer(Timestamp(5)).is_some(), "the others wait for what it sees");
        outage.answered();
        assert!(outage.answer(Timestamp(5)).is_none());
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let outage = Outage::default();
        for user in ["a", "b", "c"] {
            fail(&outage, user, 1_000_000);
        }
        assert!(outage.answer(Timestamp(0)).is_none());
    }
}
