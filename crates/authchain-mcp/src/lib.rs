//! authchain inside MCP tools written with rmcp: who is calling, clients for Google's APIs, errors that a model can pass
//! on to a person.
//!
//! [`Auth`] is a parameter of a tool. Everything that it hands out belongs to the caller whom the
//! [`AuthLayer`](authchain::AuthLayer) in front of the server has verified; [`ToolError`] says what to do when that is not
//! enough. [`service`] makes the MCP endpoint itself, with the settings that go well with a chain in front, and
//! [`serve`] runs a whole server with sign-in.

mod auth;
mod endpoint;
mod error;
pub mod prelude;
mod step_up;
mod stream;

pub use auth::Auth;
#[cfg(feature = "server")]
pub use endpoint::serve;
pub use endpoint::{McpFuture, McpService, service};
pub use error::ToolError;

/// The quick start is compiled as it stands in the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
