//! Asking the provider whose a credential is that does not say so.

use authchain::{
    core::{Credential, CredentialKey, Email, ProviderId, UserId},
    provider::{ProviderClient, RefreshError},
    store::import::{Finding, Found, Verdict},
};
use authchain_server::config::Config;
use serde_json::{Map, Value};

use super::super::{args::Import, remove::provider};

/// Gives an owner to each credential that has none yet, or refuses it. A dry run asks nobody.
pub(super) async fn settle(config: &Config, args: &Import, findings: &mut [Finding]) {
    for finding in findings {
        let Verdict::Credential(found) = &mut finding.verdict else { continue };
        if found.owner.is_some() || (args.writing.dry_run && !args.offline) {
            continue;
        }
        let asked = if args.offline { Err("--offline keeps from asking".to_owned()) } else { ask(config, found).await };
        match asked {
            Ok((email, credential)) => {
                found.credential = Credential { email: Some(email.clone()), ..credential };
                (found.owner, found.owner_from) = (Some(email), "provider");
            }
            Err(why) => {
                let hint = match &found.hint {
                    Some(email) => format!("; if it is of {email}, who signed in last there, that is --user {email}"),
                    None => String::new(),
                };
                finding.verdict = Verdict::Refused {
                    why: format!("it does not say whose it is, and the provider was not asked or did not say: {why}"),
                    fix: format!("Say whose it is: --user EMAIL{hint}"),
                };
            }
        }
    }
}

/// The verified address of whoever a fresh access token is of, and the credential with that token.
async fn ask(config: &Config, found: &Found) -> Result<(Email, Credential), String> {
    let key = CredentialKey::new(ProviderId::google(), UserId::new("unknown").map_err(|error| error.to_string())?);
    let client = provider(config, &key, Some(&found.credential.client)).map_err(|failure| failure.message)?;
    let fresh = match client.refresh(&found.credential).await {
        Ok(fresh) => fresh,
        // There is only the access token, and it has not expired.
        Err(RefreshError::NoRefreshToken) => found.credential.clone(),
        Err(error) => return Err(error.to_string()),
    };
    Ok((address(config, &client, &fresh).await?, fresh))
}

/// The answer of the userinfo endpoint (OpenID Connect Core 1.0, section 5.3).
async fn address(config: &Config, client: &ProviderClient, credential: &Credential) -> Result<Email, String> {
    let url = client.provider().userinfo_url.clone().ok_or("it has no userinfo endpoint")?;
    let token = credential.access_token.as_ref().ok_or("there is no access token to ask with")?;
    let http = authchain::provider::http_client_trusting(&config.trust).map_err(|error| error.to_string())?;
    let answer = http.get(url).bearer_auth(token.expose()).send().await.map_err(|e| e.without_url().to_string())?;
    if !answer.status().is_success() {
        return Err(format!("it answers {}: the scope openid or userinfo.email may be missing", answer.status()));
    }
    let claims: Map<String, Value> = answer.json().await.map_err(|_| "its answer makes no sense".to_owned())?;
    let vouched = matches!(claims.get("email_verified"), None | Some(Value::Bool(true)));
    let email = claims.get("email").and_then(Value::as_str).filter(|_| vouched);
    email.and_then(|email| Email::new(email).ok()).ok_or_else(|| "it does not vouch for an address".to_owned())
}
