//! Loading: the sources in their order, and errors that name the key and the place it came from.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use config::{File, FileFormat, Source, Value, ValueKind};

use super::{Config, validate};

const DEFAULTS: &str = include_str!("../../../../config/default.toml");
const PREFIX: &str = "AUTHCHAIN__";

/// Names that other programs use for the same thing, and that are read when ours is not set.
const PEERS: &[(&str, &str)] = &[
    ("GOOGLE_CLIENT_ID", "providers.google.client_id"),
    ("GOOGLE_CLIENT_SECRET", "providers.google.client_secret"),
    ("GOOGLE_CLIENT_SECRETS_FILE", "providers.google.client_secrets_file"),
];

/// Where a configuration comes from, the later over the earlier.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    flags: Vec<(String, String, String)>,
}

impl Sources {
    /// Only the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file that must exist.
    #[must_use]
    pub fn file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// `./authchain.toml`, else `authchain/config.toml` in the folder of the user's configuration, if there is one.
    #[must_use]
    pub fn usual_file(mut self) -> Self {
        let home = std::env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")));
        let candidates =
            [Some(PathBuf::from("authchain.toml")), home.map(|home| home.join("authchain").join("config.toml"))];
        self.file = candidates.into_iter().flatten().find(|file| file.is_file());
        self
    }

    /// The variables of the process.
    #[must_use]
    pub fn process_environment(self) -> Self {
        let variables = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        self.environment(variables)
    }

    /// These variables.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// One value, set by a flag of the command: `set("server.port", "9000", "--port")`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString, flag: &str) -> Self {
        self.flags.push((key.into(), value.to_string(), flag.into()));
        self
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`ConfigError`], which names the key and the place it came from.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let mut settings = Settings::of_defaults()?;
        if let Some(path) = &self.file {
            settings.add_file(path)?;
        }
        settings.add_environment(&self.environment)?;
        for (key, value, flag) in &self.flags {
            settings.set(key, value.as_str().into(), format!("the flag {flag}"))?;
        }
        let config = settings.finish()?;
        validate::check(&config)?;
        Ok(config)
    }
}

/// A configuration that the program cannot start with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The key, where it is about one.
    pub key: Option<String>,
    /// Where the value came from.
    pub origin: Option<String>,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = &self.key {
            write!(f, "configuration key `{key}`")?;
        } else {
            f.write_str("configuration")?;
        }
        if let Some(origin) = &self.origin {
            write!(f, " (from {origin})")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl ConfigError {
    pub(super) fn at(key: &str, why: impl Into<String>) -> Self {
        Self { key: Some(key.into()), origin: None, why: why.into() }
    }
}

/// The values that are collected, each with its origin.
struct Settings {
    values: BTreeMap<String, (Value, String)>,
}

impl Settings {
    fn of_defaults() -> Result<Self, ConfigError> {
        let values = flatten(File::from_str(DEFAULTS, FileFormat::Toml), "config/default.toml")?
            .into_iter()
            .map(|(key, value)| (key, (value, "the defaults".into())))
            .collect();
        Ok(Self { values })
    }

    fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError {
            key: None,
            origin: Some(origin.clone()),
            why: format!("it cannot be read: {e}"),
        })?;
        for (key, value) in flatten(File::from_str(&text, FileFormat::Toml), &origin)? {
            self.set(&key, value, origin.clone())?;
        }
        Ok(())
    }

    fn add_environment(&mut self, variables: &[(String, String)]) -> Result<(), ConfigError> {
        for (peer, key) in PEERS {
            if let Some((_, value)) = variables.iter().find(|(name, value)| name == peer && !value.is_empty()) {
                self.set(key, value.as_str().into(), format!("the environment variable {peer}"))?;
            }
        }
        for (name, value) in variables {
            let Some(key) = name.strip_prefix(PREFIX) else { continue };
            let key = key.to_ascii_lowercase().replace("__", ".");
            let origin = format!("the environment variable {name}");
            match key.strip_suffix("_file") {
                Some(key) if self.values.contains_key(key) => {
                    let text = std::fs::read_to_string(value).map_err(|e| ConfigError {
                        key: Some(key.into()),
                        origin: Some(origin.clone()),
                        why: format!("{value}: {e}"),
                    })?;
                    self.set(key, text.trim_end().into(), format!("{value}, named by {name}"))?;
                }
                _ => self.set(&key, value.as_str().into(), origin)?,
            }
        }
        Ok(())
    }

    /// Sets one value; its key must be one of those in the defaults. Text becomes a list where the default is one.
    fn set(&mut self, key: &str, mut value: Value, origin: String) -> Result<(), ConfigError> {
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

    fn finish(self) -> Result<Config, ConfigError> {
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use authchain::store::StorageMode;

    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Sources {
        Sources::new().environment(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())))
    }

    #[test]
    fn the_defaults_are_a_whole_configuration() {
        let config = Sources::new().load().unwrap();
        assert_eq!((config.server.port, config.storage.mode), (8002, StorageMode::FileEncrypted));
    }

    #[test]
    fn the_environment_overrides_and_a_flag_overrides_that() {
        let sources = env(&[("AUTHCHAIN__SERVER__PORT", "9001"), ("AUTHCHAIN__STORAGE__MODE", "MEMORY_ONLY")]);
        assert_eq!(sources.load().unwrap().server.port, 9001);
        assert_eq!(sources.load().unwrap().storage.mode, StorageMode::MemoryOnly);
        assert_eq!(sources.set("server.port", 9002, "--port").load().unwrap().server.port, 9002);
    }

    #[test]
    fn a_list_in_the_environment_is_written_with_commas() {
        let config = env(&[("AUTHCHAIN__PROVIDERS__GOOGLE__SCOPES", "drive.file, openid")]).load().unwrap();
        assert_eq!(config.providers.google.scopes, ["drive.file", "openid"]);
    }

    #[test]
    fn an_unknown_key_stops_the_start_with_its_name_and_origin() {
        let error = env(&[("AUTHCHAIN__STORAGE__MODUS", "x")]).load().unwrap_err().to_string();
        assert_eq!(
            error,
            "configuration key `storage.modus` (from the environment variable AUTHCHAIN__STORAGE__MODUS): there is no such key; did you mean `storage.mode`?"
        );
    }

    #[test]
    fn a_bad_value_stops_the_start_with_its_name_and_origin() {
        for (name, value, key) in [
            ("AUTHCHAIN__STORAGE__MODE", "file_encryptd", "storage.mode"),
            ("AUTHCHAIN__SERVER__PORT", "eighty", "server.port"),
            ("AUTHCHAIN__SESSION__IDLE", "sixty", "session.idle"),
            ("AUTHCHAIN__CHAIN__TIERS", "jwt_claims,nonsense", "chain.tiers"),
        ] {
            let error = env(&[(name, value)]).load().unwrap_err();
            assert!(error.key.as_deref().is_some_and(|k| k.starts_with(key)), "{error}");
            assert!(error.origin.as_deref().is_some_and(|o| o.contains(name)), "{error}");
        }
    }

    #[test]
    fn a_file_of_the_users_is_read_and_blamed() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "[server]\nport = 7000\n[storage]\nmod = \"x\"").unwrap();
        let error = Sources::new().file(file.path()).load().unwrap_err();
        assert_eq!(error.key.as_deref(), Some("storage.mod"));
        assert_eq!(error.origin.as_deref(), file.path().to_str());
    }

    #[test]
    fn a_secret_is_read_from_a_file_and_never_shown() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "hush").unwrap();
        let name = "AUTHCHAIN__PROVIDERS__GOOGLE__CLIENT_SECRET_FILE";
        let config = env(&[(name, file.path().to_str().unwrap())]).load().unwrap();
        assert_eq!(config.providers.google.client_secret.as_ref().unwrap().expose(), "hush");
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn the_names_of_peers_are_read_where_ours_are_not_set() {
        let config = env(&[("GOOGLE_CLIENT_ID", "theirs")]).load().unwrap();
        assert_eq!(config.providers.google.client_id.as_deref(), Some("theirs"));
        let both = env(&[("AUTHCHAIN__PROVIDERS__GOOGLE__CLIENT_ID", "ours"), ("GOOGLE_CLIENT_ID", "theirs")]);
        assert_eq!(both.load().unwrap().providers.google.client_id.as_deref(), Some("ours"));
    }
}
