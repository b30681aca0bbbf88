//! The front door: connections, counting, and everything that goes wrong on command before or instead of an answer.

use std::{convert::Infallible, fmt, future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    response::{Html, IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};
use tower_service::Service;

use super::{api_error::ApiError, oauth_error::OAuthError, params::Params, world::World};
use crate::{Endpoint, Fault};

/// The largest body that is taken: a message with attachments.
const LARGEST_BODY: usize = 40 << 20;

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed on command")
    }
}

impl std::error::Error for Closed {}

/// Serves HTTP/1.1 until it is dropped; then every connection is closed, too.
pub(crate) async fn serve<S, F>(listener: TcpListener, answer: S)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response, Closed>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let service = service_fn(answer.clone());
                    // What a peer does to its connection is its own affair.
                    connections.spawn(async move {
                        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                    });
                }
                // Out of file descriptors, most likely: some will come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers one request, or fails to, as commanded.
pub(crate) async fn answer(
    world: Arc<World>,
    mut router: Router,
    request: Request<Incoming>,
) -> Result<Response, Closed> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| Closed)?.to_bytes();
    if path.starts_with("/standin/") || path == "/" {
        return Ok(call(&mut router, parts, body).await);
    }
    let form = (path == "/token").then(|| Params::parse(&body));
    let endpoint = Endpoint::of(&path, form.as_ref().and_then(|form| form.get("grant_type")));
    let ticket = world.traffic.arrive(endpoint, parts.method.as_str(), &path);
    let fault = world.traffic.pass(endpoint).await;
    let response = match fault {
        None => call(&mut router, parts, body).await,
        Some(Fault::Status { status, retry_after }) => with_retry_after(status_answer(endpoint, status), retry_after),
        Some(Fault::Refusal(reason)) => ApiError::refusal(endpoint, &reason).into_response(),
        Some(Fault::Garbage) => Html("<!doctype html><title>Sorry</title>this is {no JSON").into_response(),
        Some(Fault::Close) => return Err(Closed),
        Some(Fault::LostAnswer) => {
            call(&mut router, parts, body).await;
            return Err(Closed);
        }
        Some(Fault::Trickle(pause)) => trickle(call(&mut router, parts, body).await, pause).await,
    };
    world.traffic.answered(ticket, response.status().as_u16());
    Ok(response)
}

async fn call(router: &mut Router, parts: Parts, body: Bytes) -> Response {
    let answer: Result<Response, Infallible> = router.call(Request::from_parts(parts, Body::from(body))).await;
    answer.unwrap_or_else(|never| match never {})
}

fn status_answer(endpoint: Endpoint, status: u16) -> Response {
    match endpoint {
        Endpoint::Drive | Endpoint::Gmail | Endpoint::Calendar => ApiError::of_status(status).into_response(),
        Endpoint::Authorize => {
            let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (code, Html(format!("<!doctype html><title>Error {status}</title><h1>Error {status}</h1>"))).into_response()
        }
        _ => OAuthError::of_status(status).into_response(),
    }
}

fn with_retry_after(mut response: Response, seconds: Option<u64>) -> Response {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The same answer, one byte at a time.
async fn trickle(response: Response, pause: Duration) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    let drops = stream::unfold(bytes, move |mut bytes| async move {
        if bytes.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let drop = bytes.split_to(1);
        Some((Ok::<_, Infallible>(drop), bytes))
    });
    Response::from_parts(parts, Body::from_stream(drops))
}
