//! Tokens in memory, and one flight for all who wait for the same one.

use std::{
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use authchain_core::{AccessToken, AuthError, Cause, Clock, Timestamp};
use futures_util::{FutureExt, future::Shared};
use moka::sync::Cache;
use tokio::task::JoinHandle;

/// A token with less life than this is not handed out any more; of a short life, a tenth.
const SPARE: Duration = Duration::from_secs(30);
/// This long before its end a token is renewed in the background, while it still serves; of a short life, a quarter.
const AHEAD: Duration = Duration::from_secs(300);
/// How long a failure answers those who ask again.
const FAILURE_MEMORY: Duration = Duration::from_secs(5);
/// How many tokens are kept; the least used go first.
const CAPACITY: u64 = 20_000;

type Flight =
    Shared<futures_util::future::Map<JoinHandle<Landed>, fn(Result<Landed, tokio::task::JoinError>) -> Landed>>;
type Landed = Result<AccessToken, AuthError>;

/// Tokens by key. Cheap to clone.
#[derive(Clone)]
pub(super) struct Flights<K: Hash + Eq> {
    slots: Cache<K, Arc<Slot>>,
    clock: Arc<dyn Clock>,
    ahead: Duration,
}

#[derive(Default)]
struct Slot(Mutex<State>);

#[derive(Default)]
struct State {
    held: Option<Held>,
    flight: Option<Flight>,
    failed: Option<(Timestamp, AuthError)>,
}

/// A token, and until when it serves.
#[derive(Clone)]
struct Held {
    token: AccessToken,
    renew_at: Timestamp,
    stale_at: Timestamp,
}

impl Held {
    fn new(token: AccessToken, now: Timestamp, ahead: Duration) -> Self {
        let life = token.expires_at.since(now);
        let (spare, ahead) = (SPARE.min(life / 10), ahead.min(life / 4));
        Self { renew_at: token.expires_at - ahead, stale_at: token.expires_at - spare, token }
    }
}

impl Slot {
    /// Never held across an await. What a panic elsewhere left behind is whole: each change is one assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Send + Sync + 'static> Flights<K> {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { slots: Cache::new(CAPACITY), clock, ahead: AHEAD }
    }

    /// For tokens that nothing can renew: they are not asked about before they end.
    pub(super) fn without_renewal(clock: Arc<dyn Clock>) -> Self {
        Self { ahead: Duration::ZERO, ..Self::new(clock) }
    }

    /// The token in memory, or else the one that `fetch` brings: in a task of its own, so that it lands although the one
    /// who asked first has gone away.
    pub(super) async fn get<F>(&self, key: K, fetch: impl FnOnce() -> F) -> Landed
    where
        F: Future<Output = Landed> + Send + 'static,
    {
        let slot = self.slots.get_with(key, Arc::default);
        let now = self.clock.now();
        let flight = {
            let mut state = slot.state();
            let held = state.held.clone().filter(|held| now < held.stale_at);
            let fresh = held.as_ref().is_some_and(|held| now < held.renew_at);
            let token = held.map(|held| held.token);
            let failed = state.failed.as_ref().filter(|(until, _)| now < *until).map(|(_, error)| error.clone());
            // A flight that has landed without clearing itself away ended in a panic.
            let flying = state.flight.clone().filter(|flight| flight.peek().is_none());
            let flight = match (flying, failed) {
                _ if fresh => None,
                (Some(flight), _) => Some(flight),
                (None, Some(error)) => return token.ok_or(error),
                (None, None) => {
                    let flight = take_off(slot.clone(), self.clock.clone(), self.ahead, fetch());
                    state.flight = Some(flight.clone());
                    Some(flight)
                }
            };
            match (token, flight) {
                (Some(token), _) => return Ok(token),
                (None, flight) => flight,
            }
        };
        match flight {
            Some(flight) => flight.await,
            None => Err(ended_abruptly()),
        }
    }
}

fn take_off(
    slot: Arc<Slot>,
    clock: Arc<dyn Clock>,
    ahead: Duration,
    fetch: impl Future<Output = Landed> + Send + 'static,
) -> Flight {
    let task = tokio::spawn(async move {
        let landed = fetch.await;
        let mut state = slot.state();
        state.flight = None;
        match &landed {
            Ok(token) => {
                state.held = Some(Held::new(token.clone(), clock.now(), ahead));
                state.failed = None;
            }
            Err(error) => state.failed = Some((clock.now() + FAILURE_MEMORY, error.clone())),
        }
        drop(state);
        landed
    });
    let landed: fn(Result<Landed, _>) -> Landed = |joined| joined.unwrap_or_else(|_| Err(ended_abruptly()));
    task.map(landed).shared()
}

fn ended_abruptly() -> AuthError {
    let cause = Cause::text("the request for a token ended abruptly");
    AuthError::UpstreamUnavailable { retry_after: Duration::from_secs(1), cause }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use authchain_core::{ManualClock, Scopes, Secret};

    use super::*;

    fn token(expires_at: Timestamp) -> Landed {
        Ok(AccessToken::new(Secret::new("t"), expires_at, Scopes::none()))
    }

    #[tokio::test]
    async fn a_token_is_renewed_in_the_background_before_its_end_and_waited_for_after_it() {
        let clock = Arc::new(ManualClock::new(Timestamp(0)));
        let flights = Flights::new(clock.clone());
        let asked = Arc::new(AtomicU32::new(0));
        let get = || {
            let (asked, now) = (asked.clone(), clock.now());
            flights.get("k", move || async move {
                asked.fetch_add(1, Ordering::SeqCst);
                token(now + Duration::from_secs(3600))
            })
        };
        assert_eq!(get().await.unwrap().expires_at, Timestamp(3600));
        clock.set(Timestamp(3000));
        get().await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        clock.set(Timestamp(3400));
        assert_eq!(get().await.unwrap().expires_at, Timestamp(3600), "the old one serves meanwhile");
        clock.set(Timestamp(3580));
        assert_eq!(get().await.unwrap().expires_at, Timestamp(7000));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_failure_answers_for_a_few_seconds_and_a_token_that_still_lives_comes_first() {
        let clock = Arc::new(ManualClock::new(Timestamp(0)));
        let flights = Flights::new(clock.clone());
        let failing = || async { Err(AuthError::Configuration("down".into())) };
        assert!(flights.get("k", failing).await.is_err());
        let would_work = || async { token(Timestamp(2000)) };
        assert!(flights.get("k", would_work).await.is_err());
        clock.set(Timestamp(5));
        assert!(flights.get("k", would_work).await.is_ok());
        clock.set(Timestamp(1800));
        assert!(flights.get("k", failing).await.is_ok());
        assert!(flights.get("k", failing).await.is_ok());
    }

    #[tokio::test]
    async fn a_panic_fails_those_who_wait_and_nobody_after_them() {
        let flights = Flights::new(Arc::new(ManualClock::new(Timestamp(0))));
        assert!(flights.get("k", || async { panic!("on purpose") }).await.is_err());
        assert!(flights.get("k", || async { token(Timestamp(1000)) }).await.is_ok());
    }
}
