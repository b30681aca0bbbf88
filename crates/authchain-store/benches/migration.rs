//! How fast 10,000 plaintext records become sealed ones, durable and safe from a kill at any moment, held against a loop
//! in Python that syncs each file. The rounds of both take turns on one disk, and the median ratio counts.
//!
//! `cargo bench -p authchain-store --bench migration [-- RECORDS ROUNDS]`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and stops where something is wrong")]

use std::{path::Path, process::Command, time::Instant};

use authchain_core::{CredentialKey, Expect, ProviderId, UserId};
use authchain_store::{
    Encryption, StorageMode,
    migrate::{self, Options, Place},
    seal::Keyring,
};
use authchain_testkit::suite::credential;
use futures_util::{StreamExt, TryStreamExt, stream};

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<u64>().ok());
    let (records, rounds) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(3));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // Where the build is: on a disk, which the folder for temporary files may not be.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let source = folder.path().join("plain");
    let keyring = Keyring::ephemeral();
    runtime.block_on(fill(&source, &keyring, records));

    let mut figures = Vec::new();
    // Nothing is removed between the rounds: a file system that keeps from reusing what was just deleted (ext4 without a
    // journal does for some seconds) would charge the one who comes next for it.
    for round in 0..rounds {
        let target = folder.path().join(format!("python-{round}"));
        std::fs::create_dir(&target).unwrap();
        let (python, seals) = python(&source, &target);

        let target = folder.path().join(format!("sealed-{round}"));
        let begun = Instant::now();
        runtime.block_on(migrated(&source, &target, &keyring, usize::try_from(records).unwrap()));
        let ours = f64::from(u32::try_from(records).unwrap()) / begun.elapsed().as_secs_f64();
        let baseline = if seals { "seal and sync each" } else { "copy and sync each" };
        println!("round {round}: authchain {ours:.0} records/s, Python ({baseline}) {python:.0} records/s");
        figures.push((ours / python, ours));
    }
    figures.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, ours) = figures.get(figures.len() / 2).copied().unwrap_or_default();
    println!("migration of {records} records, plaintext to sealed: {ours:.0} records/s");
    println!("as a multiple of Python: {ratio:.2}   (at least 2.5)");
}

async fn fill(dir: &Path, keyring: &Keyring, records: u64) {
    let place = Place::in_folder(StorageMode::FilePlaintext, dir, keyring, Encryption::AesGcm).unwrap();
    let put = |n| {
        let store = place.shared();
        async move {
            let user = UserId::new(format!("person{n}@example.com")).unwrap();
            let key = CredentialKey::new(ProviderId::google(), user);
            store.put(&key, &credential(n * 4), Expect::Absent).await
        }
    };
    stream::iter((0..records).map(put)).buffer_unordered(512).try_collect::<Vec<_>>().await.unwrap();
}

/// All that the command does between its start and its answer.
async fn migrated(source: &Path, target: &Path, keyring: &Keyring, records: usize) {
    let from = Place::in_folder(StorageMode::FilePlaintext, source, keyring, Encryption::AesGcm).unwrap();
    let to = Place::in_folder(StorageMode::FileEncrypted, target, keyring, Encryption::AesGcm).unwrap();
    let plan = migrate::plan(&from, &to).await.unwrap();
    assert_eq!(plan.keys.len(), records);
    let report = migrate::run(&plan, &from, &to, Options::default(), |_| {}).await;
    assert!(report.is_complete());
}

/// Records per second of the loop in Python, and whether it sealed.
fn python(source: &Path, target: &Path) -> (f64, bool) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/python_migration.py");
    let output = Command::new("python3").arg(script).args([source, target]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let field = |name| answer.get(name).unwrap();
    (field("per_second").as_f64().unwrap(), field("seals").as_bool().unwrap())
}
