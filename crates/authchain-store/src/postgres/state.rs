//! State in PostgreSQL. Each operation is one statement, so that of many takers one gets the value, on whichever server.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use authchain_core::{
    BoxStream, Clock, Expect, Namespace, StateEntry, StateKey, StateStore, StoreError, Timestamp, Version, Versioned,
};
use tokio_postgres::{Row, types::ToSql};

use super::connection::{Connections, Trouble};
use crate::{
    fresh_version,
    state::{deadline, paged},
};

/// How many entries a scan reads at a time.
const PAGE: usize = 500;

/// How often expired rows are removed, and how many at once: nobody waits for a big clean-up.
const SWEEP: Duration = Duration::from_secs(60);
const SWEPT_AT_ONCE: i64 = 500;

/// State in a table, shared by several servers.
pub struct PostgresState {
    connections: Arc<Connections>,
    clock: Arc<dyn Clock>,
    swept_at: AtomicI64,
}

impl PostgresState {
    pub(super) fn new(connections: Arc<Connections>, clock: Arc<dyn Clock>) -> Self {
        Self { connections, clock, swept_at: AtomicI64::new(i64::MIN) }
    }

    async fn write(
        &self,
        key: &StateKey,
        value: &[u8],
        expires_at: Timestamp,
        version: Version,
        expect: Expect,
    ) -> Result<bool, Trouble> {
        let (now, version) = (self.clock.now().0, version.0.cast_signed());
        let written = self.connections.run(|live| async move {
            let id = key.id.as_bytes();
            let all: [&(dyn ToSql + Sync); 5] = [&key.namespace.0, &id, &value, &version, &expires_at.0];
            let [a, b, c, d, e] = all;
            let (client, statements) = (&live.client, &live.statements);
            match expect {
                Expect::Any => client.execute(&statements.upsert_state, &all).await,
                Expect::Absent => client.execute(&statements.insert_state, &[a, b, c, d, e, &now]).await,
                Expect::Version(seen) => {
                    let seen = seen.0.cast_signed();
                    client.execute(&statements.update_state, &[a, b, c, d, e, &now, &seen]).await
                }
            }
        });
        written.await.map(|rows| rows > 0)
    }

    /// Removes some of what has expired, now and then, while nobody waits for it.
    fn sweep(&self) {
        let (now, last) = (self.clock.now(), self.swept_at.load(Ordering::Relaxed));
        let due = last == i64::MIN || now.since(Timestamp(last)) >= SWEEP || now.0 < last;
        if !due || self.swept_at.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let connections = Arc::clone(&self.connections);
        tokio::spawn(async move {
            let swept = connections.run(|live| async move {
                live.client.execute(&live.statements.sweep_state, &[&now.0, &SWEPT_AT_ONCE]).await
            });
            if let Err(trouble) = swept.await {
                tracing::warn!(error = %trouble.into_error(), "expired state cannot be removed");
            }
        });
    }
}

fn versioned(row: &Row, value: usize, version: usize) -> Versioned<Vec<u8>> {
    Versioned { value: row.get(value), version: Version(row.get::<_, i64>(version).cast_unsigned()) }
}

#[async_trait]
impl StateStore for PostgresState {
    async fn put(&self, key: &StateKey, value: &[u8], ttl: Duration, expect: Expect) -> Result<Version, StoreError> {
        let (expires_at, version) = (deadline(self.clock.now(), ttl), fresh_version());
        let conflict = || StoreError::Conflict { what: format!("{:?}", key.namespace) };
        let mut lost = None;
        for _ in 0..self.connections.tries() {
            match self.write(key, value, expires_at, version, expect).await {
                Ok(true) => {
                    self.sweep();
                    return Ok(version);
                }
                Ok(false) => return Err(conflict()),
                Err(Trouble::Refused(error)) => return Err(error),
                // Nobody else knows the version: if it is there, the write was carried out before the connection was lost.
                Err(Trouble::Lost(error)) => match self.get(key).await? {
                    Some(stored) if stored.version == version => return Ok(version),
                    _ => lost = Some(error),
                },
            }
        }
        Err(lost.unwrap_or_else(conflict))
    }

    async fn get(&self, key: &StateKey) -> Result<Option<Versioned<Vec<u8>>>, StoreError> {
        let now = self.clock.now().0;
        let row = self.connections.read(|live| async move {
            live.client.query_opt(&live.statements.state, &[&key.namespace.0, &key.id.as_bytes(), &now]).await
        });
        Ok(row.await?.map(|row| versioned(&row, 0, 1)))
    }

    /// Where the connection is lost before the answer came, nobody gets the value: it may be gone, and to give it out twice
    /// would be worse.
    async fn take(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StoreError> {
        let now = self.clock.now().0;
        let row = self.connections.run(|live| async move {
            live.client.query_opt(&live.statements.take_state, &[&key.namespace.0, &key.id.as_bytes(), &now]).await
        });
        let row = row.await.map_err(Trouble::into_error)?;
        Ok(row.filter(|row| row.get(1)).map(|row| row.get(0)))
    }

    fn scan(&self, namespace: Namespace) -> BoxStream<'_, Result<StateEntry, StoreError>> {
        paged(PAGE, move |after| self.page(namespace, after))
    }
}

impl PostgresState {
    async fn page(&self, namespace: Namespace, after: Option<String>) -> Result<VecDeque<StateEntry>, StoreError> {
        let now = self.clock.now().0;
        let after = after.as_deref().map(str::as_bytes);
        let rows = self.connections.read(|live| async move {
            let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
            live.client.query(&live.statements.state_page, &[&namespace.0, &after, &now, &limit]).await
        });
        let broken = |_| StoreError::Corrupt {
            what: format!("a row in {}", self.connections.name()),
            why: "its id is no text".into(),
        };
        let entry = |row: &Row| {
            let id = String::from_utf8(row.get(0)).map_err(broken)?;
            Ok(StateEntry { id, value: versioned(row, 1, 2), expires_at: Timestamp(row.get(3)) })
        };
        rows.await?.iter().map(entry).collect()
    }
}

impl fmt::Debug for PostgresState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresState").field("connections", &self.connections).finish_non_exhaustive()
    }
}
