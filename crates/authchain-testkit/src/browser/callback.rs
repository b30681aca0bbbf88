//! The loopback callback of a client, played by the test kit (RFC 8252, section 7.3).

use std::{
    collections::BTreeMap,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
};

use axum::response::{Html, IntoResponse};
use http::StatusCode;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use url::Url;

use crate::standin::serve;

/// The loopback callback of a client: a listener on a free port that remembers what arrives. Stops when dropped.
pub struct CallbackListener {
    url: Url,
    arrivals: mpsc::UnboundedReceiver<Callback>,
    server: JoinHandle<()>,
}

/// What arrived at a callback. Its `Debug` shows no values, for one of them is a code.
#[derive(Clone, PartialEq, Eq)]
pub struct Callback {
    /// The parameters of the query.
    pub params: BTreeMap<String, String>,
}

impl CallbackListener {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let url = Url::parse(&format!("http://{}/callback", listener.local_addr()?)).map_err(io::Error::other)?;
        let (sender, arrivals) = mpsc::unbounded_channel();
        let server = tokio::spawn(serve(listener, move |request| {
            let sender = sender.clone();
            async move {
                if request.uri().path() != "/callback" {
                    return Ok(StatusCode::NOT_FOUND.into_response());
                }
                let query = request.uri().query().unwrap_or_default();
                let params = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
                // Nobody may be listening any more; the browser gets its page all the same.
                let _ = sender.send(Callback { params });
                Ok(Html("<!doctype html><title>Back at the client</title><p>You may close this window.")
                    .into_response())
            }
        }));
        Ok(Self { url, arrivals, server })
    }

    /// The address to register: `http://127.0.0.1:PORT/callback`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The next arrival. Waits for it as long as it takes.
    pub async fn next(&mut self) -> Option<Callback> {
        self.arrivals.recv().await
    }
}

impl Drop for CallbackListener {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Callback {
    /// A parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.params.keys()).finish()
    }
}

impl fmt::Debug for CallbackListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackListener").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}
