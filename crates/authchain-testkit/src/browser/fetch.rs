//! What a browser says about how a request came about: `Sec-Fetch-*`, `Origin`, `Referer` (Fetch Metadata; Fetch, section
//! 3.1; Referrer Policy).

use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::{Host, Url};

use super::Page;

/// A request on the way through redirects.
#[derive(Clone, Debug)]
pub(crate) struct Navigation {
    pub(crate) url: Url,
    /// The form of a POST; `None` for a GET.
    pub(crate) form: Option<String>,
    pub(crate) initiator: Option<Initiator>,
    /// Whether every address so far was of the initiator's origin, or at least of its site.
    nearness: Nearness,
    /// Whether a foreign origin has redirected to yet another one (Fetch, "redirect-tainted origin").
    tainted: bool,
}

/// The page that a link or a form is on.
#[derive(Clone, Debug)]
pub(crate) struct Initiator {
    pub(crate) url: Url,
    policy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    SameOrigin,
    SameSite,
    CrossSite,
}

impl Initiator {
    pub(crate) fn of(page: &Page) -> Self {
        let header = page.headers.get(header::REFERRER_POLICY).and_then(|value| value.to_str().ok());
        let policy = page.meta("referrer").or_else(|| header.map(str::to_owned)).unwrap_or_default();
        // The last of a list that a browser knows counts; nobody sends unknown ones.
        let policy = policy.rsplit(',').next().unwrap_or_default().trim().to_ascii_lowercase();
        Self { url: page.url.clone(), policy }
    }
}

impl Navigation {
    pub(crate) fn new(url: Url, form: Option<String>, initiator: Option<Initiator>) -> Self {
        let nearness = initiator.as_ref().map_or(Nearness::SameOrigin, |from| nearness(&from.url, &url));
        Self { url, form, initiator, nearness, tainted: false }
    }

    /// Follows a redirect: 303 always becomes a GET, 301 and 302 do so for a POST, 307 and 308 never (Fetch, section 4.4).
    pub(crate) fn redirected(self, status: u16, url: Url) -> Self {
        let form = if matches!(status, 307 | 308) { self.form } else { None };
        let here = self.initiator.as_ref().map_or(Nearness::SameOrigin, |from| nearness(&from.url, &url));
        let foreign = self.initiator.as_ref().is_some_and(|from| from.url.origin() != self.url.origin());
        let tainted = self.tainted || (foreign && self.url.origin() != url.origin());
        Self { url, form, initiator: self.initiator, nearness: self.nearness.max(here), tainted }
    }

    /// The headers that browsers add.
    pub(crate) fn headers(&self) -> HeaderMap {
        let site = match (&self.initiator, self.nearness) {
            (None, _) => "none",
            (Some(_), Nearness::SameOrigin) => "same-origin",
            (Some(_), Nearness::SameSite) => "same-site",
            (Some(_), Nearness::CrossSite) => "cross-site",
        };
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("sec-fetch-site", site),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-user", "?1"),
            ("sec-fetch-dest", "document"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if let Some(referrer) = self.initiator.as_ref().and_then(|from| referrer(from, &self.url))
            && let Ok(value) = HeaderValue::from_str(&referrer)
        {
            headers.insert(header::REFERER, value);
        }
        if self.form.is_some()
            && let Ok(value) = HeaderValue::from_str(&self.origin())
        {
            headers.insert(header::ORIGIN, value);
        }
        headers
    }

    /// The `Origin` of a POST. A page with the policy `no-referrer` sends `null`, which many a server forgets.
    fn origin(&self) -> String {
        let Some(from) = &self.initiator else { return "null".to_owned() };
        let kept = match from.policy.as_str() {
            "no-referrer" => false,
            "same-origin" => from.url.origin() == self.url.origin(),
            "origin" | "origin-when-cross-origin" | "unsafe-url" => true,
            _ => !is_downgrade(&from.url, &self.url),
        };
        if kept && !self.tainted { from.url.origin().ascii_serialization() } else { "null".to_owned() }
    }
}

/// What the `Referer` of a request from this page is (Referrer Policy, section 8.3).
fn referrer(from: &Initiator, to: &Url) -> Option<String> {
    let mut full = from.url.clone();
    full.set_fragment(None);
    let origin = || format!("{}/", from.url.origin().ascii_serialization());
    let same = from.url.origin() == to.origin();
    let downgrade = is_downgrade(&from.url, to);
    match from.policy.as_str() {
        "no-referrer" => None,
        "origin" => Some(origin()),
        "unsafe-url" => Some(full.into()),
        "same-origin" => same.then(|| full.into()),
        "strict-origin" => (!downgrade).then(origin),
        "no-referrer-when-downgrade" => (!downgrade).then(|| full.into()),
        "origin-when-cross-origin" => Some(if same { full.into() } else { origin() }),
        _ if same => Some(full.into()),
        _ => (!downgrade).then(origin),
    }
}

fn is_downgrade(from: &Url, to: &Url) -> bool {
    from.scheme() == "https" && to.scheme() != "https"
}

fn nearness(from: &Url, to: &Url) -> Nearness {
    if from.origin() == to.origin() {
        Nearness::SameOrigin
    } else if same_site(from, to) {
        Nearness::SameSite
    } else {
        Nearness::CrossSite
    }
}

/// Whether two addresses are of one site: scheme and registrable domain; ports do not matter. Without the public suffix
/// list, the last two labels count as the registrable domain.
pub(crate) fn same_site(a: &Url, b: &Url) -> bool {
    let site = |url: &Url| match url.host() {
        Some(Host::Domain(domain)) => {
            let labels: Vec<&str> = domain.rsplit('.').take(2).collect();
            labels.join(".")
        }
        Some(host) => host.to_string(),
        None => String::new(),
    };
    a.scheme() == b.scheme() && site(a) == site(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn from(address: &str, policy: &str) -> Option<Initiator> {
        Some(Initiator { url: url(address), policy: policy.into() })
    }

    fn value(navigation: &Navigation, name: &str) -> Option<String> {
        navigation.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_site_of_a_request_is_that_of_the_farthest_address_on_its_way() {
        let site = |navigation: &Navigation| value(navigation, "sec-fetch-site").unwrap();
        let typed = Navigation::new(url("http://127.0.0.1:1/"), None, None);
        assert_eq!(site(&typed.redirected(302, url("https://b.example/"))), "none");
        let link = Navigation::new(url("http://127.0.0.1:1/a"), None, from("http://127.0.0.1:1/", ""));
        assert_eq!(site(&link), "same-origin");
        let link = link.redirected(302, url("http://127.0.0.1:2/"));
        assert_eq!(site(&link), "same-site", "another port is another origin of the same site");
        let link = link.redirected(302, url("http://localhost:1/")).redirected(302, url("http://127.0.0.1:1/"));
        assert_eq!(site(&link), "cross-site", "and so it stays");
    }

    #[test]
    fn a_post_tells_its_origin_unless_the_page_keeps_its_mouth_shut() {
        let post = |policy: &str| {
            Navigation::new(url("http://a.example/b"), Some(String::new()), from("http://a.example/a?q", policy))
        };
        assert_eq!(value(&post(""), "origin").as_deref(), Some("http://a.example"));
        assert_eq!(value(&post(""), "referer").as_deref(), Some("http://a.example/a?q"));
        assert_eq!(value(&post("no-referrer"), "origin").as_deref(), Some("null"));
        assert_eq!(value(&post("no-referrer"), "referer"), None);
        let elsewhere = post("").redirected(307, url("http://b.example/"));
        assert_eq!(value(&elsewhere, "origin").as_deref(), Some("http://a.example"));
        let onward = elsewhere.redirected(307, url("http://c.example/"));
        assert_eq!(value(&onward, "origin").as_deref(), Some("null"));
        let got = post("").redirected(303, url("http://b.example/"));
        assert_eq!(value(&got, "origin"), None, "a GET has none");
        assert_eq!(value(&got, "referer").as_deref(), Some("http://a.example/"));
    }
}
