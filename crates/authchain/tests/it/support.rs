//! A tier that says what it is told, and ways to ask.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use authchain::core::{
    AuthError, AuthRequest, Look, Principal, ProviderId, Resolver, Scopes, Tier, Timestamp, Token, UserId,
};

/// A principal by its name.
pub(crate) fn person(name: &str) -> Arc<Principal> {
    Arc::new(Principal {
        user: UserId::new(name).unwrap(),
        email: None,
        provider: ProviderId::google(),
        tier: Tier::Custom("test".into()),
        scopes: Scopes::none(),
        client: None,
        grant: None,
        expires_at: Timestamp::NEVER,
    })
}

/// What a scripted tier does with the bearer token it is meant for.
#[derive(Clone)]
pub(crate) enum Script {
    Known(Arc<Principal>),
    Bad,
    Down,
}

/// Answers one bearer token as scripted, and is silent about all others. `waits`: only when asked to.
pub(crate) struct Scripted {
    pub(crate) name: &'static str,
    pub(crate) token: &'static str,
    pub(crate) script: Script,
    pub(crate) waits: bool,
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Scripted {
    pub(crate) fn new(name: &'static str, token: &'static str, script: Script) -> Self {
        Self { name, token, script, waits: false, asked: Arc::default() }
    }

    pub(crate) fn waiting(mut self) -> Self {
        self.waits = true;
        self
    }

    fn answer(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if request.presented.bearer().map(Token::as_str) != Some(self.token) {
            return Ok(None);
        }
        match &self.script {
            Script::Known(principal) => Ok(Some(principal.clone())),
            Script::Bad => Err(AuthError::InvalidToken("scripted")),
            Script::Down => Err(AuthError::UpstreamUnavailable {
                retry_after: std::time::Duration::from_secs(3),
                cause: authchain::core::Cause::text("scripted"),
            }),
        }
    }
}

#[async_trait]
impl Resolver for Scripted {
    fn tier(&self) -> Tier {
        Tier::Custom(self.name.into())
    }

    fn look(&self, request: &AuthRequest<'_>) -> Look {
        if self.waits {
            return Look::Ask;
        }
        match self.answer(request) {
            Ok(Some(principal)) => Look::Known(principal),
            Ok(None) => Look::Absent,
            Err(error) => Look::Refused(error),
        }
    }

    async fn resolve(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<Principal>>, AuthError> {
        tokio::task::yield_now().await;
        self.answer(request)
    }
}

pub(crate) fn request(token: Option<&str>) -> http::Request<()> {
    let mut request = http::Request::get("/mcp");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(()).unwrap()
}
