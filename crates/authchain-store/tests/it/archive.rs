//! Backups in one file, and exports.

use std::{fs, os::unix::fs::MetadataExt, path::Path, sync::Arc};

use authchain_core::{Credential, CredentialKey, CredentialStore, Expect, StoreError, Timestamp};
use authchain_store::{
    MemoryStore, archive, export,
    import::{self, Means, Verdict},
    migrate::Place,
    seal::Keyring,
};
use authchain_testkit::suite::{self, credential};

use super::{ann, folder, sealed};

const NOW: Timestamp = Timestamp(1_763_700_000);

fn person(n: u64) -> CredentialKey {
    suite::key("google", &format!("person{n:03}@example.com"), "default")
}

async fn store_of(records: u64) -> Place {
    let store = MemoryStore::new();
    for n in 0..records {
        store.put(&person(n), &credential(n), Expect::Absent).await.unwrap();
    }
    Place::new("store", Arc::new(store))
}

fn read(path: &Path, keyring: &Keyring) -> Result<Vec<(CredentialKey, Credential)>, StoreError> {
    let mut records = Vec::new();
    archive::read(path, keyring, |key, credential| {
        records.push((key, credential));
        Ok(())
    })?;
    Ok(records)
}

#[tokio::test]
async fn a_backup_brings_back_what_was_there_and_shows_none_of_it() {
    let (dir, keyring) = (folder(), Keyring::ephemeral());
    for records in [0, 1, 600] {
        let path = dir.path().join(format!("{records}.backup"));
        let written = archive::write(&store_of(records).await, &keyring, &path, NOW).await.unwrap();
        assert_eq!((written.about.records, written.broken.len()), (usize::try_from(records).unwrap(), 0));
        let wanted: Vec<_> = (0..records).map(|n| (person(n), credential(n))).collect();
        assert_eq!(read(&path, &keyring).unwrap(), wanted);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let bytes = fs::read(&path).unwrap();
        for word in ["1//refresh", "ya29.", "client-secret", "person"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
        }
    }
}

#[tokio::test]
async fn a_backup_never_goes_over_a_file() {
    let (dir, keyring) = (folder(), Keyring::ephemeral());
    let path = dir.path().join("a.backup");
    fs::write(&path, "mine").unwrap();
    let refused = archive::write(&store_of(1).await, &keyring, &path, NOW).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[tokio::test]
async fn broken_records_are_told_and_the_others_are_in_the_backup() {
    let dir = folder();
    let store = sealed(dir.path());
    store.put(&person(0), &credential(0), Expect::Absent).await.unwrap();
    store.put(&person(1), &credential(1), Expect::Absent).await.unwrap();
    fs::write(dir.path().join("google~person001@example.com~default.enc"), "broken").unwrap();
    let path = dir.path().join("a.backup");
    let place = Place::new("store", Arc::new(store));
    let written = archive::write(&place, &super::keyring(dir.path()), &path, NOW).await.unwrap();
    assert_eq!((written.about.records, written.broken.len()), (1, 1));
    assert!(written.broken[0].to_string().contains("person001"), "{}", written.broken[0]);
}

#[tokio::test]
async fn a_backup_that_was_changed_in_any_place_or_cut_short_anywhere_does_not_open() {
    let (dir, keyring) = (folder(), Keyring::ephemeral());
    let path = dir.path().join("a.backup");
    archive::write(&store_of(300).await, &keyring, &path, NOW).await.unwrap();
    let whole = fs::read(&path).unwrap();
    let step = whole.len() / 150;
    for place in (0..200).chain((200..whole.len()).step_by(step)) {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        fs::write(&path, &changed).unwrap();
        let error = read(&path, &keyring).expect_err("a flipped bit");
        assert!(error.to_string().contains("a.backup"), "byte {place}: {error}");
        fs::write(&path, &whole[..place]).unwrap();
        assert!(read(&path, &keyring).is_err(), "cut at {place}");
    }
    // The last chunk gone as a whole: what is left is well formed, and not the end.
    let first =
        u32::from_be_bytes(*whole[whole.iter().position(|b| *b == b'\n').unwrap() + 1..].first_chunk().unwrap());
    let end = whole.iter().position(|b| *b == b'\n').unwrap() + 5 + usize::try_from(first).unwrap();
    fs::write(&path, &whole[..end]).unwrap();
    assert!(matches!(read(&path, &keyring), Err(StoreError::Corrupt { .. })));
}

#[tokio::test]
async fn a_backup_under_another_key_names_the_key_that_is_wanted() {
    let (dir, keyring) = (folder(), Keyring::ephemeral());
    let path = dir.path().join("a.backup");
    archive::write(&store_of(1).await, &keyring, &path, NOW).await.unwrap();
    let error = read(&path, &Keyring::ephemeral()).unwrap_err();
    assert!(
        matches!(&error, StoreError::WrongKey { wanted, .. } if *wanted == keyring.ids()[0].to_string()),
        "{error}"
    );
}

#[test]
fn what_is_exported_can_be_imported_again() {
    let dir = folder();
    let keyring = super::keyring(dir.path());
    let path = dir.path().join("ann@example.com.json");
    let mut wanted = credential(0);
    wanted.email = Some("ann@example.com".parse().unwrap());
    let json = export::authorized_user(&ann(), &wanted).unwrap();
    assert!(!String::from_utf8_lossy(&json).contains("authchain"), "only what others know is in it");
    export::write_new(&path, &json).unwrap();
    assert!(matches!(export::write_new(&path, b"other"), Err(StoreError::Conflict { .. })));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let sealed = dir.path().join("ann_at_example_com_credentials.enc");
    export::write_new(&sealed, &export::fernet(&ann(), &wanted, &keyring).unwrap()).unwrap();
    for file in [path, sealed] {
        let verdict = import::look(std::slice::from_ref(&file), &Means::none(NOW)).remove(0).verdict;
        let Verdict::Credential(found) = verdict else { panic!("{}: {verdict:?}", file.display()) };
        assert_eq!(found.credential.refresh_token, wanted.refresh_token);
        assert_eq!(found.credential.expires_at, wanted.expires_at);
        assert_eq!(found.owner.unwrap().as_str(), "ann@example.com");
    }
}
