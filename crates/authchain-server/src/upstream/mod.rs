//! The way to the provider and back: what was decided on a page of ours goes out once, and what comes back is accepted once,
//! from the browser that decided.

mod begin;
mod finish;

pub(crate) use begin::{Decision, Outcome, Settled, pressed, settle};
pub(crate) use finish::{local_callback, oauth_callback, only_get};
