//! TLS to a real PostgreSQL, with certificates that are made for the occasion.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{Arc, Weak},
};

use authchain_core::{CredentialStore, Expect, Secret, StoreError};
use authchain_store::{postgres::Postgres, seal::Keyring};
use authchain_testkit::suite::credential;
use authchain_trust::{Places, Trust};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm,
};

use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{
    ann, folder,
    server::{Server, hand_over},
};

/// The password of `ann`, who is let in with TLS only.
const PASSWORD: &str = "hush";

/// A server that speaks TLS.
struct Guarded {
    server: Server,
}

/// The one that tests share as long as one of them runs.
static SHARED: Mutex<Weak<Guarded>> = Mutex::const_new(Weak::new());

fn authority(name: &str, signature: &'static SignatureAlgorithm) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate_for(signature).unwrap()).unwrap()
}

/// A file of somebody who signs with the same kind of key, and nothing that is used here.
fn stranger(name: &str) -> (TempDir, PathBuf) {
    let dir = folder();
    let file = dir.path().join("stranger.pem");
    fs::write(&file, authority(name, &PKCS_ECDSA_P256_SHA256).pem()).unwrap();
    (dir, file)
}

fn only(files: Vec<PathBuf>) -> Trust {
    Trust::Only(Arc::new(Places::new(files, Vec::new())))
}

impl Guarded {
    /// With a certificate for this name, and a signature of this kind.
    async fn certified(name: &str, signature: &'static SignatureAlgorithm) -> Self {
        let authority = authority("Ours", signature);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();

        let server = Server::start_new();
        server.execute(&format!("CREATE ROLE ann LOGIN PASSWORD '{PASSWORD}'")).await;
        server.execute("CREATE DATABASE safe OWNER ann").await;
        server.stop();
        let data = PathBuf::from(server.data());
        for (name, pem) in [("server.crt", leaf.pem()), ("server.key", key.serialize_pem())] {
            let file = data.join(name);
            fs::write(&file, pem).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            hand_over(&file);
        }
        let who = "hostssl all ann 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n";
        fs::write(data.join("pg_hba.conf"), who).unwrap();
        fs::write(server.folder.path().join("ca.pem"), authority.pem()).unwrap();
        server.start_with("-c ssl=on");
        Self { server }
    }

    async fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().await;
        if let Some(guarded) = shared.upgrade() {
            return guarded;
        }
        let guarded = Arc::new(Self::certified("localhost", &PKCS_ECDSA_P256_SHA256).await);
        *shared = Arc::downgrade(&guarded);
        guarded
    }

    fn url(&self, options: &str) -> Secret {
        let port = self.server.port;
        Secret::new(format!("postgresql://ann:{PASSWORD}@localhost:{port}/safe?hostaddr=127.0.0.1{options}"))
    }

    /// The file of those who are to be trusted.
    fn file(&self) -> PathBuf {
        self.server.folder.path().join("ca.pem")
    }

    fn trust(&self) -> Trust {
        only(vec![self.file()])
    }

    /// How many connections of this name speak TLS, and how many do not.
    async fn connections(&self, name: &str) -> (i64, i64) {
        let url = format!("postgresql://postgres@127.0.0.1:{}/postgres", self.server.port);
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let count = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl)
                     FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = $1";
        let row = client.query_one(count, &[&name]).await.unwrap();
        (row.get(0), row.get(1))
    }
}

/// What somebody who cannot connect is told.
async fn refusal(url: &Secret, trust: &Trust) -> String {
    let error = Postgres::connect_trusting(url, trust).await.unwrap_err();
    let StoreError::Unavailable { what, cause } = &error else { panic!("{error:?}") };
    let told = format!("{what}: {cause}");
    assert!(!format!("{told} {error} {error:?}").contains(PASSWORD), "{error:?}");
    told
}

#[tokio::test]
async fn over_tls_what_is_saved_is_loaded_however_the_url_asks_for_it() {
    let guarded = Guarded::shared().await;
    let (trust, keyring) = (guarded.trust(), Keyring::ephemeral());
    for (n, options) in (0..).zip([
        "",
        "&sslmode=prefer",
        "&sslmode=require",
        "&sslmode=verify-ca",
        "&sslmode=verify-full",
        "&sslmode=verify-full&channel_binding=require",
    ]) {
        let url = guarded.url(&format!("{options}&application_name=saving"));
        let database = Postgres::connect_trusting(&url, &trust).await.unwrap();
        let store = database.credentials(keyring.clone());
        store.put(&ann(), &credential(n), Expect::Any).await.unwrap();
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(n), "{options}");
        let (with_tls, without) = guarded.connections("saving").await;
        assert!(with_tls > 0 && without == 0, "{options}: {with_tls} with TLS, {without} without");
    }
}

#[tokio::test]
async fn a_database_of_an_authority_of_its_own_is_reached_with_the_file_that_the_url_names() {
    let (guarded, nobody) = (Guarded::shared().await, only(Vec::new()));
    let with = |file: PathBuf| guarded.url(&format!("&sslmode=verify-full&sslrootcert={}", file.display()));
    Postgres::connect_trusting(&with(guarded.file()), &nobody).await.unwrap();
    let (_dir, other) = stranger("Somebody");
    let told = refusal(&with(other), &guarded.trust()).await;
    assert!(told.contains("certificate is not trusted"), "who is in the file is trusted, and nobody besides: {told}");

    let dir = folder();
    let empty = dir.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    for file in [empty, dir.path().join("missing.pem")] {
        let told = refusal(&with(file.clone()), &nobody).await;
        assert!(told.contains(&format!("sslrootcert {}", file.display())), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_nobody_trusted_vouches_for_is_refused_and_the_error_says_what_to_do() {
    let guarded = Guarded::shared().await;
    let ((_dir, somebody), (_other, of_that_name)) = (stranger("Somebody"), stranger("Ours"));
    for (options, file) in [
        ("", Some(&somebody)),
        ("&sslmode=require", Some(&somebody)),
        ("&sslmode=verify-full", Some(&of_that_name)),
        ("&sslmode=verify-full", None),
    ] {
        let url = guarded.url(&format!("{options}&application_name=refused"));
        let told = refusal(&url, &only(file.into_iter().cloned().collect())).await;
        for part in ["the database safe at localhost", "certificate is not trusted", "sslrootcert=/path/to/ca.pem"] {
            assert!(told.contains(part), "{options}: {told}");
        }
        assert_eq!(guarded.connections("refused").await, (0, 0), "{options}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_the_error_tells_the_names() {
    let guarded = Guarded::certified("db.example", &PKCS_ECDSA_P256_SHA256).await;
    for mode in ["require", "verify-ca", "verify-full"] {
        let told = refusal(&guarded.url(&format!("&sslmode={mode}")), &guarded.trust()).await;
        for part in ["localhost", "db.example", "use in the URL a name that the certificate is for"] {
            assert!(told.contains(part), "{mode}: {told}");
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_the_url_asks_for_it() {
    let server = Server::shared();
    let url = server.url().await.expose().replace("postgres@", &format!("postgres:{PASSWORD}@"));
    for mode in ["require", "verify-ca", "verify-full"] {
        let told = refusal(&Secret::new(format!("{url}?sslmode={mode}")), &Trust::default()).await;
        assert!(told.contains("the server does not offer it: switch `ssl` on there"), "{mode}: {told}");
    }
    for mode in ["prefer", "disable"] {
        Postgres::connect(&Secret::new(format!("{url}?sslmode={mode}"))).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_is_let_in_with_tls_only_is_refused_without_it() {
    let guarded = Guarded::shared().await;
    let told = refusal(&guarded.url("&sslmode=disable"), &guarded.trust()).await;
    assert!(told.contains("no encryption"), "{told}");
}

#[tokio::test]
async fn a_password_is_bound_to_the_certificate_with_the_hash_of_its_signature() {
    let guarded = Guarded::certified("localhost", &PKCS_ECDSA_P384_SHA384).await;
    for binding in ["prefer", "require"] {
        let url = guarded.url(&format!("&sslmode=require&channel_binding={binding}"));
        Postgres::connect_trusting(&url, &guarded.trust()).await.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_that_nothing_can_be_bound_to_is_refused_only_where_binding_is_asked_for() {
    let guarded = Guarded::certified("localhost", &PKCS_ED25519).await;
    Postgres::connect_trusting(&guarded.url("&sslmode=require"), &guarded.trust()).await.unwrap();
    let told = refusal(&guarded.url("&sslmode=require&channel_binding=require"), &guarded.trust()).await;
    assert!(told.contains("channel binding"), "{told}");
}

#[tokio::test]
async fn a_unix_socket_needs_no_name_and_no_tls() {
    let server = Server::start_new();
    server.stop();
    let sockets = server.folder.path().display().to_string();
    server.start_with(&format!("-c unix_socket_directories={sockets}"));
    let url = |mode| {
        Secret::new(format!("postgresql://postgres@/postgres?host={sockets}&port={}&sslmode={mode}", server.port))
    };
    Postgres::connect(&url("prefer")).await.unwrap();
    let told = refusal(&url("require"), &Trust::default()).await;
    assert!(told.contains(&sockets) && told.contains("does not offer"), "{told}");
}
