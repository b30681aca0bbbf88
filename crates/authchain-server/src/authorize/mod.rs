//! The authorization endpoint (RFC 6749, section 3.1) and the consent page that stands before every sign-in.

mod answer;
mod consent;
mod request;

pub(crate) use answer::{redirect_with_code, redirect_with_error, return_address};
pub(crate) use consent::{decide, page};
pub(crate) use request::AuthorizeRequest;
