//! The authorization server from outside: over HTTP, with a stand-in for Google, a person at a browser and clients as they
//! are in the field. Modules are named after what they look at.

// Clippy lets tests unwrap and slice, and takes the helpers beside them for something else.
#![allow(clippy::unwrap_used, clippy::string_slice, clippy::indexing_slicing)]

mod accounts;
mod apps;
mod attacks;
mod audit;
mod authorize;
mod checklist;
mod client_documents;
mod client_keys;
mod consent;
mod device;
mod discovery;
mod dpop;
mod exchange;
mod field;
mod fleet;
mod grants;
mod instances;
mod introspect;
mod lessons;
mod limits;
mod local;
mod new_clients;
mod no_sign_in;
mod pages;
mod refresh;
mod refresh_processes;
mod registration;
mod revoke;
mod sign_in;
mod token;
mod unanswered;
mod world;
