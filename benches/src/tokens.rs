//! Distinct RS256 tokens of a trusted issuer.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use authchain::{
    core::{Clock, ProviderId, SystemClock},
    jwt::{Algorithm, ClaimNames, KeySet, KeySource, SigningKeys, TrustedIssuer},
};
use serde::Serialize;
use serde_json::{Value, json};

/// The issuer.
pub const ISSUER: &str = "https://issuer.example.com";
/// The audience.
pub const AUDIENCE: &str = "https://mcp.example.com/mcp";

/// An issuer with keys of its own, and tokens of as many different people, with the claims of a usual ID token.
#[derive(Clone)]
pub struct Issued {
    /// The public keys.
    pub jwks: Value,
    /// The tokens.
    pub tokens: Vec<String>,
}

/// Makes keys and tokens.
///
/// # Errors
/// When no key can be made.
pub fn rs256(count: usize) -> Result<Issued> {
    with_keys(&SigningKeys::generate(Algorithm::RS256)?, count, |_| {})
}

/// Makes tokens with these keys and claims that are changed.
///
/// # Errors
/// When a token cannot be signed.
pub fn with_keys(keys: &SigningKeys, count: usize, change: impl Fn(&mut Claims)) -> Result<Issued> {
    let now = SystemClock.now().0;
    let token = |n: usize| {
        let mut claims = Claims {
            iss: ISSUER,
            azp: "32555940559.apps.googleusercontent.com",
            aud: AUDIENCE,
            sub: format!("10769150350006150715{n:06}"),
            email: format!("person{n}@example.com"),
            email_verified: true,
            nbf: now,
            name: format!("Person {n}"),
            picture: "https://example.com/photo.jpg",
            scope: "openid email https://www.googleapis.com/auth/drive.readonly",
            iat: now,
            exp: now + 3600,
        };
        change(&mut claims);
        keys.sign("JWT", &claims)
    };
    Ok(Issued { jwks: keys.jwks(), tokens: (0..count).map(token).collect::<Result<_, _>>()? })
}

/// Claims as Google writes them, in its order.
#[derive(Serialize)]
#[expect(missing_docs, reason = "the names are those of RFC 7519 and OpenID Connect")]
pub struct Claims {
    pub iss: &'static str,
    pub azp: &'static str,
    pub aud: &'static str,
    pub sub: String,
    pub email: String,
    pub email_verified: bool,
    pub nbf: i64,
    pub name: String,
    pub picture: &'static str,
    pub scope: &'static str,
    pub iat: i64,
    pub exp: i64,
}

impl Issued {
    /// The issuer, as a verifier trusts it.
    ///
    /// # Errors
    /// When the keys cannot be read.
    pub fn issuer(&self) -> Result<TrustedIssuer> {
        Ok(TrustedIssuer {
            issuer: ISSUER.into(),
            audiences: vec![AUDIENCE.into()],
            types: vec!["jwt".into()],
            keys: KeySource::Pinned(KeySet::from_jwks(&self.jwks)?),
            claims: ClaimNames::default(),
            algorithms: vec![Algorithm::RS256],
            provider: ProviderId::google(),
        })
    }

    /// Hands keys and tokens to another process.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(fs::write(path, json!({ "jwks": self.jwks, "tokens": self.tokens }).to_string())?)
    }

    /// What another process saved.
    ///
    /// # Errors
    /// When the file is not one of these.
    pub fn load(path: &Path) -> Result<Self> {
        let file: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
        let tokens = file["tokens"].as_array().context("no tokens")?;
        let tokens = tokens.iter().filter_map(|token| token.as_str().map(Into::into)).collect();
        Ok(Self { jwks: file["jwks"].clone(), tokens })
    }
}

/// A GET with a bearer token, ready to be sent.
pub fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
}
