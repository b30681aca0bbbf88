//! The vocabulary of authchain: who a caller is, what a credential is, where secrets are kept, what can go wrong.
//!
//! Every other crate speaks these types. There is no I/O here; time comes from a [`Clock`], secrets are [`Secret`]s that
//! cannot be printed, and every error has an [`ErrorCode`] from the one table in [`error`].

mod clock;
mod credential;
pub mod error;
mod identity;
mod principal;
mod request;
mod resolver;
mod scopes;
mod secret;
mod store;
mod token;

pub use clock::{Clock, ManualClock, ShiftedClock, SystemClock, Timestamp};
pub use credential::{Credential, CredentialKey, CredentialStatus, OAuthClient, TokenGroup};
pub use error::{AuthError, Cause, ErrorCode, SignIn, with_causes};
pub use identity::{ClientId, Email, InvalidEmail, InvalidId, ProviderId, UserId};
pub use principal::{Principal, Tier};
pub use request::{AuthRequest, Presented, Token};
pub use resolver::{Look, Resolver};
pub use scopes::{ExactScopes, ScopeRules, Scopes};
pub use secret::{Secret, constant_time_eq};
pub use store::{
    BoxStream, CredentialStore, Expect, KeyFilter, Namespace, StateEntry, StateKey, StateStore, StoreError, Version,
    Versioned,
};
pub use token::{AccessToken, TokenSource};
