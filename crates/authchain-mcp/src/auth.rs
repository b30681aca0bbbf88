//! The caller as a parameter of a tool.

use std::sync::Arc;

use authchain::{
    AuthContext,
    accounts::Account,
    core::{AccessToken, AuthError, Email, Principal, Scopes},
    google::{self, Explained, Hub, Problem, RestClient},
};
use rmcp::{
    ErrorData,
    handler::server::common::{AsRequestContext, FromContextPart},
};

use crate::{ToolError, step_up::Lacking};

/// The verified caller of a tool: put it among the tool's parameters.
#[derive(Clone, Debug)]
pub struct Auth {
    context: AuthContext,
    lacking: Lacking,
}

impl Auth {
    /// Who is calling.
    pub fn principal(&self) -> &Principal {
        self.context.principal()
    }

    /// The caller's verified address.
    pub fn email(&self) -> Option<&Email> {
        self.context.email()
    }

    /// The account that was selected with [`Auth::account`].
    pub fn selected(&self) -> Option<&Account> {
        self.context.account()
    }

    /// The same caller with the account that a tool's parameter names (`user_google_email`): one of their own, or it is
    /// refused. Left out, empty, `me` and `myself` mean the active account: the primary one, unless the person switched.
    ///
    /// # Errors
    /// A [`ToolError`] for an account that is not linked to the caller.
    pub async fn account(&self, user_google_email: Option<&str>) -> Result<Self, ToolError> {
        let requested = user_google_email.unwrap_or_default();
        self.context
            .with_account(requested)
            .await
            .map(|account| self.with(account))
            .map_err(|error| self.explain(&error))
    }

    /// A client for one of Google's APIs that acts for the caller: `auth.service::<DriveHub<_>>()`.
    ///
    /// # Errors
    /// A [`ToolError`] that says which scope is missing or where to sign in.
    pub async fn service<H: Hub>(&self) -> Result<Arc<H>, ToolError> {
        let auth = self.decided().await?;
        auth.context.service::<H>().await.map_err(|error| auth.explain(&error))
    }

    /// As [`Auth::service`], for calls that need these scopes.
    ///
    /// # Errors
    /// As [`Auth::service`].
    pub async fn service_with<H: Hub>(&self, scopes: impl Into<Scopes>) -> Result<Arc<H>, ToolError> {
        let auth = self.decided().await?;
        auth.context.service_with::<H>(scopes).await.map_err(|error| auth.explain(&error))
    }

    /// One call of a hub: `auth.call(|| drive.files().list().doit())`. When Google no longer takes the token, the call is
    /// made once more with a fresh one (a 401 means that nothing was done); when the account has to sign in, or a scope is
    /// missing, the error has the link for it. A hub's error that is passed on with `?` alone has only the words.
    ///
    /// # Errors
    /// A [`ToolError`] that says what the API's error means.
    pub async fn call<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, ToolError>
    where
        F: Future<Output = google_apis_common::Result<T>>,
    {
        let refused = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => google::explain(&error),
        };
        if !matches!(refused.problem, Problem::TokenRefused) {
            return Err(refused.into());
        }
        let auth = self.decided().await?;
        auth.context.give_up_token().await.map_err(|error| auth.explain(&error))?;
        match call().await.map_err(|error| google::explain(&error)) {
            Ok(answer) => Ok(answer),
            Err(Explained { problem: Problem::NoToken(error), .. }) => Err(auth.explain(&error)),
            Err(refused) => Err(refused.into()),
        }
    }

    /// A client for any API of the catalogue, by its name there: `photos`, `drive_v2`; for the scopes that a tool usually
    /// needs, or for these.
    ///
    /// # Errors
    /// As [`Auth::service`].
    pub async fn rest(&self, service: &str, scopes: Option<&Scopes>) -> Result<RestClient, ToolError> {
        let auth = self.decided().await?;
        auth.context.rest(service, scopes).await.map_err(|error| auth.explain(&error))
    }

    /// Clients for several APIs at once: `auth.services(["drive", "tasks"])`. One that cannot be made is an error in its
    /// place; the others work.
    ///
    /// # Errors
    /// A [`ToolError`] when no account could be selected.
    pub async fn services<'a>(
        &self,
        services: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Result<RestClient, ToolError>>, ToolError> {
        let auth = self.decided().await?;
        let made = auth.context.services(services).await;
        Ok(made.into_iter().map(|client| client.map_err(|error| auth.explain(&error))).collect())
    }

    /// An access token of the provider that covers `scopes`, for an API that has no typed client. It must not reach the
    /// client.
    ///
    /// # Errors
    /// As [`Auth::service`].
    pub async fn access_token(&self, scopes: impl Into<Scopes>) -> Result<AccessToken, ToolError> {
        let auth = self.decided().await?;
        auth.context.access_token(scopes).await.map_err(|error| auth.explain(&error))
    }

    /// With an account decided, so that the link in an error is for the account that the call was about.
    async fn decided(&self) -> Result<Self, ToolError> {
        self.context.selected().await.map(|context| self.with(context)).map_err(|error| self.explain(&error))
    }

    fn with(&self, context: AuthContext) -> Self {
        Self { context, lacking: self.lacking.clone() }
    }

    fn explain(&self, error: &AuthError) -> ToolError {
        ToolError::new(error, self.context.sign_in_url(error)).of_request(&self.lacking, &self.context, error)
    }
}

impl<C: AsRequestContext> FromContextPart<C> for Auth {
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        let parts = context.as_request_context().extensions.get::<http::request::Parts>();
        match parts.and_then(|parts| parts.extensions.get::<AuthContext>()) {
            Some(context) => {
                let lacking = parts.and_then(|parts| parts.extensions.get::<Lacking>()).cloned().unwrap_or_default();
                Ok(Self { context: context.clone(), lacking })
            }
            // A server that is reachable around the layer must not serve anybody.
            None => Err(ErrorData::internal_error("this server was started without its AuthLayer", None)),
        }
    }
}
