//! What earlier programs seal and open: versions 1 and 2 of their `.enc` files. Both are read; version 1 is written for those
//! who share a folder with such a program.

use std::fmt::Write;

use authchain_core::Clock;
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use fernet::Fernet;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::root::RootKey;

/// Why a file does not open.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is neither version.
    Malformed(&'static str),
    /// None of the keys opens it.
    NoKey,
}

/// Python writes padding, and reads with or without it being there.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Fernet tokens carry their time of making, and a library may refuse those from the future. A clock that was wrong then
/// is no reason to lose a credential now, so they are looked at from the end of time.
const END_OF_TIME: u64 = u64::MAX - 60;

/// Makes a file of version 1: a Fernet token in base64, which carries the time in clear.
pub(super) fn seal(key: &RootKey, plaintext: &[u8], clock: &dyn Clock) -> Vec<u8> {
    let now = u64::try_from(clock.now().0).unwrap_or(0);
    BASE64.encode(key.fernet.encrypt_at_time(plaintext, now)).into_bytes()
}

/// Opens a file of version 1 (a Fernet token in base64) or 2 (JSON with recipients).
pub(super) fn open(keys: &[&RootKey], file: &[u8]) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let text = std::str::from_utf8(file).map_err(|_| Flaw::Malformed("it is no sealed file of any version"))?.trim();
    if text.starts_with('{') { version_2(keys, text) } else { version_1(keys, text) }
}

fn version_1(keys: &[&RootKey], text: &str) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let token = token(text).ok_or(Flaw::Malformed("it is no Fernet token in base64"))?;
    keys.iter().find_map(|key| decrypt(&key.fernet, &token)).ok_or(Flaw::NoKey)
}

fn version_2(keys: &[&RootKey], text: &str) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let mut object: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| Flaw::Malformed("it is broken JSON"))?;
    if object.get("v").and_then(Value::as_u64) != Some(2) {
        return Err(Flaw::Malformed("v: only version 2 is known"));
    }
    let hmac = object.remove("hmac");
    let hmac =
        hmac.as_ref().and_then(Value::as_str).and_then(from_hex).ok_or(Flaw::Malformed("hmac: not hexadecimal"))?;
    let signed = python_json(&Value::Object(object.clone()));
    if !keys.iter().any(|key| key.signed(signed.as_bytes(), &hmac)) {
        return Err(Flaw::NoKey);
    }
    let recipients = object.get("recipients").and_then(Value::as_object);
    let recipients = recipients.ok_or(Flaw::Malformed("recipients: not an object"))?;
    // The names of recipients are the other program's own, so every key is tried on every recipient.
    let content_key = recipients.values().find_map(|wrapped| {
        let token = token(wrapped.as_str()?)?;
        let opened = keys.iter().find_map(|key| decrypt(&key.fernet, &token))?;
        Fernet::new(std::str::from_utf8(&opened).ok()?)
    });
    let data =
        object.get("data").and_then(Value::as_str).and_then(token).ok_or(Flaw::Malformed("data: no Fernet token"))?;
    decrypt(&content_key.ok_or(Flaw::NoKey)?, &data).ok_or(Flaw::Malformed("data: its own key does not open it"))
}

/// A Fernet token out of its base64 coat.
fn token(text: &str) -> Option<String> {
    String::from_utf8(BASE64.decode(text).ok()?).ok()
}

fn decrypt(fernet: &Fernet, token: &str) -> Option<Zeroizing<Vec<u8>>> {
    fernet.decrypt_at_time(token, None, END_OF_TIME).ok().map(Zeroizing::new)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| u8::try_from(c.to_digit(16)?).ok()).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// JSON as Python's `json.dumps(value, sort_keys=True)` writes it: sorted, `", "` and `": "`, everything in ASCII.
fn python_json(value: &Value) -> String {
    let mut out = String::new();
    write_python(value, &mut out);
    out
}

fn write_python(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => write_python_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_python(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|entry| entry.0);
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_python_string(key, out);
                out.push_str(": ");
                write_python(item, out);
            }
            out.push('}');
        }
    }
}

fn write_python_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_as_python_writes_it() {
        let value = serde_json::json!({"b": [1, 2.5, null, true], "a": {"\u{fc}": "\u{1F511}\"\\\n\u{7f}/"}, "": []});
        // json.dumps({"b": [1, 2.5, None, True], "a": {"ü": "🔑\"\\\n\x7f/"}, "": []}, sort_keys=True)
        let python = r#"{"": [], "a": {"\u00fc": "\ud83d\udd11\"\\\n\u007f/"}, "b": [1, 2.5, null, true]}"#;
        assert_eq!(python_json(&value), python);
    }

    #[test]
    fn hexadecimal_is_read_strictly() {
        assert_eq!(from_hex("00fF"), Some(vec![0, 255]));
        for bad in ["0", "000", "0g", "+1", "\u{fc}"] {
            assert_eq!(from_hex(bad), None, "{bad:?}");
        }
    }
}
