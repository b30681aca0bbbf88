use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use authchain::{core::SystemClock, trust::Places};
use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Redirect},
    routing::get,
};
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;

/// Answers with one list of addresses after the other, then with the last for ever.
struct Names(Vec<Vec<SocketAddr>>, AtomicUsize);

impl Names {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|a| a.parse().unwrap()).collect();
        Arc::new(Self(answers.iter().map(parse).collect(), AtomicUsize::new(0)))
    }
}

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        let turn = self.1.fetch_add(1, Ordering::SeqCst).min(self.0.len() - 1);
        let addresses = self.0[turn].clone();
        Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) })
    }
}

fn outbound(names: Arc<dyn Resolve>, loopback: bool) -> Outbound {
    Outbound::resolving_with(names, loopback, &Trust::default(), Arc::new(SystemClock)).unwrap()
}

async fn fetch(outbound: &Outbound, url: &str) -> Result<Fetched, FetchError> {
    outbound.json(&url.parse().unwrap()).await
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

fn typed(kind: &'static str, body: impl Into<Body>) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind)], body.into())
}

#[tokio::test]
async fn n05_an_address_that_is_a_private_number_is_not_fetched() {
    let outbound = outbound(Arc::new(SystemNames), false);
    for host in ["127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "[fd00::1]", "2130706433"] {
        let refused = fetch(&outbound, &format!("https://{host}/client.json")).await.unwrap_err();
        assert_eq!(refused, FetchError::Inside, "{host}");
    }
}

#[tokio::test]
async fn n05_a_name_that_leads_inside_is_not_connected_to_even_if_it_leads_outside_as_well() {
    for addresses in [&["127.0.0.1:0"][..], &["1.1.1.1:0", "10.0.0.1:0"], &["[fe80::1]:0"], &["[::ffff:127.0.0.1]:0"]] {
        let outbound = outbound(Names::new(&[addresses]), false);
        assert_eq!(
            fetch(&outbound, "https://client.example/c").await.unwrap_err(),
            FetchError::Inside,
            "{addresses:?}"
        );
    }
    let outbound = outbound(Arc::new(SystemNames), false);
    assert_eq!(fetch(&outbound, "https://localhost/c").await.unwrap_err(), FetchError::Inside);
}

#[tokio::test]
async fn n05_each_connection_looks_at_the_addresses_that_it_uses_so_rebinding_gains_nothing() {
    let base = serve(Router::new().route("/c", get(|| async { typed("application/json", "{}") }))).await;
    let port = base.rsplit(':').next().unwrap();
    // The first answer is harmless; every later one leads inside.
    let names = Names::new(&[&["127.0.0.1:0"], &["10.0.0.1:0"]]);
    let outbound = outbound(names.clone(), true);
    let url = format!("http://rebinding.example:{port}/c");
    assert!(fetch(&outbound, &url).await.is_ok());
    assert_eq!(names.1.load(Ordering::SeqCst), 1, "what was looked at is what was connected to");
    assert_eq!(fetch(&outbound, &url).await.unwrap_err(), FetchError::Inside);
}

#[tokio::test]
async fn n05_plain_http_and_loopback_are_for_development_only() {
    let base = serve(Router::new().route("/c", get(|| async { typed("application/json", "{}") }))).await;
    let url = format!("{base}/c");
    assert_eq!(fetch(&outbound(Arc::new(SystemNames), false), &url).await.unwrap_err(), FetchError::Scheme);
    assert!(fetch(&outbound(Arc::new(SystemNames), true), &url).await.is_ok());
    let private = fetch(&outbound(Arc::new(SystemNames), true), "http://10.0.0.1/c").await.unwrap_err();
    assert_eq!(private, FetchError::Inside, "development does not open the rest");
}

#[tokio::test]
async fn n05_a_redirect_an_endless_body_and_what_is_not_json_are_refused() {
    let endless = || async {
        let piece = Ok::<_, std::convert::Infallible>("x".repeat(8192));
        typed("application/json", Body::from_stream(futures_util::stream::repeat_with(move || piece.clone())))
    };
    let base = serve(
        Router::new()
            .route("/redirect", get(|| async { Redirect::temporary("http://127.0.0.1:1/") }))
            .route("/endless", get(endless))
            .route("/html", get(|| async { typed("text/html", "{}") }))
            .route("/list", get(|| async { typed("application/json", "[]") }))
            .route("/half", get(|| async { typed("application/json", "{\"a\":") }))
            .route("/down", get(|| async { StatusCode::BAD_GATEWAY }))
            .route("/busy", get(|| async { StatusCode::TOO_MANY_REQUESTS })),
    )
    .await;
    let outbound = outbound(Arc::new(SystemNames), true);
    for (path, why) in [
        ("redirect", FetchError::Redirect),
        ("endless", FetchError::TooLong),
        ("html", FetchError::NotJson),
        ("list", FetchError::NotJson),
        ("half", FetchError::NotJson),
        ("missing", FetchError::Status),
        ("down", FetchError::Unreachable),
        ("busy", FetchError::Unreachable),
    ] {
        assert_eq!(fetch(&outbound, &format!("{base}/{path}")).await.unwrap_err(), why, "{path}");
    }
    assert_eq!(fetch(&outbound, "http://127.0.0.1:1/").await.unwrap_err(), FetchError::Unreachable);
}

#[tokio::test]
async fn documents_are_fetched_from_those_whom_the_configuration_trusts_and_from_nobody_else() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("trusted.pem"), made.cert.pem()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![made.cert.der().clone()],
            PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/c", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
            stream.write_all(answer).await.unwrap();
            // Until the other side has read it and goes.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    let localhost = Names::new(&[&["127.0.0.1:0"]]);
    let trusting = |trust: &Trust| {
        let outbound = Outbound::resolving_with(localhost.clone(), true, trust, Arc::new(SystemClock)).unwrap();
        let url = url.clone();
        async move { fetch(&outbound, &url).await.map(|fetched| fetched.document) }
    };
    let folders = Trust::without_the_file(Some(folder.path().as_os_str())).unwrap();
    assert_eq!(trusting(&folders).await, Ok(Map::new()));
    let nobody = Trust::Only(Arc::new(Places::new(Vec::new(), Vec::new())));
    assert_eq!(trusting(&nobody).await, Err(FetchError::Unreachable));
}
