//! The pages: rendered here, without JavaScript, with one style sheet of our own and nothing from anywhere else.

mod accounts;
mod consent;
mod error;
mod layout;
mod local;
mod scopes;
mod words;

pub(crate) use accounts::{accounts, ask_to_unlink, unlinked};
pub(crate) use consent::consent;
pub(crate) use error::{ErrorPage, Problem};
pub(crate) use layout::{STYLE_ROUTE, go_to, style, style_path};
pub(crate) use local::{SignIn, SignedIn, new_session, sessions, sign_in, signed_in, signed_out};
pub(crate) use words::Language;
