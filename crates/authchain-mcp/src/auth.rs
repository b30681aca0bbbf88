//! The caller as a parameter of a tool.

use std::sync::Arc;

use authchain::{
    AuthContext,
    core::{AccessToken, AuthError, Email, Principal, Scopes},
    google::Hub,
};
use rmcp::{
    ErrorData,
    handler::server::{
        common::{AsRequestContext, FromContextPart},
    },
};

use crate::ToolError;

/// The verified caller of a tool: put it among the tool's parameters.
#[derive(Clone, Debug)]
pub struct Auth(AuthContext);

impl Auth {
    /// Who is calling.
    pub fn principal(&self) -> &Principal {
        self.0.principal()
    }

    /// The caller's verified address.
    pub fn email(&self) -> Option<&Email> {
        self.0.email()
    }

    /// The same caller with the account that a tool's parameter names (`user_google_email`): one of their own, or it is
    /// refused. Left out, empty, `me` and `myself` mean the primary account.
    ///
    /// # Errors
    /// A [`ToolError`] for an account that is not linked to the caller.
    pub async fn account(&self, user_google_email: Option<&str>) -> Result<Self, ToolError> {
        let requested = user_google_email.unwrap_or_default();
        self.0.with_account(requested).await.map(Self).map_err(|error| self.explain(error))
    }

    /// A client for one of Google's APIs that acts for the caller: `auth.service::<DriveHub<_>>()`.
    ///
    /// # Errors
    /// A [`ToolError`] that says which scope is missing or where to sign in.
    pub async fn service<H: Hub>(&self) -> Result<Arc<H>, ToolError> {
        self.0.service::<H>().await.map_err(|error| self.explain(error))
    }

    /// As [`Auth::service`], for calls that need these scopes.
    ///
    /// # Errors
    /// As [`Auth::service`].
    pub async fn service_with<H: Hub>(&self, scopes: impl Into<Scopes>) -> Result<Arc<H>, ToolError> {
        self.0.service_with::<H>(scopes).await.map_err(|error| self.explain(error))
    }

    /// An access token of the provider that covers `scopes`, for an API that has no typed client. It must not reach the
    /// client.
    ///
    /// # Errors
    /// As [`Auth::service`].
    pub async fn access_token(&self, scopes: impl Into<Scopes>) -> Result<AccessToken, ToolError> {
        self.0.access_token(scopes).await.map_err(|error| self.explain(error))
    }

    fn explain(&self, error: AuthError) -> ToolError {
        ToolError::new(&error, self.0.sign_in_url())
    }
}

impl<C: AsRequestContext> FromContextPart<C> for Auth {
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        let parts = context.as_request_context().extensions.get::<http::request::Parts>();
        match parts.and_then(|parts| parts.extensions.get::<AuthContext>()) {
            Some(auth) => Ok(Self(auth.clone())),
            // A server that is reachable around the layer must not serve anybody.
            None => Err(ErrorData::internal_error("this server was started without its AuthLayer", None)),
        }
    }
}
