//! The statements of the state database, on one connection.

use std::{path::Path, time::Duration};

use authchain_core::{Clock, Expect, Namespace, StateEntry, StateKey, StoreError, Timestamp, Version, Versioned};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior, params};

use super::deadline;
use crate::private;

/// How long a writer waits for one in another process.
const PATIENCE: Duration = Duration::from_secs(10);

/// For how long one steps back that is in the way of others.
const STEP: Duration = Duration::from_millis(2);

/// The layout of the tables; a file with a higher number is of a newer program.
const LAYOUT: i64 = 1;

/// How many expired rows one batch of writes removes at most, so that nobody waits for a big clean-up.
const SWEPT_AT_ONCE: i64 = 500;

/// How many entries a scan reads at a time.
pub(super) const PAGE: usize = 500;

/// Opens a connection; makes the file, readable by its owner only, and the tables where they are missing.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    // Made and checked before SQLite sees it, which would make it readable by everyone; SQLite gives its other files
    // (log and index) the mode of this one.
    drop(private::open_or_create(path)?);
    let mut db = Connection::open(path).map_err(|e| failed(path, "open", e))?;
    prepare(&mut db, path).map_err(|e| failed(path, "open", e))?;
    let layout: i64 = db.query_row("PRAGMA user_version", (), |row| row.get(0)).map_err(|e| failed(path, "open", e))?;
    if layout > LAYOUT {
        return Err(private::corrupt(path, "it was written by a newer version of this program"));
    }
    Ok(db)
}

fn prepare(db: &mut Connection, path: &Path) -> rusqlite::Result<()> {
    db.busy_timeout(PATIENCE)?;
    keep_a_log(db)?;
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "secure_delete", "on")?;
    db.set_prepared_statement_cache_capacity(16);
    let layout: i64 = db.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    if layout == 0 {
        tracing::debug!(file = %path.display(), "the state database is set up");
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS state (
                 namespace TEXT NOT NULL,
                 id TEXT NOT NULL,
                 value BLOB NOT NULL,
                 version INTEGER NOT NULL,
                 expires_at INTEGER NOT NULL,
                 PRIMARY KEY (namespace, id)
             ) STRICT;
             CREATE INDEX IF NOT EXISTS state_by_expiry ON state (expires_at);
             PRAGMA user_version = {LAYOUT};"
        ))?;
        transaction.commit()?;
    }
    Ok(())
}

/// Readers and the writer do not wait for one another, and a commit is one sync of the log.
///
/// Of several that turn a new file over at once, SQLite tells some without waiting that it is locked: each would wait for
/// the others to read to the end. So they step back and come again.
fn keep_a_log(db: &Connection) -> rusqlite::Result<()> {
    let mut waited = Duration::ZERO;
    loop {
        match db.pragma_update(None, "journal_mode", "wal") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && waited < PATIENCE => {
                std::thread::sleep(STEP);
                waited += STEP;
            }
            done => return done,
        }
    }
}

/// What went wrong, in the words of the store.
pub(super) fn failed(path: &Path, doing: &str, error: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => private::corrupt(path, error.to_string()),
        _ => StoreError::unavailable(format!("{doing} {}", path.display()), error),
    }
}

fn versioned(row: &Row<'_>, value: usize, version: usize) -> rusqlite::Result<Versioned<Vec<u8>>> {
    Ok(Versioned { value: row.get(value)?, version: Version(row.get::<_, i64>(version)?.cast_unsigned()) })
}

/// Reads a value that has not expired.
pub(super) fn get(db: &Connection, key: &StateKey, now: Timestamp) -> rusqlite::Result<Option<Versioned<Vec<u8>>>> {
    db.prepare_cached("SELECT value, version FROM state WHERE namespace = ? AND id = ? AND expires_at > ?")?
        .query_row(params![key.namespace.0, key.id, now.0], |row| versioned(row, 0, 1))
        .optional()
}

/// Reads the live entries after an id, a page of them.
pub(super) fn page(
    db: &Connection,
    namespace: Namespace,
    after: Option<&str>,
    now: Timestamp,
) -> rusqlite::Result<Vec<StateEntry>> {
    let mut select = db.prepare_cached(
        "SELECT id, value, version, expires_at FROM state
         WHERE namespace = ?1 AND (?2 IS NULL OR id > ?2) AND expires_at > ?3 ORDER BY id LIMIT ?4",
    )?;
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
    let entries = select.query_map(params![namespace.0, after, now.0, limit], |row| {
        Ok(StateEntry { id: row.get(0)?, value: versioned(row, 1, 2)?, expires_at: Timestamp(row.get(3)?) })
    })?;
    entries.collect()
}

/// Writes a value, unless something else than expected is stored; then `None`.
pub(super) fn put(
    db: &Connection,
    key: &StateKey,
    value: &[u8],
    ttl: Duration,
    expect: Expect,
    now: Timestamp,
) -> rusqlite::Result<Option<Version>> {
    if expect != Expect::Any {
        let stored: Option<i64> = db
            .prepare_cached("SELECT version FROM state WHERE namespace = ? AND id = ? AND expires_at > ?")?
            .query_row(params![key.namespace.0, key.id, now.0], |row| row.get(0))
            .optional()?;
        if !expect.allows(stored.map(|version| Version(version.cast_unsigned()))) {
            return Ok(None);
        }
    }
    let version = crate::fresh_version();
    db.prepare_cached(
        "INSERT INTO state (namespace, id, value, version, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET value = ?3, version = ?4, expires_at = ?5",
    )?
    .execute(params![key.namespace.0, key.id, value, version.0.cast_signed(), deadline(now, ttl).0])?;
    Ok(Some(version))
}

/// Reads and deletes a value.
pub(super) fn take(db: &Connection, key: &StateKey, now: Timestamp) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached("DELETE FROM state WHERE namespace = ? AND id = ? RETURNING value, expires_at > ?")?
        .query_row(params![key.namespace.0, key.id, now.0], |row| {
            let (value, live): (Vec<u8>, bool) = (row.get(0)?, row.get(1)?);
            Ok(live.then_some(value))
        })
        .optional()
        .map(Option::flatten)
}

/// Removes some of what has expired.
pub(super) fn sweep(db: &Connection, clock: &dyn Clock) -> rusqlite::Result<usize> {
    db.prepare_cached("DELETE FROM state WHERE rowid IN (SELECT rowid FROM state WHERE expires_at <= ? LIMIT ?)")?
        .execute(params![clock.now().0, SWEPT_AT_ONCE])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_that_open_a_new_database_at_once_all_get_it() {
        for _ in 0..100 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state.db");
            let start = std::sync::Barrier::new(3);
            std::thread::scope(|scope| {
                let opening = (0..3).map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        open(&path).map(drop)
                    })
                });
                for opened in opening.collect::<Vec<_>>() {
                    opened.join().unwrap().unwrap();
                }
            });
        }
    }
}
