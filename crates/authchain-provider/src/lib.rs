//! Upstream OAuth providers for authchain: code flow, refresh once however many ask, revocation.
