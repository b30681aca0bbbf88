//! Clients: who they are, how they register, how they prove themselves.
//!
//! A client id carries the registration (see [`ids`]). The state database holds only what changes about a client: that it
//! was used, updated, deleted; a client that nothing happened to is not in it.

mod credentials;
mod ids;
mod metadata;
mod redirect;
mod registration;

use std::time::Duration;

use authchain::core::{ClientId, Expect, Namespace, StateKey, StoreError, Timestamp, Version};
use serde::{Deserialize, Serialize};

pub(crate) use credentials::authenticate;
pub(crate) use metadata::{AuthMethod, Metadata};
pub(crate) use redirect::{Destination, destination};
pub(crate) use registration::{delete, read, register, update};

use crate::{keys, server::Shared};

const CLIENT: Namespace = Namespace("client");

/// A client that we know.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// The id that it presents.
    pub(crate) id: ClientId,
    /// What it said of itself.
    pub(crate) metadata: Metadata,
    /// When it registered.
    pub(crate) issued_at: Timestamp,
    changes: Changes,
    version: Option<Version>,
}

/// What changes about a client.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Changes {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_used: Option<Timestamp>,
    /// When the registration access token was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    managed: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

impl Client {
    /// The client behind an id; `None` when we did not issue it, it was deleted, or it has expired.
    pub(crate) async fn find(server: &Shared, id: &str) -> Result<Option<Self>, StoreError> {
        let Some(registration) = ids::open(&server.keys.client_ids, id) else { return Ok(None) };
        let Ok(id) = ClientId::new(id) else { return Ok(None) };
        let stored = server.parts.state.get(&StateKey::new(CLIENT, keys::hashed(id.as_str()))).await?;
        let version = stored.as_ref().map(|s| s.version);
        let mut changes: Changes = match stored {
            Some(stored) => serde_json::from_slice(&stored.value)
                .map_err(|e| StoreError::Corrupt { what: "a client's record".into(), why: e.to_string() })?,
            None => Changes::default(),
        };
        let metadata = changes.metadata.take().unwrap_or(registration.metadata);
        let client = Self { id, metadata, issued_at: registration.issued_at, changes, version };
        let expired = server.parts.clock.now() > client.expires_at(server);
        Ok((!client.changes.deleted && !expired).then_some(client))
    }

    /// When the client is forgotten unless it is used: its id where it is public, its secret where it has one.
    pub(crate) fn expires_at(&self, server: &Shared) -> Timestamp {
        self.changes.last_used.unwrap_or(self.issued_at).max(self.issued_at) + self.life(server)
    }

    fn life(&self, server: &Shared) -> Duration {
        if self.metadata.is_public() { server.options.client_life } else { server.options.client_secret_life }
    }

    /// Notes that the client was used, so that it does not expire. To spare the database it is written down only when a
    /// good part of its life has passed, and a failure is not the client's fault.
    pub(crate) async fn touch(&self, server: &Shared) {
        let now = server.parts.clock.now();
        let seen = self.changes.last_used.unwrap_or(self.issued_at);
        if now.since(seen) < self.life(server) / 24 {
            return;
        }
        let changes = Changes { last_used: Some(now), ..self.changes_to_keep() };
        match self.write(server, &changes).await {
            Ok(()) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => tracing::warn!(%error, "a client's use could not be written down"),
        }
    }

    fn changes_to_keep(&self) -> Changes {
        // The metadata that was taken out when the client was found goes back in, if it ever was in the database.
        let metadata = self.version.map(|_| self.metadata.clone());
        Changes { metadata, ..self.changes.clone() }
    }

    async fn write(&self, server: &Shared, changes: &Changes) -> Result<(), StoreError> {
        let record = serde_json::to_vec(changes).map_err(|e| StoreError::Unsupported(e.to_string()))?;
        let life = server.options.client_life.max(server.options.client_secret_life);
        let expect = self.version.map_or(Expect::Absent, Expect::Version);
        let key = StateKey::new(CLIENT, keys::hashed(self.id.as_str()));
        server.parts.state.put(&key, &record, life, expect).await.map(drop)
    }
}
