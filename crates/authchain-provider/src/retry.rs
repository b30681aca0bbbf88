//! When to try again, and when to stop: bounded attempts, growing pauses with jitter, one deadline over all.

use std::time::Duration;

/// How often and how long an unanswered request is tried again.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The pause after the first failure; it doubles from then on.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
    /// Everything together takes no longer than this.
    pub deadline: Duration,
}

impl Default for RetryPolicy {
    /// Three attempts within 20 seconds.
    fn default() -> Self {
        Self {
            attempts: 3,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(4),
            deadline: Duration::from_secs(20),
        }
    }
}

impl RetryPolicy {
    /// The pause after the `failures`th failure (1 is the first): doubled each time, between half and the whole of it
    /// by chance, so that those who failed together do not come back together.
    pub fn pause(&self, failures: u32) -> Duration {
        let doubled =
            self.first_pause.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        let whole = doubled.min(self.longest_pause);
        let chance = getrandom::u32().map_or(0.0, |n| f64::from(n) / f64::from(u32::MAX));
        whole.mul_f64(chance.mul_add(0.5, 0.5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_within_bounds() {
        let policy = RetryPolicy::default();
        for failures in 1..=80 {
            let whole =
                Duration::from_millis(250).saturating_mul(1 << (failures - 1).min(10)).min(policy.longest_pause);
            let pause = policy.pause(failures);
            assert!(pause <= whole && pause >= whole / 2, "{failures}: {pause:?}");
        }
    }
}
