//! The authentication chain.
