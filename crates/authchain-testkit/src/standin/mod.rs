//! The stand-in for Google: a real HTTP server on loopback.

mod api;
mod api_error;
mod authorize;
mod calendar;
mod drive;
mod drive_query;
mod front;
mod gmail;
mod gmail_query;
mod gmail_send;
mod identity;
mod keys;
mod ledger;
mod mime;
mod oauth_error;
mod pages;
mod params;
mod people;
mod scopes;
mod seed;
mod token;
mod world;

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use authchain_core::{Clock, OAuthClient, Secret, SystemClock};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    response::IntoResponse,
    routing::{any, get, post},
};
use tokio::{net::TcpListener, task::JoinHandle};
use url::Url;

use self::api_error::ApiError;
pub(crate) use self::{front::serve, world::World};
use crate::{Control, control};

/// How a stand-in is to be.
#[derive(Clone)]
pub struct StandInOptions {
    /// The port; `None` for any free one.
    pub port: Option<u16>,
    /// Signs in and consents without a page: the person of [`Control::sign_in_as`], else of `login_hint`, else ann.
    pub auto_approve: bool,
    /// How long access tokens live. Google's live 3599 seconds.
    pub access_token_life: Duration,
    /// Redirect URIs that are registered beside every loopback one, compared to the byte.
    pub redirect_uris: Vec<String>,
    /// Clients that are registered beside [`StandIn::client`]; one without a secret is public.
    pub clients: Vec<OAuthClient>,
    /// Whether ann and bob have a second account each: `ann.work@example.com` and `bob.work@example.com`.
    pub second_accounts: bool,
    /// The stand-in's clock.
    pub clock: Arc<dyn Clock>,
}

impl Default for StandInOptions {
    fn default() -> Self {
        Self {
            port: None,
            auto_approve: false,
            access_token_life: Duration::from_secs(3599),
            redirect_uris: Vec::new(),
            clients: Vec::new(),
            second_accounts: false,
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for StandInOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandInOptions")
            .field("port", &self.port)
            .field("auto_approve", &self.auto_approve)
            .field("access_token_life", &self.access_token_life)
            .field("redirect_uris", &self.redirect_uris)
            .field("clients", &self.clients)
            .field("second_accounts", &self.second_accounts)
            .finish_non_exhaustive()
    }
}

/// A running stand-in for Google. Stops when dropped.
pub struct StandIn {
    world: Arc<World>,
    control: Control,
    server: JoinHandle<()>,
}

impl StandIn {
    /// The people whose data is there.
    pub const USERS: [&'static str; 3] = ["ann@example.com", "bob@example.com", "eve@example.com"];

    /// Starts one on 127.0.0.1.
    ///
    /// # Errors
    /// When the port is taken, or no key could be made.
    pub async fn start(options: StandInOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port.unwrap_or(0)))).await?;
        let base = Url::parse(&format!("http://{}/", listener.local_addr()?)).map_err(io::Error::other)?;
        let mut clients = vec![Self::client()];
        clients.extend(options.clients.iter().cloned());
        // Making the key takes a while.
        let world = tokio::task::spawn_blocking(move || World::new(base, clients, options))
            .await
            .map_err(io::Error::other)??;
        let world = Arc::new(world);
        let (at, router) = (world.clone(), router(world.clone()));
        let server = tokio::spawn(serve(listener, move |request| front::answer(at.clone(), router.clone(), request)));
        Ok(Self { control: Control::new(world.clone()), world, server })
    }

    /// Its base, as a URL with the slash at the end: `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> &Url {
        &self.world.base
    }

    /// Its issuer: the base without the slash at the end.
    pub fn issuer(&self) -> &str {
        &self.world.issuer
    }

    /// Its controls.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The id of the client that is registered with every stand-in.
    pub fn client_id() -> &'static str {
        "123456789012-standin.apps.example.com"
    }

    /// That client's secret.
    pub fn client_secret() -> Secret {
        Secret::new("standin-client-secret")
    }

    /// That client, as a provider wants it.
    pub fn client() -> OAuthClient {
        OAuthClient { id: Self::client_id().to_owned(), secret: Some(Self::client_secret()) }
    }

    /// Stops at once: connections are closed, the port is free when this returns.
    pub async fn stop(mut self) {
        self.server.abort();
        // The only error is that of having been aborted.
        let _ = (&mut self.server).await;
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandIn").field("url", &self.world.base.as_str()).finish_non_exhaustive()
    }
}

fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/", get(pages::front))
        .route("/standin/style.css", get(pages::style))
        .merge(control::routes())
        .route("/.well-known/openid-configuration", get(identity::discovery))
        .route("/oauth2/v3/certs", get(identity::certs))
        .route("/oauth2/v3/userinfo", get(identity::userinfo).post(identity::userinfo))
        .route("/tokeninfo", get(identity::tokeninfo).post(identity::tokeninfo))
        .route("/o/oauth2/v2/auth", get(authorize::authorize))
        .route("/o/oauth2/v2/auth/pages", get(authorize::page))
        .route("/o/oauth2/v2/auth/account", post(authorize::choose_account))
        .route("/o/oauth2/v2/auth/consent", post(authorize::consent))
        .route("/token", post(token::token))
        .route("/revoke", get(token::revoke).post(token::revoke))
        .route("/drive/v3/about", get(drive::about))
        .route("/drive/v3/files", get(drive::list))
        .route("/drive/v3/files/{id}", get(drive::get))
        .route("/drive/v3/files/{id}/export", get(drive::export))
        .route("/gmail/v1/users/{user}/messages", get(gmail::list))
        .route("/gmail/v1/users/{user}/messages/send", post(gmail_send::send))
        .route("/gmail/v1/users/{user}/messages/{id}", get(gmail::get))
        .route("/gmail/v1/users/{user}/labels", get(gmail::labels))
        .route("/gmail/v1/users/{user}/profile", get(gmail::profile))
        .route("/upload/gmail/v1/users/{user}/messages/send", post(gmail_send::upload).put(gmail_send::upload))
        .route("/resumable/upload/gmail/v1/users/{user}/messages/send", post(gmail_send::upload))
        .route("/calendar/v3/users/me/calendarList", get(calendar::calendars))
        .route("/calendar/v3/calendars/{calendar}/events", get(calendar::events).post(calendar::insert))
        .route("/calendar/v3/calendars/{calendar}/events/{event}", get(calendar::event))
        .fallback(any(|| async { ApiError::not_found("Not Found").into_response() }))
        .layer(DefaultBodyLimit::disable())
        .with_state(world)
}
