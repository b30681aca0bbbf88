//! rclone's configuration: sections of Google Drive and Google Photos, as it keeps them or as `rclone config dump` prints
//! them.

use std::collections::BTreeMap;

use authchain_core::{Email, Scopes};
use serde_json::Value;

use super::{
    Flaw,
    draft::Draft,
    fields,
    ini::{self, Section},
};

/// rclone's own client, which everyone has who did not set one up. Its secret stays with rclone.
const RCLONES_CLIENT: &str = "202264815644.apps.googleusercontent.com";
const ENCRYPTED: &str = "RCLONE_ENCRYPT_V0:";
const SCOPE_PREFIX: &str = "https://www.googleapis.com/auth/";

/// One section of the configuration.
pub(super) struct Remote {
    pub(super) name: String,
    /// The credential in it; `None` for a section of something else than Google.
    pub(super) draft: Option<Result<Draft, Flaw>>,
}

/// Whether the text is an encrypted configuration.
pub(super) fn is_encrypted(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    lines.next() == Some(ENCRYPTED)
}

/// Reads the text of a configuration; `None` if it is none.
pub(super) fn read(text: &str) -> Option<Vec<Remote>> {
    let sections = ini::parse(text)?;
    sections.iter().any(|(_, values)| values.contains_key("type")).then(|| sections.into_iter().map(remote).collect())
}

/// Reads what `rclone config dump` prints; `None` if it is something else.
pub(super) fn read_dump(dump: &serde_json::Map<String, Value>) -> Option<Vec<Remote>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let section = |(name, value): (&String, &Value)| -> Option<Section> {
        let values: Option<BTreeMap<String, String>> =
            value.as_object()?.iter().map(|(key, value)| Some((key.clone(), text(value)?))).collect();
        values.filter(|values| values.contains_key("type")).map(|values| (name.clone(), values))
    };
    let sections: Vec<Section> = dump.iter().map(section).collect::<Option<_>>()?;
    (!sections.is_empty()).then(|| sections.into_iter().map(remote).collect())
}

fn remote((name, values): Section) -> Remote {
    let kind = values.get("type").map(String::as_str);
    let draft = match kind {
        Some("drive" | "google photos") => Some(draft(&name, &values, kind == Some("drive"))),
        _ => None,
    };
    Remote { name, draft }
}

fn draft(name: &str, values: &BTreeMap<String, String>, drive: bool) -> Result<Draft, Flaw> {
    let value = |key: &str| values.get(key).filter(|value| !value.is_empty());
    if value("service_account_file").or_else(|| value("service_account_credentials")).is_some() {
        return Err(Flaw::new(
            "it uses a service account, which is nobody's sign-in",
            "Name its key file in google.application_credentials, with google.credentials = \"service_account\"",
        ));
    }
    let token = value("token").ok_or_else(|| Flaw::new("token: there is none", "Sign in: rclone config reconnect"))?;
    let mut token = fields::object(token.as_bytes()).map_err(|_| Flaw::broken("token: it is no JSON object"))?;
    let scopes = if drive {
        drive_scopes(value("scope").map_or("drive", String::as_str))
    } else if values.get("read_only").is_some_and(|value| value == "true") {
        Scopes::from("https://www.googleapis.com/auth/photoslibrary.readonly")
    } else {
        Scopes::from("https://www.googleapis.com/auth/photoslibrary")
    };
    let mut draft = Draft {
        access_token: token.secret(&["access_token"])?,
        refresh_token: token.secret(&["refresh_token"])?,
        expires_at: token.time(&["expiry"])?,
        scopes,
        token_uri: value("token_url").cloned(),
        client_id: value("client_id").cloned(),
        client_secret: value("client_secret").map(|secret| secret.as_str().into()),
        part_owner: Email::new(name).ok(),
        ..Draft::default()
    };
    token.text(&["token_type"])?;
    draft.extra.extend(token.map);
    if draft.client_id.is_none() {
        draft.client_id = Some(RCLONES_CLIENT.into());
        draft.notes.push(
            "granted to rclone's own client, which only rclone can refresh: sign in again before its access token expires"
                .into(),
        );
    }
    Ok(draft)
}

/// A comma list of short names.
fn drive_scopes(list: &str) -> Scopes {
    let full = |name: &str| match name {
        "drive.appfolder" => format!("{SCOPE_PREFIX}drive.appdata"),
        url if url.contains("://") => url.to_owned(),
        name => format!("{SCOPE_PREFIX}{name}"),
    };
    list.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty()).map(full).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_of_scopes_become_whole_ones() {
        let scopes = drive_scopes("drive.readonly, drive.appfolder");
        assert_eq!(
            scopes,
            Scopes::from(
                "https://www.googleapis.com/auth/drive.readonly https://www.googleapis.com/auth/drive.appdata"
            )
        );
    }

    #[test]
    fn an_encrypted_configuration_is_known_by_its_first_line() {
        assert!(is_encrypted("# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\nabc"));
        assert!(!is_encrypted("[drive]\n# RCLONE_ENCRYPT_V0:\ntype = drive"));
    }
}
