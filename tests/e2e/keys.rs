//! `authchain keys`: a new key for what is stored, the old one gone, and nothing lost.

use std::{path::Path, process::Output};

use authchain::{
    core::{CredentialStore, Expect},
    store::{FileForm, FileStore, seal::Keyring},
};
use authchain_testkit::suite::{credential, key};
use serde_json::Value;

use crate::program::{authchain, run};

const PEOPLE: u64 = 20;

fn store(data: &Path) -> FileStore {
    let keyring = Keyring::open_or_create(&data.join(".auth_encryption_key")).unwrap();
    FileStore::open(data, FileForm::Sealed(keyring)).unwrap()
}

/// `authchain keys ARGS --json` on a folder: the exit code, and the answer or the error.
async fn keys(home: &Path, data: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let Output { status, stdout, stderr } =
        run(authchain(home).arg("keys").args(args).arg("--data").arg(data).arg("--json")).await;
    let said = if status.success() { stdout } else { stderr };
    let last = String::from_utf8(said).unwrap().trim_end().lines().last().unwrap_or_default().to_owned();
    (status.code(), serde_json::from_str(&last).unwrap_or_else(|e| panic!("{e}: {last}")))
}

#[tokio::test]
async fn a_new_key_takes_over_and_the_old_one_goes() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let running = store(&data);
    for n in 0..PEOPLE {
        let key = key("google", &format!("user{n}@example.com"), "default");
        running.put(&key, &credential(n), Expect::Absent).await.unwrap();
    }
    let (_, listed) = keys(home.path(), &data, &["list"]).await;
    let old = listed["keys"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(listed["keys"][0]["credentials"], PEOPLE);

    let (code, refused) = keys(home.path(), &data, &["retire", &old]).await;
    assert_eq!((code, &refused["error"]["code"]), (Some(7), &"in_use".into()), "the primary stays: {refused}");
    let (_, planned) = keys(home.path(), &data, &["rotate", "--dry-run"]).await;
    assert_eq!((&planned["status"], &planned["primary"]), (&"planned".into(), &old.as_str().into()));
    let (code, rotated) = keys(home.path(), &data, &["rotate"]).await;
    assert_eq!((code, &rotated["retired"][0]), (Some(0), &old.as_str().into()));
    let new = rotated["primary"].as_str().unwrap().to_owned();
    let (code, refused) = keys(home.path(), &data, &["retire", &old]).await;
    assert_eq!(code, Some(7));
    assert!(refused["error"]["message"].as_str().unwrap().contains("20 credentials"), "{refused}");
    assert!(refused["error"]["fix"].as_str().unwrap().contains("authchain keys reencrypt"), "{refused}");

    let (_, planned) = keys(home.path(), &data, &["reencrypt", "--dry-run"]).await;
    assert_eq!(planned["to_do"], PEOPLE);
    let (code, done) = keys(home.path(), &data, &["reencrypt"]).await;
    assert_eq!((code, &done["sealed"], &done["primary"]), (Some(0), &PEOPLE.into(), &new.as_str().into()));
    let (_, again) = keys(home.path(), &data, &["reencrypt"]).await;
    assert_eq!((&again["sealed"], &again["already"]), (&0.into(), &PEOPLE.into()), "run again it has nothing to do");
    let (code, retired) = keys(home.path(), &data, &["retire", &old]).await;
    assert_eq!((code, &retired["status"]), (Some(0), &"retired".into()));
    let (code, _) = keys(home.path(), &data, &["retire", &old]).await;
    assert_eq!(code, Some(3), "and is unknown from now on");

    let fresh = store(&data);
    for n in 0..PEOPLE {
        let key = key("google", &format!("user{n}@example.com"), "default");
        assert_eq!(fresh.get(&key).await.unwrap().unwrap().value, credential(n));
        running.put(&key, &credential(n), Expect::Any).await.expect("what ran all the time goes on");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_sealed_anew_is_named_and_the_others_are_done() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let stored = store(&data);
    for user in ["ann@example.com", "bob@example.com"] {
        stored.put(&key("google", user, "default"), &credential(0), Expect::Absent).await.unwrap();
    }
    std::fs::write(data.join("google~ann@example.com~default.enc"), "broken").unwrap();
    assert_eq!(keys(home.path(), &data, &["rotate"]).await.0, Some(0));
    let (code, failed) = keys(home.path(), &data, &["reencrypt"]).await;
    assert_eq!((code, &failed["error"]["code"]), (Some(9), &"partly_done".into()));
    assert!(failed["error"]["message"].as_str().unwrap().contains("ann@example.com"), "{failed}");
    let (_, listed) = keys(home.path(), &data, &["list"]).await;
    assert_eq!((&listed["keys"][0]["credentials"], &listed["unreadable"]), (&1.into(), &1.into()), "Bob's is done");
}
