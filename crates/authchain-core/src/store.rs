//! The two kinds of storage: durable credentials, and short-lived state.

use std::{fmt, pin::Pin, time::Duration};

use async_trait::async_trait;
use futures_core::Stream;

use crate::{Cause, Credential, CredentialKey, ProviderId, Timestamp, UserId};

/// A stream that owns its pin.
pub type BoxStream<'a, T> = Pin<Box<dyn Stream<Item = T> + Send + 'a>>;

/// The version of a stored value: it changes at each write, and only that is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub u64);

/// A value with the version it was read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// What to expect at the next write.
    pub version: Version,
}

/// What a writer believes is stored. A write or a removal that finds something else fails with [`StoreError::Conflict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing is stored.
    Absent,
    /// Exactly this version is stored.
    Version(Version),
    /// Whatever is stored may be overwritten.
    Any,
}

impl Expect {
    /// Whether a write may go ahead over what is stored now.
    pub fn allows(self, stored: Option<Version>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => stored.is_none(),
            Self::Version(version) => stored == Some(version),
        }
    }
}

/// What can go wrong in a store.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another writer was there first; read again.
    #[error("{what} was changed by another writer")]
    Conflict {
        /// The record.
        what: String,
    },
    /// The store cannot be reached or written now; what was stored is untouched.
    #[error("the store cannot be used now: {what}")]
    Unavailable {
        /// What was tried, with the file or server that it was tried on.
        what: String,
        /// Why it failed.
        #[source]
        cause: Cause,
    },
    /// A record is damaged, forged, or of a version that this program does not know.
    #[error("{what} cannot be read: {why}")]
    Corrupt {
        /// The file or record.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The key that a record was sealed with is not at hand.
    #[error("{what} is sealed with the key {wanted}; at hand: {at_hand}")]
    WrongKey {
        /// The file or record.
        what: String,
        /// The key id that it names.
        wanted: String,
        /// The key ids that the keyring holds.
        at_hand: String,
    },
    /// The folder or a file in it has an owner or permissions that would give secrets away.
    #[error("{what} is not private: {why}; mend it with: {fix}")]
    Insecure {
        /// The file or folder.
        what: String,
        /// Who could read it.
        why: String,
        /// A command that mends it.
        fix: String,
    },
    /// A name or value that this store cannot hold.
    #[error("cannot be stored: {0}")]
    Unsupported(String),
}

impl StoreError {
    /// An [`StoreError::Unavailable`] from any error.
    pub fn unavailable(what: impl Into<String>, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Unavailable { what: what.into(), cause: Cause::new(cause) }
    }
}

/// Which keys a listing yields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Only of this provider.
    pub provider: Option<ProviderId>,
    /// Only of this account.
    pub user: Option<UserId>,
}

impl KeyFilter {
    /// Whether a key passes.
    pub fn matches(&self, key: &CredentialKey) -> bool {
        self.provider.as_ref().is_none_or(|p| *p == key.provider) && self.user.as_ref().is_none_or(|u| *u == key.user)
    }
}

/// Durable secrets, one per [`CredentialKey`]. A write is durable before it is acknowledged.
#[async_trait]
pub trait CredentialStore: Send + Sync {
    /// Reads one credential.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`], [`StoreError::WrongKey`] or [`StoreError::Insecure`]; never
    /// `Ok(None)` for a record that is there and cannot be read.
    async fn get(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError>;

    /// As [`CredentialStore::get`], past what this process remembers: a store that answers from its own memory looks where
    /// other processes may have written or deleted. While it cannot look there, it answers from memory. The other stores
    /// need not write this.
    ///
    /// # Errors
    /// As [`CredentialStore::get`].
    async fn get_newest(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError> {
        self.get(key).await
    }

    /// Writes only if the stored version is what the caller saw, so that two writers never lose one another's update.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is not; otherwise as [`CredentialStore::get`]. What was stored stays.
    async fn put(&self, key: &CredentialKey, credential: &Credential, expect: Expect) -> Result<Version, StoreError>;

    /// Removes one credential, only if the stored version is what the caller saw, so that nothing is lost that somebody
    /// wrote since. `false` when there was none, whatever was expected.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another version is stored, [`StoreError::Unavailable`] when it could not be removed.
    /// What was stored stays.
    async fn delete(&self, key: &CredentialKey, expect: Expect) -> Result<bool, StoreError>;

    /// All keys that pass the filter, in no particular order.
    fn list(&self, filter: &KeyFilter) -> BoxStream<'_, Result<CredentialKey, StoreError>>;
}

/// A kind of short-lived state: clients, transactions, codes, sessions, grants. Keys of two namespaces never meet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(pub &'static str);

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Which piece of state. The id is what a caller presents or a hash of it; secrets are hashed before they get here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey {
    /// What kind of state.
    pub namespace: Namespace,
    /// Which one.
    pub id: String,
}

impl StateKey {
    /// Puts a key together.
    pub fn new(namespace: Namespace, id: impl Into<String>) -> Self {
        Self { namespace, id: id.into() }
    }
}

/// One piece of state, as a listing yields it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEntry {
    /// Its id within the namespace.
    pub id: String,
    /// The value.
    pub value: Versioned<Vec<u8>>,
    /// When it goes away.
    pub expires_at: Timestamp,
}

/// Short-lived state with a time to live: registered clients, authorization transactions, codes, sessions, grants.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Writes a value that goes away after `ttl`; `Duration::MAX` keeps it. An expired value counts as absent.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when something else than expected is stored; [`StoreError::Unavailable`].
    async fn put(&self, key: &StateKey, value: &[u8], ttl: Duration, expect: Expect) -> Result<Version, StoreError>;

    /// Reads a value that has not expired.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn get(&self, key: &StateKey) -> Result<Option<Versioned<Vec<u8>>>, StoreError>;

    /// Reads and deletes in one step: of many concurrent takers exactly one gets the value. Codes and `state` live by this.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn take(&self, key: &StateKey) -> Result<Option<Vec<u8>>, StoreError>;

    /// All live entries of a namespace, ordered by id.
    fn scan(&self, namespace: Namespace) -> BoxStream<'_, Result<StateEntry, StoreError>>;
}
