//! Credentials in PostgreSQL: sealed before they leave the process, conditional writes by version, and a word to the other
//! servers with each.

use std::{fmt, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use authchain_core::{
    BoxStream, Credential, CredentialKey, CredentialStore, Expect, KeyFilter, ProviderId, StoreError, TokenGroup,
    UserId, Version, Versioned,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_postgres::{Row, types::ToSql};
use zeroize::Zeroizing;

use super::{
    connection::{Connections, Trouble},
    notices::{Changes, Notice},
};
use crate::{
    FileForm, SealedRecords, fresh_version, private, record,
    seal::{KeyId, Keyring},
};

/// How many keys a listing reads at a time.
const PAGE: usize = 500;

/// Credentials in a table. What is in a row is what would be in a sealed file.
pub struct PostgresStore {
    connections: Arc<Connections>,
    form: FileForm,
    keyring: Keyring,
    /// Who of several servers this is: it does not listen to itself.
    own: u64,
}

impl PostgresStore {
    pub(super) fn new(connections: Arc<Connections>, keyring: Keyring) -> Self {
        let form = FileForm::Sealed(keyring.clone());
        Self { connections, form, keyring, own: fresh_version().0 }
    }

    /// Hears of what other servers write, from now on.
    pub fn changes(&self) -> Changes {
        Changes::listen(Arc::clone(&self.connections), self.own)
    }

    /// What a record is called in errors.
    fn record(&self, key: &CredentialKey) -> PathBuf {
        format!("{key} in {}", self.connections.name()).into()
    }

    async fn row(&self, key: &CredentialKey) -> Result<Option<(Zeroizing<Vec<u8>>, Version)>, StoreError> {
        let row = self.connections.read(|live| async move {
            let [provider, user, group] = parts(key);
            live.client.query_opt(&live.statements.credential, &[&provider, &user, &group]).await
        });
        Ok(row.await?.map(|row| (Zeroizing::new(row.get(0)), Version(row.get::<_, i64>(1).cast_unsigned()))))
    }

    /// Seals where blocking is allowed, for the keys may have to be looked up.
    async fn seal(&self, key: &CredentialKey, credential: &Credential) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        // A user's key that opens what is there must open what takes its place.
        let before = if self.keyring.has_users() { self.row(key).await? } else { None };
        let before = before.and_then(|(sealed, _)| record::envelope_for_users(&sealed));
        let (form, keyring, key, credential) =
            (self.form.clone(), self.keyring.clone(), key.clone(), credential.clone());
        let sealed = tokio::task::spawn_blocking(move || {
            // Another process may have made a new primary key.
            keyring.refresh()?;
            form.encode(&key, &credential, before.as_ref().map(|envelope| envelope.as_slice()))
        });
        sealed.await.unwrap_or_else(|error| Err(StoreError::unavailable("seal a credential", error)))
    }

    async fn write(
        &self,
        key: &CredentialKey,
        sealed: &[u8],
        version: Version,
        expect: Expect,
    ) -> Result<bool, Trouble> {
        let notice = Notice { from: self.own, key: key.clone() }.to_string();
        let (version, notice) = (version.0.cast_signed(), notice.as_str());
        let written = self.connections.run(|live| async move {
            let [provider, user, group] = parts(key);
            let all: [&(dyn ToSql + Sync); 6] = [&provider, &user, &group, &sealed, &version, &notice];
            let (client, statements) = (&live.client, &live.statements);
            match expect {
                Expect::Absent => client.query(&statements.insert_credential, &all).await,
                Expect::Any => client.query(&statements.upsert_credential, &all).await,
                Expect::Version(seen) => {
                    let seen = seen.0.cast_signed();
                    let [a, b, c, d, e, f] = all;
                    client.query(&statements.update_credential, &[a, b, c, d, e, f, &seen]).await
                }
            }
        });
        written.await.map(|rows| !rows.is_empty())
    }
}

fn parts(key: &CredentialKey) -> [&[u8]; 3] {
    [key.provider.as_str().as_bytes(), key.user.as_str().as_bytes(), key.group.as_str().as_bytes()]
}

fn key_of(row: &Row) -> Option<CredentialKey> {
    let text = |column: usize| std::str::from_utf8(row.get::<_, &[u8]>(column)).ok();
    Some(CredentialKey {
        provider: ProviderId::new(text(0)?).ok()?,
        user: UserId::new(text(1)?).ok()?,
        group: TokenGroup::new(text(2)?).ok()?,
    })
}

#[async_trait]
impl CredentialStore for PostgresStore {
    async fn get(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError> {
        let Some((sealed, version)) = self.row(key).await? else { return Ok(None) };
        let record = self.record(key);
        match self.form.decode(key, &sealed, &record) {
            // The keys that there are now are looked up where blocking is allowed.
            Err(StoreError::WrongKey { .. }) => {
                let (form, key) = (self.form.clone(), key.clone());
                let again = tokio::task::spawn_blocking(move || form.decode(&key, &sealed, &record)).await;
                let value = again.unwrap_or_else(|error| Err(StoreError::unavailable("open a credential", error)))?;
                Ok(Some(Versioned { value, version }))
            }
            read => Ok(Some(Versioned { value: read?, version })),
        }
    }

    /// A record that cannot be opened is not written over, not even with [`Expect::Any`]: its key may come back. Delete it
    /// first.
    async fn put(&self, key: &CredentialKey, credential: &Credential, expect: Expect) -> Result<Version, StoreError> {
        if expect == Expect::Any {
            self.get(key).await?;
        }
        let (sealed, version) = (self.seal(key, credential).await?, fresh_version());
        let conflict = || StoreError::Conflict { what: key.to_string() };
        let mut lost = None;
        for _ in 0..self.connections.tries() {
            match self.write(key, &sealed, version, expect).await {
                Ok(true) => return Ok(version),
                Ok(false) => return Err(conflict()),
                Err(Trouble::Refused(error)) => return Err(error),
                // Nobody else knows the version: if it is there, the write was carried out before the connection was lost.
                Err(Trouble::Lost(error)) => match self.row(key).await? {
                    Some((_, stored)) if stored == version => return Ok(version),
                    _ => lost = Some(error),
                },
            }
        }
        Err(lost.unwrap_or_else(conflict))
    }

    async fn delete(&self, key: &CredentialKey, expect: Expect) -> Result<bool, StoreError> {
        let seen = match expect {
            Expect::Any => None,
            Expect::Version(seen) => Some(seen.0.cast_signed()),
            Expect::Absent if self.row(key).await?.is_some() => {
                return Err(StoreError::Conflict { what: key.to_string() });
            }
            Expect::Absent => return Ok(false),
        };
        let notice = Notice { from: self.own, key: key.clone() }.to_string();
        let notice = notice.as_str();
        let deleted = self.connections.run(|live| async move {
            let [provider, user, group] = parts(key);
            live.client.query(&live.statements.delete_credential, &[&provider, &user, &group, &notice, &seen]).await
        });
        let deleted = !deleted.await.map_err(Trouble::into_error)?.is_empty();
        // Of two reasons why nothing was removed, what is there tells which.
        if !deleted && seen.is_some() && self.row(key).await?.is_some() {
            return Err(StoreError::Conflict { what: key.to_string() });
        }
        Ok(deleted)
    }

    fn list(&self, filter: &KeyFilter) -> BoxStream<'_, Result<CredentialKey, StoreError>> {
        let filter = filter.clone();
        // After the last key of a page comes the next page; nothing sorts before three empty names.
        let pages = stream::try_unfold(Some([const { Vec::new() }; 3]), move |after: Option<[Vec<u8>; 3]>| {
            let filter = filter.clone();
            async move {
                let Some(after) = after else { return Ok::<_, StoreError>(None) };
                let rows = self.connections.read(|live| {
                    let (filter, [provider, user, group]) = (&filter, &after);
                    async move {
                        let of_provider = filter.provider.as_ref().map(|provider| provider.as_str().as_bytes());
                        let of_user = filter.user.as_ref().map(|user| user.as_str().as_bytes());
                        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
                        let page = &live.statements.credential_page;
                        live.client.query(page, &[provider, user, group, &of_provider, &of_user, &limit]).await
                    }
                });
                let rows = rows.await?;
                let last = rows.last().filter(|_| rows.len() == PAGE);
                let next = last.map(|row| [row.get(0), row.get(1), row.get(2)]);
                let broken = || StoreError::Corrupt {
                    what: format!("a row in {}", self.connections.name()),
                    why: "its key is none".into(),
                };
                let keys: Vec<_> = rows.iter().map(|row| key_of(row).ok_or_else(broken)).collect();
                Ok(Some((stream::iter(keys), next)))
            }
        });
        Box::pin(pages.try_flatten().map(|key| key))
    }
}

#[async_trait]
impl SealedRecords for PostgresStore {
    async fn sealed_with(&self, key: &CredentialKey) -> Result<Option<Vec<KeyId>>, StoreError> {
        let Some((sealed, _)) = self.row(key).await? else { return Ok(None) };
        let ids = self.form.sealed_with(&sealed);
        if ids.is_empty() {
            Err(private::corrupt(&self.record(key), "it is no sealed credential"))
        } else {
            Ok(Some(ids))
        }
    }

    async fn rewrap(&self, key: &CredentialKey) -> Result<bool, StoreError> {
        let Some((sealed, version)) = self.row(key).await? else { return Ok(false) };
        self.keyring.look_again();
        let Some(rewrapped) = self.form.rewrap(key, &sealed, &self.record(key))? else { return Ok(false) };
        let written = self.write(key, &rewrapped, fresh_version(), Expect::Version(version)).await;
        if written.map_err(Trouble::into_error)? {
            Ok(true)
        } else {
            Err(StoreError::Conflict { what: key.to_string() })
        }
    }

    async fn settle(&self) -> Result<(), StoreError> {
        // The lock is had when every transaction that writes has ended; and is let go at once.
        let lock = "BEGIN; LOCK TABLE authchain_credentials IN SHARE MODE; COMMIT";
        self.connections.read(|live| async move { live.client.batch_execute(lock).await }).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("connections", &self.connections).finish_non_exhaustive()
    }
}
