//! The tables and the statements.
//!
//! Names are `bytea`, because a user id may hold a NUL, which PostgreSQL's text may not; and bytes are ordered as Rust orders
//! strings.

use authchain_core::StoreError;
use tokio_postgres::{Client, Statement};

/// The layout of the tables; a database with a higher number is of a newer program.
const LAYOUT: i32 = 1;

/// The channel that changes of credentials are told on.
pub(super) const CHANNEL: &str = "authchain_credentials";

/// Any number: whoever makes the tables holds the lock of this one.
const LOCK: i64 = 0x6175_7468_6368_6169;

/// What every connection begins with.
const SESSION: &str = "SET synchronous_commit TO on; SET client_min_messages TO warning";

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS authchain_layout (layout integer PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS authchain_credentials (
        provider bytea NOT NULL,
        account bytea NOT NULL,
        token_group bytea NOT NULL,
        sealed bytea NOT NULL,
        version bigint NOT NULL,
        PRIMARY KEY (provider, account, token_group)
    );
    CREATE TABLE IF NOT EXISTS authchain_state (
        namespace text NOT NULL,
        id bytea NOT NULL,
        value bytea NOT NULL,
        version bigint NOT NULL,
        expires_at bigint NOT NULL,
        PRIMARY KEY (namespace, id)
    );
    CREATE INDEX IF NOT EXISTS authchain_state_by_expiry ON authchain_state (expires_at);";

/// The statements of one connection, prepared.
pub(super) struct Statements {
    pub(super) credential: Statement,
    pub(super) insert_credential: Statement,
    pub(super) update_credential: Statement,
    pub(super) upsert_credential: Statement,
    pub(super) delete_credential: Statement,
    pub(super) credential_page: Statement,
    pub(super) state: Statement,
    pub(super) insert_state: Statement,
    pub(super) update_state: Statement,
    pub(super) upsert_state: Statement,
    pub(super) take_state: Statement,
    pub(super) state_page: Statement,
    pub(super) sweep_state: Statement,
}

/// A statement that writes a credential and tells of it in the same transaction: nobody hears of what is not stored, and
/// nothing is stored that nobody hears of.
fn telling(write: &str, payload: u8) -> String {
    format!("WITH written AS ({write} RETURNING 1) SELECT pg_notify('{CHANNEL}', ${payload}) FROM written")
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, tokio_postgres::Error> {
        let insert = "INSERT INTO authchain_credentials (provider, account, token_group, sealed, version)
                      VALUES ($1, $2, $3, $4, $5) ON CONFLICT";
        let key = "provider = $1 AND account = $2 AND token_group = $3";
        let insert_credential = telling(&format!("{insert} DO NOTHING"), 6);
        let upsert_credential = telling(
            &format!(
                "{insert} (provider, account, token_group)
                 DO UPDATE SET sealed = excluded.sealed, version = excluded.version"
            ),
            6,
        );
        let update_credential = telling(
            &format!("UPDATE authchain_credentials SET sealed = $4, version = $5 WHERE {key} AND version = $7"),
            6,
        );
        let delete_credential = telling(
            &format!("DELETE FROM authchain_credentials WHERE {key} AND ($5::bigint IS NULL OR version = $5)"),
            4,
        );
        let insert_state = "INSERT INTO authchain_state AS old (namespace, id, value, version, expires_at)
                            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (namespace, id)
                            DO UPDATE SET value = excluded.value, version = excluded.version,
                                          expires_at = excluded.expires_at";
        let insert_where_expired = format!("{insert_state} WHERE old.expires_at <= $6");
        let credential = format!("SELECT sealed, version FROM authchain_credentials WHERE {key}");
        // All are sent at once; the answers come in their order.
        let (credential, insert_credential, update_credential, upsert_credential, delete_credential, credential_page) =
            tokio::try_join!(
                client.prepare(&credential),
                client.prepare(&insert_credential),
                client.prepare(&update_credential),
                client.prepare(&upsert_credential),
                client.prepare(&delete_credential),
                client.prepare(
                    "SELECT provider, account, token_group FROM authchain_credentials
                 WHERE (provider, account, token_group) > ($1, $2, $3)
                   AND ($4::bytea IS NULL OR provider = $4) AND ($5::bytea IS NULL OR account = $5)
                 ORDER BY provider, account, token_group LIMIT $6"
                ),
            )?;
        let (state, insert_state, update_state, upsert_state, take_state, state_page, sweep_state) = tokio::try_join!(
            client.prepare(
                "SELECT value, version FROM authchain_state WHERE namespace = $1 AND id = $2 AND expires_at > $3"
            ),
            client.prepare(&insert_where_expired),
            client.prepare(
                "UPDATE authchain_state SET value = $3, version = $4, expires_at = $5
                 WHERE namespace = $1 AND id = $2 AND expires_at > $6 AND version = $7"
            ),
            client.prepare(insert_state),
            client.prepare(
                "DELETE FROM authchain_state WHERE namespace = $1 AND id = $2 RETURNING value, expires_at > $3"
            ),
            client.prepare(
                "SELECT id, value, version, expires_at FROM authchain_state
                 WHERE namespace = $1 AND ($2::bytea IS NULL OR id > $2) AND expires_at > $3 ORDER BY id LIMIT $4"
            ),
            client.prepare(
                "DELETE FROM authchain_state WHERE ctid = ANY (ARRAY(
                     SELECT ctid FROM authchain_state WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))"
            ),
        )?;
        Ok(Self {
            credential,
            insert_credential,
            update_credential,
            upsert_credential,
            delete_credential,
            credential_page,
            state,
            insert_state,
            update_state,
            upsert_state,
            take_state,
            state_page,
            sweep_state,
        })
    }
}

/// Why a database cannot be used.
pub(super) enum Unusable {
    Failed(tokio_postgres::Error),
    Refused(StoreError),
}

impl From<tokio_postgres::Error> for Unusable {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(error)
    }
}

/// Sets a new connection up, and makes the tables where they are missing.
pub(super) async fn set_up(client: &mut Client, name: &str) -> Result<(), Unusable> {
    client.batch_execute(SESSION).await?;
    let present = client.query_one("SELECT to_regclass('authchain_layout') IS NOT NULL", &[]).await?;
    if !present.get::<_, bool>(0) {
        // Of several servers that start at once, one makes the tables and the others wait for it.
        let transaction = client.transaction().await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        transaction.batch_execute(TABLES).await?;
        let note = "INSERT INTO authchain_layout (layout) VALUES ($1) ON CONFLICT DO NOTHING";
        transaction.execute(note, &[&LAYOUT]).await?;
        transaction.commit().await?;
    }
    let newest = client.query_one("SELECT max(layout) FROM authchain_layout", &[]).await?;
    if newest.get::<_, Option<i32>>(0).is_some_and(|layout| layout > LAYOUT) {
        let why = "its tables were made by a newer version of this program".into();
        return Err(Unusable::Refused(StoreError::Corrupt { what: name.to_owned(), why }));
    }
    Ok(())
}
