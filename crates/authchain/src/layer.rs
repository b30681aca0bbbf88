//! The tower middleware: `Layer`, `Service` and future, side by side.
//!
//! ```
//! use authchain::{AuthContext, AuthLayer, Chain, Challenge, tiers::OAuthFallback};
//! use axum::{Extension, Router, routing::get};
//!
//! let auth = AuthLayer::new(Chain::builder().tier(OAuthFallback).build()).challenge(Challenge::new());
//! let app: Router = Router::new()
//!     .route("/", get(|Extension(auth): Extension<AuthContext>| async move { auth.principal().user.to_string() }))
//!     .route_layer(auth);
//! ```

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use authchain_core::{AuthError, AuthRequest, Principal};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{AuthContext, Chain, Challenge, GuardedBody, Toolbox, chain::FirstLook};

/// Puts a [`Chain`] in front of a service. Requests that it lets through carry an [`AuthContext`] in their extensions;
/// the others are answered with a [`Challenge`]. Cheap to clone.
#[derive(Clone)]
pub struct AuthLayer(Arc<Gate>);

struct Gate {
    chain: Chain,
    challenge: Challenge,
    toolbox: Arc<Toolbox>,
}

impl AuthLayer {
    /// A layer that identifies callers; tools get no access tokens until there is a [`Toolbox`].
    pub fn new(chain: Chain) -> Self {
        Self(Arc::new(Gate { chain, challenge: Challenge::new(), toolbox: Arc::default() }))
    }

    /// What refusals say.
    #[must_use]
    pub fn challenge(self, challenge: Challenge) -> Self {
        Self(Arc::new(Gate { chain: self.0.chain.clone(), challenge, toolbox: self.0.toolbox.clone() }))
    }

    /// Where tools get access tokens and API clients from.
    #[must_use]
    pub fn toolbox(self, toolbox: Arc<Toolbox>) -> Self {
        Self(Arc::new(Gate { chain: self.0.chain.clone(), challenge: self.0.challenge.clone(), toolbox }))
    }

    /// Who sends a request with this head, for handlers that know callers in other ways too.
    ///
    /// # Errors
    /// The challenge that is the answer.
    pub async fn identify(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<AuthContext, Response<Full<Bytes>>> {
        let decision = match AuthRequest::new(method, uri, headers) {
            Ok(request) => self.0.chain.resolve(&request).await,
            Err(error) => Err(error),
        };
        match decision {
            Ok(principal) => Ok(AuthContext::new(principal, self.0.toolbox.clone())),
            Err(error) => Err(self.0.challenge.response(&error)),
        }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;
    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService { inner, gate: self.0.clone() }
    }
}

/// A service behind the chain.
#[derive(Clone)]
pub struct AuthService<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for AuthService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    ReqBody: Send + 'static,
    ResBody: Body<Data = Bytes> + 'static,
{
    type Response = Response<GuardedBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, S::Error, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let look = match AuthRequest::of(&request) {
            Ok(head) => self.gate.chain.look(&head),
            Err(error) => FirstLook::Decided(Err(error)),
        };
        let kind = match look {
            FirstLook::Decided(Ok(principal)) => {
                self.gate.admit(&mut request, principal);
                Kind::Served { future: self.inner.call(request) }
            }
            FirstLook::Decided(Err(error)) => Kind::Refused { response: Some(self.gate.challenge.response(&error)) },
            FirstLook::AskFrom(tier) => {
                // The clone has not been polled ready; the service that was is the one to call.
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                Kind::Asking { future: Box::pin(self.gate.clone().ask(tier, request, inner)) }
            }
        };
        ResponseFuture { kind }
    }
}

impl Gate {
    /// Leaves the caller in the request's extensions.
    fn admit<B>(&self, request: &mut Request<B>, principal: Arc<Principal>) {
        request.extensions_mut().insert(AuthContext::new(principal, self.toolbox.clone()));
    }

    async fn ask<S, ReqBody, ResBody>(
        self: Arc<Self>,
        tier: usize,
        request: Request<ReqBody>,
        mut inner: S,
    ) -> Result<Response<GuardedBody<ResBody>>, S::Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    {
        // Only the head is needed while waiting; the body need not be shareable between threads.
        let (head, body) = request.into_parts();
        let decision = match AuthRequest::new(&head.method, &head.uri, &head.headers) {
            Ok(request) => self.chain.resolve_from(tier, &request).await,
            Err(error) => Err(error),
        };
        match decision {
            Ok(principal) => {
                let mut request = Request::from_parts(head, body);
                self.admit(&mut request, principal);
                Ok(inner.call(request).await?.map(GuardedBody::served))
            }
            Err(error) => Ok(self.refusal(&error)),
        }
    }

    fn refusal<B>(&self, error: &AuthError) -> Response<GuardedBody<B>> {
        self.challenge.response(error).map(GuardedBody::refused)
    }
}

type Asking<B, E> = Pin<Box<dyn Future<Output = Result<Response<GuardedBody<B>>, E>> + Send>>;

pin_project! {
    /// The response to come. A warm request polls the inner service's future and nothing else.
    pub struct ResponseFuture<F, E, B> {
        #[pin]
        kind: Kind<F, E, B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F, E, B> {
        Served { #[pin] future: F },
        Refused { response: Option<Response<Full<Bytes>>> },
        Asking { future: Asking<B, E> },
    }
}

impl<F, E, B> Future for ResponseFuture<F, E, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<GuardedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Served { future } => {
                Poll::Ready(ready!(future.poll(cx)).map(|response| response.map(GuardedBody::served)))
            }
            KindProjection::Refused { response } => {
                let response = response.take().expect("a future is not polled after it is ready");
                Poll::Ready(Ok(response.map(GuardedBody::refused)))
            }
            KindProjection::Asking { future } => future.as_mut().poll(cx),
        }
    }
}
