//! Tokens that were verified, so that the second request with one costs a look-up and no public-key operation.
//!
//! An entry is placed by the last bytes of the token, which are bytes of its signature: only what was verified gets in, so
//! nobody can choose them, and hashing the whole token would cost more than everything else on a warm request. The whole
//! token is then compared in constant time. The expiry is looked at on every hit.

use std::{
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authchain_core::{Clock, Timestamp};
use constant_time_eq::constant_time_eq;
use quick_cache::{Equivalent, UnitWeighter, sync::Cache};
use zeroize::Zeroizing;

/// Verified tokens with what they stand for. Look-ups allocate nothing and take only the read lock of one shard.
pub struct VerifiedCache<V> {
    entries: Cache<Token, Entry<V>, UnitWeighter, ByTail>,
    max_life: Duration,
    clock: Arc<dyn Clock>,
    /// Counts removals; see [`VerifiedCache::insert_since`].
    removals: AtomicU64,
}

/// A moment in a cache's life: taken before a token is verified, given back when it is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheTicket(u64);

#[derive(Clone)]
struct Entry<V> {
    value: V,
    until: Timestamp,
}

impl<V: Clone> VerifiedCache<V> {
    /// A cache of about `capacity` tokens, each kept for at most `max_life`.
    pub fn new(capacity: usize, max_life: Duration, clock: Arc<dyn Clock>) -> Self {
        let entries = Cache::with(
            capacity,
            u64::try_from(capacity).unwrap_or(u64::MAX),
            UnitWeighter,
            ByTail::new(),
            quick_cache::sync::DefaultLifecycle::default(),
        );
        Self { entries, max_life, clock, removals: AtomicU64::new(0) }
    }

    /// What a token stands for, if it was verified and has not expired since.
    pub fn get(&self, token: impl AsRef<[u8]>) -> Option<V> {
        let token = Presented(token.as_ref());
        let entry = self.entries.get(&token)?;
        if self.clock.now() < entry.until {
            return Some(entry.value);
        }
        self.entries.remove(&token);
        None
    }

    /// Take this before verification begins, for [`VerifiedCache::insert_since`].
    pub fn ticket(&self) -> CacheTicket {
        CacheTicket(self.removals.load(Ordering::SeqCst))
    }

    /// Remembers a token. Only for tokens whose signature was verified just now, and where nothing is ever removed in
    /// between: otherwise use [`VerifiedCache::insert_since`].
    pub fn insert(&self, token: &(impl AsRef<[u8]> + ?Sized), value: V, expires_at: Timestamp) {
        let now = self.clock.now();
        let until = expires_at.min(now + self.max_life);
        if now < until {
            self.entries.insert(Token(Zeroizing::new(token.as_ref().into())), Entry { value, until });
        }
    }

    /// Remembers a token, unless anything was removed since the ticket was taken: a token that was revoked while it was
    /// being verified does not come back.
    pub fn insert_since(
        &self,
        ticket: CacheTicket,
        token: &(impl AsRef<[u8]> + ?Sized),
        value: V,
        expires_at: Timestamp,
    ) {
        if self.ticket() != ticket {
            return;
        }
        let token = token.as_ref();
        self.insert(token, value, expires_at);
        // A removal that came between the first look and the insertion has not seen this entry.
        if self.ticket() != ticket {
            self.entries.remove(&Presented(token));
        }
    }

    /// Forgets every token whose value is `gone`: after a revocation, or the end of a session.
    pub fn remove_where(&self, gone: impl Fn(&V) -> bool) {
        self.removals.fetch_add(1, Ordering::SeqCst);
        self.entries.retain(|_, entry| !gone(&entry.value));
    }

    /// Forgets every token: after a key is no longer trusted.
    pub fn clear(&self) {
        self.removals.fetch_add(1, Ordering::SeqCst);
        self.entries.clear();
    }

    /// How many tokens are remembered, expired ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<V: Clone> std::fmt::Debug for VerifiedCache<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedCache").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

/// A token that was verified; wiped when it goes.
struct Token(Zeroizing<Box<[u8]>>);

/// A token that is presented.
struct Presented<'a>(&'a [u8]);

impl Equivalent<Token> for Presented<'_> {
    fn equivalent(&self, token: &Token) -> bool {
        constant_time_eq(self.0, &token.0)
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        Presented(&self.0).equivalent(other)
    }
}

impl Eq for Token {}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Presented(&self.0).hash(state);
    }
}

impl Hash for Presented<'_> {
    /// The last 16 bytes, 96 bits of the signature; a shorter token has no place in the cache but must not panic.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0.last_chunk::<16>() {
            Some(tail) => state.write_u128(u128::from_le_bytes(*tail)),
            None => state.write(self.0),
        }
    }
}

/// Mixes those bytes with a key of this process.
#[derive(Clone)]
struct ByTail(u64, u64);

impl ByTail {
    fn new() -> Self {
        let random = RandomState::new();
        Self(random.hash_one(1), random.hash_one(2) | 1)
    }
}

impl BuildHasher for ByTail {
    type Hasher = TailHasher;
    fn build_hasher(&self) -> TailHasher {
        TailHasher { state: self.0, factor: self.1 }
    }
}

struct TailHasher {
    state: u64,
    factor: u64,
}

impl TailHasher {
    /// A multiplication whose two halves are folded together.
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.state ^ word).wrapping_mul(u128::from(self.factor));
        #[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
        let (low, high) = (product as u64, (product >> 64) as u64);
        self.state = low ^ high;
    }
}

impl Hasher for TailHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.mix(u64::from(*byte));
        }
    }

    fn write_u128(&mut self, tail: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
        let (low, high) = (tail as u64, (tail >> 64) as u64);
        self.mix(low);
        self.mix(high);
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use authchain_core::ManualClock;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn cache(capacity: usize) -> (VerifiedCache<u32>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp(1000)));
        (VerifiedCache::new(capacity, HOUR, clock.clone()), clock)
    }

    fn token(n: u32) -> String {
        format!("header.payload-{n}.signature-of-token-number-{n:08}")
    }

    #[test]
    fn a_token_that_was_inserted_is_found() {
        let (cache, _) = cache(10);
        cache.insert(&token(1), 1, Timestamp(2000));
        assert_eq!(cache.get(token(1)), Some(1));
        assert_eq!(cache.get(token(2)), None);
    }

    #[test]
    fn a_token_with_the_same_signature_and_other_claims_is_another_token() {
        let (cache, _) = cache(10);
        cache.insert("header.eve.signature-of-token", 1, Timestamp(2000));
        assert_eq!(cache.get("header.ann.signature-of-token"), None);
        assert_eq!(cache.get("header.anna.signature-of-token"), None);
        cache.insert("header.ann.signature-of-token", 2, Timestamp(2000));
        assert_eq!(cache.get("header.eve.signature-of-token"), Some(1));
        assert_eq!(cache.get("header.ann.signature-of-token"), Some(2));
    }

    #[test]
    fn an_expired_token_is_no_hit() {
        let (cache, clock) = cache(10);
        cache.insert(&token(1), 1, Timestamp(1010));
        clock.set(Timestamp(1009));
        assert_eq!(cache.get(token(1)), Some(1));
        clock.set(Timestamp(1010));
        assert_eq!(cache.get(token(1)), None);
        clock.set(Timestamp(1000));
        assert_eq!(cache.get(token(1)), None, "it is gone for good");
        cache.insert(&token(2), 2, Timestamp(1000));
        assert!(cache.is_empty());
    }

    #[test]
    fn a_token_is_kept_no_longer_than_the_cache_allows() {
        let (cache, clock) = cache(10);
        cache.insert(&token(1), 1, Timestamp::NEVER);
        clock.advance(HOUR);
        assert_eq!(cache.get(token(1)), None);
    }

    #[test]
    fn the_number_of_tokens_is_bounded() {
        let (cache, _) = cache(100);
        for n in 0..10_000 {
            cache.insert(&token(n), n, Timestamp(2000));
        }
        assert!(cache.len() <= 100);
    }

    #[test]
    fn what_is_revoked_is_gone_at_once() {
        let (cache, _) = cache(10);
        cache.insert(&token(1), 1, Timestamp(2000));
        cache.insert(&token(2), 2, Timestamp(2000));
        cache.remove_where(|value| *value == 1);
        assert_eq!((cache.get(token(1)), cache.get(token(2))), (None, Some(2)));
        cache.clear();
        assert_eq!(cache.get(token(2)), None);
    }

    #[test]
    fn a_token_that_was_revoked_while_it_was_verified_does_not_come_back() {
        let (cache, _) = cache(10);
        let ticket = cache.ticket();
        cache.remove_where(|value| *value == 1);
        cache.insert_since(ticket, &token(1), 1, Timestamp(2000));
        assert_eq!(cache.get(token(1)), None);
        cache.insert_since(cache.ticket(), &token(1), 1, Timestamp(2000));
        assert_eq!(cache.get(token(1)), Some(1));
    }

    #[test]
    fn many_readers_and_a_revoker_never_see_a_revoked_token_afterwards() {
        let (cache, _) = cache(1000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..2_000 {
                        let ticket = cache.ticket();
                        cache.insert_since(ticket, &token(n % 50), n % 50, Timestamp(2000));
                        cache.get(token(n % 50));
                    }
                });
            }
            scope.spawn(|| (0..200).for_each(|_| cache.remove_where(|value| *value == 7)));
        });
        cache.remove_where(|value| *value == 7);
        assert_eq!(cache.get(token(7)), None);
    }

    #[test]
    fn short_texts_do_no_harm() {
        let (cache, _) = cache(10);
        for short in ["", "a", "a.b.c"] {
            assert_eq!(cache.get(short), None);
            cache.insert(short, 1, Timestamp(2000));
            assert_eq!(cache.get(short), Some(1));
        }
    }
}
