//! Nonces of ours for DPoP proofs (RFC 9449, section 8): a time and a tag over it. They are stored nowhere and are good on
//! every instance, for five minutes.

use std::sync::{Arc, PoisonError, RwLock};

use authchain_core::{Timestamp, constant_time_eq};
use authchain_store::seal::Keyring;
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// How long a nonce is good, in seconds.
const LIFE: i64 = 5 * 60;
/// How far the clocks of two instances may differ, in seconds.
const SKEW: i64 = 30;

/// Makes and knows nonces. When the keys change, also by another process, it follows; older keys know their nonces on.
pub(super) struct Nonces {
    keyring: Keyring,
    derived: RwLock<(u64, Keys)>,
}

type Keys = Arc<[hmac::Key]>;

impl Nonces {
    pub(super) fn new(keyring: &Keyring) -> Self {
        let derived = RwLock::new((keyring.changes(), derive(keyring)));
        Self { keyring: keyring.clone(), derived }
    }

    pub(super) fn make(&self, now: Timestamp) -> String {
        let time = now.0.to_be_bytes();
        let tag = self.keys().first().map(|key| tag(key, time)).unwrap_or_default();
        URL_SAFE_NO_PAD.encode([&time[..], &tag].concat())
    }

    pub(super) fn knows(&self, nonce: &str, now: Timestamp) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
        let Some((time, presented)) = bytes.split_first_chunk::<8>() else { return false };
        let age = now.0.saturating_sub(i64::from_be_bytes(*time));
        let ours = || self.keys().iter().any(|key| constant_time_eq(&tag(key, *time), presented));
        // Another instance may have a newer key.
        (-SKEW..=LIFE).contains(&age) && (ours() || (self.keyring.look_again() && ours()))
    }

    fn keys(&self) -> Keys {
        // Asked for first: should the keys change in between, they are derived once more than needed.
        let changes = self.keyring.changes();
        let known = self.derived.read().unwrap_or_else(PoisonError::into_inner);
        if known.0 == changes {
            return Arc::clone(&known.1);
        }
        drop(known);
        let fresh = derive(&self.keyring);
        *self.derived.write().unwrap_or_else(PoisonError::into_inner) = (changes, Arc::clone(&fresh));
        fresh
    }
}

fn derive(keyring: &Keyring) -> Keys {
    keyring.derive("dpop nonce 1").iter().map(|(_, key)| hmac::Key::new(hmac::HMAC_SHA256, &**key)).collect()
}

fn tag(key: &hmac::Key, time: [u8; 8]) -> Vec<u8> {
    hmac::sign(key, &time).as_ref().iter().take(16).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n19_a_nonce_is_good_for_five_minutes_and_on_servers_with_the_same_keys() {
        let (keyring, now) = (Keyring::ephemeral(), Timestamp(1_800_000_000));
        let nonce = Nonces::new(&keyring).make(now);
        let other_instance = Nonces::new(&keyring);
        for (age, good) in [(0, true), (300, true), (301, false), (-30, true), (-31, false)] {
            assert_eq!(other_instance.knows(&nonce, Timestamp(now.0 + age)), good, "{age}");
        }
        assert!(!Nonces::new(&Keyring::ephemeral()).knows(&nonce, now));
        for bad in ["", "AAAA", "x.y", nonce.get(1..).unwrap(), &format!("{nonce}AA")] {
            assert!(!other_instance.knows(bad, now), "{bad}");
        }
    }

    #[test]
    fn n19_nonces_survive_a_change_of_keys_on_this_and_on_other_servers() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Keyring::open_or_create(&dir.path().join("keys/key")).unwrap();
        let (one, other) = (open(), open());
        let (ours, theirs, now) = (Nonces::new(&one), Nonces::new(&other), Timestamp(1_800_000_000));
        let before = ours.make(now);
        other.rotate().unwrap();
        let after = theirs.make(now);
        assert_ne!(before, after, "a new key makes the new ones");
        for nonces in [&ours, &theirs] {
            assert!(nonces.knows(&before, now) && nonces.knows(&after, now));
        }
        assert_eq!(ours.make(now), after, "and this server makes its own with it from then on");
    }
}
