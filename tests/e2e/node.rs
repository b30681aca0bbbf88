//! Node.js, and the scripts of `tests/clients` that it runs.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// Longer than anything takes on a busy machine with two cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A script that is running. It says what it does in lines of JSON, and may ask.
pub(crate) struct Script {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<Value>,
}

/// Where the top of the project is.
pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Node.js: the one that `scripts/test --setup` has brought where the system's is too old, or else the system's.
pub(crate) fn node() -> Command {
    let own = project().join("target/node/bin/node");
    if own.is_file() { Command::new(own) } else { Command::new("node") }
}

impl Script {
    /// Starts a script.
    pub(crate) fn start(name: &str, args: &[&str]) -> Self {
        let folder = project().join("tests/clients");
        assert!(folder.join("node_modules").is_dir(), "run `scripts/test --setup` once: it installs the clients");
        let mut child = node()
            .arg(folder.join(name))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js is there: `scripts/test --setup` installs it");
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, stdin, lines, said: Vec::new() }
    }

    /// Reads on until the script asks this.
    pub(crate) async fn asks_for(&mut self, question: &str) {
        let asked = self.asks().await;
        self.no_step_failed();
        assert_eq!(asked.as_deref(), Some(question));
    }

    async fn asks(&mut self) -> Option<String> {
        while let Some(line) = timeout(PATIENCE, self.lines.next_line()).await.expect("the script goes on").unwrap() {
            let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if let Some(question) = said["ask"].as_str() {
                return Some(question.to_owned());
            }
            self.said.push(said);
        }
        None
    }

    /// Answers a question.
    pub(crate) async fn answer(&mut self, word: &str) {
        self.stdin.write_all(format!("{word}\n").as_bytes()).await.unwrap();
    }

    /// Waits for the end, which must be a good one; what the script said.
    pub(crate) async fn passes(mut self) -> Vec<Value> {
        assert_eq!(self.asks().await, None, "nothing more is asked");
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).await.unwrap();
        let status = self.child.wait().await.unwrap();
        self.no_step_failed();
        assert!(status.success(), "{status}: {errors}");
        assert!(self.said.last().is_some_and(|line| line["done"] == true), "it went to its end: {:?}", self.said);
        self.said
    }

    fn no_step_failed(&self) {
        if let Some(step) = self.said.iter().find(|line| line["ok"] == false) {
            panic!("{}\n{}\n{:#}", step["step"], step["error"].as_str().unwrap_or_default(), step["traffic"]);
        }
    }
}
