//! Bringing one credential into a store so that nothing is lost: written only where nothing else is, read back, compared.
//! Migration, import and restoring from a backup all go through here.

use authchain_core::{Cause, Credential, CredentialKey, CredentialStore, Expect, StoreError, Versioned};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How often a credential is tried again that another writer changes at the same moment.
const TRIES: usize = 8;

/// What to do where the store holds another credential under the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collision {
    /// Leave it, and say so.
    #[default]
    Refuse,
    /// Write over it.
    Replace,
}

/// How a credential came to be in the store. Whichever it is, the store has been read and holds it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// It was not there and was written.
    Written,
    /// It was there already, field by field.
    AlreadyThere,
    /// An older state of the same grant was there, and was brought up to date.
    Updated,
    /// A newer state of the same grant was there, and stays.
    NewerThere,
    /// Another credential was there, and was written over as asked.
    Replaced,
}

impl Arrival {
    /// The word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::AlreadyThere => "already_there",
            Self::Updated => "updated",
            Self::NewerThere => "newer_there",
            Self::Replaced => "replaced",
        }
    }
}

/// Why a credential is not in the store.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another credential is stored under the key, and nobody said that it may go.
    #[error("another credential is stored for {0} already")]
    Occupied(CredentialKey),
    /// What was read back is not what was written.
    #[error("what was read back for {0} is not what was written")]
    NotAsWritten(CredentialKey),
}

/// Brings a credential into a store. When this returns without an error, the store has acknowledged it as durable, and it
/// was read back and compared.
///
/// # Errors
/// [`TransferError`]; then what was stored before is still stored.
pub async fn bring(
    store: &dyn CredentialStore,
    key: &CredentialKey,
    credential: &Credential,
    collision: Collision,
) -> Result<Arrival, TransferError> {
    for _ in 0..TRIES {
        // Written at once rather than looked up first: nearly always there is nothing.
        match store.put(key, credential, Expect::Absent).await {
            Ok(_) => return read_back(store, key, credential).await.map(|()| Arrival::Written),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(Versioned { value: stored, version }) = store.get(key).await? else { continue };
        let arrival = match compare(credential, &stored) {
            Likeness::Same => return Ok(Arrival::AlreadyThere),
            Likeness::Older => return Ok(Arrival::NewerThere),
            Likeness::Newer => Arrival::Updated,
            Likeness::Another if collision == Collision::Replace => Arrival::Replaced,
            Likeness::Another => return Err(TransferError::Occupied(key.clone())),
        };
        match store.put(key, credential, Expect::Version(version)).await {
            Ok(_) => return read_back(store, key, credential).await.map(|()| arrival),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let cause = Cause::text("other writers change it all the time");
    Err(StoreError::Unavailable { what: format!("write {key}"), cause }.into())
}

/// What bringing a credential would do, without writing anything.
///
/// # Errors
/// As [`bring`].
pub async fn foresee(
    store: &dyn CredentialStore,
    key: &CredentialKey,
    credential: &Credential,
    collision: Collision,
) -> Result<Arrival, TransferError> {
    let Some(stored) = store.get(key).await? else { return Ok(Arrival::Written) };
    match compare(credential, &stored.value) {
        Likeness::Same => Ok(Arrival::AlreadyThere),
        Likeness::Older => Ok(Arrival::NewerThere),
        Likeness::Newer => Ok(Arrival::Updated),
        Likeness::Another if collision == Collision::Replace => Ok(Arrival::Replaced),
        Likeness::Another => Err(TransferError::Occupied(key.clone())),
    }
}

async fn read_back(
    store: &dyn CredentialStore,
    key: &CredentialKey,
    credential: &Credential,
) -> Result<(), TransferError> {
    // Somebody may have refreshed it since it was written: a newer state of the same grant is as good.
    match store.get(key).await? {
        Some(stored) if matches!(compare(credential, &stored.value), Likeness::Same | Likeness::Older) => Ok(()),
        _ => Err(TransferError::NotAsWritten(key.clone())),
    }
}

/// How a credential compares to the one that is stored.
#[derive(Debug, PartialEq, Eq)]
enum Likeness {
    Same,
    /// A newer state of the same grant.
    Newer,
    /// An older state of the same grant.
    Older,
    /// Another grant: only a person can say which one counts.
    Another,
}

/// The refresh token is what a credential is worth. With the same one, the state with the later access token is the
/// newer one, and nothing that a person granted is lost with the other.
fn compare(new: &Credential, stored: &Credential) -> Likeness {
    if is_same(new, stored) {
        return Likeness::Same;
    }
    let same_grant = new.refresh_token.is_some()
        && new.refresh_token == stored.refresh_token
        && new.client.id == stored.client.id
        && (new.subject.is_none() || stored.subject.is_none() || new.subject == stored.subject);
    match (same_grant, new.expires_at > stored.expires_at) {
        (false, _) => Likeness::Another,
        (true, true) => Likeness::Newer,
        (true, false) => Likeness::Older,
    }
}

/// Whether two credentials are one and the same.
///
/// A fraction among what other programs have put beside theirs may come back from JSON with its last bit changed.
pub(crate) fn is_same(one: &Credential, other: &Credential) -> bool {
    let without_extra = |credential: &Credential| Credential { extra: Map::new(), ..credential.clone() };
    one == other
        || (without_extra(one) == without_extra(other)
            && one.extra.len() == other.extra.len()
            && one.extra.iter().all(|(name, value)| other.extra.get(name).is_some_and(|there| is_alike(value, there))))
}

fn is_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_f64(), other.as_f64()) {
            (Some(a), Some(b)) if one.is_f64() && other.is_f64() => (a - b).abs() <= a.abs() * f64::EPSILON * 2.0,
            _ => one == other,
        },
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|there| is_alike(value, there)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use authchain_core::{Secret, Timestamp};
    use authchain_testkit::suite::{credential, key};

    use super::*;
    use crate::MemoryStore;

    fn refreshed(credential: &Credential) -> Credential {
        let mut later = credential.clone();
        later.access_token = Some(Secret::new("ya29.later"));
        later.expires_at = later.expires_at.map(|at| Timestamp(at.0 + 3600));
        later
    }

    #[tokio::test]
    async fn the_later_state_of_one_grant_wins_whichever_way_it_comes() {
        let (store, key, old) = (MemoryStore::new(), key("google", "ann@example.com", "default"), credential(0));
        let new = refreshed(&old);
        let bring = |credential| bring(&store, &key, credential, Collision::Refuse);
        assert_eq!(bring(&old).await.unwrap(), Arrival::Written);
        assert_eq!(bring(&old).await.unwrap(), Arrival::AlreadyThere);
        assert_eq!(bring(&new).await.unwrap(), Arrival::Updated);
        assert_eq!(bring(&old).await.unwrap(), Arrival::NewerThere);
        assert_eq!(store.get(&key).await.unwrap().unwrap().value, new);
    }

    #[tokio::test]
    async fn another_grant_is_written_over_only_when_somebody_says_so() {
        let (store, key) = (MemoryStore::new(), key("google", "ann@example.com", "default"));
        store.put(&key, &credential(0), Expect::Absent).await.unwrap();
        let refused = bring(&store, &key, &credential(4), Collision::Refuse).await;
        assert!(matches!(refused, Err(TransferError::Occupied(_))), "{refused:?}");
        assert!(matches!(
            foresee(&store, &key, &credential(4), Collision::Refuse).await,
            Err(TransferError::Occupied(_))
        ));
        assert_eq!(store.get(&key).await.unwrap().unwrap().value, credential(0));
        assert_eq!(bring(&store, &key, &credential(4), Collision::Replace).await.unwrap(), Arrival::Replaced);
        assert_eq!(store.get(&key).await.unwrap().unwrap().value, credential(4));
    }

    #[test]
    fn a_fraction_that_lost_its_last_bit_on_the_way_is_the_same_and_another_number_is_not() {
        let with = |number: serde_json::Value| {
            let mut credential = credential(0);
            credential.extra.insert("more".into(), serde_json::json!({ "in": [number, "text"] }));
            credential
        };
        let number = 2e43_f64;
        assert!(is_same(&with(number.into()), &with(number.next_up().into())));
        for other in [serde_json::json!(2.000_001e43), serde_json::json!(2), serde_json::json!(null)] {
            assert!(!is_same(&with(number.into()), &with(other)));
        }
        assert!(!is_same(&with(2.into()), &credential(0)) && !is_same(&credential(0), &with(2.into())));
    }

    #[tokio::test]
    async fn what_would_happen_is_foreseen_without_writing() {
        let (store, key) = (MemoryStore::new(), key("google", "ann@example.com", "default"));
        assert_eq!(foresee(&store, &key, &credential(0), Collision::Refuse).await.unwrap(), Arrival::Written);
        assert_eq!(store.get(&key).await.unwrap(), None);
    }
}
