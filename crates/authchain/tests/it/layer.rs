//! The layer as tower middleware: in axum, over any body, with readiness honoured.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use authchain::{AuthContext, AuthLayer, Chain, Challenge, tiers::OAuthFallback};
use axum::{Extension, Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use tower_layer::Layer;
use tower_service::Service;

use crate::support::{Script, Scripted, person, request};

fn chain(waits: bool) -> Chain {
    let mut tier = Scripted::new("test", "good", Script::Known(person("ann")));
    tier.waits = waits;
    Chain::builder().tier(tier).tier(OAuthFallback).build()
}

fn layer(waits: bool) -> AuthLayer {
    let metadata = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp".parse().unwrap();
    AuthLayer::new(chain(waits)).challenge(Challenge::new().resource_metadata(metadata))
}

async fn call<S, B>(service: &mut S, request: Request<B>) -> S::Response
where
    S: Service<Request<B>, Error = Infallible>,
{
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    service.call(request).await.unwrap()
}

async fn text<B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>>(response: Response<B>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

#[tokio::test]
async fn in_axum_the_handler_sees_the_caller() {
    for waits in [false, true] {
        let mut app = Router::new()
            .route(
                "/mcp",
                get(|Extension(auth): Extension<AuthContext>| async move { auth.principal().user.to_string() }),
            )
            .route_layer(layer(waits));
        let response = call(&mut app, request(Some("good")).map(|()| Body::empty())).await;
        assert_eq!(text(response).await, "ann");
    }
}

#[tokio::test]
async fn a_token_that_is_no_text_is_refused_and_reaches_nobody() {
    for waits in [false, true] {
        let mut service = layer(waits).layer(tower::service_fn(|_: Request<()>| async {
            panic!("it was let through");
            #[expect(unreachable_code, reason = "gives the closure its type")]
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }));
        for token in [b"Bearer good\xff".as_slice(), b"Bearer \xff", b"DPoP \xff\xfe", b"Bearer good\xc3\xa4"] {
            let header = http::HeaderValue::from_bytes(token).unwrap();
            let request = Request::get("/mcp").header("authorization", header).body(()).unwrap();
            let status = call(&mut service, request).await.status();
            // A tier that looks at it may say so itself.
            assert!(status == StatusCode::BAD_REQUEST || !waits && status == StatusCode::UNAUTHORIZED, "{token:?}");
        }
    }
}

#[tokio::test]
async fn n02_n17_m3_a_refusal_has_a_challenge_and_a_json_body() {
    for (token, status) in [(None, 401), (Some("bad"), 401)] {
        let mut app = Router::new().route("/mcp", get(|| async { "secret" })).route_layer(layer(false));
        let response = call(&mut app, request(token).map(|()| Body::empty())).await;
        assert_eq!(response.status(), status);
        let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.contains("resource_metadata=\"https://mcp.example.com/"), "{challenge}");
        assert_eq!(challenge.contains("error=\"invalid_token\""), token.is_some());
        let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert!(body["error_description"].is_string() && body["what_to_do"].is_string());
    }
}

#[tokio::test]
async fn n20_doubled_headers_and_tokens_in_the_query_are_malformed() {
    let mut app = Router::new().route("/mcp", get(|| async { "secret" })).route_layer(layer(false));
    let doubled = Request::get("/mcp").header("authorization", "Bearer good").header("authorization", "Bearer good");
    let in_query = Request::get("/mcp?access_token=good");
    for request in [doubled, in_query] {
        let response = call(&mut app, request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }
}

/// A service that answers with its own kind of body and insists on being polled ready before each call.
struct Strict {
    ready: bool,
    broken: Arc<AtomicBool>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, broken: self.broken.clone() }
    }
}

impl Service<Request<Empty<Bytes>>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
        if !std::mem::take(&mut self.ready) {
            self.broken.store(true, Ordering::SeqCst);
        }
        std::future::ready(Ok(Response::new(Full::from("served"))))
    }
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_that_is_called() {
    for waits in [false, true] {
        let broken = Arc::new(AtomicBool::new(false));
        let mut service = layer(waits).layer(Strict { ready: false, broken: broken.clone() });
        for _ in 0..3 {
            let response = call(&mut service, request(Some("good")).map(|()| Empty::new())).await;
            assert_eq!(text(response).await, "served");
        }
        assert!(!broken.load(Ordering::SeqCst), "called without being ready");
    }
}

#[tokio::test]
async fn in_plain_hyper_the_layer_guards_a_service() {
    use hyper_util::{rt::TokioIo, service::TowerToHyperService};

    let inner = tower::service_fn(|request: Request<hyper::body::Incoming>| async move {
        let caller = request.extensions().get::<AuthContext>().map(|auth| auth.principal().user.to_string());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(caller.unwrap_or_default())))
    });
    let service = TowerToHyperService::new(layer(true).layer(inner));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.unwrap();
    });

    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (token, expected) in [(Some("good"), "ann"), (None, "missing_credential")] {
        let response = sender.send_request(request(token).map(|()| Empty::<Bytes>::new())).await.unwrap();
        assert!(text(response).await.contains(expected));
    }
}
