//! What an operator sees of clients, and how one is ended.
//!
//! Registering stores nothing, so what is seen are the clients that something happened to: that were used to sign in, that
//! were changed or ended, that a person made; and those of the configuration.

use std::{collections::BTreeMap, sync::Arc};

use authchain::{
    core::{AuthError, ClientId, Clock, Expect, StateKey, StateStore, StoreError, Timestamp},
    grants::{Grant, Grants},
    store::seal::Keyring,
};
use futures_util::TryStreamExt;
use serde::Serialize;

use super::{
    CLIENT, Changes, Destination, MadeClient, Metadata, NewClient, by_hand, destination, documents,
    ids::{self, Registration},
    life,
};
use crate::{
    ServerOptions,
    audit::fingerprint,
    keys::{Keys, hashed},
};

/// The clients of a server, beside it or in another process.
pub struct Clients {
    options: ServerOptions,
    keys: Keys,
    state: Arc<dyn StateStore>,
    grants: Grants,
    clock: Arc<dyn Clock>,
}

/// How a client is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientKind {
    /// It registered itself.
    Registered,
    /// A person made it.
    ByHand,
    /// Its id is the address of a document that describes it.
    Document,
    /// The configuration names it.
    Configured,
    /// A record of an earlier version, which does not say.
    Unknown,
}

/// One client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientSummary {
    /// The beginning of a hash of its id: what the log calls it, and what can be typed.
    pub fingerprint: String,
    /// Its id.
    pub client_id: Option<ClientId>,
    /// What it calls itself.
    pub name: String,
    /// How it is known.
    pub kind: ClientKind,
    /// Whether it proves itself at the token endpoint.
    pub confidential: bool,
    /// Where answers go: hosts, schemes of apps.
    pub goes_to: Vec<String>,
    /// When it registered.
    pub registered_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// When it is forgotten unless it is used.
    pub expires_at: Option<Timestamp>,
    /// How many sign-ins of people it holds.
    pub sign_ins: usize,
    /// Whether it was ended.
    pub ended: bool,
}

/// What ending a client ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RevokedClient {
    /// The client, as it was.
    pub client: ClientSummary,
    /// Whether its id is refused from now on. That of a document or of the configuration is not: it can be used again, and
    /// asks people anew.
    pub refused: bool,
    /// How many sign-ins ended.
    pub sign_ins: usize,
}

impl Clients {
    pub(crate) fn new(
        options: ServerOptions,
        keyring: &Keyring,
        state: Arc<dyn StateStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AuthError> {
        let grants = Grants::new(state.clone(), clock.clone(), options.refresh_life);
        Ok(Self { keys: Keys::derive(keyring)?, grants, options, state, clock })
    }

    /// All clients that are known, the one that was used last first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list(&self) -> Result<Vec<ClientSummary>, StoreError> {
        let mut found: BTreeMap<String, ClientSummary> = BTreeMap::new();
        for client in &self.options.registered {
            let summary = self.summary(&client.id, None, &client.metadata(), ClientKind::Configured);
            found.insert(hashed(client.id.as_str()), summary);
        }
        let mut records = self.state.scan(CLIENT);
        while let Some(entry) = records.try_next().await? {
            let changes: Changes = serde_json::from_slice(&entry.value.value)
                .map_err(|e| StoreError::Corrupt { what: "a client's record".into(), why: e.to_string() })?;
            let summary = self.of_record(&entry.id, changes);
            found.insert(entry.id, summary);
        }
        for grant in self.grants.all().await? {
            let summary =
                found.entry(hashed(grant.client.as_str())).or_insert_with(|| self.of_id(&grant.client, Some(&grant)));
            if summary.client_id.is_none() {
                // The record is of an earlier version, and the grant says whose it is.
                let known = self.of_id(&grant.client, Some(&grant));
                *summary = ClientSummary { last_used: summary.last_used, ended: summary.ended, ..known };
            }
            summary.sign_ins += 1;
            summary.last_used = summary.last_used.max(Some(grant.last_used));
        }
        let mut all: Vec<_> = found.into_values().collect();
        all.sort_by_key(|client| std::cmp::Reverse(client.last_used.max(client.registered_at)));
        Ok(all)
    }

    /// Makes a client for a program that cannot register.
    ///
    /// # Errors
    /// [`AuthError`] of the store, or a refusal in words.
    pub async fn create(&self, new: &NewClient) -> Result<Result<MadeClient, String>, AuthError> {
        let made = by_hand::make(new, &self.options, &self.keys, &*self.state, self.clock.now()).await;
        match made {
            Ok(made) => Ok(Ok(made)),
            Err(refused) if refused.is_ours() => {
                Err(AuthError::Store(StoreError::Unsupported(refused.into_description().into_owned())))
            }
            Err(refused) => Ok(Err(refused.into_description().into_owned())),
        }
    }

    /// Ends a client: its id is refused from now on, and all sign-ins that it holds end. `None` where none has this id or
    /// fingerprint.
    ///
    /// # Errors
    /// What the store says.
    pub async fn revoke(&self, named: &str) -> Result<Option<RevokedClient>, StoreError> {
        let listed = self.list().await?;
        let is_it = |client: &&ClientSummary| {
            client.fingerprint == named || client.client_id.as_ref().is_some_and(|id| id.as_str() == named)
        };
        let client = match listed.iter().find(is_it) {
            Some(client) => client.clone(),
            // Nothing has happened to it yet, so it is not in the list.
            None => match (ids::open(&self.keys.client_ids, named), ClientId::new(named)) {
                (Some(_), Ok(id)) => self.of_id(&id, None),
                _ => return Ok(None),
            },
        };
        let refused = matches!(client.kind, ClientKind::Registered | ClientKind::ByHand);
        let Some(id) = client.client_id.clone() else { return Ok(None) };
        if refused {
            self.delete(&id).await?;
        }
        let mut sign_ins = 0;
        for grant in self.grants.all().await?.iter().filter(|grant| grant.client == id) {
            sign_ins += usize::from(self.grants.end(&grant.id).await?);
        }
        Ok(Some(RevokedClient { client, refused, sign_ins }))
    }

    async fn delete(&self, id: &ClientId) -> Result<(), StoreError> {
        let ended = Changes { id: Some(id.clone()), deleted: true, ..Changes::default() };
        let record = serde_json::to_vec(&ended).map_err(|e| StoreError::Unsupported(e.to_string()))?;
        let life = self.options.client_life.max(self.options.client_secret_life);
        // Whatever a server writes at this moment: the end stands.
        self.state.put(&StateKey::new(CLIENT, hashed(id.as_str())), &record, life, Expect::Any).await.map(drop)
    }

    fn of_record(&self, hash: &str, changes: Changes) -> ClientSummary {
        let Changes { id, last_used, managed, metadata, deleted } = changes;
        let known = id.as_ref().map(|id| self.of_id(id, None));
        let mut summary = known.unwrap_or_else(|| ClientSummary {
            fingerprint: hash.chars().take(12).collect(),
            client_id: None,
            name: metadata.as_ref().map(|metadata| metadata.name().to_owned()).unwrap_or_default(),
            kind: ClientKind::Unknown,
            confidential: metadata.as_ref().is_some_and(|metadata| !metadata.is_public()),
            goes_to: metadata.as_ref().map(goes_to).unwrap_or_default(),
            registered_at: None,
            last_used: None,
            expires_at: None,
            sign_ins: 0,
            ended: false,
        });
        if let (Some(id), Some(metadata)) = (&id, &metadata) {
            summary = self.summary(id, summary.registered_at, metadata, summary.kind);
        }
        if let (Some(used), Some(expires), Some(registered)) = (last_used, summary.expires_at, summary.registered_at) {
            summary.expires_at = Some(expires + used.since(registered));
        }
        ClientSummary { last_used: last_used.max(managed), ended: deleted, ..summary }
    }

    fn of_id(&self, id: &ClientId, grant: Option<&Grant>) -> ClientSummary {
        if let Some(Registration { metadata, issued_at, by_hand, .. }) = ids::open(&self.keys.client_ids, id.as_str()) {
            let kind = if by_hand { ClientKind::ByHand } else { ClientKind::Registered };
            return self.summary(id, Some(issued_at), &metadata, kind);
        }
        let document = documents::address(id.as_str()).is_some();
        let host = url::Url::parse(id.as_str()).ok().and_then(|url| url.host_str().map(str::to_owned));
        ClientSummary {
            fingerprint: fingerprint(id.as_str()),
            client_id: Some(id.clone()),
            name: grant.map(|grant| grant.client_name.clone()).unwrap_or_default(),
            kind: if document { ClientKind::Document } else { ClientKind::Unknown },
            confidential: false,
            goes_to: host.filter(|_| document).into_iter().collect(),
            registered_at: None,
            last_used: None,
            expires_at: None,
            sign_ins: 0,
            ended: false,
        }
    }

    fn summary(
        &self,
        id: &ClientId,
        registered_at: Option<Timestamp>,
        metadata: &Metadata,
        kind: ClientKind,
    ) -> ClientSummary {
        let life = life(metadata, kind == ClientKind::ByHand, &self.options);
        ClientSummary {
            fingerprint: fingerprint(id.as_str()),
            client_id: Some(id.clone()),
            name: metadata.name().into(),
            kind,
            confidential: !metadata.is_public(),
            goes_to: goes_to(metadata),
            registered_at,
            last_used: None,
            expires_at: registered_at.map(|at| at + life),
            sign_ins: 0,
            ended: false,
        }
    }
}

/// Where answers go, in a few words and each once.
fn goes_to(metadata: &Metadata) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    for uri in &metadata.redirect_uris {
        let place = match destination(uri) {
            Destination::Site(host) => host,
            Destination::ThisComputer(_) => "this computer".into(),
            Destination::App(scheme) => format!("{scheme}:"),
        };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}
