//! Everything that is promised outside the crate, in one binary.

// Test code may panic: that is how it fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]
// Without the hubs there is no Drive to play.
#![cfg_attr(not(feature = "drive"), allow(dead_code))]

mod catalogue;
#[cfg(feature = "drive")]
mod factory;
#[cfg(feature = "drive")]
mod hubs;
mod rest;
mod scopes;
mod source;
mod sources;
