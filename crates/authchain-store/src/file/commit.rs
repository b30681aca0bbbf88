//! Durable writes, several at a time: temporary files beside their targets, one sync for all of them, renames, one sync
//! of the folder, and only then the answers.
//!
//! After a crash at any point each record is either the old or the new one as a whole, and what was answered is there.

use std::{
    collections::HashSet,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use authchain_core::{Credential, CredentialKey, Expect, StoreError, Version, Versioned};
use rustix::fs::{Mode, OFlags};
use tempfile::NamedTempFile;

use super::{
    folder::{Folder, Stored, version_of},
    name::hex,
};
use crate::{
    lock::FolderLock,
    private::{self, unavailable},
    writer::Reply,
};

/// From this many files on, one sync of the whole file system is cheaper than one for each file.
const MANY: usize = 4;

/// What a writer is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    Put {
        key: CredentialKey,
        credential: Box<Credential>,
        expect: Expect,
        reply: Reply<Version>,
    },
    Delete {
        key: CredentialKey,
        expect: Expect,
        reply: Reply<bool>,
    },
    /// Seal it for the primary key, whatever is in it.
    Rewrap {
        key: CredentialKey,
        reply: Reply<bool>,
    },
}

/// Hears what is stored now for a key, before whoever asked for it hears it.
pub(super) type Observer = Box<dyn Fn(&CredentialKey, Option<Versioned<Credential>>) + Send>;

/// The writing side of a folder.
pub(super) struct Committer {
    folder: Arc<Folder>,
    lock: FolderLock,
    swept: bool,
    observer: Observer,
    replaced: mpsc::Sender<Vec<OwnedFd>>,
}

/// A write whose file is ready and not yet visible.
struct Staged {
    key: CredentialKey,
    temporary: NamedTempFile,
    target: PathBuf,
    /// A file that cannot be read, kept under another name.
    aside: Option<(PathBuf, PathBuf)>,
    /// Files under old names that this write replaces.
    replaces: Vec<PathBuf>,
    /// What is in it, as far as that is known here.
    stored: Option<Versioned<Credential>>,
    answer: Answer,
}

/// Who waits for a write.
enum Answer {
    Put(Reply<Version>, Version),
    Rewrap(Reply<bool>),
}

impl Answer {
    fn send(self, done: Result<(), StoreError>) {
        match self {
            Self::Put(reply, version) => reply.send(done.map(|()| version)),
            Self::Rewrap(reply) => reply.send(done.map(|()| true)),
        }
    }
}

/// A deletion of files that are there.
struct Doomed {
    key: CredentialKey,
    files: Vec<PathBuf>,
    reply: Reply<bool>,
}

impl Committer {
    pub(super) fn new(folder: Arc<Folder>, observer: Observer) -> Result<Self, StoreError> {
        let lock = FolderLock::of(&folder.path);
        Ok(Self { folder, lock, swept: false, observer, replaced: closer()? })
    }

    /// Removes what killed writers left, unless somebody is writing now: then they do it, or the next one does.
    pub(super) fn sweep(&mut self) -> Result<(), StoreError> {
        if let Some(_locked) = self.lock.try_lock()? {
            private::sweep(&self.folder.path)?;
            self.swept = true;
        }
        Ok(())
    }

    /// Does the jobs in their order and answers each.
    pub(super) fn write(&mut self, jobs: Vec<Job>) {
        let Self { folder, lock, swept, observer, replaced } = self;
        let _locked = match lock.lock() {
            Ok(locked) => locked,
            Err(error) => return jobs.into_iter().for_each(|job| job.refuse(error.clone())),
        };
        if !std::mem::replace(swept, true)
            && let Err(error) = private::sweep(&folder.path)
        {
            tracing::warn!(%error, "what a killed writer left cannot be removed");
        }
        // Two jobs for one key must see one another's effect: they are not committed together.
        let mut group = Vec::with_capacity(jobs.len());
        let mut keys = HashSet::with_capacity(jobs.len());
        for job in jobs {
            if !keys.insert(job.key().clone()) {
                let _ = replaced.send(commit(folder, observer, std::mem::take(&mut group)));
                keys.clear();
                keys.insert(job.key().clone());
            }
            group.push(job);
        }
        let _ = replaced.send(commit(folder, observer, group));
    }
}

impl Job {
    fn key(&self) -> &CredentialKey {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } | Self::Rewrap { key, .. } => key,
        }
    }

    fn refuse(self, error: StoreError) {
        match self {
            Self::Put { reply, .. } => reply.send(Err(error)),
            Self::Delete { reply, .. } | Self::Rewrap { reply, .. } => reply.send(Err(error)),
        }
    }
}

/// Starts a thread that closes files. The space of a replaced file is given back when the last who has it open closes it,
/// and on some file systems that takes as long as the sync of a new one; nobody should wait for it.
fn closer() -> Result<mpsc::Sender<Vec<OwnedFd>>, StoreError> {
    let (sender, files) = mpsc::channel();
    let close = move || files.iter().for_each(drop);
    let started = thread::Builder::new().name("authchain-close".into()).spawn(close);
    started.map_err(|e| StoreError::unavailable("start the closing thread", e))?;
    Ok(sender)
}

/// Commits jobs for different keys together, and gives back the files that nobody needs any more.
fn commit(folder: &Folder, observer: &Observer, jobs: Vec<Job>) -> Vec<OwnedFd> {
    let (mut puts, mut deletes) = (Vec::new(), Vec::new());
    for job in jobs {
        match job {
            Job::Put { key, credential, expect, reply } => match prepare(folder, observer, &key, &credential, expect) {
                Ok(prepared) => {
                    let Prepared { temporary, target, aside, replaces, version } = prepared;
                    let stored = Some(Versioned { value: *credential, version });
                    let answer = Answer::Put(reply, version);
                    puts.push(Staged { key, temporary, target, aside, replaces, stored, answer });
                }
                Err(error) => reply.send(Err(error)),
            },
            Job::Rewrap { key, reply } => match rewrap(folder, &key) {
                Ok(None) => reply.send(Ok(false)),
                Ok(Some((target, temporary))) => {
                    let (aside, replaces, answer) = (None, Vec::new(), Answer::Rewrap(reply));
                    puts.push(Staged { key, temporary, target, aside, replaces, stored: None, answer });
                }
                Err(error) => reply.send(Err(error)),
            },
            Job::Delete { key, expect, reply } => match doomed_files(folder, observer, &key, expect) {
                Ok(files) if files.is_empty() => {
                    observer(&key, None);
                    reply.send(Ok(false));
                }
                Ok(files) => deletes.push(Doomed { key, files, reply }),
                Err(error) => reply.send(Err(error)),
            },
        }
    }
    if puts.is_empty() && deletes.is_empty() {
        return Vec::new();
    }

    let mut replaced = Vec::with_capacity(puts.len());
    let mut written = Vec::with_capacity(puts.len());
    match sync(&puts) {
        Ok(()) => {
            for Staged { key, temporary, target, aside, replaces, stored, answer } in puts {
                replaced.extend(keep_open(&target));
                match publish(temporary, &target, aside, &replaces) {
                    Ok(()) => written.push((key, stored, answer)),
                    Err(error) => answer.send(Err(error)),
                }
            }
        }
        Err(error) => puts.into_iter().for_each(|staged| staged.answer.send(Err(error.clone()))),
    }
    let mut deleted = Vec::with_capacity(deletes.len());
    for Doomed { key, files, reply } in deletes {
        replaced.extend(files.iter().filter_map(|file| keep_open(file)));
        match files.iter().try_for_each(remove) {
            Ok(()) => deleted.push((key, reply)),
            Err(error) => reply.send(Err(error)),
        }
    }

    let durable = private::sync_folder(&folder.path);
    for (key, stored, answer) in written {
        if durable.is_ok() {
            observer(&key, stored);
        }
        answer.send(durable.clone());
    }
    for (key, reply) in deleted {
        if durable.is_ok() {
            observer(&key, None);
        }
        reply.send(durable.clone().map(|()| true));
    }
    replaced
}

/// Holds a file that is about to be replaced, so that its space is given back later.
fn keep_open(file: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(file, flags, Mode::empty()).ok()
}

struct Prepared {
    temporary: NamedTempFile,
    target: PathBuf,
    aside: Option<(PathBuf, PathBuf)>,
    replaces: Vec<PathBuf>,
    version: Version,
}

/// Checks what is stored, and writes the temporary file.
fn prepare(
    folder: &Folder,
    observer: &Observer,
    key: &CredentialKey,
    credential: &Credential,
    expect: Expect,
) -> Result<Prepared, StoreError> {
    let target = folder.file_of(key);
    let (mut aside, mut for_users) = (None, None);
    match folder.stored(key)? {
        Some(Stored { credential: Err(error), path, version, .. }) => {
            // Only a write that was told to go over anything goes over a broken file, and then the file is kept. Over one
            // that another key would open nothing goes: the key may come back.
            if expect != Expect::Any || !matches!(error, StoreError::Corrupt { .. }) {
                return Err(error);
            }
            let mut name = path.file_name().unwrap_or_default().to_owned();
            let mut suffix = ".broken-".to_owned();
            hex(&version.0.to_be_bytes(), &mut suffix);
            name.push(suffix);
            tracing::warn!(file = %path.display(), kept_as = %name.display(), %error, "a broken credential is set aside");
            let kept = path.with_file_name(name);
            aside = Some((path, kept));
        }
        stored => {
            let version = stored.as_ref().map(|stored| stored.version);
            if !expect.allows(version) {
                return Err(conflict(observer, key, stored));
            }
            for_users = stored.and_then(|stored| stored.for_users);
        }
    }
    if let Some(keyring) = folder.form.keyring() {
        // Another process may have made a new primary key; under the lock nobody retires the one that is used now.
        keyring.refresh()?;
    }
    let bytes = folder.form.encode(key, credential, for_users.as_ref().map(|envelope| envelope.as_slice()))?;
    let temporary = private::write_beside(&target, &bytes)?;
    let replaces = folder.readable_old_files(key)?;
    Ok(Prepared { temporary, target, aside, replaces, version: version_of(&bytes) })
}

/// A file sealed for the primary key whose content nobody has to open; `None` when there is nothing to do.
fn rewrap(folder: &Folder, key: &CredentialKey) -> Result<Option<(PathBuf, NamedTempFile)>, StoreError> {
    let Some(Stored { path, .. }) = folder.stored(key)? else { return Ok(None) };
    let Some(bytes) = private::read(&path)? else { return Ok(None) };
    if let Some(keyring) = folder.form.keyring() {
        keyring.refresh()?;
    }
    let Some(rewrapped) = folder.form.rewrap(key, &bytes, &path)? else { return Ok(None) };
    let temporary = private::write_beside(&path, &rewrapped)?;
    Ok(Some((path, temporary)))
}

/// Makes the content of the temporary files durable.
fn sync(staged: &[Staged]) -> Result<(), StoreError> {
    #[cfg(target_os = "linux")]
    if let [first, rest @ ..] = staged
        && rest.len() + 1 >= MANY
    {
        let synced = rustix::fs::syncfs(first.temporary.as_file()).map_err(io::Error::from);
        return synced.map_err(|e| unavailable("sync the file system of", first.temporary.path(), e));
    }
    staged.iter().try_for_each(|staged| {
        staged.temporary.as_file().sync_all().map_err(|e| unavailable("sync", staged.temporary.path(), e))
    })
}

/// Gives a synced file its name.
fn publish(
    temporary: NamedTempFile,
    target: &PathBuf,
    aside: Option<(PathBuf, PathBuf)>,
    replaces: &[PathBuf],
) -> Result<(), StoreError> {
    if let Some((broken, kept)) = &aside {
        match fs::hard_link(broken, kept) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(unavailable("set aside", broken, error));
            }
            _ => {}
        }
    }
    temporary.persist(target).map_err(|e| unavailable("write", target, e.error))?;
    // The new file is there and counts; an old one that cannot be removed now is removed at the next write.
    let broken = aside.iter().map(|(broken, _)| broken).filter(|broken| *broken != target);
    for old in replaces.iter().chain(broken) {
        if let Err(error) = remove(old) {
            tracing::warn!(%error, "a file under an old name is left");
        }
    }
    Ok(())
}

/// Whoever expected something else is told so, after the observer has heard what is there.
fn conflict(observer: &Observer, key: &CredentialKey, stored: Option<Stored>) -> StoreError {
    observer(key, stored.and_then(|s| Some(Versioned { value: s.credential.ok()?, version: s.version })));
    StoreError::Conflict { what: key.to_string() }
}

/// Everything that is to go when a key's credential goes; the old names first, so that what a crash leaves is the newest.
fn doomed_files(
    folder: &Folder,
    observer: &Observer,
    key: &CredentialKey,
    expect: Expect,
) -> Result<Vec<PathBuf>, StoreError> {
    let Some(stored) = folder.stored(key)? else { return Ok(Vec::new()) };
    if !expect.allows(Some(stored.version)) {
        return Err(conflict(observer, key, Some(stored)));
    }
    let mut files = folder.readable_old_files(key)?;
    if !files.contains(&stored.path) {
        files.push(stored.path);
    }
    Ok(files)
}

fn remove(file: &PathBuf) -> Result<(), StoreError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unavailable("remove", file, error)),
        _ => Ok(()),
    }
}
