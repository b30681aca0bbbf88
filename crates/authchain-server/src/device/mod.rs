//! Sign-in for devices without a browser (RFC 8628): the device shows a code, the person types it on a page of ours, on any
//! machine, and signs in there; the device asks the token endpoint meanwhile.
//!
//! The grant is ours alone: the provider sees an ordinary sign-in at a browser. Whoever is talked into typing somebody else's
//! code would hand their account over, so the page says what the code is for and asks again, also when a link has filled it
//! in (section 5.4).

mod codes;
mod pages;
mod record;

use std::sync::Arc;

use authchain::core::{ClientId, Scopes};
use axum::{body::Bytes, extract::State, response::Response};
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) use codes::is_ours;
pub(crate) use pages::{came_back, decide, denied_at_provider, enter, page};
pub(crate) use record::{Answer, Device, id_of, read, write};

use crate::{
    audit::{Event, What},
    clients,
    errors::{OAuthError, json as json_response},
    limits::Caller,
    params::Params,
    resource, scopes,
    server::Shared,
};

/// How long a device waits between two questions at first, in seconds (RFC 8628, section 3.2).
pub(crate) const INTERVAL: u64 = 5;

/// What a device asks a person for. It travels in the ticket of the page on which they answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeviceRequest {
    /// Under which the device is stored.
    pub(crate) device: String,
    /// The code that the device shows.
    pub(crate) code: String,
    pub(crate) client: ClientId,
    /// As the client calls itself.
    pub(crate) client_name: String,
    /// What the client will get at most.
    pub(crate) scopes: Scopes,
}

/// `POST /oauth/device_authorization` (RFC 8628, section 3.1).
pub(crate) async fn authorization(
    State(server): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    let params = Params::body(&headers, &body)?;
    if !resource::all_name(&server.options.resource, params.all("resource")) {
        let why = format!("this server gives access to {} only", server.urls.resource);
        return Err(OAuthError::new(StatusCode::BAD_REQUEST, "invalid_target", why));
    }
    let bound_to = match &server.dpop {
        Some(dpop) if headers.contains_key(authchain::dpop::PROOF) => {
            let here = server.urls.link(&server.options.paths.device_authorization);
            Some(dpop.check(&headers, &Method::POST, &here, None).await?)
        }
        _ => None,
    };
    let client = clients::authenticate(&server, caller, &headers, &params).await?;
    let event = Event::new(What::DeviceAsked).client(&client);
    if !client.may_ask_from_a_device() {
        let why = "the client has not registered the grant type device_code";
        event.refused(why);
        return Err(OAuthError::new(StatusCode::BAD_REQUEST, "unauthorized_client", why));
    }
    let options = &server.options;
    let scopes = scopes::narrow(params.one("scope")?, &options.scopes_supported, &options.default_scopes);
    let life = options.grants.device_code_life;
    let device = Device {
        client: client.id.clone(),
        client_name: client.metadata.name().into(),
        scopes,
        expires_at: server.parts.clock.now() + life,
        interval: INTERVAL,
        last_asked: None,
        shown: 0,
        bound_to,
        answer: Answer::None,
    };
    let issued = record::issue(&server, &device).await?;
    event.allowed();
    let at = server.urls.at(&server.options.paths.device);
    Ok(json_response(
        StatusCode::OK,
        &json!({
            "device_code": issued.device_code.expose(),
            "user_code": issued.user_code,
            "verification_uri": at,
            "verification_uri_complete": format!("{at}?user_code={}", issued.user_code),
            "expires_in": life.as_secs(),
            "interval": INTERVAL,
        }),
    ))
}
