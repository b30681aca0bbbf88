//! Everything that a server of a few tools needs: `use authchain_mcp::prelude::*`.

#[cfg(feature = "calendar")]
pub use authchain::google::CalendarHub;
#[cfg(feature = "drive")]
pub use authchain::google::DriveHub;
#[cfg(feature = "gmail")]
pub use authchain::google::GmailHub;
#[cfg(feature = "server")]
pub use authchain_server::StartError;
pub use rmcp::{handler::server::wrapper::Parameters, tool, tool_router};

#[cfg(feature = "server")]
pub use crate::serve;
pub use crate::{Auth, ToolError};
