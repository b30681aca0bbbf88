//! A credential as JSON in google-auth's authorized_user form, which Python reads and writes, with what only authchain
//! knows in a field of its own.
//!
//! Reading is strict: a field of another type than it should have is an error that names the field, and never shows
//! what is in it.

use std::path::Path;

use authchain_core::{
    Credential, CredentialKey, CredentialStatus, Email, OAuthClient, Scopes, Secret, StoreError, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::private::corrupt;

/// Where google-auth refreshes whatever the file says.
const GOOGLE_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// The first second that Python can tell, and nearly the last one. What expires later never does.
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_207_200;

/// What a file in this form holds.
#[derive(Debug)]
pub(crate) struct AuthorizedUser {
    /// The credential.
    pub(crate) credential: Credential,
    /// Whose it is, if authchain wrote the file.
    pub(crate) key: Option<CredentialKey>,
    /// Whose it is, if another program said so.
    pub(crate) owner: Option<Email>,
}

/// What authchain keeps beside the fields that google-auth knows.
#[derive(Serialize, Deserialize)]
struct Own {
    #[serde(flatten)]
    key: CredentialKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(flatten)]
    status: CredentialStatus,
    granted_at: Timestamp,
    /// Random, so that no two writes leave the same bytes: versions are hashes of them.
    write: String,
}

/// The whole file, in the order it is written.
#[derive(Serialize)]
struct File<'a> {
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    token: Option<&'a str>,
    refresh_token: Option<&'a str>,
    token_uri: &'a str,
    client_id: &'a str,
    client_secret: Option<&'a str>,
    scopes: Vec<&'a str>,
    expiry: Option<String>,
    authchain: Own,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

const FIELDS: [&str; 10] = [
    "type",
    "account",
    "token",
    "refresh_token",
    "token_uri",
    "client_id",
    "client_secret",
    "scopes",
    "expiry",
    "authchain",
];

/// Writes a credential.
pub(crate) fn write(key: &CredentialKey, credential: &Credential) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mut extra = credential.extra.clone();
    extra.retain(|field, _| !is_ours(field, credential.email.as_ref()));
    let file = File {
        r#type: "authorized_user",
        account: credential.email.as_ref().map(Email::as_str),
        token: credential.access_token.as_ref().map(Secret::expose),
        refresh_token: credential.refresh_token.as_ref().map(Secret::expose),
        token_uri: &credential.token_uri,
        client_id: &credential.client.id,
        client_secret: credential.client.secret.as_ref().map(Secret::expose),
        scopes: credential.scopes.iter().collect(),
        expiry: credential.expires_at.map(write_time),
        authchain: Own {
            key: key.clone(),
            subject: credential.subject.clone(),
            status: credential.status.clone(),
            granted_at: credential.granted_at,
            write: format!("{:016x}", crate::fresh_version().0),
        },
        extra,
    };
    // Large enough for what providers issue: a buffer that grows leaves copies behind that nobody wipes.
    let mut json = Zeroizing::new(Vec::with_capacity(16 << 10));
    serde_json::to_writer(&mut *json, &file)
        .map_err(|e| StoreError::Unsupported(format!("a credential in JSON: {e}")))?;
    Ok(json)
}

/// Whether a field is one of those above, so that another program's of the same name goes. What stands in `account` and is
/// no address is left to those who wrote it.
fn is_ours(field: &str, email: Option<&Email>) -> bool {
    FIELDS.contains(&field) && (field != "account" || email.is_some())
}

/// A credential of another program as it is once it was written and read: so that whoever compares the two finds the same.
pub(crate) fn as_stored(mut credential: Credential) -> Credential {
    let email = credential.email.as_ref();
    // An address in `account` would be taken for the owner's.
    credential.extra.retain(|field, value| {
        !is_ours(field, email) && (field != "account" || value.as_str().is_none_or(|text| Email::new(text).is_err()))
    });
    credential.expires_at = credential.expires_at.map(|at| in_range(at.0));
    credential
}

/// What lies outside of the time that Python can tell is at its beginning, or never comes.
fn in_range(seconds: i64) -> Timestamp {
    if seconds >= LAST_SECOND { Timestamp::NEVER } else { Timestamp(seconds.max(FIRST_SECOND)) }
}

/// Reads a credential; `path` is named in errors.
pub(crate) fn read(json: &[u8], path: &Path) -> Result<AuthorizedUser, StoreError> {
    let mut fields = Fields {
        // The words of serde_json's errors may quote the content: only the place is told.
        map: serde_json::from_slice(json)
            .map_err(|e| corrupt(path, format!("it is no JSON object (line {}, column {})", e.line(), e.column())))?,
        path,
    };
    match fields.text("type")?.as_deref() {
        None | Some("authorized_user") => {}
        Some(_) => return Err(fields.wrong("type", "the only type that is read here is authorized_user")),
    }
    let own = match fields.map.remove("authchain") {
        None => None,
        Some(own) => Some(Own::deserialize(own).map_err(|e| fields.wrong("authchain", &e.to_string()))?),
    };
    let mut credential = Credential {
        email: None,
        subject: None,
        access_token: fields.text("token")?.map(Secret::from),
        expires_at: fields.time("expiry")?,
        refresh_token: fields.text("refresh_token")?.map(Secret::from),
        scopes: fields.scopes()?,
        token_uri: fields.text("token_uri")?.unwrap_or_else(|| GOOGLE_TOKEN_URI.to_owned()),
        client: OAuthClient {
            id: fields.text("client_id")?.unwrap_or_default(),
            secret: fields.text("client_secret")?.map(Secret::from),
        },
        status: CredentialStatus::Active,
        granted_at: Timestamp(0),
        extra: Map::new(),
    };
    // Other programs put the address into one of these; what is no address is left to them.
    let email =
        |map: &Map<_, Value>, field| map.get(field).and_then(Value::as_str).and_then(|text| Email::new(text).ok());
    credential.email = email(&fields.map, "account");
    if credential.email.is_some() {
        fields.map.remove("account");
    }
    let owner = email(&fields.map, "user_email").or_else(|| credential.email.clone());
    credential.extra = fields.map;
    let key = own.map(|own| {
        credential.subject = own.subject;
        credential.status = own.status;
        credential.granted_at = own.granted_at;
        own.key
    });
    Ok(AuthorizedUser { credential, key, owner })
}

/// The fields of a file, taken out one by one; what is left belongs to other programs.
struct Fields<'a> {
    map: Map<String, Value>,
    path: &'a Path,
}

impl Fields<'_> {
    fn wrong(&self, field: &str, why: &str) -> StoreError {
        corrupt(self.path, format!("{field}: {why}"))
    }

    /// A string; null and the empty string count as none, as they do in Python.
    fn text(&mut self, field: &str) -> Result<Option<String>, StoreError> {
        match self.map.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong(field, "it is no string")),
        }
    }

    /// A list of strings, or one string with spaces.
    fn scopes(&mut self) -> Result<Scopes, StoreError> {
        match self.map.remove("scopes") {
            None | Some(Value::Null) => Ok(Scopes::none()),
            Some(Value::String(text)) => Ok(text.as_str().into()),
            Some(Value::Array(list)) => match list.iter().map(Value::as_str).collect::<Option<Scopes>>() {
                Some(scopes) => Ok(scopes),
                None => Err(self.wrong("scopes", "it is no list of strings")),
            },
            Some(_) => Err(self.wrong("scopes", "it is no list of strings")),
        }
    }

    /// ISO 8601; without a zone it is UTC.
    fn time(&mut self, field: &str) -> Result<Option<Timestamp>, StoreError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let zoned = text.parse::<jiff::Timestamp>();
        let naive = || text.strip_suffix(['Z', 'z']).unwrap_or(&text).parse::<jiff::civil::DateTime>();
        let seconds = match zoned {
            Ok(time) => time.as_second(),
            // The last hours of the year 9999, which some programs write for "never", are too late for jiff.
            Err(_) => match naive().map(|time| time.to_zoned(jiff::tz::TimeZone::UTC)) {
                Ok(utc) => utc.map_or(LAST_SECOND, |utc| utc.timestamp().as_second()),
                Err(_) => return Err(self.wrong(field, "it is no time in ISO 8601")),
            },
        };
        Ok(Some(in_range(seconds)))
    }
}

/// Whole seconds with `Z`, since google-auth cannot read an offset.
pub(crate) fn write_time(time: Timestamp) -> String {
    let seconds = time.0.clamp(FIRST_SECOND, LAST_SECOND);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
