//! The authorization server of authchain: an OAuth 2.1 server and proxy that any MCP client signs in through, in front of
//! Google or another provider, and the pages for people who sign in without an OAuth client.
//!
//! [`AuthorizationServer::router`] is an ordinary axum router with all endpoints; a program merges it with its own.
//! Clients get tokens of ours, bound to the MCP endpoint; the provider's client id, secret and tokens never leave the
//! server. The checklist that the code follows is MCP's authorization chapter (2026-07-28) with OAuth 2.1 beneath it.
//!
//! The way of a sign-in: `discovery` → `clients` (registration) → `authorize` (consent) → `upstream` (the provider) →
//! `token`. A client id carries its own registration, a consent form carries its own request: nothing is
//! stored before a person has said yes, so nothing is lost by a restart.

mod app;
mod audit;
mod authorize;
mod browser;
mod clients;
pub mod config;
pub mod control;
mod device;
mod discovery;
mod errors;
mod introspect;
mod keys;
mod limits;
mod local;
mod no_sign_in;
mod once;
mod options;
mod outbound;
mod pages;
mod params;
mod paths;
mod resource;
mod revoke;
mod scopes;
mod server;
mod ticket;
mod token;
mod unanswered;
mod upstream;

pub use app::{
    App, Front, KeysInUse, McpEndpoint, RetireError, StartError, Storage, clients as open_clients, google_client,
    stop_signal,
};
pub use clients::{
    ClientKind, ClientProof, ClientSummary, Clients, MadeClient, NewClient, RegisteredClient, RevokedClient, Workload,
};
pub use limits::{InvalidNetwork, LimitOptions, Network};
pub use options::{AssertionIssuer, DocumentOptions, GrantOptions, Parts, RememberConsent, ScopeWords, ServerOptions};
pub use paths::Paths;
pub use server::AuthorizationServer;
pub use token::{ExchangeAudience, ExchangeClient};
