//! The note beside a credential: the accounts of the people who may use it. Without it, only the account itself may.

use serde_json::{Map, Value};

use super::Account;

const OWNERS: &str = "authchain_owners";

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
