//! Fetching what a stranger's address names: metadata documents and keys of clients. The stranger chooses the address, so
//! the fetch must not reach what only we can reach (server-side request forgery).
//!
//! Every connection goes to an address that was resolved and looked at here: the look is the HTTP client's own name
//! resolution, so a name that answers differently a moment later (DNS rebinding) gains nothing. Redirects are not followed,
//! proxies are not used, time and size are bounded, and only JSON is read.

mod addresses;
mod freshness;

use std::{error::Error as StdError, fmt, net::IpAddr, sync::Arc, time::Duration};

use authchain::{
    core::{AuthError, Clock},
    provider::trusting,
    trust::Trust,
};
use http::{
    StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde_json::{Map, Value};
use url::{Host, Url};

/// For the whole fetch, from the name to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
/// No document has a reason to be longer.
const LONGEST: usize = 64 * 1024;

/// Fetches JSON from addresses that strangers name.
pub(crate) struct Outbound {
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    loopback: bool,
}

/// A document.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) document: Map<String, Value>,
    /// How long it may be kept, where its headers say so.
    pub(crate) fresh: Option<Duration>,
}

/// Why there is no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchError {
    /// It is not https.
    Scheme,
    /// It leads to a private, loopback or otherwise special address.
    Inside,
    /// It answers with a redirect.
    Redirect,
    /// It answers with a status that will not change by itself.
    Status,
    /// It is not `application/json`.
    NotJson,
    /// It is longer than 64 KiB.
    TooLong,
    /// It cannot be reached, or says that it has trouble: that passes.
    Unreachable,
}

impl FetchError {
    /// Whether trying again later makes sense.
    pub(crate) fn passes(self) -> bool {
        self == Self::Unreachable
    }

    /// The rule, in a sentence that begins with what was fetched.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Scheme => "its address is not https",
            Self::Inside => "its address is private, loopback or link-local: only public addresses are fetched",
            Self::Redirect => "its address answers with a redirect, and redirects are not followed",
            Self::Status => "its address does not answer with status 200",
            Self::NotJson => "it is not a JSON object served as application/json",
            Self::TooLong => "it is longer than 64 KiB",
            Self::Unreachable => "it cannot be fetched just now",
        }
    }
}

impl Outbound {
    /// `loopback` allows plain http and loopback addresses besides: for development only.
    pub(crate) fn new(loopback: bool, trust: &Trust, clock: Arc<dyn Clock>) -> Result<Self, AuthError> {
        Self::resolving_with(Arc::new(SystemNames), loopback, trust, clock)
    }

    fn resolving_with(
        names: Arc<dyn Resolve>,
        loopback: bool,
        trust: &Trust,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AuthError> {
        let http = trusting(reqwest::Client::builder(), trust)
            .user_agent(concat!("authchain/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .pool_max_idle_per_host(0)
            .timeout(TIMEOUT)
            .dns_resolver(Guarded { names, loopback })
            .build()
            .map_err(|error| AuthError::Configuration(format!("the HTTP client cannot be built: {error}")))?;
        Ok(Self { http, clock, loopback })
    }

    /// The client, for a cache of keys. Its user calls [`Outbound::check`] on the address first: an address that is a
    /// number needs no resolution.
    pub(crate) fn client(&self) -> reqwest::Client {
        self.http.clone()
    }

    /// Whether an address may be fetched at all, as far as its text tells.
    pub(crate) fn check(&self, url: &Url) -> Result<(), FetchError> {
        let number = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(FetchError::Scheme),
        };
        match url.scheme() {
            "https" => {}
            "http" if self.loopback => {}
            _ => return Err(FetchError::Scheme),
        }
        if number.is_some_and(|address| !is_allowed(address, self.loopback)) {
            return Err(FetchError::Inside);
        }
        Ok(())
    }

    /// Fetches one JSON object.
    pub(crate) async fn json(&self, url: &Url) -> Result<Fetched, FetchError> {
        self.check(url)?;
        let request = self.http.get(url.clone()).header(ACCEPT, "application/json");
        let mut answer = request.send().await.map_err(|error| unanswered(&error))?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(FetchError::Redirect);
        }
        if status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) {
            return Err(FetchError::Unreachable);
        }
        if status != StatusCode::OK {
            return Err(FetchError::Status);
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !is_json(kind) {
            return Err(FetchError::NotJson);
        }
        let fresh = freshness::freshness(answer.headers(), self.clock.now());
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| unanswered(&error))? {
            if body.len() + piece.len() > LONGEST {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        let document = serde_json::from_slice(&body).map_err(|_| FetchError::NotJson)?;
        Ok(Fetched { document, fresh })
    }
}

/// `application/json`, or a type that says by `+json` that it is one (RFC 6839, section 3.1).
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

fn is_allowed(address: IpAddr, loopback: bool) -> bool {
    addresses::is_public(address) || (loopback && address.is_loopback())
}

fn unanswered(error: &reqwest::Error) -> FetchError {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        if error.is::<LeadsInside>() {
            return FetchError::Inside;
        }
        cause = error.source();
    }
    FetchError::Unreachable
}

/// A name resolution that yields addresses only after they were looked at. The connection goes to exactly these.
struct Guarded {
    names: Arc<dyn Resolve>,
    loopback: bool,
}

#[derive(Debug)]
struct LeadsInside;

impl fmt::Display for LeadsInside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name leads to an address that is not public")
    }
}

impl StdError for LeadsInside {}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolving, loopback) = (self.names.resolve(name), self.loopback);
        Box::pin(async move {
            let addresses: Vec<_> = resolving.await?.collect();
            // One that leads inside spoils them all: no honest name has both kinds.
            if addresses.iter().any(|address| !is_allowed(address.ip(), loopback)) {
                return Err(LeadsInside.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The names of the operating system.
struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
