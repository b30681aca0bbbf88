//! Everything that can go wrong for a caller, and the one table of codes.
//!
//! A code is stable: programs match on it, documents name it. [`ErrorCode::ALL`] is the table; what a person reads, the
//! HTTP status, the OAuth error word and the exit code of the command are written here once.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use crate::{CredentialKey, Email, Scopes, StoreError};

/// The cause of an error, shared so that one failure can be given to everyone who waited for it.
#[derive(Clone)]
pub struct Cause(Arc<dyn StdError + Send + Sync>);

impl Cause {
    /// Wraps an error.
    pub fn new(error: impl StdError + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }

    /// A cause that is only a sentence.
    pub fn text(sentence: impl Into<String>) -> Self {
        #[derive(Debug)]
        struct Sentence(String);
        impl fmt::Display for Sentence {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl StdError for Sentence {}
        Self::new(Sentence(sentence.into()))
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// What went wrong and why, in one line: for whoever reads no log.
pub fn with_causes(error: &dyn StdError) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(why) = cause {
        let why_in_words = why.to_string();
        // Some repeat their cause in their own words.
        if !said.contains(&why_in_words) {
            said.push_str(": ");
            said.push_str(&why_in_words);
        }
        cause = why.source();
    }
    said
}

/// Why an account has to sign in (again).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// There is no stored credential.
    NeverSignedIn,
    /// There is an access token that has expired, and no refresh token.
    NoRefreshToken,
    /// The provider refused the refresh token for good; its words.
    Refused(String),
    /// Somebody else signed in than was expected.
    WrongAccount {
        /// Who was expected.
        expected: Email,
        /// Who came back.
        got: Email,
    },
}

impl fmt::Display for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverSignedIn => f.write_str("this account has not signed in yet"),
            Self::NoRefreshToken => f.write_str("the access token has expired and there is no refresh token"),
            Self::Refused(words) => write!(f, "the provider refused the stored credential: {words}"),
            Self::WrongAccount { expected, got } => write!(f, "{got} signed in where {expected} was expected"),
        }
    }
}

/// What went wrong, for the caller. Cloneable, because one failed refresh fails everyone who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// No credential was presented.
    #[error("no credential was presented")]
    MissingCredential,
    /// A credential was presented in a form that is not allowed.
    #[error("the request is malformed: {0}")]
    InvalidRequest(&'static str),
    /// The presented token is expired, forged, revoked, or meant for someone else.
    #[error("the token is not valid: {0}")]
    InvalidToken(&'static str),
    /// The proof of possession that a bound token needs is missing or bad (RFC 9449, section 7.1).
    #[error("the DPoP proof is not valid: {0}")]
    InvalidDpopProof(&'static str),
    /// The proof of possession lacks a nonce of this server (RFC 9449, section 9).
    #[error("the DPoP proof needs a nonce of this server")]
    UseDpopNonce {
        /// The nonce to use: it goes out in the header `DPoP-Nonce`.
        nonce: String,
    },
    /// The caller is known, and what was granted does not cover what the operation needs.
    #[error("the granted scopes do not cover this operation")]
    InsufficientScope {
        /// All that the operation needs.
        needed: Scopes,
        /// All that was granted.
        granted: Scopes,
    },
    /// The caller asked for an account that is not linked to them.
    #[error("the account {0} is not one of the caller's accounts")]
    NotYourAccount(String),
    /// The upstream account has to sign in (again).
    #[error("{key} has to sign in: {why}")]
    SignInNeeded {
        /// Which credential.
        key: CredentialKey,
        /// Why.
        why: SignIn,
    },
    /// The provider cannot be reached or answers with a server error; nothing stored was changed.
    #[error("the provider does not answer: {cause}")]
    UpstreamUnavailable {
        /// When to try again.
        retry_after: Duration,
        /// What was seen.
        #[source]
        cause: Cause,
    },
    /// The provider answered something that makes no sense, or refused our client.
    #[error("the provider refused: {cause}")]
    UpstreamRefused {
        /// What it said.
        #[source]
        cause: Cause,
    },
    /// The provider did not accept the code that it had sent the person back with.
    #[error("the provider did not accept the end of the sign-in: {words}")]
    CodeRefused {
        /// What it said.
        words: String,
    },
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something is wrong in how this server is set up.
    #[error("the server is not set up for this: {0}")]
    Configuration(String),
}

impl AuthError {
    /// The row of the table that this error belongs to.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::MissingCredential => ErrorCode::MissingCredential,
            Self::InvalidRequest(_) => ErrorCode::InvalidRequest,
            Self::InvalidToken(_) => ErrorCode::InvalidToken,
            Self::InvalidDpopProof(_) => ErrorCode::InvalidDpopProof,
            Self::UseDpopNonce { .. } => ErrorCode::UseDpopNonce,
            Self::InsufficientScope { .. } => ErrorCode::InsufficientScope,
            Self::NotYourAccount(_) => ErrorCode::NotYourAccount,
            Self::SignInNeeded { why: SignIn::WrongAccount { .. }, .. } => ErrorCode::WrongAccount,
            Self::SignInNeeded { why: SignIn::Refused(words), .. } if words.contains("invalid_rapt") => {
                ErrorCode::SessionControl
            }
            Self::SignInNeeded { .. } => ErrorCode::SignInNeeded,
            Self::UpstreamUnavailable { .. } => ErrorCode::UpstreamUnavailable,
            Self::UpstreamRefused { .. } => ErrorCode::UpstreamRefused,
            Self::CodeRefused { .. } => ErrorCode::CodeRefused,
            Self::Store(StoreError::Conflict { .. }) => ErrorCode::Conflict,
            Self::Store(StoreError::Corrupt { .. } | StoreError::WrongKey { .. }) => ErrorCode::Unreadable,
            Self::Store(StoreError::Insecure { .. }) => ErrorCode::Insecure,
            Self::Store(_) => ErrorCode::StoreUnavailable,
            Self::Configuration(_) => ErrorCode::Configuration,
        }
    }

    /// After how long it makes sense to try again, for errors that pass by themselves.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::UpstreamUnavailable { retry_after, .. } => Some(*retry_after),
            Self::Store(StoreError::Unavailable { .. } | StoreError::Conflict { .. }) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

/// One row: the variant, the stable word, the HTTP status, the OAuth error word, the exit code, the sentence.
macro_rules! table {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $oauth:literal, $exit:literal, $fix:literal;)*) => {
        /// A stable code of an error: the row of the table in [`crate::error`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// The whole table, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word that programs match on.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status of a response that reports it.
            pub fn http_status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The `error` value of RFC 6750, section 3.1, or RFC 6749, section 5.2; empty where no error word is sent.
            pub fn oauth_error(self) -> &'static str {
                match self { $(Self::$name => $oauth,)* }
            }

            /// The exit code of the command.
            pub fn exit_code(self) -> u8 {
                match self { $(Self::$name => $exit,)* }
            }

            /// What a person can do about it.
            pub fn what_to_do(self) -> &'static str {
                match self { $(Self::$name => $fix,)* }
            }
        }
    };
}

table! {
    /// No credential was presented.
    MissingCredential = "missing_credential", 401, "", 4,
        "Sign in: the challenge names the authorization server, and the sign-in link opens it in a browser.";
    /// The request is malformed.
    InvalidRequest = "invalid_request", 400, "invalid_request", 2,
        "Send one Authorization header with one bearer token, and no token in the URL.";
    /// The token is not valid.
    InvalidToken = "invalid_token", 401, "invalid_token", 4,
        "Refresh the token or sign in again.";
    /// The DPoP proof is not valid.
    InvalidDpopProof = "invalid_dpop_proof", 401, "invalid_dpop_proof", 4,
        "Make a fresh proof for this request, by the key that the token is bound to.";
    /// The DPoP proof needs a nonce.
    UseDpopNonce = "use_dpop_nonce", 401, "use_dpop_nonce", 4,
        "Make the proof again with the nonce in the header DPoP-Nonce.";
    /// More scopes are needed.
    InsufficientScope = "insufficient_scope", 403, "insufficient_scope", 5,
        "Sign in again and grant the scopes that the challenge names; the ones already granted stay.";
    /// Not one of the caller's accounts.
    NotYourAccount = "not_your_account", 403, "access_denied", 5,
        "Name one of your own accounts, or link this account to you first.";
    /// The account has to sign in.
    SignInNeeded = "sign_in_needed", 401, "invalid_token", 4,
        "Sign in again with this account. If it happens every 7 days, the OAuth app is still in testing mode.";
    /// The administrator's session control asks for a new sign-in.
    SessionControl = "session_control", 401, "invalid_token", 4,
        "Your administrator asks for a new sign-in every few hours: sign in again with this account.";
    /// Somebody else signed in.
    WrongAccount = "wrong_account", 403, "access_denied", 5,
        "Start again and choose the account that was asked for.";
    /// The provider does not answer.
    UpstreamUnavailable = "upstream_unavailable", 503, "temporarily_unavailable", 6,
        "Nothing was lost. Try again after the time in Retry-After.";
    /// The provider refused.
    UpstreamRefused = "upstream_refused", 502, "server_error", 6,
        "Check the client id, the client secret and the redirect URI at the provider.";
    /// The provider did not accept the code of a sign-in.
    CodeRefused = "code_refused", 400, "server_error", 4,
        "The sign-in took too long, or its last step was opened twice. Start it again.";
    /// Another writer was first.
    Conflict = "conflict", 503, "temporarily_unavailable", 7,
        "Another process wrote at the same time. Try again.";
    /// The store cannot be used.
    StoreUnavailable = "store_unavailable", 503, "temporarily_unavailable", 6,
        "Nothing was lost. Look at the server's log: the disk or the database needs care.";
    /// A stored record cannot be read.
    Unreadable = "unreadable_record", 500, "server_error", 8,
        "A stored record is damaged, or its key is missing. Bring back the key or restore the record from a backup.";
    /// Secrets are readable by others.
    Insecure = "insecure_permissions", 500, "server_error", 2,
        "Run the command that the message names.";
    /// The server is not set up for this.
    Configuration = "configuration", 500, "server_error", 2,
        "Mend the configuration that the message names.";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ProviderId, UserId};

    #[test]
    fn every_code_is_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = ErrorCode::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(words.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn an_outage_is_never_a_401() {
        let down =
            AuthError::UpstreamUnavailable { retry_after: Duration::from_secs(5), cause: Cause::text("timeout") };
        assert_eq!(down.code().http_status(), 503);
        assert_eq!(down.retry_after(), Some(Duration::from_secs(5)));
    }

    #[test]
    fn t10_session_control_of_an_administrator_has_its_own_sentence() {
        let key = CredentialKey::new(ProviderId::google(), UserId::new("a@b").unwrap());
        let error = AuthError::SignInNeeded { key, why: SignIn::Refused("invalid_grant: invalid_rapt".into()) };
        assert_eq!(error.code(), ErrorCode::SessionControl);
    }
}
