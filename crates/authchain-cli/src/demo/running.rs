//! The demo's server and its stand-in for Google, running; the server can be stopped and started again over the same data.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};

use authchain::core::{ShiftedClock, StoreError};
use authchain_server::{
    App, StartError,
    config::{Config, LogSection, Sources},
};
use authchain_testkit::{StandIn, StandInOptions};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use workspace_mcp::Workspace;

use crate::{args::Demo, failure::Failure};

const USUAL_PORT: u16 = 8002;
const PORTS_TO_TRY: u16 = 100;

/// A demo that is running.
pub(crate) struct Running {
    google: StandIn,
    clock: Arc<ShiftedClock>,
    config: Config,
    server: Option<Server>,
    /// Removes the folder when the demo ends.
    _temporary: Option<tempfile::TempDir>,
}

struct Server {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), StartError>>,
}

impl Running {
    pub(crate) async fn start(args: &Demo) -> Result<Self, Failure> {
        let (data, temporary) = match &args.data {
            Some(folder) => (folder.clone(), None),
            None => {
                let folder = tempfile::Builder::new().prefix("authchain-demo-").tempdir()?;
                (folder.path().to_path_buf(), Some(folder))
            }
        };
        let options = StandInOptions { auto_approve: args.auto_approve || args.check, ..StandInOptions::default() };
        let google = StandIn::start(options).await?;
        let listener = listen(args.port).await?;
        let config = config(&listener, &google, &data)?;
        let mut running = Self { google, clock: Arc::default(), config, server: None, _temporary: temporary };
        running.serve(listener).await?;
        Ok(running)
    }

    async fn serve(&mut self, listener: TcpListener) -> Result<(), Failure> {
        let app = App::with_clock(self.config.clone(), self.clock.clone()).await?.controlled();
        let mcp = authchain_mcp::service(Workspace::new(), app.public_url());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(app.serve_on(listener, mcp, async move { drop(stopped.await) }));
        self.server = Some(Server { stop, task });
        Ok(())
    }

    /// Stops the server, as a restart of the machine would, and starts it again over the same data and port.
    pub(crate) async fn restart(&mut self) -> Result<(), Failure> {
        self.stop().await?;
        let listener = listen(Some(self.config.server.port)).await?;
        self.serve(listener).await
    }

    async fn stop(&mut self) -> Result<(), Failure> {
        let Some(server) = self.server.take() else { return Ok(()) };
        let _ = server.stop.send(());
        server.task.await.map_err(|e| Failure::new(e, "This is a fault of authchain."))??;
        Ok(())
    }

    /// Runs until `stop` is ready.
    pub(crate) async fn until(mut self, stop: impl Future<Output = ()>) -> Result<(), Failure> {
        stop.await;
        self.stop().await?;
        self.google.stop().await;
        Ok(())
    }

    pub(crate) fn google(&self) -> &StandIn {
        &self.google
    }

    pub(crate) fn clock(&self) -> &ShiftedClock {
        &self.clock
    }

    pub(crate) fn log(&self) -> &LogSection {
        &self.config.log
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.config.server.port)
    }

    pub(crate) fn mcp_url(&self) -> String {
        format!("{}{}", self.issuer(), self.config.server.mcp_path)
    }

    pub(crate) fn google_url(&self) -> &str {
        self.google.issuer()
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.config.storage.directory
    }
}

/// The port that was asked for; or the usual one, or the next that is free.
async fn listen(asked: Option<u16>) -> Result<TcpListener, Failure> {
    let candidates = match asked {
        Some(port) => port..=port,
        None => USUAL_PORT..=USUAL_PORT + PORTS_TO_TRY,
    };
    let mut last = None;
    for port in candidates {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some((port, error)),
        }
    }
    let why = last.map(|(port, error)| format!("cannot listen on 127.0.0.1:{port}: {error}")).unwrap_or_default();
    Err(Failure::in_use(why, "Choose another port with --port."))
}

/// The defaults, pointed at the stand-in. The environment is left out: a demo is the same on every machine.
fn config(listener: &TcpListener, google: &StandIn, data: &Path) -> Result<Config, Failure> {
    let port = listener.local_addr()?.port();
    let data: PathBuf = std::path::absolute(data).map_err(|e| StoreError::unavailable("the data folder", e))?;
    let client = StandIn::client();
    let secret = client.secret.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default();
    let sources = Sources::new()
        .set("server.port", port, "demo")
        .set("server.public_url", format!("http://127.0.0.1:{port}"), "demo")
        .set("storage.directory", data.display(), "--data")
        .set("providers.google.base_url", google.url(), "demo")
        .set("providers.google.client_id", &client.id, "demo")
        .set("providers.google.client_secret", secret, "demo")
        .set("log.level", "warn", "demo");
    Ok(sources.load()?)
}
