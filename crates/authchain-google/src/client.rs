//! The one HTTP client that all hubs share: the root certificates that the configuration names, HTTP/2 where offered.

use std::time::Duration;

use authchain_core::AuthError;
use authchain_trust::client_config;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::RootCertStore;

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
    let plain = endpoints.is_plain();
    // The stand-in: no certificate is ever looked at, so none are loaded, and none can be trusted by accident.
    let roots = if plain { RootCertStore::empty() } else { endpoints.trust.roots() };
    if roots.is_empty() && !plain {
        return Err(AuthError::Configuration("no root certificates (install ca-certificates)".into()));
    }
    let config =
        client_config(roots).map_err(|error| AuthError::Configuration(format!("TLS cannot be set up: {error}")))?;
    let connector = HttpsConnectorBuilder::new().with_tls_config(config);
    let connector = if plain { connector.https_or_http() } else { connector.https_only() };
    Ok(connector.enable_all_versions().wrap_connector(tcp))
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
