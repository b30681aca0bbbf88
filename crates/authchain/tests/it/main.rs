//! The chain, the layer and the tiers, from outside.

mod chain;
mod layer;
mod local_user;
mod sessions;
mod support;
mod tokens;
