//! The promises of the storage traits, as tests that every store must pass; also a store of your own.
//!
//! Each suite takes a closure that makes an empty store, calls it once per promise, and panics with a sentence when a
//! promise is broken.
//!
//! ```ignore
//! #[tokio::test]
//! async fn my_store_keeps_its_promises() {
//!     authchain_testkit::suite::credential_store(async || MyStore::new()).await;
//!     authchain_testkit::suite::state_store(async |clock| MyState::new(clock)).await;
//! }
//! ```
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a suite is test code: it fails by panicking")]

mod credentials;
mod dice;
mod samples;
mod state;

pub use credentials::credential_store;
pub use samples::{awkward_ids, credential, key};
pub use state::state_store;
