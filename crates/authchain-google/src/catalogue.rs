//! The service catalogue: Google's APIs with their addresses, versions and scopes.

use std::{collections::HashMap, fmt, sync::OnceLock};

use authchain_core::{AuthError, Scopes, TokenGroup};
use serde::Deserialize;
use url::Url;

use crate::scopes::nearest;

/// A version of an API with its own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// `v3`, `directory_v1`, ...
    #[serde(rename = "version")]
    pub name: &'static str,
    /// Where paths of its methods begin; ends with `/`.
    pub base_url: &'static str,
}

/// One API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name here.
    pub key: &'static str,
    /// Google's name of the API.
    pub api: &'static str,
    /// The version that is used when none is named.
    pub version: &'static str,
    /// `workspace`, `admin`, `cloud`, ...
    pub category: &'static str,
    /// Google's title.
    pub title: &'static str,
    #[serde(default)]
    name: Option<&'static str>,
    /// Where paths of its methods begin; ends with `/`. Where it ends with the host, the paths carry the version.
    pub base_url: &'static str,
    /// Other names of the same pair of API and version.
    #[serde(default)]
    pub aliases: Vec<&'static str>,
    minimal: Vec<&'static str>,
    default: Vec<&'static str>,
    full: Vec<&'static str>,
    #[serde(default)]
    token_group: Option<&'static str>,
    /// What has to be switched on in the Cloud project: `drive.googleapis.com`.
    #[serde(default)]
    pub enable: Option<&'static str>,
    /// Google's reference, where known.
    #[serde(default)]
    pub documentation: Option<&'static str>,
    /// The scope group that tools used by default.
    #[serde(default)]
    pub group: Option<&'static str>,
    /// What it can do, in single words.
    #[serde(default)]
    pub features: Vec<&'static str>,
    /// Whether the system that authchain replaces knew it.
    #[serde(default)]
    pub original: bool,
    /// Whether Google's list of discovery documents does not hold it.
    #[serde(default)]
    pub undocumented: bool,
    /// What else to know.
    #[serde(default)]
    pub note: Option<&'static str>,
    /// The versions beside [`Service::version`].
    #[serde(default)]
    pub other_versions: Vec<Version>,
}

impl Service {
    /// A name to show: `Google Drive`.
    pub fn name(&self) -> &'static str {
        self.name.unwrap_or(self.title)
    }

    /// The narrowest scopes that are useful for reading.
    pub fn minimal(&self) -> Scopes {
        self.minimal.iter().collect()
    }

    /// The scopes that a tool usually needs.
    pub fn default_scopes(&self) -> Scopes {
        self.default.iter().collect()
    }

    /// The widest scopes that still belong to it.
    pub fn full(&self) -> Scopes {
        self.full.iter().collect()
    }

    /// The token group that its credentials are of.
    pub fn token_group(&self) -> TokenGroup {
        self.token_group.and_then(|name| TokenGroup::new(name).ok()).unwrap_or_default()
    }

    /// Every version, the default one first.
    pub fn versions(&self) -> impl Iterator<Item = Version> {
        std::iter::once(self.default_version()).chain(self.other_versions.iter().copied())
    }

    /// The page of the Cloud console on which it is switched on.
    pub fn enable_url(&self) -> Option<String> {
        self.enable.map(|name| format!("https://console.cloud.google.com/apis/library/{name}"))
    }

    /// Google's machine-readable description of the API.
    pub fn discovery_url(&self) -> String {
        match (self.undocumented, Url::parse(self.base_url)) {
            (true, Ok(base)) => {
                let host = base.host_str().unwrap_or_default();
                format!("https://{host}/$discovery/rest?version={}", self.version)
            }
            _ => format!("https://www.googleapis.com/discovery/v1/apis/{}/{}/rest", self.api, self.version),
        }
    }
}

/// A service that Google has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dead {
    key: &'static str,
    api: &'static str,
    version: &'static str,
    why: &'static str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "'de: 'static"))]
struct File {
    services: Vec<Service>,
    dead: Vec<Dead>,
}

/// A service at one of its versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selected {
    /// The service.
    pub service: &'static Service,
    /// The version that was asked for, or the default one.
    pub version: Version,
}

/// Why a name is not a service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CatalogueError {
    /// Nobody knows it.
    Unknown {
        /// What was asked for.
        name: String,
        /// The name that looks most like it.
        nearest: Option<&'static str>,
    },
    /// The API is known and has no such version.
    UnknownVersion {
        /// The service.
        service: &'static str,
        /// What was asked for.
        version: String,
        /// The versions that it has.
        known: Vec<&'static str>,
    },
    /// Google has closed it.
    Closed {
        /// What was asked for.
        name: String,
        /// What happened.
        why: &'static str,
    },
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest: None } => write!(f, "there is no Google service {name:?}"),
            Self::Unknown { name, nearest: Some(nearest) } => {
                write!(f, "there is no Google service {name:?}; did you mean {nearest}?")
            }
            Self::UnknownVersion { service, version, known } => {
                write!(f, "{service} has no version {version:?}; it has {}", known.join(", "))
            }
            Self::Closed { name, why } => write!(f, "{name} cannot be used: {why}"),
        }
    }
}

impl std::error::Error for CatalogueError {}

impl From<CatalogueError> for AuthError {
    fn from(error: CatalogueError) -> Self {
        Self::Configuration(error.to_string())
    }
}

/// The catalogue. Constant data, parsed at first use.
#[derive(Debug)]
pub struct Catalogue {
    services: Vec<Service>,
    dead: Vec<Dead>,
    names: HashMap<&'static str, usize>,
}

/// The catalogue.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        let file: File = serde_json::from_str(include_str!("data/services.json"))
            .expect("the checked-in services are well-formed: every test reads them");
        let names = file.services.iter().enumerate();
        let names =
            names.flat_map(|(i, s)| std::iter::once(s.key).chain(s.aliases.iter().copied()).map(move |n| (n, i)));
        Catalogue { names: names.collect(), services: file.services, dead: file.dead }
    })
}

impl Catalogue {
    /// Every service, in the catalogue's order.
    pub fn all(&self) -> &[Service] {
        &self.services
    }

    /// A service by its key or an alias, whatever its version.
    pub fn find(&self, name: &str) -> Option<&Service> {
        self.services.get(*self.names.get(name)?)
    }

    /// A service at a version: `drive` and `drive_v3` are the default one, `drive_v2` is another.
    ///
    /// # Errors
    /// [`CatalogueError`] for names and versions that are unknown, and for services that Google has closed.
    pub fn get(&'static self, name: &str) -> Result<Selected, CatalogueError> {
        if let Some(service) = self.find(name) {
            return Ok(Selected { service, version: service.default_version() });
        }
        if let Some(dead) = self.dead.iter().find(|d| d.key == name || name == format!("{}_{}", d.api, d.version)) {
            return Err(CatalogueError::Closed { name: name.into(), why: dead.why });
        }
        // `admin_reports_v1`, `merchantapi_products_v1`: a version may hold an underscore, so every cut is tried.
        let cuts = name.match_indices('_').filter_map(|(at, _)| Some((name.get(..at)?, name.get(at + 1..)?)));
        let mut unknown = None;
        for (key, version) in cuts {
            let Some(service) = self.find(key) else { continue };
            if let Some(selected) = service.at(version) {
                return Ok(selected);
            }
            if version.starts_with('v') || unknown.is_none() {
                let known = service.versions().map(|v| v.name).collect();
                unknown = Some(CatalogueError::UnknownVersion { service: service.key, version: version.into(), known });
            }
        }
        Err(unknown.unwrap_or_else(|| CatalogueError::Unknown {
            name: name.into(),
            nearest: nearest(name, self.services.iter().map(|s| s.key)),
        }))
    }

    /// Why a service is closed, for those that Google has closed.
    pub fn closed(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.dead.iter().map(|dead| (dead.key, dead.why))
    }
}

impl Service {
    fn default_version(&self) -> Version {
        Version { name: self.version, base_url: self.base_url }
    }

    fn at(&'static self, version: &str) -> Option<Selected> {
        let version = self.versions().find(|known| known.name == version)?;
        Some(Selected { service: self, version })
    }
}
