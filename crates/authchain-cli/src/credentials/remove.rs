//! `revoke` and `delete`.

use std::sync::Arc;

use authchain::{
    core::{Clock, CredentialKey, Expect, OAuthClient, ScopeRules, SystemClock},
    provider::{CredentialManager, Provider, ProviderClient, RefreshOptions, Revocation, http_client_trusting},
};
use authchain_server::{config::Config, google_client};
use serde_json::json;

use super::{
    args::Which,
    confirm::confirm,
    list::stored,
    place::{self, IfMissing, unconfigured},
    words,
};
use crate::{failure::Failure, output::Output};

pub(super) async fn revoke(config: &Config, which: &Which, yes: bool, output: &Output) -> Result<(), Failure> {
    let place = place::configured(config, IfMissing::Empty).await?;
    let key = which.key().ok_or_else(|| unconfigured("no account is named"))?;
    let credential = stored(place.store(), &key).await?;
    confirm(
        &format!(
            "{key}: the grant ends at the provider, for every program that has it, and the credential is deleted from {place}."
        ),
        yes,
    )?;
    let provider = provider(config, &key, Some(&credential.client))?;
    let rules: Arc<dyn ScopeRules> = Arc::new(*authchain::google::registry());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let manager =
        CredentialManager::new(place.shared(), vec![Arc::new(provider)], rules, clock, RefreshOptions::default());
    let revocation = manager.disconnect(&key).await?;
    let mut answer = words::identity(&key);
    answer.insert("deleted".into(), json!(true));
    answer.insert("ended_at_provider".into(), json!(revocation.is_ended()));
    answer.insert("provider_says".into(), json!(revocation.to_string()));
    output.answer(&answer.into(), format!("{key}: deleted here; {revocation}."));
    match revocation {
        Revocation::Failed { cause } => Err(Failure {
            code: "partly_done",
            message: format!("the grant of {key} may live on at the provider: {cause}"),
            fix: "Remove the app on the account's own page: https://myaccount.google.com/connections".into(),
            exit: 9,
        }),
        _ => Ok(()),
    }
}

pub(super) async fn delete(config: &Config, which: &Which, yes: bool, output: &Output) -> Result<(), Failure> {
    let place = place::configured(config, IfMissing::Empty).await?;
    let key = which.key().ok_or_else(|| unconfigured("no account is named"))?;
    // A broken record can be deleted, too.
    if matches!(place.store().get(&key).await, Ok(None)) {
        return Err(Failure::not_found(format!("nothing is stored for {key}"), "See all: authchain credentials list"));
    }
    confirm(&format!("{key} is deleted from {place}; at the provider the grant lives on."), yes)?;
    let deleted = place.store().delete(&key, Expect::Any).await?;
    let mut answer = words::identity(&key);
    answer.insert("deleted".into(), json!(deleted));
    answer.insert("ended_at_provider".into(), json!(false));
    output.answer(&answer.into(), format!("{key}: deleted here. To end the grant as well, `revoke` does both."));
    output.say_when_servers_notice(&config.refresh);
    Ok(())
}

/// Speaks to the provider of a credential, as the configured client or else the one that it was granted to.
pub(super) fn provider(
    config: &Config,
    key: &CredentialKey,
    granted_to: Option<&OAuthClient>,
) -> Result<ProviderClient, Failure> {
    if key.provider.as_str() != "google" {
        return Err(unconfigured(format!("the provider {} is not configured", key.provider)));
    }
    let client = match (google_client(&config.providers.google), granted_to) {
        (Ok(client), _) => client,
        (Err(_), Some(client)) => client.clone(),
        (Err(error), None) => return Err(error.into()),
    };
    let provider = match &config.providers.google.base_url {
        Some(base) => Provider::google_at(base, client),
        None => Provider::google(client),
    };
    Ok(ProviderClient::new(provider, http_client_trusting(&config.trust)?, Arc::new(SystemClock)))
}
