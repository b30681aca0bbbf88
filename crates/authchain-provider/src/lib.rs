//! Upstream OAuth providers for authchain: the code flow, refresh once however many ask, revocation.
//!
//! - [`Provider`] is plain data: where a provider's endpoints are and what it wants to hear. [`Provider::google`],
//!   [`Provider::google_at`] for the stand-in, [`Provider::oidc`] from a discovery document.
//! - [`ProviderClient`] speaks to one provider: authorization URL, code exchange, one refresh, revocation.
//! - [`CredentialManager`] is the [`authchain_core::TokenSource`] over a credential store: a valid access token for a
//!   key, from memory where it can be, refreshed once for all who wait where it can't.
//!
//! ```no_run
//! use std::sync::Arc;
//! use authchain_core::{AccessToken, AuthError, CredentialKey, CredentialStore, ExactScopes, OAuthClient, Scopes};
//! use authchain_core::{SystemClock, TokenSource};
//! use authchain_provider::{CredentialManager, Provider, ProviderClient, RefreshOptions, http_client};
//!
//! # async fn example(
//! #     store: Arc<dyn CredentialStore>,
//! #     client: OAuthClient,
//! #     key: CredentialKey,
//! # ) -> Result<AccessToken, AuthError> {
//! let clock = Arc::new(SystemClock);
//! let google = Arc::new(ProviderClient::new(Provider::google(client), http_client()?, clock.clone()));
//! let manager = CredentialManager::new(store, vec![google], Arc::new(ExactScopes), clock, RefreshOptions::default());
//! manager.access_token(&key, &Scopes::from("https://www.googleapis.com/auth/drive.readonly")).await
//! # }
//! ```

mod answer;
mod authorize;
mod client;
mod discovery;
mod event;
mod http;
mod id_token;
mod manager;
mod pkce;
mod provider;
mod refresh;
mod retry;
mod revocation;

pub use authorize::AuthorizationRequest;
pub use client::{ProviderClient, SignedIn};
pub use discovery::DiscoveryError;
pub use event::CredentialEvent;
pub use http::{http_client, http_client_trusting, trusting};
pub use manager::{CredentialManager, RefreshOptions};
pub use pkce::{Pkce, PkceChallenge, random_token};
pub use provider::{ClientAuth, ExclusiveGroup, Provider};
pub use refresh::RefreshError;
pub use retry::RetryPolicy;
pub use revocation::{Revocation, RevokedToken};
