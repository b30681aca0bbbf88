//! The grant `device_code` (RFC 8628, section 3.4): a device asks whether the person has answered yet.
//!
//! The answer is told as soon as there is one. Until then a device that asks too soon has to wait five seconds longer from
//! then on, and asks in vain until it does. Its tokens are given once, however many ask at the same time.

use std::time::Duration;

use authchain::core::{Expect, Secret, StoreError};
use axum::response::Response;
use http::StatusCode;

use super::{Asked, access, new_grant, refresh};
use crate::{
    audit::{Event, What},
    device::{self, Answer, Device},
    errors::OAuthError,
    keys::{base64url, sha256},
    server::Shared,
};

/// What a device that asks too soon waits longer, in seconds (RFC 8628, section 3.5).
const LONGER: u64 = 5;
/// Clocks count in whole seconds, and an answer takes its time on the way.
const TOLERANCE: Duration = Duration::from_secs(1);

/// Answers a device.
pub(super) async fn ask(server: &Shared, asked: &Asked<'_>) -> Result<Response, OAuthError> {
    let code = asked.params.one("device_code")?.ok_or_else(|| OAuthError::invalid_request("device_code is missing"))?;
    let event = Event::new(What::DeviceRedeemed).client(asked.client);
    if !device::is_ours(server, code) {
        event.refused("not a device code of ours");
        return Err(OAuthError::invalid_grant("the device code is not valid"));
    }
    let code = Secret::new(code);
    let id = device::id_of(&code);
    loop {
        let Some(stored) = device::read(server, &id).await? else { return Err(expired()) };
        let device = stored.value;
        if device.client != asked.client.id {
            event.refused("the device code was given to another client");
            return Err(OAuthError::invalid_grant("the device code was given to another client"));
        }
        if device.bound_to.is_some() && device.bound_to != asked.key {
            let why = "the device code is bound to a key that this request does not prove";
            event.refused(why);
            return Err(OAuthError::invalid_grant(why));
        }
        let now = server.parts.clock.now();
        let (next, answer) = match &device.answer {
            Answer::Redeemed => {
                event.refused("the device code came twice");
                return Err(OAuthError::invalid_grant("the device code was used before"));
            }
            _ if now > device.expires_at => return Err(expired()),
            Answer::Denied => {
                event.refused("the person said no");
                return Err(refused("access_denied", "the person did not allow the access"));
            }
            Answer::Allowed { email, scopes } => {
                let answer = Some((email.clone(), scopes.clone()));
                (Device { answer: Answer::Redeemed, ..device.clone() }, answer)
            }
            Answer::None => (asked_again(&device, now), None),
        };
        // Whoever loses the race looks again: at an answer that has come meanwhile, or at another's question.
        match device::write(server, &id, &next, Expect::Version(stored.version)).await {
            Ok(_) => {}
            Err(StoreError::Conflict { .. }) => continue,
            Err(error) => return Err(error.into()),
        }
        let Some((email, scopes)) = answer else {
            return Err(if next.interval > device.interval {
                refused("slow_down", "ask less often: wait five seconds longer from now on")
            } else {
                refused("authorization_pending", "the person has not answered yet")
            });
        };
        let grant = new_grant(server, asked, grant_id(&code), device.client_name, None, scopes, email);
        server.parts.grants.create(&grant).await?;
        event.who(grant.email.as_str()).allowed();
        let refresh_token = refresh::token_of(server, &grant);
        return access::answer(server, &grant, &grant.scopes, &refresh_token, None, asked.key.as_deref());
    }
}

/// The device after one more question.
fn asked_again(device: &Device, now: authchain::core::Timestamp) -> Device {
    let too_soon =
        device.last_asked.is_some_and(|last| now.since(last) + TOLERANCE < Duration::from_secs(device.interval));
    let interval = if too_soon { device.interval.saturating_add(LONGER) } else { device.interval };
    Device { last_asked: Some(now), interval, ..device.clone() }
}

fn expired() -> OAuthError {
    refused("expired_token", "the device code has expired: ask for a new one")
}

fn refused(error: &'static str, why: &'static str) -> OAuthError {
    OAuthError::new(StatusCode::BAD_REQUEST, error, why)
}

/// Public, and does not lead back to the code.
fn grant_id(code: &Secret) -> String {
    let hash = sha256(format!("authchain grant of device code {}", code.expose()).as_bytes());
    base64url(hash.iter().take(refresh::GRANT_ID_BYTES).copied().collect::<Vec<_>>())
}
