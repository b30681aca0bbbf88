//! A throw-away PostgreSQL server. The end-to-end tests use this file as well.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use tempfile::TempDir;

use super::Secret;

/// A server that stops and leaves nothing when it is dropped.
pub(super) struct Server {
    programs: PathBuf,
    pub(super) folder: TempDir,
    pub(super) port: u16,
    databases: AtomicU32,
}

/// The one that tests share as long as one of them runs.
static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    pub(super) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start_new());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// One of the test's own, which it may stop and start.
    pub(super) fn start_new() -> Self {
        let programs = programs().expect("PostgreSQL is needed: apt-get install postgresql, or `scripts/test --setup`");
        let folder = tempfile::tempdir().unwrap();
        hand_over(folder.path());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { programs, folder, port, databases: AtomicU32::new(0) };
        server.run(
            "initdb",
            &["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "-D", &server.data()],
        );
        server.start();
        server
    }

    pub(super) fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", somebody(), "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        command.args(arguments).env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let ended = command.status().unwrap();
        let log = || fs::read_to_string(self.folder.path().join("log")).unwrap();
        assert!(ended.success(), "{}: {}", program.display(), log());
    }

    pub(super) fn start(&self) {
        self.start_with("");
    }

    /// With more options, which count where they contradict ours.
    pub(super) fn start_with(&self, more: &str) {
        let ours = "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off";
        let options = format!("{ours} -p {} {more}", self.port);
        self.run("pg_ctl", &["start", "-w", "-D", &self.data(), "-o", &options]);
    }

    /// Ends it at once, as a crash would.
    pub(super) fn stop(&self) {
        self.run("pg_ctl", &["stop", "-w", "-m", "immediate", "-D", &self.data()]);
    }

    /// The URL of a database of its own, which is empty: in another schema one would hear of other tests' writes.
    pub(super) async fn url(&self) -> Secret {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        Secret::new(format!("postgresql://postgres@127.0.0.1:{}/{name}", self.port))
    }

    /// Carries something out behind the store's back.
    pub(super) async fn execute(&self, sql: &str) {
        let url = format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port);
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        let moving = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        drop(client);
        moving.await.unwrap().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if Path::new(&self.data()).join("postmaster.pid").exists() {
            self.stop();
        }
    }
}

/// Gives a file to the one that the server runs as: PostgreSQL does not run as root.
pub(super) fn hand_over(path: &Path) {
    if is_root() {
        assert!(Command::new("chown").arg(somebody()).arg(path).status().unwrap().success());
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn somebody() -> &'static str {
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    if known.lines().any(|line| line.starts_with("postgres:")) { "postgres" } else { "nobody" }
}

/// Where initdb and pg_ctl are: in Debian's folder of the newest version, or on the path.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file())
}
