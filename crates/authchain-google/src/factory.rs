//! The service factory: a hub for an account, made once, kept for half an hour, given out only while there is a usable
//! credential.

use std::{
    any::{Any, TypeId},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authchain_core::{AuthError, Clock, CredentialKey, Scopes, SystemClock, Timestamp, TokenSource, UserId};
use futures_util::future::join_all;
use google_apis_common::Client;
use moka::sync::Cache;

use crate::{
    Connector, Endpoints, Hub, RestClient, TokenBridge, catalogue, client,
    rest::{Addresses, RestHttp},
};

/// How long and how many hubs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheOptions {
    /// How long a hub is kept after it was made.
    pub ttl: Duration,
    /// How many hubs are kept; the least used go first.
    pub capacity: u64,
}

impl Default for CacheOptions {
    /// 30 minutes, 10,000 hubs.
    fn default() -> Self {
        Self { ttl: Duration::from_secs(30 * 60), capacity: 10_000 }
    }
}

/// What the cache did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStats {
    /// Hubs that are kept now.
    pub entries: u64,
    /// Calls that found their hub.
    pub hits: u64,
    /// Calls that made one.
    pub misses: u64,
    /// How long a hub is kept.
    pub ttl: Duration,
    /// How many may be kept.
    pub capacity: u64,
}

/// Makes hubs and keeps them, apart for each owner, account, type and scope set. Cheap to clone.
#[derive(Clone)]
pub struct ServiceFactory(Arc<Inner>);

struct Inner {
    tokens: Arc<dyn TokenSource>,
    client: Client<Connector>,
    rest: RestHttp,
    endpoints: Endpoints,
    clock: Arc<dyn Clock>,
    options: CacheOptions,
    cache: Cache<EntryKey, Entry>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Two people who share an account never share an entry: clearing one's cache leaves the other's alone.
#[derive(Clone, PartialEq, Eq, Hash)]
struct EntryKey {
    owner: UserId,
    credential: CredentialKey,
    hub: TypeId,
    scopes: Scopes,
}

#[derive(Clone)]
struct Entry {
    hub: Arc<dyn Any + Send + Sync>,
    made_at: Timestamp,
}

impl ServiceFactory {
    /// A factory with an empty cache.
    ///
    /// # Errors
    /// [`AuthError::Configuration`] when `endpoints` is neither https nor loopback, or the machine has no root
    /// certificates.
    pub fn new(tokens: Arc<dyn TokenSource>, endpoints: Endpoints, options: CacheOptions) -> Result<Self, AuthError> {
        Self::with_clock(tokens, endpoints, options, Arc::new(SystemClock))
    }

    /// As [`ServiceFactory::new`], with the time from elsewhere.
    ///
    /// # Errors
    /// As [`ServiceFactory::new`].
    pub fn with_clock(
        tokens: Arc<dyn TokenSource>,
        endpoints: Endpoints,
        options: CacheOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AuthError> {
        let connector = client::connector(&endpoints)?;
        let cache = Cache::builder().max_capacity(options.capacity).time_to_live(options.ttl).build();
        Ok(Self(Arc::new(Inner {
            tokens,
            client: client::client(connector.clone()),
            rest: client::client(connector),
            endpoints,
            clock,
            options,
            cache,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })))
    }

    /// A hub that acts for the account `key`, on behalf of `owner`, with at least `scopes`. Whether `owner` may use that
    /// account is the caller's to decide, before.
    ///
    /// Each call asks the token source, which answers from memory while the credential is good: an account that has to
    /// sign in is reported here, not from inside the hub.
    ///
    /// # Errors
    /// Those of [`TokenSource::access_token`].
    pub async fn service<H: Hub>(
        &self,
        owner: &UserId,
        key: &CredentialKey,
        scopes: &Scopes,
    ) -> Result<Arc<H>, AuthError> {
        let entry_key =
            EntryKey { owner: owner.clone(), credential: key.clone(), hub: TypeId::of::<H>(), scopes: scopes.clone() };
        let inner = &*self.0;
        if let Err(error) = inner.tokens.access_token(key, scopes).await {
            if matches!(error, AuthError::SignInNeeded { .. }) {
                inner.cache.invalidate(&entry_key);
            }
            return Err(error);
        }
        let now = inner.clock.now();
        let make = || Entry {
            hub: Arc::new(H::new(
                inner.client.clone(),
                TokenBridge::new(inner.tokens.clone(), key.clone(), scopes.clone()),
                &inner.endpoints,
            )),
            made_at: now,
        };
        // moka keeps its own time for dropping entries; whether one may still be used is decided by our clock.
        let too_old = |entry: &Entry| now.since(entry.made_at) >= inner.options.ttl;
        let entry = inner.cache.entry(entry_key).or_insert_with_if(make, too_old);
        let counter = if entry.is_fresh() { &inner.misses } else { &inner.hits };
        counter.fetch_add(1, Ordering::Relaxed);
        // The type is part of the key, so the downcast cannot fail; were it to, an error is better than a panic.
        entry
            .into_value()
            .hub
            .downcast::<H>()
            .map_err(|_| AuthError::Configuration("the service cache mixed up two types".into()))
    }

    /// A client of any API of the catalogue, by key, alias or key with version (`photos`, `drive_v2`), that acts for the
    /// account `key`. The credential is that of the service's token group, whatever group `key` names. `None` for the
    /// scopes asks for those that a tool usually needs. It is cheap to make, so it is not kept in the cache.
    ///
    /// # Errors
    /// [`AuthError::Configuration`] for a service that is unknown or closed; those of [`TokenSource::access_token`].
    pub async fn rest(
        &self,
        key: &CredentialKey,
        service: &str,
        scopes: Option<&Scopes>,
    ) -> Result<RestClient, AuthError> {
        let inner = &*self.0;
        let selected = catalogue().get(service)?;
        let key = CredentialKey { group: selected.service.token_group(), ..key.clone() };
        let scopes = scopes.cloned().unwrap_or_else(|| selected.service.default_scopes());
        let at = Addresses::new(selected.version.base_url, &inner.endpoints)
            .ok_or_else(|| AuthError::Configuration(format!("{service} has no address")))?;
        let token = TokenBridge::new(inner.tokens.clone(), key, scopes);
        token.token().await?;
        Ok(RestClient::new(inner.rest.clone(), selected, at, token))
    }

    /// Several clients at once. One that cannot be made is an error in its place; the others work.
    pub async fn services<'a>(
        &self,
        key: &CredentialKey,
        services: impl IntoIterator<Item = (&'a str, Option<&'a Scopes>)>,
    ) -> Vec<Result<RestClient, AuthError>> {
        join_all(services.into_iter().map(|(service, scopes)| self.rest(key, service, scopes))).await
    }

    /// Forgets the hubs of one account, whoever they were made for: after a disconnect or a change of account.
    pub fn invalidate(&self, key: &CredentialKey) -> u64 {
        self.remove_where(|entry| entry.credential == *key)
    }

    /// Forgets the hubs of one owner, or of all. How many there were.
    pub fn clear(&self, owner: Option<&UserId>) -> u64 {
        self.remove_where(|entry| owner.is_none_or(|owner| entry.owner == *owner))
    }

    /// What the cache did so far.
    pub fn stats(&self) -> CacheStats {
        let inner = &*self.0;
        inner.cache.run_pending_tasks();
        CacheStats {
            entries: inner.cache.entry_count(),
            hits: inner.hits.load(Ordering::Relaxed),
            misses: inner.misses.load(Ordering::Relaxed),
            ttl: inner.options.ttl,
            capacity: inner.options.capacity,
        }
    }

    fn remove_where(&self, gone: impl Fn(&EntryKey) -> bool) -> u64 {
        let cache = &self.0.cache;
        let keys: Vec<_> = cache.iter().map(|(key, _)| key).filter(|key| gone(key)).collect();
        keys.iter().filter_map(|key| cache.remove(&**key)).map(|_| 1).sum()
    }
}

impl fmt::Debug for ServiceFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceFactory").field("endpoints", &self.0.endpoints).field("stats", &self.stats()).finish()
    }
}
