//! The stand-in as its users see it: over HTTP, with a browser-less person, with Google's own client libraries.

mod apis;
mod browser;
mod misbehaviour;
mod oauth;
mod refusals;
mod remote;
mod support;
