//! What happens to credentials, for those who want to know: status pages, metrics, caches above this one.

use authchain_core::CredentialKey;

/// Something happened to a stored credential.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialEvent {
    /// A new access token was obtained, or another process's was taken over.
    Refreshed {
        /// Which credential.
        key: CredentialKey,
    },
    /// The provider refused it for good; only a new sign-in helps.
    NeedsSignIn {
        /// Which credential.
        key: CredentialKey,
        /// The provider's words, or why else.
        reason: String,
    },
    /// Somebody signed in, and what was granted is stored.
    Adopted {
        /// Which credential.
        key: CredentialKey,
    },
    /// It was disconnected, here or by another process.
    Removed {
        /// Which credential.
        key: CredentialKey,
    },
    /// A fresh token is served from memory because the store did not take it; saving is tried again and again.
    SaveFailed {
        /// Which credential.
        key: CredentialKey,
    },
    /// What could not be saved before is saved now.
    Saved {
        /// Which credential.
        key: CredentialKey,
    },
}

impl CredentialEvent {
    /// Which credential.
    pub fn key(&self) -> &CredentialKey {
        match self {
            Self::Refreshed { key }
            | Self::NeedsSignIn { key, .. }
            | Self::Adopted { key }
            | Self::Removed { key }
            | Self::SaveFailed { key }
            | Self::Saved { key } => key,
        }
    }
}
