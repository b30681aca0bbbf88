//! Commands that ask a server over its socket, and what becomes of credentials.

use std::{os::unix::net::UnixStream, path::Path};

use authchain::{
    core::{CredentialKey, Expect, KeyFilter, ProviderId, UserId},
    store::transfer::Arrival,
};
use authchain_testkit::suite::credential;
use futures_util::StreamExt;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
};

use super::*;
use crate::{
    App,
    config::{Config, Sources},
    control::{AskError, Asked, MigrationOrder, Outcome, Planned, Said},
};

/// More than are on their way at once, many times.
const MANY: u16 = 4000;

/// A server that answers commands, and nothing else.
struct Answering {
    app: App,
    config: Config,
    ended: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    home: TempDir,
}

async fn answering(mode: StorageMode) -> Answering {
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Sources::new()
        .set("server.port", listener.local_addr().unwrap().port(), "--test")
        .set("server.control_directory", home.path().join("control").display(), "--test")
        .set("storage.mode", mode, "--test")
        .set("storage.directory", home.path().join("data").display(), "--test")
        .set("providers.google.client_id", "id", "--test")
        .set("providers.google.client_secret", "secret", "--test")
        .load()
        .unwrap();
    let app = App::new(config.clone()).await.unwrap();
    let attended = app.control.open(&listener, &app.parts);
    assert!(attended.is_some(), "the socket is open");
    let (stop, stopped) = oneshot::channel();
    let (stop_at, ended) = close_before(async move { drop(stopped.await) }, attended);
    let ended = tokio::spawn(async move {
        stop_at.await;
        ended.await;
    });
    Answering { app, config, ended, stop, home }
}

impl Answering {
    /// People who signed in.
    async fn fill(&self, people: u16) {
        for n in 0..people {
            self.app.control.stored.put(&user(n), &credential(n.into()), Expect::Absent).await.unwrap();
        }
    }

    async fn in_memory(&self) -> usize {
        self.app.control.stored.list(&KeyFilter::default()).count().await
    }

    async fn ask(&self, from: StorageMode, to: StorageMode, delete_source: bool) -> Asked {
        Asked::of_server(&self.config, order(from, to, delete_source)).await.unwrap()
    }
}

fn user(n: u16) -> CredentialKey {
    CredentialKey::new(ProviderId::google(), UserId::new(format!("user{n}@example.com")).unwrap())
}

fn order(from: StorageMode, to: StorageMode, delete_source: bool) -> MigrationOrder {
    MigrationOrder { from, to, folder: None, to_folder: None, delete_source, replace: false, dry_run: false }
}

async fn plan(asked: &mut Asked) -> Planned {
    match asked.next().await.unwrap() {
        Said::Plan(plan) => plan,
        other => panic!("{other:?}"),
    }
}

/// What was refused, in one line.
async fn refusal(asked: &mut Asked) -> String {
    match asked.next().await.unwrap() {
        Said::Refused(refusal) => format!("{} | {} | {}", refusal.code, refusal.message, refusal.fix),
        other => panic!("{other:?}"),
    }
}

/// Says that the plan is good; what became of each, and how many were removed from the source.
async fn finish(asked: &mut Asked) -> (Vec<Outcome>, usize) {
    asked.go().await.unwrap();
    let mut outcomes = Vec::new();
    loop {
        match asked.next().await.unwrap() {
            Said::Progress { .. } => {}
            Said::Result(row) => outcomes.push(row.outcome),
            Said::Done { removed } => return (outcomes, removed),
            other => panic!("{other:?}"),
        }
    }
}

/// Says that the plan is good, and returns when the first have arrived.
async fn begin(asked: &mut Asked) {
    asked.go().await.unwrap();
    assert!(matches!(asked.next().await.unwrap(), Said::Progress { copied: 1.., .. }));
}

const MEMORY: StorageMode = StorageMode::MemoryOnly;
const PLAIN: StorageMode = StorageMode::FilePlaintext;
const SEALED: StorageMode = StorageMode::FileEncrypted;

#[tokio::test]
async fn what_a_server_has_in_memory_goes_to_every_mode_with_files_and_comes_back() {
    let server = answering(MEMORY).await;
    server.fill(3).await;
    let manager = server.app.parts().credentials.clone();
    for mode in [PLAIN, SEALED, StorageMode::MemoryWithBackup] {
        let mut away = server.ask(MEMORY, mode, true).await;
        let planned = plan(&mut away).await;
        assert_eq!((planned.credentials, planned.in_target), (3, 0), "{mode}");
        assert!(planned.from.contains("memory_only in the server at 127.0.0.1:"), "{planned:?}");
        assert!(planned.to.contains(&server.home.path().display().to_string()), "{planned:?}");
        let written = vec![Outcome::Arrived(Arrival::Written); 3];
        assert_eq!(finish(&mut away).await, (written.clone(), 3), "{mode}");
        assert_eq!(server.in_memory().await, 0);
        assert_eq!(manager.credential(&user(1)).await.unwrap(), None, "the server knows it at once");

        let mut back = server.ask(mode, MEMORY, true).await;
        plan(&mut back).await;
        assert_eq!(finish(&mut back).await, (written, 3), "{mode}");
        assert_eq!(manager.credential(&user(1)).await.unwrap(), Some(credential(1)));
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_writes_nothing() {
    let server = answering(MEMORY).await;
    server.fill(2).await;
    let dry_run = MigrationOrder { dry_run: true, ..order(MEMORY, SEALED, true) };
    let mut asked = Asked::of_server(&server.config, dry_run).await.unwrap();
    plan(&mut asked).await;
    for _ in 0..2 {
        let said = asked.next().await.unwrap();
        assert!(matches!(&said, Said::Result(row) if row.outcome == Outcome::Arrived(Arrival::Written)), "{said:?}");
    }
    assert_eq!(asked.next().await.unwrap(), Said::Done { removed: 0 });
    assert!(!server.home.path().join("data").exists() && server.in_memory().await == 2);
}

#[tokio::test]
async fn a_server_that_keeps_nothing_in_memory_only_says_what_it_has_and_what_to_do() {
    for (mode, fix) in
        [(SEALED, "Name the mode that it has"), (StorageMode::MemoryWithBackup, "Say memory_with_backup instead")]
    {
        let server = answering(mode).await;
        for (from, to) in [(MEMORY, PLAIN), (PLAIN, MEMORY)] {
            let refused = refusal(&mut server.ask(from, to, false).await).await;
            assert!(refused.starts_with("configuration | ") && refused.contains(mode.as_str()), "{refused}");
            assert!(refused.contains(fix), "{refused}");
        }
    }
}

#[tokio::test]
async fn one_migration_at_a_time() {
    let server = answering(MEMORY).await;
    server.fill(1).await;
    let mut first = server.ask(MEMORY, SEALED, false).await;
    plan(&mut first).await;
    let refused = refusal(&mut server.ask(MEMORY, PLAIN, false).await).await;
    assert!(refused.starts_with("in_use | "), "{refused}");
    assert_eq!(finish(&mut first).await.0.len(), 1);
    plan(&mut server.ask(MEMORY, PLAIN, false).await).await;
}

#[tokio::test]
async fn what_makes_no_sense_is_answered_and_harms_nobody() {
    let server = answering(MEMORY).await;
    server.fill(1).await;
    let name = format!("127.0.0.1-{}.sock", server.config.server.port);
    let path = server.home.path().join("control").join(name);
    for nonsense in ["hello\n", "\"go\"\n", "{\"migrate\":{\"from\":\"everything\"}}\n", "{\"print\":\"keys\"}\n"] {
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        stream.write_all(nonsense.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("{\"refused\":{\"code\":\"configuration\""), "{nonsense:?}: {answer}");
    }
    plan(&mut server.ask(MEMORY, SEALED, false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_gone_ends_its_migration_and_the_next_one_finishes_it() {
    let server = answering(MEMORY).await;
    server.fill(MANY).await;
    let mut asked = server.ask(MEMORY, PLAIN, true).await;
    plan(&mut asked).await;
    begin(&mut asked).await;
    drop(asked);
    let (mut again, planned) = loop {
        let mut again = server.ask(MEMORY, PLAIN, true).await;
        match again.next().await.unwrap() {
            Said::Plan(planned) => break (again, planned),
            Said::Refused(refusal) => assert_eq!(refusal.code, "in_use", "what is on its way still arrives"),
            other => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(planned.credentials, usize::from(MANY), "nothing was removed before all had arrived");
    assert!((1..usize::from(MANY)).contains(&planned.in_target), "{planned:?}");
    let (outcomes, removed) = finish(&mut again).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Arrived(_))));
    assert_eq!((outcomes.len(), removed), (usize::from(MANY), usize::from(MANY)));
    assert_eq!((server.in_memory().await, json_files(&server.home.path().join("data"))), (0, usize::from(MANY)));
}

fn json_files(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == "json")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_says_so_to_the_command_and_its_socket_is_gone() {
    let server = answering(MEMORY).await;
    server.fill(MANY).await;
    let mut asked = server.ask(MEMORY, PLAIN, true).await;
    plan(&mut asked).await;
    begin(&mut asked).await;
    server.stop.send(()).unwrap();
    let mut arrived = 0;
    let refused = loop {
        match asked.next().await.unwrap() {
            Said::Progress { removed: 0, .. } => {}
            Said::Result(_) => arrived += 1,
            Said::Refused(refusal) => break refusal,
            other => panic!("{other:?}"),
        }
    };
    assert!(refused.code == "interrupted" && refused.message.contains("stopped"), "{refused:?}");
    assert!((1..usize::from(MANY)).contains(&arrived));
    server.ended.await.unwrap();
    assert_eq!(json_files(&server.home.path().join("data")), arrived, "what was on its way arrived");
    let gone = Asked::of_server(&server.config, order(MEMORY, PLAIN, false)).await.err().unwrap();
    let AskError::NoServer { looked_at, others, .. } = gone else { panic!("{gone}") };
    assert!(others.is_empty() && looked_at.iter().all(|path| !path.exists()), "{looked_at:?}");
}

#[tokio::test]
async fn another_server_that_runs_is_named_to_whoever_looks_for_one_that_does_not() {
    let server = answering(MEMORY).await;
    let mut config = server.config.clone();
    config.server.port = 1;
    let missing = Asked::of_server(&config, order(MEMORY, PLAIN, false)).await.err().unwrap();
    let AskError::NoServer { others, .. } = missing else { panic!("{missing}") };
    assert_eq!(others, [std::net::SocketAddr::new(server.config.server.host, server.config.server.port)]);
}

#[tokio::test]
async fn a_socket_in_a_folder_that_others_can_enter_is_neither_opened_nor_asked() {
    use std::os::unix::fs::PermissionsExt;
    let server = answering(MEMORY).await;
    let folder = server.home.path().join("control");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = Asked::of_server(&server.config, order(MEMORY, PLAIN, false)).await.err().unwrap();
    assert!(matches!(refused, AskError::Socket(_)) && refused.to_string().contains("chmod 700"), "{refused}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert!(server.app.control.open(&listener, &server.app.parts).is_none(), "the server serves without it");
    assert!(UnixStream::connect(folder.join("127.0.0.1-1.sock")).is_err());
}

#[tokio::test]
async fn the_same_steps_need_no_server_between_files() {
    let home = tempfile::tempdir().unwrap();
    let config = Sources::new()
        .set("storage.directory", home.path().join("data").display(), "--test")
        .set("server.control_directory", home.path().join("nowhere").display(), "--test")
        .load()
        .unwrap();
    let place = Asked::of_myself(&config, order(PLAIN, SEALED, false)).await;
    let mut asked = place.unwrap();
    assert_eq!(plan(&mut asked).await.credentials, 0);
    assert_eq!(finish(&mut asked).await, (Vec::new(), 0));
    let mut same = Asked::of_myself(&config, order(SEALED, StorageMode::MemoryWithBackup, false)).await.unwrap();
    assert!(matches!(same.next().await.unwrap(), Said::SameFiles { .. }));
    let refused = refusal(&mut Asked::of_myself(&config, order(MEMORY, SEALED, false)).await.unwrap()).await;
    assert!(refused.starts_with("configuration"), "a process without a server has no such memory: {refused}");
}
