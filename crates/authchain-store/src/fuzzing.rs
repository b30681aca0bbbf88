//! What only the fuzz targets in `fuzz/` reach, and the test that plays their inputs again: each parser of stored bytes, on
//! any bytes whatever. None of them may panic, nothing may open that was not sealed, and what is read can be stored.

use std::{io::Cursor, path::Path};

use authchain_core::{Credential, CredentialKey, OAuthClient, ProviderId, Secret, Timestamp, UserId};

use crate::{
    FileForm, archive, authorized_user, export,
    import::{self, Finding, Means, Verdict},
    seal::Keyring,
    transfer,
};

/// Tries one parser on some bytes.
pub type Target = fn(&[u8]);

/// Each target under the name that it has in `fuzz/`.
pub const TARGETS: [(&str, Target); 10] = [
    ("sealed", sealed),
    ("sealed_file", sealed_file),
    ("earlier_file", earlier_file),
    ("plain_file", plain_file),
    ("key_file", key_file),
    ("file_name", file_name),
    ("backup", backup),
    ("import_file", import_file),
    ("import_sealed", import_sealed),
    ("client_secrets", client_secrets),
];

/// The names that decide how a file is looked at.
const NAMES: [&str; 12] = [
    "token.json",
    "credentials.enc",
    "ann_at_example_com_credentials.enc",
    "ann_at_example_com_credentials.json",
    "ann%2Bwork@example.com.json",
    "fastmcp_ann@example.com.json",
    "application_default_credentials.json",
    "rclone.conf",
    "S_mcp_upstream_tokens-0a1b2c3d/it.json",
    "token_groups/photos/ann_at_example_com_credentials.json",
    "google~ann@example.com~default.enc",
    "it",
];

/// A key that is the same in each run, so that what was found can be played again.
fn keyring() -> Keyring {
    Keyring::from_keys(&[root_key()], "a key for fuzzing").expect("32 bytes are a key")
}

fn root_key() -> Secret {
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into()
}

fn key() -> CredentialKey {
    CredentialKey::new(ProviderId::google(), UserId::new("ann@example.com").expect("it has a few bytes"))
}

/// The sealed format: opening and wrapping anew.
pub fn sealed(bytes: &[u8]) {
    let keyring = keyring();
    let opened = keyring.open(b"fuzzing", bytes, "it");
    let rewrapped = keyring.rewrap(b"fuzzing", bytes, "it");
    assert!(opened.is_err() && !matches!(rewrapped, Ok(Some(_))), "nobody sealed that");
}

/// A sealed file: its first line and the envelope.
pub fn sealed_file(bytes: &[u8]) {
    let form = FileForm::Sealed(keyring());
    assert!(form.decode(&key(), bytes, Path::new("it")).is_err(), "nobody sealed that");
    let _ = form.owner(bytes, Path::new("it"));
    let _ = form.sealed_with(bytes);
}

/// Versions 1 and 2 of the encrypted files of earlier programs.
pub fn earlier_file(bytes: &[u8]) {
    let form = FileForm::Fernet(keyring());
    assert!(form.decode_old(bytes, Path::new("it")).is_err(), "nobody sealed that");
}

/// The JSON of a plain file. What is read can be written and read again.
pub fn plain_file(bytes: &[u8]) {
    if let Ok(read) = authorized_user::read(bytes, Path::new("it")) {
        can_be_stored(&read.credential);
    }
}

/// What is written is read as the same.
fn can_be_stored(credential: &Credential) {
    let written = authorized_user::write(&key(), credential).expect("what was read can be written");
    let again = authorized_user::read(&written, Path::new("it")).expect("and read again");
    assert!(transfer::is_same(&again.credential, credential), "and it is the same");
    export::authorized_user(&key(), credential).expect("and exported");
}

/// A key file.
pub fn key_file(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Keyring::from_lines(text, "it");
    }
}

/// The name of a file.
pub fn file_name(bytes: &[u8]) {
    if let Ok(name) = std::str::from_utf8(bytes) {
        crate::file::try_name(name);
    }
}

/// A backup: the bytes are the file, or, with an odd first byte, what is sealed in it.
pub fn backup(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let keyring = keyring();
    let is_sealed = first % 2 == 1;
    let file = if is_sealed { archive::of_content(&keyring, rest).expect("it is small") } else { rest.to_vec() };
    let mut records = Vec::new();
    let read = archive::open(Cursor::new(file), Path::new("it"), &keyring, |_, credential| {
        records.push(credential);
        Ok(())
    });
    assert!(is_sealed || read.is_err(), "nobody sealed that");
    records.iter().for_each(can_be_stored);
}

/// A file of any other program. The first byte chooses its name.
pub fn import_file(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let name = NAMES.get(usize::from(*first) % NAMES.len()).unwrap_or(&"it");
    look(name, rest, *first >= 128);
}

/// What is inside a sealed file of another program: of an earlier server, or of FastMCP's store.
pub fn import_sealed(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    if first % 2 == 0 {
        look("ann_at_example_com_credentials.enc", &keyring().seal_fernet(rest), false);
    } else {
        look("S_mcp_upstream_tokens-0a1b2c3d/it.json", &import::sealed_entry(rest, &signing_key()), false);
    }
}

fn signing_key() -> Secret {
    Secret::new("a signing key for fuzzing")
}

fn look(name: &str, bytes: &[u8], named: bool) {
    // A folder that is not there: nothing lies beside the file.
    let path = Path::new("/authchain-fuzzing/credentials").join(name);
    let means = Means {
        client: Some(OAuthClient { id: "client".into(), secret: None }),
        keys: vec![root_key()],
        fastmcp: Some(signing_key()),
        ..Means::none(Timestamp(0))
    };
    let findings = import::recognize(&path, bytes, named, &means);
    assert!(!findings.is_empty(), "no file goes unmentioned");
    for Finding { verdict, .. } in findings {
        if let Verdict::Credential(found) = verdict {
            can_be_stored(&found.credential);
        }
    }
}

/// Google's file of an OAuth client.
pub fn client_secrets(bytes: &[u8]) {
    if let Some(client) = import::client(bytes) {
        assert!(!client.id.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
    }

    #[test]
    fn what_fuzzing_started_from_and_what_it_found_is_read_without_a_fault() {
        for (name, target) in TARGETS {
            let inputs = folder().join("inputs").join(name);
            let entries = fs::read_dir(&inputs).unwrap_or_else(|e| panic!("{}: {e}", inputs.display()));
            let inputs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
            assert!(!inputs.is_empty(), "{name} has something to start from");
            inputs.iter().for_each(|input| target(&fs::read(input).unwrap()));
        }
    }

    #[test]
    fn every_target_can_be_run() {
        let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
        for (name, _) in TARGETS {
            let program = fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(program.contains(&format!("fuzzing::{name}(")), "{name}");
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    }
}
