//! The accounts of a person: the primary one, which they sign in with, and the ones that they linked to themselves.
//!
//! Two places hold what is known, and each decides one question:
//! - one record per person in the [`StateStore`]: which accounts they linked, and which one is active. It decides what a
//!   person may use. It never expires and is written conditionally, so several instances agree.
//! - a note beside each stored credential: whose it is, and who switched to it when. It decides when a credential may be
//!   deleted, and it survives the loss of the state database with the credential: [`Accounts::recover`] writes the records
//!   anew from it.
//!
//! A link holds the account's unchanging id at the provider. An address that was given to somebody else since is refused.

mod note;
mod recover;
mod status;
mod wanted;

use std::{fmt, sync::Arc, time::Duration};

use authchain_core::{
    AuthError, Clock, Credential, CredentialKey, Expect, KeyFilter, Namespace, Principal, ProviderId, SignIn, StateKey,
    StateStore, StoreError, Timestamp, TokenGroup, UserId,
};
use authchain_provider::{CredentialManager, Revocation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use note::{owners, set_owners, set_switched, with};
pub use status::{AccountStatus, CredentialState, Finding, Health, SetUp};
pub(crate) use wanted::primary_only;
use wanted::{Wanted, wanted};

const ACCOUNTS: Namespace = Namespace("accounts");
/// How often a record is written again when other writers are first.
const SWAPS: usize = 20;

/// An account at a provider; also a person, who is known by the account that they sign in with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Account {
    /// Where the account is.
    pub provider: ProviderId,
    /// Which one.
    pub user: UserId,
}

impl Account {
    /// The account that a principal signed in with.
    pub fn of(principal: &Principal) -> Self {
        Self { provider: principal.provider.clone(), user: principal.user.clone() }
    }

    /// The key of its credential in the default token group.
    pub fn key(&self) -> CredentialKey {
        CredentialKey::new(self.provider.clone(), self.user.clone())
    }

    /// The key of its credential in this token group.
    pub fn key_in(&self, group: TokenGroup) -> CredentialKey {
        CredentialKey { group, ..self.key() }
    }

    fn filter(&self) -> KeyFilter {
        KeyFilter { provider: Some(self.provider.clone()), user: Some(self.user.clone()) }
    }

    /// No two accounts share it, whatever is in their names.
    fn record(&self) -> StateKey {
        StateKey::new(ACCOUNTS, format!("{}:{self}", self.provider.as_str().len()))
    }
}

impl From<&CredentialKey> for Account {
    fn from(key: &CredentialKey) -> Self {
        Self { provider: key.provider.clone(), user: key.user.clone() }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.user)
    }
}

/// What a person has beside their primary account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Owned {
    linked: Vec<Linked>,
    /// The linked account that stands in for the primary one, after a switch.
    active: Option<Account>,
}

impl Owned {
    fn find(&self, account: &Account) -> Option<&Linked> {
        self.linked.iter().find(|linked| linked.account == *account)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Linked {
    account: Account,
    /// The provider's unchanging id of the account (`sub`).
    subject: Option<String>,
    since: Timestamp,
}

/// What became of an account that was to be unlinked.
#[derive(Debug)]
pub enum Unlinked {
    /// It is unlinked. Somebody else uses it too, so its credential stays.
    Kept,
    /// It is unlinked and its credentials are deleted; what the provider did with each.
    Removed(Vec<Revocation>),
}

type Listener = Box<dyn Fn(&Account, &Account) + Send + Sync>;

/// Who owns which accounts.
pub struct Accounts {
    state: Arc<dyn StateStore>,
    credentials: Arc<CredentialManager>,
    clock: Arc<dyn Clock>,
    listeners: std::sync::RwLock<Vec<Listener>>,
}

impl Accounts {
    /// The accounts whose credentials are in `credentials`.
    pub fn new(state: Arc<dyn StateStore>, credentials: Arc<CredentialManager>, clock: Arc<dyn Clock>) -> Self {
        Self { state, credentials, clock, listeners: std::sync::RwLock::default() }
    }

    /// The account that a caller means: nothing, `me` and `myself` are the active account, an address is that account.
    ///
    /// # Errors
    /// [`AuthError::NotYourAccount`] for an account that is not the caller's: it is refused, never replaced by one that is
    /// at hand. [`AuthError::Store`] when it cannot be looked up.
    pub async fn select(&self, caller: &Principal, requested: Option<&str>) -> Result<Account, AuthError> {
        let owner = Account::of(caller);
        let wanted = wanted(&owner, caller.email.as_ref(), requested)?;
        self.find(&owner, wanted).await
    }

    /// The same for a person who is known by their account.
    ///
    /// # Errors
    /// As [`Accounts::select`].
    pub async fn select_for(&self, owner: &Account, requested: Option<&str>) -> Result<Account, AuthError> {
        self.find(owner, wanted(owner, None, requested)?).await
    }

    async fn find(&self, owner: &Account, wanted: Wanted) -> Result<Account, AuthError> {
        if matches!(wanted, Wanted::Primary) {
            return Ok(owner.clone());
        }
        let owned = self.read(owner).await?;
        let account = match (wanted, &owned.active) {
            (Wanted::Other(account), _) => account,
            (_, Some(active)) => active.clone(),
            (_, None) => return Ok(owner.clone()),
        };
        let linked = owned.find(&account).ok_or_else(|| not_yours(&account))?;
        let stored = self.credentials.credential(&account.key()).await?;
        match (linked.subject.as_deref(), stored.as_ref().and_then(|credential| credential.subject.as_deref())) {
            (Some(then), Some(now)) if then != now => Err(not_yours(&account)),
            _ => Ok(account),
        }
    }

    /// Stores what a person's own sign-in brought.
    ///
    /// # Errors
    /// As [`CredentialManager::adopt`].
    pub async fn sign_in(&self, key: &CredentialKey, credential: Credential) -> Result<(), AuthError> {
        let own = Account::from(key);
        let note = |_: Option<&Credential>, extra: &mut Map<String, Value>| {
            if let Some(owners) = owners(extra) {
                set_owners(extra, with(owners, &own));
            }
        };
        self.credentials.adopt_with(key, credential, note).await
    }

    /// Stores what a sign-in with another account brought, and links that account to `owner`. Linking one's own account is
    /// the same as signing in.
    ///
    /// # Errors
    /// As [`CredentialManager::adopt`]; [`AuthError::Store`] when the link could not be written.
    pub async fn link(&self, owner: &Account, key: &CredentialKey, credential: Credential) -> Result<(), AuthError> {
        let account = Account::from(key);
        if account == *owner {
            return self.sign_in(key, credential).await;
        }
        let subject = credential.subject.clone();
        // The note comes first: a credential with an owner too many is kept too long, one with an owner too few is deleted
        // under somebody's hands.
        let note = |before: Option<&Credential>, extra: &mut Map<String, Value>| {
            let known = match (before, owners(extra)) {
                (_, Some(owners)) => owners,
                (Some(_), None) => vec![account.clone()],
                (None, None) => Vec::new(),
            };
            set_owners(extra, with(known, owner));
        };
        self.credentials.adopt_with(key, credential, note).await?;
        self.record(owner, &account, subject).await
    }

    /// Links an account whose credential is stored already: for the operator's command, who may read the store anyway.
    ///
    /// # Errors
    /// [`AuthError::SignInNeeded`] when nothing is stored for the account, [`AuthError::Store`].
    pub async fn link_stored(&self, owner: &Account, account: &Account) -> Result<(), AuthError> {
        let mut linked = None;
        for key in self.credentials.stored(&account.filter()).await? {
            let note = |extra: &mut Map<String, Value>| {
                let known = owners(extra).unwrap_or_else(|| vec![account.clone()]);
                set_owners(extra, with(known, owner));
            };
            self.credentials.note(&key, note).await?;
            linked = self.credentials.credential(&key).await?.or(linked);
        }
        match linked {
            Some(_) if account == owner => Ok(()),
            Some(credential) => self.record(owner, account, credential.subject).await,
            None => Err(AuthError::SignInNeeded { key: account.key(), why: SignIn::NeverSignedIn }),
        }
    }

    /// Ends a link. Where nobody else uses the account, its credentials are revoked and deleted.
    ///
    /// # Errors
    /// [`AuthError::NotYourAccount`] for an account that is not linked to `owner`, their primary one included;
    /// [`AuthError::Store`] when a credential could not be deleted: the link has ended all the same.
    pub async fn unlink(&self, owner: &Account, account: &Account) -> Result<Unlinked, AuthError> {
        self.change(owner, |owned| {
            let before = owned.linked.len();
            owned.linked.retain(|linked| linked.account != *account);
            if owned.linked.len() == before {
                return Err(not_yours(account));
            }
            if owned.active.as_ref() == Some(account) {
                owned.active = None;
            }
            Ok(())
        })
        .await?;
        for listener in self.listeners.read().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
            listener(owner, account);
        }
        // What they switched to earlier must not come back in its place.
        let active = self.read(owner).await?.active.unwrap_or_else(|| owner.clone());
        self.note_active(owner, &active).await?;
        let mut revocations = Vec::new();
        let mut kept = false;
        for key in self.credentials.stored(&account.filter()).await? {
            let leave = |extra: &mut Map<String, Value>| {
                set_switched(extra, owner, None);
                if let Some(mut owners) = owners(extra) {
                    owners.retain(|other| other != owner);
                    set_owners(extra, owners);
                }
            };
            self.credentials.note(&key, leave).await?;
            let Some(credential) = self.credentials.credential(&key).await? else { continue };
            if owners(&credential.extra).is_some_and(|owners| owners.is_empty()) {
                revocations.push(self.credentials.disconnect(&key).await?);
            } else {
                kept = true;
            }
        }
        Ok(if kept { Unlinked::Kept } else { Unlinked::Removed(revocations) })
    }

    /// Makes an account the one that stands for "me"; which one that is now.
    ///
    /// # Errors
    /// As [`Accounts::select`].
    pub async fn switch(&self, owner: &Account, requested: &str) -> Result<Account, AuthError> {
        let account = self.select_for(owner, Some(requested)).await?;
        self.change(owner, |owned| {
            if account == *owner {
                owned.active = None;
            } else if owned.find(&account).is_some() {
                owned.active = Some(account.clone());
            } else {
                // Unlinked in the meantime.
                return Err(not_yours(&account));
            }
            Ok(())
        })
        .await?;
        self.note_active(owner, &account).await?;
        Ok(account)
    }

    /// Notes beside an account's credentials that it is the active one of `owner`, from now on. The latest such note counts
    /// when the state database is lost; until then the record does.
    async fn note_active(&self, owner: &Account, account: &Account) -> Result<(), AuthError> {
        let now = self.clock.now();
        for key in self.credentials.stored(&account.filter()).await? {
            self.credentials.note(&key, |extra| set_switched(extra, owner, Some(now))).await?;
        }
        Ok(())
    }

    /// Everybody whose own account has a credential here: for the operator's command.
    ///
    /// # Errors
    /// [`AuthError::Store`].
    pub async fn people(&self) -> Result<Vec<Account>, AuthError> {
        let mut people = std::collections::BTreeSet::new();
        for key in self.credentials.stored(&KeyFilter::default()).await? {
            let Some(credential) = self.credentials.credential(&key).await? else { continue };
            let account = Account::from(&key);
            match owners(&credential.extra) {
                Some(owners) => people.extend(owners),
                None => people.extend([account]),
            }
        }
        Ok(people.into_iter().collect())
    }

    /// Calls `listener` with owner and account of each link that ends in this process, before [`Accounts::unlink`]
    /// returns.
    pub fn on_unlink(&self, listener: impl Fn(&Account, &Account) + Send + Sync + 'static) {
        self.listeners.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(Box::new(listener));
    }

    /// Writes a link into the owner's record.
    async fn record(&self, owner: &Account, account: &Account, subject: Option<String>) -> Result<(), AuthError> {
        let now = self.clock.now();
        self.change(owner, |owned| {
            let since = owned.find(account).map_or(now, |linked| linked.since);
            owned.linked.retain(|linked| linked.account != *account);
            owned.linked.push(Linked { account: account.clone(), subject: subject.clone(), since });
            Ok(())
        })
        .await
    }

    async fn read(&self, owner: &Account) -> Result<Owned, StoreError> {
        let stored = self.state.get(&owner.record()).await?;
        Ok(stored.map(|stored| parse(owner, &stored.value)).transpose()?.unwrap_or_default())
    }

    /// Changes a person's record; again from the beginning when somebody else was first.
    async fn change(
        &self,
        owner: &Account,
        change: impl Fn(&mut Owned) -> Result<(), AuthError>,
    ) -> Result<(), AuthError> {
        let key = owner.record();
        for _ in 0..SWAPS {
            let stored = self.state.get(&key).await?;
            let before = stored.as_ref().map(|stored| parse(owner, &stored.value)).transpose()?;
            let mut owned = before.clone().unwrap_or_default();
            change(&mut owned)?;
            if before.as_ref() == Some(&owned) {
                return Ok(());
            }
            let expect = stored.map_or(Expect::Absent, |stored| Expect::Version(stored.version));
            let record = serde_json::to_vec(&owned).map_err(|e| StoreError::Unsupported(e.to_string()))?;
            match self.state.put(&key, &record, Duration::MAX, expect).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict { what: format!("the accounts of {owner}") }.into())
    }
}

fn not_yours(account: &Account) -> AuthError {
    AuthError::NotYourAccount(account.user.to_string())
}

fn parse(owner: &Account, record: &[u8]) -> Result<Owned, StoreError> {
    serde_json::from_slice(record)
        .map_err(|e| StoreError::Corrupt { what: format!("the accounts of {owner}"), why: e.to_string() })
}
