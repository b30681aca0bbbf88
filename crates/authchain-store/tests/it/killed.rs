//! A writer that is killed at any moment: what it was told is stored is there, nothing is half there, and what it left
//! behind goes.
//!
//! Another process plays the writer and says on a pipe what was acknowledged; then it gets SIGKILL. `AUTHCHAIN_KILLS` sets
//! how often, over all stores together.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use authchain_core::{CredentialStore, Expect, KeyFilter, Namespace, StateKey, StateStore, SystemClock};
use authchain_store::{BackupStore, FileForm, FileStore, StateDb};
use authchain_testkit::suite::{self, credential};
use futures_util::TryStreamExt;

use super::{folder, keyring};

const FOLDER: &str = "AUTHCHAIN_TEST_FOLDER";
const STORE: &str = "AUTHCHAIN_TEST_STORE";
const ROUND: &str = "AUTHCHAIN_TEST_ROUND";
const KILLS: &str = "AUTHCHAIN_KILLS";

/// Kills when nobody says otherwise.
const USUALLY: usize = 2000;

/// The stores that are written to, each in turn.
const STORES: [&str; 5] = ["file_plaintext", "file_encrypted", "memory_with_backup", "fernet", "state"];

/// How many users the writer writes at once, so that group commits are hit, too.
const USERS: u64 = 5;

const CODES: Namespace = Namespace("codes");

fn credentials(kind: &str, dir: &Path) -> Arc<dyn CredentialStore> {
    match kind {
        "file_plaintext" => Arc::new(FileStore::open(dir, FileForm::Plaintext).unwrap()),
        "file_encrypted" => Arc::new(FileStore::open(dir, FileForm::Sealed(keyring(dir))).unwrap()),
        "memory_with_backup" => Arc::new(BackupStore::open(dir, keyring(dir)).unwrap()),
        "fernet" => Arc::new(FileStore::open(dir, FileForm::Fernet(keyring(dir))).unwrap()),
        other => panic!("{other} holds no credentials"),
    }
}

fn state(dir: &Path) -> StateDb {
    StateDb::open(&dir.join("state.db"), Arc::new(SystemClock)).unwrap()
}

fn user(n: u64) -> authchain_core::CredentialKey {
    suite::key("google", &format!("user{n}@example.com"), "default")
}

fn start(kind: &str, round: usize, dir: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "killed::writes_until_it_is_killed", "--ignored", "--nocapture", "--quiet"])
        .env(FOLDER, dir)
        .env(STORE, kind)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The number of each user's last acknowledged write.
type Acknowledged = BTreeMap<u64, u64>;

/// What a writer tells while it writes.
#[derive(Debug, PartialEq)]
enum Told {
    Begins,
    EveryUserIsWritten,
}

/// Lets the writer write for so long, or until every user is written, kills it, and gives back what it said was stored.
fn kill_amid_writes(kind: &str, round: usize, dir: &Path, pause: Option<Duration>) -> Acknowledged {
    let mut child = start(kind, round, dir);
    let out = child.stdout.take().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut acknowledged = Acknowledged::new();
        let mut lines = BufReader::new(out).lines();
        while let Some(Ok(line)) = lines.next() {
            if line == "begin" {
                let _ = tell.send(Told::Begins);
            }
            // The last line may be cut, and then it was not told.
            let Some((user, number)) = line.strip_prefix("ack ").and_then(|l| l.strip_suffix('.')?.split_once(' '))
            else {
                continue;
            };
            let first = acknowledged.insert(user.parse().unwrap(), number.parse().unwrap()).is_none();
            if first && acknowledged.len() as u64 == USERS {
                let _ = tell.send(Told::EveryUserIsWritten);
            }
        }
        acknowledged
    });
    assert_eq!(told.recv(), Ok(Told::Begins));
    match pause {
        Some(pause) => {
            let began = Instant::now();
            while began.elapsed() < pause {
                std::hint::spin_loop();
            }
        }
        None => assert_eq!(told.recv(), Ok(Told::EveryUserIsWritten)),
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn a_writer_killed_at_any_moment_loses_nothing_that_it_acknowledged() {
    let kills: usize = env::var(KILLS).ok().map_or(USUALLY, |kills| kills.parse().unwrap());
    let stores = STORES.map(|kind| {
        std::thread::spawn(move || {
            let dir = folder();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut known = Acknowledged::new();
            for round in 0..kills.div_ceil(STORES.len()) {
                // From at once to some writes later, in steps that share no factor with a write's time. The first time,
                // and now and then, as long as this disk takes: on a slow one no write would end otherwise.
                let pause = Duration::from_micros(u64::try_from(round * 373 % 6007).unwrap());
                let said = kill_amid_writes(kind, round, dir.path(), (round % 16 != 0).then_some(pause));
                known.extend(said);
                runtime.block_on(check(kind, dir.path(), &mut known, round));
            }
        })
    });
    for store in stores {
        store.join().unwrap();
    }
}

/// Everything that was acknowledged is there, or something newer that was begun; and it opens.
async fn check(kind: &str, dir: &Path, known: &mut Acknowledged, round: usize) {
    if kind == "state" {
        let state = state(dir);
        for (user, number) in known {
            let stored = state.get(&StateKey::new(CODES, user.to_string())).await.unwrap();
            let stored: u64 = String::from_utf8(stored.unwrap().value).unwrap().parse().unwrap();
            assert!(stored >= *number, "{kind}, round {round}, user {user}: {stored} is older than {number}");
            *number = stored;
        }
        return;
    }
    let store = credentials(kind, dir);
    let listed: Vec<_> = store.list(&KeyFilter::default()).try_collect().await.unwrap();
    for (n, number) in known.iter_mut() {
        let read = store.get(&user(*n)).await.unwrap_or_else(|e| panic!("{kind}, round {round}: {e}"));
        let read = read.unwrap_or_else(|| panic!("{kind}, round {round}: user {n} is gone"));
        assert!(listed.contains(&user(*n)));
        let stored = read.value.extra["number"].as_u64().unwrap();
        assert!(stored >= *number, "{kind}, round {round}, user {n}: {stored} is older than {number}");
        *number = stored;
    }
    // A write sweeps what killed writers left; opening did so already.
    let left: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{kind}, round {round}: {left:?}");
}

#[tokio::test]
#[ignore = "the other process of a test"]
async fn writes_until_it_is_killed() {
    let (Some(dir), Ok(kind)) = (env::var_os(FOLDER), env::var(STORE)) else { return };
    let dir = Path::new(&dir);
    let round: u64 = env::var(ROUND).unwrap().parse().unwrap();
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        // One write, so that a kill cuts at most the last line.
        out.write_all(line.as_bytes()).unwrap();
        out.flush().unwrap();
    };
    if kind == "state" {
        let state = state(dir);
        say("\nbegin\n".into());
        for step in 0_u64.. {
            let number = round * 1_000_000 + step;
            let writes = (0..USERS).map(|user| {
                let (state, say) = (&state, &say);
                async move {
                    let key = StateKey::new(CODES, user.to_string());
                    state.put(&key, number.to_string().as_bytes(), Duration::MAX, Expect::Any).await.unwrap();
                    say(format!("ack {user} {number}.\n"));
                }
            });
            futures_util::future::join_all(writes).await;
        }
    }
    let store = credentials(&kind, dir);
    say("\nbegin\n".into());
    for step in 0_u64.. {
        let number = round * 1_000_000 + step;
        let writes = (0..USERS).map(|n| {
            let (store, say) = (&store, &say);
            async move {
                let mut value = credential(0);
                value.extra.insert("number".into(), number.into());
                store.put(&user(n), &value, Expect::Any).await.unwrap();
                say(format!("ack {n} {number}.\n"));
            }
        });
        futures_util::future::join_all(writes).await;
    }
}
