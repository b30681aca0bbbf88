//! What is known of a provider, as plain data: its endpoints, the parameters it wants, the scopes it will not combine.

use std::time::Duration;

use authchain_core::{OAuthClient, ProviderId, Scopes, TokenGroup};
use url::Url;

/// How a client proves itself at the token endpoint (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// Id and secret in the form (`client_secret_post`); a client without secret sends its id only (`none`).
    #[default]
    Post,
    /// Id and secret in the `Authorization` header (`client_secret_basic`).
    Basic,
}

/// Scopes that a provider refuses to grant together with others: they are asked for apart and filed in a token group
/// of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExclusiveGroup {
    /// The group that credentials with these scopes are filed in.
    pub group: TokenGroup,
    /// A scope belongs here when it starts with one of these.
    pub prefixes: Vec<String>,
    /// Authorization parameters of the provider that are left out when these scopes are asked for, because they would
    /// bring the other scopes back in (`include_granted_scopes`).
    pub without: Vec<String>,
}

impl ExclusiveGroup {
    fn holds(&self, scope: &str) -> bool {
        self.prefixes.iter().any(|prefix| scope.starts_with(prefix.as_str()))
    }
}

/// An OAuth provider: where its endpoints are and how it wants to be spoken to. Plain data; every field may be changed.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name in this house: `google`.
    pub id: ProviderId,
    /// The `iss` of its id tokens (OpenID Connect Core 1.0, section 2).
    pub issuer: String,
    /// Other spellings of that issuer that old id tokens carry.
    pub issuer_aliases: Vec<String>,
    /// Where a person signs in (RFC 6749, section 3.1).
    pub authorize_url: Url,
    /// Where codes and refresh tokens are turned into access tokens (RFC 6749, section 3.2).
    pub token_url: Url,
    /// Where tokens are revoked (RFC 7009); not every provider can.
    pub revoke_url: Option<Url>,
    /// Where an access token tells whose it is (OpenID Connect Core 1.0, section 5.3).
    pub userinfo_url: Option<Url>,
    /// The public keys that id tokens are signed with (RFC 7517).
    pub jwks_url: Url,
    /// Our client at the provider.
    pub client: OAuthClient,
    /// How that client proves itself at the token endpoint.
    pub client_auth: ClientAuth,
    /// Whether revocation wants the client's proof too (RFC 7009, section 2.1); Google takes the token alone.
    pub revoke_with_client: bool,
    /// Added to every authorization request: `access_type=offline`, ...
    pub authorize_params: Vec<(String, String)>,
    /// Added when a consent page is really needed, that is when a refresh token is: `prompt=consent`.
    pub consent_params: Vec<(String, String)>,
    /// Added when the person is to choose among their accounts: `prompt=select_account`.
    pub choose_params: Vec<(String, String)>,
    /// Asked for at every sign-in, so that the answer says who signed in.
    pub identity_scopes: Scopes,
    /// Whether an address counts only when the provider says that it is verified (`email_verified`). Some providers let
    /// a tenant put any address there, so switch it off only for one that you run yourself.
    pub email_must_be_verified: bool,
    /// How long an access token lives when the answer does not say; `None`: it does not expire.
    pub life_when_untold: Option<Duration>,
    /// How long grants live while the provider still takes our client for a test. There is no way to ask, so a grant
    /// that dies at that age is reported with this as the likely reason.
    pub testing_grants_live: Option<Duration>,
    /// Scopes that are granted apart from all others.
    pub exclusive: Vec<ExclusiveGroup>,
}

impl Provider {
    /// Google, with our client there.
    ///
    /// # Panics
    /// Never: the addresses are constants that a test parses.
    pub fn google(client: OAuthClient) -> Self {
        let url = |text: &str| Url::parse(text).expect("Google's addresses are well-formed constants");
        Self {
            issuer: "https://accounts.google.com".into(),
            issuer_aliases: vec!["accounts.google.com".into()],
            authorize_url: url("https://accounts.google.com/o/oauth2/v2/auth"),
            token_url: url("https://oauth2.googleapis.com/token"),
            revoke_url: Some(url("https://oauth2.googleapis.com/revoke")),
            userinfo_url: Some(url("https://openidconnect.googleapis.com/v1/userinfo")),
            jwks_url: url("https://www.googleapis.com/oauth2/v3/certs"),
            id: ProviderId::google(),
            client,
            client_auth: ClientAuth::Post,
            revoke_with_client: false,
            authorize_params: params(&[("access_type", "offline"), ("include_granted_scopes", "true")]),
            consent_params: params(&[("prompt", "consent")]),
            choose_params: params(&[("prompt", "select_account")]),
            identity_scopes: Scopes::from("openid email"),
            email_must_be_verified: true,
            life_when_untold: Some(Duration::from_secs(3600)),
            testing_grants_live: Some(Duration::from_secs(7 * 24 * 3600)),
            exclusive: TokenGroup::new("photos")
                .map(|group| ExclusiveGroup {
                    group,
                    prefixes: vec![
                        "https://www.googleapis.com/auth/photoslibrary".into(),
                        "https://www.googleapis.com/auth/photospicker".into(),
                    ],
                    without: vec!["include_granted_scopes".into()],
                })
                .into_iter()
                .collect(),
        }
    }

    /// A stand-in for Google: the same provider with its endpoints under another base, whose address (without a slash
    /// at its end) is the issuer.
    pub fn google_at(base: &Url, client: OAuthClient) -> Self {
        let issuer = base.as_str().trim_end_matches('/').to_owned();
        let under = |path: &str| {
            let mut url = base.clone();
            url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
            url.set_query(None);
            url.set_fragment(None);
            url
        };
        Self {
            issuer,
            issuer_aliases: Vec::new(),
            authorize_url: under("/o/oauth2/v2/auth"),
            token_url: under("/token"),
            revoke_url: Some(under("/revoke")),
            userinfo_url: Some(under("/oauth2/v3/userinfo")),
            jwks_url: under("/oauth2/v3/certs"),
            ..Self::google(client)
        }
    }

    /// Splits scopes into what is granted together: the default group first (unless it is empty), then each exclusive
    /// group that occurs.
    pub fn groups(&self, scopes: &Scopes) -> Vec<(TokenGroup, Scopes)> {
        let default: Scopes = scopes.iter().filter(|s| !self.exclusive.iter().any(|g| g.holds(s))).collect();
        let exclusive =
            self.exclusive.iter().map(|g| (g.group.clone(), scopes.iter().filter(|s| g.holds(s)).collect()));
        std::iter::once((TokenGroup::default(), default))
            .chain(exclusive)
            .filter(|(_, scopes): &(TokenGroup, Scopes)| !scopes.is_empty())
            .collect()
    }

    /// The authorization parameters for these scopes.
    pub(crate) fn params_for<'a>(&'a self, scopes: &'a Scopes) -> impl Iterator<Item = (&'a str, &'a str)> {
        let left_out = |name: &str| {
            self.exclusive.iter().any(|g| g.without.iter().any(|w| w == name) && scopes.iter().any(|s| g.holds(s)))
        };
        self.authorize_params.iter().filter(move |(name, _)| !left_out(name)).map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

pub(crate) fn params(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> OAuthClient {
        OAuthClient { id: "client".into(), secret: None }
    }

    #[test]
    fn googles_addresses_are_well_formed() {
        let google = Provider::google(client());
        assert_eq!(google.token_url.as_str(), "https://oauth2.googleapis.com/token");
        assert_eq!(google.exclusive.len(), 1);
    }

    #[test]
    fn the_stand_in_has_the_same_paths_under_its_base() {
        for base in ["http://127.0.0.1:9000", "http://127.0.0.1:9000/"] {
            let stand_in = Provider::google_at(&Url::parse(base).unwrap(), client());
            assert_eq!(stand_in.issuer, "http://127.0.0.1:9000");
            assert_eq!(stand_in.token_url.as_str(), "http://127.0.0.1:9000/token");
            assert_eq!(stand_in.jwks_url.as_str(), "http://127.0.0.1:9000/oauth2/v3/certs");
        }
        let below = Provider::google_at(&Url::parse("http://localhost/google/").unwrap(), client());
        assert_eq!(below.authorize_url.as_str(), "http://localhost/google/o/oauth2/v2/auth");
        assert_eq!(below.issuer, "http://localhost/google");
    }

    #[test]
    fn photos_are_granted_apart_from_drive() {
        let google = Provider::google(client());
        let (photos, drive) =
            ("https://www.googleapis.com/auth/photoslibrary.appendonly", "https://www.googleapis.com/auth/drive");
        let groups = google.groups(&[photos, drive].into_iter().collect());
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0], (TokenGroup::default(), Scopes::from(drive)));
        assert_eq!(groups[1], (TokenGroup::new("photos").unwrap(), Scopes::from(photos)));
    }
}
