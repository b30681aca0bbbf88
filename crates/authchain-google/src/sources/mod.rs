//! Token sources beside the credentials that people sign in for: a service account key with domain-wide delegation, gcloud's
//! application default credentials, an access token from the environment. A tool does not notice which one it has.
//!
//! None of them decides who is calling: they are asked for an account that the caller was found to own, and each refuses
//! every account that it is not meant for.

mod environment;
mod file;
mod flights;
mod gcloud;
mod grant;
mod service_account;

use std::sync::Arc;

use authchain_core::{AuthError, Clock, CredentialKey, Email, ProviderId, SystemClock};

pub use environment::AccessTokenFromEnvironment;
pub use file::{AdcFile, AuthorizedUser, FileError, ServiceAccountKey, default_file};
pub use gcloud::GcloudCredentials;
pub use service_account::{DelegatedServiceAccount, Delegation};

use crate::{Endpoints, RetryPolicy};

/// How token endpoints are reached.
#[derive(Clone)]
pub struct Upstream {
    /// The client that all requests go through. It must not follow redirects, and must end what takes too long.
    pub http: reqwest::Client,
    /// Where Google is. A key file that names its own token endpoint is believed.
    pub endpoints: Endpoints,
    /// How often an unanswered request is sent again.
    pub retry: RetryPolicy,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

impl Upstream {
    /// Google itself, with the clock of the machine and three attempts.
    pub fn new(http: reqwest::Client) -> Self {
        let retry = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
        Self { http, endpoints: Endpoints::google(), retry, clock: Arc::new(SystemClock) }
    }
}

/// The one account of a source that is one person's.
fn only(account: &Email, key: &CredentialKey) -> Result<(), AuthError> {
    if key.provider == ProviderId::google() && Email::new(key.user.as_str()).is_ok_and(|asked| asked == *account) {
        return Ok(());
    }
    Err(AuthError::NotYourAccount(key.user.to_string()))
}
