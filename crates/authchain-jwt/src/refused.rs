//! Tokens whose signature was found wrong, remembered briefly, so that the same forgery costs one public-key operation.
//!
//! An entry is the SHA-256 of key and token: nobody can make a good token look like a refused one, a key that changes
//! makes a new entry, and an attacker's tokens take 32 bytes each and not what they like. The set is placed by a hash
//! with a key of this process, so that nobody can choose neighbours either.

use std::{sync::Arc, time::Duration};

use authchain_core::{Clock, Timestamp};
use aws_lc_rs::digest;
use quick_cache::sync::Cache;

use crate::PublicKey;

/// How long a wrong signature is remembered.
const BRIEFLY: Duration = Duration::from_secs(30);

type Fingerprint = [u8; 32];

pub(crate) struct RefusedTokens {
    until: Cache<Fingerprint, Timestamp, quick_cache::UnitWeighter, std::hash::RandomState>,
    clock: Arc<dyn Clock>,
}

impl RefusedTokens {
    pub(crate) fn new(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        let until = Cache::with(
            capacity,
            u64::try_from(capacity).unwrap_or(u64::MAX),
            quick_cache::UnitWeighter,
            std::hash::RandomState::new(),
            quick_cache::sync::DefaultLifecycle::default(),
        );
        Self { until, clock }
    }

    /// Whether this key was found not to have signed this token. Where nothing was refused, nothing is hashed.
    pub(crate) fn has(&self, entry: impl FnOnce() -> Fingerprint) -> bool {
        !self.until.is_empty() && self.until.get(&entry()).is_some_and(|until| self.clock.now() < until)
    }

    /// Remembers it.
    pub(crate) fn insert(&self, entry: Fingerprint) {
        self.until.insert(entry, self.clock.now() + BRIEFLY);
    }

    /// What stands for a token under a key.
    pub(crate) fn fingerprint(key: &PublicKey, token: &[u8]) -> Fingerprint {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(key.fingerprint());
        hash.update(token);
        let mut fingerprint = [0; 32];
        for (to, from) in fingerprint.iter_mut().zip(hash.finish().as_ref()) {
            *to = *from;
        }
        fingerprint
    }
}

#[cfg(test)]
mod tests {
    use authchain_core::ManualClock;

    use super::*;

    #[test]
    fn a_refusal_is_remembered_for_the_same_key_and_token_only_and_briefly() {
        let clock = Arc::new(ManualClock::new(Timestamp(0)));
        let refused = RefusedTokens::new(16, clock.clone());
        let (a, b) = (PublicKey::ed25519(&[1; 32]).unwrap(), PublicKey::ed25519(&[2; 32]).unwrap());
        refused.insert(RefusedTokens::fingerprint(&a, b"token"));
        assert!(refused.has(|| RefusedTokens::fingerprint(&a, b"token")));
        assert!(!refused.has(|| RefusedTokens::fingerprint(&b, b"token")));
        assert!(!refused.has(|| RefusedTokens::fingerprint(&a, b"tokem")));
        clock.advance(BRIEFLY);
        assert!(!refused.has(|| RefusedTokens::fingerprint(&a, b"token")));
    }

    #[test]
    fn a_flood_stays_within_bounds() {
        let refused = RefusedTokens::new(64, Arc::new(ManualClock::new(Timestamp(0))));
        let key = PublicKey::ed25519(&[1; 32]).unwrap();
        for i in 0..10_000 {
            refused.insert(RefusedTokens::fingerprint(&key, i.to_string().as_bytes()));
        }
        assert!(refused.until.len() <= 64);
    }
}
