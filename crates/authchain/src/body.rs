//! The body of a guarded service's response: the service's own, or that of a refusal.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

pin_project! {
    /// The inner service's body, or the short JSON text of a refusal.
    pub struct GuardedBody<B> {
        #[pin]
        kind: Inner<B>,
    }
}

pin_project! {
    #[project = InnerProjection]
    enum Inner<B> {
        Served { #[pin] body: B },
        Refused { #[pin] body: Full<Bytes> },
    }
}

impl<B> GuardedBody<B> {
    /// The inner service's own body, or that of a refusal.
    ///
    /// # Errors
    /// The refusal's body.
    pub fn into_served(self) -> Result<B, Full<Bytes>> {
        match self.kind {
            Inner::Served { body } => Ok(body),
            Inner::Refused { body } => Err(body),
        }
    }

    pub(crate) fn served(body: B) -> Self {
        Self { kind: Inner::Served { body } }
    }

    pub(crate) fn refused(body: Full<Bytes>) -> Self {
        Self { kind: Inner::Refused { body } }
    }
}

impl<B: Body<Data = Bytes>> Body for GuardedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            InnerProjection::Served { body } => body.poll_frame(cx),
            InnerProjection::Refused { body } => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Inner::Served { body } => body.is_end_stream(),
            Inner::Refused { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Inner::Served { body } => body.size_hint(),
            Inner::Refused { body } => body.size_hint(),
        }
    }
}
