//! State in an SQLite file: one thread writes for everyone and commits what has gathered (group commit), one looks up what
//! has gathered meanwhile and waits for nobody who writes. Scans have connections of their own.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
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
    file: Arc<File>,
    looker: Writer<Look>,
    writer: Writer<Job>,
}

/// What the reading thread is asked for. A thread that many share is woken once for all who ask meanwhile: on a busy server
/// that is a good part of what a look-up costs.
struct Look {
    key: StateKey,
    reply: Reply<Option<Versioned<Vec<u8>>>>,
}

/// The file, and all connections of this process to it.
///
/// Somebody may remove the file or put another in its place: what is written to the old one then would be gone at the end of
/// the process. SQLite knows its log by name, so the log of the one would be taken for the other's: no connection to the old
/// file may be open any more, and its log must be gone, when the first one to the new file is made.
struct File {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    /// Which files the connections are to. Whoever uses one holds this for reading.
    known: RwLock<Known>,
    idle: Mutex<Vec<Connection>>,
    writing: Mutex<Option<Connection>>,
}

/// The database file and its log.
struct Known {
    file: FileId,
    log: FileId,
}

/// Device and inode.
type FileId = Option<(u64, u64)>;

fn file_id(path: &Path) -> FileId {
    let about = fs::symlink_metadata(path).ok()?;
    Some((about.dev(), about.ino()))
}

/// What SQLite keeps beside the file: `-wal` or `-shm`.
fn companion(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

impl Known {
    fn at(path: &Path) -> Self {
        Self { file: file_id(path), log: file_id(&companion(path, "-wal")) }
    }

    fn is_at(&self, path: &Path) -> bool {
        self.file.is_some() && self.file == file_id(path)
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl File {
    fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let writing = Mutex::new(Some(sql::open(path)?));
        let known = RwLock::new(Known::at(path));
        Ok(Self { path: path.to_owned(), clock, known, idle: Mutex::default(), writing })
    }

    /// Keeps the file from being taken for another one while a connection to it is in use.
    fn in_use(&self) -> Result<RwLockReadGuard<'_, Known>, StoreError> {
        loop {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if known.is_at(&self.path) {
                return Ok(known);
            }
            drop(known);
            self.renew()?;
        }
    }

    /// Closes everything and opens the file that is there now.
    fn renew(&self) -> Result<(), StoreError> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.is_at(&self.path) {
            return Ok(());
        }
        let log = companion(&self.path, "-wal");
        let left_behind = known.log.is_some() && known.log == file_id(&log);
        held(&self.idle).clear();
        *held(&self.writing) = None;
        *known = Known { file: None, log: None };
        if left_behind {
            let _ = fs::remove_file(&log);
            let _ = fs::remove_file(companion(&self.path, "-shm"));
        }
        let fresh = sql::open(&self.path)?;
        *known = Known::at(&self.path);
        *held(&self.writing) = Some(fresh);
        tracing::error!(
            file = %self.path.display(),
            "the state database was removed or replaced while it was in use: what was in it is lost, and sign-ins with it"
        );
        Ok(())
    }
}

/// What the writing thread is asked to do.
enum Job {
    Put { key: StateKey, value: Vec<u8>, ttl: Duration, expect: Expect, reply: Reply<Version> },
    Take { key: StateKey, reply: Reply<Option<Vec<u8>>> },
}

/// The writing thread's own.
struct Committer {
    file: Arc<File>,
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
        let file = Arc::new(File::open(path, clock)?);
        let mut committer = Committer { file: Arc::clone(&file), swept_at: Timestamp(i64::MIN) };
        let writer = Writer::start("authchain-state", move |jobs| committer.write(jobs))?;
        let own = Arc::clone(&file);
        let looker = Writer::prompt("authchain-look", move |looks| own.answer(looks))?;
        Ok(Self { file, looker, writer })
    }

    /// Reads on a connection of its own, where blocking is allowed.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection, Timestamp) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = Arc::clone(&self.file);
        let done = tokio::task::spawn_blocking(move || file.read(query)).await;
        done.unwrap_or_else(|error| Err(StoreError::unavailable("read state", error)))
    }
}

impl File {
    fn read<T>(&self, query: impl FnOnce(&Connection, Timestamp) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let _in_use = self.in_use()?;
        let db = held(&self.idle).pop();
        let db = match db {
            Some(db) => db,
            None => sql::open(&self.path)?,
        };
        // After an error the connection is closed, and the next reader opens a new one.
        let read = query(&db, self.clock.now()).map_err(|e| sql::failed(&self.path, "read", e))?;
        let mut idle = held(&self.idle);
        if idle.len() < READERS {
            idle.push(db);
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
        f.debug_struct("StateDb").field("path", &self.file.path).finish_non_exhaustive()
    }
}

/// What a job has come to, told once the commit is durable.
type Told = Box<dyn FnOnce(Result<(), StoreError>)>;

impl Committer {
    /// Does the jobs in one transaction and answers them when it is durable.
    fn write(&mut self, jobs: Vec<Job>) {
        let file = Arc::clone(&self.file);
        let refuse = |jobs: Vec<Job>, error: StoreError| jobs.into_iter().for_each(|job| job.refuse(error.clone()));
        let _in_use = match file.in_use() {
            Ok(in_use) => in_use,
            Err(error) => return refuse(jobs, error),
        };
        let (now, sweep) = self.times();
        let mut told: Vec<Told> = Vec::with_capacity(jobs.len());
        let path = file.path.clone();
        let failed = |error| sql::failed(&path, "write", error);

        let mut writing = held(&file.writing);
        let Some(db) = writing.as_mut() else {
            let cause = authchain_core::Cause::text("there is no connection");
            return refuse(jobs, StoreError::Unavailable { what: format!("write {}", path.display()), cause });
        };
        let transaction = match db.transaction_with_behavior(TransactionBehavior::Immediate) {
            Ok(transaction) => transaction,
            Err(error) => return refuse(jobs, failed(error)),
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
        if sweep && let Err(error) = sql::sweep(&transaction, &*file.clock) {
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

    /// The present moment, and whether it is time to look for expired rows.
    fn times(&mut self) -> (Timestamp, bool) {
        let now = self.file.clock.now();
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
