//! The one HTTP client that all hubs share: rustls on aws-lc, the machine's root certificates, HTTP/2 where offered.

use std::time::Duration;

use authchain_core::AuthError;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

use crate::Endpoints;

/// How hubs connect.
pub type Connector = HttpsConnector<HttpConnector>;

/// A connector to where the APIs are.
///
/// # Errors
/// [`AuthError::Configuration`] when the endpoints may not be used, or the machine has no root certificates.
pub(crate) fn connector(endpoints: &Endpoints) -> Result<Connector, AuthError> {
    endpoints.check()?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(Duration::from_secs(10)));
    tcp.set_nodelay(true);
    let provider = aws_lc_rs::default_provider();
    if endpoints.is_plain() {
        // The stand-in: no certificate is ever looked at, so none are loaded, and none can be trusted by accident.
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(|error| AuthError::Configuration(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        return Ok(HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp));
    }
    Ok(HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(provider)
        .map_err(|error| AuthError::Configuration(format!("no root certificates (install ca-certificates): {error}")))?
        .https_only()
        .enable_all_versions()
        .wrap_connector(tcp))
}

/// A client with its own pool of connections. A dead HTTP/2 connection is noticed within half a minute.
pub(crate) fn client<B>(connector: Connector) -> Client<Connector, B>
where
    B: hyper::body::Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(60))
        .http2_keep_alive_interval(Duration::from_secs(15))
        .http2_keep_alive_timeout(Duration::from_secs(10))
        .build(connector)
}
