//! An MCP server on a person's Drive, Gmail and Calendar.
//!
//! How authentication is added is all in this file: a tool has a parameter `auth: Auth`, and asks it for an API client.
//! Who may call, whose files these are, when a token is refreshed, what happens when the person has to sign in again:
//! none of it is here. The tools themselves are in [`drive`], [`gmail`] and [`calendar`].

pub mod calendar;
pub mod drive;
pub mod gmail;

use authchain_mcp::{Auth, ToolError};
use rmcp::{
    ServerHandler,
    handler::server::{router::tool::ToolRouter, wrapper::Parameters},
    tool, tool_handler, tool_router,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The server: nothing but its tools.
#[derive(Clone)]
pub struct Workspace {
    tools: ToolRouter<Self>,
}

impl Workspace {
    /// A server with all tools.
    pub fn new() -> Self {
        Self { tools: Self::own_tools() + Self::drive_tools() + Self::gmail_tools() + Self::calendar_tools() }
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

/// Which of the caller's accounts a tool is to use.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct Account {
    /// One of your own Google accounts, by its address; left out or `me`, the active one.
    pub user_google_email: Option<String>,
}

/// An id as Google gives them. The hubs put ids into paths as they are, so anything else could lead to another method.
fn google_id(id: &str) -> Result<&str, ToolError> {
    let plain = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain { Ok(id) } else { Err(ToolError::text(format!("{id:?} is no id: take it from a list or a search."))) }
}

#[tool_router(router = own_tools)]
impl Workspace {
    #[tool(description = "Says who you are signed in as and what was granted")]
    async fn whoami(&self, auth: Auth, Parameters(account): Parameters<Account>) -> Result<String, ToolError> {
        let auth = auth.account(account.user_google_email.as_deref()).await?;
        let caller = auth.principal();
        let name = auth.email().map_or_else(|| caller.user.to_string(), ToString::to_string);
        let scopes: Vec<_> = caller.scopes.iter().collect();
        let account = auth.selected().map_or_else(String::new, |account| format!("\nthis call uses: {}", account.user));
        Ok(format!("{name}{account}\nidentified by: {}\ngranted:\n- {}", caller.tier, scopes.join("\n- ")))
    }
}

#[tool_handler(
    router = self.tools,
    name = "workspace-mcp",
    instructions = "Reads and writes the signed-in person's own Google Drive, Gmail and Calendar."
)]
impl ServerHandler for Workspace {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_lead_to_another_method() {
        assert!(google_id("1AbC-_9").is_ok());
        for bad in ["", "a/b", "../about", "a?alt=media", "a#b", "a%2Fb", "a b"] {
            assert!(google_id(bad).is_err(), "{bad}");
        }
    }
}
