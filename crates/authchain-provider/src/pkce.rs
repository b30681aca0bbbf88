//! Proof Key for Code Exchange (RFC 7636), method S256 and no other, and the random words of a flow.

use std::fmt;

use authchain_core::Secret;
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The SHA-256 of a verifier, in base64url without padding (RFC 7636, section 4.2). No secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PkceChallenge(String);

impl PkceChallenge {
    /// The challenge of a verifier.
    pub fn of(verifier: &Secret) -> Self {
        Self(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.expose().as_bytes())))
    }

    /// The text of `code_challenge`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PkceChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A verifier and its challenge.
#[derive(Clone, Debug)]
pub struct Pkce {
    /// What is shown at the code exchange, and until then to nobody.
    pub verifier: Secret,
    /// What goes into the authorization URL.
    pub challenge: PkceChallenge,
}

impl Pkce {
    /// A fresh pair: 32 random bytes, 43 characters (RFC 7636, section 4.1).
    pub fn generate() -> Self {
        Self::from_verifier(random_token())
    }

    /// The pair of a verifier that was made elsewhere.
    pub fn from_verifier(verifier: Secret) -> Self {
        Self { challenge: PkceChallenge::of(&verifier), verifier }
    }
}

/// 256 random bits as 43 characters of base64url: good for a verifier, a `state`, a `nonce`.
///
/// # Panics
/// When the operating system gives no random bytes; nothing can be secret then.
pub fn random_token() -> Secret {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        let pkce = Pkce::from_verifier(Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert_eq!(pkce.challenge.as_str(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn two_pairs_are_never_the_same() {
        let (a, b) = (Pkce::generate(), Pkce::generate());
        assert_ne!(a.verifier, b.verifier);
        assert_eq!(a.verifier.expose().len(), 43);
    }
}
