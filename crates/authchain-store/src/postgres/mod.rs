//! Credentials and state in PostgreSQL, for several servers at once.
//!
//! A few connections, one per core, carry the statements of everybody: they are prepared once and pipelined, so nobody waits
//! for the answer to another's. A connection that is lost is made again; meanwhile callers wait a moment and then get an
//! error, and nothing has to be restarted when the database is back.

mod address;
mod binding;
mod connection;
mod credentials;
mod notices;
mod schema;
mod state;
mod tls;

use std::sync::Arc;

use authchain_core::{Clock, Secret, StoreError};
use authchain_trust::Trust;

use self::connection::Connections;
pub use self::{
    credentials::PostgresStore,
    notices::{Change, Changes},
    state::PostgresState,
};
use crate::seal::Keyring;

/// The rows of somebody else's database, and what it is called. No table is made in it.
pub(crate) async fn rows_of(
    url: &Secret,
    query: &str,
    trust: &Trust,
) -> Result<(String, Vec<tokio_postgres::Row>), StoreError> {
    let connections = Connections::new(url, trust)?;
    let (client, connection) = connections.dedicated().await?;
    let moving = tokio::spawn(connection);
    let rows = client.query(query, &[]).await.map_err(|error| connections.explain(error));
    drop(client);
    // How it ended interests nobody any more.
    let _ = moving.await;
    Ok((connections.name().to_owned(), rows?))
}

/// A database that is reachable and has our tables. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct Postgres(Arc<Connections>);

impl Postgres {
    /// Connects to `postgresql://user:password@host/database?sslmode=require` and makes the tables where there are none.
    /// Certificates are checked wherever TLS is spoken, so that `require` is no less than `verify-full`, which is another
    /// word for it here; `prefer`, the default, falls back to plain text where the server offers no TLS. With
    /// `sslrootcert=FILE` only those whose certificates are in that file (PEM) are trusted.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] for a URL that is none, [`StoreError::Unavailable`] when the database cannot be reached
    /// within a few seconds, [`StoreError::Corrupt`] when the tables are of a newer version of this program.
    pub async fn connect(url: &Secret) -> Result<Self, StoreError> {
        Self::connect_trusting(url, &Trust::default()).await
    }

    /// As [`Postgres::connect`], where the configuration says whose certificates to trust.
    ///
    /// # Errors
    /// As [`Postgres::connect`].
    pub async fn connect_trusting(url: &Secret, trust: &Trust) -> Result<Self, StoreError> {
        let connections = Connections::new(url, trust)?;
        connections.first().await?;
        Ok(Self(Arc::new(connections)))
    }

    /// The credentials in it, sealed with these keys.
    pub fn credentials(&self, keyring: Keyring) -> PostgresStore {
        PostgresStore::new(Arc::clone(&self.0), keyring)
    }

    /// The state in it, by this clock.
    pub fn state(&self, clock: Arc<dyn Clock>) -> PostgresState {
        PostgresState::new(Arc::clone(&self.0), clock)
    }
}
