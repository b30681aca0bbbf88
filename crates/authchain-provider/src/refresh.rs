//! How a refresh can fail, sorted by what it means for the stored credential.

use std::time::Duration;

use authchain_core::{AuthError, Cause, CredentialKey, Email, SignIn};

/// Why a refresh brought no new access token. Only [`RefreshError::Refused`] says anything about the credential; after
/// all others it is as good as before.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The provider refused the refresh token for good (`invalid_grant`, RFC 6749, section 5.2).
    #[error("the provider refused the refresh token: {words}")]
    Refused {
        /// The provider's words: the error, its subtype, its description.
        words: String,
    },
    /// No answer, a server error, too many requests, or an answer that is no OAuth answer. It passes.
    #[error("the provider does not answer: {cause}")]
    Unavailable {
        /// When the provider wants to be asked again, if it said so.
        retry_after: Option<Duration>,
        /// What was seen.
        #[source]
        cause: Cause,
    },
    /// The provider refused our client or our request (`invalid_client`, ...): an operator has to act.
    #[error("the provider refused our client: {cause}")]
    Misconfigured {
        /// What it said.
        #[source]
        cause: Cause,
    },
    /// There is no refresh token to ask with.
    #[error("there is no refresh token")]
    NoRefreshToken,
    /// The answer came with an id token of somebody else; nothing of it was taken.
    #[error("the answer to a refresh belongs to another account")]
    OtherAccount {
        /// Whose credential was refreshed.
        expected: Option<Email>,
        /// Who was in the answer.
        got: Option<Email>,
    },
}

impl RefreshError {
    /// The error for everyone who waited for a token of `key`. `pause` is when to try again where the provider did not
    /// say.
    pub fn into_auth_error(self, key: &CredentialKey, pause: Duration) -> AuthError {
        let sign_in = |why| AuthError::SignInNeeded { key: key.clone(), why };
        match self {
            Self::Refused { words } => sign_in(SignIn::Refused(words)),
            Self::NoRefreshToken => sign_in(SignIn::NoRefreshToken),
            Self::Unavailable { retry_after, cause } => {
                AuthError::UpstreamUnavailable { retry_after: retry_after.unwrap_or(pause), cause }
            }
            Self::Misconfigured { cause } => AuthError::UpstreamRefused { cause },
            Self::OtherAccount { expected: Some(expected), got: Some(got) } => {
                sign_in(SignIn::WrongAccount { expected, got })
            }
            Self::OtherAccount { .. } => {
                AuthError::UpstreamRefused { cause: Cause::text("the answer to a refresh belongs to another account") }
            }
        }
    }
}
