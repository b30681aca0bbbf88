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

/// A `secret-tool` that keeps its entry in a file beside it; the real one is tried with the stores.
const SECRET_TOOL: &str = r#"#!/bin/sh
entry=$(dirname "$0")/entry
case "$1" in store) cat > "$entry" ;; lookup) [ -f "$entry" ] && cat "$entry" ;; esac
"#;

#[tokio::test]
async fn keys_in_the_desktops_keyring_are_made_listed_changed_and_missed() {
    let home = tempfile::tempdir().unwrap();
    let (bin, data) = (home.path().join("bin"), home.path().join("data"));
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(bin.join("secret-tool"), SECRET_TOOL).unwrap();
    std::fs::set_permissions(bin.join("secret-tool"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let keys = async |path: &str, args: &[&str]| {
        let mut command = authchain(home.path());
        command.arg("keys").args(args).arg("--data").arg(&data).arg("--json").env("PATH", path);
        let Output { status, stdout, stderr } =
            run(command.env("AUTHCHAIN__STORAGE__DESKTOP_KEYRING", "authchain")).await;
        let said = String::from_utf8(if status.success() { stdout } else { stderr }).unwrap();
        (status.code(), serde_json::from_str::<Value>(said.trim_end().lines().last().unwrap_or_default()).unwrap())
    };
    let (code, listed) = keys(&path, &["list"]).await;
    assert_eq!(code, Some(0), "{listed}");
    let old = listed["keys"][0]["id"].as_str().unwrap().to_owned();
    assert!(!data.join(".auth_encryption_key").exists(), "no key lies in the folder");
    let (code, rotated) = keys(&path, &["rotate"]).await;
    assert_eq!((code, &rotated["retired"][0]), (Some(0), &old.as_str().into()), "{rotated}");
    assert_eq!(keys(&path, &["reencrypt"]).await.0, Some(0));
    let (code, planned) = keys(&path, &["retire", &old, "--dry-run"]).await;
    assert!(code == Some(0) && planned["also_ends"].as_str().unwrap().contains("registered by hand"), "{planned}");
    assert_eq!(keys(&path, &["retire", &old]).await.0, Some(0));
    assert_eq!(std::fs::read_to_string(bin.join("entry")).unwrap().matches("# retired ").count(), 1);

    std::fs::rename(bin.join("entry"), bin.join("elsewhere")).unwrap();
    let (code, lost) = keys(&path, &["list"]).await;
    let message = lost["error"]["message"].as_str().unwrap();
    assert!(code == Some(8) && message.contains(rotated["primary"].as_str().unwrap()), "{lost}");
    let (code, without) = keys(&home.path().join("nothing").display().to_string(), &["list"]).await;
    let message = without["error"]["message"].as_str().unwrap();
    assert!(
        code == Some(6) && message.contains("libsecret-tools") && message.contains("storage.key_file"),
        "{without}"
    );
}
