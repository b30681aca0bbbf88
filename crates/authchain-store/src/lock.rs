//! A lock on a folder, across processes, that dies with whoever holds it.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use authchain_core::{Cause, StoreError};
use rustix::fs::{FlockOperation, flock};

use crate::private;

/// How often a taken lock is asked for again, and how long in between.
const TRIES: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(10);

/// The lock file of a folder. The lock belongs to the open file, so the kernel lets it go when the process ends, however
/// it ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    path: PathBuf,
    file: Option<File>,
}

/// While this lives nobody else writes in the folder.
#[derive(Debug)]
pub(crate) struct Locked<'a>(&'a File);

impl FolderLock {
    /// The lock of `folder`; nothing is opened yet.
    pub(crate) fn of(folder: &Path) -> Self {
        Self { path: folder.join(".lock"), file: None }
    }

    /// Waits for the lock, ten seconds at most.
    pub(crate) fn lock(&mut self) -> Result<Locked<'_>, StoreError> {
        for turn in 0..TRIES {
            if self.take()? {
                return self.held();
            }
            // Most holders are done within a millisecond.
            thread::sleep(if turn < 20 { PAUSE / 10 } else { PAUSE });
        }
        let cause = Cause::text("another process holds it and does not let go");
        Err(StoreError::Unavailable { what: format!("lock {}", self.path.display()), cause })
    }

    /// Takes the lock if it is free.
    pub(crate) fn try_lock(&mut self) -> Result<Option<Locked<'_>>, StoreError> {
        if self.take()? { self.held().map(Some) } else { Ok(None) }
    }

    fn held(&self) -> Result<Locked<'_>, StoreError> {
        self.file.as_ref().map(Locked).ok_or_else(|| private::corrupt(&self.path, "the lock was lost"))
    }

    fn take(&mut self) -> Result<bool, StoreError> {
        loop {
            let file = match self.file.take() {
                Some(file) => file,
                None => private::open_or_create(&self.path)?,
            };
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {
                    self.file = Some(file);
                    return Ok(false);
                }
                Err(error) => return Err(private::unavailable("lock", &self.path, error.into())),
            }
            // Somebody may have removed the file, and then others lock another one: only the one that has the name counts.
            if same_file(&file, &self.path) {
                self.file = Some(file);
                return Ok(true);
            }
        }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // It cannot fail on an open file; and if it did, the next holder in this process still shares the lock.
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}

fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_holders_one_waits() {
        let dir = tempfile::tempdir().unwrap();
        let (mut one, mut two) = (FolderLock::of(dir.path()), FolderLock::of(dir.path()));
        let held = one.lock().unwrap();
        assert!(two.try_lock().unwrap().is_none());
        drop(held);
        assert!(two.try_lock().unwrap().is_some());
    }

    #[test]
    fn a_removed_lock_file_makes_no_two_holders() {
        let dir = tempfile::tempdir().unwrap();
        let (mut one, mut two) = (FolderLock::of(dir.path()), FolderLock::of(dir.path()));
        drop(one.lock().unwrap());
        fs::remove_file(dir.path().join(".lock")).unwrap();
        let _held = two.lock().unwrap();
        assert!(one.try_lock().unwrap().is_none(), "the old file's lock counts for nothing");
    }

    #[test]
    fn a_folder_that_is_gone_cannot_be_locked() {
        let dir = tempfile::tempdir().unwrap();
        let mut lock = FolderLock::of(&dir.path().join("gone"));
        assert!(matches!(lock.lock(), Err(StoreError::Unavailable { .. })));
    }
}
