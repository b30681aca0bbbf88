//! Dynamic registration (RFC 7591) and its management (RFC 7592).
//!
//! Registering writes nothing: the id carries all of it. Equal metadata from clients without a secret within ten minutes is one
//! client, so that a program that starts five processes does not become five.

use std::sync::Arc;

use authchain::core::{ClientId, Scopes, Secret, StoreError, Timestamp};
use axum::{
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use serde_json::{Map, Value, json};

use super::{
    Changes, Client, Kind, Metadata, NoClient,
    credentials::secret_of,
    ids::{self, Registration},
    keys::ClientKeys,
    metadata::{bad_metadata, registered_scope},
};
use crate::{
    audit::{Event, What},
    errors::{OAuthError, json as json_response},
    keys::{base64url, from_base64url, random},
    server::Shared,
};

/// Registrations of clients without a secret are dated to this many seconds.
const WINDOW: i64 = 600;

/// `POST /oauth/register`.
pub(crate) async fn register(State(server): State<Arc<Shared>>, body: Bytes) -> Result<Response, OAuthError> {
    let body = parse(&body)?;
    let metadata = Metadata::read(&body, &server.options)?;
    let scope = registered_scope(&body, &server.options)?;
    let now = server.parts.clock.now();
    let salted = |metadata| -> Result<Registration, OAuthError> {
        Ok(Registration { metadata, issued_at: now, salt: Some(base64url(random::<12>()?)), by_hand: false })
    };
    let seal = |registration: &Registration| -> Result<ClientId, OAuthError> {
        ids::seal(&server.keys.client_ids, registration)?.ok_or_else(too_long)
    };
    let (registration, id) = if !metadata.has_secret() {
        let shared = Registration {
            metadata,
            issued_at: Timestamp(now.0 - now.0.rem_euclid(WINDOW)),
            salt: None,
            by_hand: false,
        };
        let id = seal(&shared)?;
        match Client::find(&server, id.as_str()).await {
            Ok(client) if client.metadata == shared.metadata => (shared, id),
            Err(NoClient::Failed(error)) => return Err(error.into()),
            // Somebody has changed or deleted the client that would be shared: this one gets an id of its own.
            _ => {
                let own = salted(shared.metadata)?;
                let id = seal(&own)?;
                (own, id)
            }
        }
    } else {
        let own = salted(metadata)?;
        let id = seal(&own)?;
        (own, id)
    };
    let client = Client {
        id,
        metadata: registration.metadata,
        issued_at: registration.issued_at,
        kind: Kind::Issued { by_hand: false },
        changes: Changes::default(),
        version: None,
    };
    Event::new(What::Registered).client(&client).allowed();
    Ok(json_response(StatusCode::CREATED, &answer(&server, &client, &scope)))
}

/// `GET /oauth/register/{client_id}`.
pub(crate) async fn read(
    State(server): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, OAuthError> {
    let client = managed(&server, &id, &headers).await?;
    let changes = Changes { managed: Some(server.parts.clock.now()), ..client.changes_to_keep() };
    client.write(&server, &changes).await.or_else(ignore_conflict)?;
    Ok(json_response(StatusCode::OK, &answer(&server, &client, &server.options.default_scopes)))
}

/// `PUT /oauth/register/{client_id}`: the new metadata takes the place of the old as a whole; the id stays.
pub(crate) async fn update(
    State(server): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    let mut client = managed(&server, &id, &headers).await?;
    let body = parse(&body)?;
    if body.get("client_id").is_some_and(|named| named.as_str() != Some(&id)) {
        return Err(OAuthError::invalid_request("client_id in the body is not the one in the address"));
    }
    // RFC 7592, section 2.2: a client may repeat its secret, and may not choose one.
    if let Some(repeated) = body.get("client_secret") {
        let own = secret_of(&server.keys.client_secrets, &client.id);
        let same = repeated.as_str().is_some_and(|text| client.metadata.has_secret() && Secret::new(text) == own);
        if !same {
            return Err(OAuthError::invalid_request("client_secret in the body is not the client's"));
        }
    }
    let metadata = Metadata::read(&body, &server.options)?;
    if proof(&metadata) != proof(&client.metadata) {
        return Err(bad_metadata(
            "a client cannot change how it proves itself, but between basic and post: register a new one",
        ));
    }
    let scope = registered_scope(&body, &server.options)?;
    let changes =
        Changes { managed: Some(server.parts.clock.now()), metadata: Some(metadata.clone()), ..client.changes.clone() };
    client.write(&server, &changes).await?;
    client.metadata = metadata;
    Event::new(What::RegistrationUpdated).client(&client).allowed();
    Ok(json_response(StatusCode::OK, &answer(&server, &client, &scope)))
}

/// `DELETE /oauth/register/{client_id}`: the id is dead from now on, and with it every refresh token of the client.
pub(crate) async fn delete(
    State(server): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, OAuthError> {
    let client = managed(&server, &id, &headers).await?;
    client.write(&server, &Changes { deleted: true, ..Changes::default() }).await?;
    Event::new(What::RegistrationDeleted).client(&client).allowed();
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn ignore_conflict(error: StoreError) -> Result<(), StoreError> {
    if matches!(error, StoreError::Conflict { .. }) { Ok(()) } else { Err(error) }
}

/// The client that a registration access token is for. Whatever is wrong, the answer is the same 401 (RFC 7592, section 2.1).
async fn managed(server: &Shared, id: &str, headers: &HeaderMap) -> Result<Client, OAuthError> {
    let refused = || {
        Event::new(What::ClientAuthentication).refused("registration access token");
        OAuthError::invalid_token("the registration access token is not valid")
    };
    let presented = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, token)| from_base64url(token.trim()))
        .filter(|tag| tag.len() == 32)
        .ok_or_else(refused)?;
    if !server.keys.registrations.recognises(&[id.as_bytes()], &presented) {
        return Err(refused());
    }
    let client = match Client::find(server, id).await {
        Ok(client) if matches!(client.kind, Kind::Issued { .. }) => client,
        Err(NoClient::Failed(error)) => return Err(error.into()),
        _ => return Err(refused()),
    };
    let used = client.changes.managed.unwrap_or(client.issued_at).max(client.issued_at);
    let alive = server.parts.clock.now() <= used + server.options.client_secret_life;
    if alive { Ok(client) } else { Err(refused()) }
}

/// What kind of proof a client gives: none, a secret, a signature.
fn proof(metadata: &Metadata) -> (bool, bool) {
    (metadata.is_public(), metadata.has_secret())
}

fn registration_token(server: &Shared, id: &ClientId) -> Secret {
    Secret::new(base64url(server.keys.registrations.tag(&[id.as_str().as_bytes()])))
}

pub(super) fn too_long() -> OAuthError {
    bad_metadata("the redirect URIs are too long together: at most about 2900 characters")
}

fn parse(body: &[u8]) -> Result<Map<String, Value>, OAuthError> {
    serde_json::from_slice(body).map_err(|_| bad_metadata("the body is not a JSON object"))
}

/// RFC 7591, section 3.2.1. A public client gets no `client_secret` field at all: some take one as an error.
fn answer(server: &Shared, client: &Client, scope: &Scopes) -> Value {
    let metadata = &client.metadata;
    let mut answer = json!({
        "client_id": client.id,
        "client_id_issued_at": client.issued_at,
        "client_name": metadata.name(),
        "redirect_uris": metadata.redirect_uris,
        "grant_types": metadata.grant_types(&server.options),
        "response_types": if metadata.redirect_uris.is_empty() { json!([]) } else { json!(["code"]) },
        "token_endpoint_auth_method": metadata.auth.word(),
        "scope": scope,
        "registration_client_uri": format!("{}/{}", server.urls.at(&server.options.paths.register), client.id),
        "registration_access_token": registration_token(server, &client.id).expose(),
    });
    if let Some(fields) = answer.as_object_mut() {
        if let Some(kind) = metadata.application_type {
            fields.insert("application_type".into(), kind.word().into());
        }
        match &metadata.keys {
            Some(ClientKeys::Set(jwks)) => drop(fields.insert("jwks".into(), jwks.clone())),
            Some(ClientKeys::At(uri)) => drop(fields.insert("jwks_uri".into(), uri.as_str().into())),
            None => {}
        }
        if metadata.has_secret() {
            let secret = secret_of(&server.keys.client_secrets, &client.id);
            fields.insert("client_secret".into(), secret.expose().into());
            fields.insert("client_secret_expires_at".into(), client.expires_at(server).0.into());
        }
    }
    answer
}
