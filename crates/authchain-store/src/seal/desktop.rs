//! Keys in the desktop's keyring (the Secret Service of GNOME, KDE and others), asked through `secret-tool` of libsecret:
//! a message bus has no place in a server.
//!
//! The folder of the records keeps the ids of the keys, in a file that holds no secret. It tells running processes that the
//! keys have changed, without asking the keyring each time; and where the entry is missing, it tells a first start from one
//! whose keys are lost.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use authchain_core::{Cause, StoreError};

use super::{
    KeyId,
    command::{Ended, run},
    key_file::{Looks, refuse_over_sealed},
    lines::Text,
    names,
    ring::Ring,
    root::RootKey,
};
use crate::{lock::FolderLock, private};

/// The file that says which keys there are.
pub(super) const IDS: &str = ".auth_keys_in_desktop_keyring";

/// The name of the key file, which has no place beside it.
const KEY_FILE: &str = ".auth_encryption_key";

/// A person may have to type a password before the keyring opens.
const PATIENCE: Duration = Duration::from_secs(60);

const WITHOUT: &str = "where there is no desktop (a container, a service), keep the keys elsewhere: storage.key_file, \
                       storage.keys or storage.key_command";

/// An entry of the desktop's keyring.
pub(super) struct DesktopKeys {
    name: String,
    folder: PathBuf,
    accepted: Mutex<Option<Looks>>,
}

impl DesktopKeys {
    pub(super) fn new(name: &str, folder: &Path) -> Self {
        Self { name: name.to_owned(), folder: folder.to_owned(), accepted: Mutex::default() }
    }

    /// Asks for the keys; makes an entry with one random key if there is none and never was.
    pub(super) fn read_or_create(&self) -> Result<Ring, StoreError> {
        private::ensure_folder(&self.folder)?;
        let mut lock = FolderLock::of(&self.folder);
        let _locked = lock.lock()?;
        let (found, known) = (self.look_up()?, self.ids()?);
        let text = match (found, &known) {
            (Some(text), _) => text,
            (None, Some(ids)) => return Err(self.lost(ids)),
            (None, None) => self.create()?,
        };
        let ring = Ring::read(&text, &self.to_string())?;
        if let Some(primary) = known.as_ref().and_then(|ids| ids.first())
            && !ring.knows(*primary)
        {
            let what = format!("what is in {}", self.folder.display());
            return Err(StoreError::WrongKey { what, wanted: primary.to_string(), at_hand: names(&ring.ids()) });
        }
        if known.as_ref() != Some(&ring.ids()) {
            self.note(&ring)?;
        }
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Looks::of(&self.ids_file());
        Ok(ring)
    }

    /// Asks for the keys if another process has changed them.
    pub(super) fn read_if_changed(&self) -> Result<Option<(Ring, Looks)>, StoreError> {
        let looks = Looks::of(&self.ids_file()).ok_or_else(|| {
            let what = format!("read {}", self.ids_file().display());
            StoreError::Unavailable { what, cause: Cause::text("it is gone, and with it which keys there are") }
        })?;
        if *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) == Some(looks) {
            return Ok(None);
        }
        let text = self.look_up()?.ok_or_else(|| self.lost(&self.ids().ok().flatten().unwrap_or_default()))?;
        Ok(Some((Ring::read(&text, &self.to_string())?, looks)))
    }

    /// The keys that were read when the file of their ids looked so are in use now.
    pub(super) fn accept(&self, looks: Looks) {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some(looks);
    }

    /// Replaces the entry as a whole, under the lock of the folder.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&str) -> Result<(Text, T), StoreError>,
    ) -> Result<T, StoreError> {
        let mut lock = FolderLock::of(&self.folder);
        let _locked = lock.lock()?;
        let text = self.look_up()?.ok_or_else(|| self.lost(&self.ids().ok().flatten().unwrap_or_default()))?;
        let (changed, result) = change(&text)?;
        // What cannot be read back must not take the place of what can.
        let ring = Ring::read(&changed, &self.to_string())?;
        self.store(&changed)?;
        self.note(&ring)?;
        Ok(result)
    }

    fn create(&self) -> Result<Text, StoreError> {
        refuse_over_sealed(&self.folder, &self.to_string())?;
        if self.folder.join(KEY_FILE).exists() {
            let key_file = self.folder.join(KEY_FILE);
            let why = format!(
                "there is a key file: to go on with its keys, `secret-tool store --label=authchain service authchain keys {} \
                 < {}`, and then remove the file",
                self.name,
                key_file.display()
            );
            return Err(StoreError::Unsupported(format!("new keys beside {}: {why}", key_file.display())));
        }
        let text = RootKey::random().text;
        self.store(&text)?;
        Ok(text)
    }

    fn look_up(&self) -> Result<Option<Text>, StoreError> {
        let ended = self.ask("lookup", &[], None)?;
        match (ended.succeeded, ended.complaint.trim()) {
            (true, _) if ended.printed.is_empty() => Ok(None),
            (true, _) => Ok(Some(ended.printed)),
            // That is how it says that there is no such entry.
            (false, "") => Ok(None),
            (false, why) => Err(self.failed("read", why)),
        }
    }

    fn store(&self, text: &str) -> Result<(), StoreError> {
        let ended = self.ask("store", &["--label=authchain"], Some(text))?;
        if !ended.succeeded {
            return Err(self.failed("write", ended.complaint.trim()));
        }
        // A keyring that stayed locked may have said nothing.
        match self.look_up()? {
            Some(kept) if *kept == text => Ok(()),
            _ => Err(self.failed("write", "what was stored is not there; is the keyring locked?")),
        }
    }

    fn ask(&self, verb: &str, options: &[&str], input: Option<&str>) -> Result<Ended, StoreError> {
        let mut command = Command::new("secret-tool");
        command.arg(verb).args(options).args(["service", "authchain", "keys", &self.name]).stderr(Stdio::piped());
        run(command, input, PATIENCE).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                self.failed(verb, "secret-tool is missing (Debian: apt-get install libsecret-tools)")
            }
            _ => self.failed(verb, &error.to_string()),
        })
    }

    fn failed(&self, verb: &str, why: &str) -> StoreError {
        StoreError::Unavailable { what: format!("{verb} {self}"), cause: Cause::text(format!("{why}; {WITHOUT}")) }
    }

    /// The entry was there once and is not now. A new key would not open what is sealed already.
    fn lost(&self, ids: &[KeyId]) -> StoreError {
        StoreError::WrongKey {
            what: format!("what is in {}", self.folder.display()),
            wanted: names(ids),
            at_hand: format!("none, for {self} is gone: unlock the keyring that has it, or bring it back"),
        }
    }

    fn ids_file(&self) -> PathBuf {
        self.folder.join(IDS)
    }

    /// Which keys there were, the primary first.
    fn ids(&self) -> Result<Option<Vec<KeyId>>, StoreError> {
        let path = self.ids_file();
        let Some(bytes) = private::read(&path)? else { return Ok(None) };
        let lines = std::str::from_utf8(&bytes).unwrap_or_default().lines();
        let ids: Result<Vec<KeyId>, _> = lines.filter(|line| !line.starts_with('#')).map(str::parse).collect();
        ids.map(Some).map_err(|_| private::corrupt(&path, "a line in it is no key id"))
    }

    fn note(&self, ring: &Ring) -> Result<(), StoreError> {
        let path = self.ids_file();
        let mut text =
            format!("# The keys with these ids are in the desktop's keyring: service authchain, keys {}\n", self.name);
        ring.ids().iter().for_each(|id| text.push_str(&format!("{id}\n")));
        let file = private::write_beside(&path, text.as_bytes())?;
        file.as_file().sync_all().map_err(|e| private::unavailable("write", &path, e))?;
        file.persist(&path).map_err(|e| private::unavailable("write", &path, e.error))?;
        private::sync_folder(&self.folder)
    }
}

impl fmt::Display for DesktopKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the entry {:?} of the desktop's keyring", self.name)
    }
}
