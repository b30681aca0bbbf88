//! The keys that users have brought, as far as they are at hand: what a store seals and opens records with beside the
//! server's keys.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use authchain_core::UserId;

use super::{Openers, UserKey};

/// Whether the server opens a user's records without the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Never: it takes a key of the server and a key of the user together. While the user is away, nobody refreshes the
    /// credential, and a user who loses every key signs in again.
    Split,
    /// The server opens them alone, too.
    Shared,
}

/// The keys of users that are at hand. Whoever authenticates a user gives theirs in, and takes them away when the session
/// ends; a store that was opened with them ([`super::Keyring::with_users`]) does the rest. Cheap to clone; clones share the
/// keys.
///
/// ```
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use authchain_core::{Secret, UserId};
/// use authchain_store::{FileForm, FileStore, seal::{Keyring, Sharing, UserKey, UserKeys}};
///
/// let (dir, users) = (std::path::Path::new("credentials"), UserKeys::new());
/// let keyring = Keyring::open_or_create(&dir.join(".auth_encryption_key"))?.with_users(users.clone());
/// let store = FileStore::open(dir, FileForm::Sealed(keyring))?;
///
/// // Ann has presented her API key. Until it is taken away, her records open, and are sealed so that it takes her key.
/// let ann = UserId::new("ann@example.com")?;
/// users.bring(ann.clone(), [UserKey::new(&Secret::new("an API key of 16 bytes or more"))?], Sharing::Split);
/// // ... store.get(..), store.put(..) ...
/// users.take_away(&ann);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct UserKeys(Arc<RwLock<HashMap<UserId, Held>>>);

/// What one user has brought.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) keys: Arc<[UserKey]>,
    pub(super) sharing: Sharing,
}

impl UserKeys {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on these keys of a user are at hand, in place of those that were. Each of them opens the user's records, and
    /// what is written for the user is sealed for each of them; other keys that open a record already go on opening it.
    pub fn bring(&self, user: UserId, keys: impl IntoIterator<Item = UserKey>, sharing: Sharing) {
        let held = Held { keys: keys.into_iter().collect(), sharing };
        let mut users = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if held.keys.is_empty() {
            users.remove(&user)
        } else {
            users.insert(user, held)
        };
    }

    /// The user's keys are at hand no more. Whether they were.
    pub fn take_away(&self, user: &UserId) -> bool {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(user).is_some()
    }

    pub(super) fn of(&self, user: &UserId) -> Option<Held> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(user).cloned()
    }
}

impl Held {
    pub(super) fn openers(&self) -> Openers<'_> {
        match self.sharing {
            Sharing::Split => Openers::UsersOnly(&self.keys),
            Sharing::Shared => Openers::ServerAndUsers(&self.keys),
        }
    }
}

impl fmt::Debug for UserKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.read().unwrap_or_else(PoisonError::into_inner).len();
        write!(f, "UserKeys({count} users)")
    }
}
