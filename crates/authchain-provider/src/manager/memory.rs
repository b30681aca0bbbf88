//! What is in memory of each credential: the token to hand out, what is known to be wrong, the refresh that is under
//! way.
//!
//! Sharded, and each lock is held for a look or a change and never across an await. Refresh tokens are not here, save
//! those that the store did not take.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use authchain_core::{AccessToken, AuthError, Credential, CredentialKey, SignIn, Timestamp, Version};
use tokio::sync::watch;

use super::record::Record;

const SHARDS: usize = 64;
/// No failure is remembered for longer.
const LONGEST_FAILURE: Duration = Duration::from_secs(600);

/// A token that is handed out without asking anybody.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) token: AccessToken,
    /// From here on it is renewed in the background.
    pub(super) renew_at: Timestamp,
    /// From here on it is not handed out.
    pub(super) stale_at: Timestamp,
    /// The stored version that it goes with; another version may be a better one.
    pub(super) version: Version,
    /// When the store was last looked at.
    pub(super) looked: Timestamp,
    /// That look failed: it is not known whether this is stored still.
    pub(super) blind: bool,
}

/// Only a new sign-in helps.
#[derive(Clone)]
pub(super) struct Refused {
    pub(super) why: SignIn,
    /// The stored version that this is known of; another version may be better.
    pub(super) version: Version,
    /// When the store was last looked at.
    pub(super) checked: Timestamp,
}

/// The last attempt failed, and the next one waits.
#[derive(Clone)]
pub(super) struct Failed {
    pub(super) error: AuthError,
    pub(super) until: Timestamp,
}

impl Failed {
    /// The error, while it is remembered. After a jump of the clock it is not: nobody waits that long.
    pub(super) fn error(&self, now: Timestamp) -> Option<AuthError> {
        let left = self.until.since(now);
        if left.is_zero() || left > LONGEST_FAILURE {
            return None;
        }
        Some(match self.error.clone() {
            AuthError::UpstreamUnavailable { cause, .. } => AuthError::UpstreamUnavailable { retry_after: left, cause },
            other => other,
        })
    }
}

/// A fresh credential that the store did not take.
pub(super) struct Unsaved {
    /// What it was made from.
    pub(super) base: Record,
    pub(super) credential: Credential,
}

/// What a flight brought to those who waited. `None` while it is under way.
pub(super) type Outcome = Option<Landed>;

#[derive(Clone)]
pub(super) struct Landed {
    pub(super) result: Result<AccessToken, AuthError>,
    /// While it flew somebody signed in or disconnected: the result is of the past.
    pub(super) superseded: bool,
}

#[derive(Default)]
pub(super) struct Entry {
    pub(super) held: Option<Held>,
    pub(super) refused: Option<Refused>,
    pub(super) failed: Option<Failed>,
    pub(super) unsaved: Option<Arc<Unsaved>>,
    /// A token that its user found dead although its time was not over.
    pub(super) rejected: Option<AccessToken>,
    /// The refresh that is under way. Only [`Memory::begin`] and [`Ticket`] touch it.
    pub(super) flight: Option<(u64, watch::Receiver<Outcome>)>,
}

impl Entry {
    /// Whether somebody is refreshing it now.
    pub(super) fn is_flying(&self) -> bool {
        self.flight.is_some()
    }

    fn is_busy(&self) -> bool {
        self.flight.is_some() || self.unsaved.is_some()
    }

    fn is_empty(&self) -> bool {
        let Self { held, refused, failed, unsaved: _, rejected, flight: _ } = self;
        !self.is_busy() && held.is_none() && refused.is_none() && failed.is_none() && rejected.is_none()
    }
}

/// The one flight of a key.
pub(super) enum Begun {
    /// Somebody is at it already.
    Joined(watch::Receiver<Outcome>),
    /// The caller is the first and has to fly.
    Started(Ticket, watch::Sender<Outcome>, watch::Receiver<Outcome>),
}

/// Allows one flight to change what is in memory. A flight whose task dies gives its place back.
pub(super) struct Ticket {
    memory: Arc<Memory>,
    key: CredentialKey,
    id: u64,
}

impl Ticket {
    pub(super) fn key(&self) -> &CredentialKey {
        &self.key
    }

    /// Ends the flight with a change of memory. `false`, and nothing changed, when the flight was superseded.
    pub(super) fn land(self, change: impl FnOnce(&mut Entry)) -> bool {
        self.memory.update(&self.key, |entry| {
            let current = entry.flight.as_ref().is_some_and(|(id, _)| *id == self.id);
            if current {
                entry.flight = None;
                change(entry);
            }
            current
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.memory.update(&self.key, |entry| {
            if entry.flight.as_ref().is_some_and(|(id, _)| *id == self.id) {
                entry.flight = None;
            }
        });
    }
}

pub(super) struct Memory {
    shards: [RwLock<HashMap<CredentialKey, Entry>>; SHARDS],
    hasher: RandomState,
    /// How many entries are refused, so that the question costs one load while nobody is.
    refused: AtomicUsize,
    flights: AtomicU64,
    shard_capacity: usize,
}

impl Memory {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            hasher: RandomState::new(),
            refused: AtomicUsize::new(0),
            flights: AtomicU64::new(0),
            shard_capacity: capacity.div_ceil(SHARDS).max(1),
        })
    }

    fn shard(&self, key: &CredentialKey) -> &RwLock<HashMap<CredentialKey, Entry>> {
        let index = self.hasher.hash_one(key) % SHARDS as u64;
        let index = usize::try_from(index).unwrap_or(0);
        self.shards.get(index).expect("the index is smaller than the number of shards")
    }

    /// A look at an entry, if there is one.
    pub(super) fn look<T>(&self, key: &CredentialKey, look: impl FnOnce(&Entry) -> Option<T>) -> Option<T> {
        let shard = self.shard(key).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(key).and_then(look)
    }

    /// A change of an entry, which is made if it is not there.
    pub(super) fn update<T>(&self, key: &CredentialKey, change: impl FnOnce(&mut Entry) -> T) -> T {
        let mut shard = self.shard(key).write().unwrap_or_else(PoisonError::into_inner);
        if !shard.contains_key(key) {
            if shard.len() >= self.shard_capacity {
                self.make_room(&mut shard);
            }
            shard.insert(key.clone(), Entry::default());
        }
        let entry = shard.get_mut(key).expect("it was there or has just been put there");
        let before = entry.refused.is_some();
        let result = change(entry);
        let (after, empty) = (entry.refused.is_some(), entry.is_empty());
        if empty {
            shard.remove(key);
        }
        match (before, after) {
            (false, true) => _ = self.refused.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.refused.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        result
    }

    /// Drops half of what can be had again from the store.
    fn make_room(&self, shard: &mut HashMap<CredentialKey, Entry>) {
        let mut keep = shard.len() / 2;
        shard.retain(|_, entry| {
            if entry.is_busy() {
                return true;
            }
            let kept = keep > 0;
            keep = keep.saturating_sub(1);
            if !kept && entry.refused.is_some() {
                self.refused.fetch_sub(1, Ordering::Relaxed);
            }
            kept
        });
    }

    /// Joins the flight of a key, or starts it.
    pub(super) fn begin(self: &Arc<Self>, key: &CredentialKey) -> Begun {
        self.update(key, |entry| match &entry.flight {
            Some((_, outcome)) => Begun::Joined(outcome.clone()),
            None => {
                let id = self.flights.fetch_add(1, Ordering::Relaxed);
                let (sender, outcome) = watch::channel(None);
                entry.flight = Some((id, outcome.clone()));
                Begun::Started(Ticket { memory: self.clone(), key: key.clone(), id }, sender, outcome)
            }
        })
    }

    /// What somebody else than a flight found out: all that was known is replaced, and a flight under way is
    /// superseded.
    pub(super) fn settle(&self, key: &CredentialKey, held: Option<Held>) {
        self.update(key, |entry| *entry = Entry { held, ..Entry::default() });
    }

    /// A look at the store found this version: the token that is held if it goes with that.
    pub(super) fn saw(&self, key: &CredentialKey, version: Version, at: Timestamp) -> Option<Held> {
        self.update(key, |entry| {
            let held = entry.held.as_mut().filter(|held| held.version == version)?;
            (held.looked, held.blind) = (at, false);
            Some(held.clone())
        })
    }

    /// Forgets what the store may tell otherwise by now; what it does not have yet stays.
    pub(super) fn forget(&self, key: &CredentialKey) {
        self.update(key, |entry| {
            entry.held = None;
            entry.refused = None;
            entry.failed = None;
        });
    }

    /// Every key of which anything is known.
    pub(super) fn keys(&self) -> Vec<CredentialKey> {
        let shards = self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner));
        shards.flat_map(|shard| shard.keys().cloned().collect::<Vec<_>>()).collect()
    }

    pub(super) fn anybody_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed) > 0
    }

    /// Whether this very credential is still waiting to be saved.
    pub(super) fn is_waiting(&self, key: &CredentialKey, unsaved: &Arc<Unsaved>) -> bool {
        self.look(key, |entry| entry.unsaved.as_ref().map(|waiting| Arc::ptr_eq(waiting, unsaved))).unwrap_or(false)
    }

    /// It need not be saved any more.
    pub(super) fn forget_unsaved(&self, key: &CredentialKey, unsaved: &Arc<Unsaved>) {
        self.update(key, |entry| {
            if entry.unsaved.as_ref().is_some_and(|waiting| Arc::ptr_eq(waiting, unsaved)) {
                entry.unsaved = None;
            }
        });
    }

    /// All that waits to be saved.
    pub(super) fn unsaved(&self) -> Vec<(CredentialKey, Arc<Unsaved>)> {
        let all = self.shards.iter().flat_map(|shard| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.iter().filter_map(|(key, e)| Some((key.clone(), e.unsaved.clone()?))).collect::<Vec<_>>()
        });
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use authchain_core::{ProviderId, Scopes, Secret, UserId};

    use super::*;

    fn key(user: usize) -> CredentialKey {
        CredentialKey::new(ProviderId::google(), UserId::new(format!("u{user}@example.com")).unwrap())
    }

    fn held() -> Held {
        let token = AccessToken::new(Secret::new("t"), Timestamp(100), Scopes::none());
        Held {
            token,
            renew_at: Timestamp(50),
            stale_at: Timestamp(90),
            version: Version(1),
            looked: Timestamp(0),
            blind: false,
        }
    }

    fn refused() -> Refused {
        Refused { why: SignIn::NoRefreshToken, version: Version(1), checked: Timestamp(0) }
    }

    #[test]
    fn one_starts_and_the_others_join() {
        let memory = Memory::new(10);
        let Begun::Started(ticket, ..) = memory.begin(&key(1)) else { panic!("the first starts") };
        assert!(matches!(memory.begin(&key(1)), Begun::Joined(_)));
        assert!(matches!(memory.begin(&key(2)), Begun::Started(..)), "another key is another flight");
        assert!(ticket.land(|_| {}));
        assert!(matches!(memory.begin(&key(1)), Begun::Started(..)), "what has landed is not joined");
    }

    #[test]
    fn a_flight_whose_task_dies_gives_its_place_back() {
        let memory = Memory::new(10);
        drop(memory.begin(&key(1)));
        assert!(matches!(memory.begin(&key(1)), Begun::Started(..)));
    }

    #[test]
    fn a_superseded_flight_changes_nothing() {
        let memory = Memory::new(10);
        let Begun::Started(ticket, ..) = memory.begin(&key(1)) else { panic!("the first starts") };
        memory.settle(&key(1), Some(held()));
        assert!(!ticket.land(|entry| entry.held = None));
        assert!(memory.look(&key(1), |entry| entry.held.clone()).is_some());
    }

    #[test]
    fn it_knows_whether_anybody_is_refused() {
        let memory = Memory::new(10);
        assert!(!memory.anybody_refused());
        memory.update(&key(1), |entry| entry.refused = Some(refused()));
        assert!(memory.anybody_refused());
        memory.settle(&key(1), None);
        assert!(!memory.anybody_refused());
    }

    #[test]
    fn memory_is_bounded_and_keeps_what_is_nowhere_else() {
        let memory = Memory::new(SHARDS * 4);
        let Begun::Started(ticket, ..) = memory.begin(&key(0)) else { panic!("the first starts") };
        for user in 1..5_000 {
            memory.update(&key(user), |entry| {
                entry.held = Some(held());
                entry.refused = Some(refused());
            });
        }
        let entries: usize = memory.shards.iter().map(|shard| shard.read().unwrap().len()).sum();
        assert!(entries <= SHARDS * 5, "{entries}");
        assert!(memory.refused.load(Ordering::Relaxed) <= entries);
        assert!(ticket.land(|_| {}), "a flight under way is not forgotten");
    }
}
