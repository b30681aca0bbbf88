//! rmcp glue of authchain: who is calling inside a tool, scopes per tool, sign-in links as elicitation.
