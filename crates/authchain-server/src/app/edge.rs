//! What lies around all routes: which `Host` is served, CORS of the MCP endpoint, when to stop.

use std::convert::Infallible;

use authchain::AuthLayer;
use axum::{
    Router,
    extract::Request,
    http::{HeaderName, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tower_http::cors::{Any, CorsLayer};
use tower_service::Service;
use url::Url;

/// The MCP endpoint behind the layer, with and without a slash at the end: a redirect would lose the token in some
/// clients. Preflight requests carry no credential and are answered before the chain.
pub(super) fn guarded<S>(path: &str, mcp: S, layer: AuthLayer) -> Router
where
    S: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Response: IntoResponse + 'static,
    S::Future: Send + 'static,
{
    let path = path.trim_end_matches('/');
    Router::new()
        .route_service(path, mcp.clone())
        .route_service(&format!("{path}/"), mcp)
        .route_layer(layer)
        .layer(cors())
}

fn cors() -> CorsLayer {
    let sent = ["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id", "last-event-id"];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::DELETE, Method::OPTIONS])
        .allow_headers(
            [header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT]
                .into_iter()
                .chain(sent.map(HeaderName::from_static))
                .collect::<Vec<_>>(),
        )
        .expose_headers([header::WWW_AUTHENTICATE, HeaderName::from_static("mcp-session-id")])
}

/// Serves only requests that were meant for this server (DNS rebinding: a foreign name that resolves to this machine).
pub(super) fn around(router: Router, public_url: &Url) -> Router {
    let own = public_url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let meant_for_us = is_ours(&own, &request);
        async move { if meant_for_us { next.run(request).await } else { misdirected() } }
    }))
}

fn is_ours(own: &str, request: &Request) -> bool {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = header.map(ToOwned::to_owned).or_else(|| request.uri().authority().map(ToString::to_string));
    let uri = authority.and_then(|authority| format!("http://{authority}/").parse::<Uri>().ok());
    let Some(host) = uri.as_ref().and_then(Uri::host) else { return false };
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case(own) || matches!(host, "localhost" | "127.0.0.1" | "::1")
}

/// RFC 9110, section 15.5.20.
fn misdirected() -> Response {
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

    fn served(host: &str) -> bool {
        is_ours("mcp.example.com", &Request::get("/").header("host", host).body(axum::body::Body::empty()).unwrap())
    }

    #[test]
    fn our_own_name_and_loopback_are_served() {
        for host in ["mcp.example.com", "MCP.example.com:443", "localhost:8002", "127.0.0.1", "[::1]:8002"] {
            assert!(served(host), "{host}");
        }
    }

    #[test]
    fn a_foreign_name_that_points_here_is_not() {
        for host in ["evil.example", "mcp.example.com.evil.example", "localhost.evil.example", "", "a b"] {
            assert!(!served(host), "{host}");
        }
    }
}
