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

mod envelope;
pub(crate) mod fernet;
mod key_file;
mod root;

use std::{
    fmt,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use authchain_core::{Secret, StoreError};
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use self::{
    envelope::{Envelope, Flaw},
    key_file::KeyFile,
    root::RootKey,
};

/// The name of a key: eight bytes that are derived from it and say nothing about it. Written as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn names(ids: &[KeyId]) -> String {
    ids.iter().map(KeyId::to_string).collect::<Vec<_>>().join(", ")
}

/// One primary key that seals, and any number of retired ones that still open. Cheap to clone; clones share the keys.
#[derive(Clone)]
pub struct Keyring(Arc<Shared>);

struct Shared {
    ring: RwLock<Arc<Ring>>,
    /// Where the keys came from and may change; none for keys that were handed over.
    file: Option<KeyFile>,
}

/// The keys as they were read; never empty, the primary first.
struct Ring {
    primary: RootKey,
    retired: Vec<RootKey>,
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
        Ok(Self::of(ring, Some(file)))
    }

    /// Takes keys in Fernet form, the primary first: from the environment, a command, a desktop keyring.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when there is no key, or one is none; `what` says where they came from.
    pub fn from_keys(keys: &[Secret], what: &str) -> Result<Self, StoreError> {
        Ring::parse(keys.iter().map(Secret::expose), what).map(|ring| Self::of(ring, None))
    }

    /// One random key that is gone with the process: for `memory_only` and for tests.
    ///
    /// # Panics
    /// When the operating system gives no random bytes.
    pub fn ephemeral() -> Self {
        Self::of(Ring { primary: RootKey::random(), retired: Vec::new() }, None)
    }

    fn of(ring: Ring, file: Option<KeyFile>) -> Self {
        Self(Arc::new(Shared { ring: RwLock::new(Arc::new(ring)), file }))
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
        let ring = self.ring();
        envelope::seal(&[(ring.primary.id, &ring.primary.kek)], associated, plaintext, random)
            .ok_or_else(|| StoreError::Unsupported("more than can be sealed at once".into()))
    }

    /// Opens what [`Keyring::seal`] made, with the primary key or a retired one. `what` names the record in errors.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`] when it is sealed with a key that is not at hand, [`StoreError::Corrupt`] when it was
    /// changed, is cut short, is of a version that this program does not know, or belongs to another record.
    pub fn open(&self, associated: &[u8], sealed: &[u8], what: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let ring = self.ring();
        let opened = Envelope::parse(sealed)
            .and_then(|envelope| envelope.open(|id| ring.key(id).map(|key| &key.kek), associated));
        opened.map_err(|flaw| {
            let why = match flaw {
                Flaw::NoKey(wanted) => {
                    let (wanted, at_hand) = (names(&wanted), names(&ring.ids()));
                    return StoreError::WrongKey { what: what.to_owned(), wanted, at_hand };
                }
                Flaw::Malformed(why) => why,
                Flaw::Forged => "it was changed, or it belongs to another record",
            };
            StoreError::Corrupt { what: what.to_owned(), why: why.to_owned() }
        })
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

    /// Reads the key file again if it has changed since: another process may have made a new primary key. Blocks for as
    /// long as it takes to look at a file.
    ///
    /// # Errors
    /// When the file is gone, cannot be read, or lacks the key that was primary until now. The keys at hand stay, but
    /// nothing should be sealed with them any more: it might never be opened again.
    pub fn refresh(&self) -> Result<(), StoreError> {
        let Some(file) = &self.0.file else { return Ok(()) };
        let Some((fresh, looks)) = file.read_if_changed()? else { return Ok(()) };
        let mut ring = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
        if fresh.key(ring.primary.id).is_none() {
            return Err(StoreError::WrongKey {
                what: format!("what was written since {} was last read", file.path().display()),
                wanted: ring.primary.id.to_string(),
                at_hand: names(&fresh.ids()),
            });
        }
        file.accept(looks);
        *ring = Arc::new(fresh);
        Ok(())
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
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.ids()).finish()
    }
}

impl Ring {
    /// Reads keys in Fernet form, the primary first.
    fn parse<'a>(keys: impl IntoIterator<Item = &'a str>, what: &str) -> Result<Self, StoreError> {
        let corrupt = |why: &str| StoreError::Corrupt { what: what.to_owned(), why: why.to_owned() };
        let keys = keys.into_iter().map(|text| {
            RootKey::parse(text).ok_or_else(|| corrupt("a key is 44 characters of URL-safe base64, for 32 bytes"))
        });
        let mut keys = keys.collect::<Result<Vec<_>, _>>()?.into_iter();
        let primary = keys.next().ok_or_else(|| corrupt("there is no key in it"))?;
        Ok(Self { primary, retired: keys.collect() })
    }

    fn all(&self) -> impl Iterator<Item = &RootKey> {
        std::iter::once(&self.primary).chain(&self.retired)
    }

    fn key(&self, id: KeyId) -> Option<&RootKey> {
        self.all().find(|key| key.id == id)
    }

    fn ids(&self) -> Vec<KeyId> {
        self.all().map(|key| key.id).collect()
    }
}

/// The ids of the keys that sealed bytes can be opened with; none if they are not in the sealed format.
pub(crate) fn recipients(sealed: &[u8]) -> Vec<KeyId> {
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
