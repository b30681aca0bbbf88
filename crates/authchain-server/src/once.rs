//! What may be presented once only: the ids of assertions and proofs, until they would have expired anyway.

use authchain::core::{Expect, Namespace, StateKey, StoreError, Timestamp};

use crate::{keys::hashed, server::Shared};

const SEEN: Namespace = Namespace("seen");

/// Whether `id` of `kind` is presented for the first time; of many at once exactly one is the first, on all instances.
/// It is remembered until `until` and a little longer, because clocks differ.
pub(crate) async fn is_first(server: &Shared, kind: &str, id: &str, until: Timestamp) -> Result<bool, StoreError> {
    let life = until.since(server.parts.clock.now()) + std::time::Duration::from_secs(120);
    let key = StateKey::new(SEEN, hashed(&format!("{kind}\n{id}")));
    match server.parts.state.put(&key, b"", life, Expect::Absent).await {
        Ok(_) => Ok(true),
        Err(StoreError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
