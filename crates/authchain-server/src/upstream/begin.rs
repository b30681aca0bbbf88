//! Going out: the person's decision is written down once, and a yes becomes a pending transaction at the provider.
//!
//! `state`, PKCE verifier and nonce are derived from the transaction with a sub-key, so that a second press of the button
//! leads to the same place, and so that none of them is stored.

use authchain::{
    core::{
        AuthError, CredentialKey, CredentialStatus, Email, Expect, Namespace, Scopes, Secret, StateKey, StoreError,
        UserId,
    },
    provider::{AuthorizationRequest, Pkce},
};
use serde::{Deserialize, Serialize};

use crate::{
    keys::{base64url, hashed},
    scopes,
    server::{Shared, path},
    ticket::{Purpose, Ticket},
};

const DECIDED: Namespace = Namespace("decided");
pub(super) const PENDING: Namespace = Namespace("pending");

/// What a person answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decision {
    Allow,
    Deny,
}

impl Decision {
    /// The value of the button.
    pub(crate) fn of(word: &str) -> Option<Self> {
        match word {
            "allow" => Some(Self::Allow),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }
}

/// Where the first decision on a page leads.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// To the provider.
    GoTo(String),
    /// Back, with a no.
    Denied,
    /// Nowhere: the person has been at the provider and back already.
    Finished,
}

/// A decision that has been written down.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) outcome: Outcome,
    /// Whether this was the press that counted.
    pub(crate) first: bool,
}

/// A transaction that waits for the person to come back from the provider. Nothing in it is secret.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) transaction: String,
    /// The hash of the cookie of the browser that decided.
    pub(super) browser: String,
    /// Which sub-key `state`, verifier and nonce are derived with.
    pub(super) key: String,
    /// What the provider was asked for.
    pub(super) asked: Scopes,
    pub(super) purpose: Purpose,
}

/// What is derived for one transaction.
pub(super) struct Derived {
    pub(super) state: Secret,
    pub(super) verifier: Secret,
    pub(super) nonce: String,
}

/// Derives a transaction's secrets.
pub(super) fn derive(server: &Shared, key: &str, transaction: &str, browser: &str) -> Derived {
    let tag = |purpose: &[u8]| {
        base64url(server.keys.upstream.tag_by(key, &[purpose, transaction.as_bytes(), browser.as_bytes()]))
    };
    Derived { state: tag(b"state").into(), verifier: tag(b"verifier").into(), nonce: tag(b"nonce") }
}

/// The address of ours that the provider sends the person back to.
pub(super) fn redirect_uri(server: &Shared, purpose: &Purpose) -> String {
    server.urls.at(match purpose {
        Purpose::Authorize(_) => path::CALLBACK,
        Purpose::Local { .. } => path::LOCAL_CALLBACK,
    })
}

/// Writes the decision on a page down, if none was before, and says where the one that counts leads. Two presses of the
/// button, even at the same time, lead to the same place.
pub(crate) async fn settle(server: &Shared, ticket: &Ticket, wanted: Decision) -> Result<Settled, AuthError> {
    let state = &server.parts.state;
    let decided = StateKey::new(DECIDED, &ticket.id);
    if let Some(before) = state.get(&decided).await? {
        return again(server, ticket, read(&before.value)?).await;
    }
    // The pending transaction is written before the mark, so that whoever sees the mark finds the transaction.
    let address = match wanted {
        Decision::Allow => Some(go(server, ticket).await?),
        Decision::Deny => None,
    };
    let mark: &[u8] = match wanted {
        Decision::Allow => b"allow",
        Decision::Deny => b"deny",
    };
    match state.put(&decided, mark, server.options.transaction_life, Expect::Absent).await {
        Ok(_) => {
            let outcome = address.map_or(Outcome::Denied, Outcome::GoTo);
            Ok(Settled { outcome, first: true })
        }
        Err(StoreError::Conflict { .. }) => {
            let before = state.get(&decided).await?.map(|b| read(&b.value)).transpose()?.unwrap_or(wanted);
            if before == Decision::Deny && wanted == Decision::Allow {
                state.take(&pending_key(&derived_now(server, ticket).1.state)).await?;
            }
            again(server, ticket, before).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn again(server: &Shared, ticket: &Ticket, before: Decision) -> Result<Settled, AuthError> {
    let outcome = match before {
        Decision::Deny => Outcome::Denied,
        Decision::Allow => {
            let (_, derived) = derived_now(server, ticket);
            match server.parts.state.get(&pending_key(&derived.state)).await? {
                Some(_) => Outcome::GoTo(address(server, ticket, &derived).await?),
                None => Outcome::Finished,
            }
        }
    };
    Ok(Settled { outcome, first: false })
}

/// Files the pending transaction; the address at the provider.
async fn go(server: &Shared, ticket: &Ticket) -> Result<String, AuthError> {
    let (key, derived) = derived_now(server, ticket);
    let pending = Pending {
        transaction: ticket.id.clone(),
        browser: ticket.browser.clone(),
        key,
        asked: asked(&ticket.purpose),
        purpose: ticket.purpose.clone(),
    };
    let record = serde_json::to_vec(&pending).map_err(|e| StoreError::Unsupported(e.to_string()))?;
    let life = server.options.transaction_life;
    match server.parts.state.put(&pending_key(&derived.state), &record, life, Expect::Absent).await {
        Ok(_) | Err(StoreError::Conflict { .. }) => address(server, ticket, &derived).await,
        Err(error) => Err(error.into()),
    }
}

fn derived_now(server: &Shared, ticket: &Ticket) -> (String, Derived) {
    let key = server.keys.upstream.primary_id().to_owned();
    let derived = derive(server, &key, &ticket.id, &ticket.browser);
    (key, derived)
}

/// A pending transaction is found by the hash of its `state`.
pub(super) fn pending_key(state: &Secret) -> StateKey {
    StateKey::new(PENDING, hashed(state.expose()))
}

fn asked(purpose: &Purpose) -> Scopes {
    match purpose {
        Purpose::Authorize(request) => scopes::upstream(&request.scopes),
        Purpose::Local { scopes: local, .. } => scopes::upstream(local),
    }
}

async fn address(server: &Shared, ticket: &Ticket, derived: &Derived) -> Result<String, AuthError> {
    let hint = match &ticket.purpose {
        Purpose::Authorize(request) => request.login_hint.clone(),
        Purpose::Local { expected, .. } => expected.clone(),
    };
    // A new refresh token is made only where none is stored: a provider keeps a limited number of them per account and
    // drops the oldest without a word.
    let consent = match &hint {
        Some(hint) => !has_refresh_token(server, hint).await?,
        None => true,
    };
    let url = server.parts.provider.authorization_url(&AuthorizationRequest {
        redirect_uri: redirect_uri(server, &ticket.purpose),
        state: derived.state.clone(),
        challenge: Pkce::from_verifier(derived.verifier.clone()).challenge,
        nonce: derived.nonce.clone(),
        scopes: asked(&ticket.purpose),
        login_hint: hint,
        consent,
    });
    Ok(url.into())
}

async fn has_refresh_token(server: &Shared, email: &Email) -> Result<bool, AuthError> {
    let provider = server.parts.provider.provider().id.clone();
    let stored = server.parts.credentials.credential(&CredentialKey::new(provider, UserId::from(email))).await?;
    Ok(stored.is_some_and(|c| c.refresh_token.is_some() && c.status == CredentialStatus::Active))
}

fn read(mark: &[u8]) -> Result<Decision, StoreError> {
    std::str::from_utf8(mark)
        .ok()
        .and_then(Decision::of)
        .ok_or_else(|| StoreError::Corrupt { what: "a decision".into(), why: "neither yes nor no".into() })
}
