//! Cookies: what binds a transaction to the browser that began it, and what remembers who signed in at it.
//!
//! Over https every cookie has the `__Host-` prefix: only this very host can set it, for all of its paths. Over plain http,
//! which is loopback, browsers refuse that prefix, so the names stand without it.

use std::time::Duration;

use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, InvalidHeaderValue},
};

/// How cookies are named and written here.
pub(crate) struct Cookies {
    secure: bool,
    transaction_life: Duration,
}

impl Cookies {
    pub(crate) fn new(secure: bool, transaction_life: Duration) -> Self {
        Self { secure, transaction_life }
    }

    /// The cookie of one transaction. Each has its own, so that several live side by side in one browser.
    pub(crate) fn transaction(&self, id: &str) -> String {
        self.name(&format!("authchain-t-{id}"))
    }

    /// The cookie that says who signed in at this browser.
    pub(crate) fn session(&self) -> String {
        self.name("authchain-browser")
    }

    fn name(&self, name: &str) -> String {
        if self.secure { format!("__Host-{name}") } else { name.into() }
    }

    /// What the browser sent under this name.
    pub(crate) fn read<'a>(&self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    /// Sets the cookie of a transaction.
    pub(crate) fn set_transaction(&self, id: &str, value: &str) -> Result<HeaderValue, InvalidHeaderValue> {
        self.set(&self.transaction(id), value, self.transaction_life)
    }

    /// Sets a cookie. `Lax`, because the way back from the provider is a navigation from another site.
    pub(crate) fn set(&self, name: &str, value: &str, life: Duration) -> Result<HeaderValue, InvalidHeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let mut cookie = HeaderValue::from_str(&format!(
            "{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
            life.as_secs()
        ))?;
        cookie.set_sensitive(true);
        Ok(cookie)
    }

    /// Removes a cookie.
    pub(crate) fn clear(&self, name: &str) -> Result<HeaderValue, InvalidHeaderValue> {
        self.set(name, "", Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_https_a_cookie_belongs_to_this_host_alone() {
        let cookies = Cookies::new(true, Duration::from_secs(600));
        let set = cookies.set_transaction("abc", "secret").unwrap();
        assert_eq!(
            set.to_str().unwrap(),
            "__Host-authchain-t-abc=secret; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
        );
        assert!(set.is_sensitive());
    }

    #[test]
    fn over_plain_http_it_is_neither_prefixed_nor_secure() {
        let set = Cookies::new(false, Duration::from_secs(600)).set_transaction("abc", "secret").unwrap();
        assert!(!set.to_str().unwrap().contains("Secure") && !set.to_str().unwrap().contains("__Host-"));
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let cookies = Cookies::new(false, Duration::ZERO);
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; authchain-t-x=one".parse().unwrap());
        headers.append(COOKIE, "authchain-browser=two=2".parse().unwrap());
        assert_eq!(cookies.read(&headers, &cookies.transaction("x")), Some("one"));
        assert_eq!(cookies.read(&headers, &cookies.session()), Some("two=2"));
        assert_eq!(cookies.read(&headers, &cookies.transaction("y")), None);
    }
}
