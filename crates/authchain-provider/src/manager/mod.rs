//! The credential manager: a usable access token for a key, refreshed once however many ask.
//!
//! - `memory`: what is handed out without asking anybody, and the one flight per key
//! - `flight`: a refresh, from the look at the store to the change of memory
//! - `look`: whether what is in memory is still what is stored
//! - `record`, `saving`: two writers and one record; compare and swap; a store that fails
//! - `notes`: what other rooms keep beside a credential
//! - `outage`: a provider that is down is not asked by everybody

mod flight;
mod look;
mod memory;
mod notes;
mod outage;
mod record;
mod saving;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use authchain_core::{
    AccessToken, AuthError, Cause, Clock, Credential, CredentialKey, CredentialStore, Email, Expect, ProviderId,
    ScopeRules, Scopes, SignIn, TokenSource, UserId,
};
use tokio::sync::broadcast;

use self::{flight::Aim, memory::Memory, outage::Outage};
use crate::{CredentialEvent, ProviderClient, Revocation};

/// How often a sign-in is written again when other writers are first.
const SWAPS: usize = 10;
/// How often a result that was overtaken by a sign-in or a disconnection is asked for anew.
const OVERTAKEN: usize = 3;
/// How often it is looked up whether a refused credential was healed by another process.
const RECHECK: Duration = Duration::from_secs(2);
/// How many events a slow listener may be behind.
const EVENTS: usize = 1024;

/// How a [`CredentialManager`] refreshes. (How an unanswered request is sent again is the client's
/// [`RetryPolicy`](crate::RetryPolicy).)
#[derive(Clone, Debug)]
pub struct RefreshOptions {
    /// How long before its end an access token is renewed in the background, while it still serves.
    pub ahead: Duration,
    /// An access token with less life than this counts as expired.
    pub spare: Duration,
    /// How long a failure is remembered where the provider names no time: those who ask meanwhile get the same error
    /// without the provider being asked.
    pub failure_memory: Duration,
    /// The pauses before the store is read again after an `invalid_grant`, for the token of another process that was
    /// first.
    pub winner_waits: Vec<Duration>,
    /// A store that takes longer for a write counts as failing: those who wait for the token have waited enough. What
    /// is given up may still be written; the next write finds out.
    pub save_patience: Duration,
    /// The first and the longest pause between attempts to save a token that the store did not take.
    pub save_pauses: (Duration, Duration),
    /// How long a token is handed out from memory before its credential is looked at in the store again. So long at most
    /// is it used after another process has deleted or replaced it.
    pub look_again: Duration,
    /// A store that takes longer for that look counts as failing; the token in memory then serves until it ends.
    pub look_patience: Duration,
    /// How many credentials are held in memory; the others are read from the store when they are asked for.
    pub capacity: usize,
}

impl Default for RefreshOptions {
    fn default() -> Self {
        Self {
            ahead: Duration::from_secs(300),
            spare: Duration::from_secs(10),
            failure_memory: Duration::from_secs(5),
            winner_waits: [0, 25, 50, 100, 200].map(Duration::from_millis).into(),
            save_patience: Duration::from_secs(5),
            save_pauses: (Duration::from_secs(1), Duration::from_secs(60)),
            look_again: Duration::from_secs(60),
            look_patience: Duration::from_secs(2),
            capacity: 100_000,
        }
    }
}

/// The [`TokenSource`] over a store: access tokens from memory where they are valid, otherwise one refresh for all who
/// wait.
///
/// - A token in memory is handed out without I/O; shortly before its end it is renewed in the background.
/// - Of many who need a refresh one flight asks the provider, in a task of its own. All get its token, or its error.
/// - What a refresh brought is stored, by compare and swap, before anybody is answered. If the store does not take it,
///   it is served all the same, reported, and saved as soon as that works.
/// - What another process deleted or replaced is noticed within [`RefreshOptions::look_again`], if the store can be read.
/// - Several processes on one store do not hurt one another: whoever is first wins, the others take the winner's token.
/// - Only the provider's `invalid_grant` ends a credential, and only after a look whether another process was first.
pub struct CredentialManager {
    me: Weak<Self>,
    store: Arc<dyn CredentialStore>,
    upstreams: HashMap<ProviderId, Upstream>,
    rules: Arc<dyn ScopeRules>,
    clock: Arc<dyn Clock>,
    options: RefreshOptions,
    memory: Arc<Memory>,
    /// Whether the store can be read at all.
    sight: Outage,
    events: broadcast::Sender<CredentialEvent>,
}

/// What somebody who asks for a token is told without I/O.
enum AtHand {
    Token(AccessToken),
    /// The last attempt failed, and the next one waits.
    Failed(AuthError),
    /// Somebody has to fly for this.
    Fly(Aim),
}

struct Upstream {
    client: Arc<ProviderClient>,
    outage: Outage,
}

impl CredentialManager {
    /// A manager over a store and the providers whose credentials are in it. It keeps no task alive by itself.
    pub fn new(
        store: Arc<dyn CredentialStore>,
        clients: Vec<Arc<ProviderClient>>,
        rules: Arc<dyn ScopeRules>,
        clock: Arc<dyn Clock>,
        options: RefreshOptions,
    ) -> Arc<Self> {
        let upstream = |client: Arc<ProviderClient>| {
            (client.provider().id.clone(), Upstream { client, outage: Outage::default() })
        };
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            store,
            upstreams: clients.into_iter().map(upstream).collect(),
            rules,
            clock,
            memory: Memory::new(options.capacity),
            sight: Outage::default(),
            options,
            events: broadcast::Sender::new(EVENTS),
        })
    }

    /// The token in memory, if it is valid, covers `scopes` and was compared with the store within
    /// [`RefreshOptions::look_again`]. No I/O, and no lock that anyone holds across I/O. Near its end it starts the renewal
    /// in the background, so it is called within a Tokio runtime.
    pub fn cached(&self, key: &CredentialKey, scopes: &Scopes) -> Option<AccessToken> {
        match self.at_hand(key, scopes) {
            AtHand::Token(token) => Some(token),
            AtHand::Fly(_) | AtHand::Failed(_) => None,
        }
    }

    /// Whether [`CredentialManager::needs_sign_in`] could be true of any credential. One atomic load, and no key to make.
    pub fn anybody_needs_sign_in(&self) -> bool {
        self.memory.anybody_refused()
    }

    /// Whether it is known that only a new sign-in helps. One atomic load while nobody needs to. What another process
    /// heals is noticed within seconds.
    pub fn needs_sign_in(&self, key: &CredentialKey) -> bool {
        if !self.memory.anybody_refused() {
            return false;
        }
        let Some(checked) = self.memory.look(key, |entry| entry.refused.as_ref().map(|refused| refused.checked)) else {
            return false;
        };
        if self.clock.now() >= checked + RECHECK {
            self.fly_in_background(key, Aim::Serve);
        }
        true
    }

    /// Stores what a sign-in brought, over what was stored before: a sign-in that brought no refresh token keeps the
    /// old one. It is stored when this returns, and a credential that needed a sign-in needs none any more.
    ///
    /// # Errors
    /// [`AuthError::SignInNeeded`] with [`SignIn::WrongAccount`] when somebody else signed in than `key` names, with
    /// nothing stored; [`AuthError::Store`] when it could not be stored.
    pub async fn adopt(&self, key: &CredentialKey, signed_in: Credential) -> Result<(), AuthError> {
        self.adopt_with(key, signed_in, |_, _| {}).await
    }

    /// The newest that is known of a credential.
    ///
    /// # Errors
    /// [`AuthError::Store`].
    pub async fn credential(&self, key: &CredentialKey) -> Result<Option<Credential>, AuthError> {
        Ok(self.load(key).await?.map(|record| record.credential))
    }

    /// Removes a credential here and revokes it at the provider. Neither waits for the other to succeed: what the
    /// provider did is the answer, and a credential that cannot be read is removed too.
    ///
    /// # Errors
    /// [`AuthError::Store`] when it could not be removed here; it was revoked all the same if that was possible.
    pub async fn disconnect(&self, key: &CredentialKey) -> Result<Revocation, AuthError> {
        let record = self.load(key).await;
        // Removed first: a refresh that is under way then finds nothing to write over, and brings nothing back.
        let removed = self.store.delete(key, Expect::Any).await;
        self.memory.settle(key, None);
        let revocation = match (record, self.upstreams.get(&key.provider)) {
            (Ok(None), _) => Revocation::NothingStored,
            (Ok(Some(record)), Some(upstream)) => upstream.client.revoke(&record.credential).await,
            (Ok(Some(_)), None) => {
                Revocation::Failed { cause: Cause::text(format!("no provider is named {}", key.provider)) }
            }
            (Err(error), _) => Revocation::Failed { cause: Cause::new(error) },
        };
        tracing::info!(%key, %revocation, "disconnected");
        removed?;
        self.tell(CredentialEvent::Removed { key: key.clone() });
        Ok(revocation)
    }

    /// The provider's API does not take this token although its time is not over: it is not handed out again, and the
    /// next who asks gets a new one.
    pub fn reject(&self, key: &CredentialKey, token: &AccessToken) {
        self.memory.update(key, |entry| {
            if entry.held.as_ref().is_none_or(|held| held.token.secret() == token.secret()) {
                entry.held = None;
                entry.rejected = Some(token.clone());
            }
        });
    }

    /// Another process has written or removed this credential, or, without a key, perhaps any of them: who asks next is
    /// given what the store holds now.
    pub fn changed_elsewhere(&self, key: Option<&CredentialKey>) {
        match key {
            Some(key) => self.memory.forget(key),
            None => self.memory.keys().iter().for_each(|key| self.memory.forget(key)),
        }
    }

    /// The credentials whose newest token is only in memory, because the store did not take it.
    pub fn unsaved(&self) -> Vec<CredentialKey> {
        self.memory.unsaved().into_iter().map(|(key, _)| key).collect()
    }

    /// Tries once more to save all that is only in memory: before the process ends.
    ///
    /// # Errors
    /// [`AuthError::Store`], the last one, when something could still not be saved.
    pub async fn flush(&self) -> Result<(), AuthError> {
        let mut result = Ok(());
        for (key, unsaved) in self.memory.unsaved() {
            if let Err(error) = self.try_again_to_save(&key, &unsaved).await {
                result = Err(error.into());
            }
        }
        result
    }

    /// What happens to credentials from now on. A listener that is more than 1,024 events behind misses some and is
    /// told so.
    pub fn subscribe(&self) -> broadcast::Receiver<CredentialEvent> {
        self.events.subscribe()
    }

    fn tell(&self, event: CredentialEvent) {
        let _nobody_listens = self.events.send(event);
    }

    /// What somebody who asks is given now, or what has to be done first. Near a token's end the renewal is started.
    fn at_hand(&self, key: &CredentialKey, scopes: &Scopes) -> AtHand {
        let now = self.clock.now();
        let held = self.memory.look(key, |entry| {
            let failed = || entry.failed.as_ref().and_then(|failed| failed.error(now));
            let Some(held) = entry.held.as_ref().filter(|held| now < held.stale_at) else {
                return failed().map(Err);
            };
            if self.is_look_due(held, now) {
                return Some(Ok(None));
            }
            let renew = now >= held.renew_at && !held.blind && !entry.is_flying() && failed().is_none();
            Some(Ok(Some((held.token.clone(), renew))))
        });
        let (token, renew) = match held {
            None => return AtHand::Fly(Aim::Serve),
            Some(Err(error)) => return AtHand::Failed(error),
            Some(Ok(None)) => return AtHand::Fly(Aim::Look),
            Some(Ok(Some(held))) => held,
        };
        if renew {
            self.fly_in_background(key, Aim::Renew { beyond: token.expires_at });
        }
        if self.covers(scopes, &token.scopes) {
            AtHand::Token(token)
        } else {
            // Perhaps another process stored a wider grant.
            AtHand::Fly(Aim::Serve)
        }
    }

    fn covers(&self, needed: &Scopes, granted: &Scopes) -> bool {
        needed.is_subset(granted) || self.rules.missing(needed, granted).is_empty()
    }
}

#[async_trait]
impl TokenSource for CredentialManager {
    fn reject(&self, key: &CredentialKey, token: &AccessToken) {
        Self::reject(self, key, token);
    }

    async fn access_token(&self, key: &CredentialKey, scopes: &Scopes) -> Result<AccessToken, AuthError> {
        let mut flights = 0;
        loop {
            let aim = match self.at_hand(key, scopes) {
                AtHand::Token(token) => return Ok(token),
                AtHand::Failed(error) => return Err(error),
                AtHand::Fly(aim) => aim,
            };
            let landed = self.fly(key, aim).await;
            flights += 1;
            if landed.superseded && flights < OVERTAKEN {
                continue;
            }
            let token = match landed.result {
                Ok(token) => token,
                // A flight that failed, perhaps one for something else, takes nothing away that still serves.
                Err(error) => return self.cached(key, scopes).ok_or(error),
            };
            if self.covers(scopes, &token.scopes) {
                return Ok(token);
            }
            return Err(AuthError::InsufficientScope { needed: scopes.clone(), granted: token.scopes });
        }
    }
}

/// Refuses a sign-in by somebody else than the key names. An account whose address has changed is known by its subject.
fn expect_account(key: &CredentialKey, before: Option<&Credential>, now: &Credential) -> Result<(), AuthError> {
    let (Some(got), Ok(expected)) = (&now.email, Email::new(key.user.as_str())) else { return Ok(()) };
    let same_subject = before.is_some_and(|before| before.subject.is_some() && before.subject == now.subject);
    if UserId::from(got) == key.user || *got == expected || same_subject {
        return Ok(());
    }
    let why = SignIn::WrongAccount { expected, got: got.clone() };
    Err(AuthError::SignInNeeded { key: key.clone(), why })
}
