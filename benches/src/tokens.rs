//! Distinct RS256 tokens of a trusted issuer.

use authchain::{
    core::{ProviderId, SystemClock, Clock},
    jwt::{Algorithm, ClaimNames, KeySource, SigningKeys, TrustedIssuer},
};
use serde_json::json;
use std::sync::Arc;

/// The issuer.
pub const ISSUER: &str = "https://issuer.example.com";
/// The audience.
pub const AUDIENCE: &str = "https://mcp.example.com/mcp";

/// An issuer with keys of its own, and this many tokens of different people, with the claims of a usual ID token.
///
/// # Panics
/// When no key can be made.
pub fn rs256(count: usize) -> (TrustedIssuer, Vec<String>) {
    let keys = Arc::new(SigningKeys::generate(Algorithm::RS256).expect("an RSA key is made"));
    let now = SystemClock.now().0;
    let token = |n: usize| {
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": format!("10769150350006150715{n:06}"),
            "azp": "32555940559.apps.googleusercontent.com", "email": format!("person{n}@example.com"),
            "email_verified": true, "name": format!("Person {n}"), "picture": "https://example.com/photo.jpg",
            "scope": "openid email https://www.googleapis.com/auth/drive.readonly",
            "iat": now, "nbf": now, "exp": now + 3600,
        });
        keys.sign("JWT", &claims).expect("it signs")
    };
    let tokens = (0..count).map(token).collect();
    let issuer = TrustedIssuer {
        issuer: ISSUER.into(),
        audiences: vec![AUDIENCE.into()],
        types: vec!["jwt".into()],
        keys: KeySource::Own(keys),
        claims: ClaimNames::default(),
        algorithms: vec![Algorithm::RS256],
        provider: ProviderId::google(),
    };
    (issuer, tokens)
}

/// A GET with a bearer token, ready to be sent.
pub fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
}
