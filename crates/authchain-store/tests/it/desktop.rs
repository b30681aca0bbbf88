//! Keys in the desktop's keyring: a real one, on a message bus of its own, where it is installed; and a stand-in for its
//! command that can fail in every way.
//!
//! `PATH` and the bus belong to a process, so each test runs its steps in one of its own.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use authchain_core::{CredentialStore, Expect, StoreError};
use authchain_store::{FileForm, FileStore, rotation::reseal, seal::Keyring};
use authchain_testkit::suite::credential;

use super::{ann, folder, names, write_private};

const FOLDER: &str = "AUTHCHAIN_TEST_FOLDER";
const ENTRY: &str = "authchain-test";

/// What other processes do with the folder, each as `Ok` or in the words of its error.
fn in_another_process(command: &mut Command, step: &str, dir: &Path) -> Result<(), String> {
    let Output { status, stdout, stderr } = command
        .args(["--exact", &format!("desktop::steps::{step}"), "--ignored", "--nocapture"])
        .env(FOLDER, dir)
        .output()
        .unwrap();
    let said = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(said.contains("1 passed") || !status.success(), "{step}: {said}");
    if status.success() { Ok(()) } else { Err(said) }
}

/// A `secret-tool` that keeps its only entry in a file, or does what the file `mood` says.
const STAND_IN: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$@" >> "$here/asked"
case "$(cat "$here/mood" 2>/dev/null)" in
  away) echo 'secret-tool: Cannot autolaunch D-Bus without X11 $DISPLAY' >&2; exit 1 ;;
  locked) [ "$1" = store ] && cat > /dev/null; [ "$1" = store ]; exit $? ;;
  noise) echo 'this is no key'; exit 0 ;;
esac
case "$1" in
  store) cat > "$here/entry" ;;
  lookup) [ -f "$here/entry" ] && cat "$here/entry" ;;
esac
"#;

/// A folder for the stand-in and one for credentials.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(folder());
        fs::create_dir(desk.path("bin")).unwrap();
        fs::write(desk.path("bin/secret-tool"), STAND_IN).unwrap();
        fs::set_permissions(desk.path("bin/secret-tool"), fs::Permissions::from_mode(0o755)).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn mood(&self, mood: &str) {
        fs::write(self.path("bin/mood"), mood).unwrap();
    }

    fn step(&self, step: &str) -> Result<(), String> {
        let path = format!("{}:{}", self.path("bin").display(), env::var("PATH").unwrap());
        in_another_process(Command::new(env::current_exe().unwrap()).env("PATH", path), step, &self.path("data"))
    }

    fn refuses(&self, step: &str, words: &[&str]) {
        let said = self.step(step).expect_err(step);
        for words in words {
            assert!(said.contains(words), "no {words:?} in\n{said}");
        }
    }

    /// How often the keyring was asked.
    fn asked(&self) -> usize {
        fs::read_to_string(self.path("bin/asked")).unwrap_or_default().lines().count()
    }
}

#[test]
fn keys_are_made_kept_rotated_and_retired_in_the_keyring_and_nowhere_else() {
    let desk = Desk::new();
    desk.step("writes").unwrap();
    let key = fs::read_to_string(desk.path("bin/entry")).unwrap();
    assert_eq!(key.trim().len(), 44, "one key");
    for file in fs::read_dir(desk.path("data")).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(44).any(|window| window == key.trim().as_bytes()), "a key in the folder");
    }
    desk.step("reads").unwrap();
    desk.step("rotates_and_retires").unwrap();
    desk.step("reads").unwrap();
    assert_ne!(fs::read_to_string(desk.path("bin/entry")).unwrap(), key);
}

#[test]
fn the_keyring_is_asked_when_the_keys_have_changed_and_not_at_each_write() {
    let desk = Desk::new();
    desk.step("writes").unwrap();
    let before = desk.asked();
    desk.step("writes_often").unwrap();
    assert_eq!(desk.asked(), before + 1, "once, at the start");
}

#[test]
fn without_a_keyring_a_start_says_what_to_do_and_makes_nothing() {
    let desk = Desk::new();
    desk.mood("away");
    desk.refuses("writes", &["Cannot autolaunch D-Bus", "storage.key_file", "container"]);
    assert!(!desk.path("data/.auth_encryption_key").exists() && !desk.path("bin/entry").exists());
    fs::remove_file(desk.path("bin/secret-tool")).unwrap();
    let mut alone = Command::new(env::current_exe().unwrap());
    let said = in_another_process(alone.env("PATH", desk.path("bin")), "writes", &desk.path("data")).unwrap_err();
    assert!(said.contains("apt-get install libsecret-tools"), "{said}");
}

#[test]
fn a_locked_keyring_gives_no_key_and_takes_none() {
    let desk = Desk::new();
    desk.mood("locked");
    desk.refuses("writes", &["is the keyring locked?"]);
    desk.mood("");
    desk.step("writes").unwrap();
    let key = fs::read(desk.path("bin/entry")).unwrap();
    desk.mood("locked");
    desk.refuses("reads", &["is gone: unlock the keyring that has it"]);
    desk.mood("noise");
    desk.refuses("reads", &["44 characters"]);
    desk.mood("");
    desk.step("reads").unwrap();
    assert_eq!(fs::read(desk.path("bin/entry")).unwrap(), key);
}

#[test]
fn a_lost_or_other_entry_is_an_error_that_names_the_key_and_never_a_new_key() {
    let desk = Desk::new();
    desk.step("writes").unwrap();
    let ids = fs::read_to_string(desk.path("data/.auth_keys_in_desktop_keyring")).unwrap();
    let id = ids.lines().last().unwrap();
    let kept = fs::read(desk.path("bin/entry")).unwrap();
    fs::remove_file(desk.path("bin/entry")).unwrap();
    desk.refuses("reads", &[id, "is gone"]);
    assert!(!desk.path("bin/entry").exists(), "no new key");
    fs::write(desk.path("bin/entry"), "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=").unwrap();
    desk.refuses("reads", &[id]);
    // Nor beside records, when nobody knows any more where their keys were.
    fs::remove_file(desk.path("bin/entry")).unwrap();
    fs::remove_file(desk.path("data/.auth_keys_in_desktop_keyring")).unwrap();
    desk.refuses("reads", &[id, "is missing: bring it back"]);
    fs::write(desk.path("bin/entry"), kept).unwrap();
    desk.step("reads").unwrap();
}

#[test]
fn between_a_key_file_and_the_keyring_nobody_slips_into_new_keys() {
    let desk = Desk::new();
    fs::create_dir(desk.path("data")).unwrap();
    fs::set_permissions(desk.path("data"), fs::Permissions::from_mode(0o700)).unwrap();
    write_private(&desk.path("data/.auth_encryption_key"), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    desk.refuses("writes", &["secret-tool store", ".auth_encryption_key"]);
    let key_file = desk.path("data/.auth_encryption_key");
    fs::rename(&key_file, desk.path("bin/entry")).unwrap();
    desk.step("writes").unwrap();
    for name in names(&desk.path("data")) {
        fs::remove_file(desk.path("data").join(name)).unwrap();
    }
    let error = Keyring::open_or_create(&key_file).unwrap_err();
    assert!(error.to_string().contains("storage.desktop_keyring") && !key_file.exists(), "{error}");
}

/// Starts a bus and a keyring for one step, unlocked with a password of its own.
const ON_A_BUS: &str = r#"
printf 'a password' | gnome-keyring-daemon --unlock --components=secrets --daemonize > /dev/null || exit 3
exec "$@"
"#;

#[test]
fn the_real_keyring_of_gnome_keeps_keys_too() {
    let on_path = |name: &str| env::split_paths(&env::var_os("PATH").unwrap()).any(|dir| dir.join(name).is_file());
    if !["dbus-run-session", "gnome-keyring-daemon", "secret-tool"].into_iter().all(on_path) {
        eprintln!("skipped: no gnome-keyring and secret-tool; `scripts/test --setup` installs them");
        return;
    }
    let home = folder();
    for name in ["run", "share"] {
        fs::create_dir(home.path().join(name)).unwrap();
        fs::set_permissions(home.path().join(name), fs::Permissions::from_mode(0o700)).unwrap();
    }
    for step in ["writes", "reads", "rotates_and_retires", "reads"] {
        let mut command = Command::new("dbus-run-session");
        command.args(["--", "sh", "-c", ON_A_BUS, "sh"]).arg(env::current_exe().unwrap());
        command.env("HOME", home.path()).env("XDG_RUNTIME_DIR", home.path().join("run"));
        command.env("XDG_DATA_HOME", home.path().join("share")).env_remove("DBUS_SESSION_BUS_ADDRESS");
        in_another_process(&mut command, step, &home.path().join("data")).unwrap();
    }
}

/// What the other processes do.
mod steps {
    use super::*;

    fn dir() -> PathBuf {
        env::var_os(FOLDER).expect("the test says where").into()
    }

    /// Errors in the words that a person reads, with their causes.
    fn open() -> (Keyring, FileStore) {
        let dir = dir();
        let keyring = Keyring::from_desktop(ENTRY, &dir).unwrap_or_else(|error| match &error {
            StoreError::Unavailable { cause, .. } => panic!("{error}: {cause}"),
            _ => panic!("{error}"),
        });
        let store = FileStore::open(&dir, FileForm::Sealed(keyring.clone())).unwrap_or_else(|e| panic!("{e}"));
        (keyring, store)
    }

    #[tokio::test]
    #[ignore = "the other process of a test"]
    async fn writes() {
        let (_, store) = open();
        store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    }

    #[tokio::test]
    #[ignore = "the other process of a test"]
    async fn writes_often() {
        let (_, store) = open();
        for n in 0..10 {
            store.put(&ann(), &credential(n), Expect::Any).await.unwrap();
        }
    }

    #[tokio::test]
    #[ignore = "the other process of a test"]
    async fn reads() {
        let (_, store) = open();
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0));
    }

    #[tokio::test]
    #[ignore = "the other process of a test"]
    async fn rotates_and_retires() {
        let (server, served) = open();
        let (command, _) = open();
        let old = command.ids()[0];
        let new = command.rotate().unwrap();
        assert_eq!(command.ids(), [new, old]);
        served.put(&ann(), &credential(0), Expect::Any).await.expect("a running server takes it up");
        assert_eq!(server.ids(), [new, old]);
        assert!(command.retire(new).is_err(), "the primary stays");
        reseal(&served, &ann(), new).await.unwrap();
        let retired = command.retire(old).unwrap();
        assert_eq!(command.ids(), [new]);
        command.bring_back(&retired).unwrap();
        assert_eq!(command.ids(), [new, old]);
        command.retire(old).unwrap();
        served.put(&ann(), &credential(0), Expect::Any).await.unwrap();
        assert_eq!(server.ids(), [new]);
    }
}
