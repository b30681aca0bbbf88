//! Damaged files, full and read-only disks, folders that go away: a clear error that names the file, the others go on
//! working, and nothing has to be restarted.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use authchain_core::{CredentialStore, Expect, KeyFilter, Namespace, StateKey, StateStore, StoreError, SystemClock};
use authchain_store::{BackupStore, FileForm, FileStore, StateDb, seal::Keyring};
use authchain_testkit::suite::credential;
use futures_util::TryStreamExt;

use super::{ann, bob, folder, keyring, names};

const FORMS: [&str; 3] = ["plain", "sealed", "fernet"];

fn store(form: &str, dir: &Path) -> FileStore {
    let form = match form {
        "plain" => FileForm::Plaintext,
        "sealed" => FileForm::Sealed(keyring(dir)),
        _ => FileForm::Fernet(keyring(dir)),
    };
    FileStore::open(dir, form).unwrap()
}

/// Where a user's file is.
fn file_of(dir: &Path, user: &str) -> PathBuf {
    let name = names(dir).into_iter().find(|name| name.contains(user)).unwrap();
    dir.join(name)
}

#[tokio::test]
async fn whatever_is_wrong_with_one_file_its_name_is_told_and_the_others_work() {
    for form in FORMS {
        let dir = folder();
        let store = store(form, dir.path());
        store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
        store.put(&bob(), &credential(3), Expect::Absent).await.unwrap();
        let (anns, bobs) = (file_of(dir.path(), "ann"), file_of(dir.path(), "bob"));
        let good = fs::read(&anns).unwrap();
        let middle = good.len() / 2;
        let mut flipped = good.clone();
        flipped[middle] ^= 0x10;
        let mut damaged = vec![
            ("empty", Vec::new()),
            ("cut at once", good[..1].to_vec()),
            ("cut in the middle", good[..middle].to_vec()),
            // Of the base64 of an earlier program the last letters are only padding, which may be missing.
            ("cut at its end", good[..good.len() - 8].to_vec()),
            ("noise", (0..=255).cycle().take(good.len()).collect()),
            ("zeros, as a crashed disk leaves them", vec![0; good.len()]),
        ];
        if form != "plain" {
            // A letter of JSON that is another letter is no damage that anybody could see.
            damaged.push(("a flipped bit", flipped));
            damaged.push(("somebody else's", fs::read(&bobs).unwrap()));
        }
        if form == "sealed" {
            let version = good.windows(6).position(|w| w == b"ACSEAL").unwrap() + 6;
            let mut newer = good.clone();
            newer[version] = 99;
            damaged.push(("of a newer version", newer));
        }
        for (what, bytes) in damaged {
            fs::write(&anns, &bytes).unwrap();
            let error = store.get(&ann()).await.expect_err(what);
            let named = match &error {
                StoreError::Corrupt { what, .. } | StoreError::WrongKey { what, .. } => what.clone(),
                other => panic!("{form}, {what}: {other}"),
            };
            assert!(named.contains(anns.file_name().unwrap().to_str().unwrap()), "{form}, {what}: {error}");
            for secret in ["ya29", "1//", "client-secret"] {
                assert!(!error.to_string().contains(secret), "{form}, {what}: {error}");
            }
            let refused = store.put(&ann(), &credential(1), Expect::Absent).await;
            assert!(refused.is_err(), "{form}, {what}: nobody writes over it unasked");
            assert_eq!(fs::read(&anns).unwrap(), bytes, "{form}, {what}: it stays what it is");
            assert_eq!(store.get(&bob()).await.unwrap().unwrap().value, credential(3), "{form}, {what}");
            store.put(&bob(), &credential(3), Expect::Any).await.expect("others are written");
            let listed: Vec<_> = store.list(&KeyFilter::default()).try_collect().await.unwrap();
            assert!(listed.contains(&bob()), "{form}, {what}");
        }
        fs::write(&anns, &good).unwrap();
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0), "mended, it is read again");
    }
}

#[tokio::test]
async fn a_file_sealed_with_another_key_names_the_key_that_is_wanted() {
    let dir = folder();
    let (ours, theirs) = (keyring(dir.path()), Keyring::ephemeral());
    let store = FileStore::open(dir.path(), FileForm::Sealed(ours.clone())).unwrap();
    store.put(&bob(), &credential(3), Expect::Absent).await.unwrap();
    let elsewhere = folder();
    let other = FileStore::open(elsewhere.path(), FileForm::Sealed(theirs.clone())).unwrap();
    other.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let from = file_of(elsewhere.path(), "ann");
    fs::copy(&from, dir.path().join(from.file_name().unwrap())).unwrap();
    let error = store.get(&ann()).await.unwrap_err();
    let StoreError::WrongKey { wanted, at_hand, .. } = &error else { panic!("{error}") };
    assert_eq!((wanted, at_hand), (&theirs.ids()[0].to_string(), &ours.ids()[0].to_string()));
    assert_eq!(store.get(&bob()).await.unwrap().unwrap().value, credential(3));
}

/// Runs a test again where it may mount: who is not root is root in a user namespace of their own. Whether it was run there;
/// it says so where it cannot be.
#[expect(clippy::print_stderr, reason = "whoever runs the tests should know what was not tested")]
fn elsewhere(test: &str) -> bool {
    const INSIDE: &str = "AUTHCHAIN_TEST_MAY_MOUNT";
    if SmallDisk::mount(64).is_some() {
        return false;
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount"]).env(INSIDE, "1");
        command
    };
    if env::var_os(INSIDE).is_some() || !unshare().arg("true").output().is_ok_and(|ran| ran.status.success()) {
        eprintln!("skipped: a file system of its own takes the right to mount, and user namespaces are switched off");
        return true;
    }
    let test = format!("faults::{test}");
    let ran = unshare().arg(env::current_exe().unwrap()).args(["--exact", &test, "--nocapture"]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    true
}

/// A small file system of its own.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where there is no right to mount.
    fn mount(kilobytes: u32) -> Option<Self> {
        let dir = folder();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k,mode=0700"), "authchain-test"])
            .arg(dir.path())
            .output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then_some(Self(dir))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("credentials")
    }

    fn remount(&self, how: &str) {
        // Of the mount and not of the file system: that root in a user namespace may, too.
        let options = format!("remount,bind,{how}");
        // A store that was dropped closes its files a moment later.
        for _ in 0..500 {
            if Command::new("mount").args(["-o", &options]).arg(self.0.path()).output().unwrap().status.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it cannot be mounted {how}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open there does not keep it from going.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// Fills the file system to its last byte.
fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("filling");
    let mut chunk = 1 << 16;
    let mut file = fs::File::create(&path).unwrap();
    while chunk > 0 {
        if std::io::Write::write_all(&mut file, &vec![1; chunk]).is_err() {
            chunk /= 2;
        }
    }
    path
}

#[tokio::test]
async fn on_a_full_disk_writes_fail_with_the_reason_and_nothing_is_lost() {
    if elsewhere("on_a_full_disk_writes_fail_with_the_reason_and_nothing_is_lost") {
        return;
    }
    for form in FORMS {
        let disk = SmallDisk::mount(512).unwrap();
        let store = store(form, &disk.path());
        let version = store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
        let filling = fill(disk.0.path());
        for expect in [Expect::Version(version), Expect::Any] {
            let error = store.put(&ann(), &credential(1), expect).await.unwrap_err();
            let StoreError::Unavailable { what, cause } = &error else { panic!("{error}") };
            assert!(what.contains("credentials") && cause.to_string().contains("space"), "{what}: {cause}");
        }
        assert!(store.put(&bob(), &credential(1), Expect::Absent).await.is_err());
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0), "what was stored is there");
        assert_eq!(store.get(&bob()).await.unwrap(), None, "and nothing is there by half");
        assert_eq!(names(&disk.path()).len(), 1, "no leftovers");
        fs::remove_file(filling).unwrap();
        store.put(&ann(), &credential(1), Expect::Version(version)).await.expect("there is room again");
    }
}

#[tokio::test]
async fn on_a_full_disk_memory_with_backup_shows_what_is_stored() {
    if elsewhere("on_a_full_disk_memory_with_backup_shows_what_is_stored") {
        return;
    }
    let disk = SmallDisk::mount(512).unwrap();
    let store = BackupStore::open(&disk.path(), keyring(&disk.path())).unwrap();
    store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
    let filling = fill(disk.0.path());
    assert!(store.put(&ann(), &credential(1), Expect::Any).await.is_err());
    assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0));
    fs::remove_file(filling).unwrap();
    store.put(&ann(), &credential(1), Expect::Any).await.unwrap();
}

#[tokio::test]
async fn on_a_full_disk_state_is_refused_and_comes_back() {
    if elsewhere("on_a_full_disk_state_is_refused_and_comes_back") {
        return;
    }
    let disk = SmallDisk::mount(1024).unwrap();
    let db = StateDb::open(&disk.path().join("state.db"), Arc::new(SystemClock)).unwrap();
    let key = |n: u32| StateKey::new(Namespace("codes"), n.to_string());
    db.put(&key(0), b"kept", Duration::MAX, Expect::Absent).await.unwrap();
    let filling = fill(disk.0.path());
    let mut refused = None;
    for n in 1..200 {
        // What was given to the log before may still have room.
        if let Err(error) = db.put(&key(n), &[7; 4096], Duration::MAX, Expect::Absent).await {
            refused = Some(error);
            break;
        }
    }
    assert!(matches!(refused, Some(StoreError::Unavailable { .. })), "{refused:?}");
    assert_eq!(db.get(&key(0)).await.unwrap().unwrap().value, b"kept");
    fs::remove_file(filling).unwrap();
    db.put(&key(1000), b"new", Duration::MAX, Expect::Absent).await.expect("there is room again");
    assert_eq!(db.take(&key(0)).await.unwrap(), Some(b"kept".to_vec()));
}

#[tokio::test]
async fn on_a_read_only_disk_one_can_read_and_writes_say_why_not() {
    if elsewhere("on_a_read_only_disk_one_can_read_and_writes_say_why_not") {
        return;
    }
    let disk = SmallDisk::mount(512).unwrap();
    for form in FORMS {
        store(form, &disk.path()).put(&ann(), &credential(0), Expect::Any).await.unwrap();
        disk.remount("ro");
        let store = store(form, &disk.path());
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(0), "{form}");
        let error = store.put(&ann(), &credential(1), Expect::Any).await.unwrap_err();
        let StoreError::Unavailable { cause, .. } = &error else { panic!("{error}") };
        assert!(cause.to_string().to_lowercase().contains("read-only"), "{cause}");
        assert!(store.delete(&ann(), Expect::Any).await.is_err());
        disk.remount("rw");
        store.put(&ann(), &credential(1), Expect::Any).await.expect("it can be written again");
    }
}

#[tokio::test]
async fn a_folder_removed_under_a_running_store_is_an_error_and_made_again_it_works() {
    for form in FORMS {
        let dir = folder();
        let path = dir.path().join("credentials");
        let key_file = dir.path().join(".auth_encryption_key");
        let keyring = Keyring::open_or_create(&key_file).unwrap();
        let open = |keyring: Keyring| match form {
            "plain" => FileForm::Plaintext,
            "sealed" => FileForm::Sealed(keyring),
            _ => FileForm::Fernet(keyring),
        };
        let store = FileStore::open(&path, open(keyring)).unwrap();
        store.put(&ann(), &credential(0), Expect::Absent).await.unwrap();
        fs::remove_dir_all(&path).unwrap();
        for error in [
            store.get(&ann()).await.map(drop).unwrap_err(),
            store.put(&ann(), &credential(1), Expect::Any).await.map(drop).unwrap_err(),
            store.list(&KeyFilter::default()).try_collect::<Vec<_>>().await.map(drop).unwrap_err(),
        ] {
            let StoreError::Unavailable { what, .. } = &error else { panic!("{form}: {error}") };
            assert!(what.contains("credentials"), "{form}: {what}");
        }
        // An operator brings it back.
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(store.get(&ann()).await.unwrap(), None);
        store.put(&ann(), &credential(1), Expect::Absent).await.expect("no restart is needed");
        assert_eq!(store.get(&ann()).await.unwrap().unwrap().value, credential(1));
    }
}
