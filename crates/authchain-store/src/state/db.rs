//! State in an SQLite file: one thread writes for everyone and commits what has gathered (group commit), one looks up what
//! has gathered meanwhile and waits for nobody who writes. Scans have connections of their own.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use authchain_core::{
    BoxStream, Clock, Expect, Namespace, StateEntry, StateKey, StateStore, StoreError, Timestamp, Version, Versioned,
};
use rusqlite::{Connection, TransactionBehavior};

use super::sql;
use crate::{
    private,
    writer::{Reply, Writer},
};

/// How many idle connections are kept for scans.
const READERS: usize = 8;

/// How often expired rows are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// State in one file, durable before it is acknowledged. Several processes may use the file at once.
pub struct StateDb {
    readers: Arc<Readers>,
    looker: Writer<Look>,
    writer: Writer<Job>,
}

/// What the reading thread is asked for. A thread that many share is woken once for all who ask meanwhile: on a busy server
/// that is a good part of what a look-up costs.
struct Look {
    key: StateKey,
    reply: Reply<Option<Versioned<Vec<u8>>>>,
}

/// Idle connections for scans.
struct Readers {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    idle: Mutex<Vec<Open>>,
}

/// A connection, and which file it is to. Somebody may have removed that or put another in its place: what is written to it
/// then would be gone at the end of the process.
struct Open {
    db: Connection,
    file: FileId,
}

/// Device and inode.
type FileId = Option<(u64, u64)>;

fn file_id(path: &Path) -> FileId {
    let about = fs::symlink_metadata(path).ok()?;
    Some((about.dev(), about.ino()))
}

impl Open {
    fn at(path: &Path) -> Result<Self, StoreError> {
        let db = sql::open(path)?;
        Ok(Self { db, file: file_id(path) })
    }

    fn is_at(&self, path: &Path) -> bool {
        self.file.is_some() && self.file == file_id(path)
    }
}

/// What the writing thread is asked to do.
enum Job {
    Put { key: StateKey, value: Vec<u8>, ttl: Duration, expect: Expect, reply: Reply<Version> },
    Take { key: StateKey, reply: Reply<Option<Vec<u8>>> },
}

/// The writing thread's own.
struct Committer {
    open: Open,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    swept_at: Timestamp,
}

impl StateDb {
    /// Opens the database file, and makes it with mode 0600 if there is none, with its folder.
    ///
    /// # Errors
    /// [`StoreError::Insecure`] when others can read it, [`StoreError::Corrupt`] when it is no such database or one of a
    /// newer version, [`StoreError::Unavailable`] when it cannot be opened.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            private::ensure_folder(folder)?;
        }
        let open = Open::at(path)?;
        let mut committer =
            Committer { open, path: path.to_owned(), clock: Arc::clone(&clock), swept_at: Timestamp(i64::MIN) };
        let writer = Writer::start("authchain-state", move |jobs| committer.write(jobs))?;
        let readers = Arc::new(Readers { path: path.to_owned(), clock, idle: Mutex::default() });
        let own = Arc::clone(&readers);
        let looker = Writer::prompt("authchain-look", move |looks| own.answer(looks))?;
        Ok(Self { readers, looker, writer })
    }

    /// Reads on a connection of its own, where blocking is allowed.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection, Timestamp) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(&self.readers);
        let done = tokio::task::spawn_blocking(move || readers.read(query)).await;
        done.unwrap_or_else(|error| Err(StoreError::unavailable("read state", error)))
    }
}

impl Readers {
    fn read<T>(&self, query: impl FnOnce(&Connection, Timestamp) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let open = idle().pop().filter(|open| open.is_at(&self.path));
        let open = match open {
            Some(open) => open,
            None => Open::at(&self.path)?,
        };
        // After an error the connection is closed, and the next reader opens a new one.
        let read = query(&open.db, self.clock.now()).map_err(|e| sql::failed(&self.path, "read", e))?;
        let mut idle = idle();
        if idle.len() < READERS {
            idle.push(open);
        }
        Ok(read)
    }

    /// Looks up what several ask for, all as of one moment, which is after the last of them asked.
    fn answer(&self, looks: Vec<Look>) {
        let together = |db: &Connection, now| {
            let _moment = db.unchecked_transaction()?;
            looks.iter().map(|look| sql::get(db, &look.key, now)).collect::<rusqlite::Result<Vec<_>>>()
        };
        if looks.len() > 1
            && let Ok(found) = self.read(together)
        {
            for (look, found) in looks.into_iter().zip(found) {
                look.reply.send(Ok(found));
            }
            return;
        }
        // What went wrong for one of them need not go wrong for the others.
        for Look { key, reply } in looks {
            reply.send(self.read(|db, now| sql::get(db, &key, now)));
        }
    }
}

#[async_trait]
impl StateStore for StateDb {
    async fn put(&self, key: &StateKey, value: &[u8], ttl: Duration, expect: Expect) -> Result<Version, StoreError> {
        let (key, value) = (key.clone(), value.to_vec());
        self.writer.ask(|reply| Job::Put { key, value, ttl, expect, reply }).await
    }

    async fn get(&self, key: &StateKey) -> Result<Option<Versioned<Vec<u8>>>, StoreError> {
        let key = key.clone();
        self.looker.ask(|reply| Look { key, reply }).await
    }

    async fn take(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.clone();
        self.writer.ask(|reply| Job::Take { key, reply }).await
    }

    fn scan(&self, namespace: Namespace) -> BoxStream<'_, Result<StateEntry, StoreError>> {
        super::paged(sql::PAGE, move |after| async move {
            self.read(move |db, now| sql::page(db, namespace, after.as_deref(), now)).await.map(Into::into)
        })
    }
}

impl fmt::Debug for StateDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateDb").field("path", &self.readers.path).finish_non_exhaustive()
    }
}

/// What a job has come to, told once the commit is durable.
type Told = Box<dyn FnOnce(Result<(), StoreError>)>;

impl Committer {
    /// Does the jobs in one transaction and answers them when it is durable.
    fn write(&mut self, jobs: Vec<Job>) {
        if let Err(error) = self.check_file() {
            return jobs.into_iter().for_each(|job| job.refuse(error.clone()));
        }
        let (now, sweep) = self.times();
        let mut told: Vec<Told> = Vec::with_capacity(jobs.len());
        let path = self.path.clone();
        let failed = |error| sql::failed(&path, "write", error);

        let transaction = match self.open.db.transaction_with_behavior(TransactionBehavior::Immediate) {
            Ok(transaction) => transaction,
            Err(error) => {
                let error = failed(error);
                return jobs.into_iter().for_each(|job| job.refuse(error.clone()));
            }
        };
        for job in jobs {
            told.push(match job {
                Job::Put { key, value, ttl, expect, reply } => {
                    let put = sql::put(&transaction, &key, &value, ttl, expect, now).map_err(failed);
                    let put = put.and_then(|version| {
                        version.ok_or_else(|| StoreError::Conflict { what: format!("{:?}", key.namespace) })
                    });
                    Box::new(|durable| reply.send(durable.and(put)))
                }
                Job::Take { key, reply } => {
                    let taken = sql::take(&transaction, &key, now).map_err(failed);
                    Box::new(|durable| reply.send(durable.and(taken)))
                }
            });
        }
        if sweep && let Err(error) = sql::sweep(&transaction, &*self.clock) {
            tracing::warn!(%error, "expired state cannot be removed");
        }
        // An error may have rolled the whole transaction back, and then nothing of it is stored.
        let durable = if transaction.is_autocommit() {
            let cause = authchain_core::Cause::text("the transaction was rolled back");
            Err(StoreError::Unavailable { what: format!("write {}", path.display()), cause })
        } else {
            transaction.commit().map_err(failed)
        };
        told.into_iter().for_each(|tell| tell(durable.clone()));
    }

    /// Opens the file again if it is another one than it was.
    fn check_file(&mut self) -> Result<(), StoreError> {
        if !self.open.is_at(&self.path) {
            self.open = Open::at(&self.path)?;
            tracing::error!(
                file = %self.path.display(),
                "the state database was removed or replaced while it was in use: what was in it is lost, and sign-ins with it"
            );
        }
        Ok(())
    }

    /// The present moment, and whether it is time to look for expired rows.
    fn times(&mut self) -> (Timestamp, bool) {
        let now = self.clock.now();
        let sweep = self.swept_at == Timestamp(i64::MIN) || now.since(self.swept_at) >= SWEEP || now < self.swept_at;
        if sweep {
            self.swept_at = now;
        }
        (now, sweep)
    }
}

impl Job {
    fn refuse(self, error: StoreError) {
        match self {
            Self::Put { reply, .. } => reply.send(Err(error)),
            Self::Take { reply, .. } => reply.send(Err(error)),
        }
    }
}
