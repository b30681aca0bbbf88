//! The provider side against an upstream that misbehaves on command.

// The lints look for these in functions that are not tests themselves, such as the upstream.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod exchange;
mod looks;
mod notes;
mod outages;
mod races;
mod refresh;
mod refusals;
mod revocation;
mod saving;
mod sign_in;
mod support;
