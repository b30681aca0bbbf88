//! What a tool knows of its caller, and what it can ask for.

use std::{fmt, sync::Arc};

use authchain_core::{
    AccessToken, AuthError, CredentialKey, Email, ExactScopes, Principal, ScopeRules, Scopes, Tier, TokenGroup,
    TokenSource,
};
use authchain_google::{Hub, RestClient, ServiceFactory};
use bytes::Bytes;
use futures_util::future::join_all;
use http::Response;
use http_body_util::Full;
use url::Url;

use crate::{StepUp, accounts::Account, tiers::CredentialBridge};

/// Where access tokens and API clients come from; the same for all requests of a server.
pub struct Toolbox {
    tokens: Option<Arc<dyn TokenSource>>,
    services: Option<ServiceFactory>,
    bridge: Arc<CredentialBridge>,
    rules: Arc<dyn ScopeRules>,
    sign_in: Option<Url>,
    step_up: Option<StepUp>,
}

impl Default for Toolbox {
    /// Nothing in it: for servers that only want to know who calls.
    fn default() -> Self {
        Self {
            tokens: None,
            services: None,
            bridge: Arc::default(),
            rules: Arc::new(ExactScopes),
            sign_in: None,
            step_up: None,
        }
    }
}

impl Toolbox {
    /// A toolbox with tokens of `tokens` for the accounts that `bridge` allows, and Google API clients of `services`.
    pub fn new(
        tokens: Arc<dyn TokenSource>,
        services: ServiceFactory,
        bridge: Arc<CredentialBridge>,
        rules: Arc<dyn ScopeRules>,
    ) -> Self {
        Self { tokens: Some(tokens), services: Some(services), bridge, rules, sign_in: None, step_up: None }
    }

    /// Names the page where a person can sign in (again).
    #[must_use]
    pub fn sign_in(mut self, page: Url) -> Self {
        self.sign_in = Some(page);
        self
    }

    /// Answers OAuth clients whose tools lack a scope with a challenge; see [`AuthContext::step_up`].
    #[must_use]
    pub fn step_up(mut self, step_up: StepUp) -> Self {
        self.step_up = Some(step_up);
        self
    }

    /// The cache of API clients, for its statistics and for clearing it.
    pub fn services(&self) -> Option<&ServiceFactory> {
        self.services.as_ref()
    }
}

/// The caller of a request, in its extensions. Cheap to clone; nothing is fetched until it is asked for.
#[derive(Clone)]
pub struct AuthContext {
    principal: Arc<Principal>,
    toolbox: Arc<Toolbox>,
    /// The account that was selected; the caller's active one until then.
    account: Option<Arc<Account>>,
}

impl AuthContext {
    pub(crate) fn new(principal: Arc<Principal>, toolbox: Arc<Toolbox>) -> Self {
        Self { principal, toolbox, account: None }
    }

    /// Who is calling.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The caller's verified address.
    pub fn email(&self) -> Option<&Email> {
        self.principal.email.as_ref()
    }

    /// The account that was selected for this call; `None` until then.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_deref()
    }

    /// Where the person can mend `error` in a browser: the page expects exactly the account that is used, and asks for the
    /// scopes that are missing beside those that are there. `None` for errors that no sign-in mends.
    pub fn sign_in_url(&self, error: &AuthError) -> Option<Url> {
        let mut url = self.toolbox.sign_in.clone()?;
        let own = || self.account.as_deref().cloned().unwrap_or_else(|| Account::of(&self.principal));
        let account = match error {
            AuthError::SignInNeeded { key, .. } => Account::from(key),
            AuthError::InsufficientScope { .. } => own(),
            _ => return None,
        };
        let mut query = url.query_pairs_mut();
        query.append_pair("account", account.user.as_str());
        match error {
            AuthError::InsufficientScope { needed, .. } => {
                query.append_pair("scopes", &needed.to_string());
            }
            AuthError::SignInNeeded { key, .. } if key.group != TokenGroup::default() => {
                let registry = authchain_google::registry();
                let granted = self.principal.scopes.iter();
                let of_group: Scopes = granted.filter(|scope| registry.token_group(scope) == key.group).collect();
                query.append_pair("scopes", &of_group.to_string());
            }
            _ => {}
        }
        if let AuthError::InsufficientScope { needed, .. } = error
            && !self.missing(needed).is_empty()
        {
            // The account's consent alone does not help: the client's token lacks them too. Only what we issued can get
            // more from us.
            match (&self.principal.tier, &self.principal.grant) {
                (Tier::ProviderSession | Tier::SessionCache, Some(grant)) => query.append_pair("grant", grant),
                _ => return None,
            };
        }
        drop(query);
        Some(url)
    }

    /// The challenge that answers a request whose tool ended with `error`. `None` where the tool's own words, with
    /// [`AuthContext::sign_in_url`], are the better answer: the error is no missing scope, the caller is no OAuth client of
    /// ours, or it was challenged for the same within the last minute and has not asked for more. `token` is what the
    /// request presented.
    pub fn step_up(&self, error: &AuthError, token: &[u8]) -> Option<Response<Full<Bytes>>> {
        self.toolbox.step_up.as_ref()?.answer(&self.principal, token, error, self.sign_in_url(error).as_ref())
    }

    /// The same caller with another of their accounts: an address, or `me`. What a tool's parameter names selects among
    /// the caller's own accounts; it never says who the caller is.
    ///
    /// # Errors
    /// [`AuthError::NotYourAccount`] for an account that is not linked to the caller.
    pub async fn with_account(&self, requested: &str) -> Result<Self, AuthError> {
        let key = self.toolbox.bridge.select(&self.principal, Some(requested)).await?;
        Ok(Self { account: Some(Arc::new(Account::from(&key))), ..self.clone() })
    }

    /// The same caller with an account: the one that was selected before, else the active one. From then on a switch by
    /// another request changes nothing for this one.
    ///
    /// # Errors
    /// As [`AuthContext::with_account`].
    pub async fn selected(&self) -> Result<Self, AuthError> {
        if self.account.is_some() { Ok(self.clone()) } else { self.with_account("me").await }
    }

    /// An access token of the provider that covers `scopes` and is valid now. It must not be given to the client. The
    /// credential is that of the token group which the scopes belong to.
    ///
    /// # Errors
    /// [`AuthError::InsufficientScope`] when the client was not granted `scopes`, [`AuthError::Configuration`] for scopes
    /// of several token groups, which no token has together; otherwise as [`AuthContext::with_account`] and
    /// [`TokenSource::access_token`].
    pub async fn access_token(&self, scopes: impl Into<Scopes>) -> Result<AccessToken, AuthError> {
        let scopes = scopes.into();
        self.demand(&scopes)?;
        let key = self.key_in(group_of(&scopes)?).await?;
        self.tokens()?.access_token(&key, &scopes).await
    }

    /// A client for one of Google's APIs that acts for the caller: `auth.service::<DriveHub<_>>()`. The caller's client
    /// must have been granted at least one scope of that API. Cached per person; its tokens are refreshed underneath.
    ///
    /// # Errors
    /// As [`AuthContext::service_with`].
    pub async fn service<H: Hub>(&self) -> Result<Arc<H>, AuthError> {
        let granted = &self.principal.scopes;
        let registry = authchain_google::registry();
        if !granted.iter().any(|scope| registry.describe(scope).is_some_and(|known| known.service() == H::SERVICE)) {
            let needed = authchain_google::catalogue().find(H::SERVICE).map(authchain_google::Service::minimal);
            return Err(AuthError::InsufficientScope { needed: needed.unwrap_or_default(), granted: granted.clone() });
        }
        self.hub(&Scopes::none()).await
    }

    /// As [`AuthContext::service`], for calls that need these scopes.
    ///
    /// # Errors
    /// [`AuthError::InsufficientScope`] when the client or the stored credential was not granted `scopes`,
    /// [`AuthError::SignInNeeded`] when the account has to sign in, otherwise as [`AuthContext::with_account`] and
    /// [`TokenSource::access_token`].
    pub async fn service_with<H: Hub>(&self, scopes: impl Into<Scopes>) -> Result<Arc<H>, AuthError> {
        let scopes = scopes.into();
        self.demand(&scopes)?;
        self.hub(&scopes).await
    }

    /// A client for any API of the catalogue, by its name there: `photos`, `drive_v2`. `None` for the scopes: those that a
    /// tool usually needs.
    ///
    /// # Errors
    /// As [`AuthContext::service_with`]; [`AuthError::Configuration`] for a service that is unknown or closed.
    pub async fn rest(&self, service: &str, scopes: Option<&Scopes>) -> Result<RestClient, AuthError> {
        let selected = authchain_google::catalogue().get(service)?.service;
        let scopes = scopes.cloned().unwrap_or_else(|| selected.default_scopes());
        self.demand(&scopes)?;
        let key = self.key_in(selected.token_group()).await?;
        self.factory()?.rest(&key, service, Some(&scopes)).await
    }

    /// Clients for several APIs at once, each as by [`AuthContext::rest`] with the scopes that a tool usually needs. One that
    /// cannot be made is an error in its place; the others work.
    pub async fn services<'a>(
        &self,
        services: impl IntoIterator<Item = &'a str>,
    ) -> Vec<Result<RestClient, AuthError>> {
        join_all(services.into_iter().map(|service| self.rest(service, None))).await
    }

    /// Google did not take the account's token: it is given up, so that the next call gets a fresh one, or learns that the
    /// account has to sign in.
    ///
    /// # Errors
    /// As [`AuthContext::with_account`] and [`TokenSource::access_token`].
    pub async fn give_up_token(&self) -> Result<(), AuthError> {
        let key = self.key_in(TokenGroup::default()).await?;
        let tokens = self.tokens()?;
        let refused = tokens.access_token(&key, &Scopes::none()).await?;
        tokens.reject(&key, &refused);
        Ok(())
    }

    async fn hub<H: Hub>(&self, scopes: &Scopes) -> Result<Arc<H>, AuthError> {
        let service = authchain_google::catalogue().find(H::SERVICE);
        let key = self.key_in(service.map(authchain_google::Service::token_group).unwrap_or_default()).await?;
        self.factory()?.service::<H>(&self.principal.user, &key, scopes).await
    }

    /// The credential of the account that is used, in this token group.
    async fn key_in(&self, group: TokenGroup) -> Result<CredentialKey, AuthError> {
        let key = match &self.account {
            Some(account) => account.key(),
            None => self.toolbox.bridge.select(&self.principal, None).await?,
        };
        Ok(CredentialKey { group, ..key })
    }

    /// What the token of the request allows bounds what is done with it, whatever the person granted to others.
    fn demand(&self, scopes: &Scopes) -> Result<(), AuthError> {
        if self.missing(scopes).is_empty() {
            return Ok(());
        }
        Err(AuthError::InsufficientScope { needed: scopes.clone(), granted: self.principal.scopes.clone() })
    }

    fn missing(&self, scopes: &Scopes) -> Scopes {
        self.toolbox.rules.missing(scopes, &self.principal.scopes)
    }

    fn factory(&self) -> Result<&ServiceFactory, AuthError> {
        self.toolbox.services.as_ref().ok_or_else(no_toolbox)
    }

    fn tokens(&self) -> Result<&dyn TokenSource, AuthError> {
        self.toolbox.tokens.as_deref().ok_or_else(no_toolbox)
    }
}

/// The one token group that scopes belong to.
fn group_of(scopes: &Scopes) -> Result<TokenGroup, AuthError> {
    let mut parts = authchain_google::registry().split(scopes).into_iter().map(|(group, _)| group);
    let first = parts.next().unwrap_or_default();
    match parts.next() {
        None => Ok(first),
        Some(other) => Err(AuthError::Configuration(format!(
            "Google grants scopes of the groups {} and {} apart: ask for one token each",
            first.as_str(),
            other.as_str()
        ))),
    }
}

fn no_toolbox() -> AuthError {
    AuthError::Configuration("AuthLayer was built without a toolbox, so there are no access tokens".into())
}

impl fmt::Debug for AuthContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthContext").field("principal", &self.principal).field("account", &self.account).finish()
    }
}

#[cfg(test)]
mod tests;
