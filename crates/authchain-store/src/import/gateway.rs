//! The database of a central gateway: a table with one row for each account and provider, whose tokens are Fernet under a
//! key that is made of a secret and a salt. It is read, and nothing is written to it.

use std::path::PathBuf;

use authchain_core::{Email, Secret, StoreError, Timestamp};
use authchain_trust::Trust;
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE};
use fernet::Fernet;
use serde_json::Value;
use tokio_postgres::Row;
use zeroize::Zeroizing;

use super::{Finding, Flaw, Means, Verdict, draft::Draft, fields::Fields};
use crate::postgres;

const END_OF_TIME: u64 = u64::MAX - 60;

const ROWS: &str = "SELECT profile_id, provider_id, access_token, refresh_token,
                           floor(extract(epoch FROM token_expiry))::bigint, scopes::text
                    FROM oauth_credentials ORDER BY profile_id, provider_id";

/// What opens the tokens of a gateway.
pub struct GatewayKeys(Vec<Fernet>);

impl GatewayKeys {
    /// Makes the keys of the gateway's encryption key, and of those that it rotated away from, with its salt.
    pub fn new(secrets: &[Secret], salt: &Secret) -> Self {
        let key = |secret: &Secret| {
            let salted = Zeroizing::new([secret.expose(), salt.expose()].concat());
            Fernet::new(&URL_SAFE.encode(digest::digest(&digest::SHA256, salted.as_bytes())))
        };
        Self(secrets.iter().filter_map(key).collect())
    }

    fn open(&self, column: &str, token: &str) -> Result<Secret, Flaw> {
        let opened = self.0.iter().find_map(|key| key.decrypt_at_time(token, None, END_OF_TIME).ok());
        let opened = opened.map(Zeroizing::new).ok_or_else(|| {
            let why = format!("{column}: it does not open with the keys that were given, or it was changed");
            Flaw::new(
                why,
                "Set AUTH_GATEWAY_ENCRYPTION_KEY, …_KEY_SALT and AUTH_GATEWAY_ROTATION_KEYS as the gateway has them",
            )
        })?;
        let text = std::str::from_utf8(&opened).map_err(|_| Flaw::broken(format!("{column}: it is no text")))?;
        Ok(Secret::from(text))
    }
}

/// Looks at every row of a gateway's database.
///
/// # Errors
/// [`StoreError::Unsupported`] for a URL that is none, [`StoreError::Unavailable`] when the database cannot be reached or
/// has no such table.
pub async fn look_in_gateway(
    url: &Secret,
    keys: &GatewayKeys,
    means: &Means,
    trust: &Trust,
) -> Result<Vec<Finding>, StoreError> {
    let (name, rows) = postgres::rows_of(url, ROWS, trust).await?;
    let finding = |row: &Row| {
        let text = |column: usize| row.try_get::<_, Option<String>>(column).ok().flatten();
        let (profile, provider) = (text(0).unwrap_or_default(), text(1).unwrap_or_default());
        let path = PathBuf::from(&name);
        let verdict = match draft(row, &profile, &provider, keys).and_then(|draft| draft.finish(&path, means)) {
            Ok(found) => Verdict::Credential(Box::new(found)),
            Err(flaw) => flaw.into(),
        };
        Finding { path, part: Some(format!("{profile} at {provider}")), format: "gateway_row", verdict }
    };
    Ok(rows.iter().map(finding).collect())
}

fn draft(row: &Row, profile: &str, provider: &str, keys: &GatewayKeys) -> Result<Draft, Flaw> {
    if provider != "google" {
        return Err(Flaw::new("provider_id: it is another one than google", "Only credentials of Google are imported"));
    }
    let wrong = |column: &str| Flaw::broken(format!("{column}: it is of another type than a gateway's"));
    let text = |index: usize, name: &str| row.try_get::<_, Option<String>>(index).map_err(|_| wrong(name));
    let token = |index, name| text(index, name)?.map(|token| keys.open(name, &token)).transpose();
    let scopes = text(5, "scopes")?.map(|json| serde_json::from_str(&json).map_err(|_| wrong("scopes"))).transpose()?;
    let mut fields = Fields::new([("scopes".to_owned(), scopes.unwrap_or(Value::Null))].into_iter().collect());
    let mut draft = Draft {
        access_token: token(2, "access_token")?,
        refresh_token: token(3, "refresh_token")?,
        expires_at: row.try_get::<_, Option<i64>>(4).map_err(|_| wrong("token_expiry"))?.map(Timestamp),
        scopes: fields.scopes(&["scopes"])?,
        account: Some(Email::new(profile).map_err(|_| Flaw::broken("profile_id: it is no address"))?),
        ..Draft::default()
    };
    draft.notes.push(
        "the gateway filed it under the address that was asked for, whoever signed in; and noted the scopes that it asks \
         for, whatever was granted: look at it after the first refresh"
            .into(),
    );
    Ok(draft)
}

impl std::fmt::Debug for GatewayKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GatewayKeys({})", self.0.len())
    }
}
