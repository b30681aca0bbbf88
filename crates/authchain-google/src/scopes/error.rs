//! Why a name is not a scope that Google can be asked for.

use std::fmt;

use authchain_core::{AuthError, Scopes};

/// Why a name is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScopeError {
    /// Nobody knows it.
    Unknown {
        /// What was asked for.
        name: String,
        /// The name that looks most like it.
        nearest: Option<String>,
    },
    /// Google has retired it.
    Retired {
        /// What was asked for.
        name: String,
        /// The day, `YYYY-MM-DD`.
        since: &'static str,
        /// What to ask for instead; empty when there is no successor.
        replacement: Scopes,
    },
    /// It is often seen and was never a scope of Google's.
    NeverExisted {
        /// What was asked for.
        name: String,
        /// What is known about it.
        why: &'static str,
        /// What was probably meant.
        replacement: Scopes,
    },
}

impl ScopeError {
    /// What was asked for.
    pub fn name(&self) -> &str {
        match self {
            Self::Unknown { name, .. } | Self::Retired { name, .. } | Self::NeverExisted { name, .. } => name,
        }
    }

    /// The name that looks most like it.
    pub fn nearest(&self) -> Option<&str> {
        match self {
            Self::Unknown { nearest, .. } => nearest.as_deref(),
            Self::Retired { .. } | Self::NeverExisted { .. } => None,
        }
    }

    /// What to ask for instead.
    pub fn replacement(&self) -> Option<&Scopes> {
        match self {
            Self::Unknown { .. } => None,
            Self::Retired { replacement, .. } | Self::NeverExisted { replacement, .. } => {
                Some(replacement).filter(|scopes| !scopes.is_empty())
            }
        }
    }
}

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, .. } => write!(f, "there is no Google scope or group {name:?}")?,
            Self::Retired { name, since, .. } => write!(f, "Google retired the scope {name:?} on {since}")?,
            Self::NeverExisted { name, why, .. } => write!(f, "{name:?} is not a Google scope ({why})")?,
        }
        if let Some(nearest) = self.nearest() {
            write!(f, "; did you mean {nearest}?")?;
        }
        if let Some(replacement) = self.replacement() {
            write!(f, "; use {replacement}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ScopeError {}

impl From<ScopeError> for AuthError {
    fn from(error: ScopeError) -> Self {
        Self::Configuration(error.to_string())
    }
}
