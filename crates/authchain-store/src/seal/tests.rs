use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

fn fernet_key(byte: u8) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE};
    URL_SAFE.encode([byte; 32])
}

fn write_keys(path: &Path, keys: &str) {
    fs::write(path, keys).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let file = dir.path().join(".auth_encryption_key");
    (dir, file)
}

#[test]
fn the_key_file_is_made_at_first_use_in_fernet_form_and_for_its_owner_only() {
    let (_dir, file) = folder();
    let keyring = Keyring::open_or_create(&file).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.len(), 44);
    assert!(::fernet::Fernet::new(&text).is_some());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);

    let again = Keyring::open_or_create(&file).unwrap();
    assert_eq!(again.ids(), keyring.ids());
    let sealed = keyring.seal(b"ann", b"secret").unwrap();
    assert_eq!(**again.open(b"ann", &sealed, "ann").unwrap(), *b"secret");
}

#[test]
fn many_who_need_the_first_key_at_once_get_the_same() {
    let (_dir, file) = folder();
    let ids: std::collections::HashSet<_> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| Keyring::open_or_create(&file).unwrap().ids())).collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), 1);
}

#[test]
fn no_new_key_is_made_beside_sealed_records() {
    let (dir, file) = folder();
    let lost = Keyring::ephemeral();
    let record = [b"authchain-credential 1 {}\n", &lost.seal(b"", b"").unwrap()[..]].concat();
    let path = dir.path().join("google~ann~default.enc");
    write_keys(&path, "");
    fs::write(path, record).unwrap();
    let error = Keyring::open_or_create(&file).unwrap_err();
    assert!(matches!(&error, StoreError::WrongKey { wanted, .. } if *wanted == lost.ids()[0].to_string()), "{error}");
    assert!(!file.exists());
}

#[test]
fn a_key_file_that_is_cut_empty_or_something_else_is_left_as_it_is() {
    for content in
        ["", "\n", "# nothing\n", fernet_key(1).trim_end_matches('='), "hello", &format!("{}x", fernet_key(1))]
    {
        let (_dir, file) = folder();
        write_keys(&file, content);
        let error = Keyring::open_or_create(&file).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{content:?}: {error}");
        assert!(!error.to_string().contains(fernet_key(1).trim_end_matches('=')), "no key is shown: {error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let (_dir, file) = folder();
    write_keys(&file, &fernet_key(1));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Keyring::open_or_create(&file).unwrap_err();
    assert!(matches!(&error, StoreError::Insecure { fix, .. } if fix.starts_with("chmod 600 ")), "{error}");
}

#[test]
fn a_retired_key_still_opens_and_only_the_primary_seals() {
    let (_dir, file) = folder();
    write_keys(&file, &fernet_key(1));
    let old = Keyring::open_or_create(&file).unwrap();
    let sealed = old.seal(b"ann", b"secret").unwrap();

    write_keys(&file, &format!("# the newest first\n{}\n{}\n", fernet_key(2), fernet_key(1)));
    let both = Keyring::open_or_create(&file).unwrap();
    assert_eq!(both.ids().len(), 2);
    assert_eq!(both.ids()[1], old.ids()[0]);
    assert_eq!(**both.open(b"ann", &sealed, "ann").unwrap(), *b"secret");
    let newer = both.seal(b"ann", b"secret").unwrap();
    assert_eq!(recipients(&newer), vec![both.ids()[0]]);

    let error = old.open(b"ann", &newer, "ann's file").unwrap_err();
    let StoreError::WrongKey { what, wanted, at_hand } = error else { panic!("{error}") };
    assert_eq!((what, wanted, at_hand), ("ann's file".into(), both.ids()[0].to_string(), old.ids()[0].to_string()));
}

#[test]
fn a_running_process_learns_of_a_new_primary_key() {
    let (_dir, file) = folder();
    write_keys(&file, &fernet_key(1));
    let keyring = Keyring::open_or_create(&file).unwrap();
    let first = keyring.ids();
    keyring.refresh().unwrap();
    write_keys(&file, &format!("{}\n{}\n", fernet_key(2), fernet_key(1)));
    keyring.refresh().unwrap();
    assert_eq!(keyring.ids().len(), 2);
    assert_eq!(keyring.ids()[1], first[0]);
}

#[test]
fn a_running_process_takes_no_key_file_that_lacks_its_key() {
    let (_dir, file) = folder();
    write_keys(&file, &fernet_key(1));
    let keyring = Keyring::open_or_create(&file).unwrap();
    let ids = keyring.ids();
    write_keys(&file, &fernet_key(2));
    assert!(matches!(keyring.refresh(), Err(StoreError::WrongKey { .. })));
    assert!(matches!(keyring.refresh(), Err(StoreError::WrongKey { .. })), "and goes on saying so");
    fs::remove_file(&file).unwrap();
    assert!(matches!(keyring.refresh(), Err(StoreError::Unavailable { .. })));
    assert_eq!(keyring.ids(), ids);
    write_keys(&file, &fernet_key(1));
    keyring.refresh().unwrap();
}

#[test]
fn derived_keys_differ_by_purpose_and_by_root() {
    let keys = [Secret::new(fernet_key(1)), Secret::new(fernet_key(2))];
    let keyring = Keyring::from_keys(&keys, "the environment").unwrap();
    let (one, other) = (keyring.derive("cookies"), keyring.derive("client ids"));
    assert_eq!(one.iter().map(|k| k.0).collect::<Vec<_>>(), keyring.ids());
    assert_ne!(one[0].1, other[0].1);
    assert_ne!(one[0].1, one[1].1);
    assert_eq!(one, keyring.derive("cookies"));
    assert_ne!(one[0].0.0[..], one[0].1[..8], "a name says nothing about a key");
}

#[test]
fn keys_from_elsewhere_are_read_as_strictly() {
    assert!(Keyring::from_keys(&[], "the environment").is_err());
    let error = Keyring::from_keys(&[Secret::new("s3cret")], "the environment").unwrap_err().to_string();
    assert!(error.contains("the environment") && !error.contains("s3cret"), "{error}");
}

#[test]
fn a_keyring_shows_ids_only() {
    let shown = format!("{:?}", Keyring::from_keys(&[Secret::new(fernet_key(1))], "").unwrap());
    assert!(!shown.contains(&fernet_key(1)) && shown.len() < 40, "{shown}");
}

/// The other direction of the test vectors of `docs/sealed-format.md`: the same random bytes seal to the same result.
#[test]
fn sealing_gives_the_bytes_of_the_page() {
    let page = include_str!("../../../../docs/sealed-format.md");
    let vector = |title: &str| -> String {
        let (_, rest) = page.split_once(&format!("\n{title}:\n\n")).unwrap();
        rest.lines().map_while(|line| line.strip_prefix("    ")).collect()
    };
    let root = |name: &str| RootKey::parse(&vector(&format!("root key {name}"))).unwrap();
    let (one, two) = (root("one"), root("two"));
    let user = authchain_core::UserId::new("ann@example.com").unwrap();
    let ann =
        crate::record::associated(&authchain_core::CredentialKey::new(authchain_core::ProviderId::google(), user));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&ann), vector("associated data"));
    assert_eq!(hex(&*one.kek), vector("key-encryption key one"));
    for (title, keys) in [("sealed for one", vec![&one]), ("sealed for two and one", vec![&two, &one])] {
        let recipients: Vec<_> = keys.iter().map(|key| (key.id, &key.kek)).collect();
        let mut next = 0;
        let counting = |bytes: &mut [u8]| {
            for byte in bytes {
                *byte = next;
                next += 1;
            }
        };
        let sealed = envelope::seal(&recipients, &ann, vector("content").as_bytes(), counting).unwrap();
        assert_eq!(hex(&sealed), vector(title), "{title}");
    }
}
