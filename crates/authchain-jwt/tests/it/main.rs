//! Tests of the crate as a whole: tokens of others and for others, attacks, key sets that change, floods.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "tests")]

mod attacks;
mod dev;
mod interop;
mod jwks;
mod rotation;
mod support;
