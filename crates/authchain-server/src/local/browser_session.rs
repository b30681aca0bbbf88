//! Who signed in at this browser. It opens the pages of this server and nothing else: no tool accepts this cookie.

use authchain::{
    accounts::Account,
    core::{AuthError, Email, Expect, Namespace, ProviderId, StateKey, StoreError, UserId},
};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::{
    keys::{base64url, from_base64url, hashed, random},
    params::Params,
    server::Shared,
};

const BROWSER: Namespace = Namespace("browser");

/// A browser's session, found by the hash of its cookie.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BrowserSession {
    pub(super) email: Email,
    pub(super) provider: ProviderId,
    #[serde(skip)]
    id: String,
}

impl BrowserSession {
    /// The session of the browser that sends this request.
    pub(super) async fn of(server: &Shared, headers: &HeaderMap) -> Result<Option<Self>, StoreError> {
        let Some(cookie) = server.cookies.read(headers, &server.cookies.session()) else { return Ok(None) };
        let id = hashed(cookie);
        let Some(stored) = server.parts.state.get(&StateKey::new(BROWSER, &id)).await? else { return Ok(None) };
        let session: Self = serde_json::from_slice(&stored.value)
            .map_err(|e| StoreError::Corrupt { what: "a browser's session".into(), why: e.to_string() })?;
        Ok(Some(Self { id, ..session }))
    }

    /// The same for a form of ours: `None` also where the form's token is not this session's.
    pub(super) async fn posting(
        server: &Shared,
        headers: &HeaderMap,
        params: &Params,
    ) -> Result<Option<Self>, AuthError> {
        let session = Self::of(server, headers).await?;
        let token = params.one("csrf").ok().flatten().and_then(from_base64url).unwrap_or_default();
        Ok(session.filter(|session| {
            token.len() == 32 && server.keys.forms.recognises(&[b"csrf", session.id.as_bytes()], &token)
        }))
    }

    /// Begins a session; its cookie. A new one each time, so that nobody can have set it before.
    pub(super) async fn begin(server: &Shared, email: &Email) -> Result<HeaderValue, AuthError> {
        let cookie = base64url(random::<32>()?);
        let provider = server.parts.provider.provider().id.clone();
        let session = Self { email: email.clone(), provider, id: hashed(&cookie) };
        let record = serde_json::to_vec(&session).map_err(|e| StoreError::Unsupported(e.to_string()))?;
        let life = server.options.browser_life;
        server.parts.state.put(&StateKey::new(BROWSER, &session.id), &record, life, Expect::Absent).await?;
        server
            .cookies
            .set(&server.cookies.session(), &cookie, life)
            .map_err(|e| AuthError::Configuration(format!("a cookie cannot be set: {e}")))
    }

    /// Ends it; whose it was, and the cookie that removes it from the browser.
    pub(super) async fn end(self, server: &Shared) -> Result<(Email, HeaderValue), AuthError> {
        server.parts.state.take(&StateKey::new(BROWSER, &self.id)).await?;
        let cookie = server
            .cookies
            .clear(&server.cookies.session())
            .map_err(|e| AuthError::Configuration(format!("a cookie cannot be set: {e}")))?;
        Ok((self.email, cookie))
    }

    /// What a form of this session carries.
    pub(super) fn csrf(&self, server: &Shared) -> String {
        base64url(server.keys.forms.tag(&[b"csrf", self.id.as_bytes()]))
    }

    /// The person, by the account that they signed in with.
    pub(super) fn person(&self) -> Account {
        Account { provider: self.provider.clone(), user: self.user() }
    }

    /// The person's id.
    pub(super) fn user(&self) -> UserId {
        UserId::from(&self.email)
    }
}
