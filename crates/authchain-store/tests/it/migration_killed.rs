//! A migration that is killed with SIGKILL at random moments, and started again each time.
//!
//! `AUTHCHAIN_TEST_KILLS` sets how often; without it a few dozen times.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use authchain_core::{CredentialKey, CredentialStore, Expect};
use authchain_store::{
    StorageMode,
    migrate::{self, Options, Place},
    transfer::Collision,
};
use authchain_testkit::suite::{self, credential};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{folder, keyring, plain, sealed};

const FOLDER: &str = "AUTHCHAIN_TEST_MIGRATION";
const RECORDS: u64 = 400;

fn person(n: u64) -> CredentialKey {
    suite::key("google", &format!("person{n}@example.com"), "default")
}

async fn fill(store: &impl CredentialStore) {
    let put = |n| async move { store.put(&person(n), &credential(n), Expect::Any).await };
    stream::iter((0..RECORDS).map(put)).buffer_unordered(64).try_collect::<Vec<_>>().await.unwrap();
}

fn start(dir: &Path) -> std::process::Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "migration_killed::migrates_and_removes_the_source", "--ignored", "--quiet"])
        .env(FOLDER, dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "the other process of a test"]
async fn migrates_and_removes_the_source() {
    let Some(dir) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let keyring = keyring(&dir);
    let from = Place::in_folder(StorageMode::FilePlaintext, &dir, &keyring).unwrap();
    let to = Place::in_folder(StorageMode::FileEncrypted, &dir, &keyring).unwrap();
    let plan = migrate::plan(&from, &to).await.unwrap();
    let options = Options { delete_source: true, collision: Collision::Refuse };
    assert!(migrate::run(&plan, &from, &to, options, |_| {}).await.is_complete());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_killed_at_any_moment_loses_nothing_and_is_finished_by_running_it_again() {
    let kills = env::var("AUTHCHAIN_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let dir = folder();
    drop(keyring(dir.path()));
    let mut finished = 0;
    fill(&plain(dir.path())).await;
    for kill in 0_u64..kills {
        let mut migration = start(dir.path());
        // Spread over the whole run, from the start of the process to after its end.
        thread::sleep(Duration::from_millis(kill * 37 % 211));
        migration.kill().unwrap();
        finished += u32::from(migration.wait().unwrap().success());

        let (source, target) = (plain(dir.path()), sealed(dir.path()));
        let mut in_source = 0;
        for n in 0..RECORDS {
            let here = source.get(&person(n)).await.unwrap().map(|stored| stored.value);
            let there = target.get(&person(n)).await.unwrap().map(|stored| stored.value);
            assert!(here.is_some() || there.is_some(), "kill {kill}: person {n} is in neither place");
            for found in here.iter().chain(&there) {
                assert_eq!(*found, credential(n), "kill {kill}: person {n}");
            }
            in_source += u64::from(here.is_some());
        }
        if in_source == 0 {
            // All of it went through: begin anew, the other way's records out of the way.
            for n in 0..RECORDS {
                target.delete(&person(n)).await.unwrap();
            }
            fill(&source).await;
        }
    }
    assert!(
        start(dir.path()).wait().unwrap().success(),
        "it finishes after {kills} kills, {finished} of them too late"
    );
    for n in 0..RECORDS {
        assert_eq!(plain(dir.path()).get(&person(n)).await.unwrap(), None);
        assert_eq!(sealed(dir.path()).get(&person(n)).await.unwrap().unwrap().value, credential(n));
    }
    let leftovers = super::names(dir.path()).into_iter().filter(|name| name.contains(".tmp")).count();
    assert_eq!(leftovers, 0, "nothing half-written is left");
}
