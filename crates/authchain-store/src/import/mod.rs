//! Credential files of other programs: recognized, read strictly, and told apart from what only looks like them.
//!
//! [`look`] reads and writes nothing. Every file it meets gets a [`Finding`]: a credential with all that is known of it, or
//! the reason why it is none or cannot be taken, and what to do then. Bringing what was found into a store is
//! [`crate::transfer::bring`]'s business. No finding repeats a secret.

mod draft;
mod fastmcp;
mod fields;
mod flat;
#[cfg(feature = "postgres")]
mod gateway;
mod gws;
mod ini;
mod kinds;
mod owner;
mod places;
mod rclone;
mod recognize;
mod sealed;
mod time;
mod walk;
mod yup;

use std::{fmt, path::PathBuf};

use authchain_core::{Credential, Email, OAuthClient, Secret, Timestamp, TokenGroup};

#[cfg(feature = "postgres")]
pub use self::gateway::{GatewayKeys, look_in_gateway};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::{fastmcp::sealed_entry, recognize::recognize};
pub use self::{
    kinds::client_secrets,
    places::{WellKnown, well_known},
    walk::look,
};

/// What the person who imports knows beside the files.
#[derive(Clone, Debug)]
pub struct Means {
    /// Whose the credentials are that do not say so themselves.
    pub user: Option<Email>,
    /// The client of the credentials that do not name theirs (a token cache of yup-oauth2, a store of FastMCP).
    pub client: Option<OAuthClient>,
    /// Keys in Fernet form that may open sealed files, besides the key files that lie near them.
    pub keys: Vec<Secret>,
    /// What FastMCP's store key was made from: its signing key or, without one, the client secret.
    pub fastmcp: Option<Secret>,
    /// The present moment: an expired access token without a refresh token is of no use.
    pub now: Timestamp,
}

impl Means {
    /// Adds the key that earlier programs made of a passphrase (`MCP_API_KEY`) for files that they sealed for one user.
    pub fn add_passphrase(&mut self, passphrase: &Secret) {
        self.keys.push(sealed::key_of_passphrase(passphrase));
    }

    /// Nothing but the files.
    pub fn none(now: Timestamp) -> Self {
        Self { user: None, client: None, keys: Vec::new(), fastmcp: None, now }
    }
}

/// What a file, or one part of it, turned out to be.
#[derive(Debug)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// Which part of it, where it holds several.
    pub part: Option<String>,
    /// What it is, as a word for programs; `unknown` when nobody can say.
    pub format: &'static str,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// What becomes of a file.
#[derive(Debug)]
pub enum Verdict {
    /// It holds a credential that can be taken.
    Credential(Box<Found>),
    /// It is a credential that cannot be taken, or it should be one and is broken.
    Refused {
        /// Why.
        why: String,
        /// What to do instead.
        fix: String,
    },
    /// It is no credential, and nobody said that it were one.
    PassedOver {
        /// What it is instead.
        why: String,
    },
}

/// A credential of another program.
#[derive(Debug)]
pub struct Found {
    /// Whose it is, if that is known.
    pub owner: Option<Email>,
    /// How that is known: `file name`, `account`, `id token`, `--user`.
    pub owner_from: &'static str,
    /// An address that somebody signed in with last, when the owner is unknown: a hint for the person and nothing else.
    pub hint: Option<Email>,
    /// The set of services that it was granted for.
    pub group: TokenGroup,
    /// The credential itself.
    pub credential: Credential,
    /// What the person should know of it.
    pub notes: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(part) = &self.part {
            write!(f, " [{part}]")?;
        }
        Ok(())
    }
}

/// Why a file is not taken, on the way to its [`Finding`].
#[derive(Debug, PartialEq, Eq)]
struct Flaw {
    why: String,
    fix: String,
}

impl Flaw {
    fn new(why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { why: why.into(), fix: fix.into() }
    }

    /// A file that is not as its format says.
    fn broken(why: impl Into<String>) -> Self {
        Self::new(why, "Make the file anew with the program that wrote it, or sign in again: authchain login")
    }
}

/// The client in the bytes of a `client_secret.json`.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn client(bytes: &[u8]) -> Option<OAuthClient> {
    kinds::client(bytes).ok()
}

impl From<Flaw> for Verdict {
    fn from(flaw: Flaw) -> Self {
        Self::Refused { why: flaw.why, fix: flaw.fix }
    }
}
