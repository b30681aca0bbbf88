//! HTTPS with certificates that are made for the occasion.

use std::fs;

use axum::{Router, routing::get};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::{Notify, oneshot},
    task::JoinHandle,
};

use super::*;

struct Files {
    folder: TempDir,
}

impl Files {
    /// A folder with a certificate for this machine; the certificate is returned for those who are to trust it.
    fn new() -> (Self, String) {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        let certificate = files.renew();
        (files, certificate)
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn renew(&self) -> String {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        fs::write(self.certificate(), made.cert.pem()).unwrap();
        fs::write(self.key(), made.signing_key.serialize_pem()).unwrap();
        made.cert.pem()
    }

    fn section(&self) -> TlsSection {
        TlsSection {
            enabled: true,
            certificate_file: Some(self.certificate()),
            key_file: Some(self.key()),
            handshake_timeout: Duration::from_secs(10),
        }
    }

    fn open(&self) -> Result<Certificates, ConfigError> {
        Certificates::open(&self.section())
    }
}

/// A client that trusts one certificate and nothing else.
fn trusting(certificate: &str) -> reqwest::Client {
    let certificate = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
    reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().build().unwrap()
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
    /// A request for `/slow` is under way.
    arrived: Arc<Notify>,
    /// It may be answered.
    released: Arc<Notify>,
}

impl Server {
    async fn start(certificates: &Certificates, patience: Duration) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let listener = certificates.listen(tcp, patience).unwrap();
        let (arrived, released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (at_the_door, go) = (arrived.clone(), released.clone());
        let slow = get(|| async move {
            at_the_door.notify_one();
            go.notified().await;
            "late"
        });
        let router = Router::new().route("/", get(|| async { "hello" })).route("/slow", slow);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(
            axum::serve(listener, router).with_graceful_shutdown(async move { drop(stopped.await) }).into_future(),
        );
        Self { address, stop, task, arrived, released }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    async fn text(&self, certificate: &str) -> reqwest::Result<String> {
        trusting(certificate).get(self.url("/")).send().await?.text().await
    }
}

const PATIENT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn https_is_served_with_the_configured_certificate() {
    let (files, certificate) = Files::new();
    let server = Server::start(&files.open().unwrap(), PATIENT).await;
    assert_eq!(server.text(&certificate).await.unwrap(), "hello");
    let (_, another) = Files::new();
    assert!(server.text(&another).await.is_err(), "the client does look at the certificate");
    let plain = reqwest::get(format!("http://{}/", server.address)).await;
    assert!(plain.is_err(), "nothing is answered in the clear");
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart_and_a_bad_one_is_not() {
    let (files, first) = Files::new();
    let certificates = files.open().unwrap();
    let server = Server::start(&certificates, PATIENT).await;
    assert_eq!(certificates.look(), Look::Unchanged);

    let second = files.renew();
    assert_eq!(certificates.look(), Look::Renewed);
    assert_eq!(server.text(&second).await.unwrap(), "hello");
    assert!(server.text(&first).await.is_err());

    let (others, _) = Files::new();
    fs::copy(others.key(), files.key()).unwrap();
    let Look::Kept(why) = certificates.look() else { panic!("a key of another certificate was taken") };
    assert_eq!(why.key.as_deref(), Some("tls.key_file"));
    assert_eq!(certificates.look(), Look::Unchanged, "it is said once");
    fs::remove_file(files.certificate()).unwrap();
    assert!(matches!(certificates.look(), Look::Kept(_)));
    assert_eq!(server.text(&second).await.unwrap(), "hello", "the old pair is served on");

    let third = files.renew();
    assert_eq!(certificates.look(), Look::Renewed);
    assert_eq!(server.text(&third).await.unwrap(), "hello");
}

#[test]
fn files_that_are_missing_or_wrong_stop_the_start_and_are_named() {
    let (files, _) = Files::new();
    let refused = |break_it: &dyn Fn(&Files)| {
        files.renew();
        break_it(&files);
        let error = files.open().err().unwrap();
        (error.key.unwrap(), error.origin.unwrap(), error.why)
    };
    let named = |path: PathBuf| path.display().to_string();
    let (key, origin, _) = refused(&|files| fs::remove_file(files.certificate()).unwrap());
    assert_eq!((key.as_str(), origin), ("tls.certificate_file", named(files.certificate())));
    let (key, origin, _) = refused(&|files| fs::remove_file(files.key()).unwrap());
    assert_eq!((key.as_str(), origin), ("tls.key_file", named(files.key())));
    let (key, _, why) = refused(&|files| fs::write(files.key(), "hush").unwrap());
    assert!(key == "tls.key_file" && !why.contains("hush"), "{why}");
    let (key, ..) = refused(&|files| fs::copy(files.key(), files.certificate()).map(drop).unwrap());
    assert_eq!(key, "tls.certificate_file");
    let (others, _) = Files::new();
    let (key, _, why) = refused(&|files| fs::copy(others.key(), files.key()).map(drop).unwrap());
    assert!(key == "tls.key_file" && why.contains("not the key of"), "{why}");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_dropped_and_holds_nobody_up() {
    let (files, certificate) = Files::new();
    let server = Server::start(&files.open().unwrap(), Duration::from_millis(100)).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    assert_eq!(server.text(&certificate).await.unwrap(), "hello");
    for mut stream in silent {
        let ended = timeout(PATIENT, stream.read(&mut [0; 1])).await.expect("it is dropped");
        assert!(!matches!(ended, Ok(1..)), "nothing is said to it");
    }
}

#[tokio::test]
async fn a_request_that_is_under_way_is_finished_when_the_server_stops() {
    let (files, certificate) = Files::new();
    let server = Server::start(&files.open().unwrap(), PATIENT).await;
    let client = trusting(&certificate);
    let asking = tokio::spawn(client.get(server.url("/slow")).send());
    server.arrived.notified().await;
    let address = server.address;
    server.stop.send(()).unwrap();
    // The door is closed before the request inside is answered.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.released.notify_one();
    assert_eq!(asking.await.unwrap().unwrap().text().await.unwrap(), "late");
    timeout(PATIENT, server.task).await.expect("it ends").unwrap().unwrap();
}
