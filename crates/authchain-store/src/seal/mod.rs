//! Sealing: what leaves this program for a disk or a database is encrypted with AES-256-GCM under keys of a [`Keyring`],
//! and bound to the record that it belongs to. `docs/sealed-format.md` describes the bytes.
//!
//! ```
//! use authchain_store::seal::Keyring;
//!
//! let keyring = Keyring::ephemeral();
//! let sealed = keyring.seal(b"google/ann@example.com", b"a secret")?;
//! assert_eq!(**keyring.open(b"google/ann@example.com", &sealed, "ann's record")?, *b"a secret");
//! assert!(keyring.open(b"google/bob@example.com", &sealed, "bob's record").is_err());
//! # Ok::<(), authchain_core::StoreError>(())
//! ```

mod command;
mod desktop;
mod envelope;
pub(crate) mod fernet;
mod key_file;
mod key_id;
mod lines;
mod records;
mod ring;
mod root;
mod user_key;
mod user_keys;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use authchain_core::{Secret, StoreError, SystemClock};
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

pub(crate) use self::records::has_users;
use self::{
    command::KeyCommand,
    desktop::DesktopKeys,
    envelope::{Envelope, Key, Opener},
    key_file::KeyFile,
    key_id::names,
    ring::Ring,
    root::RootKey,
};
pub use self::{
    key_id::{InvalidKeyId, KeyId},
    user_key::{Openers, UserKey},
    user_keys::{Sharing, UserKeys},
};

/// One primary key that seals, and any number of retired ones that still open. Cheap to clone; clones share the keys.
#[derive(Clone)]
pub struct Keyring(Arc<Shared>, Option<UserKeys>);

struct Shared {
    ring: RwLock<Arc<Ring>>,
    /// How often the keys have changed.
    changes: AtomicU64,
    source: Source,
}

/// Where the keys came from.
enum Source {
    /// They were handed over and do not change.
    Given,
    /// A file that other processes may change.
    File(KeyFile),
    /// What a command prints, which may be something else the next time.
    Command(KeyCommand),
    /// The desktop's keyring, where other processes may change them.
    Desktop(DesktopKeys),
}

/// What the bytes of new files look like. Either is read, whatever is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// The sealed format of authchain: AES-256-GCM.
    #[default]
    AesGcm,
    /// Version 1 of earlier programs, which they open: Fernet, that is AES-128-CBC with HMAC-SHA256.
    Fernet,
}

impl Keyring {
    /// Opens the key file, or creates it with one random key at first use.
    ///
    /// The file holds one Fernet key (44 characters of URL-safe base64), as installations of earlier programs have it, or
    /// several, one a line: the first is the primary, the others are retired.
    ///
    /// # Errors
    /// [`StoreError::Insecure`] when others can read the file, [`StoreError::Corrupt`] when it holds something else than
    /// keys, [`StoreError::WrongKey`] when there is no file but sealed records lie beside where it should be: then the
    /// file was lost, and a new key would not open them.
    pub fn open_or_create(key_file: &Path) -> Result<Self, StoreError> {
        let file = KeyFile::at(key_file);
        let ring = file.read_or_create()?;
        Ok(Self::of(ring, Source::File(file)))
    }

    /// Takes keys in Fernet form, the primary first: from the environment, or from wherever a program keeps them.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when there is no key, or one is none; `what` says where they came from.
    pub fn from_keys(keys: &[Secret], what: &str) -> Result<Self, StoreError> {
        Ring::parse(keys.iter().map(Secret::expose), what).map(|ring| Self::of(ring, Source::Given))
    }

    /// Takes the keys that a command prints, one a line as in a key file: from a vault, or from the desktop's keyring
    /// (`secret-tool lookup service authchain`, `security find-generic-password -s authchain -w`). The shell `sh` runs it,
    /// and again when a key is missing or might have changed, at most twice a minute. Blocks for as long as it runs.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it fails or takes longer than ten seconds, [`StoreError::Corrupt`] when it prints
    /// something else than keys. What it prints is never shown.
    pub fn from_command(command: &str) -> Result<Self, StoreError> {
        let command = KeyCommand::new(command);
        let ring = command.run()?;
        Ok(Self::of(ring, Source::Command(command)))
    }

    /// Takes the keys from the entry `name` of the desktop's keyring (the Secret Service), or makes it with one random key at
    /// first use. `secret-tool` of libsecret asks it; a person may have to unlock the keyring meanwhile. The records that are
    /// sealed with the keys are in `folder`, or elsewhere and only the ids of the keys are there. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no such keyring or it stays locked; [`StoreError::WrongKey`] when the entry
    /// is gone or another one; [`StoreError::Unsupported`] when there is a key file in the folder: it never takes a new key
    /// in place of one that something is sealed with.
    pub fn from_desktop(name: &str, folder: &Path) -> Result<Self, StoreError> {
        let desktop = DesktopKeys::new(name, folder);
        let ring = desktop.read_or_create()?;
        Ok(Self::of(ring, Source::Desktop(desktop)))
    }

    /// Reads the text of a key file.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn from_lines(text: &str, what: &str) -> Result<Self, StoreError> {
        Ring::read(text, what).map(|ring| Self::of(ring, Source::Given))
    }

    /// One random key that is gone with the process: for `memory_only` and for tests.
    ///
    /// # Panics
    /// When the operating system gives no random bytes.
    pub fn ephemeral() -> Self {
        Self::of(Ring::random(), Source::Given)
    }

    fn of(ring: Ring, source: Source) -> Self {
        Self(Arc::new(Shared { ring: RwLock::new(Arc::new(ring)), changes: AtomicU64::new(0), source }), None)
    }

    /// The same keys, with those that users bring: a store that is opened with it seals and opens the records of these users
    /// with them. One that has been opened already does not notice.
    #[must_use]
    pub fn with_users(self, users: UserKeys) -> Self {
        Self(self.0, Some(users))
    }

    fn ring(&self) -> Arc<Ring> {
        // Whoever panicked while holding it has not changed it: it is replaced as a whole.
        Arc::clone(&self.0.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Seals `plaintext` with the primary key. It opens only together with the same `associated` data, which is not kept.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] when there is more than AES-GCM can seal (64 GiB).
    pub fn seal(&self, associated: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.seal_for(Openers::Server, associated, plaintext)
    }

    /// As [`Keyring::seal`], for others beside or in place of the server alone.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] for nobody at all, for more than 255 who may open it, and for more than 64 GiB.
    pub fn seal_for(&self, openers: Openers<'_>, associated: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, StoreError> {
        let ring = self.ring();
        let (id, kek) = (ring.primary.id, &ring.primary.kek);
        let (alone, users) = match openers {
            Openers::Server => (true, &[][..]),
            Openers::ServerAndUsers(users) => (true, users),
            Openers::UsersOnly(users) => (false, users),
        };
        let alone = alone.then_some(Opener { id, kek, user: None });
        let together = users.iter().map(|user| Opener { id, kek, user: Some(&user.0) });
        let openers: Vec<_> = alone.into_iter().chain(together).collect();
        let sealed = envelope::seal(&openers, associated, plaintext, random);
        sealed.ok_or_else(|| StoreError::Unsupported("more than can be sealed at once, or sealed for nobody".into()))
    }

    /// Opens what [`Keyring::seal`] made, with the primary key or a retired one. `what` names the record in errors.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`] when it is sealed with a key that is not at hand, [`StoreError::Corrupt`] when it was
    /// changed, is cut short, is of a version that this program does not know, or belongs to another record.
    pub fn open(&self, associated: &[u8], sealed: &[u8], what: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.open_as(None, associated, sealed, what)
    }

    /// As [`Keyring::open`], on behalf of a user who brings a key.
    ///
    /// # Errors
    /// As [`Keyring::open`]; [`StoreError::WrongKey`] also when it is sealed for other users only.
    pub fn open_as(
        &self,
        user: Option<&UserKey>,
        associated: &[u8],
        sealed: &[u8],
        what: &str,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let ring = self.ring();
        let users: Vec<&Key> = user.map(|user| &user.0).into_iter().collect();
        let opened = Envelope::parse(sealed).and_then(|envelope| envelope.open(|id| ring.kek(id), &users, associated));
        opened.map_err(|flaw| ring.explain(flaw, what))
    }

    /// Seals for the primary key what was sealed for others, without touching its content or the users' part in it; `None`
    /// when it is so already.
    ///
    /// # Errors
    /// Those of [`Keyring::open`].
    pub fn rewrap(&self, associated: &[u8], sealed: &[u8], what: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let ring = self.ring();
        let primary = (ring.primary.id, &ring.primary.kek);
        let rewrapped = Envelope::parse(sealed)
            .and_then(|envelope| envelope.rewrap(|id| ring.kek(id), primary, associated, random));
        rewrapped.map_err(|flaw| ring.explain(flaw, what))
    }

    /// Keys for another purpose, one of each root key, the primary's first: to sign, to encrypt a cookie, ... Nothing
    /// about one purpose's keys can be learned from another's.
    pub fn derive(&self, purpose: &str) -> Vec<(KeyId, Zeroizing<[u8; 32]>)> {
        self.ring().all().map(|key| (key.id, key.derive(purpose))).collect()
    }

    /// The ids of the keys at hand, the primary's first.
    pub fn ids(&self) -> Vec<KeyId> {
        self.ring().ids()
    }

    /// Makes a new primary key; the one until now opens what it sealed. Running processes take it up with their next write
    /// or look ([`Keyring::refresh`]).
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] when the keys do not come from a file: then a new one is put in front where they come
    /// from. Otherwise those of writing a file.
    pub fn rotate(&self) -> Result<KeyId, StoreError> {
        let made = self
            .change("put a new key in front of them there: openssl rand -base64 32 | tr +/ -_", |text, _| {
                Ok(lines::with_primary(text))
            })?;
        self.refresh()?;
        Ok(made)
    }

    /// Takes a key away for good. Whoever calls it has made sure that no record needs it.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] for the primary key, an unknown one, or keys that are not ours to change; otherwise
    /// those of writing a file.
    pub fn retire(&self, id: KeyId) -> Result<RetiredKey, StoreError> {
        let text = self.change("take it away there", |text, place| lines::without(text, id, place))?;
        self.refresh()?;
        Ok(RetiredKey { id, text })
    }

    /// Brings back what was retired a moment ago.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn bring_back(&self, key: &RetiredKey) -> Result<(), StoreError> {
        self.change("bring it back there", |text, _| Ok((lines::with_retired(text, key.id, &key.text), ())))?;
        self.refresh()
    }

    /// Changes the text that the keys are in; `change` also gets to know where that is.
    fn change<T>(
        &self,
        otherwise: &str,
        change: impl FnOnce(&str, &str) -> Result<(lines::Text, T), StoreError>,
    ) -> Result<T, StoreError> {
        let source = &self.0.source;
        let place = source.to_string();
        match source {
            Source::File(file) => file.change(|text| change(text, &place)),
            Source::Desktop(desktop) => desktop.change(|text| change(text, &place)),
            Source::Given | Source::Command(_) => Err(StoreError::Unsupported(format!(
                "the keys do not come from a key file, so authchain cannot change them; {otherwise}"
            ))),
        }
    }

    /// Reads the keys again if they may have changed since: another process may have made a new primary key. Blocks for as
    /// long as it takes to look at a file, or to run the command where the keys come from one.
    ///
    /// # Errors
    /// When they are gone, cannot be read, or lack the key that was primary until now and was not retired. The keys at hand
    /// stay, but nothing should be sealed with them any more: it might never be opened again.
    pub fn refresh(&self) -> Result<(), StoreError> {
        let read = match &self.0.source {
            Source::Given => None,
            Source::File(file) => file.read_if_changed()?.map(|(fresh, looks)| (fresh, Some(looks))),
            Source::Desktop(desktop) => desktop.read_if_changed()?.map(|(fresh, looks)| (fresh, Some(looks))),
            Source::Command(command) => command.run_if_due()?.map(|fresh| (fresh, None)),
        };
        let Some((fresh, looks)) = read else { return Ok(()) };
        let mut ring = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
        if !fresh.knows(ring.primary.id) {
            return Err(StoreError::WrongKey {
                what: format!("what was written since {} was last read", self.0.source),
                wanted: ring.primary.id.to_string(),
                at_hand: names(&fresh.ids()),
            });
        }
        match (&self.0.source, looks) {
            (Source::File(file), Some(looks)) => file.accept(looks),
            (Source::Desktop(desktop), Some(looks)) => desktop.accept(looks),
            _ => {}
        }
        *ring = Arc::new(fresh);
        self.0.changes.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// As [`Keyring::refresh`] where that takes a look at a file and no more, for those who met a key that they do not know
    /// and may not block. Whether the keys have changed.
    pub fn look_again(&self) -> bool {
        let before = self.changes();
        if matches!(self.0.source, Source::File(_))
            && let Err(error) = self.refresh()
        {
            tracing::warn!(%error, "the keys cannot be read again; those at hand stay");
        }
        self.changes() != before
    }

    /// How often the keys have changed since this keyring was opened: who derives keys derives them again then.
    pub fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Acquire)
    }

    /// Encrypts as version 1 of earlier programs, which open it with the primary key.
    pub(crate) fn seal_fernet(&self, plaintext: &[u8]) -> Vec<u8> {
        fernet::seal(&self.ring().primary, plaintext, &SystemClock)
    }

    /// Opens a version 1 or 2 file of earlier programs.
    pub(crate) fn open_fernet(&self, bytes: &[u8], what: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let ring = self.ring();
        let keys: Vec<&RootKey> = ring.all().collect();
        fernet::open(&keys, bytes).map_err(|flaw| match flaw {
            fernet::Flaw::NoKey => StoreError::WrongKey {
                what: what.to_owned(),
                wanted: "not named in the file, or it was changed".into(),
                at_hand: names(&ring.ids()),
            },
            fernet::Flaw::Malformed(why) => StoreError::Corrupt { what: what.to_owned(), why: why.to_owned() },
        })
    }

    /// The keys at hand that open a version 1 or 2 file of earlier programs; these files do not name them.
    pub(crate) fn ids_for_fernet(&self, bytes: &[u8]) -> Vec<KeyId> {
        let ring = self.ring();
        ring.all().filter(|key| fernet::open(&[key], bytes).is_ok()).map(|key| key.id).collect()
    }
}

/// A key that was taken out of the key file, in case somebody turns out to need it.
pub struct RetiredKey {
    id: KeyId,
    text: Zeroizing<String>,
}

impl fmt::Debug for RetiredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RetiredKey").field(&self.id).finish()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("the keys that were given"),
            Self::File(file) => write!(f, "{}", file.path().display()),
            Self::Command(command) => write!(f, "{command}"),
            Self::Desktop(desktop) => write!(f, "{desktop}"),
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.ids()).finish()
    }
}

/// The ids of the keys that sealed bytes can be opened with; none if they are not in the sealed format.
pub fn recipients(sealed: &[u8]) -> Vec<KeyId> {
    Envelope::parse(sealed).map(|envelope| envelope.key_ids()).unwrap_or_default()
}

fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// HKDF-Expand (RFC 5869, section 2.3) to 32 bytes.
fn expand(prk: &hkdf::Prk, info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let info = [info];
    prk.expand(&info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *key))
        .expect("HKDF gives 32 bytes of the hash's own length");
    key
}

#[cfg(test)]
mod tests;
