//! Clients of others, and clients of every protocol version, against the running program.

mod endpoint;
mod rmcp;
mod typescript;
mod versions;
