//! A whole server from a configuration: stores, keys, provider, chain, authorization server, and the router that joins
//! them with an MCP endpoint. Programs that want it otherwise put the same parts together themselves.

mod chain;
mod clients;
mod control;
mod edge;
mod google_client;
mod google_credentials;
mod listen;
mod rotation;
mod signing;
mod storage;
mod tls;

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};

use authchain::{
    AuthLayer, Challenge, StepUp, Toolbox,
    accounts::Accounts,
    core::{AuthError, Clock, OAuthClient, ScopeRules, Scopes, StoreError, SystemClock},
    google::{CacheOptions, Endpoints, ServiceFactory},
    grants::Grants,
    provider::{CredentialEvent, CredentialManager, Provider, ProviderClient, RefreshOptions, http_client_trusting},
    sessions::Sessions,
};
use axum::Router;
use tokio::{
    net::TcpListener,
    sync::broadcast::{Receiver, error::RecvError},
};
use tracing::{error, info, warn};
use url::Url;

use crate::{
    AuthorizationServer, Clients, DocumentOptions, Parts, ServerOptions,
    config::{Config, ConfigError, CredentialKind, RefreshSection, Sources, StepUpBy, below},
};

use control::ControlParts;
pub use edge::{Front, McpEndpoint, stop_signal};
pub use google_client::google_client;
use google_client::{people_sign_in, sign_in_client};
use google_credentials::GoogleCredentials;
use listen::Patience;
pub use rotation::{KeysInUse, RetireError};
pub use storage::Storage;
use tls::Certificates;

/// Why a server cannot start. Each says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A part of the server could not be put together.
    #[error("{0}. {fix}", fix = .0.code().what_to_do())]
    Auth(#[from] AuthError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}. Choose another with --port or server.port.")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        cause: io::Error,
    },
    /// The server stopped because of an error of the network.
    #[error("the server stopped: {0}")]
    Io(#[from] io::Error),
}

impl StartError {
    /// With the place that the key came from, where it is about one.
    fn placed(self, origins: &BTreeMap<String, String>) -> Self {
        match self {
            Self::Config(error) => Self::Config(error.placed(origins)),
            other => other,
        }
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Auth(error.into())
    }
}

/// A server that is ready to listen: put an MCP endpoint into it with [`App::router`] or [`App::serve`].
pub struct App {
    address: SocketAddr,
    mcp_path: String,
    public_url: Url,
    layer: AuthLayer,
    server: AuthorizationServer,
    parts: Parts,
    toolbox: Arc<Toolbox>,
    _watch: storage::Watch,
    /// The certificate of HTTPS of our own, and how long a handshake may take.
    tls: Option<(Arc<Certificates>, Duration)>,
    patience: Patience,
    mcp_at_root: bool,
    control: ControlParts,
    /// Whether the socket is opened.
    controlled: bool,
}

impl App {
    /// From the usual configuration file and the environment.
    ///
    /// # Errors
    /// [`StartError`], which says what to mend.
    pub async fn from_env() -> Result<Self, StartError> {
        Self::new(Sources::new().usual_file().process_environment().load()?).await
    }

    /// From a configuration.
    ///
    /// # Errors
    /// [`StartError`], which says what to mend.
    pub async fn new(config: Config) -> Result<Self, StartError> {
        Self::with_clock(config, Arc::new(SystemClock)).await
    }

    /// From a configuration, with the time from elsewhere.
    ///
    /// # Errors
    /// [`StartError`], which says what to mend.
    pub async fn with_clock(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let origins = config.origins.clone();
        Self::assembled(config, clock).await.map_err(|error| error.placed(&origins))
    }

    async fn assembled(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        for notice in &config.notices {
            warn!("{notice}");
        }
        let google = sign_in_client(&config)?;
        let Files { google_credentials, certificates } = Files::read(&config).await?;
        let (public_url, resource) = (config.public_url()?, config.resource()?);

        let storage = Storage::open(&config.storage, clock.clone()).await?;
        let Storage { keyring, credentials, state, .. } = storage.clone();
        let stored = credentials.clone();

        // Without a client nobody is sent there, but what the provider is called and how it grants scopes is asked all the same.
        let google = google.unwrap_or_else(|| {
            info!("nobody can sign in through Google here: providers.google.client_id is not set");
            OAuthClient { id: String::new(), secret: None }
        });
        let provider = match &config.providers.google.base_url {
            Some(base) => Provider::google_at(base, google),
            None => Provider::google(google),
        };
        let endpoints = Endpoints { base: config.providers.google.base_url.clone(), trust: config.trust.clone() };
        let http = http_client_trusting(&config.trust)?;
        let provider = Arc::new(ProviderClient::new(provider, http.clone(), clock.clone()));
        let rules: Arc<dyn ScopeRules> = Arc::new(*authchain::google::registry());
        let RefreshSection { ahead, look_again } = config.refresh;
        let credentials = CredentialManager::new(
            credentials,
            vec![provider.clone()],
            rules.clone(),
            clock.clone(),
            RefreshOptions { ahead, look_again, ..RefreshOptions::default() },
        );
        let watch = storage.watch(&credentials);

        let grants = Arc::new(Grants::new(state.clone(), clock.clone(), config.tokens.refresh));
        let sessions = Arc::new(Sessions::new(state.clone(), clock.clone(), config.session.idle));
        let accounts = Arc::new(Accounts::new(state.clone(), credentials.clone(), clock.clone()));
        // Whoever linked nothing is served all the same; the next start tries again.
        if let Err(error) = accounts.recover().await {
            error!(%error, "linked accounts could not be looked for beside their credentials");
        }
        let signing = signing::open(&state, &keyring, &clock).await?;
        let parts = Parts {
            state,
            keyring,
            signing,
            provider,
            credentials: credentials.clone(),
            grants,
            sessions,
            accounts: accounts.clone(),
            clock: clock.clone(),
            describe: |scope| authchain::google::registry().describe(scope).map(|known| known.description),
        };

        let options = options(&config, &public_url, &resource, &clock)?;
        let mut bridge = chain::bridge(&config, &options.default_scopes);
        // A service account acts as the caller's own address only: a link was proved once, and nothing would end it there.
        if config.google.credentials == CredentialKind::Users {
            bridge = bridge.with_accounts(accounts.clone());
        }
        let bridge = Arc::new(bridge);
        let cache = CacheOptions { ttl: config.services.cache_ttl, capacity: config.services.cache_capacity };
        let tokens = google_credentials.source(&config, &credentials, &options.default_scopes, http, clock.clone());
        let services = ServiceFactory::with_clock(tokens.clone(), endpoints, cache, clock)?;
        let of_unlinked = services.clone();
        accounts.on_unlink(move |owner, _| {
            of_unlinked.clear(Some(&owner.user));
        });
        let sign_in = options.sign_in.then(|| below(&public_url, "/auth"));
        let mut challenge =
            Challenge::new().resource_metadata(metadata_of(&resource)).scopes(options.default_scopes.clone());
        let mut toolbox = Toolbox::new(tokens, services, bridge.clone(), rules);
        if let Some(page) = sign_in {
            challenge = challenge.sign_in(page.clone());
            toolbox = toolbox.sign_in(page);
        }
        if config.chain.step_up == StepUpBy::Challenge {
            toolbox = toolbox.step_up(StepUp::new(challenge.clone(), parts.clock.clone()));
        }
        let toolbox = Arc::new(toolbox);
        let layer = AuthLayer::new(chain::build(&config, &parts, &options, &bridge).await?)
            .challenge(challenge)
            .toolbox(toolbox.clone());
        let server = AuthorizationServer::new(parts.clone(), options)?.with_layer(layer.clone());

        let address = SocketAddr::new(config.server.host, config.server.port);
        let tls = certificates.map(|certificates| (certificates, config.tls.handshake_timeout));
        let control = ControlParts { server: config.server.clone(), storage: config.storage.clone(), stored };
        Ok(Self {
            address,
            mcp_path: config.server.mcp_path,
            public_url,
            layer,
            server,
            parts,
            toolbox,
            _watch: watch,
            tls,
            patience: Patience { head: config.server.idle_timeout, body: config.server.body_timeout },
            mcp_at_root: config.server.mcp_at_root,
            control,
            controlled: false,
        })
    }

    /// While it serves, a socket for this user alone lets `authchain credentials migrate` reach what this process keeps in
    /// memory (`server.control_directory`).
    #[must_use]
    pub fn controlled(self) -> Self {
        Self { controlled: true, ..self }
    }

    /// Whether a server could be put together: reads all that the configuration names, opens no store and asks nobody.
    ///
    /// # Errors
    /// [`StartError`], which says what to mend.
    pub async fn check(config: &Config) -> Result<(), StartError> {
        Self::checked(config).await.map_err(|error| error.placed(&config.origins))
    }

    async fn checked(config: &Config) -> Result<(), StartError> {
        sign_in_client(config)?;
        Files::read(config).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Ok(options(config, &config.public_url()?, &config.resource()?, &clock)?.check()?)
    }

    /// What clients see of the server's address.
    pub fn public_url(&self) -> &Url {
        &self.public_url
    }

    /// The layer, for routes of your own: what it lets through carries an [`AuthContext`](authchain::AuthContext).
    pub fn layer(&self) -> AuthLayer {
        self.layer.clone()
    }

    /// The parts that the server is made of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The tools' side: the cache of API clients.
    pub fn toolbox(&self) -> &Toolbox {
        &self.toolbox
    }

    /// The whole server as one tower service: the MCP endpoint behind the layer, the authorization server and its pages
    /// beside it.
    pub fn service<M: McpEndpoint>(&self, mcp: M) -> Front<M> {
        let paths = edge::Paths { mcp: &self.mcp_path, at_root: self.mcp_at_root };
        Front::new(&self.public_url, paths, mcp, &self.layer, self.server.router())
    }

    /// The same, to be merged into a router of one's own.
    pub fn router<M: McpEndpoint>(&self, mcp: M) -> Router {
        Router::new().fallback_service(self.service(mcp))
    }

    /// Listens on the configured address until Ctrl-C or SIGTERM; requests that are under way have five more seconds.
    ///
    /// # Errors
    /// [`StartError::Listen`] when the address is taken or not ours.
    pub async fn serve<M: McpEndpoint>(self, mcp: M) -> Result<(), StartError> {
        let address = self.address;
        let listener = TcpListener::bind(address).await.map_err(|cause| StartError::Listen { address, cause })?;
        info!(mcp_url = %below(&self.public_url, &self.mcp_path), "listening");
        self.serve_on(listener, mcp, stop_signal()).await
    }

    /// As [`App::serve`], on a listener that is open already, until `stop` is ready.
    ///
    /// # Errors
    /// [`StartError::Io`] when the listener fails.
    pub async fn serve_on<M: McpEndpoint>(
        self,
        listener: TcpListener,
        mcp: M,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), StartError> {
        let service = self.service(mcp);
        let control = self.controlled.then(|| self.control.open(&listener, &self.parts)).flatten();
        let (stop, control) = control::close_before(stop, control);
        let rotation = tokio::spawn(signing::keep_rotating(self.parts.clone()));
        let forgetting = tokio::spawn(forget_clients(self.parts.credentials.subscribe(), self.toolbox.clone()));
        match self.tls {
            Some((certificates, patience)) => {
                let listener = certificates.listen(listener, patience)?;
                let fresh = tokio::spawn(certificates.keep_fresh());
                listen::serve_until(listener, service, self.patience, stop).await;
                fresh.abort();
            }
            None => listen::serve_until(listener, service, self.patience, stop).await,
        }
        rotation.abort();
        forgetting.abort();
        control.await;
        // A token that was refreshed while the disk was full is still only in memory.
        if let Err(error) = self.parts.credentials.flush().await {
            error!(%error, "a fresh token could not be saved before the end: its account may have to sign in again");
        }
        Ok(())
    }
}

/// What an operator sees and changes of clients, beside running servers.
///
/// # Errors
/// [`StartError`], which says what to mend.
pub fn clients(config: &Config, storage: &Storage) -> Result<Clients, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let options = options(config, &config.public_url()?, &config.resource()?, &clock)?;
    Ok(Clients::new(options, &storage.keyring, storage.state.clone(), clock)?)
}

/// API clients of an account go when its credential goes or another one takes its place. Runs until it is aborted.
async fn forget_clients(mut events: Receiver<CredentialEvent>, toolbox: Arc<Toolbox>) {
    loop {
        match (events.recv().await, toolbox.services()) {
            (Ok(CredentialEvent::Removed { key } | CredentialEvent::Adopted { key }), Some(services)) => {
                services.invalidate(&key);
            }
            // Too many at once to be told of each.
            (Err(RecvError::Lagged(_)), Some(services)) => {
                services.clear(None);
            }
            (Err(RecvError::Closed), _) => return,
            _ => {}
        }
    }
}

/// What the configuration names on the disk, read and checked before anything is opened.
struct Files {
    google_credentials: GoogleCredentials,
    certificates: Option<Arc<Certificates>>,
}

impl Files {
    async fn read(config: &Config) -> Result<Self, StartError> {
        let config = config.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let certificates = config.tls.enabled.then(|| Certificates::open(&config.tls)).transpose()?;
            Ok(Self { google_credentials: GoogleCredentials::read(&config)?, certificates: certificates.map(Arc::new) })
        });
        reading.await.map_err(|error| AuthError::Configuration(format!("reading the files: {error}")))?
    }
}

fn options(
    config: &Config,
    public_url: &Url,
    resource: &Url,
    clock: &Arc<dyn Clock>,
) -> Result<ServerOptions, StartError> {
    let registry = config.google.registry();
    let named = registry.resolve_all(config.providers.google.scopes.iter().map(String::as_str));
    let scopes: Scopes = named.map_err(|error| ConfigError {
        key: Some("providers.google.scopes".into()),
        origin: None,
        why: error.to_string(),
    })?;
    Ok(ServerOptions {
        paths: config.paths.clone(),
        default_scopes: scopes.clone(),
        scopes_supported: scopes,
        sign_in: people_sign_in(config),
        access_token_life: config.tokens.access,
        refresh_life: config.tokens.refresh,
        refresh_grace: config.tokens.refresh_grace,
        code_life: config.tokens.code,
        transaction_life: config.tokens.transaction,
        client_life: config.clients.public_life,
        client_secret_life: config.clients.secret_life,
        remember_consent: clients::remember_consent(config),
        editor_schemes: config.clients.editor_schemes.clone(),
        documents: DocumentOptions {
            accept: config.clients.metadata_documents,
            allow_loopback: config.clients.documents_on_loopback,
        },
        registered: clients::registered(config)?,
        clients_may_change: clients::may_change(config),
        grants: clients::grants(config, clock)?,
        dpop: config.grants.dpop,
        limits: clients::limits(config),
        allow_public_http: config.server.allow_plain_http,
        trust: config.trust.clone(),
        ..ServerOptions::new(public_url.clone(), resource.clone())
    })
}

/// RFC 9728, section 3.1: the well-known part stands between the host and the resource's own path.
fn metadata_of(resource: &Url) -> Url {
    let mut url = resource.clone();
    url.set_path(&format!("/.well-known/oauth-protected-resource{}", resource.path().trim_end_matches('/')));
    url
}

#[cfg(test)]
mod tests;
