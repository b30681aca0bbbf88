//! From the tool that lacks a scope back to the HTTP request that it answers: only there can a client be challenged.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use authchain::{AuthContext, core::AuthError};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, combinators::BoxBody};

use crate::stream;

/// What the tools of one request lacked. In the request's extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lacking(Arc<OnceLock<(AuthContext, AuthError)>>);

impl Lacking {
    pub(crate) fn report(&self, caller: &AuthContext, error: &AuthError) -> Report {
        Report { to: self.clone(), caller: caller.clone(), error: error.clone() }
    }
}

/// A missing scope that counts once a tool has ended with it: what it could do without needs no challenge.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    to: Lacking,
    caller: AuthContext,
    error: AuthError,
}

impl Report {
    pub(crate) fn file(self) {
        // The first one is asked for; a next call finds the next.
        let _ = self.to.0.set((self.caller, self.error));
    }
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// The answer to come, or the challenge in its place.
pub struct McpFuture {
    inner: Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>,
    lacking: Lacking,
    presented: Option<HeaderValue>,
    /// How long a stream may stay open.
    life: Option<Duration>,
}

impl McpFuture {
    pub(crate) fn new(
        inner: Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>,
        lacking: Lacking,
        presented: Option<HeaderValue>,
        life: Option<Duration>,
    ) -> Self {
        Self { inner, lacking, presented, life }
    }
}

impl Future for McpFuture {
    type Output = Result<Answer, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = stream::ends_after(ready!(self.inner.as_mut().poll(context))?, self.life);
        let Some((caller, error)) = self.lacking.0.get() else { return Poll::Ready(Ok(answer)) };
        // What has begun to stream has its status already.
        let is_whole = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == b"application/json");
        if !is_whole || answer.status() != StatusCode::OK {
            return Poll::Ready(Ok(answer));
        }
        let token = self.presented.as_ref().map(HeaderValue::as_bytes).unwrap_or_default();
        Poll::Ready(Ok(match caller.step_up(error, token) {
            Some(challenge) => challenge.map(BodyExt::boxed),
            None => answer,
        }))
    }
}
