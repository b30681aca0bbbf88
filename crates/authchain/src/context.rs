//! What a tool knows of its caller, and what it can ask for.

use std::{fmt, sync::Arc};

use authchain_core::{AccessToken, AuthError, CredentialKey, Email, ExactScopes, Principal, ScopeRules, Scopes, TokenSource};
use authchain_google::{Hub, ServiceFactory};
use url::Url;

use crate::tiers::CredentialBridge;

/// Where access tokens and API clients come from; the same for all requests of a server.
pub struct Toolbox {
    tokens: Option<Arc<dyn TokenSource>>,
    services: Option<ServiceFactory>,
    bridge: Arc<CredentialBridge>,
    rules: Arc<dyn ScopeRules>,
    sign_in: Option<Url>,
}

impl Default for Toolbox {
    /// Nothing in it: for servers that only want to know who calls.
    fn default() -> Self {
        Self { tokens: None, services: None, bridge: Arc::default(), rules: Arc::new(ExactScopes), sign_in: None }
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
        Self { tokens: Some(tokens), services: Some(services), bridge, rules, sign_in: None }
    }

    /// Names the page where a person can sign in (again).
    #[must_use]
    pub fn sign_in(mut self, page: Url) -> Self {
        self.sign_in = Some(page);
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
    /// The account that is used, where it is not the caller's primary one.
    account: Option<Arc<CredentialKey>>,
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

    /// Which credential is used.
    pub fn key(&self) -> CredentialKey {
        self.account.as_deref().cloned().unwrap_or_else(|| self.principal.primary_key())
    }

    /// Where the person can sign in with the account that is used; the page expects exactly this account.
    pub fn sign_in_url(&self) -> Option<Url> {
        let mut url = self.toolbox.sign_in.clone()?;
        url.query_pairs_mut().append_pair("account", self.key().user.as_str());
        Some(url)
    }

    /// The same caller with another of their accounts: an address, or `me`. What a tool's parameter names selects among
    /// the caller's own accounts; it never says who the caller is.
    ///
    /// # Errors
    /// [`AuthError::NotYourAccount`] for an account that is not linked to the caller.
    pub async fn with_account(&self, requested: &str) -> Result<Self, AuthError> {
        let key = self.toolbox.bridge.select(&self.principal, Some(requested)).await?;
        Ok(Self { account: Some(Arc::new(key)), ..self.clone() })
    }

    /// An access token of the provider that covers `scopes` and is valid now. It must not be given to the client.
    ///
    /// # Errors
    /// [`AuthError::InsufficientScope`] when the client was not granted `scopes`, otherwise as
    /// [`TokenSource::access_token`].
    pub async fn access_token(&self, scopes: impl Into<Scopes>) -> Result<AccessToken, AuthError> {
        let scopes = scopes.into();
        self.demand(&scopes)?;
        self.tokens()?.access_token(&self.key(), &scopes).await
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
    /// [`AuthError::SignInNeeded`] when the account has to sign in, otherwise as [`TokenSource::access_token`].
    pub async fn service_with<H: Hub>(&self, scopes: impl Into<Scopes>) -> Result<Arc<H>, AuthError> {
        let scopes = scopes.into();
        self.demand(&scopes)?;
        self.hub(&scopes).await
    }

    async fn hub<H: Hub>(&self, scopes: &Scopes) -> Result<Arc<H>, AuthError> {
        let services = self.toolbox.services.as_ref().ok_or_else(no_toolbox)?;
        services.service::<H>(&self.principal.user, &self.key(), scopes).await
    }

    /// What the token of the request allows bounds what is done with it, whatever the person granted to others.
    fn demand(&self, scopes: &Scopes) -> Result<(), AuthError> {
        let granted = &self.principal.scopes;
        if self.toolbox.rules.missing(scopes, granted).is_empty() {
            return Ok(());
        }
        Err(AuthError::InsufficientScope { needed: scopes.clone(), granted: granted.clone() })
    }

    fn tokens(&self) -> Result<&dyn TokenSource, AuthError> {
        self.toolbox.tokens.as_deref().ok_or_else(no_toolbox)
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
