//! The test vectors of `docs/sealed-format.md`, read from that page: they were made by another implementation, in Python.

use authchain_store::seal::Keyring;
use zeroize::Zeroizing;

const PAGE: &str = include_str!("../../../../docs/sealed-format.md");

/// The indented lines under a title, put together.
fn vector(title: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("\n{title}:\n\n")).unwrap_or_else(|| panic!("no vector {title:?}"));
    rest.lines().map_while(|line| line.strip_prefix("    ")).collect()
}

fn bytes(title: &str) -> Vec<u8> {
    let digits = vector(title);
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
}

fn keyring(names: &[&str]) -> Keyring {
    let keys: Vec<_> = names.iter().map(|name| vector(&format!("root key {name}")).into()).collect();
    Keyring::from_keys(&keys, "the page").unwrap()
}

#[test]
fn the_vectors_open() {
    let associated = bytes("associated data");
    for (sealed, keys) in [
        ("sealed for one", &["one"][..]),
        ("sealed for one", &["two", "one"]),
        ("sealed for two and one", &["one"]),
        ("sealed for two and one", &["two"]),
    ] {
        let opened = keyring(keys).open(&associated, &bytes(sealed), sealed).unwrap();
        assert_eq!(*opened, vector("content").into_bytes(), "{sealed} with {keys:?}");
    }
}

#[test]
fn key_ids_and_derived_keys_are_those_of_the_page() {
    let keyring = keyring(&["one", "two"]);
    let ids: Vec<String> = keyring.ids().iter().map(ToString::to_string).collect();
    assert_eq!(ids, [vector("key id one"), vector("key id two")]);
    let derived: &Zeroizing<[u8; 32]> = &keyring.derive("cookies")[0].1;
    assert_eq!(derived.to_vec(), bytes("derived key one, purpose cookies"));
}
