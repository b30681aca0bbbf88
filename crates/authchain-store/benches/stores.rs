//! What the stores cost, each against what it cannot be cheaper than, in one run: the two of a ratio take turns.
//!
//! `cargo bench -p authchain-store --bench stores [-- RECORDS]`, where RECORDS is how many credentials are held in memory.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and stops where something is wrong")]

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use authchain_core::{CredentialKey, CredentialStore, Expect, ProviderId, UserId};
use authchain_store::{BackupStore, FileForm, FileStore, seal::Keyring};
use authchain_testkit::suite::credential;
use futures_util::{StreamExt, TryStreamExt, stream};

/// How often each of two is measured; the median counts.
const TURNS: usize = 300;

/// How many writers come at once.
const AT_ONCE: usize = 16;

fn main() {
    let records = std::env::args().skip(1).find_map(|word| word.parse::<u64>().ok()).unwrap_or(100_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // Where the build is: on a disk, which the folder for temporary files may not be.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    runtime.block_on(async {
        single_save(folder.path()).await;
        many_at_once(folder.path()).await;
        first_read(folder.path()).await;
        memory(folder.path(), records).await;
    });
}

fn key(n: u64) -> CredentialKey {
    CredentialKey::new(ProviderId::google(), UserId::new(format!("user{n}@example.com")).unwrap())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A temporary file, synced, renamed, and its folder synced: nothing durable and atomic does less.
fn bare_write(folder: &Path, bytes: &[u8]) {
    let temporary = folder.join("bare.tmp");
    let mut file = File::create(&temporary).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
    fs::rename(&temporary, folder.join("bare.enc.txt")).unwrap();
    File::open(folder).unwrap().sync_all().unwrap();
}

async fn single_save(folder: &Path) {
    let (bare, sealed) = (folder.join("bare"), folder.join("single"));
    fs::create_dir(&bare).unwrap();
    let store = FileStore::open(&sealed, FileForm::Sealed(Keyring::ephemeral())).unwrap();
    store.put(&key(0), &credential(0), Expect::Any).await.unwrap();
    let size = fs::read_dir(&sealed).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).max().unwrap();
    let bytes = vec![7; usize::try_from(size).unwrap()];
    let (mut bare_times, mut store_times) = (Vec::new(), Vec::new());
    for n in 0..TURNS {
        let begun = Instant::now();
        bare_write(&bare, &bytes);
        bare_times.push(begun.elapsed());
        let begun = Instant::now();
        store.put(&key(0), &credential(u64::try_from(n).unwrap()), Expect::Any).await.unwrap();
        store_times.push(begun.elapsed());
    }
    let (bare, store) = (median(bare_times), median(store_times));
    println!(
        "a durable save: {:.0} µs; a bare atomic write of {size} bytes: {:.0} µs; ratio {:.2}, at most 1.1",
        micros(store),
        micros(bare),
        micros(store) / micros(bare),
    );
}

async fn many_at_once(folder: &Path) {
    let store = Arc::new(FileStore::open(&folder.join("many"), FileForm::Sealed(Keyring::ephemeral())).unwrap());
    let (mut serial, mut together) = (Vec::new(), Vec::new());
    for turn in 0..TURNS / AT_ONCE * 4 {
        let begun = Instant::now();
        for n in 0..4 {
            store.put(&key(n), &credential(0), Expect::Any).await.unwrap();
        }
        serial.push(begun.elapsed() / 4);
        let begun = Instant::now();
        // Each writer saves four times, one after the other; sixteen do so at once.
        let writers = (0..AT_ONCE).map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let key = key(100 + u64::try_from(writer).unwrap());
                for _ in 0..4 {
                    store.put(&key, &credential(u64::try_from(turn).unwrap()), Expect::Any).await.unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        together.push(begun.elapsed() / u32::try_from(4 * AT_ONCE).unwrap());
    }
    let (serial, together) = (median(serial), median(together));
    println!(
        "saves one after the other: {:.0}/s; {AT_ONCE} at once: {:.0}/s; ratio {:.1}, at least 3",
        1e6 / micros(serial),
        1e6 / micros(together),
        micros(serial) / micros(together),
    );
}

async fn first_read(folder: &Path) {
    const FILES: u64 = 1000;
    let dir = folder.join("reads");
    let store = FileStore::open(&dir, FileForm::Sealed(Keyring::ephemeral())).unwrap();
    let writes = stream::iter(0..FILES).map(|n| {
        let store = &store;
        async move { store.put(&key(n), &credential(n), Expect::Absent).await }
    });
    let _: Vec<_> = writes.buffer_unordered(256).try_collect().await.unwrap();
    let (mut times, mut bare) = (Vec::new(), Vec::new());
    // Each file is read for the first time by the store; what the kernel does for it is there since it was written.
    for n in 0..FILES {
        let path = dir.join(format!("google~user{n}@example.com~default.enc"));
        let begun = Instant::now();
        std::hint::black_box(fs::read(&path).unwrap());
        bare.push(begun.elapsed());
        let begun = Instant::now();
        store.get(&key(n)).await.unwrap().unwrap();
        times.push(begun.elapsed());
    }
    let (read, bare) = (median(times), median(bare));
    let (keyring, content) = (Keyring::ephemeral(), [7; 600]);
    let sealed = keyring.seal(b"ann", &content).unwrap();
    let opens = (0..FILES).map(|_| {
        let begun = Instant::now();
        keyring.open(b"ann", &sealed, "it").unwrap();
        begun.elapsed()
    });
    let opened = median(opens.collect());
    let mut hops = Vec::new();
    for _ in 0..FILES {
        let begun = Instant::now();
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        hops.push(begun.elapsed());
    }
    println!(
        "a first sealed read: {:.1} µs, at most 25; the bare file: {:.1} µs; opening: {:.1} µs; to another thread and back: {:.1} µs",
        micros(read),
        micros(bare),
        micros(opened),
        micros(median(hops)),
    );
}

async fn memory(folder: &Path, records: u64) {
    let (dir, keyring) = (folder.join("memory"), Keyring::ephemeral());
    let store = BackupStore::open(&dir, keyring.clone()).unwrap();
    let begun = Instant::now();
    let writes = stream::iter(0..records).map(|n| {
        let store = &store;
        async move { store.put(&key(n), &credential(n), Expect::Absent).await.map(drop) }
    });
    writes.buffer_unordered(512).try_collect::<()>().await.unwrap();
    let written = begun.elapsed();
    drop(store);
    let before = resident();
    let begun = Instant::now();
    let store = BackupStore::open(&dir, keyring).unwrap();
    let loaded = begun.elapsed();
    let held = resident().saturating_sub(before);
    assert!(store.get(&key(records / 2)).await.unwrap().is_some());
    let per_100_000 = held * 100_000 / records.max(1) / (1 << 20);
    println!(
        "memory_with_backup: {per_100_000} MiB per 100,000 credentials ({} bytes each); {records} loaded in {:.1} s, saved in {:.1} s",
        held / records.max(1),
        loaded.as_secs_f64(),
        written.as_secs_f64(),
    );
}

/// Bytes of memory that this process holds.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = pages.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
