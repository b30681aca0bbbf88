//! Nonces of ours for DPoP proofs (RFC 9449, section 8): a time and a tag over it. They are stored nowhere and are good on
//! every instance, for five minutes.

use authchain_core::{Timestamp, constant_time_eq};
use authchain_store::seal::Keyring;
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// How long a nonce is good, in seconds.
const LIFE: i64 = 5 * 60;
/// How far the clocks of two instances may differ, in seconds.
const SKEW: i64 = 30;

/// Makes and knows nonces.
pub(super) struct Nonces(Vec<hmac::Key>);

impl Nonces {
    pub(super) fn new(keyring: &Keyring) -> Self {
        let keys = keyring.derive("dpop nonce 1");
        Self(keys.iter().map(|(_, key)| hmac::Key::new(hmac::HMAC_SHA256, &**key)).collect())
    }

    pub(super) fn make(&self, now: Timestamp) -> String {
        let time = now.0.to_be_bytes();
        let tag = self.0.first().map(|key| tag(key, time)).unwrap_or_default();
        URL_SAFE_NO_PAD.encode([&time[..], &tag].concat())
    }

    pub(super) fn knows(&self, nonce: &str, now: Timestamp) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
        let Some((time, presented)) = bytes.split_first_chunk::<8>() else { return false };
        let age = now.0.saturating_sub(i64::from_be_bytes(*time));
        (-SKEW..=LIFE).contains(&age) && self.0.iter().any(|key| constant_time_eq(&tag(key, *time), presented))
    }
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
}
