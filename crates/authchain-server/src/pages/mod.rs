//! The pages: rendered here, without JavaScript, with one style sheet of our own and nothing from anywhere else.

mod accounts;
mod apps;
mod consent;
mod device;
mod error;
mod layout;
mod local;
mod new_client;
mod scopes;
mod words;

pub(crate) use accounts::{accounts, ask_to_unlink, unlinked};
pub(crate) use apps::{apps, ask_to_revoke, revoked};
pub(crate) use consent::{Consent, consent};
pub(crate) use device::{WrongCode, device_consent, device_denied, device_done, enter_code};
pub(crate) use error::{ErrorPage, Problem};
pub(crate) use layout::{STYLE_ROUTE, go_to, style, style_path};
pub(crate) use local::{SignIn, SignedIn, new_session, sessions, sign_in, signed_in, signed_out};
pub(crate) use new_client::{made_client, new_client};
pub(crate) use words::Language;
