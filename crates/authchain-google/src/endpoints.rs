//! Where Google's APIs are: at Google, or all under one base address (the stand-in of the test kit).

use authchain_core::AuthError;
use authchain_trust::Trust;
use url::{Host, Url};

/// Where the APIs are. The default is Google.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// `None` is Google itself. `Some` puts every API under this base: the host of an API's address is replaced and its
    /// path is appended, so that Drive is at `{base}/drive/v3/` and Gmail at `{base}/gmail/v1/`.
    pub base: Option<Url>,
    /// Whose certificates are good there.
    pub trust: Trust,
}

impl Endpoints {
    /// Google itself.
    pub fn google() -> Self {
        Self::default()
    }

    /// Every API under `base`.
    pub fn under(base: Url) -> Self {
        Self { base: Some(base), trust: Trust::default() }
    }

    /// The address to use for an address of Google's: itself, or its path under the base. What is not a URL stays as it is.
    pub fn locate(&self, address: &str) -> String {
        match (&self.base, Url::parse(address)) {
            (Some(base), Ok(address)) => format!("{}{}", base.as_str().trim_end_matches('/'), address.path()),
            _ => address.to_owned(),
        }
    }

    /// Whether requests go over plain HTTP.
    pub(crate) fn is_plain(&self) -> bool {
        self.base.as_ref().is_some_and(|base| base.scheme() == "http")
    }

    /// Access tokens are sent in the clear only to this very machine.
    pub(crate) fn check(&self) -> Result<(), AuthError> {
        let Some(base) = &self.base else { return Ok(()) };
        let loopback = match base.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match base.scheme() {
            "https" => Ok(()),
            "http" if loopback => Ok(()),
            _ => Err(AuthError::Configuration(format!(
                "{base} cannot stand in for Google: it has to be https, or http on a loopback address"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under(base: &str) -> Endpoints {
        Endpoints::under(Url::parse(base).unwrap())
    }

    #[test]
    fn google_is_where_google_says() {
        assert_eq!(Endpoints::google().locate("https://gmail.googleapis.com/"), "https://gmail.googleapis.com/");
    }

    #[test]
    fn a_stand_in_keeps_the_paths() {
        let drive = "https://www.googleapis.com/drive/v3/";
        assert_eq!(under("http://127.0.0.1:9000").locate(drive), "http://127.0.0.1:9000/drive/v3/");
        assert_eq!(under("http://127.0.0.1:9000/google/").locate(drive), "http://127.0.0.1:9000/google/drive/v3/");
    }

    #[test]
    fn a_stand_in_is_https_or_on_this_machine() {
        for good in ["https://example.com", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"] {
            assert!(under(good).check().is_ok(), "{good}");
        }
        for bad in ["http://example.com", "http://10.0.0.1", "ftp://127.0.0.1", "http://localhost.example.com"] {
            assert!(under(bad).check().is_err(), "{bad}");
        }
    }
}
