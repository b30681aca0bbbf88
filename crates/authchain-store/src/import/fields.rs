//! The fields of a JSON object, taken out one by one. What is of another type than it should be is an error that names the
//! field and never shows what is in it; what nobody takes is left, and kept.

use authchain_core::{Email, Scopes, Secret, Timestamp};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{Flaw, time};

/// An object that is being read. Errors name its fields with the path to them.
pub(super) struct Fields {
    pub(super) map: Map<String, Value>,
    path: String,
}

impl Fields {
    pub(super) fn new(map: Map<String, Value>) -> Self {
        Self { map, path: String::new() }
    }

    fn wrong(&self, name: &str, why: &str) -> Flaw {
        Flaw::broken(format!("{}{name}: {why}", self.path))
    }

    /// Whether there is something under this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// The first of these that is there; null counts as absent.
    fn first(&mut self, names: &[&'static str]) -> Option<(&'static str, Value)> {
        let mut found = None;
        for name in names {
            match self.map.get(*name) {
                Some(Value::Null) => drop(self.map.remove(*name)),
                Some(_) if found.is_none() => found = self.map.remove(*name).map(|value| (*name, value)),
                _ => {}
            }
        }
        found
    }

    /// A string; the empty one counts as absent, as it does in Python.
    pub(super) fn text(&mut self, names: &[&'static str]) -> Result<Option<String>, Flaw> {
        match self.first(names) {
            None => Ok(None),
            Some((_, Value::String(text))) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some((name, _)) => Err(self.wrong(name, "it is no string")),
        }
    }

    pub(super) fn secret(&mut self, names: &[&'static str]) -> Result<Option<Secret>, Flaw> {
        Ok(self.text(names)?.map(Secret::from))
    }

    /// An object within.
    pub(super) fn object(&mut self, name: &'static str) -> Result<Option<Self>, Flaw> {
        match self.first(&[name]) {
            None => Ok(None),
            Some((_, Value::Object(map))) => Ok(Some(Self { map, path: format!("{}{name}.", self.path) })),
            Some(_) => Err(self.wrong(name, "it is no object")),
        }
    }

    /// A list of strings, or one string with spaces.
    pub(super) fn scopes(&mut self, names: &[&'static str]) -> Result<Scopes, Flaw> {
        match self.first(names) {
            None => Ok(Scopes::none()),
            Some((_, Value::String(text))) => Ok(text.as_str().into()),
            Some((name, Value::Array(list))) => list
                .iter()
                .map(Value::as_str)
                .collect::<Option<Scopes>>()
                .ok_or_else(|| self.wrong(name, "it is no list of strings")),
            Some((name, _)) => Err(self.wrong(name, "it is no list of strings")),
        }
    }

    /// A moment in any of the spellings.
    pub(super) fn time(&mut self, names: &[&'static str]) -> Result<Option<Timestamp>, Flaw> {
        let Some((name, value)) = self.first(names) else { return Ok(None) };
        let (time, wanted) = match &value {
            Value::String(text) if text.is_empty() => return Ok(None),
            Value::String(text) => (time::iso(text), "it is no time in ISO 8601"),
            Value::Number(number) => (number.as_f64().and_then(time::number), "it is no time in seconds"),
            Value::Array(numbers) => (time::nine(numbers), "it is not the nine numbers of a time"),
            _ => (None, "it is no time"),
        };
        time.map(Some).ok_or_else(|| self.wrong(name, wanted))
    }

    /// An address, if there is one. What is no address is somebody's label and says nothing; it stays.
    pub(super) fn email(&mut self, name: &str) -> Option<Email> {
        let email = Email::new(self.map.get(name)?.as_str()?).ok()?;
        self.map.remove(name);
        Some(email)
    }

    /// The address in an id token; it stays. Nobody verifies it here: whoever could forge it could write the whole file.
    pub(super) fn id_token_email(&self, name: &str) -> Option<Email> {
        let claims = self.map.get(name)?.as_str()?.split('.').nth(1)?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?).ok()?;
        if claims.get("email_verified") == Some(&Value::Bool(false)) {
            return None;
        }
        Email::new(claims.get("email")?.as_str()?).ok()
    }
}

/// Reads bytes as JSON. The words of serde_json's errors may quote the content: only the place is told.
pub(super) fn json(bytes: &[u8]) -> Result<Value, Flaw> {
    serde_json::from_slice(bytes)
        .map_err(|e| Flaw::broken(format!("it is broken JSON (line {}, column {})", e.line(), e.column())))
}

/// Reads bytes as a JSON object.
pub(super) fn object(bytes: &[u8]) -> Result<Fields, Flaw> {
    match json(bytes)? {
        Value::Object(map) => Ok(Fields::new(map)),
        _ => Err(Flaw::broken("it is no JSON object")),
    }
}
