//! A cookie jar that behaves as those of browsers do (RFC 6265bis), except that `Secure` cookies also travel over plain
//! HTTP on loopback, as browsers allow there.

use std::time::Duration;

use authchain_core::Timestamp;
use url::{Host, Url};

use super::fetch::same_site;

#[derive(Default)]
pub(crate) struct Jar(Vec<Cookie>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    host: String,
    /// Sent to exactly this host; else to its subdomains, too.
    host_only: bool,
    path: String,
    secure: bool,
    same_site: SameSite,
    expires: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SameSite {
    Strict,
    Lax,
    None,
}

/// How a request came about, as far as cookies care.
#[derive(Clone, Copy)]
pub(crate) struct Visit<'a> {
    pub(crate) to: &'a Url,
    /// The page that led here; `None` for a typed address.
    pub(crate) from: Option<&'a Url>,
    /// Whether the method is GET or HEAD.
    pub(crate) safe: bool,
    pub(crate) now: Timestamp,
}

impl Jar {
    /// Takes a `Set-Cookie` header of an answer from this address; what browsers refuse is refused.
    pub(crate) fn set(&mut self, header: &str, from: &Url, now: Timestamp) {
        let Some(cookie) = Cookie::parse(header, from, now) else { return };
        self.0.retain(|old| !(old.name == cookie.name && old.host == cookie.host && old.path == cookie.path));
        if cookie.expires > now {
            self.0.push(cookie);
        }
    }

    /// The value of the `Cookie` header of a request, if there is any.
    pub(crate) fn header(&self, visit: Visit<'_>) -> Option<String> {
        let mut cookies: Vec<&Cookie> = self.0.iter().filter(|cookie| cookie.goes(visit)).collect();
        cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = cookies.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The value of one cookie that would be sent.
    pub(crate) fn value(&self, visit: Visit<'_>, name: &str) -> Option<String> {
        self.0.iter().find(|cookie| cookie.name == name && cookie.goes(visit)).map(|cookie| cookie.value.clone())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Cookie {
    fn parse(header: &str, from: &Url, now: Timestamp) -> Option<Self> {
        let mut parts = header.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let host = from.host_str()?.to_owned();
        let mut cookie = Self {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            host,
            host_only: true,
            path: default_path(from),
            secure: false,
            same_site: SameSite::Lax,
            expires: Timestamp::NEVER,
        };
        let mut max_age = false;
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "secure" => cookie.secure = true,
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "samesite" => cookie.same_site = SameSite::parse(value),
                "domain" if !value.is_empty() => cookie.widen(value.trim_start_matches('.'), from)?,
                "max-age" => {
                    if let Ok(seconds) = value.parse::<i64>() {
                        max_age = true;
                        let life = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                        cookie.expires = if life.is_zero() { Timestamp(i64::MIN) } else { now + life };
                    }
                }
                "expires" if !max_age => {
                    let date = jiff::fmt::rfc2822::parse(&value.replace('-', " ").replace("GMT", "+0000")).ok();
                    cookie.expires = date.map_or(cookie.expires, |date| Timestamp(date.timestamp().as_second()));
                }
                _ => {}
            }
        }
        let trusted = from.scheme() == "https" || is_loopback(from);
        let locked = !cookie.name.starts_with("__Host-") || (cookie.secure && cookie.host_only && cookie.path == "/");
        let secure = cookie.secure || (!cookie.name.starts_with("__Secure-") && cookie.same_site != SameSite::None);
        (!cookie.name.is_empty() && locked && secure && (trusted || !cookie.secure)).then_some(cookie)
    }

    /// `Domain=`: this host or a parent of it; never an address.
    fn widen(&mut self, domain: &str, from: &Url) -> Option<()> {
        let domain = domain.to_ascii_lowercase();
        let named = matches!(from.host(), Some(Host::Domain(_)));
        if self.host != domain && !(named && self.host.ends_with(&format!(".{domain}")) && domain.contains('.')) {
            return None;
        }
        self.host_only = !named;
        self.host = domain;
        Some(())
    }

    fn goes(&self, visit: Visit<'_>) -> bool {
        let host = visit.to.host_str().unwrap_or_default();
        let host_fits = host == self.host || (!self.host_only && host.ends_with(&format!(".{}", self.host)));
        let path = visit.to.path();
        let path_fits = path
            .strip_prefix(self.path.as_str())
            .is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'));
        let secure_fits = !self.secure || visit.to.scheme() == "https" || is_loopback(visit.to);
        let at_home = visit.from.is_none_or(|from| same_site(from, visit.to));
        let site_fits = match self.same_site {
            SameSite::None => true,
            SameSite::Lax => at_home || visit.safe,
            SameSite::Strict => at_home,
        };
        host_fits && path_fits && secure_fits && site_fits && self.expires > visit.now
    }
}

impl SameSite {
    fn parse(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "strict" => Self::Strict,
            "none" => Self::None,
            _ => Self::Lax,
        }
    }
}

/// RFC 6265, section 5.1.4.
fn default_path(url: &Url) -> String {
    match url.path().rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder.to_owned(),
        _ => "/".to_owned(),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost" || domain.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_246_020);

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn sent(cookie: &str, set_by: &str, to: &str) -> bool {
        sent_from(cookie, set_by, to, None, true)
    }

    fn sent_from(cookie: &str, set_by: &str, to: &str, from: Option<&str>, safe: bool) -> bool {
        let mut jar = Jar::default();
        jar.set(cookie, &url(set_by), NOW);
        let (to, from) = (url(to), from.map(url));
        jar.header(Visit { to: &to, from: from.as_ref(), safe, now: NOW + Duration::from_secs(10) }).is_some()
    }

    #[test]
    fn a_cookie_goes_where_it_belongs() {
        let here = "https://a.example/x/y";
        assert!(sent("n=v", here, "https://a.example/x/z"));
        assert!(!sent("n=v", here, "https://a.example/other"), "default path");
        assert!(!sent("n=v; Path=/x", here, "https://a.example/xy"), "a path ends at a slash");
        assert!(!sent("n=v; Path=/", here, "https://b.a.example/"), "host only");
        assert!(sent("n=v; Path=/; Domain=a.example", here, "https://b.a.example/"));
        assert!(!sent("n=v; Path=/; Domain=b.example", here, "https://b.example/"), "foreign domain");
        assert!(sent("n=v; Path=/", "http://127.0.0.1:1/", "http://127.0.0.1:2/"), "ports do not separate cookies");
    }

    #[test]
    fn secure_means_https_or_loopback() {
        assert!(!sent("n=v; Secure", "https://a.example/", "http://a.example/"));
        assert!(!sent("n=v; Secure", "http://a.example/", "https://a.example/"), "not settable");
        assert!(sent("n=v; Secure", "http://localhost:1/", "http://localhost:1/"));
        assert!(sent("__Host-n=v; Secure; Path=/", "http://127.0.0.1:1/", "http://127.0.0.1:1/"));
        assert!(!sent("__Host-n=v; Secure; Path=/a", "https://a.example/", "https://a.example/a"));
        assert!(!sent("__Host-n=v; Path=/", "https://a.example/", "https://a.example/"));
        assert!(!sent("n=v; SameSite=None", "https://a.example/", "https://a.example/"), "None needs Secure");
    }

    #[test]
    fn same_site_is_kept() {
        let (home, other) = ("https://a.example/", Some("https://b.example/"));
        assert!(!sent_from("n=v; SameSite=Strict", home, home, other, true));
        assert!(sent_from("n=v; SameSite=Lax", home, home, other, true));
        assert!(!sent_from("n=v", home, home, other, false), "Lax is the default");
        assert!(sent_from("n=v; SameSite=None; Secure", home, home, other, false));
        assert!(sent_from("n=v; SameSite=Strict", home, home, None, true), "a typed address");
    }

    #[test]
    fn cookies_end() {
        let home = "https://a.example/";
        assert!(!sent("n=v; Max-Age=5", home, home));
        assert!(sent("n=v; Max-Age=60; Expires=Wed, 01 Jan 2020 00:00:00 GMT", home, home), "Max-Age wins");
        assert!(!sent("n=v; Expires=Wed, 01 Jan 2020 00:00:00 GMT", home, home));
        assert!(!sent("n=v; Expires=Wed, 01-Jan-2020 00:00:00 GMT", home, home));
        let mut jar = Jar::default();
        jar.set("n=v", &url(home), NOW);
        jar.set("n=; Max-Age=0", &url(home), NOW);
        assert_eq!(jar.0, []);
    }
}
