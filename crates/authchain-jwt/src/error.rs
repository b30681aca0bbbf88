//! Why a token is refused, and what can be wrong with a key.

use std::{io, path::PathBuf, time::Duration};

use authchain_core::{AuthError, Cause, StoreError};

/// Why a token is not accepted. The words of [`JwtError::reason`] say nothing that is in the token.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// Longer than allowed.
    #[error("{}", self.reason())]
    TooLong,
    /// Not three parts of base64url without padding, with JSON objects in the first two (RFC 7515, section 3.1).
    #[error("{}", self.reason())]
    Malformed,
    /// The same claim or header parameter twice (RFC 8725, section 3.12 asks for one meaning only).
    #[error("{}", self.reason())]
    Ambiguous,
    /// `alg` is `none`, symmetric, unknown, or not allowed for this issuer or key.
    #[error("{}", self.reason())]
    AlgorithmNotAllowed,
    /// A header parameter that changes how a token is to be read or checked: `crit`, `b64`, `jwk`, `jku`, `x5u`, `x5c`.
    #[error("{}", self.reason())]
    HeaderNotAllowed,
    /// `typ` is not one that this issuer's tokens have (RFC 8725, section 3.11).
    #[error("{}", self.reason())]
    WrongType,
    /// `iss` is missing or nobody that is trusted.
    #[error("{}", self.reason())]
    UnknownIssuer,
    /// `aud` is missing or somebody else.
    #[error("{}", self.reason())]
    WrongAudience,
    /// `sub` is missing.
    #[error("{}", self.reason())]
    NoSubject,
    /// `exp` is missing.
    #[error("{}", self.reason())]
    NoExpiry,
    /// `exp` has passed.
    #[error("{}", self.reason())]
    Expired,
    /// `nbf` has not come yet.
    #[error("{}", self.reason())]
    NotYetValid,
    /// `iat` lies in the future or after `exp`.
    #[error("{}", self.reason())]
    IssuedInTheFuture,
    /// No key of the issuer fits.
    #[error("{}", self.reason())]
    UnknownKey,
    /// The signature is wrong.
    #[error("{}", self.reason())]
    BadSignature,
    /// The issuer's keys were never fetched and cannot be fetched now.
    #[error("the keys of the issuer cannot be fetched: {cause}")]
    KeysUnavailable {
        /// When to try again.
        retry_after: Duration,
        /// What was seen.
        #[source]
        cause: Cause,
    },
}

impl JwtError {
    /// A few constant words, fit for a log and for an answer.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLong => "the token is too long",
            Self::Malformed => "the token is not a well-formed signed JWT",
            Self::Ambiguous => "the token says one thing twice",
            Self::AlgorithmNotAllowed => "the signature algorithm is not allowed",
            Self::HeaderNotAllowed => "the token has a header parameter that is not allowed",
            Self::WrongType => "the token is of another type",
            Self::UnknownIssuer => "the issuer is not trusted",
            Self::WrongAudience => "the token is meant for another audience",
            Self::NoSubject => "the token has no subject",
            Self::NoExpiry => "the token has no expiry",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::IssuedInTheFuture => "the token was issued in the future",
            Self::UnknownKey => "the token is signed with an unknown key",
            Self::BadSignature => "the signature is wrong",
            Self::KeysUnavailable { .. } => "the keys of the issuer cannot be fetched",
        }
    }
}

impl From<JwtError> for AuthError {
    fn from(error: JwtError) -> Self {
        match error {
            JwtError::KeysUnavailable { retry_after, cause } => Self::UpstreamUnavailable { retry_after, cause },
            refused => Self::InvalidToken(refused.reason()),
        }
    }
}

/// What can be wrong with a key or a file of keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key is not one that authchain uses: another type or curve, too small, or damaged.
    #[error("the key cannot be used: {0}")]
    Unusable(&'static str),
    /// A private key stands where a public one belongs. It must count as known to others.
    #[error("a private key stands where a public key belongs: remove it and make a new one")]
    Private,
    /// What was read is not a key ring of authchain.
    #[error("the signing keys cannot be read: {0}")]
    Unreadable(&'static str),
    /// The cryptographic library refused.
    #[error("the cryptographic library failed to {0}")]
    Crypto(&'static str),
    /// Claims that cannot be written as a JSON object.
    #[error("the claims are not a JSON object")]
    Claims(#[source] Option<serde_json::Error>),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read the file.
    #[error("{path} can be read by others: run `chmod 600 '{path}'`")]
    Insecure {
        /// Which file.
        path: PathBuf,
    },
}

impl From<KeyError> for AuthError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Insecure { ref path } => Self::Store(StoreError::Insecure {
                what: path.display().to_string(),
                why: "others can read it".into(),
                fix: format!("chmod 600 '{}'", path.display()),
            }),
            other => Self::Configuration(other.to_string()),
        }
    }
}
