//! What a token costs, each figure beside a bare RS256 signature check on the same machine in the same run.
//!
//! Run with `cargo bench -p authchain-jwt`. Absolute times differ from machine to machine; the ratios hold.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, reason = "a program for people")]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use authchain_core::{Clock, ProviderId, SystemClock};
use authchain_jwt::{
    Algorithm, Checked, ClaimNames, KeySet, KeySource, SigningKeys, TrustedIssuer, VerifiedCache, Verifier,
    VerifierOptions, install_crypto,
};
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

const ISSUER: &str = "https://accounts.google.com";
const AUDIENCE: &str = "407408718192.apps.googleusercontent.com";
/// How many tokens are used in turn.
const TOKENS: usize = 1000;

fn main() {
    install_crypto();
    let now = SystemClock.now().0;
    let keys = SigningKeys::generate(Algorithm::RS256).unwrap();
    let tokens: Vec<String> = (0..TOKENS).map(|n| keys.sign("JWT", &claims(n, now)).unwrap()).collect();
    println!("{} tokens of {} bytes\n", TOKENS, tokens[0].len());

    let bare = bare_verification(&keys, &tokens);
    let report = |what: &str, nanos: f64| println!("{what:<58} {nanos:>9.0} ns   {:>7.4}", nanos / bare);
    println!("{:<58} {:>12}   {:>7}", "", "", "of RS256");
    report("RS256 signature check alone, key parsed once", bare);
    report("the same through jsonwebtoken, whole token", through_jsonwebtoken(&keys, &tokens));

    let fresh = verifier(keys.public_keys(), 0);
    report("first sight of an RS256 token", each(&tokens, |token| assert!(is_good(&fresh.check(token)))));
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
        let keys = SigningKeys::generate(algorithm).unwrap();
        let verifier = verifier(keys.public_keys(), 0);
        let tokens: Vec<_> = (0..100).map(|n| keys.sign("JWT", &claims(n, now)).unwrap()).collect();
        report(
            &format!("first sight of an {algorithm} token"),
            each(&tokens, |token| assert!(is_good(&verifier.check(token)))),
        );
    }

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let cache = VerifiedCache::new(10_000, Duration::from_secs(300), clock);
    for (n, token) in tokens.iter().enumerate() {
        cache.insert(token, Arc::new(n), SystemClock.now() + Duration::from_secs(300));
    }
    report("a token seen before", each(&tokens, |token| assert!(black_box(cache.get(token)).is_some())));
    report(
        "SHA-256 of the token alone, for comparison",
        each(&tokens, |token| {
            black_box(digest::digest(&digest::SHA256, token.as_bytes()));
        }),
    );

    println!();
    let verifier = verifier(keys.public_keys(), 4096);
    assert!(is_good(&verifier.check(&tokens[0])), "a server that refuses some has verified others");
    let refusals: [(&str, Vec<String>); 6] = [
        ("malformed", tokens.iter().map(|t| t.replacen('.', "..", 1)).collect()),
        ("wrong algorithm", with_header(&tokens, &json!({"alg": "HS256", "typ": "JWT", "kid": keys.current_id()}))),
        ("unknown key", with_header(&tokens, &json!({"alg": "RS256", "typ": "JWT", "kid": "unknown"}))),
        ("expired", with_claim(&tokens, "exp", &json!(now - 3600))),
        ("unknown issuer", with_claim(&tokens, "iss", &json!("https://evil.example"))),
        ("another audience", with_claim(&tokens, "aud", &json!("somebody"))),
    ];
    for (what, tokens) in &refusals {
        let cost = each(tokens, |token| assert!(matches!(verifier.check(token), Checked::Refused(_))));
        report(&format!("refused: {what}"), cost);
    }
    let forged = with_claim(&tokens, "email", &json!("eve@example.com"));
    report(
        "refused: wrong signature, never seen",
        each_once(&forged, |token| {
            assert!(matches!(verifier.check(token), Checked::Refused(_)));
        }),
    );
    report(
        "refused: wrong signature, seen before",
        each(&forged, |token| {
            assert!(matches!(verifier.check(token), Checked::Refused(_)));
        }),
    );

    println!();
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256] {
        let keys = SigningKeys::generate(algorithm).unwrap();
        let claims: Vec<_> = (0..100).map(|n| claims(n, now)).collect();
        report(&format!("sign with {algorithm}"), each(&claims, |claims| drop(keys.sign("at+jwt", claims).unwrap())));
    }
}

fn claims(n: usize, now: i64) -> Value {
    json!({
        "iss": ISSUER, "azp": AUDIENCE, "aud": AUDIENCE, "sub": format!("1234567890123456{n:05}"),
        "hd": "example.com", "email": format!("user{n}@example.com"), "email_verified": true,
        "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q", "nonce": "n-0S6_WzA2Mj", "name": "A User of Some Length",
        "picture": "https://lh3.googleusercontent.com/a/default-user=s96-c", "given_name": "A", "family_name": "User",
        "iat": now, "exp": now + 3600
    })
}

fn verifier(keys: KeySet, refused: usize) -> Verifier {
    let issuer = TrustedIssuer {
        issuer: ISSUER.into(),
        audiences: vec![AUDIENCE.into()],
        types: vec!["jwt".into()],
        keys: KeySource::Pinned(keys),
        claims: ClaimNames::google(),
        algorithms: Algorithm::ALL.to_vec(),
        provider: ProviderId::google(),
    };
    let options = VerifierOptions { refused, ..VerifierOptions::default() };
    Verifier::with_options(vec![issuer], Arc::new(SystemClock), options)
}

fn is_good(checked: &Checked) -> bool {
    matches!(checked, Checked::Verified(_))
}

fn bare_verification(keys: &SigningKeys, tokens: &[String]) -> f64 {
    let set = keys.public_keys();
    let key = set.iter().next().unwrap().clone();
    let parts: Vec<_> = tokens
        .iter()
        .map(|token| token.rsplit_once('.').unwrap())
        .map(|(signed, signature)| (signed.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap()))
        .collect();
    each(&parts, |(signed, signature)| assert!(key.verify(signed.as_bytes(), signature)))
}

fn through_jsonwebtoken(keys: &SigningKeys, tokens: &[String]) -> f64 {
    let set: JwkSet = serde_json::from_value(keys.jwks()).unwrap();
    let key = DecodingKey::from_jwk(&set.keys[0]).unwrap();
    let mut rules = Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.set_audience(&[AUDIENCE]);
    rules.set_issuer(&[ISSUER]);
    each(tokens, |token| drop(jsonwebtoken::decode::<Value>(token, &key, &rules).unwrap()))
}

fn with_header(tokens: &[String], header: &Value) -> Vec<String> {
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    tokens.iter().map(|token| format!("{header}.{}", token.split_once('.').unwrap().1)).collect()
}

fn with_claim(tokens: &[String], name: &str, value: &Value) -> Vec<String> {
    tokens
        .iter()
        .map(|token| {
            let parts: Vec<_> = token.split('.').collect();
            let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
            claims[name] = value.clone();
            format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2])
        })
        .collect()
}

/// Nanoseconds per item: the quickest of many passes, half a second in all. Other programs on the machine only add.
fn each<T>(items: &[T], mut work: impl FnMut(&T)) -> f64 {
    items.iter().for_each(&mut work);
    let (begun, mut quickest) = (Instant::now(), f64::INFINITY);
    while begun.elapsed() < Duration::from_millis(500) {
        quickest = quickest.min(each_once(items, &mut work));
    }
    quickest
}

/// Nanoseconds per item in one pass.
#[expect(clippy::cast_precision_loss, reason = "for people")]
fn each_once<T>(items: &[T], mut work: impl FnMut(&T)) -> f64 {
    let begun = Instant::now();
    items.iter().for_each(&mut work);
    begun.elapsed().as_nanos() as f64 / items.len() as f64
}
