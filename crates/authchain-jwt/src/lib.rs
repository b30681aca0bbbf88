//! Bearer JWTs for authchain: verification, JWKS, signing keys, dev tokens.
//!
//! A token is refused by everything that is cheap before any public-key operation is spent on it, and what was verified
//! once is remembered in a [`VerifiedCache`]. Signatures are checked by keys that were parsed once and are pinned to one
//! algorithm; a token has no say in how it is checked (RFC 8725).

mod algorithm;
mod cache;
mod claims;
pub mod dev;
mod error;
mod fetch;
mod issuer;
mod json;
mod jwks;
mod jws;
mod key;
mod keyset;
mod private;
mod refused;
mod rotation;
mod signing;
mod verifier;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use cache::{CacheTicket, VerifiedCache};
pub use claims::Verified;
pub use error::{JwtError, KeyError};
pub use issuer::{ClaimNames, KeySource, TrustedIssuer};
pub use jwks::{JwksCache, JwksOptions};
pub use jws::looks_like_jwt;
pub use key::PublicKey;
pub use keyset::KeySet;
pub use rotation::Rotation;
pub use signing::SigningKeys;
pub use verifier::{Checked, Verifier, VerifierOptions};

/// Makes aws-lc-rs the cryptography of the `jsonwebtoken` crate in this process, where nobody chose before. That crate
/// panics at the first token when two backends are compiled in and none was chosen; what it is used for here needs no
/// backend, but others in the process may use it. A choice that was made already stays.
pub fn install_crypto() {
    let _already_chosen = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}
