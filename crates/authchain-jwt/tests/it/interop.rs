//! Tokens of `jsonwebtoken` are verified here, and tokens signed here are verified by `jsonwebtoken`.

use authchain_core::{Email, Scopes, Timestamp};
use authchain_jwt::{Algorithm, Checked, KeySet, KeySource, SigningKeys, Verifier, install_crypto};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, jwk::JwkSet};
use serde_json::{Value, json};

use crate::support::{AUDIENCE, ISSUER, NOW, claims, clock, issuer, pinned, words};

/// Keys made with OpenSSL, for tests only.
const RSA_PRIVATE: &str = include_str!("keys/rsa_private.pem");
const RSA_PUBLIC: &str = include_str!("keys/rsa_public.pem");
const EC_PRIVATE: &str = include_str!("keys/ec_private.pem");
const EC_PUBLIC: &str = include_str!("keys/ec_public.pem");
const ED_PRIVATE: &str = include_str!("keys/ed_private.pem");
const ED_PUBLIC: &str = include_str!("keys/ed_public.pem");

fn foreign(algorithm: Algorithm) -> (EncodingKey, jsonwebtoken::Algorithm, &'static str) {
    install_crypto();
    match algorithm {
        Algorithm::RS256 => {
            (EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).unwrap(), jsonwebtoken::Algorithm::RS256, RSA_PUBLIC)
        }
        Algorithm::ES256 => {
            (EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).unwrap(), jsonwebtoken::Algorithm::ES256, EC_PUBLIC)
        }
        Algorithm::EdDSA => {
            (EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).unwrap(), jsonwebtoken::Algorithm::EdDSA, ED_PUBLIC)
        }
    }
}

fn foreign_token(algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
    let (key, algorithm, _) = foreign(algorithm);
    let header = Header { kid: kid.map(Into::into), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

#[test]
fn a_token_of_jsonwebtoken_is_verified_with_a_pem_key_whatever_its_kid() {
    for algorithm in Algorithm::ALL {
        let keys = KeySet::from_pem(foreign(*algorithm).2).unwrap();
        let verifier = Verifier::new(vec![issuer(KeySource::Pinned(keys))], clock());
        for kid in [None, Some("whatever")] {
            let token = foreign_token(*algorithm, kid, &claims());
            let Checked::Verified(verified) = verifier.check(&token) else { panic!("{algorithm} {kid:?}") };
            assert_eq!(verified.issuer, ISSUER);
            assert_eq!(verified.subject, "1234");
            assert_eq!(verified.email, Some(Email::new("ann@example.com").unwrap()));
            assert_eq!(verified.scopes, Scopes::from("a b"));
            assert_eq!(verified.client.as_ref().map(|c| c.as_str()), Some("client"));
            assert_eq!(verified.grant.as_deref(), Some("grant"));
            assert_eq!(verified.expires_at, Timestamp(NOW.0 + 600));
            assert_eq!(verified.issued_at, Some(Timestamp(NOW.0 - 100)));
            assert_eq!(verified.not_before, Some(Timestamp(NOW.0 - 100)));
            assert_eq!(Value::Object(verified.claims), claims());
        }
    }
}

#[test]
fn a_token_of_jsonwebtoken_is_verified_with_a_jwk_that_jsonwebtoken_wrote() {
    for algorithm in Algorithm::ALL {
        let (key, name, _) = foreign(*algorithm);
        let mut jwk = serde_json::to_value(jsonwebtoken::jwk::Jwk::from_encoding_key(&key, name).unwrap()).unwrap();
        jwk["kid"] = json!("k1");
        let keys = KeySet::from_jwks(&json!({ "keys": [jwk] })).unwrap();
        let verifier = Verifier::new(vec![issuer(KeySource::Pinned(keys))], clock());
        assert_eq!(words(verifier.check(&foreign_token(*algorithm, Some("k1"), &claims()))), "verified");
        assert_eq!(words(verifier.check(&foreign_token(*algorithm, None, &claims()))), "verified");
        let stranger = verifier.check(&foreign_token(*algorithm, Some("k2"), &claims()));
        assert_eq!(words(stranger), "the token is signed with an unknown key");
    }
}

#[test]
fn several_pem_keys_stand_in_one_text() {
    let keys = KeySet::from_pem(&[RSA_PUBLIC, EC_PUBLIC, "# a comment\n", ED_PUBLIC].concat()).unwrap();
    assert_eq!(keys.iter().map(|key| key.algorithm()).collect::<Vec<_>>(), Algorithm::ALL);
    assert!(KeySet::from_pem("").is_err());
    assert!(KeySet::from_pem(&[RSA_PUBLIC, EC_PRIVATE].concat()).is_err());
}

#[test]
fn a_token_signed_here_is_verified_by_jsonwebtoken() {
    for algorithm in Algorithm::ALL {
        let keys = SigningKeys::generate(*algorithm).unwrap();
        let token = keys.sign("at+jwt", &claims_of_today()).unwrap();
        let set: JwkSet = serde_json::from_value(keys.jwks()).unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!(header.typ.as_deref(), Some("at+jwt"));
        let jwk = set.find(&header.kid.unwrap()).unwrap();
        let mut rules = Validation::new(header.alg);
        rules.set_audience(&[AUDIENCE]);
        rules.set_issuer(&[ISSUER]);
        let read = jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_jwk(jwk).unwrap(), &rules).unwrap();
        assert_eq!(read.claims, claims_of_today());
        let thumbprint = jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap();
        assert_eq!(thumbprint, keys.current_id(), "the kid is the thumbprint of RFC 7638");
    }
}

/// `jsonwebtoken` has no clock that can be set.
fn claims_of_today() -> Value {
    let mut claims = claims();
    claims["exp"] = json!(4_000_000_000_i64);
    claims["nbf"] = json!(1_000_000_000);
    claims["iat"] = json!(1_000_000_000);
    claims
}

#[test]
fn a_token_signed_here_is_verified_here() {
    for algorithm in Algorithm::ALL {
        let keys = SigningKeys::generate(*algorithm).unwrap();
        let token = keys.sign("at+jwt", &claims()).unwrap();
        assert_eq!(words(pinned(&keys).check(&token)), "verified", "{algorithm}");
    }
}

#[test]
fn claims_are_a_json_object() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    for bad in [json!([]), json!("text"), json!(null)] {
        assert!(keys.sign("JWT", &bad).is_err());
    }
}
