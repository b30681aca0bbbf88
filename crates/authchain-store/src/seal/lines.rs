//! The text that keys are kept in, one a line, and how it changes when one comes or goes.

use authchain_core::StoreError;
use zeroize::Zeroizing;

use super::{KeyId, ring::RETIRED, root::RootKey};

/// A text with keys in it.
pub(super) type Text = Zeroizing<String>;

/// With a new key in front of the others.
pub(super) fn with_primary(text: &str) -> (Text, KeyId) {
    let made = RootKey::random();
    (format!("{}\n{text}", *made.text).into(), made.id)
}

/// Without a key, and with a line that says so; and the key. `place` is where the text is kept.
pub(super) fn without(text: &str, id: KeyId, place: &str) -> Result<(Text, Text), StoreError> {
    let id_of = |line: &str| RootKey::parse(line.trim()).map(|key| key.id);
    if text.lines().find_map(id_of) == Some(id) {
        return Err(StoreError::Unsupported(format!("{id} is the primary key: make a new one first")));
    }
    let Some(found) = text.lines().find(|line| id_of(line) == Some(id)) else {
        return Err(StoreError::Unsupported(format!("{place} holds no key {id}")));
    };
    let mut kept = Zeroizing::new(String::with_capacity(text.len() + 64));
    for line in text.lines().filter(|line| id_of(line) != Some(id)) {
        kept.push_str(line);
        kept.push('\n');
    }
    kept.push_str(&format!("{RETIRED}{id}\n"));
    Ok((kept, Zeroizing::new(found.trim().to_owned())))
}

/// With a key behind the others that was taken out.
pub(super) fn with_retired(text: &str, id: KeyId, key: &str) -> Text {
    let note = format!("{RETIRED}{id}");
    let mut grown = Zeroizing::new(String::with_capacity(text.len() + 64));
    for line in text.lines().filter(|line| *line != note) {
        grown.push_str(line);
        grown.push('\n');
    }
    grown.push_str(key);
    grown.push('\n');
    grown
}
