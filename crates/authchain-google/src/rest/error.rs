//! What can go wrong in a call.

use std::sync::Arc;

use authchain_core::{AuthError, Cause, CredentialKey, Scopes};

use crate::{Explained, Problem};

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestError {
    /// There is no usable token; Google was not asked.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The API refused, or did not answer. The text says what to do.
    #[error("{0}")]
    Api(Box<Explained>),
    /// The call cannot be made as it was put together.
    #[error("the call cannot be made: {0}")]
    Invalid(String),
    /// The answer is not what was asked for.
    #[error("the answer of the API cannot be read: {0}")]
    Decode(#[source] Arc<serde_json::Error>),
    /// The answer makes no sense: it is too long, it pages in a circle, it sends an upload elsewhere.
    #[error("the answer of the API makes no sense: {0}")]
    Nonsense(&'static str),
}

impl RestError {
    /// What the API's answer means, when it is the API that refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Api(explained) => Some(&explained.problem),
            _ => None,
        }
    }

    /// As an error of authchain's, for the account and the scopes of the client.
    pub fn into_auth_error(self, key: &CredentialKey, scopes: &Scopes) -> AuthError {
        match self {
            Self::Auth(error) => error,
            Self::Api(explained) => explained.into_auth_error(key, scopes),
            other => AuthError::UpstreamRefused { cause: Cause::new(other) },
        }
    }
}

impl From<Explained> for RestError {
    fn from(explained: Explained) -> Self {
        Self::Api(Box::new(explained))
    }
}
