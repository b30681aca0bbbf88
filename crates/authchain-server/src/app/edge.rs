//! The front of the server: which `Host` is served, the short way to the MCP endpoint, CORS there, when to stop.
//!
//! Requests to the MCP endpoint are most of what a server gets. They go from here straight to the layer, past the router
//! with its boxes; everything else goes to the router.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use authchain::{AuthLayer, AuthService, ResponseFuture};
use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::future::RouteFuture,
};
use tower_layer::Layer;
use tower_service::Service;
use url::Url;

/// A service that can be an MCP endpoint: rmcp's is one.
pub trait McpEndpoint:
    Service<Request, Response = Response<Self::Body>, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
    /// What it answers with.
    type Body: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static;
}

impl<S, B> McpEndpoint for S
where
    S: Service<Request, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static,
    B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    type Body = B;
}

/// A whole server as one tower service.
#[derive(Clone)]
pub struct Front<M> {
    own: Arc<Own>,
    mcp: AuthService<M>,
    rest: Router,
}

/// What belongs to this server.
struct Own {
    host: String,
    /// The path of the public URL, which some proxies take off.
    base: String,
    mcp_path: String,
    at_root: bool,
}

/// Where the MCP endpoint is.
pub(super) struct Paths<'a> {
    /// Its path.
    pub(super) mcp: &'a str,
    /// Whether it is at `/`, too.
    pub(super) at_root: bool,
}

impl<M: McpEndpoint> Front<M> {
    pub(super) fn new(public_url: &Url, paths: Paths<'_>, mcp: M, layer: &AuthLayer, rest: Router) -> Self {
        let host = public_url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let base = public_url.path().trim_end_matches('/').to_owned();
        let own = Own { host, base, mcp_path: paths.mcp.trim_end_matches('/').to_owned(), at_root: paths.at_root };
        Self { own: Arc::new(own), mcp: layer.layer(mcp), rest }
    }
}

impl Own {
    /// With and without a slash at the end: a redirect would lose the token in some clients.
    fn is_mcp(&self, path: &str) -> bool {
        let path = self.below_base(path);
        path.strip_prefix(&*self.mcp_path).is_some_and(|rest| rest.is_empty() || rest == "/")
            || (self.at_root && path == "/")
    }

    fn below_base<'a>(&self, path: &'a str) -> &'a str {
        match path.strip_prefix(&*self.base) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        }
    }

    /// Whether a request was meant for this server, and not for a foreign name that resolves to this machine (DNS
    /// rebinding).
    fn is_meant(&self, request: &Request) -> bool {
        let mut headers = request.headers().get_all(header::HOST).iter();
        let header = headers.next().map(HeaderValue::as_bytes);
        if headers.next().is_some() {
            return false;
        }
        let authority = header.or_else(|| request.uri().authority().map(|authority| authority.as_str().as_bytes()));
        let Some(host) = authority.and_then(host_of) else { return false };
        host.eq_ignore_ascii_case(self.host.as_bytes())
            || host.eq_ignore_ascii_case(b"localhost")
            || host == b"127.0.0.1"
            || host == b"::1"
    }
}

/// The host of `host[:port]` or `[v6][:port]`.
fn host_of(authority: &[u8]) -> Option<&[u8]> {
    let (host, rest) = match authority.strip_prefix(b"[") {
        Some(v6) => {
            v6.split_at_checked(v6.iter().position(|b| *b == b']')?).map(|(host, rest)| (host, rest.get(1..)))?
        }
        None => {
            let end = authority.iter().position(|b| *b == b':').unwrap_or(authority.len());
            authority.split_at_checked(end).map(|(host, rest)| (host, Some(rest)))?
        }
    };
    let port = rest?.strip_prefix(b":").unwrap_or_else(|| rest.unwrap_or_default());
    port.iter().all(u8::is_ascii_digit).then_some(host)
}

impl<M: McpEndpoint> Service<Request> for Front<M> {
    type Response = Response;
    type Error = Infallible;
    type Future = FrontFuture<M>;

    /// The MCP endpoint and the router are always ready: rmcp's service and axum's router say so themselves.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.mcp.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> FrontFuture<M> {
        if !self.own.is_meant(&request) {
            return FrontFuture::Done { response: Some(misdirected(&request)) };
        }
        if !self.own.is_mcp(request.uri().path()) {
            if self.own.below_base(request.uri().path()) == "/" {
                return FrontFuture::Done { response: Some(nothing_at_root(&self.own.mcp_path)) };
            }
            return FrontFuture::Rest { future: self.rest.call(request) };
        }
        let from_a_page = request.headers().contains_key(header::ORIGIN);
        // A preflight carries no credential (Fetch, section 3.3.5), so it is answered before the chain.
        if from_a_page
            && request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        {
            return FrontFuture::Done { response: Some(preflight()) };
        }
        FrontFuture::Mcp { future: self.mcp.call(request), from_a_page }
    }
}

pin_project_lite::pin_project! {
    /// The response to come.
    #[project = FrontProjection]
    pub enum FrontFuture<M: McpEndpoint> {
        /// To the MCP endpoint.
        Mcp { #[pin] future: ResponseFuture<M::Future, Infallible, M::Body>, from_a_page: bool },
        /// To everything else.
        Rest { #[pin] future: RouteFuture<Infallible> },
        /// Answered here.
        Done { response: Option<Response> },
    }
}

impl<M: McpEndpoint> Future for FrontFuture<M> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            FrontProjection::Mcp { future, from_a_page } => {
                let Ok(response) = ready!(future.poll(context));
                let mut response = response.map(|body| body.into_served().map_or_else(Body::new, Body::new));
                if *from_a_page {
                    expose(response.headers_mut());
                }
                Poll::Ready(Ok(response))
            }
            FrontProjection::Rest { future } => future.poll(context),
            FrontProjection::Done { response } => {
                Poll::Ready(Ok(response.take().expect("a future is not polled after it is ready")))
            }
        }
    }
}

/// Tokens travel in a header that a page must be given, so any origin may ask; rmcp decides which it serves.
fn expose(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("www-authenticate, mcp-session-id, retry-after"),
    );
}

fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, accept, dpop, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, \
             last-event-id",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "3600"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Clients try the root of a host, and people open it. Not a 404, which some take for "no such server", and no redirect,
/// which loses the token (RFC 9110, section 15.5.6: no method is allowed).
fn nothing_at_root(mcp_path: &str) -> Response {
    let words = format!("This is an MCP server. Its endpoint is {mcp_path}; people sign in at /auth.\n");
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "")], words).into_response()
}

/// RFC 9110, section 15.5.20; and RFC 9112, section 3.2, where there are two of them, of which a proxy may have read the other.
fn misdirected(request: &Request) -> Response {
    if request.headers().get_all(header::HOST).iter().nth(1).is_some() {
        return (StatusCode::BAD_REQUEST, "A request has one Host header.\n").into_response();
    }
    (StatusCode::MISDIRECTED_REQUEST, "This server is not meant by that Host; see server.public_url.\n").into_response()
}

/// Ready when the program is asked to stop: Ctrl-C or SIGTERM. It listens from this call on, not only from the first poll,
/// so that a program which says "ready" after the call never dies of the signal.
pub fn stop_signal() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (interrupted, terminated) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        async move {
            match (interrupted, terminated) {
                (Ok(mut interrupted), Ok(mut terminated)) => {
                    tokio::select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
                }
                // Then the system ends the program, as it does with every program that does not listen.
                _ => std::future::pending().await,
            }
        }
    }
    #[cfg(not(unix))]
    async {
        let _ = tokio::signal::ctrl_c().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Own {
        Own { host: "mcp.example.com".into(), base: String::new(), mcp_path: "/mcp".into(), at_root: false }
    }

    fn served(host: &str) -> bool {
        own().is_meant(&Request::get("/").header("host", host).body(Body::empty()).unwrap())
    }

    #[test]
    fn n20_our_own_name_and_loopback_are_served() {
        for host in ["mcp.example.com", "MCP.example.com:443", "localhost:8002", "127.0.0.1", "[::1]:8002", "[::1]"] {
            assert!(served(host), "{host}");
        }
    }

    #[test]
    fn n20_a_foreign_name_that_points_here_is_not() {
        for host in [
            "evil.example",
            "mcp.example.com.evil.example",
            "localhost.evil.example",
            "",
            "a b",
            "[::1",
            "[::1]x",
            "localhost:80@evil.example",
            "127.0.0.1:evil",
            "mcp.example.com:443:1",
        ] {
            assert!(!served(host), "{host:?}");
        }
    }

    /// Whoever stands before us may have read the other one.
    #[test]
    fn n20_a_request_with_two_names_is_refused_whichever_is_ours() {
        for other in ["evil.example", "localhost"] {
            let request =
                Request::get("/").header("host", "localhost").header("host", other).body(Body::empty()).unwrap();
            assert!(!own().is_meant(&request));
            assert_eq!(misdirected(&request).status(), StatusCode::BAD_REQUEST);
        }
        let foreign = Request::get("/").header("host", "evil.example").body(Body::empty()).unwrap();
        assert_eq!(misdirected(&foreign).status(), StatusCode::MISDIRECTED_REQUEST);
    }

    #[test]
    fn m1_the_endpoint_is_its_path_with_and_without_a_slash() {
        for (path, mcp) in [("/mcp", true), ("/mcp/", true), ("/mcp/x", false), ("/mcpx", false), ("/", false)] {
            assert_eq!(own().is_mcp(path), mcp, "{path}");
        }
    }

    #[test]
    fn a_public_url_with_a_path_is_served_with_and_without_it() {
        let own = Own { base: "/tools".into(), ..own() };
        for (path, mcp) in
            [("/tools/mcp", true), ("/tools/mcp/", true), ("/mcp", true), ("/toolsmcp", false), ("/tools", false)]
        {
            assert_eq!(own.is_mcp(path), mcp, "{path}");
        }
        assert_eq!(["/tools", "/tools/", "/"].map(|path| own.below_base(path)), ["/"; 3]);
    }

    #[test]
    fn m1_the_root_is_the_endpoint_where_that_is_switched_on() {
        let own = Own { at_root: true, ..own() };
        for (path, mcp) in [("/", true), ("/mcp", true), ("/mcp/", true), ("//", false), ("/auth", false)] {
            assert_eq!(own.is_mcp(path), mcp, "{path}");
        }
    }
}
