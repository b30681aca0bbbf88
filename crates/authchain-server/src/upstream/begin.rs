//! Going out: the person's decision is written down once, and a yes becomes a pending transaction at the provider.
//!
//! `state`, PKCE verifier and nonce are derived from the transaction with a sub-key, so that a second press of the button
//! leads to the same place, and so that none of them is stored.

use authchain::{
    core::{
        AuthError, CredentialKey, CredentialStatus, Email, Expect, Namespace, Scopes, Secret, StateKey, StoreError,
        TokenGroup, UserId,
    },
    provider::{AuthorizationRequest, Pkce},
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::{
    keys::{base64url, hashed},
    params::Params,
    scopes,
    server::{Shared, path},
    ticket::{self, BadTicket, Purpose, Ticket},
};

const DECIDED: Namespace = Namespace("decided");
pub(super) const PENDING: Namespace = Namespace("pending");
/// How often a transaction is written again when other presses are first.
const SWAPS: usize = 5;

/// What a person answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decision {
    Allow,
    Deny,
}

impl Decision {
    /// The value of the button.
    fn of(word: &str) -> Option<Self> {
        match word {
            "allow" => Some(Self::Allow),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }
}

/// What a person pressed on a page that asks yes or no: the ticket as it came and opened, and the answer.
pub(crate) fn pressed<'a>(
    server: &Shared,
    params: &'a Params,
    headers: &HeaderMap,
) -> Result<(&'a str, Ticket, Decision), BadTicket> {
    let (Ok(Some(sealed)), Ok(Some(word))) = (params.one("ticket"), params.one("decision")) else {
        return Err(BadTicket::Foreign);
    };
    let decision = Decision::of(word).ok_or(BadTicket::Foreign)?;
    Ok((sealed, ticket::open(server, sealed, headers)?, decision))
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
    /// What the provider is asked for.
    pub(super) asked: Scopes,
    /// The token group that the answer is filed in.
    pub(super) group: TokenGroup,
    /// What the provider grants apart from that, and will be asked for next.
    pub(super) later: Vec<(TokenGroup, Scopes)>,
    /// What came of the sign-ins before this one.
    pub(super) so_far: Option<SoFar>,
    pub(super) purpose: Purpose,
}

/// What came of the first sign-ins where one page of ours needs several, because the provider grants some scopes apart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SoFar {
    /// Who signed in; nobody else may in the next ones.
    pub(super) email: Email,
    /// What was granted, all together.
    pub(super) granted: Scopes,
    /// How many there were.
    pub(super) steps: u8,
}

/// What is derived for one transaction.
pub(super) struct Derived {
    pub(super) state: Secret,
    pub(super) verifier: Secret,
    pub(super) nonce: String,
}

/// Derives the secrets of one sign-in of a transaction.
fn derive(server: &Shared, key: &str, transaction: &str, browser: &str, step: u8) -> Derived {
    let tag = |purpose: &[u8]| {
        let parts = [purpose, transaction.as_bytes(), browser.as_bytes(), &[step]];
        base64url(server.keys.upstream.tag_by(key, &parts))
    };
    Derived { state: tag(b"state").into(), verifier: tag(b"verifier").into(), nonce: tag(b"nonce") }
}

impl Pending {
    fn step(&self) -> u8 {
        self.so_far.as_ref().map_or(0, |so_far| so_far.steps)
    }

    pub(super) fn derived(&self, server: &Shared) -> Derived {
        derive(server, &self.key, &self.transaction, &self.browser, self.step())
    }

    /// Who has to sign in; anybody else is refused.
    pub(super) fn expected(&self) -> Option<&Email> {
        match (&self.so_far, &self.purpose) {
            (Some(so_far), _) => Some(&so_far.email),
            (None, Purpose::Local { expected, .. }) => expected.as_ref(),
            (None, Purpose::Authorize(request)) => request.expected.as_ref(),
            (None, Purpose::Device(_)) => None,
        }
    }

    fn read(record: &[u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(record)
            .map_err(|e| StoreError::Corrupt { what: "a pending sign-in".into(), why: e.to_string() })
    }

    fn record(&self) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self).map_err(|e| StoreError::Unsupported(e.to_string()))
    }

    fn asks_the_same_as(&self, other: &Self) -> bool {
        self.asked == other.asked && self.later == other.later
    }
}

/// The address of ours that the provider sends the person back to.
pub(super) fn redirect_uri(server: &Shared, purpose: &Purpose) -> String {
    server.urls.at(match purpose {
        Purpose::Authorize(_) | Purpose::Device(_) => &server.options.paths.callback,
        Purpose::Local { .. } => path::LOCAL_CALLBACK,
    })
}

/// Writes the decision on a page down, if none was before, and says where the one that counts leads. Two presses of the
/// button, even at the same time, lead to the same place.
pub(crate) async fn settle(server: &Shared, ticket: &Ticket, wanted: Decision) -> Result<Settled, AuthError> {
    let state = &server.parts.state;
    let decided = StateKey::new(DECIDED, &ticket.id);
    if let Some(before) = state.get(&decided).await? {
        return again(server, ticket, read(&before.value)?, wanted).await;
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
            if before == Decision::Deny
                && wanted == Decision::Allow
                && let Some(pending) = first(server, ticket)
            {
                state.take(&pending_key(&pending.derived(server).state)).await?;
            }
            again(server, ticket, before, wanted).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn again(server: &Shared, ticket: &Ticket, before: Decision, wanted: Decision) -> Result<Settled, AuthError> {
    let outcome = match before {
        Decision::Deny => Outcome::Denied,
        Decision::Allow => match waiting(server, ticket, wanted).await? {
            Some(pending) => Outcome::GoTo(address(server, &pending).await?),
            None => Outcome::Finished,
        },
    };
    Ok(Settled { outcome, first: false })
}

/// The transaction of an earlier yes, as long as nobody has come back from the provider. Whoever went back to our page and
/// says yes to something else is asked for that.
async fn waiting(server: &Shared, ticket: &Ticket, wanted: Decision) -> Result<Option<Pending>, AuthError> {
    let state = &server.parts.state;
    let Some(now) = first(server, ticket) else { return Ok(None) };
    let key = pending_key(&now.derived(server).state);
    for _ in 0..SWAPS {
        let Some(stored) = state.get(&key).await? else { return Ok(None) };
        let before = Pending::read(&stored.value)?;
        if wanted == Decision::Deny || before.asks_the_same_as(&now) {
            return Ok(Some(before));
        }
        let life = server.options.transaction_life;
        match state.put(&key, &now.record()?, life, Expect::Version(stored.version)).await {
            Ok(_) => return Ok(Some(now)),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict { what: "a pending sign-in".into() }.into())
}

/// Files the first sign-in of a transaction; its address at the provider.
async fn go(server: &Shared, ticket: &Ticket) -> Result<String, AuthError> {
    let pending = first(server, ticket).ok_or(AuthError::InvalidRequest("a sign-in that asks for nothing"))?;
    send(server, &pending).await
}

fn first(server: &Shared, ticket: &Ticket) -> Option<Pending> {
    let mut parts = parts(server, &ticket.purpose).into_iter();
    let (group, asked) = parts.next()?;
    Some(Pending {
        transaction: ticket.id.clone(),
        browser: ticket.browser.clone(),
        key: server.keys.upstream.primary_id(),
        asked,
        group,
        later: parts.collect(),
        so_far: None,
        purpose: ticket.purpose.clone(),
    })
}

/// Files the next sign-in of a transaction, in which the same person grants what the provider keeps apart; its address.
/// `None` after the last one.
pub(super) async fn next(server: &Shared, done: &Pending, so_far: SoFar) -> Result<Option<String>, AuthError> {
    let mut later = done.later.iter().cloned();
    let Some((group, asked)) = later.next() else { return Ok(None) };
    let pending = Pending {
        transaction: done.transaction.clone(),
        browser: done.browser.clone(),
        key: done.key.clone(),
        asked,
        group,
        later: later.collect(),
        so_far: Some(so_far),
        purpose: done.purpose.clone(),
    };
    send(server, &pending).await.map(Some)
}

async fn send(server: &Shared, pending: &Pending) -> Result<String, AuthError> {
    let life = server.options.transaction_life;
    let key = pending_key(&pending.derived(server).state);
    match server.parts.state.put(&key, &pending.record()?, life, Expect::Absent).await {
        Ok(_) => address(server, pending).await,
        // Two presses at the same time: the provider is asked for what is filed.
        Err(StoreError::Conflict { .. }) => match server.parts.state.get(&key).await? {
            Some(filed) => address(server, &Pending::read(&filed.value)?).await,
            None => address(server, pending).await,
        },
        Err(error) => Err(error.into()),
    }
}

/// A pending transaction is found by the hash of its `state`.
pub(super) fn pending_key(state: &Secret) -> StateKey {
    StateKey::new(PENDING, hashed(state.expose()))
}

/// What to ask the provider for, one sign-in after the other. Who the person is belongs to each of them; a client's
/// grant rests on the default group, so that one is never left out for a client.
fn parts(server: &Shared, purpose: &Purpose) -> Vec<(TokenGroup, Scopes)> {
    let (wanted, keep_default) = match purpose {
        Purpose::Authorize(request) => (&request.scopes, true),
        Purpose::Device(request) => (&request.scopes, true),
        Purpose::Local { scopes, .. } => (scopes, false),
    };
    let identity = scopes::upstream(&Scopes::none());
    let mut parts = server.parts.provider.provider().groups(&scopes::upstream(wanted));
    let several = parts.len() > 1;
    parts.retain(|(_, part)| keep_default || !several || part.iter().any(|scope| !scopes::is_identity(scope)));
    parts.into_iter().map(|(group, part)| (group, part.union(&identity))).collect()
}

async fn address(server: &Shared, pending: &Pending) -> Result<String, AuthError> {
    let hint = match &pending.purpose {
        Purpose::Authorize(request) if pending.so_far.is_none() => request.login_hint.clone(),
        _ => pending.expected().cloned(),
    };
    let stored = match &hint {
        Some(hint) => {
            let provider = server.parts.provider.provider().id.clone();
            let key = CredentialKey { provider, user: UserId::from(hint), group: pending.group.clone() };
            server.parts.credentials.credential(&key).await?.filter(|stored| stored.status == CredentialStatus::Active)
        }
        None => None,
    };
    let granted = stored.as_ref().map(|stored| stored.scopes.clone()).unwrap_or_default();
    // What was granted before stays: a provider that grants a group apart gives exactly what it is asked for.
    let apart = pending.group != TokenGroup::default();
    let scopes = if apart { pending.asked.union(&granted) } else { pending.asked.clone() };
    // A new refresh token is made only where none is stored, or where the stored one is not good for all of it: a provider
    // keeps a limited number of them per account and drops the oldest without a word.
    let covered = scopes.iter().all(|scope| scopes::is_identity(scope) || granted.contains(scope));
    let consent = !covered || stored.is_none_or(|stored| stored.refresh_token.is_none());
    let derived = pending.derived(server);
    let url = server.parts.provider.authorization_url(&AuthorizationRequest {
        redirect_uri: redirect_uri(server, &pending.purpose),
        state: derived.state,
        challenge: Pkce::from_verifier(derived.verifier).challenge,
        nonce: derived.nonce,
        scopes,
        // Without a hint a person with one account at the provider would never be asked which one.
        choose_account: hint.is_none() && !matches!(pending.purpose, Purpose::Authorize(_)),
        login_hint: hint,
        consent,
    });
    Ok(url.into())
}

fn read(mark: &[u8]) -> Result<Decision, StoreError> {
    std::str::from_utf8(mark)
        .ok()
        .and_then(Decision::of)
        .ok_or_else(|| StoreError::Corrupt { what: "a decision".into(), why: "neither yes nor no".into() })
}
