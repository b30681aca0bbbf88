//! A server in a process of its own, on a core of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use axum::Router;
use tokio::net::TcpListener;

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
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(std::env::current_exe()?)
            .args(["serve", name])
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

/// Serves `app` on one thread and prints the port and these lines.
///
/// # Errors
/// When the server fails.
pub async fn serve(app: Router, extra: &[String]) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    for line in extra {
        println!("{line}");
    }
    axum::serve(listener, app).await?;
    Ok(())
}
