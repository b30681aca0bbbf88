//! Distinct RS256 tokens of a trusted issuer.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context, Result};
use authchain::{
    core::{Clock, ProviderId, SystemClock},
    jwt::{Algorithm, ClaimNames, KeySet, KeySource, SigningKeys, TrustedIssuer},
};
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
    let keys = Arc::new(SigningKeys::generate(Algorithm::RS256)?);
    let now = SystemClock.now().0;
    let token = |n: usize| {
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": format!("10769150350006150715{n:06}"),
            "azp": "32555940559.apps.googleusercontent.com", "email": format!("person{n}@example.com"),
            "email_verified": true, "name": format!("Person {n}"), "picture": "https://example.com/photo.jpg",
            "scope": "openid email https://www.googleapis.com/auth/drive.readonly",
            "iat": now, "nbf": now, "exp": now + 3600,
        });
        keys.sign("JWT", &claims)
    };
    Ok(Issued { jwks: keys.jwks(), tokens: (0..count).map(token).collect::<Result<_, _>>()? })
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
