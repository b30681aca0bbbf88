//! The chain, the layer and the tiers, from outside.

#![allow(clippy::unwrap_used, clippy::string_slice, clippy::indexing_slicing)]

mod accounts;
mod chain;
mod dpop;
mod layer;
mod local_user;
mod sessions;
mod support;
mod tokens;
