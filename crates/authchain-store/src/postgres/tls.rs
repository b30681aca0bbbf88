//! TLS to the database, through the same library as everywhere else.

use std::{
    error::Error as _,
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use authchain_core::{Cause, StoreError};
use authchain_trust::{Trust, client_config};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_rustls::{
    TlsConnector, client,
    rustls::{
        self, CertificateError, ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::binding;

/// What the client library says where TLS is asked for and not offered; it has no type for it.
const NOT_OFFERED: &str = "server does not support TLS";

/// How TLS is spoken: the certificate must be a trusted one, and for the host's name.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts those in the file, if there is one, and nobody else.
    pub(super) fn new(trust: &Trust, file: Option<&Path>) -> Result<Self, StoreError> {
        let roots = match file {
            Some(file) => roots_in(file)?,
            // A system without certificates cannot speak TLS to anybody, and may still use a socket or the local network.
            None => trust.roots(),
        };
        let config = client_config(roots).map_err(|error| StoreError::unavailable("set TLS up", error))?;
        Ok(Self(Arc::new(config)))
    }
}

/// Why no TLS came about that the configuration asks for, and what to do; `None` where something else is wrong.
pub(super) fn refusal(error: &tokio_postgres::Error) -> Option<String> {
    let source = error.source()?;
    if source.to_string() == NOT_OFFERED {
        return Some(
            "the URL asks for TLS and the server does not offer it: switch `ssl` on there; only where nobody else is on \
             the network does sslmode=disable do as well"
                .into(),
        );
    }
    let refused = source.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(why) = refused else { return None };
    let what_to_do = match why {
        // A signature that is none of theirs: somebody of the same name, as authorities have that were made anew.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "add the certificate of who signed it to those that are trusted, or name its file in the URL: \
             sslrootcert=/path/to/ca.pem; only where nobody else is on the network does sslmode=disable do as well"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "use in the URL a name that the certificate is for"
        }
        _ => "the server needs another certificate",
    };
    Some(format!("its certificate is not trusted ({refused}): {what_to_do}"))
}

fn roots_in(file: &Path) -> Result<RootCertStore, StoreError> {
    let failed = |cause| StoreError::Unavailable { what: format!("read sslrootcert {}", file.display()), cause };
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| failed(Cause::new(error)))?;
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(certificates).0 == 0 {
        return Err(failed(Cause::text("there is no certificate in it")));
    }
    Ok(roots)
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Stream;
    type TlsConnect = Connect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Connect> {
        // A Unix socket has no name, and needs none.
        let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("the name {host:?}: {error}"));
        Ok(Connect { connector: TlsConnector::from(Arc::clone(&self.0)), name })
    }
}

/// One connection that may come to speak TLS.
pub(super) struct Connect {
    connector: TlsConnector,
    /// Whose certificate is asked for, or why nobody can have one.
    name: Result<ServerName<'static>, String>,
}

impl TlsConnect<Socket> for Connect {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        Box::pin(async move {
            let name = self.name.map_err(io::Error::other)?;
            self.connector.connect(name, stream).await.map(|tls| Stream(Box::new(tls)))
        })
    }
}

/// A connection that speaks TLS.
pub(super) struct Stream(Box<client::TlsStream<Socket>>);

impl TlsStream for Stream {
    /// Binds the password's proof to this connection, so that nobody in between can use it.
    fn channel_binding(&self) -> ChannelBinding {
        let certificates = self.0.get_ref().1.peer_certificates();
        let hash = certificates.and_then(<[_]>::first).and_then(|certificate| binding::end_point(certificate));
        hash.map_or_else(ChannelBinding::none, |hash| ChannelBinding::tls_server_end_point(hash.as_ref().to_vec()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
