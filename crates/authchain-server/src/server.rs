//! The server as a whole: what all endpoints share, and the router that they hang on.

use std::sync::{Arc, OnceLock};

use authchain::{AuthLayer, core::AuthError, dpop::Dpop, jwt::Verifier};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{delete, get, post},
};

use crate::{
    Parts, ServerOptions, authorize,
    browser::Cookies,
    clients::{self, Documents, PublishedKeys},
    device, discovery, introspect,
    keys::Keys,
    limits::{self, Limits},
    local, no_sign_in,
    outbound::Outbound,
    pages, revoke, token, unanswered, upstream,
};

/// No request to this server has a reason to be longer.
const MAX_BODY: usize = 64 * 1024;

/// An authorization server; [`AuthorizationServer::router`] makes it reachable.
///
/// It keeps nothing in memory that matters: two of them over the same [`Parts`] are one server, also one after the other.
#[derive(Clone)]
pub struct AuthorizationServer {
    shared: Arc<Shared>,
}

/// What every endpoint works with.
pub(crate) struct Shared {
    pub(crate) parts: Parts,
    pub(crate) options: ServerOptions,
    pub(crate) keys: Keys,
    pub(crate) urls: Urls,
    pub(crate) cookies: Cookies,
    pub(crate) own_tokens: Verifier,
    pub(crate) limits: Limits,
    /// Checks proofs of possession, where that is switched on.
    pub(crate) dpop: Option<Dpop>,
    pub(crate) documents: Documents,
    pub(crate) published_keys: PublishedKeys,
    /// The path of the style sheet.
    pub(crate) style: String,
    /// Knows callers by their tokens; for the endpoints that programs and people share.
    pub(crate) layer: OnceLock<AuthLayer>,
}

/// The addresses of this server, as the outside sees them.
pub(crate) struct Urls {
    /// RFC 8414: no trailing slash.
    pub(crate) issuer: String,
    /// The MCP endpoint, as configured; without the slash that URL libraries add to a bare host.
    pub(crate) resource: String,
    /// The path of the public URL, without a trailing slash: what links within our pages begin with.
    pub(crate) base: String,
}

impl Urls {
    /// The full address of one of our paths.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// One of our paths, as links and forms on our pages name it.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// Our paths below the public URL.
pub(crate) mod path {
    pub(crate) const REGISTER_ALIAS: &str = "/register";
    pub(crate) const NEW_CLIENT: &str = "/oauth/clients/new";
    pub(crate) const LOCAL: &str = "/auth";
    pub(crate) const LOCAL_START: &str = "/auth/start";
    pub(crate) const LOCAL_CALLBACK: &str = "/auth/callback";
    pub(crate) const SESSIONS: &str = "/auth/sessions";
    pub(crate) const ACCOUNTS: &str = "/auth/accounts";
    pub(crate) const ACTIVE_ACCOUNT: &str = "/auth/accounts/active";
    pub(crate) const APPS: &str = "/auth/apps";
    pub(crate) const LINK: &str = "/auth/link";
    pub(crate) const SIGN_OUT: &str = "/auth/sign-out";
}

impl AuthorizationServer {
    /// Puts a server together.
    ///
    /// # Errors
    /// [`AuthError::Configuration`] for a public issuer over plain http and for lives that the standards forbid;
    /// [`AuthError::Store`] when the keyring yields no keys.
    pub fn new(parts: Parts, options: ServerOptions) -> Result<Self, AuthError> {
        options.check()?;
        let keys = Keys::derive(&parts.keyring)?;
        let base = options.public_url.path().trim_end_matches('/').into();
        let urls = Urls { issuer: options.issuer(), resource: options.audience(), base };
        let cookies = Cookies::new(options.public_url.scheme() == "https", options.transaction_life);
        let own_tokens = revoke::own_tokens(&parts, &options, &urls);
        let outbound = Outbound::new(options.documents.allow_loopback, &options.trust, Arc::clone(&parts.clock))?;
        let outbound = Arc::new(outbound);
        let documents = Documents::new(Arc::clone(&outbound), options.clone(), Arc::clone(&parts.clock));
        let published_keys = PublishedKeys::new(outbound, Arc::clone(&parts.clock));
        let dpop = options.dpop.then(|| {
            let (state, clock) = (Arc::clone(&parts.state), Arc::clone(&parts.clock));
            Dpop::new(options.public_url.clone(), &parts.keyring, state, clock)
        });
        let limits = Limits::new(&options.limits, &parts.clock);
        let style = pages::style_path();
        Ok(Self {
            shared: Arc::new(Shared {
                parts,
                options,
                keys,
                urls,
                cookies,
                own_tokens,
                limits,
                dpop,
                documents,
                published_keys,
                style,
                layer: OnceLock::new(),
            }),
        })
    }

    /// Lets programs reach the endpoints below `/auth/accounts` with a bearer token that `layer` accepts. Without it, only
    /// browsers do.
    #[must_use]
    pub fn with_layer(self, layer: AuthLayer) -> Self {
        // The first one stays: there is one chain in front of a server.
        let _ = self.shared.layer.set(layer);
        self
    }

    /// All endpoints. Paths are those below the public URL; where that has a path of its own, every endpoint is reachable
    /// with and without it, because some reverse proxies take it off.
    pub fn router(&self) -> Router {
        let base = self.shared.urls.base.as_str();
        let endpoints = self.endpoints();
        let mut router = discovery::routes(&self.shared);
        if !base.is_empty() {
            router = router.nest(base, endpoints.clone());
        }
        let explained = middleware::from_fn_with_state(Arc::clone(&self.shared), unanswered::explain);
        router.merge(endpoints).layer(explained).with_state(Arc::clone(&self.shared))
    }

    fn endpoints(&self) -> Router<Arc<Shared>> {
        let (limited, paths) = (Arc::clone(&self.shared), &self.shared.options.paths);
        let tokens = Router::new()
            .route(&paths.token, post(token::endpoint))
            .route(&paths.revoke, post(revoke::endpoint))
            .route(&paths.introspect, post(introspect::endpoint))
            .route_layer(middleware::from_fn_with_state(Arc::clone(&limited), limits::tokens));
        let for_programs = tokens.route(&paths.jwks, get(discovery::jwks)).route(&paths.status, get(discovery::status));
        let (registration, for_people) = if self.shared.options.sign_in {
            let limit = middleware::from_fn_with_state(limited, limits::registrations);
            (self.registration().route_layer(limit), self.for_people())
        } else {
            (no_sign_in::programs(paths), no_sign_in::people(paths))
        };
        let for_people = for_people.route(pages::STYLE_ROUTE, get(pages::style));
        let for_programs = for_programs.merge(registration).layer(discovery::cors());
        for_programs.merge(for_people).layer(DefaultBodyLimit::max(MAX_BODY))
    }

    /// How clients become known.
    fn registration(&self) -> Router<Arc<Shared>> {
        let paths = &self.shared.options.paths;
        let registration = Router::new()
            .route(&paths.register, post(clients::register))
            .route(path::REGISTER_ALIAS, post(clients::register))
            .route(
                &format!("{}/{{client_id}}", paths.register),
                get(clients::read).put(clients::update).delete(clients::delete),
            );
        if self.shared.options.grants.device_code {
            // As rare as a registration, and as good at filling a database.
            registration.route(&paths.device_authorization, post(device::authorization))
        } else {
            registration
        }
    }

    /// The pages, and what programs ask of a person's own.
    fn for_people(&self) -> Router<Arc<Shared>> {
        let paths = &self.shared.options.paths;
        let for_people = Router::new()
            .route(&paths.authorize, get(authorize::page))
            .route(&paths.consent, post(authorize::decide))
            .route(&paths.callback, get(upstream::oauth_callback).head(upstream::only_get))
            .route(path::LOCAL, get(local::page))
            .route(path::LOCAL_START, get(local::start_again).post(local::start))
            .route(path::LOCAL_CALLBACK, get(upstream::local_callback).head(upstream::only_get))
            .route(path::SIGN_OUT, post(local::sign_out))
            .route(path::SESSIONS, get(local::sessions).post(local::open_session))
            .route(&format!("{}/{{id}}", path::SESSIONS), delete(local::end_session))
            .route(&format!("{}/{{id}}/end", path::SESSIONS), post(local::end_session_form))
            .route(path::NEW_CLIENT, get(local::new_client_page).post(local::make_client))
            .route(path::LINK, get(local::link_page))
            .route(path::ACCOUNTS, get(local::accounts).post(local::ask_for_link))
            .route(path::ACTIVE_ACCOUNT, post(local::switch_account))
            .route(&format!("{}/{{account}}", path::ACCOUNTS), delete(local::unlink_account))
            .route(
                &format!("{}/{{account}}/unlink", path::ACCOUNTS),
                get(local::unlink_page).post(local::unlink_account_form),
            )
            .route(path::APPS, get(local::apps))
            .route(&format!("{}/{{id}}", path::APPS), delete(local::revoke_app))
            .route(&format!("{}/{{id}}/revoke", path::APPS), get(local::revoke_app_page).post(local::revoke_app_form));
        if self.shared.options.grants.device_code {
            for_people
                .route(&paths.device, get(device::page).post(device::enter))
                .route(&paths.device_decide(), post(device::decide))
        } else {
            for_people
        }
    }
}
