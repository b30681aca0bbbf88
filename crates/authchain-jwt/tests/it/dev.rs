//! Dev keys: made once, private to their owner, good for tokens that say what a Google sign-in would.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use authchain_core::{Email, ErrorCode, Scopes};
use authchain_jwt::{
    Checked, KeyError, Verifier,
    dev::{self, DevKeys},
};

use crate::support::{AUDIENCE, NOW, clock, words};

const HOUR: Duration = Duration::from_secs(3600);

fn ann() -> Email {
    Email::new("ann@example.com").unwrap()
}

#[test]
fn a_dev_token_says_what_a_google_sign_in_would() {
    let folder = tempfile::tempdir().unwrap();
    let keys = DevKeys::open_or_create(folder.path()).unwrap().with_clock(clock());
    let verifier = Verifier::new(vec![keys.trusted_issuer(AUDIENCE)], clock());
    let token = keys.mint(&ann(), &Scopes::from("openid email"), AUDIENCE, HOUR).unwrap();
    let Checked::Verified(verified) = verifier.check(token.expose()) else { panic!() };
    assert_eq!(verified.issuer, dev::ISSUER);
    assert_eq!(verified.subject, "google-user-ann@example.com");
    assert_eq!(verified.email, Some(ann()));
    assert_eq!(verified.provider.as_str(), "google");
    assert_eq!(verified.scopes, Scopes::from("email openid"));
    assert_eq!(verified.expires_at, NOW + HOUR);
    assert_eq!(verified.claims["google_email"], "ann@example.com");
    assert_eq!(verified.claims["auth_type"], "google_oauth");
}

#[test]
fn a_dev_token_is_for_one_audience_and_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let time = clock();
    let keys = DevKeys::open_or_create(folder.path()).unwrap().with_clock(time.clone());
    let verifier = Verifier::new(vec![keys.trusted_issuer(AUDIENCE)], time.clone());
    let elsewhere = keys.mint(&ann(), &Scopes::none(), "https://other.example", HOUR).unwrap();
    assert_eq!(words(verifier.check(elsewhere.expose())), "the token is meant for another audience");
    let token = keys.mint(&ann(), &Scopes::none(), AUDIENCE, HOUR).unwrap();
    time.advance(HOUR + Duration::from_secs(60));
    assert_eq!(words(verifier.check(token.expose())), "the token has expired");
}

#[test]
fn the_keys_of_a_folder_stay_and_two_folders_do_not_trust_each_other() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = DevKeys::open_or_create(one.path()).unwrap();
    assert_eq!(DevKeys::open_or_create(one.path()).unwrap().jwks(), first.jwks());
    let stranger = DevKeys::open_or_create(other.path()).unwrap().with_clock(clock());
    let verifier = Verifier::new(vec![first.trusted_issuer(AUDIENCE)], clock());
    let token = stranger.mint(&ann(), &Scopes::none(), AUDIENCE, HOUR).unwrap();
    assert_eq!(words(verifier.check(token.expose())), "the token is signed with an unknown key");
}

#[test]
fn the_file_is_private_to_its_owner_and_refused_when_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let nested = folder.path().join("a/b");
    DevKeys::open_or_create(&nested).unwrap();
    let file = nested.join(dev::FILE_NAME);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&nested).unwrap().count(), 1, "nothing is left beside it");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let error = DevKeys::open_or_create(&nested).unwrap_err();
    assert!(matches!(error, KeyError::Insecure { .. }));
    assert!(error.to_string().contains("chmod 600"));
    assert_eq!(authchain_core::AuthError::from(error).code(), ErrorCode::Insecure);
}

#[test]
fn a_damaged_file_is_an_error_and_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    DevKeys::open_or_create(folder.path()).unwrap();
    let file = folder.path().join(dev::FILE_NAME);
    fs::write(&file, "{}").unwrap();
    assert!(matches!(DevKeys::open_or_create(folder.path()), Err(KeyError::Unreadable(_))));
    assert_eq!(fs::read_to_string(&file).unwrap(), "{}");
}

#[test]
fn many_who_open_a_new_folder_at_once_get_the_same_keys() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let folder = folder.clone();
            std::thread::spawn(move || DevKeys::open_or_create(folder.path()).unwrap().jwks())
        })
        .collect();
    let sets: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(sets.iter().all(|set| *set == sets[0]));
}
