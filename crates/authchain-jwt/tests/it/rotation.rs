//! Our own keys change: published before they sign, verified after they signed last, kept across restarts.

use std::{sync::Arc, time::Duration};

use authchain_core::Timestamp;
use authchain_jwt::{Algorithm, KeyError, KeySource, Rotation, SigningKeys, Verifier};
use serde_json::json;

use crate::support::{NOW, claims_with, clock, issuer, words};

const DAY: Duration = Duration::from_secs(24 * 3600);
const SCHEDULE: Rotation = Rotation { every: DAY.saturating_mul(30), announce: DAY, overlap: DAY.saturating_mul(2) };

/// Asks for the ring at `now` as a server does: save, then install.
fn tick(keys: &SigningKeys, now: Timestamp) -> bool {
    match keys.rotated(now, &SCHEDULE).unwrap() {
        Some(ring) => {
            keys.install(SigningKeys::from_bytes(&ring.to_bytes()).unwrap());
            true
        }
        None => false,
    }
}

fn published(keys: &SigningKeys) -> Vec<String> {
    let jwks = keys.jwks();
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn token(keys: &SigningKeys) -> String {
    keys.sign("at+jwt", &claims_with("exp", json!(4_000_000_000_i64))).unwrap()
}

#[test]
fn a_key_is_published_before_it_signs_and_after_it_signed_last() {
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256] {
        let keys = Arc::new(SigningKeys::generate(algorithm).unwrap());
        let verifier = Verifier::new(vec![issuer(KeySource::Own(keys.clone()))], clock());
        let first = keys.current_id();
        assert!(tick(&keys, NOW), "the first time only starts the schedule");
        assert!(!tick(&keys, NOW + DAY * 28), "nothing to do");
        assert_eq!(published(&keys), std::slice::from_ref(&first));

        assert!(tick(&keys, NOW + DAY * 29));
        assert_eq!(keys.current_id(), first, "the next key is there and does not sign");
        let second = published(&keys)[1].clone();
        assert!(!tick(&keys, NOW + DAY * 29), "asked again, nothing happens again");

        let old_token = token(&keys);
        assert!(tick(&keys, NOW + DAY * 30));
        assert_eq!(keys.current_id(), second);
        assert_eq!(published(&keys), [second.clone(), first.clone()]);
        assert_eq!(words(verifier.check(&old_token)), "verified", "within the overlap");
        assert_eq!(words(verifier.check(&token(&keys))), "verified");
        assert_eq!(verifier.generation(), 0, "nothing was withdrawn yet");

        assert!(tick(&keys, NOW + DAY * 32));
        assert_eq!(published(&keys), [second]);
        assert_eq!(words(verifier.check(&old_token)), "the token is signed with an unknown key");
        assert_eq!(verifier.generation(), 1);
    }
}

#[test]
fn a_server_that_slept_still_announces_before_it_signs() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    tick(&keys, NOW);
    let first = keys.current_id();
    let late = NOW + DAY * 365;
    assert!(tick(&keys, late));
    assert_eq!(keys.current_id(), first);
    assert!(!tick(&keys, late + DAY / 2));
    assert!(tick(&keys, late + DAY));
    assert_ne!(keys.current_id(), first);
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    tick(&keys, NOW);
    assert!(!tick(&keys, Timestamp(0)));
}

#[test]
fn a_ring_that_could_not_be_saved_never_signs() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    tick(&keys, NOW);
    let before = published(&keys);
    let _not_saved = keys.rotated(NOW + DAY * 29, &SCHEDULE).unwrap().unwrap();
    assert_eq!(published(&keys), before);
}

#[test]
fn keys_survive_a_restart_byte_by_byte() {
    for algorithm in Algorithm::ALL {
        let keys = SigningKeys::generate(*algorithm).unwrap();
        tick(&keys, NOW);
        tick(&keys, NOW + DAY * 29);
        tick(&keys, NOW + DAY * 30);
        tick(&keys, NOW + DAY * 59);
        let read = SigningKeys::from_bytes(&keys.to_bytes()).unwrap();
        assert_eq!(read.to_bytes(), keys.to_bytes());
        assert_eq!(read.jwks(), keys.jwks());
        let verifier = Verifier::new(vec![issuer(KeySource::Own(Arc::new(read)))], clock());
        assert_eq!(words(verifier.check(&token(&keys))), "verified");
    }
}

#[test]
fn of_a_retired_key_only_the_public_half_is_kept() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let saved = keys.to_bytes();
    let private = serde_json::from_slice::<serde_json::Value>(&saved).unwrap()["current"]["pkcs8"].clone();
    for day in [0, 29, 30] {
        tick(&keys, NOW + DAY * day);
    }
    assert_eq!(published(&keys).len(), 2);
    let later = String::from_utf8(keys.to_bytes().to_vec()).unwrap();
    assert!(!later.contains(private.as_str().unwrap()));
}

#[test]
fn a_key_that_others_know_is_dropped_at_once() {
    let keys = Arc::new(SigningKeys::generate(Algorithm::EdDSA).unwrap());
    let verifier = Verifier::new(vec![issuer(KeySource::Own(keys.clone()))], clock());
    let stolen = token(&keys);
    keys.install(keys.replaced(NOW, None).unwrap());
    assert_eq!(words(verifier.check(&stolen)), "the token is signed with an unknown key");
    assert_eq!(words(verifier.check(&token(&keys))), "verified");
    assert_eq!(verifier.generation(), 1, "who remembers verified tokens forgets them");
}

#[test]
fn a_key_can_be_replaced_at_once_and_kept_for_a_while() {
    let keys = Arc::new(SigningKeys::generate(Algorithm::EdDSA).unwrap());
    let verifier = Verifier::new(vec![issuer(KeySource::Own(keys.clone()))], clock());
    let old = token(&keys);
    keys.install(keys.replaced(NOW, Some(DAY)).unwrap());
    assert_eq!(words(verifier.check(&old)), "verified");
    tick(&keys, NOW + DAY);
    assert_eq!(words(verifier.check(&old)), "the token is signed with an unknown key");
}

#[test]
fn what_is_no_ring_is_not_read() {
    let good = SigningKeys::generate(Algorithm::EdDSA).unwrap().to_bytes();
    let mut other: serde_json::Value = serde_json::from_slice(&good).unwrap();
    other["version"] = json!(2);
    let read = |bytes: &[u8]| SigningKeys::from_bytes(bytes);
    assert!(matches!(read(b""), Err(KeyError::Unreadable(_))));
    assert!(matches!(read(b"{}"), Err(KeyError::Unreadable(_))));
    assert!(matches!(read(other.to_string().as_bytes()), Err(KeyError::Unreadable(_))));
    assert!(matches!(read(&good[..good.len() - 2]), Err(KeyError::Unreadable(_))));
    let mut wrong: serde_json::Value = serde_json::from_slice(&good).unwrap();
    wrong["algorithm"] = json!("ES256");
    assert!(matches!(read(wrong.to_string().as_bytes()), Err(KeyError::Unusable(_))));
}

#[test]
fn nothing_secret_is_printed() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let saved: serde_json::Value = serde_json::from_slice(&keys.to_bytes()).unwrap();
    let private = saved["current"]["pkcs8"].as_str().unwrap();
    assert!(!format!("{keys:?}").contains(private));
}

#[test]
fn signing_and_rotating_at_once_never_makes_a_token_that_is_not_verified() {
    let keys = Arc::new(SigningKeys::generate(Algorithm::EdDSA).unwrap());
    let verifier = Verifier::new(vec![issuer(KeySource::Own(keys.clone()))], clock());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| assert_eq!(words(verifier.check(&token(&keys))), "verified")));
        }
        scope.spawn(|| (0..20).for_each(|_| keys.install(keys.replaced(NOW, Some(DAY)).unwrap())));
    });
}
