//! Grants: what a person allowed a client of ours. One grant is one family of refresh tokens; access tokens name it, and
//! ending it ends them all. The authorization server writes grants, tier 2 reads them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use authchain_core::{
    ClientId, Clock, Email, Expect, Namespace, ProviderId, Scopes, StateKey, StateStore, StoreError, Timestamp, UserId,
    Version, Versioned,
};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

const GRANT: Namespace = Namespace("grant");
const WITHDRAWN: Namespace = Namespace("withdrawn");
/// How often a grant is written again when other writers are first.
const SWAPS: usize = 10;

/// What a person allowed a client of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Random; the `sid` claim of access tokens.
    pub id: String,
    /// The person, by the account that signed in.
    pub user: UserId,
    /// That account's verified address.
    pub email: Email,
    /// Where it signed in.
    pub provider: ProviderId,
    /// The client that acts for the person.
    pub client: ClientId,
    /// What the client calls itself.
    pub client_name: String,
    /// Where the code went, as the client presented it; unknown for grants that an earlier version filed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// What the client may do.
    pub scopes: Scopes,
    /// What of it the person added later on a page of ours: tokens that were issued before have it too.
    #[serde(default)]
    pub added: Scopes,
    /// The resource that its tokens are for (RFC 8707).
    pub resource: String,
    /// When the person agreed.
    pub created_at: Timestamp,
    /// When a token was last issued from it.
    pub last_used: Timestamp,
    /// Which refresh token of the family is the current one.
    pub generation: u64,
    /// When that one became current.
    pub rotated_at: Timestamp,
    /// The sub-key that the family's refresh tokens are derived with.
    pub key_id: String,
    /// The thumbprint of the key that the family's tokens are bound to (RFC 9449, section 5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_to: Option<String>,
}

type Listener = Box<dyn Fn(&str) + Send + Sync>;

/// All grants, in a [`StateStore`]. A grant lives for a fixed time after its last use.
pub struct Grants {
    state: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    life: Duration,
    listeners: std::sync::RwLock<Vec<Listener>>,
}

impl Grants {
    /// Grants that end by themselves when nobody uses them for `life`.
    pub fn new(state: Arc<dyn StateStore>, clock: Arc<dyn Clock>, life: Duration) -> Self {
        Self { state, clock, life, listeners: std::sync::RwLock::default() }
    }

    /// Files a new grant.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken, otherwise what the store says.
    pub async fn create(&self, grant: &Grant) -> Result<Version, StoreError> {
        self.write(grant, Expect::Absent).await
    }

    /// Reads a grant that has not ended.
    ///
    /// # Errors
    /// What the store says; [`StoreError::Corrupt`] for a record that is no grant.
    pub async fn get(&self, id: &str) -> Result<Option<Versioned<Grant>>, StoreError> {
        let Some(stored) = self.state.get(&StateKey::new(GRANT, id)).await? else { return Ok(None) };
        Ok(Some(Versioned { value: parse(id, &stored.value)?, version: stored.version }))
    }

    /// Replaces a grant if nobody changed it since it was read, and starts its life anew.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when somebody did, otherwise what the store says.
    pub async fn update(&self, grant: &Grant, seen: Version) -> Result<Version, StoreError> {
        self.write(grant, Expect::Version(seen)).await
    }

    /// Which sub-keys the refresh tokens of living grants are derived with, by [`Grant::key_id`], and of how many grants.
    ///
    /// # Errors
    /// What the store says.
    pub async fn keys_in_use(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut keys = BTreeMap::new();
        let mut entries = self.state.scan(GRANT);
        while let Some(entry) = entries.try_next().await? {
            *keys.entry(parse(&entry.id, &entry.value.value)?.key_id).or_default() += 1;
        }
        Ok(keys)
    }

    /// Adds scopes to a grant of `user`, for all of its tokens, those that are out already included. `false` when `user` has
    /// no such grant.
    ///
    /// # Errors
    /// What the store says.
    pub async fn widen(&self, id: &str, user: &UserId, scopes: &Scopes) -> Result<bool, StoreError> {
        for _ in 0..SWAPS {
            let Some(Versioned { value: mut grant, version }) = self.get(id).await? else { return Ok(false) };
            if grant.user != *user {
                return Ok(false);
            }
            grant.scopes = grant.scopes.union(scopes);
            grant.added = grant.added.union(scopes);
            match self.update(&grant, version).await {
                Ok(_) => {
                    self.tell(id);
                    return Ok(true);
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict { what: format!("grant {id}") })
    }

    /// Ends a grant: its refresh token dies at once, and so do its access tokens. `false` when it had ended before.
    ///
    /// # Errors
    /// What the store says; the grant may then still be alive.
    pub async fn end(&self, id: &str) -> Result<bool, StoreError> {
        let ended = self.state.take(&StateKey::new(GRANT, id)).await?.is_some();
        self.tell(id);
        Ok(ended)
    }

    /// Withdraws a token that belongs to no grant, by its `jti`, until it would have expired.
    ///
    /// # Errors
    /// What the store says; the token may then still be taken.
    pub async fn withdraw(&self, token: &str, until: Timestamp) -> Result<(), StoreError> {
        // Clocks differ, and tokens are taken for a minute after their end.
        let life = until.since(self.clock.now()) + Duration::from_secs(120);
        self.state.put(&StateKey::new(WITHDRAWN, token), b"", life, Expect::Any).await?;
        for listener in self.listeners.read().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
            listener(token);
        }
        Ok(())
    }

    /// Whether a token that belongs to no grant was withdrawn.
    ///
    /// # Errors
    /// What the store says.
    pub async fn is_withdrawn(&self, token: &str) -> Result<bool, StoreError> {
        Ok(self.state.get(&StateKey::new(WITHDRAWN, token)).await?.is_some())
    }

    /// All grants of one person, the newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list(&self, user: &UserId) -> Result<Vec<Grant>, StoreError> {
        let mut grants: Vec<Grant> = self
            .state
            .scan(GRANT)
            .try_filter_map(|entry| async move { parse(&entry.id, &entry.value.value).map(Some) })
            .try_filter(|grant| std::future::ready(grant.user == *user))
            .try_collect()
            .await?;
        grants.sort_by_key(|grant| std::cmp::Reverse(grant.created_at));
        Ok(grants)
    }

    /// All grants of everybody.
    ///
    /// # Errors
    /// What the store says.
    pub async fn all(&self) -> Result<Vec<Grant>, StoreError> {
        self.state
            .scan(GRANT)
            .try_filter_map(|entry| async move { parse(&entry.id, &entry.value.value).map(Some) })
            .try_collect()
            .await
    }

    /// Calls `listener` with the id of each grant that ends or is widened in this process, before [`Grants::end`] and
    /// [`Grants::widen`] return: what was remembered of its tokens is forgotten in time.
    pub fn on_end(&self, listener: impl Fn(&str) + Send + Sync + 'static) {
        self.listeners.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(Box::new(listener));
    }

    /// The clock that the grants live by.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn tell(&self, id: &str) {
        for listener in self.listeners.read().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
            listener(id);
        }
    }

    async fn write(&self, grant: &Grant, expect: Expect) -> Result<Version, StoreError> {
        let record = serde_json::to_vec(grant).map_err(|e| StoreError::Unsupported(e.to_string()))?;
        self.state.put(&StateKey::new(GRANT, &grant.id), &record, self.life, expect).await
    }
}

fn parse(id: &str, record: &[u8]) -> Result<Grant, StoreError> {
    serde_json::from_slice(record).map_err(|e| StoreError::Corrupt { what: format!("grant {id}"), why: e.to_string() })
}
