//! A server in a process of its own, on a core of its own.

use std::{
    convert::Infallible,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::TcpListener;
use tower_service::Service;

/// A server that runs until it is dropped.
pub struct Server {
    child: Child,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    /// The lines that it printed after its port.
    pub extra: Vec<String>,
}

impl Server {
    /// Starts this same program with `serve NAME`, on the first core. It prints its port, then `extra` more lines.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(name: &str, extra: usize) -> Result<Self> {
        Self::start_on(0, &[name], extra)
    }

    /// Starts this same program with `serve` and these arguments, on that core.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_on(core: u8, arguments: &[&str], extra: usize) -> Result<Self> {
        let mut child = Command::new("taskset")
            .args(["-c", &core.to_string()])
            .arg(std::env::current_exe()?)
            .arg("serve")
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .context("taskset (util-linux) puts the server on a core of its own")?;
        let output = child.stdout.take().context("the server has no output")?;
        let mut lines = BufReader::new(output).lines();
        let port = lines.next().context("the server printed nothing")??.parse()?;
        let extra = lines.take(extra).collect::<Result<_, _>>()?;
        Ok(Self { child, port, extra })
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves `app` with hyper on one thread and prints the port and these lines.
///
/// # Errors
/// When the listener fails.
pub async fn serve<S, B>(app: S, extra: &[String]) -> Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    for line in extra {
        println!("{line}");
    }
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(app.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
