//! What a person at a terminal sees: the bar, the question before something is written over, and Ctrl-C.
//!
//! `script`, which every Linux has, plays the terminal.

use std::{fs, os::unix::fs::OpenOptionsExt, path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::program::{authchain, run};

/// Longer than anything takes on a busy machine with two cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// Enough that nobody sees the end of a migration before they can press Ctrl-C.
const MANY: usize = 6000;

/// `authchain ARGS` on a terminal.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    seen: String,
}

impl Terminal {
    fn start(home: &Path, args: &str) -> Self {
        let mut command = Command::new("script");
        let line = format!("{} {args}", env!("CARGO_BIN_EXE_authchain"));
        command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home);
        command.env("TERM", "xterm").env("SHELL", "/bin/sh").env("AUTHCHAIN__STORAGE__DIRECTORY", home.join("data"));
        command.current_dir(home).kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("`script` of util-linux plays the terminal");
        let (keys, screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, keys, screen, seen: String::new() }
    }

    /// Reads on until this is on the screen.
    async fn sees(&mut self, words: &str) {
        let reading = async {
            while !self.seen.contains(words) {
                assert!(self.read().await, "it ended without {words:?}:\n{}", self.seen);
            }
        };
        let in_time = timeout(PATIENCE, reading).await.is_ok();
        assert!(in_time, "no {words:?} in\n{}", self.seen);
    }

    /// What comes next; `false` at the end.
    async fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let read = self.screen.read(&mut bytes).await.unwrap();
        self.seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        read > 0
    }

    async fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.unwrap();
        self.keys.flush().await.unwrap();
    }

    /// Waits for the end: the exit code, and all that was on the screen.
    async fn ended(mut self) -> (Option<i32>, String) {
        let end = async {
            while self.read().await {}
            self.child.wait().await.unwrap().code()
        };
        let code = timeout(PATIENCE, end).await.unwrap_or_else(|_| panic!("it does not end:\n{}", self.seen));
        (code, self.seen)
    }
}

/// A plain store of so many people, as a program that does not wait for the disk leaves it.
fn fill(home: &Path, people: usize) {
    let data = home.join("data");
    fs::DirBuilder::new().create(&data).unwrap();
    fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    for n in 0..people {
        let token = json!({
            "token": "ya29.SECRET", "refresh_token": format!("1//SECRET-{n}"), "client_id": "client", "scopes": ["openid"],
            "token_uri": "https://oauth2.googleapis.com/token", "expiry": "2025-11-21T08:00:00Z",
        });
        let path = data.join(format!("google~user{n}@example.com~default.json"));
        let mut file = fs::File::options().create_new(true).write(true).mode(0o600).open(path).unwrap();
        std::io::Write::write_all(&mut file, token.to_string().as_bytes()).unwrap();
    }
}

/// The answer of `authchain credentials ARGS --json`, on no terminal.
async fn ask(home: &Path, mode: &str, args: &[&str]) -> Value {
    let mut command = authchain(home);
    command.arg("credentials").args(args).arg("--json");
    command.env("AUTHCHAIN__STORAGE__MODE", mode).env("AUTHCHAIN__STORAGE__DIRECTORY", home.join("data"));
    serde_json::from_slice(&run(&mut command).await.stdout).unwrap()
}

const MIGRATE: &str = "credentials migrate --from file_plaintext --to file_encrypted --delete-source";

#[tokio::test]
async fn a_migration_that_is_interrupted_says_how_far_it_was_loses_nothing_and_finishes_when_run_again() {
    let home = tempfile::tempdir().unwrap();
    fill(home.path(), MANY);
    let mut terminal = Terminal::start(home.path(), MIGRATE);
    terminal.sees(&format!("/{MANY} copied, ")).await;
    terminal.types("\u{3}").await;
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(130), "{screen}");
    for words in ["from  file_plaintext in ", " to go", "nothing is lost", "Run it again"] {
        assert!(screen.contains(words), "no {words:?} in\n{screen}");
    }
    assert!(!screen.contains("SECRET"));
    let there = ask(home.path(), "file_plaintext", &["verify"]).await;
    assert_eq!((&there["good"], &there["broken"]), (&json!(MANY), &json!([])), "all of the source is there and opens");
    let arrived = ask(home.path(), "file_encrypted", &["verify"]).await;
    assert_eq!(arrived["broken"], json!([]), "what arrived is whole");
    assert!(arrived["good"].as_u64().unwrap() < u64::try_from(MANY).unwrap(), "it was interrupted");

    let (code, screen) = Terminal::start(home.path(), MIGRATE).ended().await;
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains(&format!("/{MANY} removed, ")), "the removal has its bar, too");
    let all = ask(home.path(), "file_encrypted", &["verify"]).await;
    assert_eq!((&all["good"], &all["broken"]), (&json!(MANY), &json!([])));
    let left = ask(home.path(), "file_plaintext", &["list"]).await;
    assert_eq!(left["credentials"], json!([]));
}

#[tokio::test]
async fn a_person_is_asked_before_something_goes_and_only_yes_means_yes() {
    let home = tempfile::tempdir().unwrap();
    fill(home.path(), 1);
    let delete = "credentials delete user0@example.com";
    let listed = async || ask(home.path(), "file_plaintext", &["list"]).await["credentials"].as_array().unwrap().len();
    fs::write(home.path().join("plain.toml"), "[storage]\nmode = \"file_plaintext\"\n").unwrap();
    for (answer, code) in [("n\n", 1), ("\n", 1), ("maybe\n", 1), ("\u{3}", 130)] {
        let mut terminal = Terminal::start(home.path(), &format!("--config plain.toml {delete}"));
        terminal.sees("[y/N] ").await;
        terminal.types(answer).await;
        let (ended, screen) = terminal.ended().await;
        assert_eq!(ended, Some(code), "{answer:?}: {screen}");
        assert_eq!(listed().await, 1, "{answer:?}: it is still there");
    }
    let mut terminal = Terminal::start(home.path(), &format!("--config plain.toml {delete}"));
    terminal.sees("[y/N] ").await;
    terminal.types("Yes\n").await;
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(listed().await, 0);
}
