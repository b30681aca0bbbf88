//! When signing keys change: published before they sign, published on after they signed last.

use std::time::Duration;

/// The schedule of signing keys.
///
/// A key is published `announce` before it signs, so that everybody who caches keys has it when the first token comes; it
/// signs for `every`; it stays published for `overlap` after that, so that its last token is still verified. `overlap` has
/// to exceed the life of the longest-lived token, `announce` the time that others cache the key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// How long a key signs: 30 days.
    pub every: Duration,
    /// How long a key is published before it signs: 1 day.
    pub announce: Duration,
    /// How long a key is published after it signed last: 2 days.
    pub overlap: Duration,
}

impl Default for Rotation {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self { every: DAY * 30, announce: DAY, overlap: DAY * 2 }
    }
}
