//! What the configuration says of clients, grants and limits, as the authorization server takes it.

use std::sync::Arc;

use authchain::{
    core::{AuthError, Clock, Scopes, Secret},
    jwt::{JwksCache, KeySource},
    trust::Trust,
};
use tracing::warn;

use super::StartError;
use crate::{
    AssertionIssuer, ClientProof, ExchangeAudience, ExchangeClient, GrantOptions, LimitOptions, RegisteredClient,
    RememberConsent, Workload,
    config::{AssertionIssuerSection, Config, ConfigError, ExchangeAudienceSection, RegisteredSection, RememberedFor},
};

const REGISTERED: &str = "clients.registered";

/// The clients that need no registration.
pub(super) fn registered(config: &Config) -> Result<Vec<RegisteredClient>, StartError> {
    if config.clients.documents_on_loopback {
        warn!("clients.documents_on_loopback is on: documents of clients are fetched from this machine, too");
    }
    config.clients.registered.iter().map(|section| client(config, section)).collect()
}

/// Whether clients may change what a person has at this server.
pub(super) fn may_change(config: &Config) -> bool {
    let may = config.clients.may_change_accounts;
    if may {
        warn!("clients.may_change_accounts is on: every connected client may unlink its person's accounts");
    }
    may
}

/// Whose consent is remembered.
pub(super) fn remember_consent(config: &Config) -> RememberConsent {
    let life = config.consent.remember_for;
    let (remember, whose) = match config.consent.remember {
        RememberedFor::Never => return RememberConsent::Never,
        RememberedFor::Proven => (RememberConsent::Proven(life), "of clients that nobody else can pass for"),
        RememberedFor::All => (RememberConsent::All(life), "of all clients"),
    };
    warn!("consent.remember is on: people are not asked again about requests {whose} that their own browser starts");
    remember
}

fn client(config: &Config, section: &RegisteredSection) -> Result<RegisteredClient, StartError> {
    let scopes: Scopes = config
        .google
        .registry()
        .resolve_all(section.scopes.iter().map(String::as_str))
        .map_err(|error| wrong(section, &error.to_string()))?;
    let workload = match (&section.workload_issuer, &section.workload_subject) {
        (None, None) => None,
        (Some(issuer), Some(subject)) => Some(Workload { issuer: issuer.clone(), subject: subject.clone() }),
        _ => return Err(wrong(section, "workload_issuer and workload_subject belong together")),
    };
    if let Some(workload) = &workload
        && !config.grants.workload_issuers.iter().any(|issuer| issuer.issuer == workload.issuer)
    {
        return Err(wrong(section, "workload_issuer is none of grants.workload_issuers"));
    }
    if section.client_credentials && !config.grants.client_credentials {
        return Err(wrong(section, "client_credentials needs grants.client_credentials = true"));
    }
    Ok(RegisteredClient {
        proof: proof(section)?,
        device_code: section.device_code,
        client_credentials: section.client_credentials,
        scopes,
        introspection: section.introspection,
        workload,
        ..RegisteredClient::new(section.id.clone(), &*section.name, section.redirect_uris.clone())
    })
}

fn proof(section: &RegisteredSection) -> Result<ClientProof, StartError> {
    let mut proofs = Vec::new();
    if let Some(secret) = &section.secret {
        proofs.push(ClientProof::Secret(secret.clone()));
    }
    if let Some(file) = &section.secret_file {
        let text = std::fs::read_to_string(file).map_err(|e| wrong(section, &format!("{}: {e}", file.display())))?;
        proofs.push(ClientProof::Secret(Secret::new(text.trim_end())));
    }
    if let Some(jwks) = &section.jwks {
        let jwks = serde_json::from_str(jwks).map_err(|e| wrong(section, &format!("jwks is not JSON: {e}")))?;
        proofs.push(ClientProof::Keys(jwks));
    }
    if let Some(url) = &section.jwks_url {
        proofs.push(ClientProof::KeysAt(url.clone()));
    }
    match (proofs.pop(), proofs.is_empty()) {
        (proof, true) => Ok(proof.unwrap_or(ClientProof::Nothing)),
        _ => Err(wrong(section, "only one of secret, secret_file, jwks and jwks_url can be there")),
    }
}

fn wrong(section: &RegisteredSection, why: &str) -> StartError {
    let why = format!("id = {:?}: {why}", section.id);
    ConfigError { key: Some(REGISTERED.into()), origin: None, why }.into()
}

/// The grants beyond codes and refresh tokens.
pub(super) fn grants(config: &Config, clock: &Arc<dyn Clock>) -> Result<GrantOptions, StartError> {
    let section = &config.grants;
    Ok(GrantOptions {
        device_code: section.device_code,
        device_code_life: section.device_code_life,
        client_credentials: section.client_credentials,
        enterprise: issuers(&section.enterprise_issuers, &config.trust, clock)?,
        workloads: issuers(&section.workload_issuers, &config.trust, clock)?,
        exchange: section.exchange_audiences.iter().map(|audience| exchange(config, audience)).collect(),
    })
}

/// A server that this one vouches for people to. Its scopes may be Google's, by the names that they have everywhere in the
/// configuration, or words of its own.
fn exchange(config: &Config, section: &ExchangeAudienceSection) -> ExchangeAudience {
    let registry = config.google.registry();
    let scopes = section.scopes.iter().map(String::as_str);
    let scopes = scopes.map(|name| registry.resolve(name).unwrap_or_else(|_| Scopes::from(name)));
    let clients = section.clients.iter().map(|client| ExchangeClient {
        id: client.id.clone(),
        id_there: client.id_there.as_ref().unwrap_or(&client.id).clone(),
    });
    ExchangeAudience {
        issuer: section.issuer.clone(),
        resources: section.resources.clone(),
        scopes: scopes.fold(Scopes::none(), |all, scopes| all.union(&scopes)),
        clients: clients.collect(),
    }
}

fn issuers(
    sections: &[AssertionIssuerSection],
    trust: &Trust,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<AssertionIssuer>, AuthError> {
    if sections.is_empty() {
        return Ok(Vec::new());
    }
    let http = authchain::provider::http_client_trusting(trust)?;
    let issuer = |section: &AssertionIssuerSection| AssertionIssuer {
        issuer: section.issuer.clone(),
        keys: KeySource::Jwks(Arc::new(JwksCache::new(section.jwks_url.clone(), http.clone(), clock.clone()))),
        algorithms: section.algorithms.clone(),
        domains: section.domains.clone(),
    };
    Ok(sections.iter().map(issuer).collect())
}

/// How often one address and one client may ask.
pub(super) fn limits(config: &Config) -> LimitOptions {
    let section = &config.limits;
    LimitOptions {
        registrations: section.registrations_per_minute,
        tokens_by_address: section.token_requests_per_minute,
        tokens_by_client: section.client_token_requests_per_minute,
        tokens_by_public_client: section.public_client_token_requests_per_minute,
        user_codes: section.device_codes_per_minute,
        trusted_proxies: section.trusted_proxies.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use authchain::core::SystemClock;

    use super::*;
    use crate::config::Sources;

    fn configured(toml: &str) -> Result<(Vec<RegisteredClient>, GrantOptions, LimitOptions), String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "{toml}").unwrap();
        let config = Sources::new().file(file.path()).load().map_err(|e| e.to_string())?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let clients = registered(&config).map_err(|e| e.to_string())?;
        Ok((clients, grants(&config, &clock).map_err(|e| e.to_string())?, limits(&config)))
    }

    #[test]
    fn n10_consent_is_remembered_only_where_the_configuration_says_so() {
        let day = std::time::Duration::from_secs(24 * 60 * 60);
        let of = |settings: &[(&str, &str)]| {
            let sources =
                settings.iter().fold(Sources::new(), |sources, (key, value)| sources.set(key, value, "--test"));
            sources.load().map(|config| remember_consent(&config)).map_err(|error| error.key)
        };
        assert_eq!(of(&[]), Ok(RememberConsent::Never));
        assert_eq!(of(&[("consent.remember", "proven")]), Ok(RememberConsent::Proven(30 * day)));
        let week = ("consent.remember_for", "7d");
        assert_eq!(of(&[("consent.remember", "all"), week]), Ok(RememberConsent::All(7 * day)));
        assert_eq!(of(&[week]), Ok(RememberConsent::Never));
        assert_eq!(of(&[("consent.remember", "yes")]), Err(Some("consent.remember".into())));
    }

    #[test]
    fn n08_clients_grants_and_limits_are_read_from_a_file() {
        let (clients, grants, limits) = configured(
            r#"
            [grants]
            client_credentials = true
            [[grants.enterprise_issuers]]
            issuer = "https://idp.example"
            jwks_url = "https://idp.example/keys"
            algorithms = ["RS256"]
            domains = ["example.com"]
            [[grants.workload_issuers]]
            issuer = "https://platform.example"
            jwks_url = "https://platform.example/keys"
            algorithms = ["ES256"]
            [limits]
            trusted_proxies = ["10.0.0.0/8"]
            [[clients.registered]]
            id = "dashboard"
            name = "Dashboard"
            redirect_uris = ["https://dash.example/cb"]
            secret = "a secret of twenty characters"
            client_credentials = true
            scopes = ["drive.readonly"]
            [[clients.registered]]
            id = "robot"
            name = "Robot"
            workload_issuer = "https://platform.example"
            workload_subject = "system:serviceaccount:a:b"
            "#,
        )
        .unwrap();
        assert_eq!(clients.len(), 2);
        assert!(matches!(&clients[0].proof, ClientProof::Secret(_)) && !clients[0].scopes.is_empty());
        assert_eq!(clients[1].workload.as_ref().unwrap().subject, "system:serviceaccount:a:b");
        assert!(grants.client_credentials && grants.enterprise.len() == 1 && grants.workloads.len() == 1);
        assert_eq!(limits.trusted_proxies.len(), 1);
    }

    #[test]
    fn n08_without_configuration_nothing_is_switched_on_that_needs_trust() {
        let (clients, grants, limits) = configured("").unwrap();
        assert!(clients.is_empty() && !grants.client_credentials && !grants.takes_assertions());
        assert!(grants.exchange.is_empty());
        assert_eq!(limits, LimitOptions::default());
    }

    #[test]
    fn n19_the_servers_of_a_fleet_are_read_from_a_file() {
        let audience = |clients: &str| {
            configured(&format!(
                r#"
                [[grants.exchange_audiences]]
                issuer = "https://files.example"
                resources = ["https://files.example/mcp"]
                scopes = ["drive.readonly", "files:write"]
                {clients}
                "#
            ))
        };
        let (_, grants, _) = audience(r#"clients = [{ id = "desk" }, { id = "app", id_there = "app-7" }]"#).unwrap();
        let read = &grants.exchange[0];
        assert_eq!(read.scopes, Scopes::from("https://www.googleapis.com/auth/drive.readonly files:write"));
        let ids: Vec<_> = read.clients.iter().map(|client| (client.id.as_str(), client.id_there.as_str())).collect();
        assert_eq!(ids, [("desk", "desk"), ("app", "app-7")]);
        for (clients, word) in [("", "clients"), (r#"clients = [{ id = "desk", there = "x" }]"#, "there")] {
            let refused = audience(clients).unwrap_err();
            assert!(refused.contains(word) && refused.contains("grants.exchange_audiences"), "{word}: {refused}");
        }
    }

    #[test]
    fn n08_a_client_that_makes_no_sense_stops_the_start_with_its_id() {
        for (fields, word) in [
            ("secret = \"a secret of twenty characters\"\njwks_url = \"https://a.example/k\"", "only one of"),
            ("workload_issuer = \"https://platform.example\"", "belong together"),
            ("workload_issuer = \"https://x.example\"\nworkload_subject = \"x\"", "none of grants.workload_issuers"),
            ("client_credentials = true", "grants.client_credentials"),
            ("scopes = [\"drvie\"]", "drvie"),
            ("jwks = \"{\"", "not JSON"),
            ("secert = \"x\"", "secert"),
        ] {
            let toml = format!("[[clients.registered]]\nid = \"x\"\nname = \"X\"\n{fields}");
            let refused = configured(&toml).unwrap_err();
            assert!(refused.contains(word) && refused.contains("clients.registered"), "{word}: {refused}");
        }
    }

    #[test]
    fn n22_the_secrets_of_clients_are_not_shown() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "[[clients.registered]]\nid = \"x\"\nname = \"X\"\nsecret = \"hush hush hush hush hush\"")
            .unwrap();
        let sources = Sources::new().file(file.path());
        assert!(!format!("{:?}", sources.settings().unwrap()).contains("hush"));
        assert!(!format!("{:?}", sources.load().unwrap()).contains("hush"));
    }
}
