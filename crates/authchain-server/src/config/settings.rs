//! The values that are collected from all sources, each with the place it came from.

use std::collections::BTreeMap;

use config::{File, FileFormat, Source, Value, ValueKind};

use super::{Config, ConfigError};

const DEFAULTS: &str = include_str!("../../../../config/default.toml");
const FROM_DEFAULTS: &str = "the defaults";

/// Keys whose values are never shown.
const SECRETS: &[&str] =
    &["providers.google.client_secret", "google.access_token", "clients.registered", "storage.keys", "storage.url"];

/// One key of the configuration as it is, for people who wonder why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The dotted key.
    pub key: String,
    /// Its value as it is written in a file; `(hidden)` for a secret that is set.
    pub value: String,
    /// Where the value came from.
    pub origin: String,
}

/// All keys with their values and origins.
pub(super) struct Settings {
    values: BTreeMap<String, (Value, String)>,
}

impl Settings {
    pub(super) fn of_defaults() -> Result<Self, ConfigError> {
        let values = flatten(File::from_str(DEFAULTS, FileFormat::Toml), "config/default.toml")?
            .into_iter()
            .map(|(key, value)| (key, (value, FROM_DEFAULTS.into())))
            .collect();
        Ok(Self { values })
    }

    pub(super) fn knows(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// All keys there are.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    pub(super) fn is_default(&self, key: &str) -> bool {
        self.origin(key) == FROM_DEFAULTS
    }

    /// Where the value of a key came from.
    pub(super) fn origin(&self, key: &str) -> &str {
        self.values.get(key).map_or("", |(_, origin)| origin)
    }

    /// Where the keys came from that are not as in the defaults.
    pub(super) fn origins(&self) -> BTreeMap<String, String> {
        let set = self.values.iter().filter(|(key, _)| !self.is_default(key));
        set.map(|(key, (_, origin))| (key.clone(), origin.clone())).collect()
    }

    /// The value of a key as text; empty where it is a list.
    pub(super) fn text(&self, key: &str) -> String {
        self.values.get(key).and_then(|(value, _)| value.clone().into_string().ok()).unwrap_or_default()
    }

    /// The words of a list.
    pub(super) fn words(&self, key: &str) -> Vec<String> {
        let list = self.values.get(key).and_then(|(value, _)| value.clone().into_array().ok()).unwrap_or_default();
        list.into_iter().filter_map(|word| word.into_string().ok()).collect()
    }

    /// Sets one value; its key must be one of those in the defaults. Text becomes a list where the default is one.
    pub(super) fn set(&mut self, key: &str, mut value: Value, origin: String) -> Result<(), ConfigError> {
        let Some((default, _)) = self.values.get(key) else {
            let nearest = self.values.keys().max_by(|a, b| strsim::jaro(a, key).total_cmp(&strsim::jaro(b, key)));
            let hint = nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
            let why = format!("there is no such key{hint}");
            return Err(ConfigError { key: Some(key.into()), origin: Some(origin), why });
        };
        if let (ValueKind::Array(_), ValueKind::String(text)) = (&default.kind, &value.kind) {
            let words: Vec<Value> = text.split([',', ' ']).filter(|word| !word.is_empty()).map(Value::from).collect();
            value = words.into();
        }
        self.values.insert(key.into(), (value, origin));
        Ok(())
    }

    /// Sets all that a file says.
    pub(super) fn add(&mut self, toml: &str, origin: &str) -> Result<(), ConfigError> {
        for (key, value) in flatten(File::from_str(toml, FileFormat::Toml), origin)? {
            self.set(&key, value, origin.to_owned())?;
        }
        Ok(())
    }

    pub(super) fn finish(&self) -> Result<Config, ConfigError> {
        let mut builder = config::Config::builder();
        for (key, (value, _)) in &self.values {
            builder = builder.set_override(key, value.clone()).map_err(|e| ConfigError::at(key, e.to_string()))?;
        }
        let settings = builder.build().map_err(|e| ConfigError { key: None, origin: None, why: e.to_string() })?;
        serde_path_to_error::deserialize(settings).map_err(|error| {
            let path = error.path().to_string();
            let known = self.values.iter().find(|(key, _)| path == **key || path.starts_with(&format!("{key}[")));
            ConfigError {
                key: Some(path.clone()),
                origin: known.map(|(_, (_, origin))| origin.clone()),
                why: error.into_inner().to_string(),
            }
        })
    }

    /// All of it, in the order of the keys, without secrets.
    pub(super) fn show(&self) -> Vec<Setting> {
        let shown = |key: &str, value: &Value| match written(value) {
            value if value != "\"\"" && value != "[]" && SECRETS.contains(&key) => "(hidden)".into(),
            value => value,
        };
        let line = |(key, (value, origin)): (&String, &(Value, String))| Setting {
            key: key.clone(),
            value: shown(key, value),
            origin: origin.clone(),
        };
        self.values.iter().map(line).collect()
    }
}

/// A value as it is written in TOML.
fn written(value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        ValueKind::Table(table) => {
            let mut pairs: Vec<_> = table.iter().map(|(key, value)| format!("{key} = {}", written(value))).collect();
            pairs.sort();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

/// The leaves of a source by their dotted keys; a list is a leaf.
fn flatten(source: impl Source, origin: &str) -> Result<Vec<(String, Value)>, ConfigError> {
    let tables =
        source.collect().map_err(|e| ConfigError { key: None, origin: Some(origin.into()), why: e.to_string() })?;
    let mut leaves = Vec::new();
    let mut open: Vec<(String, Value)> = tables.into_iter().collect();
    while let Some((key, value)) = open.pop() {
        match value.kind {
            ValueKind::Table(table) => {
                open.extend(table.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)))
            }
            _ => leaves.push((key, value)),
        }
    }
    Ok(leaves)
}
