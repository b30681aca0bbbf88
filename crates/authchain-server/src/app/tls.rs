//! HTTPS of our own: a certificate that is read again when its files change, and handshakes that hold nobody up.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use axum::serve::Listener;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{debug, error, info, warn};
use zeroize::Zeroizing;

use crate::config::{ConfigError, TlsSection};

/// How often it is looked whether the files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How many clients may be agreeing on a connection at once; further ones wait.
const HANDSHAKES: usize = 512;

/// The certificate that is served now, and the files that it comes from.
#[derive(Debug)]
pub(super) struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    served: Arc<Served>,
    /// A digest of what the files held when they were last looked at, usable or not: what is wrong is said once.
    seen: Mutex<Vec<u8>>,
}

/// What a look at the files found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    Unchanged,
    Renewed,
    /// They cannot be used, so what was served goes on being served.
    Kept(ConfigError),
}

#[derive(Debug)]
struct Served(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Certificates {
    /// Reads the files. It blocks.
    ///
    /// # Errors
    /// [`ConfigError`], which names the file.
    pub(super) fn open(section: &TlsSection) -> Result<Self, ConfigError> {
        let (Some(certificate), Some(key)) = (&section.certificate_file, &section.key_file) else {
            return Err(ConfigError::at("tls.certificate_file", "it and tls.key_file are needed"));
        };
        let (digest, pair) = read(certificate, key);
        let served = Arc::new(Served(RwLock::new(Arc::new(pair?))));
        warn_if_others_read(key);
        Ok(Self { certificate: certificate.clone(), key: key.clone(), served, seen: Mutex::new(digest) })
    }

    /// Takes over what the files hold now, if it has changed and can be used. It blocks.
    pub(super) fn look(&self) -> Look {
        let (digest, pair) = read(&self.certificate, &self.key);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == digest {
            return Look::Unchanged;
        }
        *seen = digest;
        match pair {
            Ok(pair) => {
                *self.served.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                Look::Renewed
            }
            Err(why) => Look::Kept(why),
        }
    }

    /// Looks again and again. Runs until it is aborted.
    pub(super) async fn keep_fresh(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let me = self.clone();
            match tokio::task::spawn_blocking(move || me.look()).await {
                Ok(Look::Renewed) => info!(file = %self.certificate.display(), "serving a new certificate"),
                Ok(Look::Kept(why)) => error!(%why, "the new certificate cannot be used; the old one is served on"),
                Ok(Look::Unchanged) => {}
                Err(error) => error!(%error, "the certificate could not be looked at"),
            }
        }
    }

    /// A listener that speaks TLS. HTTP/1.1 is what is served, so it is all that is offered.
    ///
    /// # Errors
    /// [`ConfigError`] when TLS cannot be set up.
    pub(super) fn listen(&self, tcp: TcpListener, patience: Duration) -> Result<TlsListener, ConfigError> {
        let mut config = ServerConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::at("tls.enabled", error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(self.served.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsListener { tcp, acceptor: TlsAcceptor::from(Arc::new(config)), patience, handshakes: JoinSet::new() })
    }
}

/// Accepts connections and agrees on TLS with each apart: a client that is slow or silent delays nobody else.
pub(super) struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    patience: Duration,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                (stream, address) = Listener::accept(&mut self.tcp), if self.handshakes.len() < HANDSHAKES => {
                    let agreeing = timeout(self.patience, self.acceptor.accept(stream));
                    self.handshakes.spawn(async move {
                        match agreeing.await {
                            Ok(Ok(stream)) => return Some((stream, address)),
                            Ok(Err(error)) => debug!(%error, "a client and this server did not agree on TLS"),
                            Err(_) => debug!("a client took too long to agree on TLS"),
                        }
                        None
                    });
                }
                Some(ended) = self.handshakes.join_next() => {
                    if let Ok(Some(agreed)) = ended {
                        return agreed;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// A digest of what the files hold, and the pair if it is one.
fn read(certificate: &Path, key: &Path) -> (Vec<u8>, Result<CertifiedKey, ConfigError>) {
    let (chain_pem, key_pem) = (std::fs::read(certificate), std::fs::read(key).map(Zeroizing::new));
    let mut digest = Context::new(&SHA256);
    for file in [chain_pem.as_deref().unwrap_or_default(), key_pem.as_ref().map_or(&[][..], |pem| &pem[..])] {
        digest.update(&file.len().to_be_bytes());
        digest.update(file);
    }
    let pair = || {
        let chain_pem = chain_pem.map_err(|error| wrong("tls.certificate_file", certificate, error.to_string()))?;
        let key_pem = key_pem.map_err(|error| wrong("tls.key_file", key, error.to_string()))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain_pem).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain =
            chain.ok_or_else(|| wrong("tls.certificate_file", certificate, "it is no certificate in PEM".into()))?;
        let private = PrivateKeyDer::from_pem_slice(&key_pem)
            .map_err(|_| wrong("tls.key_file", key, "it is no private key in PEM".into()))?;
        CertifiedKey::from_der(chain, private, &default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                wrong("tls.key_file", key, format!("it is not the key of {}", certificate.display()))
            }
            error => wrong("tls.certificate_file", certificate, error.to_string()),
        })
    };
    let pair = pair();
    (digest.finish().as_ref().to_vec(), pair)
}

fn wrong(key: &str, file: &Path, why: String) -> ConfigError {
    ConfigError { key: Some(key.into()), origin: Some(file.display().to_string()), why }
}

#[cfg(unix)]
fn warn_if_others_read(key: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if std::fs::metadata(key).is_ok_and(|file| file.permissions().mode() & 0o007 != 0) {
        warn!("everybody on this machine can read the private key: chmod 600 {}", key.display());
    }
}

#[cfg(not(unix))]
fn warn_if_others_read(_: &Path) {}

#[cfg(test)]
mod tests;
