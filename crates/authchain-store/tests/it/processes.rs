//! What takes processes of its own: another umask, another writer, another taker.
//!
//! A test starts this test program again, for one of the ignored tests below, which plays the other process.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use authchain_core::{CredentialStore, Expect, Namespace, StateKey, StateStore, StoreError, SystemClock};
use authchain_store::StateDb;
use authchain_testkit::suite::credential;
use futures_util::TryStreamExt;

use super::{ann, folder, sealed};

const FOLDER: &str = "AUTHCHAIN_TEST_FOLDER";
const CODES: Namespace = Namespace("codes");

/// Starts the other process, which plays one of the ignored tests in `dir`.
fn start(part: &str, umask: &str, dir: &Path) -> Child {
    let name = format!("processes::{part}");
    Command::new("sh")
        .args(["-c", "umask \"$1\" && shift && exec \"$@\"", "sh", umask])
        .arg(env::current_exe().unwrap())
        .args(["--exact", &name, "--ignored", "--quiet"])
        .env(FOLDER, dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The folder that this process was given to play in; none when somebody runs all ignored tests.
fn given() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}

fn state_in(dir: &Path) -> StateDb {
    StateDb::open(&dir.join("state.db"), Arc::new(SystemClock)).unwrap()
}

#[tokio::test]
async fn files_and_folders_are_for_their_owner_only_whatever_the_umask() {
    for umask in ["000", "022", "277"] {
        let dir = folder();
        assert!(start("writes_a_little_of_everything", umask, dir.path()).wait().unwrap().success());
        let credentials = dir.path().join("deep/credentials");
        assert_eq!(fs::metadata(&credentials).unwrap().mode() & 0o7777, 0o700, "umask {umask}");
        let entries: Vec<_> = fs::read_dir(&credentials).unwrap().map(Result::unwrap).collect();
        assert!(entries.len() >= 4, "{entries:?}");
        for entry in entries {
            assert_eq!(entry.metadata().unwrap().mode() & 0o7777, 0o600, "umask {umask}: {:?}", entry.file_name());
        }
    }
}

#[tokio::test]
#[ignore = "the other process of a test"]
async fn writes_a_little_of_everything() {
    let Some(dir) = given() else { return };
    fs::create_dir(dir.join("deep")).unwrap();
    fs::set_permissions(dir.join("deep"), Permissions::from_mode(0o755)).unwrap();
    let dir = dir.join("deep/credentials");
    sealed(&dir).put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    state_in(&dir).put(&StateKey::new(CODES, "a"), b"1", Duration::MAX, Expect::Absent).await.unwrap();
}

#[tokio::test]
async fn two_processes_that_count_in_one_credential_lose_nothing() {
    let dir = folder();
    sealed(dir.path()).put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let mut others = [(); 3].map(|()| start("counts_to_twenty_five", "077", dir.path()));
    assert!(others.iter_mut().all(|other| other.wait().unwrap().success()));
    let read = sealed(dir.path()).get(&ann()).await.unwrap().unwrap();
    assert_eq!(read.value.extra["count"], 75);
}

#[tokio::test]
#[ignore = "the other process of a test"]
async fn counts_to_twenty_five() {
    let Some(dir) = given() else { return };
    let store = sealed(&dir);
    for _ in 0..25 {
        loop {
            let mut read = store.get(&ann()).await.unwrap().unwrap();
            let count = read.value.extra.get("count").and_then(serde_json::Value::as_u64).unwrap_or(0);
            read.value.extra.insert("count".into(), (count + 1).into());
            match store.put(&ann(), &read.value, Expect::Version(read.version)).await {
                Ok(_) => break,
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test]
async fn of_the_takers_in_several_processes_each_value_goes_to_one() {
    let dir = folder();
    let db = state_in(dir.path());
    for n in 0..60 {
        db.put(&StateKey::new(CODES, n.to_string()), b"code", Duration::MAX, Expect::Absent).await.unwrap();
    }
    let mut others = [(); 3].map(|()| start("takes_all_it_can", "077", dir.path()));
    assert!(others.iter_mut().all(|other| other.wait().unwrap().success()));
    let taken = Namespace("taken");
    let entries: Vec<_> = db.scan(taken).try_collect().await.unwrap();
    let counts: Vec<u32> =
        entries.iter().map(|entry| String::from_utf8_lossy(&entry.value.value).parse().unwrap()).collect();
    assert_eq!(counts.len(), 3, "each process left its count");
    assert_eq!(counts.iter().sum::<u32>(), 60, "{counts:?}");
}

#[tokio::test]
#[ignore = "the other process of a test"]
async fn takes_all_it_can() {
    let Some(dir) = given() else { return };
    let db = state_in(&dir);
    let mut count = 0_u32;
    for n in 0..60 {
        count += u32::from(db.take(&StateKey::new(CODES, n.to_string())).await.unwrap().is_some());
    }
    let mine = StateKey::new(Namespace("taken"), std::process::id().to_string());
    db.put(&mine, count.to_string().as_bytes(), Duration::MAX, Expect::Absent).await.unwrap();
}
