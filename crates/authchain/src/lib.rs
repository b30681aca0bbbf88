//! Authentication for MCP servers that act on a user's Google Workspace, as a tower layer.
//!
//! A [`Chain`] of five [`tiers`] finds out who is calling; [`AuthLayer`] puts it in front of any service and leaves an
//! [`AuthContext`] in the request's extensions, from which a tool takes ready API clients and access tokens.
//!
//! The way of a request: [`AuthLayer`] → [`AuthService`] → [`core::AuthRequest`] → [`Chain`] → tier by tier →
//! [`core::Principal`] → [`AuthContext`] → the tool → a typed Google client → a fresh access token → Google.
//! A warm request is decided by [`Chain::look`]: no I/O, no boxed future, no lock that is held across I/O.

pub use authchain_core as core;
pub use authchain_google as google;
pub use authchain_jwt as jwt;
pub use authchain_provider as provider;
pub use authchain_store as store;
pub use authchain_trust as trust;

pub mod accounts;
mod body;
mod chain;
mod challenge;
mod context;
pub mod dpop;
pub mod grants;
mod layer;
pub mod sessions;
mod step_up;
pub mod tiers;

pub use body::GuardedBody;
pub use chain::{Chain, ChainBuilder};
pub use challenge::Challenge;
pub use context::{AuthContext, Toolbox};
pub use layer::{AuthLayer, AuthService, ResponseFuture};
pub use step_up::StepUp;
