//! State in memory and nowhere else.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use authchain_core::{
    BoxStream, Clock, Expect, Namespace, StateEntry, StateKey, StateStore, StoreError, Timestamp, Version, Versioned,
};
use futures_util::stream;

use super::deadline;

/// Below this many entries nobody looks for expired ones.
const FEW: usize = 1024;

/// State that is gone when the process ends.
pub struct MemoryState {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<StateKey, Entry>,
    writes: u64,
    /// How many entries there were after expired ones were last removed.
    swept: usize,
}

struct Entry {
    value: Versioned<Vec<u8>>,
    expires_at: Timestamp,
}

impl MemoryState {
    /// An empty store that goes by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // No operation leaves the map half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn live(&self, key: &StateKey, now: Timestamp) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.expires_at > now)
    }

    /// Removes what has expired, each time that the number of entries has doubled: so there is never more dead than
    /// living, and a write costs no more for it on average.
    fn sweep(&mut self, now: Timestamp) {
        if self.entries.len() >= FEW.max(self.swept.saturating_mul(2)) {
            self.entries.retain(|_, entry| entry.expires_at > now);
            self.swept = self.entries.len();
        }
    }
}

#[async_trait]
impl StateStore for MemoryState {
    async fn put(&self, key: &StateKey, value: &[u8], ttl: Duration, expect: Expect) -> Result<Version, StoreError> {
        let now = self.clock.now();
        let mut inner = self.inner();
        if !expect.allows(inner.live(key, now).map(|entry| entry.value.version)) {
            return Err(StoreError::Conflict { what: format!("{:?}", key.namespace) });
        }
        inner.sweep(now);
        inner.writes += 1;
        let version = Version(inner.writes);
        let value = Versioned { value: value.to_vec(), version };
        inner.entries.insert(key.clone(), Entry { value, expires_at: deadline(now, ttl) });
        Ok(version)
    }

    async fn get(&self, key: &StateKey) -> Result<Option<Versioned<Vec<u8>>>, StoreError> {
        let now = self.clock.now();
        Ok(self.inner().live(key, now).map(|entry| entry.value.clone()))
    }

    async fn take(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StoreError> {
        let now = self.clock.now();
        let taken = self.inner().entries.remove(key);
        Ok(taken.filter(|entry| entry.expires_at > now).map(|entry| entry.value.value))
    }

    fn scan(&self, namespace: Namespace) -> BoxStream<'_, Result<StateEntry, StoreError>> {
        let now = self.clock.now();
        let inner = self.inner();
        let first = StateKey::new(namespace, "");
        let found = inner.entries.range((Bound::Included(first), Bound::Unbounded));
        let live = found.take_while(|(key, _)| key.namespace == namespace).filter(|(_, entry)| entry.expires_at > now);
        let entries: Vec<_> = live
            .map(|(key, entry)| {
                let (id, value) = (key.id.clone(), entry.value.clone());
                Ok(StateEntry { id, value, expires_at: entry.expires_at })
            })
            .collect();
        Box::pin(stream::iter(entries))
    }
}

impl fmt::Debug for MemoryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryState").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use authchain_core::ManualClock;

    use super::*;

    #[tokio::test]
    async fn what_has_expired_does_not_pile_up() {
        let clock = Arc::new(ManualClock::new(Timestamp(0)));
        let state = MemoryState::new(clock.clone());
        for n in 0..20_000_u32 {
            let key = StateKey::new(Namespace("codes"), n.to_string());
            state.put(&key, b"", Duration::from_secs(10), Expect::Any).await.unwrap();
            if n % 100 == 0 {
                clock.advance(Duration::from_secs(1));
            }
        }
        assert!(state.inner().entries.len() < 3000, "{}", state.inner().entries.len());
    }
}
