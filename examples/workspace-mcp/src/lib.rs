//! An MCP server on a user's Drive, Gmail and Calendar: the example of authchain.
