//! Session tokens of ours: for clients that speak no OAuth. Opaque, random, hashed at rest, ended by idleness or by hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use authchain_core::{
    AuthError, ClientId, Clock, Email, Expect, Namespace, Principal, ProviderId, Scopes, Secret, StateKey, StateStore,
    StoreError, Tier, Timestamp, UserId,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

const SESSION: Namespace = Namespace("session");
/// What every session token begins with, so that people and scanners recognize one.
pub const TOKEN_PREFIX: &str = "acs_";
/// How old a remembered look at the store may be: within it, an end of the session on another instance goes unnoticed.
const RECHECK: Duration = Duration::from_secs(60);
const REMEMBERED: usize = 100_000;
/// How often a session is written again when other writers are first.
const SWAPS: usize = 10;

/// One session, as its owner may see it. The token itself is shown once and stored nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The handle for listing and ending it. It is derived from the token and does not stand in for it.
    pub id: String,
    /// Whose session it is.
    pub user: UserId,
    /// The verified address.
    pub email: Email,
    /// Where the person signed in.
    pub provider: ProviderId,
    /// What the token allows.
    pub scopes: Scopes,
    /// What the person called it: "laptop", "cron job".
    pub label: String,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used: Timestamp,
}

/// For whom a session is opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The person, who has just signed in.
    pub user: UserId,
    /// The verified address.
    pub email: Email,
    /// Where they signed in.
    pub provider: ProviderId,
    /// What the token will allow.
    pub scopes: Scopes,
    /// A name to recognize it by.
    pub label: String,
}

/// All sessions, in a [`StateStore`]; whether they outlive a restart depends on the store.
pub struct Sessions {
    state: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    idle: Duration,
    remembered: quick_cache::sync::Cache<String, Arc<Remembered>>,
}

struct Remembered {
    principal: Arc<Principal>,
    checked_at: AtomicI64,
}

impl Sessions {
    /// Sessions that end after `idle` without use.
    pub fn new(state: Arc<dyn StateStore>, clock: Arc<dyn Clock>, idle: Duration) -> Self {
        Self { state, clock, idle, remembered: quick_cache::sync::Cache::new(REMEMBERED) }
    }

    /// Opens a session. The token is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`AuthError::Store`] when it could not be filed.
    pub async fn open(&self, new: NewSession) -> Result<(Secret, Session), AuthError> {
        let mut random = zeroize::Zeroizing::new([0u8; 32]);
        getrandom::fill(&mut *random).map_err(|e| StoreError::unavailable("randomness of the operating system", e))?;
        let token = Secret::new(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(*random)));
        let now = self.clock.now();
        let NewSession { user, email, provider, scopes, label } = new;
        let id = handle(token.expose());
        let session = Session { id, user, email, provider, scopes, label, created_at: now, last_used: now };
        self.write(&session, Expect::Absent).await?;
        Ok((token, session))
    }

    /// Whose token this is, if that was looked up within the last minute. Needs no I/O.
    pub fn look(&self, token: &str) -> Option<Arc<Principal>> {
        let remembered = self.remembered.get(&handle(token))?;
        let checked_at = Timestamp(remembered.checked_at.load(Ordering::Relaxed));
        (self.clock.now().since(checked_at) < RECHECK.min(self.idle)).then(|| remembered.principal.clone())
    }

    /// Whose token this is; counts as a use. `None` for a session that has ended or never was.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    pub async fn resolve(&self, token: &str) -> Result<Option<Arc<Principal>>, StoreError> {
        let id = handle(token);
        let Some(stored) = self.state.get(&StateKey::new(SESSION, &id)).await? else {
            self.remembered.remove(&id);
            return Ok(None);
        };
        let mut session = parse(&id, &stored.value)?;
        session.last_used = self.clock.now();
        match self.write(&session, Expect::Version(stored.version)).await {
            // Somebody else has just used it too: as good as our own use. A session that has just ended is not revived.
            Ok(()) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        let principal = Arc::new(session.principal(self.clock.now() + self.idle));
        let checked_at = AtomicI64::new(session.last_used.0);
        self.remembered.insert(id, Arc::new(Remembered { principal: principal.clone(), checked_at }));
        Ok(Some(principal))
    }

    /// All sessions of one person, the one used last first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    pub async fn list(&self, user: &UserId) -> Result<Vec<Session>, StoreError> {
        let mut sessions: Vec<Session> = self
            .state
            .scan(SESSION)
            .try_filter_map(|entry| async move { parse(&entry.id, &entry.value.value).map(Some) })
            .try_filter(|session| std::future::ready(session.user == *user))
            .try_collect()
            .await?;
        sessions.sort_by_key(|session| std::cmp::Reverse(session.last_used));
        Ok(sessions)
    }

    /// Ends a session of `user`. `false` when they have none with this id, whoever else may have it.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    pub async fn end(&self, user: &UserId, id: &str) -> Result<bool, StoreError> {
        let key = StateKey::new(SESSION, id);
        let Some(stored) = self.state.get(&key).await? else { return Ok(false) };
        if parse(id, &stored.value)?.user != *user {
            return Ok(false);
        }
        let ended = self.state.take(&key).await?.is_some();
        self.remembered.remove(id);
        Ok(ended)
    }

    /// Adds scopes to a session of `user`. `false` when they have none with this id.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked, or the session was used at the same time again and again.
    pub async fn widen(&self, user: &UserId, id: &str, scopes: &Scopes) -> Result<bool, StoreError> {
        for _ in 0..SWAPS {
            let Some(stored) = self.state.get(&StateKey::new(SESSION, id)).await? else { return Ok(false) };
            let mut session = parse(id, &stored.value)?;
            if session.user != *user {
                return Ok(false);
            }
            session.scopes = session.scopes.union(scopes);
            match self.write(&session, Expect::Version(stored.version)).await {
                Ok(()) => {
                    self.remembered.remove(id);
                    return Ok(true);
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict { what: format!("session {id}") })
    }

    /// Ends all sessions of one person; how many there were.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    pub async fn end_all(&self, user: &UserId) -> Result<usize, StoreError> {
        let mut ended = 0;
        for session in self.list(user).await? {
            ended += usize::from(self.end(user, &session.id).await?);
        }
        Ok(ended)
    }

    async fn write(&self, session: &Session, expect: Expect) -> Result<(), StoreError> {
        let record = serde_json::to_vec(session).map_err(|e| StoreError::Unsupported(e.to_string()))?;
        self.state.put(&StateKey::new(SESSION, &session.id), &record, self.idle, expect).await.map(drop)
    }
}

impl Session {
    fn principal(&self, expires_at: Timestamp) -> Principal {
        Principal {
            user: self.user.clone(),
            email: Some(self.email.clone()),
            provider: self.provider.clone(),
            tier: Tier::SessionCache,
            scopes: self.scopes.clone(),
            client: ClientId::new("session").ok(),
            grant: Some(self.id.as_str().into()),
            expires_at,
        }
    }
}

/// The first half of the token's SHA-256, as hexadecimal text.
fn handle(token: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    hash.as_ref().iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        use std::fmt::Write;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse(id: &str, record: &[u8]) -> Result<Session, StoreError> {
    serde_json::from_slice(record)
        .map_err(|e| StoreError::Corrupt { what: format!("session {id}"), why: e.to_string() })
}
