//! Refresh that never signs anybody out (number 15 of the checklist).
//!
//! A refresh token is derived from its grant and a generation number. Refreshing moves the grant one generation on, in one
//! compare-and-swap; the generation before still returns the same successor within the grace window, however often and
//! whoever asks, on every instance and after a restart, because the successor can be computed again and is stored nowhere.
//! An older generation, or the one before after the window, is a token that somebody kept: the whole grant ends.
//!
//! Format: `art_` and base64url of grant id (16 bytes), generation (8 bytes, big-endian) and tag (32 bytes).

use authchain::{
    core::{AuthError, Scopes, Secret, StoreError},
    grants::Grant,
};
use axum::response::Response;
use http::StatusCode;

use super::{Asked, access};
use crate::{
    audit::{Event, What},
    errors::OAuthError,
    keys::{base64url, from_base64url},
    params::Params,
    scopes,
    server::Shared,
};

/// The length of a grant id in bytes.
pub(super) const GRANT_ID_BYTES: usize = 16;
const PREFIX: &str = "art_";
/// How often a lost compare-and-swap is tried again. The winner's write makes the second try succeed without a write.
const TRIES: usize = 8;

/// A refresh token that we made, at some time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Presented {
    pub(crate) grant: String,
    generation: u64,
}

/// The current refresh token of a grant.
pub(super) fn token_of(server: &Shared, grant: &Grant) -> Secret {
    let generation = grant.generation.to_be_bytes();
    let tag = server.keys.refresh.tag_by(&grant.key_id, &[grant.id.as_bytes(), &generation]);
    let mut bytes = from_base64url(&grant.id).unwrap_or_default();
    bytes.extend(generation);
    bytes.extend(tag);
    Secret::new(format!("{PREFIX}{}", base64url(bytes)))
}

/// Reads a refresh token; `None` for one that we never made. Needs no database.
pub(crate) fn recognise(server: &Shared, token: &str) -> Option<Presented> {
    let bytes = from_base64url(token.strip_prefix(PREFIX)?)?;
    let (grant, rest) = bytes.split_at_checked(GRANT_ID_BYTES)?;
    let (generation, tag) = rest.split_first_chunk::<8>()?;
    let grant = base64url(grant);
    let genuine = tag.len() == 32 && server.keys.refresh.recognises(&[grant.as_bytes(), generation], tag);
    genuine.then(|| Presented { grant, generation: u64::from_be_bytes(*generation) })
}

/// What a presented generation means.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// The current one: the grant moves on.
    Rotate,
    /// Superseded a moment ago: the same successor again.
    Repeat,
    /// Kept by somebody: the grant ends.
    Reuse,
}

fn turn(server: &Shared, grant: &Grant, presented: u64) -> Turn {
    let fresh = server.parts.clock.now().since(grant.rotated_at) <= server.options.refresh_grace;
    if presented == grant.generation {
        Turn::Rotate
    } else if presented.checked_add(1) == Some(grant.generation) && fresh {
        Turn::Repeat
    } else {
        Turn::Reuse
    }
}

/// Whether a presented refresh token would still give something.
pub(crate) fn is_good(server: &Shared, grant: &Grant, presented: &Presented) -> bool {
    turn(server, grant, presented.generation) != Turn::Reuse
}

/// Redeems a refresh token.
pub(super) async fn refresh(server: &Shared, asked: &Asked<'_>) -> Result<Response, OAuthError> {
    let Asked { client, params, key } = asked;
    let token = params.one("refresh_token")?.ok_or_else(|| OAuthError::invalid_request("refresh_token is missing"))?;
    let event = Event::new(What::Refreshed).client(client);
    let dead = || OAuthError::invalid_grant("the refresh token is not valid any more: sign in again");
    let Some(presented) = recognise(server, token) else {
        event.refused("not a refresh token of ours");
        return Err(dead());
    };
    for _ in 0..TRIES {
        let Some(stored) = server.parts.grants.get(&presented.grant).await? else {
            event.refused("the grant has ended");
            return Err(dead());
        };
        let grant = stored.value;
        if grant.client != client.id {
            event.who(grant.email.as_str()).refused("the refresh token was given to another client");
            return Err(dead());
        }
        if grant.bound_to.is_some() && grant.bound_to != *key {
            // Whoever took the token without its key changes nothing for its owner.
            event.who(grant.email.as_str()).refused("the refresh token is bound to a key that was not proven");
            return Err(match key {
                Some(_) => dead(),
                None => AuthError::InvalidDpopProof("the refresh token is bound to a key: a proof is needed").into(),
            });
        }
        if let Err(why) = still_signed_in(server, &grant).await? {
            event.who(grant.email.as_str()).refused(why);
            return Err(OAuthError::invalid_grant(why));
        }
        let scopes = narrowed(server, &grant, params)?;
        match turn(server, &grant, presented.generation) {
            Turn::Repeat => {
                event.who(grant.email.as_str()).allowed();
                return access::answer(server, &grant, &scopes, &token_of(server, &grant), None, key.as_deref());
            }
            Turn::Rotate => {
                let now = server.parts.clock.now();
                let next = Grant {
                    generation: grant.generation.saturating_add(1),
                    rotated_at: now,
                    last_used: now,
                    key_id: server.keys.refresh.primary_id(),
                    ..grant
                };
                match server.parts.grants.update(&next, stored.version).await {
                    Ok(_) => {
                        event.who(next.email.as_str()).allowed();
                        return access::answer(server, &next, &scopes, &token_of(server, &next), None, key.as_deref());
                    }
                    // Another process of the same client was first: what it got is ours too.
                    Err(StoreError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Turn::Reuse => {
                server.parts.grants.end(&grant.id).await?;
                event.who(grant.email.as_str()).refused("an old refresh token was used again: the grant is revoked");
                return Err(dead());
            }
        }
    }
    Err(StoreError::Conflict { what: "a grant".into() }.into())
}

/// A grant whose account has to sign in anew at the provider gives no more tokens: the client would only be challenged
/// again, and some clients would go round in circles.
pub(super) async fn still_signed_in(server: &Shared, grant: &Grant) -> Result<Result<(), &'static str>, OAuthError> {
    let key = authchain::core::CredentialKey::new(grant.provider.clone(), grant.user.clone());
    if server.parts.credentials.needs_sign_in(&key) {
        return Ok(Err("the account has to sign in at the provider again"));
    }
    Ok(match server.parts.credentials.credential(&key).await? {
        Some(_) => Ok(()),
        None => Err("the account was disconnected: sign in again"),
    })
}

/// A narrower scope for this one access token; the grant stays as it is (RFC 6749, section 6).
fn narrowed(server: &Shared, grant: &Grant, params: &Params) -> Result<Scopes, OAuthError> {
    let Some(asked) = params.one("scope")? else { return Ok(grant.scopes.clone()) };
    let asked = scopes::offered(asked, &server.options.scopes_supported.union(&grant.scopes));
    if !asked.is_subset(&grant.scopes) {
        return Err(OAuthError::new(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            "a refresh cannot add scopes: start a new authorization for them",
        ));
    }
    Ok(if asked.is_empty() { grant.scopes.clone() } else { asked })
}
