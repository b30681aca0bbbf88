//! The authorization server from outside: over HTTP, with a stand-in for Google, a person at a browser and clients as they
//! are in the field. Modules are named after what they look at.

mod authorize;
mod discovery;
mod local;
mod pages;
mod refresh;
mod registration;
mod revoke;
mod sign_in;
mod token;
mod world;
