//! What an attacker, or a careless issuer, sends. Each is refused, most before any public-key operation.

use authchain_jwt::{Algorithm, Checked, KeySource, SigningKeys, Verifier, VerifierOptions};
use base64::{
    Engine,
    engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::{
    AUDIENCE, ISSUER, NOW, claims, claims_with, clock, encode, issuer, pinned, stranger, with_part, words,
};

fn signed(claims: &Value) -> &'static str {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    words(pinned(&keys).check(&keys.sign("JWT", claims).unwrap()))
}

/// A token with this header and a good signature over it is not what an attacker can make; a bad signature would do, and
/// the reason shows that nobody got as far as looking at it.
fn with_header(header: &Value) -> &'static str {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let token = keys.sign("JWT", &claims()).unwrap();
    words(pinned(&keys).check(&with_part(&token, 0, &encode(header.to_string()))))
}

#[test]
fn n16_a_token_without_signature_is_refused_however_none_is_spelt() {
    let keys = SigningKeys::generate(Algorithm::RS256).unwrap();
    for none in ["none", "None", "NONE", "nOnE", ""] {
        for signature in ["", "AAAA"] {
            let header = encode(json!({"alg": none, "typ": "JWT"}).to_string());
            let token = format!("{header}.{}.{signature}", encode(claims().to_string()));
            assert!(matches!(pinned(&keys).check(&token), Checked::Refused(_)), "{none:?} {signature:?}");
        }
    }
}

#[test]
fn n16_algorithm_confusion_an_hmac_with_the_public_key_as_secret_is_refused() {
    authchain_jwt::install_crypto();
    for algorithm in Algorithm::ALL {
        let keys = SigningKeys::generate(*algorithm).unwrap();
        let public = keys.public_keys();
        let jwk = public.iter().next().unwrap().to_jwk();
        let secrets = ["n", "x"].iter().filter_map(|part| jwk[part].as_str());
        for secret in secrets.map(str::to_owned).chain([jwk.to_string()]) {
            let header = Header { kid: Some(keys.current_id()), ..Header::new(jsonwebtoken::Algorithm::HS256) };
            let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(secret.as_bytes())).unwrap();
            assert_eq!(words(pinned(&keys).check(&token)), "the signature algorithm is not allowed");
        }
    }
}

#[test]
fn n16_algorithm_confusion_an_algorithm_other_than_the_keys_own_is_refused() {
    let keys = SigningKeys::generate(Algorithm::RS256).unwrap();
    let token = keys.sign("JWT", &claims()).unwrap();
    for other in ["ES256", "EdDSA", "RS384", "RS512", "PS256", "HS256"] {
        let header = json!({"alg": other, "typ": "JWT", "kid": keys.current_id()});
        let forged = with_part(&token, 0, &encode(header.to_string()));
        assert_eq!(words(pinned(&keys).check(&forged)), "the signature algorithm is not allowed", "{other}");
    }
}

#[test]
fn an_algorithm_that_the_issuer_does_not_use_is_refused_even_with_a_good_signature() {
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
    let mut only_rsa = issuer(KeySource::Pinned(keys.public_keys()));
    only_rsa.algorithms = vec![Algorithm::RS256];
    let token = keys.sign("JWT", &claims()).unwrap();
    let verifier = Verifier::new(vec![only_rsa], clock());
    assert_eq!(words(verifier.check(&token)), "the signature algorithm is not allowed");
}

#[test]
fn n16_kid_injection_a_key_id_is_a_look_up_key_and_nothing_else() {
    for kid in [
        "../../../../dev/null",
        "/etc/passwd",
        "' OR 1=1 --",
        "https://evil.example/jwks.json",
        "\u{0}",
        "$(id)",
        "a\nb",
    ] {
        let reason = with_header(&json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}));
        assert_eq!(reason, "the token is signed with an unknown key", "{kid:?}");
    }
    for kid in [json!(7), json!(["a"]), json!({"a": 1}), json!(true)] {
        let reason = with_header(&json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}));
        assert_eq!(reason, "the token is not a well-formed signed JWT", "{kid}");
    }
}

#[test]
fn n16_jku_injection_a_header_that_brings_or_names_its_own_key_is_refused() {
    let mallory = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let trusted = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    for (name, value) in [
        ("jwk", mallory.jwks()["keys"][0].clone()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        let mut header = json!({"alg": "EdDSA", "typ": "JWT", "kid": mallory.current_id()});
        header[name] = value;
        let token = mallory.sign("JWT", &claims()).unwrap();
        let token = with_part(&token, 0, &encode(header.to_string()));
        let reason = words(pinned(&trusted).check(&token));
        assert_eq!(reason, "the token has a header parameter that is not allowed", "{name}");
    }
}

#[test]
fn a_critical_extension_is_refused() {
    for (name, value) in [("crit", json!(["exp"])), ("crit", json!([])), ("b64", json!(false)), ("zip", json!("DEF"))] {
        let mut header = json!({"alg": "EdDSA", "typ": "JWT"});
        header[name] = value;
        assert_eq!(with_header(&header), "the token has a header parameter that is not allowed", "{name}");
    }
}

#[test]
fn n16_another_issuers_token_is_refused() {
    for other in
        ["https://evil.example", "https://issuer.example/", "HTTPS://issuer.example", "https://issuer.example.evil"]
    {
        assert_eq!(signed(&claims_with("iss", json!(other))), "the issuer is not trusted", "{other}");
    }
    for other in [json!(null), json!("")] {
        assert_eq!(signed(&claims_with("iss", other)), "the issuer is not trusted");
    }
    assert_eq!(signed(&claims_with("iss", json!([ISSUER]))), "the token is not a well-formed signed JWT");
}

#[test]
fn a_trusted_issuers_name_with_another_trusted_issuers_key_is_refused() {
    let (ours, theirs) =
        (SigningKeys::generate(Algorithm::EdDSA).unwrap(), SigningKeys::generate(Algorithm::EdDSA).unwrap());
    let mut second = issuer(KeySource::Pinned(theirs.public_keys()));
    second.issuer = "https://other.example".into();
    let verifier = Verifier::new(vec![issuer(KeySource::Pinned(ours.public_keys())), second], clock());
    let token = theirs.sign("JWT", &claims()).unwrap();
    assert_eq!(words(verifier.check(&token)), "the token is signed with an unknown key");
    let own = theirs.sign("JWT", &claims_with("iss", json!("https://other.example"))).unwrap();
    assert_eq!(words(verifier.check(&own)), "verified");
}

#[test]
fn n16_another_resources_token_is_refused() {
    for other in [json!("https://other.example/mcp"), json!(["https://other.example"]), json!([]), json!(null)] {
        assert_eq!(signed(&claims_with("aud", other.clone())), "the token is meant for another audience", "{other}");
    }
    for other in [json!(7), json!([7]), json!({"a": AUDIENCE})] {
        assert_eq!(signed(&claims_with("aud", other.clone())), "the token is not a well-formed signed JWT", "{other}");
    }
    assert_eq!(signed(&claims_with("aud", json!(["https://other.example", AUDIENCE]))), "verified");
}

#[test]
fn n16_a_token_of_another_type_is_refused() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    for (typ, reason) in [
        ("JWT", "verified"),
        ("at+jwt", "verified"),
        ("application/at+jwt", "verified"),
        ("logout+jwt", "the token is of another type"),
        ("dpop+jwt", "the token is of another type"),
        ("", "the token is of another type"),
    ] {
        assert_eq!(words(pinned(&keys).check(&keys.sign(typ, &claims()).unwrap())), reason, "{typ:?}");
    }
}

#[test]
fn n16_an_expired_token_is_refused() {
    assert_eq!(signed(&claims_with("exp", json!(NOW.0 - 60))), "the token has expired");
    assert_eq!(signed(&claims_with("exp", json!(NOW.0 - 59))), "verified");
}

#[test]
fn n16_a_token_that_is_not_valid_yet_is_refused() {
    assert_eq!(signed(&claims_with("nbf", json!(NOW.0 + 61))), "the token is not valid yet");
    assert_eq!(signed(&claims_with("nbf", json!(NOW.0 + 60))), "verified");
    assert_eq!(signed(&claims_with("iat", json!(NOW.0 + 61))), "the token was issued in the future");
}

#[test]
fn n16_a_token_without_expiry_is_refused() {
    let mut eternal = claims();
    eternal.as_object_mut().unwrap().remove("exp");
    assert_eq!(signed(&eternal), "the token has no expiry");
    assert_eq!(signed(&claims_with("exp", json!("1900000000"))), "the token is not a well-formed signed JWT");
    assert_eq!(signed(&claims_with("exp", json!(1e18))), "the token is not a well-formed signed JWT");
}

#[test]
fn the_leeway_is_configurable_down_to_nothing() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let options = VerifierOptions { leeway: std::time::Duration::ZERO, ..VerifierOptions::default() };
    let verifier = Verifier::with_options(vec![issuer(KeySource::Pinned(keys.public_keys()))], clock(), options);
    for (name, at, reason) in [
        ("exp", NOW.0, "the token has expired"),
        ("exp", NOW.0 + 1, "verified"),
        ("nbf", NOW.0 + 1, "the token is not valid yet"),
        ("nbf", NOW.0, "verified"),
        ("iat", NOW.0 + 1, "the token was issued in the future"),
    ] {
        let token = keys.sign("JWT", &claims_with(name, json!(at))).unwrap();
        assert_eq!(words(verifier.check(&token)), reason, "{name} {at}");
    }
}

#[test]
fn a_token_without_subject_is_refused() {
    assert_eq!(signed(&claims_with("sub", json!(null))), "the token has no subject");
}

#[test]
fn a_changed_payload_is_refused() {
    let keys = SigningKeys::generate(Algorithm::RS256).unwrap();
    let token = keys.sign("JWT", &claims()).unwrap();
    let forged = with_part(&token, 1, &encode(claims_with("email", json!("eve@example.com")).to_string()));
    let verifier = pinned(&keys);
    assert_eq!(words(verifier.check(&forged)), "the signature is wrong");
    assert_eq!(words(verifier.check(&forged)), "the signature is wrong", "from memory");
    assert_eq!(words(verifier.check(&token)), "verified", "the good one is not touched by the forgery");
}

#[test]
fn a_signature_of_another_length_or_none_is_refused() {
    for algorithm in Algorithm::ALL {
        let keys = SigningKeys::generate(*algorithm).unwrap();
        let token = keys.sign("JWT", &claims()).unwrap();
        for signature in [vec![0; 1], vec![0; 63], vec![0; 64], vec![0; 65], vec![0; 256], vec![0; 4096]] {
            let forged = with_part(&token, 2, &encode(signature));
            assert_eq!(words(pinned(&keys).check(&forged)), "the signature is wrong");
        }
    }
}

#[test]
fn one_token_has_one_spelling() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let token = keys.sign("JWT", &claims()).unwrap();
    let signature = token.rsplit('.').next().unwrap();
    let (head, last) = signature.split_at(signature.len() - 1);
    // 64 bytes leave four loose bits in the last character.
    for other in ('A'..='Z').chain('a'..='z').chain('0'..='9').filter(|c| !last.starts_with(*c)) {
        let twin = with_part(&token, 2, &format!("{head}{other}"));
        assert!(matches!(pinned(&keys).check(&twin), Checked::Refused(_)), "{other}");
    }
    for twin in [format!("{token}="), format!("{token}=="), format!("{token}\n"), format!(" {token}")] {
        assert_eq!(words(pinned(&keys).check(&twin)), "the token is not a well-formed signed JWT");
    }
    let padded = URL_SAFE.encode(claims_with("pad", json!("x")).to_string());
    if padded.ends_with('=') {
        let twin = with_part(&token, 1, &padded);
        assert_eq!(words(pinned(&keys).check(&twin)), "the token is not a well-formed signed JWT");
    }
}

#[test]
fn a_token_that_says_one_thing_twice_is_refused() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let token = keys.sign("JWT", &claims()).unwrap();
    for name in ["iss", "aud", "exp", "nbf", "iat"] {
        let mut text = claims().to_string();
        text.insert_str(1, &format!("\"{name}\":{},", claims()[name]));
        let forged = with_part(&token, 1, &encode(text));
        assert_eq!(words(pinned(&keys).check(&forged)), "the token says one thing twice", "{name}");
    }
    let header = r#"{"alg":"EdDSA","alg":"none","typ":"JWT"}"#;
    let forged = with_part(&token, 0, &encode(header));
    assert_eq!(words(pinned(&keys).check(&forged)), "the token says one thing twice");
}

#[test]
fn what_is_no_token_at_all_is_refused_and_nothing_panics() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let verifier = pinned(&keys);
    let token = keys.sign("JWT", &claims()).unwrap();
    for junk in ["", ".", "..", "...", "a.b.c", "é.é.é", "e30.e30.e30", "bnVsbA.bnVsbA.AAAA", "\u{0}.\u{0}.\u{0}"] {
        assert_eq!(words(verifier.check(junk)), "the token is not a well-formed signed JWT", "{junk:?}");
    }
    for end in 0..token.len() {
        assert!(matches!(verifier.check(&token[..end]), Checked::Refused(_)), "cut at {end}");
    }
    for parts in [2, 4, 5, 100] {
        assert!(matches!(verifier.check(&vec!["e30"; parts].join(".")), Checked::Refused(_)));
    }
    assert_eq!(words(verifier.check(&format!("{token}{}", "A".repeat(16 * 1024)))), "the token is too long");
}

#[test]
fn an_unknown_key_is_refused() {
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
    let verifier = Verifier::new(vec![issuer(KeySource::Pinned(stranger()))], clock());
    let token = keys.sign("JWT", &claims()).unwrap();
    assert_eq!(words(verifier.check(&token)), "the token is signed with an unknown key");
}

#[test]
fn an_empty_list_of_audiences_trusts_nobody() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let mut nobody = issuer(KeySource::Pinned(keys.public_keys()));
    nobody.audiences.clear();
    let token = keys.sign("JWT", &claims_with("aud", json!([]))).unwrap();
    let reason = words(Verifier::new(vec![nobody], clock()).check(&token));
    assert_eq!(reason, "the token is meant for another audience");
}

#[test]
fn one_issuer_may_stand_for_two_kinds_of_token() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let mut access = issuer(KeySource::Pinned(keys.public_keys()));
    access.types = vec!["at+jwt".into()];
    let mut logout = access.clone();
    logout.types = vec!["logout+jwt".into()];
    logout.audiences = vec!["somebody".into()];
    let verifier = Verifier::new(vec![access, logout], clock());
    assert_eq!(words(verifier.check(&keys.sign("at+jwt", &claims()).unwrap())), "verified");
    let for_somebody = claims_with("aud", json!("somebody"));
    assert_eq!(words(verifier.check(&keys.sign("logout+jwt", &for_somebody).unwrap())), "verified");
    assert!(matches!(verifier.check(&keys.sign("at+jwt", &for_somebody).unwrap()), Checked::Refused(_)));
    assert!(matches!(verifier.check(&keys.sign("logout+jwt", &claims()).unwrap()), Checked::Refused(_)));
}

#[test]
fn whether_a_token_is_meant_for_us_is_seen_without_verifying() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let verifier = pinned(&keys);
    assert!(verifier.trusts(&keys.sign("JWT", &claims()).unwrap()));
    assert!(verifier.trusts(&with_part(&keys.sign("JWT", &claims()).unwrap(), 2, "AAAA")));
    assert!(!verifier.trusts(&keys.sign("JWT", &claims_with("iss", json!("https://evil.example"))).unwrap()));
    for junk in ["", "a.b.c", "ya29.opaque", "e30.e30.e30"] {
        assert!(!verifier.trusts(junk), "{junk:?}");
    }
}

#[test]
fn an_issuer_that_is_named_twice_is_nobody() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let token = keys.sign("JWT", &claims()).unwrap();
    let issuer = claims()["iss"].as_str().unwrap().to_owned();
    for (first, second) in [(issuer.as_str(), "https://evil.example"), ("https://evil.example", issuer.as_str())] {
        let payload = format!(r#"{{"iss":"{first}","aud":"x","iss":"{second}"}}"#);
        let doubled = with_part(&token, 1, &URL_SAFE_NO_PAD.encode(payload));
        assert!(matches!(pinned(&keys).check(&doubled), Checked::Refused(_)), "{first} {second}");
    }
    let plain = format!(r#"{{"iss":"{issuer}","padding":"{}"}}"#, "x".repeat(300));
    assert!(pinned(&keys).trusts(&with_part(&token, 1, &URL_SAFE_NO_PAD.encode(plain))));
    let escaped = format!(r#"{{"iss":"{}"}}"#, issuer.replace('/', "\\/"));
    assert!(pinned(&keys).trusts(&with_part(&token, 1, &URL_SAFE_NO_PAD.encode(escaped))));
}

#[test]
fn no_reason_repeats_what_is_in_the_token() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let token = keys.sign("JWT", &claims_with("iss", json!("https://evil.example/secret"))).unwrap();
    let Checked::Refused(error) = pinned(&keys).check(&token) else { panic!() };
    assert!(!format!("{error} {error:?}").contains("evil"));
    assert_eq!(authchain_core::AuthError::from(error).code().http_status(), 401);
}
