//! Contradictions between keys, and options that weaken where they must not.

use url::{Host, Url};

use super::{Config, ConfigError};

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let server = &config.server;
    if !server.mcp_path.starts_with('/') || server.mcp_path.len() < 2 {
        return Err(ConfigError::at("server.mcp_path", "it is a path such as `/mcp`"));
    }
    if let Some(url) = &server.public_url {
        let plain = url.scheme() == "http" && !is_loopback(url);
        if !matches!(url.scheme(), "http" | "https") || url.path() != "/" || url.query().is_some() {
            return Err(ConfigError::at("server.public_url", "it is scheme, host and port: https://mcp.example.com"));
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
    if config.local.user.is_some() && !local_only {
        return Err(ConfigError::at("local.user", "one trusted local user is possible on a loopback address only"));
    }
    Ok(())
}

/// Whether a URL names this machine and nothing else.
fn is_loopback(url: &Url) -> bool {
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
    fn a_public_issuer_is_https() {
        assert_eq!(refused(&[("server.public_url", "http://mcp.example.com")]).as_deref(), Some("server.public_url"));
        assert_eq!(refused(&[("server.public_url", "https://mcp.example.com")]), None);
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
        assert_eq!(refused(&[("dev.accept_dev_keys", "true"), ("local.user", "ann@example.com")]), None);
    }
}
