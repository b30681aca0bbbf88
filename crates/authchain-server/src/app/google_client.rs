//! The OAuth client at Google: from the configuration's two values, or from the file that Google's console offers.

use std::path::Path;

use authchain::core::{OAuthClient, Secret};
use serde::Deserialize;

use crate::config::{Config, ConfigError, CredentialKind, GoogleSection};

/// `client_secret.json`: exactly one of the two keys.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SecretsFile {
    Installed(Client),
    Web(Client),
}

#[derive(Deserialize)]
struct Client {
    client_id: String,
    client_secret: Option<Secret>,
}

/// Whether people sign in through Google: they have to, unless tools reach it with another credential and no client is
/// configured.
pub(super) fn people_sign_in(config: &Config) -> bool {
    let section = &config.providers.google;
    let configured = section.client_id.is_some() || section.client_secrets_file.is_some();
    configured || config.google.credentials == CredentialKind::Users
}

/// The client that they sign in through.
pub(super) fn sign_in_client(config: &Config) -> Result<Option<OAuthClient>, ConfigError> {
    people_sign_in(config).then(|| google_client(&config.providers.google)).transpose()
}

/// The client that people sign in through.
///
/// # Errors
/// [`ConfigError`] when neither is configured, or the file is none of Google's.
pub fn google_client(section: &GoogleSection) -> Result<OAuthClient, ConfigError> {
    if let Some(id) = &section.client_id {
        return Ok(OAuthClient { id: id.clone(), secret: section.client_secret.clone() });
    }
    match &section.client_secrets_file {
        Some(file) => read(file),
        None => Err(ConfigError {
            key: Some("providers.google.client_id".into()),
            origin: None,
            why: "it is not set. Set AUTHCHAIN__PROVIDERS__GOOGLE__CLIENT_ID and __CLIENT_SECRET (GOOGLE_CLIENT_ID and \
                  GOOGLE_CLIENT_SECRET are read too), or __CLIENT_SECRETS_FILE to the JSON file of an OAuth client from \
                  https://console.cloud.google.com/apis/credentials; `authchain demo` needs none of it"
                .into(),
        }),
    }
}

fn read(file: &Path) -> Result<OAuthClient, ConfigError> {
    let wrong = |why: String| ConfigError {
        key: Some("providers.google.client_secrets_file".into()),
        origin: Some(file.display().to_string()),
        why,
    };
    let text = std::fs::read_to_string(file).map_err(|e| wrong(format!("it cannot be read: {e}")))?;
    // serde's message is left out: it could quote what is in the file.
    let parsed: SecretsFile = serde_json::from_str(&text).map_err(|_| {
        wrong("it is not Google's client_secret.json: one key `installed` or `web` with a `client_id`".into())
    })?;
    let (SecretsFile::Installed(client) | SecretsFile::Web(client)) = parsed;
    Ok(OAuthClient { id: client.client_id, secret: client.client_secret })
}
