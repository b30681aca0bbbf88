//! End to end: the program as it is shipped, real clients, a real browser.
//!
//! Everything here starts the `authchain` command as a process of its own and talks to it over HTTP. The clients and the
//! browser come from `tests/clients`; `scripts/test --setup` installs them.

// Test code may panic: that is how it fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]

mod accounts;
mod apps;
mod browser;
mod clients;
mod command;
mod configuration;
mod conformance;
mod credentials;
#[cfg(feature = "postgres")]
mod database;
mod demo;
mod doctor;
mod fleet;
mod journey;
mod keys;
mod memory;
mod node;
mod operator;
mod program;
mod registry;
mod secrets;
mod step_up;
mod terminal;
mod trust;
