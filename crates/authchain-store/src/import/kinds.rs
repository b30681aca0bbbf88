//! What is near credentials and is none, or none that can be imported: known by its name or its type, and said by name.

use std::path::{Path, PathBuf};

use authchain_core::{Email, OAuthClient, StoreError};
use serde_json::Value;

use super::{
    Flaw,
    fields::{self, Fields},
    gws, sealed,
};
use crate::private;

/// gcloud's own OAuth client. Google does not let it ask for Workspace scopes.
pub(super) const GCLOUDS_CLIENT: &str = "764086051850-6qr4p6gpi6hn506pt8ejuq83di341hur.apps.googleusercontent.com";

/// The marker of the last sign-in that earlier programs leave.
const MARKER: &str = ".oauth_authentication.json";

/// What is never read, by its name: what it is called, and why.
pub(super) fn passed_by_name(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        sealed::KEY_FILE | gws::KEY_FILE => ("key_file", "a key: it opens the sealed files beside it"),
        MARKER => ("last_sign_in", "who signed in last: a hint, and no credential"),
        "oauth_states.json" => ("oauth_states", "sign-ins under way: no credential"),
        "migration_log.json" => ("migration_log", "a log of migrations: no credential"),
        ".user_api_keys.json" | ".user_api_key_links.json" | ".oauth_linkage_prefs.json" => {
            ("earlier_settings", "settings of an earlier server: no credential of Google")
        }
        ".auth_keys_in_desktop_keyring" | "state.db" | "state.db-wal" | "state.db-shm" | ".lock" => {
            ("authchain_state", "authchain's own state")
        }
        _ if name.ends_with("_chat_sa.enc") => {
            ("earlier_settings", "a service account of an earlier server's chat app")
        }
        _ if name.ends_with("_sampling_config.enc") => ("earlier_settings", "settings of an earlier server"),
        _ if name.starts_with(".authchain-") && name.ends_with(".tmp") => {
            ("half_written", "a file that somebody is writing, or was when it was killed")
        }
        _ => return None,
    })
}

/// What is known by its name and refused: what it is called, and why.
pub(super) fn refused_by_name(path: &Path) -> Option<(&'static str, Flaw)> {
    let name = path.file_name()?.to_str()?;
    let inside =
        |folder: &str| path.parent().is_some_and(|dir| dir.components().any(|part| part.as_os_str() == folder));
    let foreign = || {
        Flaw::new(
            "tokens of other servers for another client: they are of no use here, and not ours to take",
            "Sign in with that client again where it is needed",
        )
    };
    match name {
        "credentials.db" | "access_tokens.db" => Some(("gcloud_accounts", gclouds_own())),
        "oauth.json" if inside(".mcp-inspector") => Some(("inspector_tokens", foreign())),
        ".credentials.json" if inside(".claude") => Some(("claude_code_tokens", foreign())),
        _ if inside(".mcp-auth") => Some(("mcp_remote_tokens", foreign())),
        _ if name.ends_with(".pickle") || name.ends_with(".pkl") => Some(("pickle", pickle(path))),
        _ => None,
    }
}

pub(super) fn gclouds_own() -> Flaw {
    Flaw::new(
        "gcloud's own accounts: their tokens are bound to gcloud's client, which Google gives no Workspace scopes",
        "Sign in with your own client: authchain login; or import application_default_credentials.json",
    )
}

/// Reading a pickle runs whatever code is in it.
pub(super) fn pickle(path: &Path) -> Flaw {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Flaw::new(
        "a Python pickle: reading one runs the code in it, so it is never opened",
        format!(
            "If you trust the file, turn it into token.json with Python, and import that:\n\
             \x20   import pickle\n\
             \x20   credentials = pickle.load(open({name:?}, \"rb\"))\n\
             \x20   open(\"token.json\", \"w\").write(credentials.to_json())"
        ),
    )
}

/// Objects that say by their type or their fields that they are something else.
pub(super) fn other_object(fields: &Fields) -> Option<(&'static str, Result<&'static str, Flaw>)> {
    if fields.has("installed") || fields.has("web") {
        return Some(("client_secrets", Ok("an OAuth client, no credential: --client-secrets takes it")));
    }
    if fields.has("authenticated_email") && !fields.has("token") && !fields.has("refresh_token") {
        return Some(("last_sign_in", Ok("who signed in last: a hint, and no credential")));
    }
    if fields.has("claudeAiOauth") || fields.has("mcpOAuth") {
        let why = "tokens of other servers for another client: they are of no use here, and not ours to take";
        return Some(("claude_code_tokens", Err(Flaw::new(why, "Sign in with that client again where it is needed"))));
    }
    let (format, why, fix) = match fields.map.get("type").and_then(Value::as_str)? {
        "authorized_user" => return None,
        "service_account" => (
            "service_account",
            "a service account's key is no person's sign-in, and is used as the file that it is",
            "Set google.credentials = \"service_account\" and google.application_credentials to this file",
        ),
        "external_account" => (
            "external_account",
            "workload identity federation: it holds no credential, only where to fetch one",
            "Sign in as a person (authchain login), or use a service account's key",
        ),
        "external_account_authorized_user" => (
            "external_account_authorized_user",
            "workforce identity federation: Google gives such identities no Workspace data",
            "Sign in with a Google account: authchain login",
        ),
        "impersonated_service_account" => (
            "impersonated_service_account",
            "it impersonates a service account, which is nobody's sign-in",
            "Use a service account's key with domain-wide delegation, or sign in: authchain login",
        ),
        "gdch_service_account" => (
            "gdch_service_account",
            "a service account of Google Distributed Cloud, which has no Workspace",
            "Sign in with a Google account: authchain login",
        ),
        _ => return Some(("unknown", Err(Flaw::broken("type: none that is known here")))),
    };
    Some((format, Err(Flaw::new(why, fix))))
}

/// Reads Google's `client_secret.json`: exactly one of `installed` and `web`.
///
/// # Errors
/// [`StoreError`] when it cannot be read or is something else.
pub fn client_secrets(path: &Path) -> Result<OAuthClient, StoreError> {
    let bytes = std::fs::read(path).map_err(|e| private::unavailable("read", path, e))?;
    client(&bytes).map_err(|flaw| private::corrupt(path, flaw.why))
}

pub(super) fn client(bytes: &[u8]) -> Result<OAuthClient, Flaw> {
    let mut fields = fields::object(bytes)?;
    let one_of = || Flaw::broken("it is not Google's client_secret.json: one key, `installed` or `web`");
    let mut client = match (fields.object("installed")?, fields.object("web")?) {
        (Some(client), None) | (None, Some(client)) => client,
        _ => return Err(one_of()),
    };
    let id = client.text(&["client_id"])?.ok_or_else(|| Flaw::broken("client_id: it is missing"))?;
    Ok(OAuthClient { id, secret: client.secret(&["client_secret"])? })
}

/// The only OAuth client whose file lies beside this one.
pub(super) fn client_beside(path: &Path) -> Option<(OAuthClient, PathBuf)> {
    let mut found = None;
    for entry in std::fs::read_dir(path.parent()?).ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !(name.starts_with("client_secret") && name.ends_with(".json")) {
            continue;
        }
        let Ok(client) = client(&std::fs::read(entry.path()).ok()?) else { continue };
        // Of two clients nobody knows which.
        if found.replace((client, entry.path())).is_some() {
            return None;
        }
    }
    found
}

/// Who signed in last, as the marker in the same folder has it.
pub(super) fn last_sign_in(path: &Path) -> Option<Email> {
    let marker = fields::object(&std::fs::read(path.parent()?.join(MARKER)).ok()?).ok()?;
    Email::new(marker.map.get("authenticated_email")?.as_str()?).ok()
}
