//! The token cache of yup-oauth2: a list with one entry for each set of scopes.

use serde_json::Value;

use super::{Flaw, draft::Draft, fields::Fields};

/// Whether a list looks like such a cache.
pub(super) fn recognizes(list: &[Value]) -> bool {
    !list.is_empty() && list.iter().all(|entry| entry.get("scopes").is_some() && entry.get("token").is_some())
}

/// The entries, each on its own: they may be of several people.
pub(super) fn read(list: Vec<Value>) -> Vec<Result<Draft, Flaw>> {
    list.into_iter().map(entry).collect()
}

fn entry(entry: Value) -> Result<Draft, Flaw> {
    let Value::Object(map) = entry else { return Err(Flaw::broken("an entry is no object")) };
    let mut fields = Fields::new(map);
    let mut token = fields.object("token")?.ok_or_else(|| Flaw::broken("token: it is missing"))?;
    let mut draft = Draft {
        scopes: fields.scopes(&["scopes"])?,
        access_token: token.secret(&["access_token"])?,
        refresh_token: token.secret(&["refresh_token"])?,
        expires_at: token.time(&["expires_at"])?,
        id_token: token.id_token_email("id_token"),
        ..Draft::default()
    };
    draft.extra.extend(token.map);
    draft.extra.extend(fields.map);
    Ok(draft)
}
