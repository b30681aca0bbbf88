//! What is in a folder of credentials: reading and listing, without a lock, since files appear and go as a whole.

use std::{
    collections::HashSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use authchain_core::{Cause, Credential, CredentialKey, KeyFilter, StoreError, Version, Versioned};
use aws_lc_rs::digest;

use super::name::{self, Name};
use crate::{
    private::{self, corrupt},
    record::FileForm,
};

/// A folder of credentials in one form.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) form: FileForm,
}

/// What is stored for a key.
#[derive(Debug)]
pub(super) struct Stored {
    /// The file it is in.
    pub(super) path: PathBuf,
    /// The version of the bytes that are there.
    pub(super) version: Version,
    /// What is in it, or why it cannot be read.
    pub(super) credential: Result<Credential, StoreError>,
}

/// The version of a file's content: the beginning of its SHA-256. It is the same for every process, and differs after
/// each write, for no two writes leave the same bytes.
pub(super) fn version_of(bytes: &[u8]) -> Version {
    let hash = digest::digest(&digest::SHA256, bytes);
    Version(hash.as_ref().first_chunk().map_or(0, |head| u64::from_be_bytes(*head)))
}

impl Folder {
    /// The file of a key.
    pub(super) fn file_of(&self, key: &CredentialKey) -> PathBuf {
        self.path.join(format!("{}.{}", name::stem(key), self.form.extension()))
    }

    /// Reads one credential.
    pub(super) fn get(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError> {
        let Some(stored) = self.stored(key)? else { return Ok(None) };
        Ok(Some(Versioned { value: stored.credential?, version: stored.version }))
    }

    /// What is stored for a key, under its own name or an old one.
    ///
    /// The outer error means that nobody can say what is stored.
    pub(super) fn stored(&self, key: &CredentialKey) -> Result<Option<Stored>, StoreError> {
        if let Some(stored) = self.own(key)? {
            return Ok(Some(stored));
        }
        for path in self.old_files(key) {
            if let Some(stored) = self.old(key, path)? {
                return Ok(Some(stored));
            }
        }
        // A writer may have renamed the old file after the first look and before the second.
        if let Some(stored) = self.own(key)? {
            return Ok(Some(stored));
        }
        self.check_presence()?;
        Ok(None)
    }

    fn own(&self, key: &CredentialKey) -> Result<Option<Stored>, StoreError> {
        let path = self.file_of(key);
        let Some(bytes) = private::read(&path)? else { return Ok(None) };
        let credential = self.form.decode(key, &bytes, &path);
        Ok(Some(Stored { path, version: version_of(&bytes), credential }))
    }

    /// Where earlier programs may have filed a key's credential.
    fn old_files(&self, key: &CredentialKey) -> impl Iterator<Item = PathBuf> {
        name::old_names(key, self.form.extension()).into_iter().map(|name| self.path.join(name))
    }

    /// What an earlier program stored, if it is this key's.
    fn old(&self, key: &CredentialKey, path: PathBuf) -> Result<Option<Stored>, StoreError> {
        let Some(Name::Old(safe)) = path.file_name().and_then(|name| self.parse(name)) else { return Ok(None) };
        // As long as the file does not say otherwise, it belongs to whom its name most plainly stands for.
        let plainly_theirs = name::old_owner(&safe, None).as_ref() == Some(key);
        let bytes = match private::read(&path) {
            Ok(Some(bytes)) => bytes,
            Err(error) if plainly_theirs => return Err(error),
            Ok(None) | Err(_) => return Ok(None),
        };
        let version = version_of(&bytes);
        let stored = |path, credential| Ok(Some(Stored { path, version, credential }));
        match self.form.decode_old(&bytes, &path) {
            Ok(file) => match name::old_owner(&safe, file.owner.as_ref()) {
                Some(owner) if owner == *key => stored(path, Ok(file.credential)),
                None if plainly_theirs => {
                    let error = corrupt(&path, "it names another owner than its name does");
                    stored(path, Err(error))
                }
                Some(_) | None => Ok(None),
            },
            Err(error) if plainly_theirs => stored(path, Err(error)),
            Err(_) => Ok(None),
        }
    }

    /// The files of earlier programs that can be read and are this key's.
    pub(super) fn readable_old_files(&self, key: &CredentialKey) -> Result<Vec<PathBuf>, StoreError> {
        let mut files = Vec::new();
        for path in self.old_files(key) {
            if let Some(stored) = self.old(key, path)?
                && stored.credential.is_ok()
            {
                files.push(stored.path);
            }
        }
        Ok(files)
    }

    /// Every key, and an error for each file that does not tell its key.
    pub(super) fn list(&self, filter: &KeyFilter) -> Result<Vec<Result<CredentialKey, StoreError>>, StoreError> {
        let mut seen = HashSet::new();
        let mut keys = Vec::new();
        for path in private::entries(&self.path)? {
            match self.key_of(&path) {
                Ok(Some(key)) if filter.matches(&key) && seen.insert(key.clone()) => keys.push(Ok(key)),
                Ok(_) => {}
                Err(error) => keys.push(Err(error)),
            }
        }
        Ok(keys)
    }

    /// The key of a file; `None` for files that are no records.
    fn key_of(&self, path: &Path) -> Result<Option<CredentialKey>, StoreError> {
        match path.file_name().and_then(|name| self.parse(name)) {
            None => Ok(None),
            Some(Name::Key(key)) => Ok(Some(key)),
            Some(Name::Long) => {
                let Some(bytes) = private::read(path)? else { return Ok(None) };
                let key = self.form.owner(&bytes, path)?;
                if self.file_of(&key) == path {
                    Ok(Some(key))
                } else {
                    Err(corrupt(path, format!("it was written for {key}, under another name")))
                }
            }
            Some(Name::Old(safe)) => {
                let named =
                    private::read(path).ok().flatten().and_then(|bytes| self.form.decode_old(&bytes, path).ok());
                Ok(name::old_owner(&safe, named.and_then(|file| file.owner).as_ref())
                    // It names another owner: listed by its name, so that somebody looks and reads the error.
                    .or_else(|| name::old_owner(&safe, None)))
            }
        }
    }

    fn parse(&self, name: &OsStr) -> Option<Name> {
        name::parse(name.to_str()?, self.form.extension())
    }

    /// Tells a folder without a record from a folder that is gone.
    fn check_presence(&self) -> Result<(), StoreError> {
        if self.path.is_dir() {
            return Ok(());
        }
        let cause = Cause::text("the folder is gone");
        Err(StoreError::Unavailable { what: format!("read {}", self.path.display()), cause })
    }
}
