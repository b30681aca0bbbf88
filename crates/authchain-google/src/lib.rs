//! Google for authchain: the scope registry, the service catalogue, and typed API clients that never see a stale token.
//!
//! - [`registry`] knows every Google scope: what it allows, what covers it, what it was once called.
//! - [`catalogue`] knows the APIs: base address, versions, the scopes that a tool usually needs.
//! - [`ServiceFactory`] makes hubs of google-apis-rs (`DriveHub`, `GmailHub`, ...) and keeps them for half an hour; under
//!   each lies a [`TokenBridge`] that asks the [`TokenSource`](authchain_core::TokenSource) at every call.
//! - [`RestClient`] serves every other API of the catalogue: JSON in and out, pages as a stream, uploads and downloads.
//! - [`DelegatedServiceAccount`], [`GcloudCredentials`] and [`AccessTokenFromEnvironment`] are token sources beside the
//!   credentials that people sign in for: a tool does not notice which one it has.
//! - [`explain`] turns an API error into what a person can do about it.
//!
//! There is no global state but constant data, parsed at first use.

mod catalogue;
mod client;
mod endpoints;
mod explain;
mod factory;
mod hub;
mod rest;
mod scopes;
mod sources;
mod token_bridge;

pub use catalogue::{Catalogue, CatalogueError, Selected, Service, Version, catalogue};
pub use client::Connector;
pub use endpoints::Endpoints;
pub use explain::{Explained, Problem, explain};
pub use factory::{CacheOptions, CacheStats, ServiceFactory};
pub use hub::Hub;
pub use rest::{Call, Content, Download, RestClient, RestError, RetryPolicy};
pub use scopes::{
    Confidence, GoogleScopes, GroupEdition, Level, Operation, Origin, ScopeError, ScopeInfo, ScopeReport, Sensitivity,
    Warning, nearest as nearest_name, registry,
};
pub use sources::{
    AccessTokenFromEnvironment, AdcFile, AuthorizedUser, DelegatedServiceAccount, Delegation, FileError,
    GcloudCredentials, ServiceAccountKey, Upstream, default_file,
};
pub use token_bridge::TokenBridge;

#[cfg(feature = "calendar")]
pub use google_calendar3::{self as calendar3, CalendarHub};
#[cfg(feature = "docs")]
pub use google_docs1::{self as docs1, Docs as DocsHub};
#[cfg(feature = "drive")]
pub use google_drive3::{self as drive3, DriveHub};
#[cfg(feature = "gmail")]
pub use google_gmail1::{self as gmail1, Gmail as GmailHub};
#[cfg(feature = "people")]
pub use google_people1::{self as people1, PeopleService as PeopleHub};
#[cfg(feature = "sheets")]
pub use google_sheets4::{self as sheets4, Sheets as SheetsHub};
#[cfg(feature = "tasks")]
pub use google_tasks1::{self as tasks1, TasksHub};
