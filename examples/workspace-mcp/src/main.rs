//! The example server as a program of its own: everything about sign-in comes from the configuration.

use authchain_server::StartError;
use workspace_mcp::Workspace;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    authchain_mcp::serve(Workspace::new()).await
}
