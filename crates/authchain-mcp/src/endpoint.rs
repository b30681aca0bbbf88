//! The MCP endpoint over streamable HTTP, with the settings that go well with a chain in front of it.

use std::{
    convert::Infallible,
    fmt::Display,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use authchain::{
    AuthContext,
    core::{Clock, SystemClock},
};
use http::{Request, header::AUTHORIZATION};
use http_body::Body;
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use tower_service::Service;
use url::Url;

use crate::{
    step_up::Lacking,
    stream::{self, Answer},
};

/// rmcp's endpoint over streamable HTTP. Cheap to clone, which rmcp's own, with its lists of allowed hosts, is not.
pub struct McpService<S>(Arc<Endpoint<S>>);

struct Endpoint<S> {
    http: StreamableHttpService<S, LocalSessionManager>,
    /// Tells how long a stream may stay open.
    clock: Arc<dyn Clock>,
}

impl<S> Clone for McpService<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The answer to come.
pub type McpFuture = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

impl<S, B> Service<Request<B>> for McpService<S>
where
    S: ServerHandler + Send + 'static,
    B: Body<Data: Send + 'static, Error: Display> + Send + 'static,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = McpFuture;

    /// Always ready, as rmcp's own.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> McpFuture {
        let endpoint = self.0.clone();
        let lacking = Lacking::default();
        request.extensions_mut().insert(lacking.clone());
        let presented = request.headers().get(AUTHORIZATION).cloned();
        let expires_at = request.extensions().get::<AuthContext>().map(|caller| caller.principal().expires_at);
        Box::pin(async move {
            let answer = endpoint.http.handle(request).await;
            let answer = stream::ends_with(answer, expires_at, &*endpoint.clock);
            Ok(lacking.challenge(&answer, presented.as_ref()).unwrap_or(answer))
        })
    }
}

/// An MCP endpoint for `handler`, to be put behind an [`AuthLayer`](authchain::AuthLayer).
///
/// It keeps no protocol sessions: each request stands alone with its own credential, a restart loses nothing, and a
/// session id is never mistaken for authentication. `Host` is checked against `public_url` and the loopback names, and a
/// browser's `Origin` against `public_url` (MCP: protection against DNS rebinding).
pub fn service<S>(handler: S, public_url: &Url) -> McpService<S>
where
    S: ServerHandler + Clone + Send + Sync + 'static,
{
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    hosts.extend(public_url.host_str().map(str::to_owned));
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(hosts)
        .with_allowed_origins([
            public_url.origin().ascii_serialization(),
            "http://localhost:*".into(),
            "http://127.0.0.1:*".into(),
        ])
        .enforce_origin_validation();
    let http = StreamableHttpService::new(move || Ok(handler.clone()), Arc::default(), config);
    McpService(Arc::new(Endpoint { http, clock: Arc::new(SystemClock) }))
}

/// Runs a whole server: `handler` behind the chain, with the authorization server and its pages, configured by the usual
/// file and the environment. Ends at Ctrl-C or SIGTERM.
///
/// # Errors
/// [`StartError`](authchain_server::StartError), which says what to mend.
#[cfg(feature = "server")]
pub async fn serve<S>(handler: S) -> Result<(), authchain_server::StartError>
where
    S: ServerHandler + Clone + Send + Sync + 'static,
{
    let app = authchain_server::App::from_env().await?;
    let mcp = service(handler, app.public_url());
    app.serve(mcp).await
}
