//! Short-lived state: registered clients, authorization transactions, codes, sessions, grants.
//!
//! [`StateDb`] keeps it in one SQLite file that survives `kill -9` and may be used by several processes at once;
//! [`MemoryState`] keeps it in memory.

mod db;
mod memory;
mod sql;

use std::time::Duration;

use authchain_core::Timestamp;

pub use db::StateDb;
pub use memory::MemoryState;

/// When a value goes away that is written now. A part of a second counts as a whole one: nothing goes before its time.
pub(crate) fn deadline(now: Timestamp, ttl: Duration) -> Timestamp {
    now + ttl.saturating_add(Duration::from_nanos(999_999_999))
}
