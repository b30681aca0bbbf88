//! Where the endpoints are, below the public URL: as clients of another server, or the redirect URI that is entered at the
//! provider, demand it.

use authchain::core::AuthError;
use serde::Deserialize;

/// The paths of the endpoints. Clients learn them from the metadata (RFC 8414), so they are free to choose; well-known
/// places, the pages below `/auth` and the alias `/register` stay where they are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paths {
    /// The authorization endpoint: `/oauth/authorize`.
    pub authorize: String,
    /// Where the consent page sends its answer: `/oauth/consent`.
    pub consent: String,
    /// Where the provider sends people back to: `/oauth2callback`. The whole address is entered at the provider.
    pub callback: String,
    /// The token endpoint: `/oauth/token`.
    pub token: String,
    /// Introspection (RFC 7662): `/oauth/introspect`.
    pub introspect: String,
    /// Revocation (RFC 7009): `/oauth/revoke`.
    pub revoke: String,
    /// Registration (RFC 7591), and below it each client's own address (RFC 7592): `/oauth/register`.
    pub register: String,
    /// The public keys: `/oauth/jwks`.
    pub jwks: String,
    /// That the server is up: `/oauth/status`.
    pub status: String,
    /// Where devices ask for a code (RFC 8628): `/oauth/device_authorization`.
    pub device_authorization: String,
    /// The page on which people enter the code of a device: `/device`.
    pub device: String,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            authorize: "/oauth/authorize".into(),
            consent: "/oauth/consent".into(),
            callback: "/oauth2callback".into(),
            token: "/oauth/token".into(),
            introspect: "/oauth/introspect".into(),
            revoke: "/oauth/revoke".into(),
            register: "/oauth/register".into(),
            jwks: "/oauth/jwks".into(),
            status: "/oauth/status".into(),
            device_authorization: "/oauth/device_authorization".into(),
            device: "/device".into(),
        }
    }
}

/// Begins what is at a fixed place.
const TAKEN: [&str; 5] = ["/.well-known", "/auth", "/oauth/clients", "/register", "/style"];

impl Paths {
    /// Each with its name in the configuration.
    pub(crate) fn named(&self) -> [(&'static str, &str); 11] {
        [
            ("authorize", &self.authorize),
            ("consent", &self.consent),
            ("callback", &self.callback),
            ("token", &self.token),
            ("introspect", &self.introspect),
            ("revoke", &self.revoke),
            ("register", &self.register),
            ("jwks", &self.jwks),
            ("status", &self.status),
            ("device_authorization", &self.device_authorization),
            ("device", &self.device),
        ]
    }

    /// Where a device's page sends its answer.
    pub(crate) fn device_decide(&self) -> String {
        format!("{}/decide", self.device)
    }

    /// Refuses what is no path, or is somebody else's. `mcp`: the endpoint's path below the public URL.
    pub(crate) fn check(&self, mcp: &str) -> Result<(), AuthError> {
        let mcp = mcp.trim_end_matches('/');
        let named = self.named();
        for (index, (name, path)) in named.iter().enumerate() {
            let refuse = |why: &str| Err(AuthError::Configuration(format!("paths.{name} = {path:?}: {why}")));
            let plain = path.strip_prefix('/').is_some_and(|rest| {
                let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
                rest.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && part.chars().all(good))
            });
            if !plain {
                return refuse("it is a path such as /oauth/token, without a slash at its end");
            }
            let below =
                |place: &str| path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            if TAKEN.into_iter().any(below) || (!mcp.is_empty() && below(mcp)) {
                return refuse("something else is there");
            }
            if let Some((other, _)) = named.iter().take(index).find(|(_, other)| other == path) {
                return refuse(&format!("paths.{other} is there already"));
            }
        }
        let decide = self.device_decide();
        if let Some((name, _)) = named.iter().find(|(_, path)| *path == decide) {
            return Err(AuthError::Configuration(format!("paths.{name} = {decide:?}: the page for devices needs it")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut Paths)) -> Result<(), String> {
        let mut paths = Paths::default();
        change(&mut paths);
        paths.check("/mcp").map_err(|error| error.to_string())
    }

    #[test]
    fn the_usual_paths_and_those_of_other_servers_are_good() {
        checked(|_| {}).unwrap();
        checked(|paths| {
            paths.authorize = "/authorize".into();
            paths.token = "/token".into();
            paths.callback = "/oauth/google/callback".into();
        })
        .unwrap();
    }

    #[test]
    fn what_is_no_path_or_is_taken_is_refused_by_name() {
        for bad in [
            "",
            "/",
            "token",
            "/a/",
            "/a//b",
            "/{id}",
            "/a?b",
            "/..",
            "/a b",
            "/auth",
            "/auth/x",
            "/mcp",
            "/mcp/x",
            "/.well-known/x",
        ] {
            let why = checked(|paths| paths.token = bad.into()).expect_err(bad);
            assert!(why.contains("paths.token"), "{why}");
        }
        assert!(checked(|paths| paths.token = paths.revoke.clone()).is_err());
        assert!(checked(|paths| paths.token = "/device/decide".into()).is_err());
        checked(|paths| paths.token = "/authx".into()).unwrap();
        Paths::default().check("/").unwrap();
    }
}
