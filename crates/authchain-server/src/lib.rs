//! OAuth 2.1 authorization server and proxy of authchain, its pages and its configuration.
