//! End-to-end tests across the crates, with real clients and a real browser.
