//! Whose certificates outgoing connections trust, where `SSL_CERT_FILE` names the server's own and where it does not: with
//! a Google that is reached over HTTPS and certified by an authority of its own.

use std::{fs, net::Ipv4Addr, path::Path, sync::Arc};

use authchain_testkit::{Browser, StandIn, StandInOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    process::Command,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

use crate::{
    journey::{ANN, LEGACY, ann_says, post, text_of},
    program::{Program, authchain, free_port, pointed_at, run},
};

/// A stand-in behind TLS, and the folders and files of certificates of a machine from which it is reached.
struct Machine {
    google: StandIn,
    home: TempDir,
    /// Google's address with https.
    base: String,
    proxy: JoinHandle<()>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.proxy.abort();
    }
}

impl Machine {
    /// `authorities/google.pem` certifies Google; `cert.pem` with `key.pem` is for a server of ours, and certifies nobody;
    /// ann has signed in, her credential is in `data` and, without a word of whose it is, in `token.json`.
    async fn new() -> Self {
        let google = StandIn::start(StandInOptions::default()).await.unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::create_dir(home.path().join("authorities")).unwrap();
        fs::write(home.path().join("authorities/google.pem"), authority.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let ours = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(home.path().join("cert.pem"), ours.cert.pem()).unwrap();
        fs::write(home.path().join("key.pem"), ours.signing_key.serialize_pem()).unwrap();

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let behind = google.url().socket_addrs(|| None).unwrap()[0];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let proxy = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut outside) = acceptor.accept(stream).await else { return };
                    let mut inside = TcpStream::connect(behind).await.unwrap();
                    // How a connection ends is seen by those who use it.
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        let machine = Self { google, home, base, proxy };
        machine.ann_signs_in().await;
        machine
    }

    async fn ann_signs_in(&self) {
        let mut login = self.plainly(&["login", "--no-browser", "--account", ANN]);
        let program = Program::start(&mut login, &self.home.path().join("log"));
        program.logged("Sign in here: ").await;
        let log = program.log();
        let link = log.split_once("Sign in here: ").unwrap().1.split_whitespace().next().unwrap().to_owned();
        Browser::new().unwrap().walk(link, &ann_says(true)).await.unwrap();
        assert!(program.ended().await.0.success());
        let export = ["--format", "authorized_user", "--account", ANN, "--output", "token.json", "--yes"];
        let exported = run(&mut self.plainly(&[&["credentials", "export"], &export[..]].concat())).await;
        assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
        let file = self.home.path().join("token.json");
        let mut token: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        token.as_object_mut().unwrap().retain(|name, _| !["account", "id_token", "token"].contains(&name.as_str()));
        fs::write(file, token.to_string()).unwrap();
    }

    /// A command that reaches Google without TLS.
    fn plainly(&self, args: &[&str]) -> Command {
        let mut command = authchain(self.home.path());
        command.args(args).args(["--data", "data"]).envs(pointed_at(&self.google));
        command
    }

    /// A command that reaches Google over HTTPS.
    fn securely(&self, args: &[&str], data: &str, variables: &[(&str, &str)]) -> Command {
        let mut command = authchain(self.home.path());
        command.args(args).args(["--data", data]).envs(pointed_at(&self.google));
        command.env("AUTHCHAIN__PROVIDERS__GOOGLE__BASE_URL", &self.base).envs(variables.iter().copied());
        command
    }

    /// Whether a command gets an answer of Google's to whose `token.json` is.
    async fn is_answered(&self, data: &Path, variables: &[(&str, &str)]) -> bool {
        let import = ["credentials", "import", "token.json", "--json"];
        let said = run(&mut self.securely(&import, data.to_str().unwrap(), variables)).await;
        let said = [said.stdout, said.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        let answered = said.contains("\"account_from\":\"provider\"");
        assert!(answered || said.contains("the provider was not asked or did not say"), "{variables:?}: {said}");
        answered
    }
}

const HTTPS: (&str, &str) = ("ENABLE_HTTPS", "true");
const KEY: (&str, &str) = ("SSL_KEY_FILE", "key.pem");
const OWN: (&str, &str) = ("SSL_CERT_FILE", "cert.pem");
const GOOGLES: (&str, &str) = ("SSL_CERT_FILE", "authorities/google.pem");
const FOLDER: (&str, &str) = ("SSL_CERT_DIR", "authorities");

#[tokio::test]
async fn ssl_cert_file_says_whom_to_trust_unless_it_is_the_servers_own_certificate() {
    let machine = Machine::new().await;
    let elsewhere = ("AUTHCHAIN__TLS__CERTIFICATE_FILE", "cert.pem");
    for (variables, answered) in [
        (&[GOOGLES][..], true),
        (&[FOLDER], true),
        (&[OWN], false),
        (&[GOOGLES, KEY], true),
        (&[GOOGLES, KEY, ("ENABLE_HTTPS", "false")], true),
        // Whatever is in the file, it is no authority of ours: the system is, and does not know this one.
        (&[HTTPS, GOOGLES, KEY], false),
        (&[HTTPS, OWN, KEY], false),
        (&[HTTPS, OWN, KEY, FOLDER], true),
        // Our own key says which the certificate is, so the other name means what it means to everybody.
        (&[HTTPS, GOOGLES, KEY, elsewhere], true),
    ] {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(machine.is_answered(data.path(), variables).await, answered, "{variables:?}");
    }
}

#[tokio::test]
async fn a_server_whose_certificate_the_older_names_give_shows_it_and_still_reaches_google() {
    let machine = Machine::new().await;
    let port = free_port().to_string();
    let mcp_url = format!("https://localhost:{port}/mcp");
    let redirect = format!("https://localhost:{port}/oauth2callback");
    let mut command = machine.securely(&["serve"], "data", &[HTTPS, OWN, KEY, FOLDER]);
    command
        .env("SERVER_PORT", &port)
        .env("OAUTH_REDIRECT_URI", redirect)
        .env("AUTHCHAIN__DEV__ACCEPT_DEV_KEYS", "true");
    let program = Program::start(&mut command, &machine.home.path().join("log of serve"));
    program.logged("listening").await;
    let mint = ["token", "mint", "--email", ANN, "--scope", "drive.readonly", "--audience", &mcp_url];
    let token = String::from_utf8(run(&mut machine.plainly(&mint)).await.stdout).unwrap();

    let certificate = fs::read(machine.home.path().join("cert.pem")).unwrap();
    let certificate = reqwest::Certificate::from_pem(&certificate).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().build().unwrap();
    let params = json!({ "name": "drive_list", "arguments": {} });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let request = post(&client, &mcp_url, Some(token.trim_end()), &body).header("mcp-protocol-version", LEGACY);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert!(!text_of(&answer).is_empty(), "{answer}\n{}", program.log());
    assert!(program.interrupt().await.0.success());
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn without_ssl_cert_dir_such_a_server_trusts_what_the_system_trusts() {
    let has_some = |folder: &str| fs::read_dir(folder).is_ok_and(|found| found.count() > 10);
    if !["/etc/ssl/certs", "/etc/pki/tls/certs"].into_iter().any(has_some) {
        return;
    }
    let machine = Machine::new().await;
    let port = free_port().to_string();
    let variables = [HTTPS, OWN, KEY, ("SERVER_PORT", &port), ("AUTHCHAIN__LOG__LEVEL", "info,authchain_trust=debug")];
    let program = Program::start(
        &mut machine.securely(&["serve"], "data", &variables),
        &machine.home.path().join("log of serve"),
    );
    program.logged("listening").await;
    let log = program.log();
    let said = log.lines().filter(|line| line.contains("outgoing TLS trusts the system")).collect::<Vec<_>>();
    let [said] = said[..] else { panic!("read once and no more: {log}") };
    let number = said.split_once("certificates=").unwrap().1.split_whitespace().next().unwrap();
    assert!(number.parse::<usize>().unwrap() > 1, "{said}");
    assert!(log.contains("SSL_CERT_FILE is the certificate that this server shows"), "{log}");
    assert!(program.interrupt().await.0.success());
}
