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
    Encryption, StorageMode,
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
    let from = Place::in_folder(StorageMode::FilePlaintext, &dir, &keyring, Encryption::AesGcm).unwrap();
    let to = Place::in_folder(StorageMode::FileEncrypted, &dir, &keyring, Encryption::AesGcm).unwrap();
    let plan = migrate::plan(&from, &to).await.unwrap();
    let options = Options { delete_source: true, collision: Collision::Refuse };
    assert!(migrate::run(&plan, &from, &to, options, |_| {}).await.is_complete());
}

/// How many records there are in the source and in the target, by their files.
fn counts(dir: &Path) -> (u64, u64) {
    let ending = |ending: &str| super::names(dir).iter().filter(|name| name.ends_with(ending)).count();
    (u64::try_from(ending(".json")).unwrap(), u64::try_from(ending(".enc")).unwrap())
}

/// Lets a migration run until so many records are in the target, or so few are left in the source, and kills it.
fn kill_amid(dir: &Path, copied: u64, left: u64, moment: u64) {
    let mut migration = start(dir);
    while migration.try_wait().unwrap().is_none() {
        let (source, target) = counts(dir);
        if (target >= copied && copied > 0) || source <= left {
            break;
        }
    }
    thread::sleep(Duration::from_micros(moment));
    migration.kill().unwrap();
    migration.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_killed_at_any_moment_loses_nothing_and_is_finished_by_running_it_again() {
    let kills = env::var("AUTHCHAIN_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let dir = folder();
    drop(keyring(dir.path()));
    fill(&plain(dir.path())).await;
    let (mut amid_copying, mut amid_removing) = (0, 0);
    for kill in 0_u64..kills {
        let (source, target) = counts(dir.path());
        // A different number of records each time, in turn while they are copied and while they are removed.
        let dice = kill * 2_654_435_761 % 1_000_003;
        if kill % 3 == 0 && target < RECORDS {
            kill_amid(dir.path(), target + 1 + dice % (RECORDS - target), 0, dice % 3000);
        } else if kill % 3 == 1 {
            // Or at a moment that has to do with neither.
            let mut migration = start(dir.path());
            thread::sleep(Duration::from_millis(dice % 300));
            migration.kill().unwrap();
            migration.wait().unwrap();
        } else {
            kill_amid(dir.path(), 0, dice % source, dice % 1000);
        }

        let (in_source, in_target) = counts(dir.path());
        amid_copying += u32::from(in_source == RECORDS && (1..RECORDS).contains(&in_target));
        amid_removing += u32::from((1..RECORDS).contains(&in_source));
        let (source, target) = (plain(dir.path()), sealed(dir.path()));
        for n in 0..RECORDS {
            let here = source.get(&person(n)).await.unwrap().map(|stored| stored.value);
            let there = target.get(&person(n)).await.unwrap().map(|stored| stored.value);
            assert!(here.is_some() || there.is_some(), "kill {kill}: person {n} is in neither place");
            for found in here.iter().chain(&there) {
                assert_eq!(*found, credential(n), "kill {kill}: person {n}");
            }
        }
        if in_source == 0 {
            // All of it went through: begin anew.
            let empty = |n| {
                let target = &target;
                async move { target.delete(&person(n), Expect::Any).await }
            };
            stream::iter((0..RECORDS).map(empty)).buffer_unordered(64).try_collect::<Vec<_>>().await.unwrap();
            fill(&source).await;
        }
    }
    assert!(
        amid_copying > 0 && amid_removing > 0,
        "{amid_copying} kills amid the copying, {amid_removing} amid the removal"
    );
    assert!(start(dir.path()).wait().unwrap().success(), "it finishes after {kills} kills");
    for n in 0..RECORDS {
        assert_eq!(plain(dir.path()).get(&person(n)).await.unwrap(), None);
        assert_eq!(sealed(dir.path()).get(&person(n)).await.unwrap().unwrap().value, credential(n));
    }
    let leftovers = std::fs::read_dir(dir.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".tmp")
    });
    assert_eq!(leftovers.count(), 0, "nothing half-written is left");
}
