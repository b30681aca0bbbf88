//! Keys that are fetched: once however many ask, again when they get old, kept while the issuer is away.

use std::{sync::Arc, time::Duration};

use authchain_core::{AuthError, ManualClock};
use authchain_jwt::{Algorithm, JwksOptions, JwtError, SigningKeys, Verifier};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, KeyServer, claims, claims_with, clock, words};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn keys() -> SigningKeys {
    SigningKeys::generate(Algorithm::EdDSA).unwrap()
}

fn token(keys: &SigningKeys) -> String {
    keys.sign("JWT", &claims_with("exp", json!(4_000_000_000_i64))).unwrap()
}

async fn reason(verifier: &Verifier, token: &str) -> &'static str {
    verifier.verify(token).await.map_or_else(|error| error.reason(), |_| "verified")
}

/// Waits for something that happens in the background.
async fn until(mut happened: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not happen");
}

fn both(one: &SigningKeys, other: &SigningKeys) -> Value {
    json!({"keys": [one.jwks()["keys"][0], other.jwks()["keys"][0]]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_first_look_ups_cause_one_fetch() {
    let keys = keys();
    let server = KeyServer::start(Answer::Slow(Duration::from_millis(50), keys.jwks())).await;
    let (_, verifier) = server.verifier(&clock());
    let token: Arc<str> = token(&keys).into();
    let callers: Vec<_> = (0..1000)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), token.clone());
            tokio::spawn(async move { reason(&verifier, &token).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "verified");
    }
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_check_without_waiting_says_when_keys_are_needed() {
    let keys = keys();
    let server = KeyServer::start(Answer::Keys(keys.jwks())).await;
    let (cache, verifier) = server.verifier(&clock());
    assert_eq!(words(verifier.check(&token(&keys))), "needs keys");
    assert_eq!(server.requests(), 0, "a check alone asks nobody");
    cache.warm().await;
    assert_eq!(words(verifier.check(&token(&keys))), "verified");
    cache.warm().await;
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn what_can_be_refused_without_keys_asks_for_none() {
    let keys = keys();
    let server = KeyServer::start(Answer::Keys(keys.jwks())).await;
    let (_, verifier) = server.verifier(&clock());
    for bad in [claims_with("exp", json!(1)), claims_with("aud", json!("x")), claims_with("iss", json!("x"))] {
        verifier.verify(&keys.sign("JWT", &bad).unwrap()).await.unwrap_err();
    }
    verifier.verify(&keys.sign("x+jwt", &claims()).unwrap()).await.unwrap_err();
    verifier.verify("a.b.c").await.unwrap_err();
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_new_key_is_found_when_its_first_token_comes() {
    let (old, new) = (keys(), keys());
    let server = KeyServer::start(Answer::Keys(old.jwks())).await;
    let (cache, verifier) = server.verifier(&clock());
    assert_eq!(reason(&verifier, &token(&old)).await, "verified");
    server.answer(Answer::Keys(both(&old, &new)));
    assert_eq!(reason(&verifier, &token(&new)).await, "verified");
    assert_eq!((server.requests(), cache.generation()), (2, 0), "an addition withdraws nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_key_ids_causes_one_fetch_a_minute() {
    let (known, clock) = (keys(), clock());
    let server = KeyServer::start(Answer::Keys(known.jwks())).await;
    let (_, verifier) = server.verifier(&clock);
    assert_eq!(reason(&verifier, &token(&known)).await, "verified");
    for minute in 1..=3 {
        let flood: Vec<_> = (0..200)
            .map(|_| {
                let (verifier, stranger) = (verifier.clone(), token(&keys()));
                tokio::spawn(async move { reason(&verifier, &stranger).await })
            })
            .collect();
        for caller in flood {
            assert_eq!(caller.await.unwrap(), "the token is signed with an unknown key");
        }
        assert_eq!(server.requests(), 1 + minute);
        assert_eq!(words(verifier.check(&token(&known))), "verified", "the flood hurts nobody else");
        clock.advance(MINUTE);
    }
}

#[tokio::test]
async fn a_flood_while_the_issuer_is_away_asks_once_a_minute_too() {
    let (known, clock) = (keys(), clock());
    let server = KeyServer::start(Answer::Keys(known.jwks())).await;
    let (_, verifier) = server.verifier(&clock);
    assert_eq!(reason(&verifier, &token(&known)).await, "verified");
    server.answer(Answer::Status(StatusCode::BAD_GATEWAY));
    for _ in 0..50 {
        assert_eq!(reason(&verifier, &token(&keys())).await, "the token is signed with an unknown key");
    }
    assert_eq!(server.requests(), 2);
    assert_eq!(reason(&verifier, &token(&known)).await, "verified");
}

#[tokio::test]
async fn keys_are_fetched_anew_in_the_background_before_they_are_old() {
    let (keys, clock) = (keys(), clock());
    let server = KeyServer::start(Answer::KeysFor(keys.jwks(), "public, max-age=1200")).await;
    let (_, verifier) = server.verifier(&clock);
    assert_eq!(reason(&verifier, &token(&keys)).await, "verified");
    clock.advance(Duration::from_secs(899));
    assert_eq!(words(verifier.check(&token(&keys))), "verified");
    clock.advance(Duration::from_secs(1));
    assert_eq!(words(verifier.check(&token(&keys))), "verified", "nobody waits");
    until(|| server.requests() == 2).await;
}

#[tokio::test]
async fn what_an_issuer_says_of_freshness_has_bounds() {
    for (said, too_early, due) in [
        ("max-age=0", Duration::from_secs(224), Duration::from_secs(225)),
        ("max-age=99999999", HOUR * 9 / 2 - Duration::from_secs(1), HOUR * 9 / 2),
        ("no-cache", Duration::from_secs(2699), Duration::from_secs(2700)),
    ] {
        let (keys, clock) = (keys(), clock());
        let server = KeyServer::start(Answer::KeysFor(keys.jwks(), said)).await;
        let (_, verifier) = server.verifier(&clock);
        assert_eq!(reason(&verifier, &token(&keys)).await, "verified");
        clock.advance(too_early);
        words(verifier.check(&token(&keys)));
        tokio::task::yield_now().await;
        assert_eq!(server.requests(), 1, "{said}");
        clock.advance(due - too_early);
        words(verifier.check(&token(&keys)));
        until(|| server.requests() == 2).await;
    }
}

#[tokio::test]
async fn keys_are_kept_while_the_issuer_is_away() {
    let (keys, clock) = (keys(), clock());
    let server = KeyServer::start(Answer::Keys(keys.jwks())).await;
    let (_, verifier) = server.verifier(&clock);
    assert_eq!(reason(&verifier, &token(&keys)).await, "verified");
    for (hours, answer) in [
        (1, Answer::Status(StatusCode::INTERNAL_SERVER_ERROR)),
        (10, Answer::Text("<html>maintenance</html>".into())),
        (20, Answer::Keys(json!({"keys": []}))),
        (30, Answer::Text("{}".into())),
    ] {
        server.answer(answer);
        let before = server.requests();
        clock.set(crate::support::NOW + HOUR * hours);
        assert_eq!(words(verifier.check(&token(&keys))), "verified");
        until(|| server.requests() > before).await;
        assert_eq!(words(verifier.check(&token(&keys))), "verified", "after {hours} hours");
    }
    server.stop();
}

#[tokio::test]
async fn keys_are_not_kept_for_ever() {
    let (keys, clock) = (keys(), clock());
    let server = KeyServer::start(Answer::Keys(keys.jwks())).await;
    let (_, verifier) = server.verifier(&clock);
    assert_eq!(reason(&verifier, &token(&keys)).await, "verified");
    server.answer(Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
    clock.advance(HOUR * 72);
    assert!(matches!(verifier.verify(&token(&keys)).await, Err(JwtError::KeysUnavailable { .. })));
    server.answer(Answer::Keys(keys.jwks()));
    clock.advance(MINUTE);
    assert_eq!(reason(&verifier, &token(&keys)).await, "verified");
}

#[tokio::test]
async fn an_issuer_that_never_answered_is_an_outage_and_no_401() {
    let (keys, clock) = (keys(), clock());
    let server = KeyServer::start(Answer::Status(StatusCode::NOT_FOUND)).await;
    let (_, verifier) = server.verifier(&clock);
    let error = AuthError::from(verifier.verify(&token(&keys)).await.unwrap_err());
    assert_eq!(error.code().http_status(), 503);
    assert!(error.retry_after().is_some());
    for _ in 0..50 {
        verifier.verify(&token(&keys)).await.unwrap_err();
    }
    assert_eq!(server.requests(), 1, "nobody asks again for a moment");
    server.answer(Answer::Keys(keys.jwks()));
    clock.advance(Duration::from_secs(5));
    assert_eq!(reason(&verifier, &token(&keys)).await, "verified");
}

#[tokio::test]
async fn a_withdrawn_key_is_trusted_no_longer_and_makes_itself_known() {
    let (old, new, clock) = (keys(), keys(), clock());
    let server = KeyServer::start(Answer::Keys(both(&old, &new))).await;
    let (cache, verifier) = server.verifier(&clock);
    assert_eq!(reason(&verifier, &token(&old)).await, "verified");
    let generation = verifier.generation();
    server.answer(Answer::Keys(new.jwks()));
    clock.advance(HOUR);
    words(verifier.check(&token(&new)));
    until(|| cache.generation() == 1).await;
    assert_ne!(verifier.generation(), generation);
    assert_eq!(reason(&verifier, &token(&old)).await, "the token is signed with an unknown key");
    assert_eq!(reason(&verifier, &token(&new)).await, "verified");
}

#[tokio::test]
async fn who_gives_up_waiting_does_not_stop_the_fetch_for_others() {
    let keys = keys();
    let server = KeyServer::start(Answer::Slow(Duration::from_millis(100), keys.jwks())).await;
    let (_, verifier) = server.verifier(&clock());
    let token = token(&keys);
    let impatient = tokio::time::timeout(Duration::from_millis(10), verifier.verify(&token)).await;
    assert!(impatient.is_err());
    assert_eq!(reason(&verifier, &token).await, "verified");
    assert_eq!(server.requests(), 1);
}

async fn refuses(answer: Answer, options: JwksOptions) -> String {
    let server = KeyServer::start(answer).await;
    let (_, verifier) = server.verifier_with(&clock(), options);
    match verifier.verify(&token(&keys())).await {
        Err(JwtError::KeysUnavailable { cause, .. }) => cause.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_is_limited_in_size_and_time_and_comes_from_where_it_was_asked() {
    let options = JwksOptions::default;
    let huge = Answer::Text(format!("{{\"keys\":[{}]}}", " ".repeat(300 * 1024)));
    assert_eq!(refuses(huge, options()).await, "the answer is longer than 262144 bytes");
    let slow = Answer::Slow(MINUTE, json!({}));
    assert_eq!(refuses(slow, JwksOptions { timeout: Duration::from_millis(20), ..options() }).await, "no answer");
    let elsewhere = KeyServer::start(Answer::Keys(keys().jwks())).await;
    let redirect = Answer::Redirect(elsewhere.url.to_string());
    assert_eq!(refuses(redirect, options()).await, "the answer comes from another address");
    assert_eq!(
        refuses(Answer::Status(StatusCode::NO_CONTENT), options()).await,
        "the answer has the status 204 No Content"
    );
    let twice = Answer::Text(r#"{"keys":[],"keys":[]}"#.into());
    assert_eq!(refuses(twice, options()).await, "the answer is not a JWK set");
}

#[tokio::test]
async fn only_keys_for_signatures_of_ours_are_used() {
    let good = keys();
    let mut encryption = good.jwks()["keys"][0].clone();
    encryption["use"] = json!("enc");
    let mut private = good.jwks()["keys"][0].clone();
    private["d"] = json!("AAAA");
    let mut small = json!({"kty": "RSA", "kid": "small", "e": "AQAB"});
    small["n"] = json!(crate::support::encode([0xff; 128]));
    let unusable = json!({"keys": [encryption, private, small, {"kty": "oct", "k": "AAAA"}]});
    let said = refuses(Answer::Keys(unusable), JwksOptions::default()).await;
    assert_eq!(said, "the answer holds no key that can be used for RS256, ES256 or EdDSA signatures");
}

#[tokio::test]
async fn plain_http_beyond_loopback_is_not_asked() {
    let clock: Arc<ManualClock> = clock();
    let url = "http://issuer.example/keys".parse().unwrap();
    let cache = Arc::new(authchain_jwt::JwksCache::new(url, reqwest::Client::new(), clock.clone()));
    let trusted = crate::support::issuer(authchain_jwt::KeySource::Jwks(cache));
    let verifier = Verifier::new(vec![trusted], clock);
    let Err(JwtError::KeysUnavailable { cause, .. }) = verifier.verify(&token(&keys())).await else { panic!() };
    assert_eq!(cause.to_string(), "plain http is only for loopback addresses");
}
