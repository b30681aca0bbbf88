//! The `authchain` command as a process: started with a clean environment, stopped at the latest when the test ends.

use std::{
    fs::File,
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use authchain_testkit::StandIn;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// Longer than anything takes on a busy machine with two cores.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command, in an empty folder, with an environment that no developer's machine colours.
pub(crate) fn authchain(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authchain"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home);
    command.env("TMPDIR", home).current_dir(home).kill_on_drop(true).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) async fn run(command: &mut Command) -> Output {
    timeout(PATIENCE, command.output()).await.expect("the command ends").unwrap()
}

/// Runs `authchain` with these arguments in a folder of its own.
pub(crate) async fn run_authchain(args: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    run(authchain(home.path()).args(args)).await
}

/// A command that goes on running.
pub(crate) struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Program {
    /// Starts it; what it says on standard error is added to the file `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout, log: log.into() }
    }

    /// The next line on standard output.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.stdout.read_line(&mut line)).await;
        let read = read.unwrap_or_else(|_| panic!("it says nothing; its log:\n{}", self.log()));
        assert_ne!(read.unwrap(), 0, "it ended; its log:\n{}", self.log());
        line
    }

    /// What it said on standard error so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until standard error says this.
    pub(crate) async fn logged(&self, words: &str) {
        let looking = async {
            while !self.log().contains(words) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("no {words:?} in its log:\n{}", self.log()));
    }

    /// Presses Ctrl-C and waits for the end; what was left on standard output comes too.
    pub(crate) async fn interrupt(self) -> (ExitStatus, String) {
        self.signal(Signal::INT);
        self.ended().await
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end; what was left on standard output comes too.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        let end = async {
            self.stdout.read_to_string(&mut rest).await.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = timeout(PATIENCE, end).await.unwrap_or_else(|_| panic!("it does not end"));
        (status, rest)
    }

    /// Ends it as `kill -9` does.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// `authchain demo --json`, ready.
pub(crate) struct Demo {
    pub(crate) program: Program,
    /// The line that it printed.
    pub(crate) ready: Value,
    _home: TempDir,
}

impl Demo {
    /// Starts a demo on a free port with these further arguments.
    pub(crate) async fn start(args: &[&str]) -> Self {
        Self::start_on(0, args).await
    }

    /// Starts a demo on this port.
    pub(crate) async fn start_on(port: u16, args: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut program = Program::start(
            authchain(home.path()).args(["demo", "--json", "--port", &port.to_string()]).args(args),
            &home.path().join("log"),
        );
        let ready = serde_json::from_str(&program.line().await).unwrap();
        Self { program, ready, _home: home }
    }

    /// One of the texts of the line.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.ready[key].as_str().unwrap_or_else(|| panic!("no {key} in {}", self.ready))
    }

    pub(crate) fn mcp_url(&self) -> &str {
        self.text("mcp_url")
    }
}

/// `authchain serve` in front of a stand-in that lives in this process: it can be killed and started again over the same
/// data, while Google goes on.
pub(crate) struct Server {
    program: Option<Program>,
    port: u16,
    variables: Vec<(String, String)>,
    home: TempDir,
}

impl Server {
    /// Starts a server with these further environment variables.
    pub(crate) async fn start(google: &StandIn, variables: &[(&str, &str)]) -> Self {
        let mut variables: Vec<_> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        variables.extend(pointed_at(google));
        let mut server = Self { program: None, port: free_port(), variables, home: tempfile::tempdir().unwrap() };
        server.launch().await;
        server
    }

    async fn launch(&mut self) {
        let port = self.port.to_string();
        let mut command = authchain(self.home.path());
        command.args(["serve", "--port", &port, "--data"]).arg(self.data());
        command.envs(self.variables.iter().map(|(k, v)| (k, v)));
        let program = Program::start(&mut command, &self.home.path().join("log"));
        let ready = format!("{}/.well-known/oauth-protected-resource", self.issuer());
        let knocking = async {
            while reqwest::get(&ready).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, knocking).await.unwrap_or_else(|_| panic!("it does not start:\n{}", program.log()));
        self.program = Some(program);
    }

    /// Kills it with `kill -9` and starts it again.
    pub(crate) async fn restart(&mut self) {
        self.program.take().unwrap().kill().await;
        self.launch().await;
    }

    /// The same server with another variable from now on.
    pub(crate) async fn restart_with(&mut self, name: &str, value: &str) {
        self.variables.retain(|(other, _)| other != name);
        self.variables.push((name.into(), value.into()));
        self.restart().await;
    }

    /// Presses Ctrl-C and waits for the end, and gives back what it is over.
    pub(crate) async fn interrupt(mut self) -> (ExitStatus, TempDir) {
        let (status, _) = self.program.take().unwrap().interrupt().await;
        (status, self.home)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn mcp_url(&self) -> String {
        format!("{}/mcp", self.issuer())
    }

    pub(crate) fn log(&self) -> String {
        self.program.as_ref().unwrap().log()
    }
}

/// The environment that points a command at a stand-in.
pub(crate) fn pointed_at(google: &StandIn) -> [(String, String); 3] {
    [
        ("AUTHCHAIN__PROVIDERS__GOOGLE__BASE_URL".into(), google.url().to_string()),
        ("GOOGLE_CLIENT_ID".into(), StandIn::client_id().into()),
        ("GOOGLE_CLIENT_SECRET".into(), StandIn::client_secret().expose().to_owned()),
    ]
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|l: TcpListener| l.local_addr()).map(|a| a.port()).unwrap()
}

/// The files below a folder.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}
