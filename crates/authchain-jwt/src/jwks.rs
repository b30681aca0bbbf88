//! An issuer's public keys, fetched from its JWKS URL and kept.
//!
//! However many ask, one fetch is under way. Keys are fetched anew in the background before they get old; while that
//! fails, the old ones stay. A `kid` that is not there asks again, at most once per interval, whatever anybody sends.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authchain_core::{Cause, Clock, Timestamp};
use tokio::{runtime::Handle, sync::watch};
use url::Url;

use crate::{
    KeySet,
    fetch::{self, Fetched},
};

/// How keys are fetched and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksOptions {
    /// The time for one fetch: 5 s.
    pub timeout: Duration,
    /// The longest answer in bytes: 256 KiB.
    pub longest: usize,
    /// How long keys count as fresh when the issuer does not say (`Cache-Control: max-age`): 1 h.
    pub fresh: Duration,
    /// What the issuer says counts between these bounds: 5 min to 6 h.
    pub fresh_between: (Duration, Duration),
    /// How long old keys are used while they cannot be fetched anew: 72 h. It bounds how long a withdrawn key is trusted.
    pub keep: Duration,
    /// An unknown `kid` asks again at most this often: 60 s.
    pub unknown_key_interval: Duration,
    /// After a failure nobody asks again for so long: 5 s.
    pub retry_after: Duration,
    /// Whether plain http is allowed beyond loopback, for a network that is trusted otherwise: no.
    pub allow_plain_http: bool,
}

impl Default for JwksOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            longest: 256 * 1024,
            fresh: Duration::from_secs(3600),
            fresh_between: (Duration::from_secs(300), Duration::from_secs(6 * 3600)),
            keep: Duration::from_secs(72 * 3600),
            unknown_key_interval: Duration::from_secs(60),
            retry_after: Duration::from_secs(5),
            allow_plain_http: false,
        }
    }
}

/// The public keys of one issuer.
pub struct JwksCache(Arc<Inner>);

struct Inner {
    url: Url,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    options: JwksOptions,
    /// Held for moments only, never across I/O.
    state: RwLock<State>,
    /// The number of fetches that ended, for those who wait.
    rounds: watch::Sender<u64>,
    /// Changes when a key is withdrawn.
    generation: AtomicU64,
}

#[derive(Default)]
struct State {
    keys: KeySet,
    fetched_at: Option<Timestamp>,
    refresh_at: Option<Timestamp>,
    failure: Option<(Timestamp, Cause)>,
    unknown_key_at: Option<Timestamp>,
    in_flight: bool,
    round: u64,
}

/// What is at hand.
pub(crate) enum Keys {
    /// These; the wanted one may be missing for good.
    AtHand(KeySet),
    /// A fetch is needed and allowed, unless one ended since this round.
    Fetch { round: u64 },
    /// There are none, and the last fetch failed moments ago.
    Unavailable { retry_after: Duration, cause: Cause },
}

impl JwksCache {
    /// A cache for the keys at `url`; the first token fetches them. `http` should not follow redirects.
    pub fn new(url: Url, http: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        Self::with_options(url, http, clock, JwksOptions::default())
    }

    /// The same with other options.
    pub fn with_options(url: Url, http: reqwest::Client, clock: Arc<dyn Clock>, options: JwksOptions) -> Self {
        Self(Arc::new(Inner {
            url,
            http,
            clock,
            options,
            state: RwLock::default(),
            rounds: watch::Sender::new(0),
            generation: AtomicU64::new(0),
        }))
    }

    /// Where the keys are.
    pub fn url(&self) -> &Url {
        &self.0.url
    }

    /// A number that changes whenever a key that was trusted is withdrawn.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Fetches the keys unless they are there: at start, so that the first request need not wait.
    pub async fn warm(&self) {
        if let Keys::Fetch { round } = self.keys(None) {
            self.fetch_after(round).await;
        }
    }

    /// The keys for a token that names `id`. Starts a fetch in the background when they get old.
    pub(crate) fn keys(&self, id: Option<&str>) -> Keys {
        let inner = &self.0;
        let now = inner.clock.now();
        let state = inner.read();
        let usable = state.fetched_at.is_some_and(|at| now.since(at) < inner.options.keep);
        if !usable {
            return match &state.failure {
                Some((until, cause)) if now < *until => {
                    Keys::Unavailable { retry_after: until.since(now), cause: cause.clone() }
                }
                _ => Keys::Fetch { round: state.round },
            };
        }
        if state.keys.lacks(id) && inner.may_ask_again(&state, now) {
            return Keys::Fetch { round: state.round };
        }
        let keys = state.keys.clone();
        let old = !state.in_flight && state.refresh_at.is_some_and(|at| at <= now);
        let round = state.round;
        drop(state);
        if old && let Ok(runtime) = Handle::try_current() {
            inner.start(round, false, &runtime);
        }
        Keys::AtHand(keys)
    }

    /// Waits for the first fetch that ends after `round`, and starts it where nobody did.
    pub(crate) async fn fetch_after(&self, round: u64) {
        let mut rounds = self.0.rounds.subscribe();
        self.0.start(round, true, &Handle::current());
        // The sender lives as long as `self`.
        let _ended = rounds.wait_for(|ended| *ended > round).await;
    }
}

impl Inner {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_ask_again(&self, state: &State, now: Timestamp) -> bool {
        state.in_flight || state.unknown_key_at.is_none_or(|at| now.since(at) >= self.options.unknown_key_interval)
    }

    /// Starts a fetch, unless one is under way or ended since `round`. It goes on when whoever asked goes away.
    fn start(self: &Arc<Self>, round: u64, somebody_waits: bool, runtime: &Handle) {
        {
            let mut state = self.write();
            if state.in_flight || state.round != round {
                return;
            }
            state.in_flight = true;
            if somebody_waits && state.fetched_at.is_some() {
                state.unknown_key_at = Some(self.clock.now());
            }
        }
        let flight = Flight(self.clone());
        runtime.spawn(async move {
            let outcome = fetch::fetch(&flight.0.url, &flight.0.http, &flight.0.options).await;
            flight.0.take_over(outcome);
        });
    }

    fn take_over(&self, outcome: Result<Fetched, fetch::FetchError>) {
        let now = self.clock.now();
        let (shortest, longest) = self.options.fresh_between;
        let mut state = self.write();
        match outcome {
            Ok(fetched) => {
                let fresh = fetched.max_age.unwrap_or(self.options.fresh).clamp(shortest, longest.max(shortest));
                if !state.keys.is_kept_by(&fetched.keys) {
                    self.generation.fetch_add(1, Ordering::AcqRel);
                }
                tracing::debug!(url = %self.url, keys = fetched.keys.len(), "fetched the keys of an issuer");
                state.keys = fetched.keys;
                state.fetched_at = Some(now);
                // Three quarters, so that nobody ever waits for keys that are known.
                state.refresh_at = Some(now + fresh * 3 / 4);
                state.failure = None;
            }
            Err(error) => {
                let until = now + self.options.retry_after;
                tracing::warn!(url = %self.url, %error, "the keys of an issuer cannot be fetched; known ones are kept");
                state.refresh_at = Some(until);
                state.failure = Some((until, Cause::new(error)));
            }
        }
    }
}

/// A fetch under way. However it ends, those who wait are told.
struct Flight(Arc<Inner>);

impl Drop for Flight {
    fn drop(&mut self) {
        let round = {
            let mut state = self.0.write();
            state.in_flight = false;
            state.round = state.round.wrapping_add(1);
            state.round
        };
        self.0.rounds.send_replace(round);
    }
}

impl fmt::Debug for JwksCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksCache").field("url", &self.0.url.as_str()).finish_non_exhaustive()
    }
}
