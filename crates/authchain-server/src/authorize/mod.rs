//! The authorization endpoint (RFC 6749, section 3.1) and the consent page that stands before every sign-in.

mod answer;
mod consent;
pub(crate) mod remembered;
mod request;
mod step_up;

pub(crate) use answer::{redirect_with_code, redirect_with_error, return_address};
pub(crate) use consent::{decide, page};
pub(crate) use request::AuthorizeRequest;
pub(crate) use step_up::kept;
