//! Client ID Metadata Documents (number 5 of the checklist; draft-ietf-oauth-client-id-metadata-document): the client id is
//! an https address, and what is found there is the registration.
//!
//! A document is kept as long as its headers allow, but at least a minute and at most a day. Whoever asks for one that is
//! being fetched waits for the same fetch. Where a fetch fails, the last good copy serves for another day: a client does
//! not lose its people because its site is down.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use authchain::core::{AuthError, Cause, Clock, Timestamp};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use url::Url;

use super::{Metadata, NoClient};
use crate::{
    ServerOptions,
    limits::Buckets,
    outbound::{FetchError, Fetched, Outbound},
};

const FLOOR: Duration = Duration::from_secs(60);
const CEILING: Duration = Duration::from_secs(24 * 60 * 60);
/// Where the headers say nothing.
const USUAL: Duration = Duration::from_secs(60 * 60);
/// How long a copy serves beyond its time while no new one can be had.
const LAST_GOOD: Duration = Duration::from_secs(24 * 60 * 60);
/// After a failure nobody is asked again for so long.
const PAUSE: Duration = Duration::from_secs(15);
/// So often a minute one host is asked at most, for whichever documents: nobody turns this server against a site.
const FETCHES: u32 = 60;
/// So many documents are remembered.
const MOST: usize = 1000;

/// A document that was read.
#[derive(Debug)]
struct Copy {
    metadata: Metadata,
    fresh_until: Timestamp,
}

/// Why a document is not accepted.
#[derive(Clone, Debug)]
enum Refusal {
    /// It breaks this rule.
    Rule(Cow<'static, str>),
    /// It cannot be had just now.
    Passing(Cow<'static, str>),
}

type Flight = Shared<BoxFuture<'static, Result<Arc<Copy>, Refusal>>>;

#[derive(Default)]
struct Entry {
    copy: Option<Arc<Copy>>,
    flight: Option<Flight>,
    /// The last failure, and until when nobody is asked again.
    failed: Option<(Refusal, Timestamp)>,
    asked_at: i64,
}

/// The documents of clients.
pub(crate) struct Documents(Arc<Inner>);

struct Inner {
    outbound: Arc<Outbound>,
    options: ServerOptions,
    clock: Arc<dyn Clock>,
    fetches: Buckets<String>,
    entries: Mutex<HashMap<String, Entry>>,
}

/// The address that a client id is, by the rules of the draft's section 3: https, a path, no dot segments, no fragment, no
/// user name. It is written as a URL library writes it, so that no two spellings are one client. `None` for an id of
/// another kind.
pub(super) fn address(id: &str) -> Option<Result<Url, &'static str>> {
    if !id.starts_with("https://") && !id.starts_with("http://") {
        return None;
    }
    Some(match Url::parse(id) {
        Err(_) => Err("its address is not a URL"),
        Ok(url) if url.as_str() != id => {
            Err("its address is not in normal form (lower case, no dot segments, no default port)")
        }
        Ok(url) if url.path() == "/" => Err("its address has no path"),
        Ok(url) if url.fragment().is_some() => Err("its address has a fragment"),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => Err("its address has a user name"),
        Ok(url) => Ok(url),
    })
}

impl Documents {
    pub(crate) fn new(outbound: Arc<Outbound>, options: ServerOptions, clock: Arc<dyn Clock>) -> Self {
        let fetches = Buckets::new(FETCHES, clock.clone());
        Self(Arc::new(Inner { outbound, options, clock, fetches, entries: Mutex::default() }))
    }

    /// What the document at `url` says.
    pub(super) async fn read(&self, url: &Url) -> Result<Metadata, NoClient> {
        match self.0.current(url).await {
            Ok(copy) => Ok(copy.metadata.clone()),
            Err(Refusal::Rule(rule)) => Err(NoClient::BadDocument(rule)),
            Err(Refusal::Passing(why)) => Err(NoClient::Failed(AuthError::UpstreamUnavailable {
                retry_after: PAUSE,
                cause: Cause::text(format!("the client's metadata document: {why}")),
            })),
        }
    }
}

impl Inner {
    async fn current(self: &Arc<Self>, url: &Url) -> Result<Arc<Copy>, Refusal> {
        let flight = {
            let now = self.clock.now();
            let mut entries = self.entries();
            make_room(&mut entries, url.as_str());
            let entry = entries.entry(url.as_str().to_owned()).or_default();
            entry.asked_at = now.0;
            match (&entry.copy, &entry.failed) {
                (Some(copy), _) if now < copy.fresh_until => return Ok(copy.clone()),
                (copy, Some((refusal, until))) if now < *until => {
                    return last_good(copy.as_ref(), refusal.clone(), now);
                }
                _ => {}
            }
            let host = url.host_str().unwrap_or_default();
            if entry.flight.is_none() && self.fetches.take(host.to_owned()).is_err() {
                let busy = Refusal::Passing("its site was asked too often in the last minute".into());
                return last_good(entry.copy.as_ref(), busy, now);
            }
            entry.flight.get_or_insert_with(|| self.start(url)).clone()
        };
        flight.await
    }

    /// Fetches in a task of its own: it ends well although everybody who waited went away.
    fn start(self: &Arc<Self>, url: &Url) -> Flight {
        let (inner, url) = (self.clone(), url.clone());
        let task = tokio::spawn(async move {
            let outcome = match inner.outbound.json(&url).await {
                Ok(fetched) => inner.read(&url, fetched),
                Err(error) => Err(refusal(error)),
            };
            inner.take_over(&url, outcome)
        });
        let ended = task.map(|ended| ended.unwrap_or(Err(Refusal::Passing("the fetch was cut off".into()))));
        ended.boxed().shared()
    }

    fn read(&self, url: &Url, fetched: Fetched) -> Result<Copy, Refusal> {
        let rule = |rule: Cow<'static, str>| Refusal::Rule(rule);
        if fetched.document.get("client_id").and_then(|id| id.as_str()) != Some(url.as_str()) {
            return Err(rule("client_id in it is not its address, to the byte".into()));
        }
        let metadata =
            Metadata::of_document(&fetched.document, &self.options).map_err(|e| rule(e.into_description()))?;
        let fresh = fetched.fresh.unwrap_or(USUAL).clamp(FLOOR, CEILING);
        Ok(Copy { metadata, fresh_until: self.clock.now() + fresh })
    }

    fn take_over(&self, url: &Url, outcome: Result<Copy, Refusal>) -> Result<Arc<Copy>, Refusal> {
        let now = self.clock.now();
        let mut entries = self.entries();
        let entry = entries.entry(url.as_str().to_owned()).or_default();
        entry.flight = None;
        match outcome {
            Ok(copy) => {
                let copy = Arc::new(copy);
                entry.copy = Some(copy.clone());
                entry.failed = None;
                Ok(copy)
            }
            Err(refusal) => {
                tracing::info!(document = url.as_str(), why = ?refusal, "a client's document is not accepted");
                entry.failed = Some((refusal.clone(), now + PAUSE));
                last_good(entry.copy.as_ref(), refusal, now)
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn last_good(copy: Option<&Arc<Copy>>, refusal: Refusal, now: Timestamp) -> Result<Arc<Copy>, Refusal> {
    match copy {
        Some(copy) if now <= copy.fresh_until + LAST_GOOD => Ok(copy.clone()),
        _ => Err(refusal),
    }
}

fn refusal(error: FetchError) -> Refusal {
    let why = error.describe().into();
    if error.passes() { Refusal::Passing(why) } else { Refusal::Rule(why) }
}

/// Forgets the document that nobody asked for the longest.
fn make_room(entries: &mut HashMap<String, Entry>, coming: &str) {
    if entries.len() < MOST || entries.contains_key(coming) {
        return;
    }
    let idle = entries.iter().filter(|(_, entry)| entry.flight.is_none());
    let oldest = idle.min_by_key(|(_, entry)| entry.asked_at).map(|(url, _)| url.clone());
    if let Some(oldest) = oldest {
        entries.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n05_an_id_is_a_document_only_in_the_one_spelling_of_its_address() {
        for good in ["https://claude.ai/oauth/claude-code-client-metadata", "https://a.example:8443/c?x=1"] {
            assert!(address(good).unwrap().is_ok(), "{good}");
        }
        for bad in [
            "https://a.example",
            "https://a.example/",
            "https://A.example/c",
            "https://a.example:443/c",
            "https://a.example/x/../c",
            "https://a.example/./c",
            "https://a.example/%2e%2e/c",
            "https://a.example/c#x",
            "https://user@a.example/c",
            "https://a.example\\c",
            "https://2130706433/c",
            "https:///c",
        ] {
            assert!(address(bad).unwrap().is_err(), "{bad}");
        }
        for other in ["ac_x", "mcp_1", "ftp://a.example/c", "HTTPS://a.example/c", ""] {
            assert!(address(other).is_none(), "{other}");
        }
    }
}
