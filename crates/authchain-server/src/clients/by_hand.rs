//! Clients that a person makes, for programs that cannot register themselves: what comes out is pasted there.

use std::time::Duration;

use authchain::core::{ClientId, Expect, Secret, StateKey, StateStore, StoreError, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    CLIENT, Changes, Metadata,
    credentials::secret_of,
    ids::{self, Registration},
    life,
    registration::too_long,
};
use crate::{
    ServerOptions,
    errors::OAuthError,
    keys::{Keys, base64url, hashed, random},
    token::grant,
};

/// What a person says of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewClient {
    /// What people read on the consent page.
    pub name: String,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// Whether it can keep a secret; otherwise it is public.
    pub confidential: bool,
    /// Whether it may ask from a device without a browser (RFC 8628).
    pub device_code: bool,
}

/// A client that was made: what to paste into the program.
#[derive(Clone, Debug, Serialize)]
pub struct MadeClient {
    /// The client id.
    pub client_id: ClientId,
    /// Its secret, shown this once.
    #[serde(skip)]
    pub client_secret: Option<Secret>,
    /// What people read on the consent page.
    pub client_name: String,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// The MCP endpoint.
    pub mcp_url: String,
    /// The authorization endpoint.
    pub authorize_url: String,
    /// The token endpoint.
    pub token_url: String,
    /// When it ends unless it is used.
    pub expires_at: Timestamp,
}

/// Makes a client. It is written down, so that an operator sees it before its first use.
///
/// # Errors
/// As for a registration (RFC 7591, section 3.2.2); 503 where it cannot be written down.
pub(crate) async fn make(
    new: &NewClient,
    options: &ServerOptions,
    keys: &Keys,
    state: &dyn StateStore,
    now: Timestamp,
) -> Result<MadeClient, OAuthError> {
    let metadata = Metadata::read(&body(new), options)?;
    let salt = Some(base64url(random::<12>()?));
    let registration = Registration { metadata, issued_at: now, salt, by_hand: true };
    let id = ids::seal(&keys.client_ids, &registration)?.ok_or_else(too_long)?;
    let metadata = registration.metadata;
    let life = life(&metadata, true, options);
    write(state, &id, &Changes::default(), options).await?;
    let at = |path: &str| format!("{}{path}", options.issuer());
    Ok(MadeClient {
        client_secret: metadata.has_secret().then(|| secret_of(&keys.client_secrets, &id)),
        client_id: id,
        client_name: metadata.name().into(),
        redirect_uris: metadata.redirect_uris,
        mcp_url: options.audience(),
        authorize_url: at(&options.paths.authorize),
        token_url: at(&options.paths.token),
        expires_at: now + life,
    })
}

/// The registration that a program would have sent.
fn body(new: &NewClient) -> Map<String, Value> {
    let mut grant_types = vec!["authorization_code", "refresh_token"];
    if new.device_code {
        grant_types.push(grant::DEVICE_CODE);
    }
    let method = if new.confidential { "client_secret_basic" } else { "none" };
    let body = json!({
        "client_name": new.name,
        "redirect_uris": new.redirect_uris,
        "grant_types": grant_types,
        "token_endpoint_auth_method": method,
    });
    match body {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Writes the first record of a client.
async fn write(
    state: &dyn StateStore,
    id: &ClientId,
    changes: &Changes,
    options: &ServerOptions,
) -> Result<(), StoreError> {
    let changes = Changes { id: Some(id.clone()), ..changes.clone() };
    let record = serde_json::to_vec(&changes).map_err(|e| StoreError::Unsupported(e.to_string()))?;
    let life: Duration = options.client_life.max(options.client_secret_life);
    state.put(&StateKey::new(CLIENT, hashed(id.as_str())), &record, life, Expect::Absent).await.map(drop)
}
