//! When a failed attempt is repeated, and after how long.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use crate::Problem;

/// How patient a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all; 1 never repeats.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles from one to the next.
    pub first_wait: Duration,
    /// The longest wait. When Google asks for a longer one, the error is returned with it instead.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    /// 4 attempts, from half a second to 30 seconds.
    fn default() -> Self {
        Self { attempts: 4, first_wait: Duration::from_millis(500), longest_wait: Duration::from_secs(30) }
    }
}

impl RetryPolicy {
    /// Fails at the first failure.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// How long to wait after the failed attempt `attempt` (from 1); `None` when it is not to be repeated. `repeatable`
    /// says whether the request does no harm when it is carried out twice.
    pub(super) fn wait(&self, attempt: u32, problem: &Problem, repeatable: bool) -> Option<Duration> {
        let asked = match problem {
            // Turned away before anything was done.
            Problem::RateLimited { retry_after } => *retry_after,
            // It may have been carried out: a mail would be sent twice.
            Problem::Unavailable { retry_after } if repeatable => *retry_after,
            _ => return None,
        };
        if attempt >= self.attempts {
            return None;
        }
        match asked {
            Some(asked) if asked > self.longest_wait => None,
            Some(asked) => Some(asked),
            None => Some(self.pause(attempt)),
        }
    }

    /// The wait after the failed attempt `attempt` (from 1) when nobody asked for another.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        jitter(self.first_wait.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.longest_wait))
    }
}

/// Between half and all of the wait, so that those who failed together do not come back together. It need not be
/// unpredictable, so the seed of a hash map does.
fn jitter(wait: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 512;
    wait / 2 + wait.saturating_mul(u32::try_from(random).unwrap_or(0)) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN: Problem = Problem::Unavailable { retry_after: None };

    #[test]
    fn what_may_have_been_done_is_not_done_again() {
        let policy = RetryPolicy::default();
        assert!(policy.wait(1, &DOWN, true).is_some());
        assert!(policy.wait(1, &DOWN, false).is_none());
        assert!(policy.wait(1, &Problem::RateLimited { retry_after: None }, false).is_some());
        assert!(policy.wait(1, &Problem::NotFound, true).is_none());
    }

    #[test]
    fn the_wait_doubles_and_ends() {
        let policy = RetryPolicy { attempts: 40, ..RetryPolicy::default() };
        for (attempt, most) in [(1, 500), (2, 1000), (3, 2000), (7, 30_000), (39, 30_000)] {
            let wait = policy.wait(attempt, &DOWN, true).unwrap().as_millis();
            assert!(wait >= most / 2 && wait <= most, "{attempt}: {wait}");
        }
        assert!(policy.wait(40, &DOWN, true).is_none());
        assert!(RetryPolicy::never().wait(1, &DOWN, true).is_none());
    }

    #[test]
    fn a_wait_that_google_asks_for_is_kept_or_handed_on() {
        let policy = RetryPolicy::default();
        let asked = |seconds| Problem::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(policy.wait(1, &asked(7), false), Some(Duration::from_secs(7)));
        assert_eq!(policy.wait(1, &asked(31), false), None);
    }
}
