//! The sections of the configuration. What each key means is said in `config/default.toml`, once.
#![allow(missing_docs, reason = "config/default.toml documents every key")]

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use authchain::{
    core::{ClientId, Email, Secret, Tier},
    google::{GoogleScopes, GroupEdition},
    jwt::Algorithm,
    store::{Encryption, StorageMode},
    trust::Trust,
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use url::Url;

use super::ConfigError;
use crate::{Network, Paths};

/// The whole configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: ServerSection,
    pub paths: Paths,
    pub tls: TlsSection,
    pub storage: StorageSection,
    pub session: SessionSection,
    pub tokens: TokensSection,
    pub consent: ConsentSection,
    pub clients: ClientsSection,
    pub grants: GrantsSection,
    pub limits: LimitsSection,
    pub providers: Providers,
    pub google: GoogleApisSection,
    pub services: ServicesSection,
    pub refresh: RefreshSection,
    pub chain: ChainSection,
    pub jwt: JwtSection,
    pub dev: DevSection,
    pub local: LocalSection,
    pub log: LogSection,
    pub compat: CompatSection,
    /// What the operator should know of how the values came about; said once, when the server is put together.
    #[serde(skip)]
    pub notices: Vec<String>,
    /// Where each key came from that somebody has set: what is found out later is said of that place, too.
    #[serde(skip)]
    pub origins: BTreeMap<String, String>,
    /// Whose certificates outgoing connections trust: no key, but what is left of `SSL_CERT_FILE` where it is our own
    /// certificate.
    #[serde(skip)]
    pub trust: Trust,
}

impl Config {
    /// What clients see of the server's address.
    ///
    /// # Errors
    /// [`ConfigError`] for an address that makes no URL.
    pub fn public_url(&self) -> Result<Url, ConfigError> {
        if let Some(url) = &self.server.public_url {
            return Ok(url.clone());
        }
        let address = SocketAddr::new(self.server.host, self.server.port);
        let scheme = if self.tls.enabled { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{address}")).map_err(|e| ConfigError::at("server.host", e.to_string()))
    }

    /// The MCP endpoint's address: the audience of tokens (RFC 8707).
    ///
    /// # Errors
    /// [`ConfigError`] for an address that makes no URL.
    pub fn resource(&self) -> Result<Url, ConfigError> {
        Ok(below(&self.public_url()?, &self.server.mcp_path))
    }
}

/// A path below the public URL, which may have one of its own.
pub(crate) fn below(public_url: &Url, path: &str) -> Url {
    let mut url = public_url.clone();
    url.set_path(&format!("{}{path}", public_url.path().trim_end_matches('/')));
    url
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSection {
    pub host: IpAddr,
    pub port: u16,
    #[serde(deserialize_with = "unless_empty")]
    pub public_url: Option<Url>,
    pub mcp_path: String,
    pub mcp_at_root: bool,
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub body_timeout: Duration,
    pub allow_plain_http: bool,
    #[serde(deserialize_with = "unless_empty")]
    pub control_directory: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    pub enabled: bool,
    #[serde(deserialize_with = "unless_empty")]
    pub certificate_file: Option<PathBuf>,
    #[serde(deserialize_with = "unless_empty")]
    pub key_file: Option<PathBuf>,
    #[serde(deserialize_with = "duration")]
    pub handshake_timeout: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSection {
    #[serde(deserialize_with = "from_text")]
    pub mode: StorageMode,
    pub directory: PathBuf,
    #[serde(deserialize_with = "secret")]
    pub url: Option<Secret>,
    pub encryption: Encryption,
    #[serde(deserialize_with = "unless_empty")]
    pub key_file: Option<PathBuf>,
    pub keys: Vec<Secret>,
    #[serde(deserialize_with = "unless_empty")]
    pub key_command: Option<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub desktop_keyring: Option<String>,
    /// [`Config::trust`], for those who open stores and see no more than this section.
    #[serde(skip)]
    pub trust: Trust,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionSection {
    #[serde(deserialize_with = "duration")]
    pub idle: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokensSection {
    #[serde(deserialize_with = "duration")]
    pub access: Duration,
    #[serde(deserialize_with = "duration")]
    pub refresh: Duration,
    #[serde(deserialize_with = "duration")]
    pub refresh_grace: Duration,
    #[serde(deserialize_with = "duration")]
    pub code: Duration,
    #[serde(deserialize_with = "duration")]
    pub transaction: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentSection {
    pub remember: RememberedFor,
    #[serde(deserialize_with = "duration")]
    pub remember_for: Duration,
}

/// Whose consent is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RememberedFor {
    Never,
    Proven,
    All,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientsSection {
    pub editor_schemes: Vec<String>,
    #[serde(deserialize_with = "duration")]
    pub public_life: Duration,
    #[serde(deserialize_with = "duration")]
    pub secret_life: Duration,
    pub metadata_documents: bool,
    pub documents_on_loopback: bool,
    pub may_change_accounts: bool,
    pub registered: Vec<RegisteredSection>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredSection {
    pub id: ClientId,
    pub name: String,
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    #[serde(default)]
    pub secret: Option<Secret>,
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    #[serde(default)]
    pub jwks_url: Option<Url>,
    #[serde(default)]
    pub jwks: Option<String>,
    #[serde(default)]
    pub device_code: bool,
    #[serde(default)]
    pub client_credentials: bool,
    #[serde(default)]
    pub scopes: Vec<String>,
    #[serde(default)]
    pub introspection: bool,
    #[serde(default)]
    pub workload_issuer: Option<String>,
    #[serde(default)]
    pub workload_subject: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantsSection {
    pub device_code: bool,
    #[serde(deserialize_with = "duration")]
    pub device_code_life: Duration,
    pub client_credentials: bool,
    pub dpop: bool,
    pub enterprise_issuers: Vec<AssertionIssuerSection>,
    pub workload_issuers: Vec<AssertionIssuerSection>,
    pub exchange_audiences: Vec<ExchangeAudienceSection>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeAudienceSection {
    pub issuer: String,
    pub resources: Vec<Url>,
    pub scopes: Vec<String>,
    pub clients: Vec<ExchangeClientSection>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeClientSection {
    pub id: ClientId,
    #[serde(default)]
    pub id_there: Option<ClientId>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssertionIssuerSection {
    pub issuer: String,
    pub jwks_url: Url,
    #[serde(deserialize_with = "list_from_text")]
    pub algorithms: Vec<Algorithm>,
    #[serde(default)]
    pub domains: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSection {
    pub registrations_per_minute: u32,
    pub token_requests_per_minute: u32,
    pub client_token_requests_per_minute: u32,
    pub public_client_token_requests_per_minute: u32,
    pub device_codes_per_minute: u32,
    #[serde(deserialize_with = "list_from_text")]
    pub trusted_proxies: Vec<Network>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Providers {
    pub google: GoogleSection,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoogleSection {
    #[serde(deserialize_with = "unless_empty")]
    pub client_id: Option<String>,
    #[serde(deserialize_with = "secret")]
    pub client_secret: Option<Secret>,
    #[serde(deserialize_with = "unless_empty")]
    pub client_secrets_file: Option<PathBuf>,
    pub scopes: Vec<String>,
    #[serde(deserialize_with = "unless_empty")]
    pub base_url: Option<Url>,
}

/// Whose credentials reach Google's APIs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoogleApisSection {
    pub credentials: CredentialKind,
    #[serde(deserialize_with = "unless_empty")]
    pub application_credentials: Option<PathBuf>,
    #[serde(deserialize_with = "unless_empty")]
    pub gcloud_directory: Option<PathBuf>,
    #[serde(deserialize_with = "secret")]
    pub access_token: Option<Secret>,
    #[serde(deserialize_with = "unless_empty")]
    pub account: Option<Email>,
    pub allowed_domains: Vec<String>,
    pub scope_groups: GroupEdition,
}

impl GoogleApisSection {
    /// The scope registry with the groups that are configured.
    pub fn registry(&self) -> GoogleScopes {
        GoogleScopes::new(self.scope_groups)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    Users,
    ServiceAccount,
    Adc,
    Environment,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicesSection {
    #[serde(deserialize_with = "duration")]
    pub cache_ttl: Duration,
    pub cache_capacity: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshSection {
    #[serde(deserialize_with = "duration")]
    pub ahead: Duration,
    #[serde(deserialize_with = "duration")]
    pub look_again: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainSection {
    pub tiers: Vec<Tier>,
    pub step_up: StepUpBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepUpBy {
    Challenge,
    Link,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSection {
    pub issuers: Vec<IssuerSection>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSection {
    pub issuer: String,
    pub jwks_url: Url,
    pub audiences: Vec<String>,
    #[serde(deserialize_with = "list_from_text")]
    pub algorithms: Vec<Algorithm>,
    #[serde(default)]
    pub types: Vec<String>,
    #[serde(default)]
    pub email_claim: Option<String>,
    #[serde(default)]
    pub scope_claim: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevSection {
    pub accept_dev_keys: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalSection {
    #[serde(deserialize_with = "unless_empty")]
    pub user: Option<Email>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSection {
    pub level: String,
    pub format: LogFormat,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompatSection {
    pub old_names: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    humantime::parse_duration(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Some(Secret::deserialize(deserializer)?).filter(|secret| !secret.is_empty()))
}

fn unless_empty<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    T::deserialize(serde::de::value::StringDeserializer::new(text)).map(Some)
}

fn from_text<'de, D: Deserializer<'de>, T: std::str::FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn list_from_text<'de, D: Deserializer<'de>, T: std::str::FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}
