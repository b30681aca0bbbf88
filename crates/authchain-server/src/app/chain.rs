//! The chain that the configuration describes.

use std::sync::Arc;

use authchain::{
    Chain,
    core::{AuthError, ProviderId, Scopes, Tier},
    dpop::Dpop,
    jwt::{ClaimNames, JwksCache, KeySource, TrustedIssuer, Verifier, dev::DevKeys},
    tiers::{CredentialBridge, JwtClaims, LocalUser, OAuthFallback, ProviderSession, SessionCache},
};
use tracing::warn;

use super::StartError;
use crate::{
    Parts, ServerOptions,
    config::{Config, ConfigError, IssuerSection},
};

/// Which credentials callers may use; and the one trusted local user, where there is one.
pub(super) fn bridge(config: &Config, scopes: &Scopes) -> CredentialBridge {
    match &config.local.user {
        Some(email) => CredentialBridge::trusting_local_user(LocalUser {
            email: email.clone(),
            provider: ProviderId::google(),
            scopes: scopes.clone(),
        }),
        None => CredentialBridge::new(),
    }
}

pub(super) async fn build(
    config: &Config,
    parts: &Parts,
    options: &ServerOptions,
    bridge: &CredentialBridge,
) -> Result<Chain, StartError> {
    let mut chain = Chain::builder();
    // The server has one of its own: proofs and nonces are kept in the common store and keys, not in it.
    let dpop = options.dpop.then(|| {
        let (url, state) = (options.public_url.clone(), parts.state.clone());
        Arc::new(Dpop::new(url, &parts.keyring, state, parts.clock.clone()))
    });
    for tier in &config.chain.tiers {
        chain = match tier {
            Tier::JwtClaims => {
                let issuers = trusted_issuers(config, parts, options).await?;
                let verifier = Arc::new(Verifier::new(issuers, parts.clock.clone()));
                let tier = JwtClaims::new(verifier, parts.clock.clone());
                chain.tier(match &dpop {
                    Some(dpop) => tier.dpop(dpop.clone()),
                    None => tier,
                })
            }
            Tier::ProviderSession => {
                let verifier = Arc::new(Verifier::new(vec![ourselves(parts, options)], parts.clock.clone()));
                let (grants, credentials) = (parts.grants.clone(), parts.credentials.clone());
                let tier = ProviderSession::new(verifier, grants, credentials, parts.clock.clone());
                chain.tier(match &dpop {
                    Some(dpop) => tier.dpop(dpop.clone()),
                    None => tier,
                })
            }
            Tier::SessionCache => chain.tier(SessionCache::new(parts.sessions.clone())),
            Tier::CredentialBridge => chain.tier(bridge.clone()),
            Tier::OAuthFallback => chain.tier(OAuthFallback),
            Tier::Custom(name) => {
                let why = format!("`{name}` is not one of the five: tiers of your own are added in a program");
                return Err(ConfigError { key: Some("chain.tiers".into()), origin: None, why }.into());
            }
        };
    }
    Ok(chain.build())
}

/// Our own authorization server, as tier 2 trusts it.
fn ourselves(parts: &Parts, options: &ServerOptions) -> TrustedIssuer {
    TrustedIssuer {
        issuer: options.issuer(),
        audiences: vec![options.audience()],
        types: vec!["at+jwt".into()],
        keys: KeySource::Own(parts.signing.clone()),
        claims: ClaimNames::default(),
        algorithms: vec![parts.signing.algorithm()],
        provider: ProviderId::google(),
    }
}

async fn trusted_issuers(
    config: &Config,
    parts: &Parts,
    options: &ServerOptions,
) -> Result<Vec<TrustedIssuer>, StartError> {
    let http = authchain::provider::http_client_trusting(&config.trust)?;
    let configured = config.jwt.issuers.iter();
    let mut issuers: Vec<_> = configured.map(|issuer| trusted(issuer, &http, parts)).collect();
    if config.dev.accept_dev_keys {
        warn!("dev.accept_dev_keys is on: whoever holds the dev key in the data folder can be anybody here");
        let folder = config.storage.directory.clone();
        let opened = tokio::task::spawn_blocking(move || DevKeys::open_or_create(&folder)).await;
        let dev = opened
            .map_err(|e| AuthError::Configuration(format!("the dev keys cannot be opened: {e}")))?
            .map_err(|e| AuthError::Configuration(format!("the dev keys cannot be opened: {e}")))?;
        issuers.push(dev.trusted_issuer(&options.audience()));
    }
    Ok(issuers)
}

fn trusted(section: &IssuerSection, http: &reqwest::Client, parts: &Parts) -> TrustedIssuer {
    let mut claims =
        if section.issuer.ends_with("accounts.google.com") { ClaimNames::google() } else { ClaimNames::default() };
    if let Some(email) = &section.email_claim {
        claims.email = vec![email.clone()];
    }
    if let Some(scope) = &section.scope_claim {
        claims.scope = vec![scope.clone()];
    }
    let types = if section.types.is_empty() {
        vec!["jwt".into(), String::new()]
    } else {
        section.types.iter().map(|t| t.to_ascii_lowercase()).collect()
    };
    TrustedIssuer {
        issuer: section.issuer.clone(),
        audiences: section.audiences.clone(),
        types,
        keys: KeySource::Jwks(Arc::new(JwksCache::new(section.jwks_url.clone(), http.clone(), parts.clock.clone()))),
        claims,
        algorithms: section.algorithms.clone(),
        provider: ProviderId::google(),
    }
}
