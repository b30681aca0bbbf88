//! What the authorization server is built from: the options that an operator sets, and the parts that it works with.

use std::{sync::Arc, time::Duration};

use authchain::{
    accounts::Accounts,
    core::{AuthError, Clock, Scopes, StateStore},
    grants::Grants,
    jwt::{Algorithm, KeySource, SigningKeys},
    provider::{CredentialManager, ProviderClient},
    sessions::Sessions,
    store::seal::Keyring,
    trust::Trust,
};
use url::{Host, Url};

use crate::{
    clients::{self, RegisteredClient},
    limits::LimitOptions,
    paths::Paths,
    resource,
    token::{self, ExchangeAudience},
};

/// The words for a scope, in a sentence that a person understands; `None` where none are known.
pub type ScopeWords = fn(&str) -> Option<&'static str>;

/// What an operator decides about the authorization server. [`ServerOptions::new`] has a default for everything but the
/// two addresses.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The issuer, and what every address in metadata, challenges and links is built from. Behind a reverse proxy: what
    /// the outside sees.
    pub public_url: Url,
    /// The canonical address of the MCP endpoint (RFC 8707): the audience of every token, byte for byte.
    pub resource: Url,
    /// Where the endpoints are below the public URL.
    pub paths: Paths,
    /// What people call this server; shown on the pages and in the resource's metadata.
    pub name: String,
    /// What a client gets that asks for no scope at all.
    pub default_scopes: Scopes,
    /// What clients may ask for, besides the identity scopes `openid email profile offline_access`.
    pub scopes_supported: Scopes,
    /// Whether people can sign in through the provider. Where they cannot, whatever would send one there is neither announced
    /// nor done; callers are known otherwise.
    pub sign_in: bool,
    /// How long an access token lives; 1 hour.
    pub access_token_life: Duration,
    /// How long a grant lives beyond its last refresh; 90 days. The [`Grants`] in [`Parts`] are opened with it.
    pub refresh_life: Duration,
    /// For how long a superseded refresh token still returns its successor; 60 seconds.
    pub refresh_grace: Duration,
    /// How long an authorization code lives; 60 seconds (RFC 6749, section 4.1.2 allows up to ten minutes).
    pub code_life: Duration,
    /// How long a person may take from the consent page to the return from the provider; 10 minutes.
    pub transaction_life: Duration,
    /// How long the id of a public client lives beyond its last use; 90 days.
    pub client_life: Duration,
    /// How long a client secret and a registration access token live beyond their last use; 24 hours.
    pub client_secret_life: Duration,
    /// How long a browser stays signed in to the pages of this server; 12 hours.
    pub browser_life: Duration,
    /// Whose consent is remembered, and for how long; nobody's.
    pub remember_consent: RememberConsent,
    /// Private-use schemes without a dot that editors are known to own. A public client may use any private-use scheme
    /// that is not dangerous; a confidential one only these and reverse-domain ones (RFC 8252, section 7.1).
    pub editor_schemes: Vec<String>,
    /// Client ids that are addresses of documents.
    pub documents: DocumentOptions,
    /// Clients that need no registration.
    pub registered: Vec<RegisteredClient>,
    /// Weakens: clients may switch and unlink a person's accounts and disconnect other clients, with their own tokens.
    pub clients_may_change: bool,
    /// The grants beyond codes and refresh tokens.
    pub grants: GrantOptions,
    /// Whether tokens can be bound to a key of the client (RFC 9449), and that is announced.
    pub dpop: bool,
    /// How often one address and one client may ask.
    pub limits: LimitOptions,
    /// Lets the issuer be plain http on a host that is not loopback. For test networks only.
    pub allow_public_http: bool,
    /// Whose certificates are good where documents and keys of clients are fetched.
    pub trust: Trust,
}

/// Whether a person who allowed a client something is asked again. Whatever is chosen, only requests that the person's own
/// browser started pass without a page, and only in a browser that is signed in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RememberConsent {
    /// Every time.
    #[default]
    Never,
    /// Weakens: not for this long, where nobody but the client can use the answer: it goes to an https address of the client,
    /// or the client proves itself at the token endpoint (RFC 8252, section 8.6).
    Proven(Duration),
    /// Weakens further: not for this long, for any client. Another program on the person's computer can then get the same
    /// access without a question, because it can use the client's id and take the answer.
    All(Duration),
}

impl RememberConsent {
    /// For how long; `None` where nothing is remembered.
    pub fn life(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Proven(life) | Self::All(life) => Some(life),
        }
    }
}

/// Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentOptions {
    /// Whether they are accepted, and announced.
    pub accept: bool,
    /// Weakens: documents and keys of clients may also be at plain http and on loopback addresses. For development.
    pub allow_loopback: bool,
}

impl Default for DocumentOptions {
    fn default() -> Self {
        Self { accept: true, allow_loopback: false }
    }
}

/// The grants beyond codes and refresh tokens. What is not switched on is not announced either.
#[derive(Clone, Debug)]
pub struct GrantOptions {
    /// Clients without a browser let a person type a code on a page of ours (RFC 8628).
    pub device_code: bool,
    /// How long such a code is good; 15 minutes.
    pub device_code_life: Duration,
    /// Clients of the configuration that are marked for it get tokens for themselves (RFC 6749, section 4.4).
    pub client_credentials: bool,
    /// Identity providers of organisations whose ID-JAGs are taken (enterprise-managed authorization).
    pub enterprise: Vec<AssertionIssuer>,
    /// Platforms whose tokens stand for the workloads that clients of the configuration name (RFC 7523, section 2.1).
    pub workloads: Vec<AssertionIssuer>,
    /// Servers that this one vouches for people to, by token exchange (RFC 8693). Without any it is off.
    pub exchange: Vec<ExchangeAudience>,
}

impl Default for GrantOptions {
    fn default() -> Self {
        Self {
            device_code: true,
            device_code_life: Duration::from_secs(15 * 60),
            client_credentials: false,
            enterprise: Vec::new(),
            workloads: Vec::new(),
            exchange: Vec::new(),
        }
    }
}

impl GrantOptions {
    /// Whether the grant `jwt-bearer` is on.
    pub(crate) fn takes_assertions(&self) -> bool {
        !self.enterprise.is_empty() || !self.workloads.is_empty()
    }
}

/// Somebody whose assertions are taken.
#[derive(Clone, Debug)]
pub struct AssertionIssuer {
    /// `iss`, to the byte.
    pub issuer: String,
    /// Its keys.
    pub keys: KeySource,
    /// The accepted algorithms.
    pub algorithms: Vec<Algorithm>,
    /// For an identity provider: the domains whose people it speaks for. Addresses elsewhere are refused.
    pub domains: Vec<String>,
}

impl ServerOptions {
    /// The defaults, for these two addresses.
    pub fn new(public_url: Url, resource: Url) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            public_url,
            resource,
            paths: Paths::default(),
            name: "authchain".into(),
            default_scopes: Scopes::none(),
            scopes_supported: Scopes::none(),
            sign_in: true,
            access_token_life: Duration::from_secs(60 * 60),
            refresh_life: 90 * DAY,
            refresh_grace: Duration::from_secs(60),
            code_life: Duration::from_secs(60),
            transaction_life: Duration::from_secs(10 * 60),
            client_life: 90 * DAY,
            client_secret_life: DAY,
            browser_life: DAY / 2,
            remember_consent: RememberConsent::default(),
            editor_schemes: ["cursor", "vscode", "vscode-insiders", "windsurf", "zed", "claude"].map(Into::into).into(),
            documents: DocumentOptions::default(),
            registered: Vec::new(),
            clients_may_change: false,
            grants: GrantOptions::default(),
            dpop: true,
            limits: LimitOptions::default(),
            allow_public_http: false,
            trust: Trust::default(),
        }
    }

    /// The issuer of our tokens and metadata: the public URL without a slash at its end (RFC 8414, section 2).
    pub fn issuer(&self) -> String {
        self.public_url.as_str().trim_end_matches('/').into()
    }

    /// The audience of our tokens: the resource as configured, without the slash that URL libraries add to a bare host.
    pub fn audience(&self) -> String {
        resource::written(&self.resource)
    }

    /// Refuses what would not be safe or could not work.
    pub(crate) fn check(&self) -> Result<(), AuthError> {
        for (name, url) in [("public_url", &self.public_url), ("resource", &self.resource)] {
            let refuse = |why: &str| Err(AuthError::Configuration(format!("{name} = {url}: {why}")));
            match url.scheme() {
                "https" => {}
                "http" if is_loopback(url) || self.allow_public_http => {}
                "http" => return refuse("plain http is allowed on a loopback address only"),
                _ => return refuse("the scheme must be https, or http on a loopback address"),
            }
            if url.query().is_some()
                || url.fragment().is_some()
                || !url.username().is_empty()
                || url.password().is_some()
            {
                return refuse("no query, no fragment and no user name may be in it");
            }
        }
        let base = self.public_url.path().trim_end_matches('/');
        self.paths.check(self.resource.path().strip_prefix(base).unwrap_or(self.resource.path()))?;
        let bounds = [
            ("code_life", self.code_life, 10 * 60),
            ("refresh_grace", self.refresh_grace, self.access_token_life.as_secs()),
            ("transaction_life", self.transaction_life, 60 * 60),
            ("device_code_life", self.grants.device_code_life, 60 * 60),
        ];
        for (name, value, most) in bounds {
            if value.as_secs() > most {
                return Err(AuthError::Configuration(format!("{name} may be at most {most} seconds")));
            }
        }
        if self.access_token_life.as_secs() == 0 || self.code_life.as_secs() == 0 {
            return Err(AuthError::Configuration("access_token_life and code_life must be at least a second".into()));
        }
        if let Some(issuer) = self.grants.enterprise.iter().find(|issuer| issuer.domains.is_empty()) {
            let why = "an identity provider without domains could name anybody: say whose people it speaks for";
            return Err(AuthError::Configuration(format!("{}: {why}", issuer.issuer)));
        }
        let own = self.issuer();
        if self.grants.enterprise.iter().any(|issuer| issuer.issuer == own) {
            let why = "this server cannot be an identity provider of its own: it would take what it vouched for itself";
            return Err(AuthError::Configuration(format!("{own}: {why}")));
        }
        token::check_audiences(&self.grants.exchange, &own, &self.registered, self.allow_public_http)?;
        clients::check_configured(&self.registered, &self.editor_schemes)
    }
}

/// Whether a URL names this machine itself.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What the authorization server works with. Everything is shared with the rest of the program.
#[derive(Clone)]
pub struct Parts {
    /// Transactions, codes and what changes about clients.
    pub state: Arc<dyn StateStore>,
    /// Seals client ids and forms; refresh tokens and secrets are derived from it.
    pub keyring: Keyring,
    /// Signs access tokens.
    pub signing: Arc<SigningKeys>,
    /// Where people sign in.
    pub provider: Arc<ProviderClient>,
    /// Keeps what the provider granted.
    pub credentials: Arc<CredentialManager>,
    /// What people granted to clients.
    pub grants: Arc<Grants>,
    /// Session tokens, for programs that speak no OAuth.
    pub sessions: Arc<Sessions>,
    /// Whose accounts those are.
    pub accounts: Arc<Accounts>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Scopes in words.
    pub describe: ScopeWords,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(public_url: &str) -> ServerOptions {
        ServerOptions::new(public_url.parse().unwrap(), "https://host.example/mcp".parse().unwrap())
    }

    #[test]
    fn n21_a_public_issuer_over_plain_http_is_refused_unless_it_was_asked_for() {
        let mut public = options("http://host.example");
        assert!(public.check().is_err());
        public.allow_public_http = true;
        assert!(public.check().is_ok());
    }

    #[test]
    fn n21_loopback_and_https_need_no_permission() {
        for url in ["http://127.0.0.1:8002", "http://[::1]:8002", "http://localhost", "https://host.example/base"] {
            assert!(options(url).check().is_ok(), "{url}");
        }
    }

    #[test]
    fn an_issuer_has_no_query_no_fragment_and_no_user() {
        for url in ["https://h.example/?a", "https://h.example/#a", "https://u@h.example/", "ftp://h.example/"] {
            assert!(options(url).check().is_err(), "{url}");
        }
    }

    #[test]
    fn n19_a_server_does_not_take_what_it_vouched_for_itself() {
        let with_issuer = |issuer: &str| {
            let mut options = options("https://h.example/");
            options.grants.enterprise = vec![AssertionIssuer {
                issuer: issuer.into(),
                keys: KeySource::Pinned(authchain::jwt::KeySet::new(Vec::new())),
                algorithms: Vec::new(),
                domains: vec!["example.com".into()],
            }];
            options.check()
        };
        assert!(with_issuer("https://h.example").is_err());
        assert!(with_issuer("https://idp.example").is_ok());
    }

    #[test]
    fn n19_an_exchange_audience_that_nobody_could_ask_for_stops_the_start() {
        let mut options = options("https://h.example");
        options.grants.exchange = vec![ExchangeAudience {
            issuer: "https://files.example".into(),
            resources: vec!["https://files.example/mcp".parse().unwrap()],
            scopes: Scopes::from("read"),
            clients: Vec::new(),
        }];
        let refused = options.check().unwrap_err().to_string();
        assert!(refused.contains("grants.exchange_audiences") && refused.contains("files.example"), "{refused}");
    }

    #[test]
    fn lives_that_the_standards_forbid_are_refused() {
        let mut long_code = options("https://h.example");
        long_code.code_life = Duration::from_secs(601);
        assert!(long_code.check().is_err());
        let mut long_grace = options("https://h.example");
        long_grace.refresh_grace = long_grace.access_token_life + Duration::from_secs(1);
        assert!(long_grace.check().is_err());
    }
}
