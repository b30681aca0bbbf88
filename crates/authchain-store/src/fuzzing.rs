//! What only the fuzz targets in `fuzz/` reach: each parser of stored bytes, on any bytes whatever. None of them may panic,
//! and nothing may open that was not sealed.

use std::path::Path;

use authchain_core::{CredentialKey, ProviderId, UserId};

use crate::{FileForm, authorized_user, seal::Keyring};

/// A key that is the same in each run, so that what was found can be played again.
fn keyring() -> Keyring {
    Keyring::from_keys(&["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into()], "a key for fuzzing")
        .expect("32 bytes are a key")
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
        let written = authorized_user::write(&key(), &read.credential).expect("what was read can be written");
        authorized_user::read(&written, Path::new("it")).expect("and read again");
    }
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
