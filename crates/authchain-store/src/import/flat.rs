//! The JSON forms of one credential: google-auth's authorized_user and its relatives, and the three forms of the format
//! bridge, bare or wrapped.

use std::path::Path;

use authchain_core::TokenGroup;
use serde_json::Value;

use super::{Flaw, draft::Draft, fields::Fields};

/// What a form is called, and what it tells.
pub(super) type Read = Result<(&'static str, Draft), (&'static str, Flaw)>;

/// Whether an object looks like a credential in one of these forms.
pub(super) fn recognizes(fields: &Fields) -> bool {
    let type_is_ours = fields.map.get("type").and_then(Value::as_str) == Some("authorized_user");
    type_is_ours
        || is_unified(fields)
        || is_wrapped(fields)
        || ["token", "access_token", "refresh_token"].iter().any(|name| fields.map.contains_key(*name))
}

fn is_unified(fields: &Fields) -> bool {
    fields.map.get("format_version").and_then(Value::as_str) == Some("unified")
        || (fields.has("tokens") && fields.has("oauth_config"))
}

fn is_wrapped(fields: &Fields) -> bool {
    fields.map.get("credentials").is_some_and(Value::is_object)
}

/// Reads an object in whichever form it is.
pub(super) fn read(fields: Fields, path: &Path) -> Read {
    if is_wrapped(&fields) {
        return wrapped(fields, path).map(|draft| ("bridge_wrapped", draft)).map_err(|flaw| ("bridge_wrapped", flaw));
    }
    if is_unified(&fields) {
        return unified(fields).map(|draft| ("bridge_unified", draft)).map_err(|flaw| ("bridge_unified", flaw));
    }
    let format = format(&fields, path);
    flat(fields).map(|draft| (format, draft)).map_err(|flaw| (format, flaw))
}

fn format(fields: &Fields, path: &Path) -> &'static str {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let named = |beginning: &str| name.starts_with(beginning);
    if fields.has("authchain") {
        "authchain"
    } else if fields.has("quota_project_id") || named("application_default_credentials") {
        "gcloud_adc"
    } else if fields.has("encrypted_at") || fields.has("saved_at") || name.ends_with("_credentials.json") {
        "earlier_plaintext"
    } else if named("fastmcp_") || (fields.has("provider") && fields.has("token_expiry")) {
        "bridge_fastmcp"
    } else if named("token_") || named("creds_") {
        "bridge_legacy"
    } else if fields.has("token") || fields.has("type") {
        "authorized_user"
    } else {
        "token_answer"
    }
}

/// One level of fields, under any of their names.
fn flat(mut fields: Fields) -> Result<Draft, Flaw> {
    let mut draft = Draft {
        access_token: fields.secret(&["token", "access_token"])?,
        refresh_token: fields.secret(&["refresh_token"])?,
        expires_at: fields.time(&["expiry", "token_expiry", "expires_at", "expiry_date"])?,
        scopes: fields.scopes(&["scopes", "scope"])?,
        token_uri: fields.text(&["token_uri"])?,
        client_id: fields.text(&["client_id"])?,
        client_secret: fields.secret(&["client_secret"])?,
        ..Draft::default()
    };
    common(&mut fields, &mut draft)?;
    fields.text(&["type", "token_type"])?;
    draft.extra.extend(fields.map);
    Ok(draft)
}

/// `tokens`, `oauth_config`, `metadata`.
fn unified(mut fields: Fields) -> Result<Draft, Flaw> {
    let missing = |name: &str| Flaw::broken(format!("{name}: it is missing"));
    let mut tokens = fields.object("tokens")?.ok_or_else(|| missing("tokens"))?;
    let mut config = fields.object("oauth_config")?.ok_or_else(|| missing("oauth_config"))?;
    fields.text(&["format_version"])?;
    let mut draft = Draft {
        access_token: tokens.secret(&["access", "access_token"])?,
        refresh_token: tokens.secret(&["refresh", "refresh_token"])?,
        expires_at: tokens.time(&["expiry", "token_expiry"])?,
        id_token: tokens.id_token_email("id_token"),
        scopes: config.scopes(&["scopes"])?,
        token_uri: config.text(&["token_uri"])?,
        client_id: config.text(&["client_id"])?,
        client_secret: config.secret(&["client_secret"])?,
        ..Draft::default()
    };
    common(&mut fields, &mut draft)?;
    for (name, rest) in [("tokens", tokens), ("oauth_config", config)] {
        if !rest.map.is_empty() {
            draft.extra.insert(name.into(), Value::Object(rest.map));
        }
    }
    draft.extra.extend(fields.map);
    Ok(draft)
}

/// `user_email`, `credentials` in one of the other forms, `metadata`.
fn wrapped(mut fields: Fields, path: &Path) -> Result<Draft, Flaw> {
    let inner = fields.object("credentials")?.ok_or_else(|| Flaw::broken("credentials: it is missing"))?;
    if is_wrapped(&inner) || !recognizes(&inner) {
        return Err(Flaw::broken("credentials: it is none of the forms of a credential"));
    }
    let (_, mut draft) = read(inner, path).map_err(|(_, flaw)| flaw)?;
    let outer = fields.email("user_email");
    match (&outer, &draft.account) {
        (Some(outer), Some(inner)) if outer != inner => {
            return Err(Flaw::broken(format!("user_email: it names {outer}, and the credential in it {inner}")));
        }
        _ => draft.account = outer.or(draft.account),
    }
    draft.extra.extend(fields.map);
    Ok(draft)
}

/// What all forms may have.
fn common(fields: &mut Fields, draft: &mut Draft) -> Result<(), Flaw> {
    if let Some(provider) = fields.text(&["provider"])?
        && provider != "google"
    {
        return Err(Flaw::new("provider: it is another one than google", "Only credentials of Google are imported"));
    }
    // A server that rewrites it must not find old words about where it was kept.
    draft.account = fields.email("user_email").or_else(|| fields.email("account"));
    draft.id_token = draft.id_token.take().or_else(|| fields.id_token_email("id_token"));
    if let Some(group) = fields.text(&["token_group"])? {
        draft.group = Some(TokenGroup::new(&group).map_err(|_| Flaw::broken("token_group: it is no plain word"))?);
    }
    Ok(())
}
