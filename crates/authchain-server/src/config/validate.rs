//! Contradictions between keys, and options that weaken where they must not.

use authchain::store::{Encryption, StorageMode};
use url::{Host, Url};

use super::{Config, ConfigError, CredentialKind};

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let server = &config.server;
    if !server.mcp_path.starts_with('/') || server.mcp_path.len() < 2 {
        return Err(ConfigError::at("server.mcp_path", "it is a path such as `/mcp`"));
    }
    if let Some(url) = &server.public_url {
        let plain = url.scheme() == "http" && !is_loopback(url);
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            let why = "it is scheme, host and port, and a path at most: https://mcp.example.com";
            return Err(ConfigError::at("server.public_url", why));
        }
        if plain && !server.allow_plain_http {
            return Err(ConfigError::at(
                "server.public_url",
                "plain http gives tokens away on the network: use https, or say server.allow_plain_http = true",
            ));
        }
    } else if !server.host.is_loopback() {
        return Err(ConfigError::at(
            "server.public_url",
            format!(
                "it is needed where server.host is {}: clients must know under which name they reach it",
                server.host
            ),
        ));
    }
    let local_only = server.host.is_loopback() && server.public_url.as_ref().is_none_or(is_loopback);
    if config.dev.accept_dev_keys && !local_only {
        return Err(ConfigError::at("dev.accept_dev_keys", "dev keys are accepted on a loopback address only"));
    }
    if config.clients.documents_on_loopback && !local_only {
        return Err(ConfigError::at("clients.documents_on_loopback", "it is possible on a loopback address only"));
    }
    if config.local.user.is_some() && !local_only {
        return Err(ConfigError::at("local.user", "one trusted local user is possible on a loopback address only"));
    }
    tls(config)?;
    storage(config)?;
    google(config)
}

/// One source of keys, and a database where one is needed.
fn storage(config: &Config) -> Result<(), ConfigError> {
    let storage = &config.storage;
    if storage.mode == StorageMode::Postgres && storage.url.is_none() {
        return Err(ConfigError::at("storage.url", "it is needed with mode postgres: postgresql://user@host/database"));
    }
    let sources = [
        storage.key_file.is_some(),
        !storage.keys.is_empty(),
        storage.key_command.is_some(),
        storage.desktop_keyring.is_some(),
    ];
    if sources.into_iter().filter(|set| *set).count() > 1 {
        let why = "keys come from one place: key_file, keys, key_command or desktop_keyring";
        return Err(ConfigError::at("storage.keys", why));
    }
    if storage.encryption == Encryption::Fernet && storage.mode == StorageMode::Postgres {
        let why = "fernet is for files that an earlier program reads; a database holds the sealed format";
        return Err(ConfigError::at("storage.encryption", why));
    }
    Ok(())
}

/// The certificate and its key, and a public URL that agrees.
fn tls(config: &Config) -> Result<(), ConfigError> {
    let (tls, server) = (&config.tls, &config.server);
    if !tls.enabled {
        return Ok(());
    }
    for (key, file) in [("tls.certificate_file", &tls.certificate_file), ("tls.key_file", &tls.key_file)] {
        if file.is_none() {
            return Err(ConfigError::at(key, "it is needed where tls.enabled is on: the path of a PEM file"));
        }
    }
    if server.public_url.as_ref().is_some_and(|url| url.scheme() == "http") {
        return Err(ConfigError::at("server.public_url", "it begins with http, and tls.enabled serves https only"));
    }
    Ok(())
}

/// Each kind of credential has what it needs.
fn google(config: &Config) -> Result<(), ConfigError> {
    let google = &config.google;
    let one_person = google.account.is_some() || config.local.user.is_some();
    let missing = match google.credentials {
        CredentialKind::ServiceAccount if google.application_credentials.is_none() => {
            Some(("google.application_credentials", "it is needed with a service account: the path of its key file"))
        }
        CredentialKind::ServiceAccount if google.allowed_domains.is_empty() => Some((
            "google.allowed_domains",
            "it is needed with a service account: the domains in which it may act for people",
        )),
        CredentialKind::Environment if google.access_token.is_none() => Some((
            "google.access_token",
            "it is needed with credentials = \"environment\": set GOOGLE_WORKSPACE_CLI_TOKEN",
        )),
        CredentialKind::Environment if !one_person => {
            Some(("google.account", "it says whose the access token is; nobody else gets it"))
        }
        _ => None,
    };
    if let Some((key, why)) = missing {
        return Err(ConfigError::at(key, why));
    }
    match google.allowed_domains.iter().find(|domain| !is_domain(domain)) {
        Some(wrong) => {
            Err(ConfigError::at("google.allowed_domains", format!("{wrong:?} is not a domain such as example.com")))
        }
        None => Ok(()),
    }
}

/// A whole domain: no address, no pattern.
fn is_domain(text: &str) -> bool {
    text.contains('.') && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-')) && !text.starts_with('.')
}

/// Whether a URL names this machine and nothing else.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Sources;

    fn refused(settings: &[(&str, &str)]) -> Option<String> {
        let sources = settings.iter().fold(Sources::new(), |sources, (key, value)| sources.set(key, value, "--test"));
        sources.load().err().and_then(|error| error.key)
    }

    #[test]
    fn n21_a_public_issuer_is_https() {
        assert_eq!(refused(&[("server.public_url", "http://mcp.example.com")]).as_deref(), Some("server.public_url"));
        assert_eq!(refused(&[("server.public_url", "https://mcp.example.com")]), None);
        assert_eq!(refused(&[("server.public_url", "https://example.com/tools")]), None);
        assert_eq!(refused(&[("server.public_url", "https://example.com/?x=1")]).as_deref(), Some("server.public_url"));
        assert_eq!(refused(&[("server.public_url", "http://localhost:8002")]), None);
        let told = [("server.public_url", "http://mcp.example.com"), ("server.allow_plain_http", "true")];
        assert_eq!(refused(&told), None);
    }

    #[test]
    fn a_server_that_others_reach_needs_a_name() {
        assert_eq!(refused(&[("server.host", "0.0.0.0")]).as_deref(), Some("server.public_url"));
    }

    #[test]
    fn what_weakens_stays_on_a_loopback_address() {
        let public = ("server.public_url", "https://mcp.example.com");
        assert_eq!(refused(&[public, ("dev.accept_dev_keys", "true")]).as_deref(), Some("dev.accept_dev_keys"));
        assert_eq!(refused(&[public, ("local.user", "ann@example.com")]).as_deref(), Some("local.user"));
        let loopback = ("clients.documents_on_loopback", "true");
        assert_eq!(refused(&[public, loopback]).as_deref(), Some("clients.documents_on_loopback"));
        assert_eq!(refused(&[loopback]), None);
        assert_eq!(refused(&[("dev.accept_dev_keys", "true"), ("local.user", "ann@example.com")]), None);
    }

    #[test]
    fn https_has_its_files_and_a_url_that_agrees() {
        let on = ("tls.enabled", "true");
        let files = [on, ("tls.certificate_file", "a.pem"), ("tls.key_file", "b.pem")];
        assert_eq!(refused(&[on]).as_deref(), Some("tls.certificate_file"));
        assert_eq!(refused(&files[..2]).as_deref(), Some("tls.key_file"));
        assert_eq!(refused(&files), None);
        let plain = [&files[..], &[("server.public_url", "http://localhost:8002")]].concat();
        assert_eq!(refused(&plain).as_deref(), Some("server.public_url"));
        let config = files.iter().fold(Sources::new(), |sources, (key, value)| sources.set(key, value, "--test"));
        assert_eq!(config.load().unwrap().public_url().unwrap().as_str(), "https://127.0.0.1:8002/");
    }

    #[test]
    fn keys_come_from_one_place_and_a_database_has_an_address() {
        let (file, command) = (("storage.key_file", "a"), ("storage.key_command", "true"));
        assert_eq!(refused(&[file, command]).as_deref(), Some("storage.keys"));
        assert_eq!(refused(&[("storage.keys", "one,two"), command]).as_deref(), Some("storage.keys"));
        assert_eq!(refused(&[("storage.desktop_keyring", "authchain"), file]).as_deref(), Some("storage.keys"));
        assert_eq!(refused(&[command]), None);
        let (postgres, url) = (("storage.mode", "postgres"), ("storage.url", "postgresql://localhost/x"));
        assert_eq!(refused(&[postgres]).as_deref(), Some("storage.url"));
        assert_eq!(refused(&[postgres, url]), None);
        let fernet = ("storage.encryption", "fernet");
        assert_eq!(refused(&[fernet]), None);
        assert_eq!(refused(&[postgres, url, fernet]).as_deref(), Some("storage.encryption"));
    }

    #[test]
    fn each_kind_of_credential_has_what_it_needs() {
        let kind = |kind| ("google.credentials", kind);
        let key = ("google.application_credentials", "key.json");
        assert_eq!(refused(&[kind("service_account")]).as_deref(), Some("google.application_credentials"));
        assert_eq!(refused(&[kind("service_account"), key]).as_deref(), Some("google.allowed_domains"));
        assert_eq!(refused(&[kind("service_account"), key, ("google.allowed_domains", "example.com")]), None);
        let token = ("google.access_token", "ya29");
        assert_eq!(refused(&[kind("environment")]).as_deref(), Some("google.access_token"));
        assert_eq!(refused(&[kind("environment"), token]).as_deref(), Some("google.account"));
        assert_eq!(refused(&[kind("environment"), token, ("local.user", "ann@example.com")]), None);
        assert_eq!(refused(&[kind("adc")]), None);
        assert_eq!(refused(&[kind("somebody")]).as_deref(), Some("google.credentials"));
    }

    #[test]
    fn an_allowed_domain_is_a_whole_domain() {
        for bad in ["*", "*.example.com", "ann@example.com", "com", ".example.com"] {
            assert_eq!(refused(&[("google.allowed_domains", bad)]).as_deref(), Some("google.allowed_domains"), "{bad}");
        }
    }
}
