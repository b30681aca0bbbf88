//! Clients: who they are, how they register, how they prove themselves.
//!
//! There are three kinds. An id that we issued carries the registration (see [`ids`]); the state database holds only what
//! changes about such a client: that it was used, updated, deleted; a client that nothing happened to is not in it. An id
//! that is an address names a document with the registration ([`documents`]). The rest stand in the configuration
//! ([`configured`]).

mod assertion;
mod by_hand;
mod configured;
mod credentials;
mod documents;
mod ids;
mod keys;
mod metadata;
mod overview;
mod redirect;
mod registration;

use std::{borrow::Cow, time::Duration};

use authchain::core::{AuthError, ClientId, Expect, Namespace, StateKey, StoreError, Timestamp, Version};
use serde::{Deserialize, Serialize};

pub(crate) use assertion::audiences as assertion_audiences;
pub(crate) use by_hand::make as make_by_hand;
pub use by_hand::{MadeClient, NewClient};
pub(crate) use configured::check as check_configured;
pub use configured::{ClientProof, RegisteredClient, Workload};
pub(crate) use credentials::authenticate;
pub(crate) use documents::Documents;
pub(crate) use keys::PublishedKeys;
pub(crate) use metadata::{AuthMethod, Metadata};
pub use overview::{ClientKind, ClientSummary, Clients, RevokedClient};
pub(crate) use redirect::{Destination, destination, without_port};
pub(crate) use registration::{delete, read, register, update};

use crate::{ServerOptions, errors::OAuthError, server::Shared};

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
    kind: Kind,
    changes: Changes,
    version: Option<Version>,
}

/// Where a client's registration is.
#[derive(Clone, Debug)]
enum Kind {
    /// In the id. `by_hand`: a person made it, to be pasted into a program that cannot register.
    Issued { by_hand: bool },
    /// At the address that the id is; its host.
    Document(String),
    /// In the configuration.
    Configured(Box<RegisteredClient>),
}

/// Why there is no client.
#[derive(Debug)]
pub(crate) enum NoClient {
    /// We did not issue the id, the client was deleted, or it has expired.
    Unknown,
    /// The id is the address of a document that breaks this rule.
    BadDocument(Cow<'static, str>),
    /// That cannot be told now.
    Failed(AuthError),
}

impl From<StoreError> for NoClient {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<NoClient> for OAuthError {
    /// What passes is never `invalid_client`: clients forget their registration then.
    fn from(none: NoClient) -> Self {
        match none {
            NoClient::Unknown => Self::invalid_client("the client is not known here: register again", false),
            NoClient::BadDocument(rule) => {
                Self::invalid_client(format!("the client's metadata document cannot be used: {rule}"), false)
            }
            NoClient::Failed(error) => error.into(),
        }
    }
}

/// How long a client is known beyond its last use. One that a person made does not make itself anew, so its secret lives as
/// long as an id.
fn life(metadata: &Metadata, by_hand: bool, options: &ServerOptions) -> Duration {
    if metadata.has_secret() && !by_hand { options.client_secret_life } else { options.client_life }
}

/// What changes about a client.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Changes {
    /// Whose they are; missing where an earlier version wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<ClientId>,
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
    /// The client behind an id.
    pub(crate) async fn find(server: &Shared, id: &str) -> Result<Self, NoClient> {
        if let Some(address) = documents::address(id) {
            return Self::of_document(server, id, address).await;
        }
        if let Some(configured) = server.options.registered.iter().find(|client| client.id.as_str() == id) {
            let kind = Kind::Configured(Box::new(configured.clone()));
            return Ok(Self::unchanging(configured.id.clone(), configured.metadata(), kind));
        }
        let registration = ids::open(&server.keys.client_ids, id).ok_or(NoClient::Unknown)?;
        let id = ClientId::new(id).map_err(|_| NoClient::Unknown)?;
        let stored = server.parts.state.get(&StateKey::new(CLIENT, crate::keys::hashed(id.as_str()))).await?;
        let version = stored.as_ref().map(|s| s.version);
        let mut changes: Changes = match stored {
            Some(stored) => serde_json::from_slice(&stored.value)
                .map_err(|e| StoreError::Corrupt { what: "a client's record".into(), why: e.to_string() })?,
            None => Changes::default(),
        };
        let metadata = changes.metadata.take().unwrap_or(registration.metadata);
        let kind = Kind::Issued { by_hand: registration.by_hand };
        let client = Self { id, metadata, issued_at: registration.issued_at, kind, changes, version };
        let expired = server.parts.clock.now() > client.expires_at(server);
        if client.changes.deleted || expired { Err(NoClient::Unknown) } else { Ok(client) }
    }

    async fn of_document(server: &Shared, id: &str, address: Result<url::Url, &'static str>) -> Result<Self, NoClient> {
        if !server.options.documents.accept {
            return Err(NoClient::Unknown);
        }
        let url = address.map_err(|rule| NoClient::BadDocument(rule.into()))?;
        let id =
            ClientId::new(id).map_err(|_| NoClient::BadDocument("its address is longer than 4096 bytes".into()))?;
        let metadata = server.documents.read(&url).await?;
        let host = url.host_str().unwrap_or_default().to_owned();
        Ok(Self::unchanging(id, metadata, Kind::Document(host)))
    }

    fn unchanging(id: ClientId, metadata: Metadata, kind: Kind) -> Self {
        Self { id, metadata, issued_at: Timestamp(0), kind, changes: Changes::default(), version: None }
    }

    /// The host that vouches for the client: that of its document.
    pub(crate) fn host(&self) -> Option<&str> {
        match &self.kind {
            Kind::Document(host) => Some(host),
            _ => None,
        }
    }

    /// What the operator says of the client, where the configuration names it.
    pub(crate) fn configured(&self) -> Option<&RegisteredClient> {
        match &self.kind {
            Kind::Configured(client) => Some(client),
            _ => None,
        }
    }

    /// Whether the client may ask from a device without a browser.
    pub(crate) fn may_ask_from_a_device(&self) -> bool {
        self.metadata.device
    }

    /// When the client is forgotten unless it is used: its id where it is public, its secret where it has one.
    pub(crate) fn expires_at(&self, server: &Shared) -> Timestamp {
        self.changes.last_used.unwrap_or(self.issued_at).max(self.issued_at) + self.life(server)
    }

    fn life(&self, server: &Shared) -> Duration {
        life(&self.metadata, matches!(self.kind, Kind::Issued { by_hand: true }), &server.options)
    }

    /// Notes that the client was used, so that it does not expire. To spare the database it is written down only when a
    /// good part of its life has passed, and a failure is not the client's fault.
    pub(crate) async fn touch(&self, server: &Shared) {
        if !matches!(self.kind, Kind::Issued { .. }) {
            return;
        }
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
        let changes = Changes { id: Some(self.id.clone()), ..changes.clone() };
        let record = serde_json::to_vec(&changes).map_err(|e| StoreError::Unsupported(e.to_string()))?;
        let life = server.options.client_life.max(server.options.client_secret_life);
        let expect = self.version.map_or(Expect::Absent, Expect::Version);
        let key = StateKey::new(CLIENT, crate::keys::hashed(self.id.as_str()));
        server.parts.state.put(&key, &record, life, expect).await.map(drop)
    }
}
