//! The notes beside a credential: the accounts of the people who may use it (without it, only the account itself may), and
//! who of them made it their active account, and when.

use authchain_core::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Account;

const OWNERS: &str = "authchain_owners";
const ACTIVE_FOR: &str = "authchain_active_for";

/// A switch to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Switched {
    /// Whose active account it became.
    pub(super) owner: Account,
    pub(super) at: Timestamp,
}

/// Who may use a credential, where that is noted. A note that cannot be read names nobody whom it could admit, and keeps
/// the credential from being deleted.
pub(super) fn owners(extra: &Map<String, Value>) -> Option<Vec<Account>> {
    serde_json::from_value(extra.get(OWNERS)?.clone()).ok()
}

/// Notes who may use a credential.
pub(super) fn set_owners(extra: &mut Map<String, Value>, owners: Vec<Account>) {
    if let Ok(owners) = serde_json::to_value(owners) {
        extra.insert(OWNERS.into(), owners);
    }
}

/// The owners and one more.
pub(super) fn with(mut owners: Vec<Account>, owner: &Account) -> Vec<Account> {
    if !owners.contains(owner) {
        owners.push(owner.clone());
    }
    owners
}

/// Who switched to the account, as far as that can be read: where it cannot, nobody did.
pub(super) fn switched(extra: &Map<String, Value>) -> Vec<Switched> {
    extra.get(ACTIVE_FOR).and_then(|noted| serde_json::from_value(noted.clone()).ok()).unwrap_or_default()
}

/// Notes that `owner` switched to the account, or, without a time, forgets that they ever did.
pub(super) fn set_switched(extra: &mut Map<String, Value>, owner: &Account, at: Option<Timestamp>) {
    let mut known = switched(extra);
    known.retain(|switched| switched.owner != *owner);
    known.extend(at.map(|at| Switched { owner: owner.clone(), at }));
    match serde_json::to_value(&known) {
        Ok(noted) if !known.is_empty() => drop(extra.insert(ACTIVE_FOR.into(), noted)),
        _ => drop(extra.remove(ACTIVE_FOR)),
    }
}
