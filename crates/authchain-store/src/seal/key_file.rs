//! The file that the root keys live in.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use authchain_core::{Cause, StoreError};
use zeroize::Zeroizing;

use super::{desktop, names, recipients, ring::Ring, root::RootKey};
use crate::{lock::FolderLock, private, record};

/// A key file, and what it looked like when the keys in use were read.
pub(super) struct KeyFile {
    path: PathBuf,
    accepted: Mutex<Option<Looks>>,
}

/// What changes when a file is replaced or written: device, inode, size, time of change in seconds and nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Looks(u64, u64, u64, i64, i64);

impl KeyFile {
    pub(super) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), accepted: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the keys; makes the file with one random key if there is none and nothing was ever sealed beside it.
    pub(super) fn read_or_create(&self) -> Result<Ring, StoreError> {
        let (ring, looks) = match self.read()? {
            Some(read) => read,
            None => {
                self.create()?;
                self.read()?.ok_or_else(|| self.gone())?
            }
        };
        self.accept(looks);
        Ok(ring)
    }

    /// Reads the keys if the file looks other than when it was last accepted.
    pub(super) fn read_if_changed(&self) -> Result<Option<(Ring, Looks)>, StoreError> {
        let looks = self.looks().ok_or_else(|| self.gone())?;
        if *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) == Some(looks) {
            return Ok(None);
        }
        self.read()?.ok_or_else(|| self.gone()).map(Some)
    }

    /// The keys that were read when the file looked so are in use now.
    pub(super) fn accept(&self, looks: Looks) {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some(looks);
    }

    fn read(&self) -> Result<Option<(Ring, Looks)>, StoreError> {
        // Looked at first: if the file changes in between, it is read once more than needed and never once too few.
        let Some(looks) = self.looks() else { return Ok(None) };
        let Some(bytes) = private::read(&self.path)? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).map_err(|_| private::corrupt(&self.path, "it is no text"))?;
        Ring::read(text, &self.path.display().to_string()).map(|ring| Some((ring, looks)))
    }

    /// Replaces the file as a whole, under the lock of its folder.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&str) -> Result<(Zeroizing<String>, T), StoreError>,
    ) -> Result<T, StoreError> {
        let folder = self.folder();
        let mut lock = FolderLock::of(folder);
        let _locked = lock.lock()?;
        let bytes = private::read(&self.path)?.ok_or_else(|| self.gone())?;
        let text = std::str::from_utf8(&bytes).map_err(|_| private::corrupt(&self.path, "it is no text"))?;
        let (changed, result) = change(text)?;
        // What cannot be read back must not take the place of what can.
        Ring::read(&changed, &self.path.display().to_string())?;
        let file = private::write_beside(&self.path, changed.as_bytes())?;
        file.as_file().sync_all().map_err(|e| private::unavailable("write", &self.path, e))?;
        file.persist(&self.path).map_err(|e| private::unavailable("write", &self.path, e.error))?;
        private::sync_folder(folder)?;
        Ok(result)
    }

    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn create(&self) -> Result<(), StoreError> {
        let folder = self.folder();
        private::ensure_folder(folder)?;
        let mut lock = FolderLock::of(folder);
        let _locked = lock.lock()?;
        if self.looks().is_some() {
            return Ok(());
        }
        refuse_over_sealed(folder, &self.path.display().to_string())?;
        if folder.join(desktop::IDS).exists() {
            let why = "the keys of this folder are in the desktop's keyring: set storage.desktop_keyring";
            return Err(StoreError::Unsupported(format!("a new key file {}: {why}", self.path.display())));
        }
        let file = private::write_beside(&self.path, RootKey::random().text.as_bytes())?;
        file.as_file().sync_all().map_err(|e| private::unavailable("write", &self.path, e))?;
        match file.persist_noclobber(&self.path) {
            Err(error) if error.error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(private::unavailable("create", &self.path, error.error));
            }
            _ => {}
        }
        private::sync_folder(folder)
    }

    fn looks(&self) -> Option<Looks> {
        Looks::of(&self.path)
    }

    fn gone(&self) -> StoreError {
        let what = format!("read {}", self.path.display());
        StoreError::Unavailable { what, cause: Cause::text("the key file is gone: bring it back") }
    }
}

impl Looks {
    /// What a file looks like now; `None` if there is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let about = fs::symlink_metadata(path).ok()?;
        Some(Self(about.dev(), about.ino(), about.size(), about.ctime(), about.ctime_nsec()))
    }
}

/// A new key would not open what is sealed already; and once it is there, nobody notices that the old one is lost. `place`
/// is where the keys should be.
pub(super) fn refuse_over_sealed(folder: &Path, place: &str) -> Result<(), StoreError> {
    let entries = private::entries(folder)?;
    let Some(sealed) = entries.iter().find(|path| path.extension().is_some_and(|e| e == "enc")) else {
        return Ok(());
    };
    let content = private::read(sealed).ok().flatten().unwrap_or_default();
    let ids = recipients(record::envelope_of(&content).unwrap_or_default());
    Err(StoreError::WrongKey {
        what: sealed.display().to_string(),
        wanted: if ids.is_empty() { "of an earlier program".into() } else { names(&ids) },
        at_hand: format!("none, for {place} is missing: bring it back"),
    })
}
