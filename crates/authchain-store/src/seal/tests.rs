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
fn after_a_rotation_everything_opens_and_the_new_key_seals() {
    let (_dir, file) = folder();
    write_keys(&file, &format!("# ours\n{}", fernet_key(1)));
    let keyring = Keyring::open_or_create(&file).unwrap();
    let running = Keyring::open_or_create(&file).unwrap();
    let sealed = keyring.seal(b"ann", b"secret").unwrap();
    let made = keyring.rotate().unwrap();
    assert_eq!(keyring.ids()[0], made);
    assert_eq!(**keyring.open(b"ann", &sealed, "ann").unwrap(), *b"secret");
    assert_eq!(recipients(&keyring.seal(b"ann", b"secret").unwrap()), [made]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(fs::read_to_string(&file).unwrap().contains("# ours"), "what people wrote stays");
    running.refresh().unwrap();
    assert_eq!(running.ids(), keyring.ids());
    let rewrapped = running.rewrap(b"ann", &sealed, "ann").unwrap().unwrap();
    assert_eq!(recipients(&rewrapped), [made]);
    assert_eq!(running.rewrap(b"ann", &rewrapped, "ann").unwrap(), None);
}

#[test]
fn a_process_that_slept_through_rotation_and_retirement_goes_on_with_the_new_key() {
    let (_dir, file) = folder();
    write_keys(&file, &fernet_key(1));
    let sleeper = Keyring::open_or_create(&file).unwrap();
    let keyring = Keyring::open_or_create(&file).unwrap();
    let (old, new) = (keyring.ids()[0], keyring.rotate().unwrap());
    keyring.retire(old).unwrap();
    assert_eq!(keyring.ids(), [new]);
    sleeper.refresh().unwrap();
    assert_eq!(sleeper.ids(), [new]);
}

#[test]
fn neither_the_primary_nor_an_unknown_key_is_retired() {
    let (_dir, file) = folder();
    let keyring = Keyring::open_or_create(&file).unwrap();
    for id in [keyring.ids()[0], Keyring::ephemeral().ids()[0]] {
        assert!(matches!(keyring.retire(id), Err(StoreError::Unsupported(_))), "{id}");
    }
}

#[test]
fn a_retired_key_can_be_brought_back() {
    let (_dir, file) = folder();
    let keyring = Keyring::open_or_create(&file).unwrap();
    let sealed = keyring.seal(b"ann", b"secret").unwrap();
    let (old, new) = (keyring.ids()[0], keyring.rotate().unwrap());
    let retired = keyring.retire(old).unwrap();
    assert!(matches!(keyring.open(b"ann", &sealed, "ann"), Err(StoreError::WrongKey { .. })));
    keyring.bring_back(&retired).unwrap();
    assert_eq!(keyring.ids(), [new, old]);
    assert_eq!(**keyring.open(b"ann", &sealed, "ann").unwrap(), *b"secret");
    assert!(!format!("{retired:?}").contains(retired.text.as_str()));
}

#[test]
fn keys_that_come_from_elsewhere_are_not_rotated_here() {
    let keyring = Keyring::ephemeral();
    let error = keyring.rotate().unwrap_err().to_string();
    assert!(error.contains("openssl rand"), "it says what to do: {error}");
    assert!(keyring.retire(keyring.ids()[0]).is_err());
}

#[test]
fn a_command_prints_the_keys() {
    let printed = format!("printf '%s\\n%s\\n' '{}' '{}'", fernet_key(2), fernet_key(1));
    let keyring = Keyring::from_command(&printed).unwrap();
    let keys = [Secret::new(fernet_key(2)), Secret::new(fernet_key(1))];
    assert_eq!(keyring.ids(), Keyring::from_keys(&keys, "").unwrap().ids());
    keyring.refresh().unwrap();
}

#[test]
fn a_command_that_fails_or_prints_something_else_gives_no_keys_and_shows_nothing() {
    for (command, expected) in
        [("exit 3", "3"), ("echo hush", "44 characters"), ("true", "no key"), ("printf '\\377'", "text")]
    {
        let error = Keyring::from_command(command).unwrap_err();
        let told = match &error {
            StoreError::Unavailable { what, cause } => format!("{what}: {cause}"),
            other => other.to_string(),
        };
        assert!(told.contains("the key command") && told.contains(expected), "{command}: {told}");
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn a_record_for_users_opens_with_their_keys_and_the_servers_together() {
    let keyring = Keyring::ephemeral();
    let user = |name: &str| UserKey::new(&Secret::new(format!("{name}'s own secret, long enough"))).unwrap();
    let (ann, bob, eve) = (user("ann"), user("bob"), user("eve"));
    let users = [ann.clone(), bob.clone()];
    let sealed = keyring.seal_for(Openers::UsersOnly(&users), b"a", b"secret").unwrap();
    for user in [&ann, &bob] {
        assert_eq!(**keyring.open_as(Some(user), b"a", &sealed, "it").unwrap(), *b"secret");
    }
    assert!(matches!(keyring.open_as(Some(&eve), b"a", &sealed, "it"), Err(StoreError::WrongKey { .. })));
    let error = keyring.open(b"a", &sealed, "it").unwrap_err();
    assert!(error.to_string().contains("one of its users"), "{error}");
    let shared = keyring.seal_for(Openers::ServerAndUsers(&users), b"a", b"secret").unwrap();
    assert_eq!(**keyring.open(b"a", &shared, "it").unwrap(), *b"secret");
    assert!(keyring.seal_for(Openers::UsersOnly(&[]), b"a", b"secret").is_err(), "for nobody at all");
}

#[test]
fn a_secret_that_can_be_guessed_makes_no_user_key() {
    assert!(matches!(UserKey::new(&Secret::new("hunter2")), Err(StoreError::Unsupported(_))));
}

#[test]
fn the_name_of_a_key_is_read_as_it_is_written() {
    let id = Keyring::ephemeral().ids()[0];
    assert_eq!(id.to_string().parse(), Ok(id));
    for bad in ["", "12", "+123456789abcdef", "0123456789abcdefa", "0123456789abcdeg"] {
        assert_eq!(bad.parse::<KeyId>(), Err(InvalidKeyId), "{bad}");
    }
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
    let ann = authchain_core::UserId::new("ann@example.com").unwrap();
    let ann = crate::record::associated(&authchain_core::CredentialKey::new(authchain_core::ProviderId::google(), ann));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&ann), vector("associated data"));
    assert_eq!(hex(&*one.kek), vector("key-encryption key one"));
    let user = UserKey::new(&Secret::new(vector("user's secret"))).unwrap();
    assert_eq!(hex(&*user.0), vector("user's key"));
    let alone = |key: &'static RootKey| Opener { id: key.id, kek: &key.kek, user: None };
    let (one, two): (&'static RootKey, &'static RootKey) = (Box::leak(Box::new(one)), Box::leak(Box::new(two)));
    let together = Opener { id: one.id, kek: &one.kek, user: Some(&user.0) };
    for (title, openers) in [
        ("sealed for one", vec![alone(one)]),
        ("sealed for two and one", vec![alone(two), alone(one)]),
        ("sealed for one together with the user", vec![together]),
    ] {
        let mut next = 0;
        let counting = |bytes: &mut [u8]| {
            for byte in bytes {
                *byte = next;
                next += 1;
            }
        };
        let sealed = envelope::seal(&openers, &ann, vector("content").as_bytes(), counting).unwrap();
        assert_eq!(hex(&sealed), vector(title), "{title}");
    }
}
