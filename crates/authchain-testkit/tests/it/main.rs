//! The stand-in as its users see it: over HTTP, with a browser-less person, with Google's own client libraries.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "clippy's allowance for tests does not reach helpers")]

mod apis;
mod browser;
mod misbehaviour;
mod oauth;
mod refusals;
mod remote;
mod support;
