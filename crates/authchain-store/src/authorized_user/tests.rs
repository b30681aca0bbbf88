use std::path::Path;

use authchain_core::{ProviderId, UserId};
use serde_json::json;

use super::*;

fn key() -> CredentialKey {
    CredentialKey::new(ProviderId::google(), UserId::new("ann@example.com").unwrap())
}

fn read_value(value: &Value) -> Result<AuthorizedUser, StoreError> {
    read(value.to_string().as_bytes(), Path::new("ann.json"))
}

#[test]
fn python_finds_every_field_it_needs() {
    let bare = read_value(&json!({})).unwrap().credential;
    let file: Value = serde_json::from_slice(&write(&key(), &bare).unwrap()).unwrap();
    for field in ["refresh_token", "client_id", "client_secret"] {
        assert!(file.get(field).is_some(), "google-auth refuses a file without {field}");
    }
}

#[test]
fn times_are_read_in_every_form_that_programs_write() {
    for text in [
        "2025-11-21T08:00:00Z",
        "2025-11-21T08:00:00",
        "2025-11-21T08:00:00.123456",
        "2025-11-21T08:00:00.123456Z",
        "2025-11-21T08:00:00+00:00",
        "2025-11-21T10:00:00+02:00",
        "2025-11-21 08:00:00",
    ] {
        let read = read_value(&json!({"expiry": text})).unwrap();
        assert_eq!(read.credential.expires_at, Some(Timestamp(1_763_712_000)), "{text}");
    }
}

#[test]
fn the_end_of_time_is_never() {
    for text in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59", &write_time(Timestamp::NEVER)] {
        let read = read_value(&json!({"expiry": text})).unwrap();
        assert_eq!(read.credential.expires_at, Some(Timestamp::NEVER), "{text}");
    }
}

#[test]
fn a_time_is_written_in_whole_seconds_with_a_z() {
    assert_eq!(write_time(Timestamp(1_763_712_000)), "2025-11-21T08:00:00Z");
    assert_eq!(write_time(Timestamp::NEVER), "9999-12-30T22:00:00Z");
    assert_eq!(write_time(Timestamp(i64::MIN)), "0001-01-01T00:00:00Z");
}

#[test]
fn a_field_of_another_type_is_named_and_not_shown() {
    for (field, value) in [
        ("type", json!("service_account")),
        ("type", json!(1)),
        ("token", json!({"s3cret": "s3cret"})),
        ("refresh_token", json!(["s3cret"])),
        ("client_secret", json!(17)),
        ("scopes", json!([1])),
        ("scopes", json!({"s3cret": 1})),
        ("expiry", json!("s3cret")),
        ("expiry", json!(1_763_712_000)),
        ("authchain", json!("x")),
        ("authchain", json!({"provider": "google", "user": "", "status": "active", "granted_at": 0, "write": ""})),
    ] {
        let error = read_value(&json!({field: value})).unwrap_err().to_string();
        assert!(error.starts_with(&format!("ann.json cannot be read: {field}: ")), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn what_is_no_object_is_refused_and_not_shown() {
    for bad in ["", "s3cret", "\"s3cret\"", "[\"s3cret\"]", "{\"token\": \"s3cret", "{} s3cret", "\u{feff}{}"] {
        let error = read(bad.as_bytes(), Path::new("ann.json")).unwrap_err().to_string();
        assert!(error.starts_with("ann.json cannot be read: ") && !error.contains("s3cret"), "{error}");
    }
    assert!(read(&[0xff, 0xfe], Path::new("ann.json")).is_err());
}

#[test]
fn the_fields_of_other_programs_are_kept() {
    let file =
        json!({"token": "t", "universe_domain": "googleapis.com", "quota_project_id": "p", "account": "no address"});
    let read = read_value(&file).unwrap();
    assert_eq!(read.credential.extra.len(), 3, "an account that is no address is theirs, too");
    let again: Value = serde_json::from_slice(&write(&key(), &read.credential).unwrap()).unwrap();
    for field in ["universe_domain", "quota_project_id", "account"] {
        assert_eq!(again.get(field), file.get(field), "{field}");
    }
}

#[test]
fn an_address_says_whose_it_is() {
    let read = read_value(&json!({"account": "Ann@example.com"})).unwrap();
    assert_eq!((read.owner.as_ref(), read.credential.email.as_ref()), (read.owner.as_ref(), read.owner.as_ref()));
    assert_eq!(read.owner.unwrap().as_str(), "ann@example.com");
    let read = read_value(&json!({"user_email": "ann@example.com"})).unwrap();
    assert_eq!(read.owner.unwrap().as_str(), "ann@example.com");
    assert_eq!(read_value(&json!({})).unwrap().owner, None);
}

#[test]
fn no_two_writes_leave_the_same_bytes() {
    let credential = read_value(&json!({"token": "t"})).unwrap().credential;
    assert_ne!(write(&key(), &credential).unwrap(), write(&key(), &credential).unwrap());
}
