//! Stores in a real PostgreSQL.

mod server;
mod tls;

use std::{sync::Arc, time::Duration};

use authchain_core::{
    CredentialKey, CredentialStore, Expect, ManualClock, Namespace, Secret, StateKey, StateStore, StoreError,
    SystemClock, Timestamp,
};
use authchain_store::{
    SealedRecords,
    postgres::{Change, Changes, Postgres, PostgresStore},
    rotation::{Resealed, reseal, usage},
    seal::Keyring,
};
use authchain_testkit::suite::{self, credential};
use futures_util::{StreamExt, TryStreamExt, future::join_all};

use self::server::Server;
use super::{ann, bob, folder, keyring};

const CODES: Namespace = Namespace("codes");

/// An empty database, for other modules' tests; it runs as long as the first half lives.
pub(super) async fn empty_database() -> (impl Sized, Postgres) {
    let server = Server::shared();
    let database = Postgres::connect(&server.url().await).await.unwrap();
    (server, database)
}

/// The URL of an empty database, for those who want it without our tables.
pub(super) async fn empty_url() -> (impl Sized, Secret) {
    let server = Server::shared();
    let url = server.url().await;
    (server, url)
}

async fn store(url: &Secret, keyring: &Keyring) -> PostgresStore {
    Postgres::connect(url).await.unwrap().credentials(keyring.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_keeps_the_promises_of_a_credential_store() {
    let server = Server::shared();
    suite::credential_store(async || store(&server.url().await, &Keyring::ephemeral()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_keeps_the_promises_of_a_state_store() {
    let server = Server::shared();
    suite::state_store(async |clock| Postgres::connect(&server.url().await).await.unwrap().state(clock)).await;
}

#[tokio::test]
async fn several_servers_that_start_at_once_make_the_tables_once() {
    let server = Server::shared();
    let url = server.url().await;
    for connected in join_all((0..8).map(|_| Postgres::connect(&url))).await {
        connected.unwrap();
    }
}

#[tokio::test]
async fn what_leaves_the_process_is_sealed_and_bound_to_its_row() {
    let server = Server::shared();
    let url = server.url().await;
    let store = store(&url, &Keyring::ephemeral()).await;
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    store.put(&bob(), &credential(3), Expect::Absent).await.unwrap();
    let (client, connection) = tokio_postgres::connect(url.expose(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let row =
        client.query_one("SELECT sealed FROM authchain_credentials WHERE account LIKE 'ann%'", &[]).await.unwrap();
    let bytes: Vec<u8> = row.get(0);
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("ann@example.com") && !text.contains("ya29") && !text.contains("1//"), "{text}");

    // Bob's row over Ann's, with what it says about itself mended.
    let swap = "UPDATE authchain_credentials SET sealed = convert_to('authchain-credential 1 ', 'UTF8')
                || (SELECT substring(sealed FROM 24) FROM authchain_credentials WHERE account LIKE 'bob%')
                WHERE account LIKE 'ann%'";
    client.batch_execute(swap).await.unwrap();
    let error = store.get(&ann()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { what, .. } if what.contains("ann@example.com")), "{error}");
    assert_eq!(store.get(&bob()).await.unwrap().unwrap().value, credential(3), "others go on working");
    let refused = store.put(&ann(), &credential(1), Expect::Any).await;
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "a broken row is not written over: {refused:?}");
    assert!(store.delete(&ann(), Expect::Any).await.unwrap());
    store.put(&ann(), &credential(1), Expect::Absent).await.unwrap();
}

#[tokio::test]
async fn with_another_key_nothing_opens_and_nothing_is_overwritten() {
    let server = Server::shared();
    let url = server.url().await;
    store(&url, &Keyring::ephemeral()).await.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let stranger = store(&url, &Keyring::ephemeral()).await;
    assert!(matches!(stranger.get(&ann()).await, Err(StoreError::WrongKey { .. })));
    assert!(matches!(stranger.put(&ann(), &credential(1), Expect::Any).await, Err(StoreError::WrongKey { .. })));
}

#[tokio::test]
async fn a_write_is_heard_of_by_the_other_servers_and_not_by_oneself() {
    let server = Server::shared();
    let url = server.url().await;
    let keyring = Keyring::ephemeral();
    let (one, two) = (store(&url, &keyring).await, store(&url, &keyring).await);
    let (mut at_one, mut at_two) = (one.changes(), two.changes());
    assert_eq!(at_one.next().await, Some(Change::Anything), "what was before is not known");
    assert_eq!(at_two.next().await, Some(Change::Anything));
    let [amy, ben] = ["amy@example.com", "ben@example.com"].map(|user| suite::key("google", user, "default"));
    async fn heard(changes: &mut Changes) -> CredentialKey {
        loop {
            if let Some(Change::Of(key)) = changes.next().await
                && ["amy@example.com", "ben@example.com"].contains(&key.user.as_str())
            {
                return key;
            }
        }
    }
    one.put(&amy, &credential(0), Expect::Absent).await.unwrap();
    two.delete(&amy, Expect::Any).await.unwrap();
    two.put(&ben, &credential(1), Expect::Any).await.unwrap();
    assert_eq!(heard(&mut at_two).await, amy);
    assert_eq!(heard(&mut at_one).await, amy);
    assert_eq!(heard(&mut at_one).await, ben);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_takers_on_several_servers_each_value_goes_to_one() {
    let server = Server::shared();
    let url = server.url().await;
    let state = async || Arc::new(Postgres::connect(&url).await.unwrap().state(Arc::new(SystemClock)));
    let servers = [state().await, state().await, state().await];
    for n in 0..60 {
        servers[0].put(&StateKey::new(CODES, n.to_string()), b"code", Duration::MAX, Expect::Absent).await.unwrap();
    }
    let takers = servers.iter().flat_map(|server| {
        (0..60).map(|n| {
            let server = Arc::clone(server);
            tokio::spawn(async move { server.take(&StateKey::new(CODES, n.to_string())).await.unwrap().is_some() })
        })
    });
    let taken = join_all(takers).await.into_iter().filter(|taken| *taken.as_ref().unwrap()).count();
    assert_eq!(taken, 60);
}

#[tokio::test]
async fn expired_state_leaves_the_table() {
    let server = Server::shared();
    let url = server.url().await;
    let clock = Arc::new(ManualClock::new(Timestamp(1_763_712_000)));
    let state = Postgres::connect(&url).await.unwrap().state(clock.clone());
    for n in 0..20 {
        let key = StateKey::new(CODES, n.to_string());
        state.put(&key, b"1", Duration::from_secs(10), Expect::Absent).await.unwrap();
    }
    clock.advance(Duration::from_secs(100));
    state.put(&StateKey::new(CODES, "new"), b"1", Duration::from_secs(10), Expect::Absent).await.unwrap();
    let (client, connection) = tokio_postgres::connect(url.expose(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..500 {
        let rows: i64 = client.query_one("SELECT count(*) FROM authchain_state", &[]).await.unwrap().get(0);
        if rows == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("expired rows stay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_was_away_is_used_again_without_a_restart() {
    let server = Server::start_new();
    let url = server.url().await;
    let keyring = Keyring::ephemeral();
    let database = Postgres::connect(&url).await.unwrap();
    let (credentials, state) = (database.credentials(keyring), database.state(Arc::new(SystemClock)));
    let mut changes = credentials.changes();
    assert_eq!(changes.next().await, Some(Change::Anything));
    let version = credentials.put(&ann(), &credential(0), Expect::Absent).await.unwrap();

    server.stop();
    let error = credentials.get(&ann()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { what, .. } if what.contains("127.0.0.1")), "{error}");
    let refused = credentials.put(&ann(), &credential(1), Expect::Version(version)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert!(matches!(state.take(&StateKey::new(CODES, "a")).await, Err(StoreError::Unavailable { .. })));
    let listed: Vec<_> = credentials.list(&Default::default()).collect().await;
    assert!(matches!(listed.as_slice(), [Err(StoreError::Unavailable { .. })]), "{listed:?}");

    // Somebody asks while it is still away, and is answered once it is back.
    let ann = ann();
    let waiting = credentials.get(&ann);
    let (read, ()) = tokio::join!(waiting, async { tokio::task::block_in_place(|| server.start()) });
    let read = match read {
        Ok(read) => read.unwrap(),
        Err(_) => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            credentials.get(&ann).await.unwrap().unwrap()
        }
    };
    assert_eq!((read.value, read.version), (credential(0), version), "nothing is lost");
    credentials.put(&ann, &credential(1), Expect::Version(version)).await.unwrap();
    assert_eq!(changes.next().await, Some(Change::Anything), "who listened knows that something may have been missed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_that_is_cut_is_made_again_and_nobody_notices() {
    let server = Server::start_new();
    let store = Arc::new(store(&server.url().await, &Keyring::ephemeral()).await);
    let mut version = store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let readers = (0..8).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..50 {
                assert!(store.get(&ann()).await.unwrap().is_some());
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'authchain'";
    for n in 1..20 {
        server.execute(cut).await;
        // Whether it was carried out before the cut or not: once, and the answer says so.
        version = store.put(&ann(), &credential(n), Expect::Version(version)).await.unwrap();
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(n));
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn a_new_key_takes_over_while_servers_run() {
    let server = Server::shared();
    let url = server.url().await;
    let dir = folder();
    let running = store(&url, &keyring(dir.path())).await;
    running.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let keys = keyring(dir.path());
    let (old, new) = (keys.ids()[0], keys.rotate().unwrap());
    running.put(&bob(), &credential(1), Expect::Absent).await.unwrap();
    let command = store(&url, &keys).await;
    let before = usage(&command).await.unwrap();
    assert_eq!((before.only[&old], before.only[&new]), (1, 1));
    assert_eq!(reseal(&command, &ann(), new).await.unwrap(), Resealed::Done);
    keys.retire(old).unwrap();
    command.settle().await.unwrap();
    assert_eq!(usage(&command).await.unwrap().records.get(&old), None);
    assert_eq!(running.get(&ann()).await.unwrap().unwrap().value, credential(0));
    running.put(&ann(), &credential(2), Expect::Any).await.unwrap();
}

#[tokio::test]
async fn tables_of_a_newer_program_are_refused() {
    let server = Server::shared();
    let url = server.url().await;
    Postgres::connect(&url).await.unwrap();
    let (client, connection) = tokio_postgres::connect(url.expose(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("INSERT INTO authchain_layout VALUES (2)").await.unwrap();
    let error = Postgres::connect(&url).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { why, .. } if why.contains("newer")), "{error}");
}

#[tokio::test]
async fn a_url_that_leads_nowhere_is_refused_without_its_password() {
    for url in ["hush", "postgresql://ann:hush@127.0.0.1:1/x", "postgresql://ann:hush@[::"] {
        let error = Postgres::connect(&Secret::new(url)).await.unwrap_err();
        let StoreError::Unavailable { what, cause } = &error else {
            assert!(matches!(&error, StoreError::Unsupported(why) if !why.contains("hush")), "{error}");
            continue;
        };
        assert!(what.contains("127.0.0.1") && !format!("{what}{cause}").contains("hush"), "{what}: {cause}");
    }
}

#[tokio::test]
async fn a_listing_goes_on_over_many_pages() {
    let server = Server::shared();
    let store = store(&server.url().await, &Keyring::ephemeral()).await;
    let keys: Vec<_> = (0..1203).map(|n| suite::key("google", &format!("user{n}@example.com"), "default")).collect();
    let writes = futures_util::stream::iter(&keys).map(|key| {
        let store = &store;
        async move { store.put(key, &credential(0), Expect::Absent).await }
    });
    let written: Vec<_> = writes.buffer_unordered(64).try_collect().await.unwrap();
    assert_eq!(written.len(), keys.len());
    let mut listed: Vec<_> = store.list(&Default::default()).try_collect().await.unwrap();
    listed.sort();
    let mut wanted = keys;
    wanted.sort();
    assert_eq!(listed, wanted);
}
