//! How often one address may register, and how often one address and one client may ask for tokens: token buckets in
//! memory. The limits are generous: hosts start several processes, and each registers.
//!
//! The address is that of the connection. `X-Forwarded-For` counts only where the connection comes from a proxy that the
//! operator trusts, and then the last hop that is not such a proxy: what stands further to the left, anybody can write.
//! Loopback addresses are not limited: they are the operator, or a proxy that the operator has not named, behind which
//! everybody would share one bucket.

use std::{
    collections::HashMap,
    convert::Infallible,
    hash::Hash,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use authchain::core::{Clock, Timestamp};
use axum::{
    extract::{ConnectInfo, FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Extensions, HeaderMap, StatusCode, request::Parts};

use crate::{
    audit::{Event, What},
    errors::OAuthError,
    server::Shared,
};

/// So many addresses and clients are remembered; a full bucket need not be.
const MOST: usize = 50_000;

/// How often, and who may speak for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitOptions {
    /// Registrations a minute from one address: 60; 0 for no limit.
    pub registrations: u32,
    /// Requests a minute to the token, revocation and introspection endpoints from one address: 600; 0 for no limit.
    pub tokens_by_address: u32,
    /// Such requests a minute of one client that proves itself: 3000; 0 for no limit. In the name of a public client anybody
    /// could ask, so its share would be used up by others: see [`LimitOptions::tokens_by_public_client`].
    pub tokens_by_client: u32,
    /// Such requests a minute in the name of one public client from one address, so that one of them leaves something of
    /// the address's share to the others: 300; 0 for no limit.
    pub tokens_by_public_client: u32,
    /// Codes of devices that are typed a minute from one address: 30; 0 for no limit. Loopback, which may be a proxy with
    /// everybody behind it, has twenty times as many.
    pub user_codes: u32,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
}

impl Default for LimitOptions {
    fn default() -> Self {
        Self {
            registrations: 60,
            tokens_by_address: 600,
            tokens_by_client: 3000,
            tokens_by_public_client: 300,
            user_codes: 30,
            trusted_proxies: Vec::new(),
        }
    }
}

/// A range of addresses, written like `10.0.0.0/8` or `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

/// Not a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a range of addresses such as 10.0.0.0/8")]
pub struct InvalidNetwork;

impl std::str::FromStr for Network {
    type Err = InvalidNetwork;
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse().map_err(|_| InvalidNetwork)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(longest);
        if length > longest { Err(InvalidNetwork) } else { Ok(Self { address, length }) }
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let shift = |bits: u32| bits.saturating_sub(u32::from(self.length));
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Who a request comes from; `None` where the server was not told the address of the connection.
pub(crate) fn address_of(extensions: &Extensions, headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    let is_proxy = |address: &IpAddr| trusted.iter().any(|network| network.contains(*address));
    let mut address = peer.ip().to_canonical();
    if !is_proxy(&address) {
        return Some(address);
    }
    let hops: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).collect();
    for hop in hops.into_iter().rev() {
        let Some(named) = read_hop(hop.trim()) else { break };
        address = named;
        if !is_proxy(&address) {
            break;
        }
    }
    Some(address)
}

/// An address, possibly with a port, as proxies write it.
fn read_hop(hop: &str) -> Option<IpAddr> {
    let address = hop.parse().or_else(|_| hop.parse::<SocketAddr>().map(|with_port| with_port.ip()));
    address.or_else(|_| hop.trim_matches(['[', ']']).parse()).ok().map(|address: IpAddr| address.to_canonical())
}

/// One household or host has a whole /64 of IPv6 addresses.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// Buckets that hold a minute's share and fill evenly.
pub(crate) struct Buckets<K> {
    per_minute: u32,
    clock: Arc<dyn Clock>,
    full: Mutex<HashMap<K, Bucket>>,
}

/// Counted in sixtieths, so that a second is a whole number of them.
#[derive(Clone, Copy)]
struct Bucket {
    sixtieths: u64,
    at: Timestamp,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(crate) fn new(per_minute: u32, clock: Arc<dyn Clock>) -> Self {
        Self { per_minute, clock, full: Mutex::default() }
    }

    /// Takes one; otherwise says after how long there is one again.
    pub(crate) fn take(&self, key: K) -> Result<(), Duration> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let (now, rate) = (self.clock.now(), u64::from(self.per_minute));
        let most = rate * 60;
        let filled = |bucket: &Bucket| {
            let more = now.since(bucket.at).as_secs().min(60) * rate;
            (bucket.sixtieths + more).min(most)
        };
        let mut buckets = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| filled(bucket) < most);
            if buckets.len() >= MOST {
                // A flood from everywhere: nobody is singled out any more.
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { sixtieths: most, at: now });
        let level = filled(bucket);
        let (level, answer) = match level.checked_sub(60) {
            Some(rest) => (rest, Ok(())),
            None => (level, Err(Duration::from_secs((60 - level).div_ceil(rate).max(1)))),
        };
        *bucket = Bucket { sixtieths: level, at: now };
        answer
    }
}

/// All limits.
pub(crate) struct Limits {
    registrations: Buckets<IpAddr>,
    by_address: Buckets<IpAddr>,
    by_client: Buckets<String>,
    by_public_client: Buckets<(String, IpAddr)>,
    user_codes: Buckets<IpAddr>,
    user_codes_here: Buckets<()>,
    trusted_proxies: Vec<Network>,
}

impl Limits {
    pub(crate) fn new(options: &LimitOptions, clock: &Arc<dyn Clock>) -> Self {
        Self {
            registrations: Buckets::new(options.registrations, clock.clone()),
            by_address: Buckets::new(options.tokens_by_address, clock.clone()),
            by_client: Buckets::new(options.tokens_by_client, clock.clone()),
            by_public_client: Buckets::new(options.tokens_by_public_client, clock.clone()),
            user_codes: Buckets::new(options.user_codes, clock.clone()),
            user_codes_here: Buckets::new(options.user_codes.saturating_mul(20), clock.clone()),
            trusted_proxies: options.trusted_proxies.clone(),
        }
    }

    /// One more registration, by a person.
    pub(crate) fn count_registration(&self, caller: Caller) -> Result<(), OAuthError> {
        let Some(address) = caller.limited() else { return Ok(()) };
        self.registrations.take(address).map_err(|wait| refuse("an address", wait))
    }

    /// One more request of a client that has proven itself.
    pub(crate) fn count_client(&self, id: &str) -> Result<(), OAuthError> {
        self.by_client.take(crate::keys::hashed(id)).map_err(|wait| refuse("a client", wait))
    }

    /// One more request in the name of a public client. Only the address that asks uses anything up: nobody can lock the
    /// client out elsewhere.
    pub(crate) fn count_public_client(&self, id: &str, caller: Caller) -> Result<(), OAuthError> {
        let Some(address) = caller.limited() else { return Ok(()) };
        let key = (crate::keys::hashed(id), address);
        self.by_public_client.take(key).map_err(|wait| refuse("a public client from an address", wait))
    }

    /// One more code that was typed; otherwise after how long there may be one again.
    pub(crate) fn count_user_code(&self, caller: Caller) -> Result<(), Duration> {
        match caller.limited() {
            Some(address) => self.user_codes.take(address),
            None => self.user_codes_here.take(()),
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller(Option<IpAddr>);

impl Caller {
    /// The address that is counted; none for loopback.
    fn limited(self) -> Option<IpAddr> {
        self.0.filter(|address| !address.is_loopback()).map(neighbourhood)
    }
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Shared>) -> Result<Self, Infallible> {
        Ok(Self(address_of(&parts.extensions, &parts.headers, &server.limits.trusted_proxies)))
    }
}

/// In front of registration.
pub(crate) async fn registrations(State(server): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    pass(&server.limits.registrations, &server.limits.trusted_proxies, request, next).await
}

/// In front of the endpoints that take secrets and tokens.
pub(crate) async fn tokens(State(server): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    pass(&server.limits.by_address, &server.limits.trusted_proxies, request, next).await
}

async fn pass(buckets: &Buckets<IpAddr>, trusted: &[Network], request: Request, next: Next) -> Response {
    let caller = Caller(address_of(request.extensions(), request.headers(), trusted));
    if let Some(address) = caller.limited()
        && let Err(wait) = buckets.take(address)
    {
        return refuse("an address", wait).into_response();
    }
    next.run(request).await
}

fn refuse(who: &str, wait: Duration) -> OAuthError {
    Event::new(What::Limited).refused(who);
    OAuthError::new(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", "too many requests: wait and try again")
        .retry_after(wait)
}

#[cfg(test)]
mod tests {
    use authchain::core::ManualClock;

    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn address(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        address_of(&extensions, &headers, &networks(trusted)).unwrap().to_string()
    }

    #[test]
    fn n06_only_a_trusted_proxy_speaks_for_others_and_only_of_its_own_neighbour() {
        let proxies = &["10.0.0.0/8", "::1"];
        assert_eq!(address("1.2.3.4:5", &["9.9.9.9"], proxies), "1.2.3.4");
        assert_eq!(address("10.0.0.1:5", &["9.9.9.9"], proxies), "9.9.9.9");
        assert_eq!(address("10.0.0.1:5", &["6.6.6.6, 9.9.9.9"], proxies), "9.9.9.9");
        assert_eq!(address("10.0.0.1:5", &["6.6.6.6, 9.9.9.9, 10.0.0.2"], proxies), "9.9.9.9");
        assert_eq!(address("10.0.0.1:5", &["6.6.6.6", "9.9.9.9"], proxies), "9.9.9.9");
        assert_eq!(address("10.0.0.1:5", &["9.9.9.9:4711"], proxies), "9.9.9.9");
        assert_eq!(address("[::1]:5", &["[2001:db8::1]:80"], proxies), "2001:db8::1");
        assert_eq!(address("10.0.0.1:5", &["nonsense"], proxies), "10.0.0.1");
        assert_eq!(address("10.0.0.1:5", &[], proxies), "10.0.0.1");
        assert_eq!(address("[::ffff:10.0.0.1]:5", &["9.9.9.9"], proxies), "9.9.9.9");
        assert_eq!(address("10.0.0.1:5", &["9.9.9.9"], &[]), "10.0.0.1");
    }

    #[test]
    fn a_network_is_an_address_and_a_length() {
        for good in ["10.0.0.0/8", "0.0.0.0/0", "127.0.0.1", "::/0", "fd00::/8"] {
            assert!(good.parse::<Network>().is_ok(), "{good}");
        }
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "localhost", "10.0.0.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let everything: Network = "0.0.0.0/0".parse().unwrap();
        assert!(everything.contains("8.8.8.8".parse().unwrap()) && !everything.contains("::1".parse().unwrap()));
    }

    #[test]
    fn n06_a_bucket_holds_a_minutes_share_and_fills_evenly() {
        let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000)));
        let buckets = Buckets::new(30, clock.clone());
        for _ in 0..30 {
            assert_eq!(buckets.take("a"), Ok(()));
        }
        assert_eq!(buckets.take("a"), Err(Duration::from_secs(2)));
        assert_eq!(buckets.take("b"), Ok(()), "others have their own");
        clock.advance(Duration::from_secs(1));
        assert_eq!(buckets.take("a"), Err(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(buckets.take("a"), Ok(()));
        assert!(buckets.take("a").is_err());
        clock.advance(Duration::from_secs(3600));
        let again = (0..100).filter(|_| buckets.take("a").is_ok()).count();
        assert_eq!(again, 30, "what is not used does not pile up");
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        let buckets = Buckets::new(0, Arc::new(ManualClock::new(Timestamp(0))));
        assert!((0..1000).all(|_| buckets.take("a").is_ok()));
    }
}
