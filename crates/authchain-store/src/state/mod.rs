//! Short-lived state: registered clients, authorization transactions, codes, sessions, grants.
//!
//! [`StateDb`] keeps it in one SQLite file that survives `kill -9` and may be used by several processes at once;
//! [`MemoryState`] keeps it in memory.

mod db;
mod memory;
mod sql;

use std::{collections::VecDeque, time::Duration};

use authchain_core::{BoxStream, StateEntry, StoreError, Timestamp};
use futures_util::{TryStreamExt, stream};

pub use db::StateDb;
pub use memory::MemoryState;

/// A scan that has one page in memory at a time. `page` gives so many entries after this id, in the order of their ids, or
/// the first ones; fewer only at the end.
pub(crate) fn paged<'a, F>(size: usize, page: impl Fn(Option<String>) -> F + Send + 'a) -> Scan<'a>
where
    F: Future<Output = Result<VecDeque<StateEntry>, StoreError>> + Send + 'a,
{
    struct Pages<P> {
        page: P,
        here: VecDeque<StateEntry>,
        last: Option<String>,
        more: bool,
    }
    let start = Pages { page, here: VecDeque::new(), last: None, more: true };
    let entries = stream::try_unfold(start, move |mut pages| async move {
        if pages.here.is_empty() && pages.more {
            let next = (pages.page)(pages.last.take());
            pages.here = next.await?;
            pages.more = pages.here.len() == size;
            pages.last = pages.here.back().map(|entry| entry.id.clone());
        }
        Ok(pages.here.pop_front().map(|entry| (entry, pages)))
    });
    Box::pin(entries.into_stream())
}

/// What a scan yields.
type Scan<'a> = BoxStream<'a, Result<StateEntry, StoreError>>;

/// When a value goes away that is written now. A part of a second counts as a whole one: nothing goes before its time.
pub(crate) fn deadline(now: Timestamp, ttl: Duration) -> Timestamp {
    now + ttl.saturating_add(Duration::from_nanos(999_999_999))
}
