//! A credential in words and in JSON, without its secrets.

use std::time::{Duration, UNIX_EPOCH};

use authchain::core::{Credential, CredentialKey, CredentialStatus, Timestamp};
use serde_json::{Map, Value, json};

/// A moment as people write it; `never` where there is no end.
pub(super) fn moment(time: Timestamp) -> String {
    match u64::try_from(time.0) {
        Ok(seconds) if time != Timestamp::NEVER && seconds < 253_402_300_800 => {
            humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
        }
        Ok(_) => "never".into(),
        Err(_) => "long ago".into(),
    }
}

/// Whether it can be used, in one word for programs.
pub(super) fn state(credential: &Credential, now: Timestamp) -> &'static str {
    let valid = credential.usable_access_token(now, Duration::ZERO).is_some();
    match &credential.status {
        CredentialStatus::NeedsSignIn { .. } => "needs_sign_in",
        CredentialStatus::Active if valid => "valid",
        CredentialStatus::Active if credential.refresh_token.is_some() => "refreshable",
        CredentialStatus::Active => "expired",
    }
}

/// The same for people.
pub(super) fn state_in_words(credential: &Credential, now: Timestamp) -> String {
    match (&credential.status, state(credential, now)) {
        (CredentialStatus::NeedsSignIn { reason, .. }, _) => format!("has to sign in again ({reason})"),
        (_, "valid") => format!("valid until {}", credential.expires_at.map(moment).unwrap_or_default()),
        (_, "refreshable") => "is refreshed at its next use".into(),
        _ => "expired, and cannot be refreshed".into(),
    }
}

/// The fields that say which credential it is.
pub(super) fn identity(key: &CredentialKey) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("account".into(), json!(key.user));
    fields.insert("provider".into(), json!(key.provider));
    fields.insert("group".into(), json!(key.group));
    fields
}

/// All that is known of a credential, without a secret. Fields of other programs are named, and their values are not: one of
/// them may be a token.
pub(super) fn described(key: &CredentialKey, credential: &Credential, now: Timestamp) -> Value {
    let mut fields = identity(key);
    let (since, reason) = match &credential.status {
        CredentialStatus::NeedsSignIn { since, reason } => (Some(since.0), Some(reason)),
        CredentialStatus::Active => (None, None),
    };
    let granted_at = Some(credential.granted_at).filter(|time| time.0 > 0);
    let Value::Object(rest) = json!({
        "status": state(credential, now),
        "needs_sign_in_since": since,
        "needs_sign_in_reason": reason,
        "email": credential.email,
        "subject": credential.subject,
        "has_access_token": credential.access_token.is_some(),
        "expires_at": credential.expires_at.map(moment),
        "has_refresh_token": credential.refresh_token.is_some(),
        "scopes": credential.scopes.iter().collect::<Vec<_>>(),
        "client_id": credential.client.id,
        "has_client_secret": credential.client.secret.is_some(),
        "token_uri": credential.token_uri,
        "granted_at": granted_at.map(moment),
        "other_fields": credential.extra.keys().collect::<Vec<_>>(),
    }) else {
        return Value::Object(fields);
    };
    fields.extend(rest);
    Value::Object(fields)
}
