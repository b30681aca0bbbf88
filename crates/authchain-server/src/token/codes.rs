//! Authorization codes (RFC 6749, section 4.1.3): random, stored as a hash, redeemed once, bound to client, redirect URI and
//! PKCE challenge.
//!
//! A code is 24 random bytes and a tag over them, so that garbage is turned away without a look at the database. The id of
//! the grant that a code gives is a hash of the code: when a code comes a second time, what it gave is found and ended
//! (RFC 6749, section 4.1.2), although nothing was kept of the code itself.

use authchain::core::{
    AuthError, ClientId, Email, Expect, Namespace, Scopes, Secret, StateKey, StoreError, constant_time_eq,
};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{Asked, access, new_grant, refresh};
use crate::{
    audit::{Event, What},
    authorize::AuthorizeRequest,
    clients::Client,
    errors::OAuthError,
    keys::{base64url, from_base64url, hashed, random, sha256},
    server::Shared,
};

const CODE: Namespace = Namespace("code");

/// What a code stands for.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    client: ClientId,
    client_name: String,
    redirect_uri: String,
    challenge: String,
    scopes: Scopes,
    email: Email,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    /// The key that the authorization request named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bound_to: Option<String>,
}

/// Makes a code for a person who has signed in and agreed.
pub(crate) async fn issue(
    server: &Shared,
    request: AuthorizeRequest,
    scopes: Scopes,
    email: Email,
) -> Result<Secret, AuthError> {
    let random = random::<24>()?;
    let tag = server.keys.codes.tag(&[&random]);
    let code: Vec<u8> = random.iter().chain(tag.iter().take(16)).copied().collect();
    let code = Secret::new(base64url(code));
    let AuthorizeRequest { client, client_name, redirect_uri, challenge, nonce, bound_to, .. } = request;
    let record = Record { client, client_name, redirect_uri, challenge, scopes, email, nonce, bound_to };
    let bytes = serde_json::to_vec(&record).map_err(|e| StoreError::Unsupported(e.to_string()))?;
    server.parts.state.put(&key(&code), &bytes, server.options.code_life, Expect::Absent).await?;
    Ok(code)
}

/// Redeems a code.
pub(super) async fn redeem(server: &Shared, asked: &Asked<'_>) -> Result<Response, OAuthError> {
    let Asked { client, params, key: bound_to } = asked;
    let code = params.one("code")?.ok_or_else(|| OAuthError::invalid_request("code is missing"))?;
    let verifier =
        params.one("code_verifier")?.ok_or_else(|| OAuthError::invalid_request("code_verifier is missing"))?;
    let redirect_uri = params.one("redirect_uri")?;
    let event = Event::new(What::CodeRedeemed).client(client);
    if !is_ours(server, code) {
        event.refused("not a code of ours");
        return Err(OAuthError::invalid_grant("the code is not valid"));
    }
    let code = Secret::new(code);
    // Taken before it is looked at: whoever tries a code has used it up, whatever else is wrong.
    let Some(bytes) = server.parts.state.take(&key(&code)).await? else {
        let again = server.parts.grants.end(&grant_id(&code)).await?;
        event.refused(if again { "a code came twice: what it gave is revoked" } else { "the code is used or expired" });
        return Err(OAuthError::invalid_grant("the code was used before or has expired"));
    };
    let record: Record = serde_json::from_slice(&bytes)
        .map_err(|e| StoreError::Corrupt { what: "an authorization code".into(), why: e.to_string() })?;
    if record.bound_to.is_some() && record.bound_to != *bound_to {
        let why = "the code is bound to a key that this request does not prove";
        event.who(record.email.as_str()).refused(why);
        return Err(OAuthError::invalid_grant(why));
    }
    if let Err(why) = check(&record, client, redirect_uri, verifier) {
        event.who(record.email.as_str()).refused(why);
        return Err(OAuthError::invalid_grant(why));
    }
    let Record { client_name, redirect_uri, scopes, email, nonce, .. } = record;
    let grant = new_grant(server, asked, grant_id(&code), client_name, Some(redirect_uri), scopes, email);
    server.parts.grants.create(&grant).await?;
    event.who(grant.email.as_str()).allowed();
    let refresh_token = refresh::token_of(server, &grant);
    access::answer(server, &grant, &grant.scopes, &refresh_token, nonce.as_deref(), bound_to.as_deref())
}

fn check(record: &Record, client: &Client, redirect_uri: Option<&str>, verifier: &str) -> Result<(), &'static str> {
    if record.client != client.id {
        return Err("the code was given to another client");
    }
    // OAuth 2.1 no longer asks for it; where it is sent it must be the one of the authorization request.
    if redirect_uri.is_some_and(|uri| uri != record.redirect_uri) {
        return Err("redirect_uri is not the one of the authorization request");
    }
    let well_formed = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'));
    let challenge = base64url(sha256(verifier.as_bytes()));
    if !well_formed || !constant_time_eq(challenge.as_bytes(), record.challenge.as_bytes()) {
        return Err("code_verifier does not belong to the code_challenge");
    }
    Ok(())
}

fn is_ours(server: &Shared, code: &str) -> bool {
    from_base64url(code).is_some_and(|bytes| match bytes.split_at_checked(24) {
        Some((random, tag)) => tag.len() == 16 && server.keys.codes.recognises(&[random], tag),
        None => false,
    })
}

fn key(code: &Secret) -> StateKey {
    StateKey::new(CODE, hashed(code.expose()))
}

/// Public, and does not lead back to the code.
fn grant_id(code: &Secret) -> String {
    let hash = sha256(format!("authchain grant of code {}", code.expose()).as_bytes());
    base64url(hash.iter().take(refresh::GRANT_ID_BYTES).copied().collect::<Vec<_>>())
}
