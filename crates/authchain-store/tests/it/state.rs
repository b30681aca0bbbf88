//! The state database: restarts, several users of one file, what is refused.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use authchain_core::{Expect, ManualClock, Namespace, StateKey, StateStore, StoreError, Timestamp};
use authchain_store::StateDb;
use futures_util::future::join_all;

use super::folder;

const CODES: Namespace = Namespace("codes");
const MINUTE: Duration = Duration::from_secs(60);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp(1_763_712_000)))
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart() {
    let dir = folder();
    let path = dir.path().join("state.db");
    let open = || StateDb::open(&path, clock()).unwrap();
    let key = StateKey::new(CODES, "a");
    let version = open().put(&key, b"1", MINUTE, Expect::Absent).await.unwrap();
    assert_eq!(open().get(&key).await.unwrap().unwrap().version, version);
    assert_eq!(open().take(&key).await.unwrap(), Some(b"1".to_vec()));
    assert_eq!(open().take(&key).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_the_takers_of_two_stores_on_one_file_one_gets_the_value() {
    let dir = folder();
    let path = dir.path().join("state.db");
    let stores = [(); 2].map(|()| Arc::new(StateDb::open(&path, clock()).unwrap()));
    for round in 0..20 {
        let key = StateKey::new(CODES, round.to_string());
        stores[0].put(&key, b"code", MINUTE, Expect::Absent).await.unwrap();
        assert!(stores[1].get(&key).await.unwrap().is_some(), "the other one sees it at once");
        let takers = (0..8_usize).map(|n| {
            let (store, key) = (Arc::clone(&stores[n % 2]), key.clone());
            tokio::spawn(async move { store.take(&key).await.unwrap() })
        });
        let got = join_all(takers).await.into_iter().filter(|taken| taken.as_ref().unwrap().is_some()).count();
        assert_eq!(got, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_can_open_a_new_file_at_once() {
    let dir = folder();
    let path = dir.path().join("state.db");
    let openers = (0..8).map(|n: u8| {
        let path = path.clone();
        tokio::task::spawn_blocking(move || StateDb::open(&path, clock()).map(|db| (n, db)))
    });
    for opened in join_all(openers).await {
        let (n, db) = opened.unwrap().unwrap();
        db.put(&StateKey::new(CODES, n.to_string()), &[n], MINUTE, Expect::Absent).await.unwrap();
    }
}

#[tokio::test]
async fn the_file_and_its_companions_are_for_their_owner_only() {
    let dir = folder();
    let path = dir.path().join("new/state.db");
    let db = StateDb::open(&path, clock()).unwrap();
    db.put(&StateKey::new(CODES, "a"), b"1", MINUTE, Expect::Absent).await.unwrap();
    let mut count = 0;
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o7777, 0o600, "{:?}", entry.file_name());
        count += 1;
    }
    assert!(count >= 2, "the file and its log");
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o7777, 0o700);
}

#[tokio::test]
async fn a_file_that_others_can_read_is_refused() {
    let dir = folder();
    let path = dir.path().join("state.db");
    drop(StateDb::open(&path, clock()).unwrap());
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let error = StateDb::open(&path, clock()).unwrap_err();
    assert!(matches!(&error, StoreError::Insecure { fix, .. } if fix.starts_with("chmod 600 ")), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_as_it_is() {
    let dir = folder();
    let path = dir.path().join("state.db");
    let content = "something else entirely, and long enough to be taken for a page of a database ".repeat(20);
    super::write_private(&path, &content);
    assert!(matches!(StateDb::open(&path, clock()), Err(StoreError::Corrupt { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), content);
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused() {
    let dir = folder();
    let path = dir.path().join("state.db");
    drop(StateDb::open(&path, clock()).unwrap());
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 2).unwrap();
    drop(db);
    let error = StateDb::open(&path, clock()).unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { why, .. } if why.contains("newer")), "{error}");
}

#[tokio::test]
async fn expired_state_leaves_the_file() {
    let dir = folder();
    let path = dir.path().join("state.db");
    let clock = clock();
    let db = StateDb::open(&path, clock.clone()).unwrap();
    for n in 0..50 {
        db.put(&StateKey::new(CODES, n.to_string()), b"1", MINUTE, Expect::Absent).await.unwrap();
    }
    clock.advance(MINUTE * 2);
    db.put(&StateKey::new(CODES, "new"), b"1", MINUTE, Expect::Absent).await.unwrap();
    let direct = rusqlite::Connection::open(&path).unwrap();
    let rows: i64 = direct.query_row("SELECT count(*) FROM state", (), |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn a_file_that_is_removed_or_replaced_under_a_running_server_is_noticed_and_used_no_more() {
    let dir = folder();
    let path = dir.path().join("c/state.db");
    let key = |id: &str| StateKey::new(CODES, id);
    let running = StateDb::open(&path, clock()).unwrap();
    let put = async |id: &str| running.put(&key(id), b"1", MINUTE, Expect::Absent).await;
    let closed = async |path: &Path| {
        // The threads of a store that was dropped close the file a moment later.
        let log = PathBuf::from(format!("{}-wal", path.display()));
        for _ in 0..500 {
            if !log.exists() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} is never closed", path.display());
    };
    // What another program sees now is what the next start sees; it is closed when this returns.
    let after_a_restart = async |id: &str| {
        let direct = rusqlite::Connection::open(&path).unwrap();
        let found: i64 = direct.query_row("SELECT count(*) FROM state WHERE id = ?", [id], |row| row.get(0)).unwrap();
        found == 1
    };
    put("a").await.unwrap();
    assert!(running.get(&key("a")).await.unwrap().is_some());

    fs::remove_file(&path).unwrap();
    put("b").await.expect("it works on, in a new file");
    assert!(after_a_restart("b").await, "what is acknowledged is in the file that the next start opens");
    assert_eq!(running.get(&key("a")).await.unwrap(), None, "and nobody is shown what only seems to be stored");

    // A reader may be the first to come.
    fs::remove_file(&path).unwrap();
    assert_eq!(running.get(&key("b")).await.unwrap(), None);
    put("c").await.unwrap();
    assert!(after_a_restart("c").await);

    // An older copy is brought back.
    let copy = dir.path().join("copy.db");
    drop(StateDb::open(&copy, clock()).unwrap());
    closed(&copy).await;
    fs::rename(&copy, &path).unwrap();
    put("d").await.unwrap();
    assert!(after_a_restart("d").await && !after_a_restart("c").await);

    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    let error = put("e").await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { what, .. } if what.contains("state.db")), "{error}");
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o700)).unwrap();
    put("e").await.expect("no restart is needed");
    assert!(after_a_restart("e").await);
}
