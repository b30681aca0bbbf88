//! One file per credential, in a folder that only its owner can look into.
//!
//! Writes are atomic and durable (temporary file, sync, rename, sync of the folder), serialized across processes by a lock
//! that dies with its holder, and committed in groups when many arrive at once. Reads take no lock. Files of earlier
//! programs are found under their old names, and get their new one at the next write.

mod commit;
mod folder;
mod name;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use authchain_core::{
    BoxStream, Credential, CredentialKey, CredentialStore, Expect, KeyFilter, StoreError, Version, Versioned,
};
use futures_util::{StreamExt, stream};

use self::{
    commit::{Committer, Job, Observer},
    folder::Folder,
};
use crate::{
    lock::FolderLock,
    private,
    record::{self, FileForm},
    seal::{self, KeyId, Keyring},
    writer::Writer,
};

/// How many files are looked at to see whether the keyring is the folder's own.
const SAMPLE: usize = 16;

/// Credentials in a folder, one file each.
///
/// ```
/// # async fn example(credential: authchain_core::Credential) -> Result<(), authchain_core::StoreError> {
/// use authchain_core::{CredentialKey, CredentialStore, Expect, ProviderId, UserId};
/// use authchain_store::{FileForm, FileStore, seal::Keyring};
///
/// let dir = std::path::Path::new("credentials");
/// let keyring = Keyring::open_or_create(&dir.join(".auth_encryption_key"))?;
/// let store = FileStore::open(dir, FileForm::Sealed(keyring))?;
/// let key = CredentialKey::new(ProviderId::google(), UserId::new("ann@example.com").unwrap());
/// store.put(&key, &credential, Expect::Absent).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct FileStore {
    folder: Arc<Folder>,
    writer: Writer<Job>,
}

impl FileStore {
    /// Opens the folder, and makes it with mode 0700 if there is none.
    ///
    /// # Errors
    /// [`StoreError::Insecure`] when others can look into it, [`StoreError::WrongKey`] when the keyring opens none of the
    /// records that are there (then the key file was lost or mixed up), [`StoreError::Unavailable`] when the folder cannot
    /// be made or read.
    pub fn open(dir: &Path, form: FileForm) -> Result<Self, StoreError> {
        Self::open_observed(dir, form, Box::new(|_, _| {}))
    }

    /// As [`FileStore::open`], with somebody who hears of every write.
    pub(crate) fn open_observed(dir: &Path, form: FileForm, observer: Observer) -> Result<Self, StoreError> {
        private::ensure_folder(dir)?;
        if let Some(keyring) = form.keyring() {
            check_keyring(dir, keyring)?;
        }
        warn_of_the_other_form(dir, &form)?;
        let folder = Arc::new(Folder { path: dir.to_owned(), form });
        let mut committer = Committer::new(Arc::clone(&folder), observer)?;
        if let Err(error) = committer.sweep() {
            // On a read-only file system one can still read.
            tracing::warn!(%error, "the credential folder cannot be written");
        }
        let writer = Writer::start("authchain-files", move |jobs| committer.write(jobs))?;
        Ok(Self { folder, writer })
    }

    /// Does something with the folder where blocking is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let folder = Arc::clone(&self.folder);
        let done = tokio::task::spawn_blocking(move || work(&folder)).await;
        done.unwrap_or_else(|error| Err(StoreError::unavailable("read credentials", error)))
    }

    /// The keys that a record opens with, any of them; `None` when there is no such record.
    pub(crate) async fn keys_of(&self, key: &CredentialKey) -> Result<Option<Vec<KeyId>>, StoreError> {
        let key = key.clone();
        self.blocking(move |folder| Ok(folder.bytes(&key)?.map(|bytes| folder.form.sealed_with(&bytes)))).await
    }

    /// Seals a record for the primary key without opening it; whether there was something to do.
    pub(crate) async fn rewrap(&self, key: &CredentialKey) -> Result<bool, StoreError> {
        let key = key.clone();
        self.writer.ask(|reply| Job::Rewrap { key, reply }).await
    }

    /// Waits until every write of any process that began before now is visible.
    pub(crate) async fn settle(&self) -> Result<(), StoreError> {
        self.blocking(|folder| FolderLock::of(&folder.path).lock().map(drop)).await
    }

    /// Reads one credential on the caller's thread.
    pub(crate) fn read_now(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError> {
        self.folder.get(key)
    }

    /// Lists on the caller's thread.
    pub(crate) fn list_now(&self, filter: &KeyFilter) -> Result<Vec<Result<CredentialKey, StoreError>>, StoreError> {
        self.folder.list(filter)
    }
}

#[async_trait]
impl CredentialStore for FileStore {
    async fn get(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError> {
        // Another thread and back takes longer than all the rest.
        if let Some(read) = self.folder.get_cached(key) {
            return Ok(Some(read));
        }
        let key = key.clone();
        self.blocking(move |folder| folder.get(&key)).await
    }

    /// A broken file under this key stays what it is, and the error is the one that reading it gives; only with
    /// [`Expect::Any`] is it set aside under another name. A file that is sealed with a key that is not at hand is never
    /// written over.
    async fn put(&self, key: &CredentialKey, credential: &Credential, expect: Expect) -> Result<Version, StoreError> {
        let (key, credential) = (key.clone(), Box::new(credential.clone()));
        self.writer.ask(|reply| Job::Put { key, credential, expect, reply }).await
    }

    async fn delete(&self, key: &CredentialKey, expect: Expect) -> Result<bool, StoreError> {
        let key = key.clone();
        self.writer.ask(|reply| Job::Delete { key, expect, reply }).await
    }

    fn list(&self, filter: &KeyFilter) -> BoxStream<'_, Result<CredentialKey, StoreError>> {
        let filter = filter.clone();
        let keys = async move {
            let listed = self.blocking(move |folder| folder.list(&filter)).await;
            stream::iter(listed.unwrap_or_else(|error| vec![Err(error)]))
        };
        Box::pin(stream::once(keys).flatten())
    }
}

/// Refuses a keyring that opens nothing of what is there: it is somebody else's, or was made anew by mistake, and
/// everything written with it would make matters worse.
fn check_keyring(dir: &Path, keyring: &Keyring) -> Result<(), StoreError> {
    let at_hand = keyring.ids();
    let mut stranger = None;
    let entries = private::entries(dir)?;
    for path in entries.iter().filter(|path| path.extension().is_some_and(|e| e == "enc")).take(SAMPLE) {
        // What cannot be read, or is of an earlier program, is dealt with when it is asked for.
        let Ok(Some(bytes)) = private::read(path) else { continue };
        let wanted = seal::recipients(record::envelope_of(&bytes).unwrap_or_default());
        if wanted.iter().any(|id| at_hand.contains(id)) {
            return Ok(());
        }
        if let Some(id) = wanted.first() {
            stranger.get_or_insert((path, *id));
        }
    }
    match stranger {
        None => Ok(()),
        Some((path, id)) => Err(StoreError::WrongKey {
            what: path.display().to_string(),
            wanted: id.to_string(),
            at_hand: at_hand.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// Someone who switches the mode without migrating would find an empty store and not know why.
fn warn_of_the_other_form(dir: &Path, form: &FileForm) -> Result<(), StoreError> {
    let other = match form {
        FileForm::Plaintext => "enc",
        FileForm::Sealed(_) | FileForm::Fernet(_) => "json",
    };
    let names = private::entries(dir)?;
    let count = names.iter().filter_map(|path| name::parse(path.file_name()?.to_str()?, other)).count();
    if count > 0 {
        tracing::warn!(
            folder = %dir.display(), count,
            "the folder holds credentials in another storage mode, which are not read: `authchain credentials migrate` converts them"
        );
    }
    Ok(())
}

/// Reads a file's name, in either form.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn try_name(text: &str) {
    for extension in ["enc", "json"] {
        if let Some(name::Name::Key(key)) = name::parse(text, extension) {
            assert_eq!(format!("{}.{extension}", name::stem(&key)), text, "one key has one name");
        }
    }
}
