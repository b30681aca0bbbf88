//! Remembered consent, where an operator switches it on: what a person allowed a client at one redirect URI lets the same
//! request, or one for less, pass without a page for a while.
//!
//! All clients share one client at the provider, so a page of ours is what stands between a person and a client that
//! somebody else sends them to. It is left out only where that somebody gains nothing (number 10 of the checklist):
//! - The person's own browser started the request, and says so. A link on another site always shows the page, also by way of
//!   redirects; and no client may have its answers sent to our authorization endpoint, which would make ours of its request.
//! - The browser is signed in here, and the consent is that person's; whoever signs in at the provider must be the same.
//! - Client id and redirect URI are those of the consent. A client that registers under the same name has another id, and an
//!   answer goes only where the person let it go before. That identity is as good as the redirect URI: the answer to an https
//!   address goes to its owner, but an answer to a program on the person's computer goes to whichever program listens, and
//!   the id of a public client is no secret. So unless the operator says otherwise, only clients pass that come back to https
//!   or prove themselves at the token endpoint (RFC 8252, section 8.6; RFC 6749, section 10.2).
//! - Nothing is asked for that was not allowed.

use authchain::{
    accounts::Account,
    core::{ClientId, Email, Expect, Namespace, Scopes, StateKey, StoreError, Timestamp},
};
use futures_util::TryStreamExt;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::AuthorizeRequest;
use crate::{
    RememberConsent,
    clients::{Client, Destination, destination, without_port},
    keys::hashed,
    local,
    params::Params,
    server::Shared,
};

const CONSENT: Namespace = Namespace("consent");
/// How often a record is written again when other writers are first.
const SWAPS: usize = 5;

/// What one person allowed one client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) person: Account,
    pub(crate) client: ClientId,
    pub(crate) client_name: String,
    pub(crate) agreed: Vec<Agreed>,
}

/// What was allowed at one redirect URI.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Agreed {
    /// Without the port of a loopback one.
    pub(crate) redirect_uri: String,
    pub(crate) scopes: Scopes,
    pub(crate) at: Timestamp,
    pub(crate) until: Timestamp,
}

/// Whether a yes to this request is one to remember.
pub(super) fn is_for(server: &Shared, client: &Client, redirect_uri: &str) -> bool {
    match server.options.remember_consent {
        RememberConsent::Never => false,
        RememberConsent::Proven(_) => {
            !client.metadata.is_public() || matches!(destination(redirect_uri), Destination::Site(_))
        }
        RememberConsent::All(_) => true,
    }
}

/// The person whose remembered consent lets this request pass without a page.
pub(super) async fn passes(
    server: &Shared,
    headers: &HeaderMap,
    params: &Params,
    client: &Client,
    request: &AuthorizeRequest,
) -> Result<Option<Email>, StoreError> {
    // A client that asks for a page gets one (OpenID Connect Core 1.0, section 3.1.2.1).
    let wants_a_page = !matches!(params.one("prompt"), Ok(None));
    if wants_a_page || !is_for(server, client, &request.redirect_uri) || !is_the_persons_own(headers) {
        return Ok(None);
    }
    let Some((email, person)) = local::person_at(server, headers).await? else { return Ok(None) };
    if request.login_hint.as_ref().is_some_and(|hint| *hint != email) {
        return Ok(None);
    }
    let Some(stored) = server.parts.state.get(&key(&person, &request.client)).await? else { return Ok(None) };
    let now = server.parts.clock.now();
    let redirect_uri = without_port(&request.redirect_uri);
    let covers = |agreed: &Agreed| {
        agreed.redirect_uri == redirect_uri && now < agreed.until && request.scopes.is_subset(&agreed.scopes)
    };
    Ok(parse(&stored.value)?.agreed.iter().any(covers).then_some(email))
}

/// Whether the person typed the address, took a bookmark, was sent by a program, or came from a page of ours; and looks at
/// the answer (Fetch Metadata Request Headers, sections 2.1 to 2.3). A browser that loads pages ahead of time has been asked
/// for nothing yet.
fn is_the_persons_own(headers: &HeaderMap) -> bool {
    let says = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let first = values.next().map(|value| value.to_str().unwrap_or_default());
        if values.next().is_some() { Some("") } else { first }
    };
    matches!(says("sec-fetch-site"), Some("none" | "same-origin"))
        && matches!(says("sec-fetch-mode"), None | Some("navigate"))
        && matches!(says("sec-fetch-dest"), None | Some("document"))
        && says("sec-purpose").is_none()
}

/// Remembers what a person has allowed on the page, beside what they had allowed there before.
pub(crate) async fn remember(
    server: &Shared,
    person: &Account,
    request: &AuthorizeRequest,
    allowed: &Scopes,
) -> Result<(), StoreError> {
    let Some(life) = server.options.remember_consent.life() else { return Ok(()) };
    let (state, now) = (&server.parts.state, server.parts.clock.now());
    let key = key(person, &request.client);
    let redirect_uri = without_port(&request.redirect_uri).into_owned();
    for _ in 0..SWAPS {
        let stored = state.get(&key).await?;
        let expect = stored.as_ref().map_or(Expect::Absent, |stored| Expect::Version(stored.version));
        let before = stored.map(|stored| parse(&stored.value)).transpose()?;
        let mut agreed = before.map(|before| before.agreed).unwrap_or_default();
        agreed.retain(|old| now < old.until);
        let here = agreed.iter().position(|old| old.redirect_uri == redirect_uri).map(|at| agreed.swap_remove(at));
        let scopes = here.map(|old| old.scopes.difference(&request.declined)).unwrap_or_default().union(allowed);
        agreed.push(Agreed { redirect_uri: redirect_uri.clone(), scopes, at: now, until: now + life });
        let (client, client_name) = (request.client.clone(), request.client_name.clone());
        let record = Remembered { person: person.clone(), client, client_name, agreed };
        let record = serde_json::to_vec(&record).map_err(|e| StoreError::Unsupported(e.to_string()))?;
        match state.put(&key, &record, life, expect).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Conflict { what: "a remembered consent".into() })
}

/// Forgets what a person allowed a client, at all of its redirect URIs: they are asked again. `false` where nothing was
/// remembered.
pub(crate) async fn forget(server: &Shared, person: &Account, client: &ClientId) -> Result<bool, StoreError> {
    Ok(server.parts.state.take(&key(person, client)).await?.is_some())
}

/// What is remembered of a person now.
pub(crate) async fn list(server: &Shared, person: &Account) -> Result<Vec<Remembered>, StoreError> {
    if server.options.remember_consent == RememberConsent::Never {
        return Ok(Vec::new());
    }
    let now = server.parts.clock.now();
    let entries = server.parts.state.scan(CONSENT).try_filter_map(|entry| async move {
        let mut remembered = parse(&entry.value.value)?;
        remembered.agreed.retain(|agreed| now < agreed.until);
        Ok(Some(remembered))
    });
    let theirs = entries.try_filter(|remembered| std::future::ready(remembered.person == *person));
    let list: Vec<Remembered> = theirs.try_collect().await?;
    Ok(list.into_iter().filter(|remembered| !remembered.agreed.is_empty()).collect())
}

fn key(person: &Account, client: &ClientId) -> StateKey {
    StateKey::new(CONSENT, hashed(&format!("{}\n{}\n{client}", person.provider, person.user)))
}

fn parse(record: &[u8]) -> Result<Remembered, StoreError> {
    serde_json::from_slice(record)
        .map_err(|e| StoreError::Corrupt { what: "a remembered consent".into(), why: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        is_the_persons_own(&map)
    }

    #[test]
    fn only_a_browser_that_says_so_started_a_request_itself() {
        assert!(own(&[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]));
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        for foreign in [
            &[][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "None")],
            &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none"), ("sec-fetch-dest", "iframe")],
            &[("sec-fetch-site", "none"), ("sec-fetch-mode", "no-cors")],
            &[("sec-fetch-site", "none"), ("sec-purpose", "prefetch;prerender")],
        ] {
            assert!(!own(foreign), "{foreign:?}");
        }
    }
}
