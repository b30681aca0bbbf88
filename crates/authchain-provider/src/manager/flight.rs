//! One refresh, from the look at the store to the change of memory: the only place that asks a provider for new tokens.
//!
//! It runs in a task of its own, so that it ends well when everyone who waited for it has gone.

use std::{sync::Arc, time::Duration};

use authchain_core::{
    AccessToken, AuthError, Cause, Credential, CredentialKey, CredentialStatus, Expect, Scopes, Secret, SignIn,
    StoreError, Timestamp, Version,
};
use tokio::sync::watch;

use super::{
    CredentialManager, Upstream,
    look::Blind,
    memory::{Begun, Entry, Failed, Held, Landed, Outcome, Refused, Ticket, Unsaved},
    record::Record,
    saving::Saved,
};
use crate::{CredentialEvent, RefreshError};

/// So many times another process may change the credential under a flight before it gives up.
const ROUNDS: usize = 4;
/// A grant that dies within this span around the age at which those of test clients do is taken for one of them.
const TESTING_SLACK: Duration = Duration::from_secs(6 * 3600);

/// What a flight is for.
#[derive(Clone, Copy)]
pub(super) enum Aim {
    /// A token that serves now.
    Serve,
    /// A newer token than the one that ends then, although that one still serves.
    Renew { beyond: Timestamp },
    /// Whether the token that still serves goes with what is stored.
    Look,
}

/// What a flight brought, and what of it is remembered.
struct Flown {
    result: Result<AccessToken, AuthError>,
    change: Change,
    event: Option<CredentialEvent>,
}

enum Change {
    Nothing,
    /// Hand it out from now on. A failure stays remembered, so that asking for it does not ask the provider.
    Hold(Held),
    /// Hand it out: it is fresh, and the credential is stored.
    HoldSaved(Held),
    /// The same, and the store did not take the credential.
    HoldUnsaved(Held, Arc<Unsaved>),
    /// Only a new sign-in helps.
    Refuse(Refused),
    /// Do not ask again for a while; what still lives is handed out until it ends.
    Fail(Option<Held>, Failed),
    /// It is not stored any more.
    Gone,
}

impl Change {
    fn apply(self, entry: &mut Entry) {
        match self {
            Self::Nothing => {}
            Self::Hold(held) => {
                entry.held = Some(held);
                entry.refused = None;
                entry.rejected = None;
            }
            Self::HoldSaved(held) => *entry = Entry { held: Some(held), ..Entry::default() },
            Self::HoldUnsaved(held, unsaved) => {
                *entry = Entry { held: Some(held), unsaved: Some(unsaved), ..Entry::default() };
            }
            Self::Refuse(refused) => *entry = Entry { refused: Some(refused), ..Entry::default() },
            Self::Fail(held, failed) => {
                entry.held = held;
                entry.refused = None;
                entry.failed = Some(failed);
            }
            Self::Gone => *entry = Entry::default(),
        }
    }
}

/// What the store says after a refused refresh.
enum Winner {
    /// Another process, or a sign-in, was first.
    Newer(Box<Record>),
    /// Nobody was.
    Nobody,
    Gone,
}

impl CredentialManager {
    /// Waits for the flight of a key, which is started if there is none. Waiting can be given up; the flight goes on.
    pub(super) async fn fly(&self, key: &CredentialKey, aim: Aim) -> Landed {
        let mut outcome = match self.memory.begin(key) {
            Begun::Joined(outcome) => outcome,
            Begun::Started(ticket, sender, outcome) => {
                self.launch(ticket, sender, aim);
                outcome
            }
        };
        match outcome.wait_for(Option::is_some).await.map(|landed| landed.clone()) {
            Ok(Some(landed)) => landed,
            // The task was stopped, which happens when its runtime ends.
            Ok(None) | Err(_) => Landed {
                superseded: false,
                result: Err(AuthError::UpstreamUnavailable {
                    retry_after: Duration::from_secs(1),
                    cause: Cause::text("the refresh was interrupted"),
                }),
            },
        }
    }

    /// Starts the flight of a key unless there is one, and waits for nothing.
    pub(super) fn fly_in_background(&self, key: &CredentialKey, aim: Aim) {
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        if let Begun::Started(ticket, sender, _) = self.memory.begin(key) {
            self.launch(ticket, sender, aim);
        }
    }

    fn launch(&self, ticket: Ticket, outcome: watch::Sender<Outcome>, aim: Aim) {
        let Some(manager) = self.me.upgrade() else { return };
        tokio::spawn(async move {
            let key = ticket.key().clone();
            let Flown { result, change, event } = manager.refresh(&key, aim).await;
            let unsaved = match &change {
                Change::HoldUnsaved(_, unsaved) => Some(unsaved.clone()),
                _ => None,
            };
            let landed = ticket.land(|entry| change.apply(entry));
            if landed {
                event.into_iter().for_each(|event| manager.tell(event));
                if let Some(unsaved) = unsaved {
                    manager.keep_saving(&key, unsaved);
                }
            }
            outcome.send_replace(Some(Landed { result, superseded: !landed }));
            if matches!(aim, Aim::Look) {
                // As whoever asks does: near its end a token that was only looked at is renewed.
                manager.cached(&key, &Scopes::none());
            }
        });
    }

    async fn refresh(&self, key: &CredentialKey, aim: Aim) -> Flown {
        let Some(upstream) = self.upstreams.get(&key.provider) else {
            return fails(AuthError::Configuration(format!("no provider is named {}", key.provider)));
        };
        if let (Aim::Look, Some(token)) = (aim, self.looked_already(key)) {
            return as_before(token);
        }
        // Another process may have been here: what is stored comes first.
        let mut read_at = self.clock.now();
        let read = match aim {
            Aim::Serve => self.load(key).await,
            Aim::Renew { .. } | Aim::Look => match self.look(key).await {
                Ok(stored) => Ok(stored),
                Err(Blind::Serves(token)) => return as_before(token),
                Err(Blind::Failed(error)) => Err(error),
            },
        };
        let mut record = match read {
            Ok(Some(record)) => record,
            Ok(None) => return gone(key, !matches!(aim, Aim::Serve)),
            Err(error) => return fails(error),
        };
        let same = self.memory.saw(key, record.version, read_at);
        if let (Aim::Look, Some(token)) = (aim, same.filter(|held| read_at < held.stale_at).map(|held| held.token)) {
            return as_before(token);
        }
        let mut taken_over = !matches!(aim, Aim::Serve);
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            if let CredentialStatus::NeedsSignIn { reason, .. } = &record.credential.status {
                return self.refuse(key, &record, SignIn::Refused(reason.clone()));
            }
            if let Some(refused) = self.memory.look(key, |entry| entry.refused.clone())
                && refused.version == record.version
            {
                return self.refuse(key, &record, refused.why);
            }
            if self.serves(key, &record.credential, aim, now)
                && let Some(held) = self.hold(&record.credential, record.version, read_at, false)
            {
                let event = taken_over.then(|| CredentialEvent::Refreshed { key: key.clone() });
                return Flown { result: Ok(held.token.clone()), change: Change::Hold(held), event };
            }
            if record.credential.refresh_token.is_none() {
                return self.refuse(key, &record, SignIn::NoRefreshToken);
            }
            if let Some(error) = upstream.outage.answer(now) {
                return self.give_up(key, &record, read_at, error);
            }
            let asked = upstream.client.refresh(&record.credential).await;
            let answered_at = self.clock.now();
            let error = match asked {
                Ok(fresh) => {
                    upstream.outage.answered();
                    return self.keep(key, upstream, record, fresh).await;
                }
                Err(RefreshError::NoRefreshToken) => return self.refuse(key, &record, SignIn::NoRefreshToken),
                Err(RefreshError::Refused { words }) => {
                    upstream.outage.answered();
                    match self.find_winner(key, &record).await {
                        Ok(Winner::Newer(newer)) => record = *newer,
                        Ok(Winner::Nobody) => match self.mark(key, upstream, &record, words).await {
                            Ok(flown) => return flown,
                            Err(newer) => record = *newer,
                        },
                        Ok(Winner::Gone) => return gone(key, true),
                        // Whether somebody was first cannot be seen, so nothing is decided.
                        Err(error) => return self.give_up(key, &record, read_at, error.into()),
                    }
                    read_at = answered_at;
                    taken_over = true;
                    continue;
                }
                Err(error) => error,
            };
            let pause = self.options.failure_memory;
            match &error {
                RefreshError::Unavailable { retry_after, cause } => {
                    upstream.outage.failed(key, self.clock.now(), retry_after.unwrap_or(pause).max(pause), cause);
                }
                _ => upstream.outage.answered(),
            }
            return self.give_up(key, &record, read_at, error.into_auth_error(key, pause));
        }
        fails(AuthError::Store(StoreError::Conflict { what: key.to_string() }))
    }

    /// Whether a stored access token does what the flight is for.
    fn serves(&self, key: &CredentialKey, credential: &Credential, aim: Aim, now: Timestamp) -> bool {
        let (Some(token), Some(expiry)) = (&credential.access_token, credential.expires_at) else { return false };
        let rejected = self.memory.look(key, |entry| entry.rejected.clone());
        if rejected.is_some_and(|rejected| rejected.secret() == token) {
            return false;
        }
        if credential.refresh_token.is_none() {
            return expiry > now;
        }
        let lives = expiry > now + self.options.spare;
        match aim {
            Aim::Serve | Aim::Look => lives,
            Aim::Renew { beyond } => lives && (expiry > beyond || expiry > now + self.options.ahead),
        }
    }

    /// How long a token is handed out, and when it is renewed: that of a credential which was stored at `seen_at` as this
    /// version. A short life that is known from its start is shared out.
    pub(super) fn hold(
        &self,
        credential: &Credential,
        version: Version,
        seen_at: Timestamp,
        fresh: bool,
    ) -> Option<Held> {
        let expiry = credential.expires_at?;
        let token = AccessToken::new(credential.access_token.clone()?, expiry, credential.scopes.clone());
        let held = Held { token, renew_at: Timestamp::NEVER, stale_at: expiry, version, looked: seen_at, blind: false };
        if credential.refresh_token.is_none() {
            return Some(held);
        }
        let (mut ahead, mut spare) = (self.options.ahead, self.options.spare);
        if fresh {
            let life = expiry.since(seen_at);
            (ahead, spare) = (ahead.min(life / 4), spare.min(life / 10));
        }
        Some(Held { renew_at: expiry - ahead, stale_at: expiry - spare, ..held })
    }

    /// Saves what a refresh brought, before anybody is answered, and serves it even if that fails.
    async fn keep(&self, key: &CredentialKey, upstream: &Upstream, base: Record, fresh: Credential) -> Flown {
        let now = self.clock.now();
        let Some(ours) = self.hold(&fresh, base.version, now, true) else {
            return fails(AuthError::UpstreamRefused { cause: Cause::text("a refresh without an access token") });
        };
        let event = Some(CredentialEvent::Refreshed { key: key.clone() });
        match self.save(key, &base, &fresh).await {
            Saved::Ours(version) => {
                let held = Held { version, ..ours };
                Flown { result: Ok(held.token.clone()), change: Change::HoldSaved(held), event }
            }
            Saved::Theirs(theirs) => {
                tracing::debug!(%key, "another process refreshed too and was first: its token is taken");
                // What the provider has just given us serves too, should theirs not.
                let version = theirs.version;
                let theirs = self.serves(key, &theirs.credential, Aim::Serve, now).then_some(theirs.credential);
                let held = theirs.and_then(|theirs| self.hold(&theirs, version, now, false));
                let held = held.unwrap_or(Held { version, ..ours });
                Flown { result: Ok(held.token.clone()), change: Change::HoldSaved(held), event }
            }
            Saved::Gone => {
                if fresh.refresh_token != base.credential.refresh_token {
                    // Disconnecting revoked the predecessor; this one must not outlive it.
                    let client = upstream.client.clone();
                    tokio::spawn(async move { client.revoke(&fresh).await });
                }
                gone(key, true)
            }
            Saved::Failed(error) => {
                tracing::error!(
                    %key, %error,
                    "a fresh token could not be saved: it is served from memory and lost if this process ends before \
                     saving works again"
                );
                let unsaved = Arc::new(Unsaved { base, credential: fresh });
                Flown {
                    result: Ok(ours.token.clone()),
                    change: Change::HoldUnsaved(ours, unsaved),
                    event: Some(CredentialEvent::SaveFailed { key: key.clone() }),
                }
            }
        }
    }

    /// After an `invalid_grant`: perhaps another process refreshed first, and is about to store what it got.
    async fn find_winner(&self, key: &CredentialKey, record: &Record) -> Result<Winner, StoreError> {
        for wait in &self.options.winner_waits {
            if !wait.is_zero() {
                tokio::time::sleep(*wait).await;
            }
            let Some(now) = self.store.get_newest(key).await? else { return Ok(Winner::Gone) };
            let changed = now.value.refresh_token != record.stored.refresh_token
                || now.value.access_token != record.stored.access_token
                || now.value.status != record.stored.status;
            if now.version != record.version && changed {
                tracing::debug!(%key, "the refresh was refused because another was first: its token is taken");
                return Ok(Winner::Newer(Box::new(now.into())));
            }
        }
        Ok(Winner::Nobody)
    }

    /// Writes down that only a new sign-in helps. `Err`: somebody changed the credential meanwhile, look again.
    async fn mark(
        &self,
        key: &CredentialKey,
        upstream: &Upstream,
        record: &Record,
        words: String,
    ) -> Result<Flown, Box<Record>> {
        let since = self.clock.now();
        let age = since.since(record.credential.granted_at);
        let testing = upstream.client.provider().testing_grants_live;
        let reason = match testing.filter(|life| age + TESTING_SLACK >= *life && age <= *life + TESTING_SLACK) {
            Some(life) => format!(
                "{words} ({} days after the sign-in: the OAuth app seems to be in testing mode still)",
                life.as_secs() / 86_400
            ),
            None => words,
        };
        let status = CredentialStatus::NeedsSignIn { since, reason: reason.clone() };
        let dead = Credential { status, ..record.credential.clone() };
        let mut marked = record.clone();
        match self.put(key, &dead, Expect::Version(record.version)).await {
            Ok(version) => marked.version = version,
            Err(StoreError::Conflict { .. }) => {
                if let Ok(Some(newer)) = self.store.get_newest(key).await {
                    return Err(Box::new(newer.into()));
                }
            }
            // It stands in memory, for this version.
            Err(error) => tracing::warn!(%key, %error, "that a credential is dead could not be written down"),
        }
        tracing::warn!(%key, %reason, "the provider refused the credential: only a new sign-in helps");
        Ok(self.refuse(key, &marked, SignIn::Refused(reason)))
    }

    fn refuse(&self, key: &CredentialKey, record: &Record, why: SignIn) -> Flown {
        let known = self.memory.look(key, |entry| entry.refused.as_ref().map(|refused| refused.why == why));
        let event = (known != Some(true)).then(|| {
            let reason = why.to_string();
            CredentialEvent::NeedsSignIn { key: key.clone(), reason }
        });
        let refused = Refused { why: why.clone(), version: record.version, checked: self.clock.now() };
        let result = Err(AuthError::SignInNeeded { key: key.clone(), why });
        Flown { result, change: Change::Refuse(refused), event }
    }

    /// No new token, and the credential as good as before. A token that still lives serves until its end.
    fn give_up(&self, key: &CredentialKey, record: &Record, read_at: Timestamp, error: AuthError) -> Flown {
        let now = self.clock.now();
        let pause = error.retry_after().unwrap_or_default().max(self.options.failure_memory);
        tracing::warn!(%key, %error, ?pause, "no new access token");
        let credential = &record.credential;
        let rejected: Option<Secret> =
            self.memory.look(key, |entry| entry.rejected.as_ref().map(|token| token.secret().clone()));
        let alive =
            credential.usable_access_token(now, Duration::ZERO).is_some() && credential.access_token != rejected;
        let held = self.hold(credential, record.version, read_at, false).filter(|_| alive);
        let held = held.map(|held| Held { stale_at: held.token.expires_at, ..held });
        let result = held.as_ref().map_or_else(|| Err(error.clone()), |held| Ok(held.token.clone()));
        Flown { result, change: Change::Fail(held, Failed { error, until: now + pause }), event: None }
    }
}

/// What is in memory is right, and serves.
fn as_before(token: AccessToken) -> Flown {
    Flown { result: Ok(token), change: Change::Nothing, event: None }
}

/// A failure that nobody needs to remember.
fn fails(error: AuthError) -> Flown {
    Flown { result: Err(error), change: Change::Nothing, event: None }
}

fn gone(key: &CredentialKey, removed_meanwhile: bool) -> Flown {
    let result = Err(AuthError::SignInNeeded { key: key.clone(), why: SignIn::NeverSignedIn });
    let event = removed_meanwhile.then(|| CredentialEvent::Removed { key: key.clone() });
    Flown { result, change: Change::Gone, event }
}
