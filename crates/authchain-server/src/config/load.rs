//! Loading: the sources in their order, and errors that name the key and the place it came from.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use super::{
    Config, legacy,
    settings::{Setting, Settings},
    validate,
};

pub(super) const PREFIX: &str = "AUTHCHAIN__";

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
        let (settings, notices) = self.collect()?;
        let mut config = Config { notices, origins: settings.origins(), ..settings.finish()? };
        config.trust = legacy::trust(&settings, &self.environment);
        config.storage.trust = config.trust.clone();
        validate::check(&config).map_err(|error| error.placed(&config.origins))?;
        Ok(config)
    }

    /// Every key with its value and the place it came from, secrets hidden: also of a configuration that contradicts
    /// itself.
    ///
    /// # Errors
    /// [`ConfigError`] when a source cannot be read or names a key that there is not.
    pub fn settings(&self) -> Result<Vec<Setting>, ConfigError> {
        Ok(self.collect()?.0.show())
    }

    fn collect(&self) -> Result<(Settings, Vec<String>), ConfigError> {
        let mut settings = Settings::of_defaults()?;
        if let Some(path) = &self.file {
            let origin = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|e| ConfigError {
                key: None,
                origin: Some(origin.clone()),
                why: format!("it cannot be read: {e}"),
            })?;
            settings.add(&text, &origin)?;
        }
        let mut notices = legacy::apply(&mut settings, &self.environment)?;
        notices.extend(near_misses(&settings, &self.environment));
        add_environment(&mut settings, &self.environment)?;
        legacy::contradictions(&settings, &self.environment)?;
        for (key, value, flag) in &self.flags {
            settings.set(key, value.as_str().into(), format!("the flag {flag}"))?;
        }
        Ok((settings, notices))
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
    pub(crate) fn at(key: &str, why: impl Into<String>) -> Self {
        Self { key: Some(key.into()), origin: None, why: why.into() }
    }

    /// With the place that the key came from, where it has none yet.
    pub(crate) fn placed(self, origins: &BTreeMap<String, String>) -> Self {
        let place = self.key.as_ref().and_then(|key| origins.get(key));
        Self { origin: self.origin.or_else(|| place.cloned()), ..self }
    }
}

/// Our own variables. One that ends in `_FILE` names a file with the value, unless that is a key of its own.
fn add_environment(settings: &mut Settings, variables: &[(String, String)]) -> Result<(), ConfigError> {
    for (name, value) in variables {
        let Some(key) = name.strip_prefix(PREFIX) else { continue };
        let key = key.to_ascii_lowercase().replace("__", ".");
        let origin = format!("the environment variable {name}");
        match key.strip_suffix("_file") {
            Some(named) if settings.knows(named) && !settings.knows(&key) => {
                let text = std::fs::read_to_string(value).map_err(|e| ConfigError {
                    key: Some(named.into()),
                    origin: Some(origin.clone()),
                    why: format!("{value}: {e}"),
                })?;
                settings.set(named, text.trim_end().into(), format!("{value}, named by {name}"))?;
            }
            _ => settings.set(&key, value.as_str().into(), origin)?,
        }
    }
    Ok(())
}

/// Variables that look like ours and mean nothing: one underscore where there are two. It is no error, because
/// orchestrators make such names of a service that is called authchain.
fn near_misses(settings: &Settings, variables: &[(String, String)]) -> Vec<String> {
    let miss = |name: &str| {
        let rest = name.strip_prefix("AUTHCHAIN_").filter(|_| !name.starts_with(PREFIX))?.to_ascii_lowercase();
        let key = settings.keys().find(|key| key.replace('.', "_") == rest.replace("__", "_"))?;
        Some(format!("{name} has no effect: `{key}` is set by {}", legacy::variable(key)))
    };
    variables.iter().filter_map(|(name, _)| miss(name)).collect()
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
    fn a_variable_with_one_underscore_too_few_is_noticed_and_stops_nothing() {
        let of = |name: &str| env(&[(name, "tcp://10.0.0.1:80")]).load().unwrap().notices;
        let told = of("AUTHCHAIN_SERVER_PORT");
        assert!(told.len() == 1 && told[0].contains("AUTHCHAIN__SERVER__PORT"), "{told:?}");
        assert_eq!(of("AUTHCHAIN_PROVIDERS__GOOGLE__CLIENT_ID").len(), 1);
        assert!(of("AUTHCHAIN_PORT").is_empty() && of("AUTHCHAIN_SERVICE_HOST").is_empty(), "those of an orchestrator");
    }

    #[test]
    fn keys_that_contradict_each_other_are_named_with_the_place_that_somebody_set_them_in() {
        let name = "AUTHCHAIN__SERVER__PUBLIC_URL";
        let error = env(&[(name, "http://mcp.example.com")]).load().unwrap_err();
        assert_eq!(error.key.as_deref(), Some("server.public_url"));
        assert!(error.origin.as_deref().is_some_and(|o| o.contains(name)), "{error}");
        let missing = env(&[("AUTHCHAIN__SERVER__HOST", "0.0.0.0")]).load().unwrap_err();
        assert_eq!((missing.key.as_deref(), missing.origin), (Some("server.public_url"), None), "nobody has set it");
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
