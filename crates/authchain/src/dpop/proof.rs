//! One DPoP proof: a JWT that a client signs for one request, with the key in its header (RFC 9449, section 4.2).

use authchain_jwt::PublicKey;
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use url::Url;

/// No honest proof is longer.
const LONGEST: usize = 8 * 1024;
/// No honest `jti` is longer.
const LONGEST_ID: usize = 256;

/// A proof whose signature is good. What it says still has to fit the request.
#[derive(Debug)]
pub(super) struct Proof {
    /// The thumbprint of the key (RFC 7638, SHA-256, base64url): what tokens are bound to.
    pub(super) thumbprint: String,
    claims: Claims,
}

#[derive(Debug, Deserialize)]
struct Header {
    typ: Option<String>,
    alg: Option<String>,
    jwk: Option<Value>,
    crit: Option<IgnoredAny>,
    b64: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: f64,
    ath: Option<String>,
    nonce: Option<String>,
}

impl Proof {
    /// Reads a proof and checks its signature by the key that it carries.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        const MALFORMED: &str = "the proof is not a well-formed JWT";
        if text.len() > LONGEST {
            return Err("the proof is too long");
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, payload) = signed.split_once('.').ok_or(MALFORMED)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
        // Serde refuses members that are there twice.
        let header: Header = object(&decode(header)?).ok_or("the header of the proof cannot be read")?;
        if header.crit.is_some() || header.b64.is_some() {
            return Err("the proof has a header parameter that is not allowed");
        }
        if !header.typ.is_some_and(|typ| typ.eq_ignore_ascii_case("dpop+jwt")) {
            return Err("the proof's typ is not dpop+jwt");
        }
        let key = header.jwk.ok_or("the proof carries no jwk")?;
        let key =
            PublicKey::from_jwk(&key).map_err(|_| "the proof's jwk is not a public key for ES256, EdDSA or RS256")?;
        let named = header.alg.as_deref().unwrap_or_default();
        let own = key.algorithm().as_str();
        if named != own && !(named == "Ed25519" && own == "EdDSA") {
            return Err("the proof's alg is not allowed or not that of its key");
        }
        if !key.verify(signed.as_bytes(), &decode(signature)?) {
            return Err("the signature of the proof is wrong");
        }
        let claims: Claims = object(&decode(payload)?).ok_or("the proof lacks jti, htm, htu or iat")?;
        if claims.jti.is_empty() || claims.jti.len() > LONGEST_ID {
            return Err("the proof's jti is empty or too long");
        }
        Ok(Self { thumbprint: key.thumbprint(), claims })
    }

    /// Its id.
    pub(super) fn id(&self) -> &str {
        &self.claims.jti
    }

    /// The server's nonce that it repeats.
    pub(super) fn nonce(&self) -> Option<&str> {
        self.claims.nonce.as_deref()
    }

    /// When it was made, in seconds since 1970.
    pub(super) fn issued_at(&self) -> f64 {
        self.claims.iat
    }

    /// Whether it was made for this request: query and fragment do not count (RFC 9449, section 4.3, check 9).
    pub(super) fn is_for(&self, method: &http::Method, target: &Url) -> bool {
        let Ok(named) = Url::parse(&self.claims.htu) else { return false };
        self.claims.htm == method.as_str()
            && named.scheme() == target.scheme()
            && named.host() == target.host()
            && named.port_or_known_default() == target.port_or_known_default()
            && named.path() == target.path()
            && named.username().is_empty()
            && named.password().is_none()
    }

    /// Whether it was made for this access token.
    pub(super) fn is_with(&self, token: &str) -> bool {
        let hash = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, token.as_bytes()));
        self.claims.ath.as_deref() == Some(&hash)
    }
}

fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    // Serde would take an array for a struct, too.
    json.starts_with(b"{").then(|| serde_json::from_slice(json).ok()).flatten()
}
