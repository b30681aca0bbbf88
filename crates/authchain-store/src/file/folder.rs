//! What is in a folder of credentials: reading and listing, without a lock, since files appear and go as a whole.

use std::{
    collections::HashSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use authchain_core::{Cause, Credential, CredentialKey, KeyFilter, StoreError, Version, Versioned};
use aws_lc_rs::digest;
use zeroize::Zeroizing;

use super::name::{self, Name};
use crate::{
    authorized_user::AuthorizedUser,
    private::{self, corrupt},
    record::{self, FileForm},
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
    /// The envelope in it, where a user's key opens that: whoever writes over it must not shut that user out.
    pub(super) for_users: Option<Zeroizing<Vec<u8>>>,
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
        match &self.form {
            // Whoever shares the folder with an earlier program wants it to find the file.
            FileForm::Fernet(_) => match name::plain_old_name(key, self.form.extension()) {
                Some(name) => self.path.join(name),
                None => self.own_name(key),
            },
            FileForm::Plaintext | FileForm::Sealed(_) => self.own_name(key),
        }
    }

    /// The file of a key under a name that only authchain gives.
    fn own_name(&self, key: &CredentialKey) -> PathBuf {
        self.path.join(format!("{}.{}", name::stem(key), self.form.extension()))
    }

    /// Reads one credential.
    pub(super) fn get(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError> {
        let Some(stored) = self.stored(key)? else { return Ok(None) };
        Ok(Some(Versioned { value: stored.credential?, version: stored.version }))
    }

    /// Reads one credential if that takes no disk and nothing is wrong with it; otherwise `None`, and [`Folder::get`] tells.
    pub(super) fn get_cached(&self, key: &CredentialKey) -> Option<Versioned<Credential>> {
        if matches!(self.form, FileForm::Fernet(_)) {
            return None;
        }
        let path = self.file_of(key);
        let bytes = private::read_cached(&path)?;
        let value = self.form.decode_with_keys_at_hand(key, &bytes, &path)?;
        Some(Versioned { value, version: version_of(&bytes) })
    }

    /// What is stored for a key, under its own name or an old one.
    ///
    /// The outer error means that nobody can say what is stored.
    pub(super) fn stored(&self, key: &CredentialKey) -> Result<Option<Stored>, StoreError> {
        let own = self.file_of(key);
        let first = match self.form {
            FileForm::Fernet(_) => self.at(key, own.clone())?,
            // Nearly every read ends here.
            FileForm::Plaintext | FileForm::Sealed(_) => self.own(key, own.clone())?,
        };
        if first.is_some() {
            return Ok(first);
        }
        for path in self.other_files(key) {
            if let Some(stored) = self.at(key, path)? {
                return Ok(Some(stored));
            }
        }
        // A writer may have renamed the old file after the first look and before the second.
        if let Some(stored) = self.at(key, own)? {
            return Ok(Some(stored));
        }
        self.check_presence()?;
        Ok(None)
    }

    /// What a file that may be this key's holds for it.
    fn at(&self, key: &CredentialKey, path: PathBuf) -> Result<Option<Stored>, StoreError> {
        if let Some(Name::Old(safe)) = path.file_name().and_then(|name| self.parse(name)) {
            return self.old(key, path, &safe);
        }
        self.own(key, path)
    }

    /// What a file under a name that only authchain gives holds for its key.
    fn own(&self, key: &CredentialKey, path: PathBuf) -> Result<Option<Stored>, StoreError> {
        let Some(bytes) = private::read(&path)? else { return Ok(None) };
        let credential = self.form.decode(key, &bytes, &path);
        let for_users = record::envelope_for_users(&bytes);
        Ok(Some(Stored { path, version: version_of(&bytes), credential, for_users }))
    }

    /// Where else a key's credential may be: under our name for it, should that not be the one in use, and where earlier
    /// programs may have filed it.
    fn other_files(&self, key: &CredentialKey) -> impl Iterator<Item = PathBuf> {
        let own = self.file_of(key);
        let old = name::old_names(key, self.form.extension()).into_iter().map(|name| self.path.join(name));
        std::iter::once(self.own_name(key)).chain(old).filter(move |path| *path != own)
    }

    /// What an earlier program stored, if it is this key's.
    fn old(&self, key: &CredentialKey, path: PathBuf, safe: &str) -> Result<Option<Stored>, StoreError> {
        // As long as the file does not say otherwise, it belongs to whom its name most plainly stands for.
        let plainly_theirs = name::old_owner(safe, None).as_ref() == Some(key);
        let bytes = match private::read(&path) {
            Ok(Some(bytes)) => bytes,
            Err(error) if plainly_theirs => return Err(error),
            Ok(None) | Err(_) => return Ok(None),
        };
        let version = version_of(&bytes);
        let stored = |path, credential| Ok(Some(Stored { path, version, credential, for_users: None }));
        match self.form.decode_old(&bytes, &path) {
            Ok(file) => match owner_of_old(safe, &file) {
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
        for path in self.other_files(key) {
            if let Some(stored) = self.at(key, path)?
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
                if self.own_name(&key) == path {
                    Ok(Some(key))
                } else {
                    Err(corrupt(path, format!("it was written for {key}, under another name")))
                }
            }
            Some(Name::Old(safe)) => {
                let named =
                    private::read(path).ok().flatten().and_then(|bytes| self.form.decode_old(&bytes, path).ok());
                Ok(named
                    .and_then(|file| owner_of_old(&safe, &file))
                    // It names another owner: listed by its name, so that somebody looks and reads the error.
                    .or_else(|| name::old_owner(&safe, None)))
            }
        }
    }

    /// The bytes of the file that a key's credential is in.
    pub(super) fn bytes(&self, key: &CredentialKey) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self.stored(key)? {
            Some(stored) => private::read(&stored.path),
            None => Ok(None),
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

/// Whose an earlier program's file is; where authchain has written it for that program, it says so itself.
fn owner_of_old(safe: &str, file: &AuthorizedUser) -> Option<CredentialKey> {
    match &file.key {
        Some(key) => Some(key.clone()).filter(|key| name::fits_old(safe, key)),
        None => name::old_owner(safe, file.owner.as_ref()),
    }
}
