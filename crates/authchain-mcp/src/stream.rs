//! A stream outlives no token: what is open when the token ends is closed a moment later, cleanly, and whoever connects again
//! is checked again. A token that is refreshed in time so costs a client one more connection and no error.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use authchain::core::{Clock, Timestamp};
use bytes::Bytes;
use http::{Response, header::CONTENT_TYPE};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, combinators::BoxBody};
use tokio::time::{Sleep, sleep};

/// What rmcp answers with.
pub(crate) type Answer = Response<BoxBody<Bytes, Infallible>>;

/// As long as a token is accepted beyond its expiry.
const GRACE: Duration = Duration::from_secs(60);

/// The answer; where it is a stream, it ends with the credential that it was opened with, which expires then.
pub(crate) fn ends_with(answer: Answer, expires_at: Option<Timestamp>, clock: &dyn Clock) -> Answer {
    let is_stream =
        answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    match expires_at.filter(|_| is_stream).and_then(|at| life(at, clock.now())) {
        Some(life) => answer.map(|body| Limited { body, end: Some(Box::pin(sleep(life))) }.boxed()),
        None => answer,
    }
}

/// How long a stream may stay open that is opened now; `None` for ever.
fn life(expires_at: Timestamp, now: Timestamp) -> Option<Duration> {
    (expires_at != Timestamp::NEVER).then(|| expires_at.since(now).saturating_add(GRACE))
}

struct Limited {
    body: BoxBody<Bytes, Infallible>,
    /// `None` once it is over.
    end: Option<Pin<Box<Sleep>>>,
}

impl Body for Limited {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Some(end) = self.end.as_mut() else { return Poll::Ready(None) };
        if end.as_mut().poll(context).is_ready() {
            self.end = None;
            // The handler behind it hears that nobody listens any more.
            self.body = BoxBody::default();
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}

#[cfg(test)]
mod tests {
    use authchain::core::ManualClock;
    use http_body_util::StreamBody;

    use super::*;

    /// Says something and then nothing for ever.
    fn endless(kind: &'static str) -> Answer {
        let said = futures_util::stream::iter([Ok(Frame::data(Bytes::from("data: x\n\n")))]);
        let stream = futures_util::StreamExt::chain(said, futures_util::stream::pending());
        Response::builder().header(CONTENT_TYPE, kind).body(BodyExt::boxed(StreamBody::new(stream))).unwrap()
    }

    fn opened(kind: &'static str, expires_at: Timestamp, now: Timestamp) -> BoxBody<Bytes, Infallible> {
        ends_with(endless(kind), Some(expires_at), &ManualClock::new(now)).into_body()
    }

    #[tokio::test]
    async fn m4_an_open_stream_ends_cleanly_when_its_token_does_and_loses_nothing_that_was_said() {
        let body = endless("text/event-stream").into_body();
        let limited = Limited { body, end: Some(Box::pin(sleep(Duration::from_millis(20)))) };
        let said = limited.collect().await.expect("it ends without an error").to_bytes();
        assert_eq!(said, "data: x\n\n");
    }

    #[tokio::test]
    async fn m4_what_is_no_stream_or_has_no_end_is_left_alone() {
        for (kind, expires_at) in [("application/json", Timestamp(900)), ("text/event-stream", Timestamp::NEVER)] {
            let mut body = opened(kind, expires_at, Timestamp(1000));
            assert!(body.frame().await.is_some(), "{kind}");
            assert!(futures_util::FutureExt::now_or_never(body.frame()).is_none(), "{kind}: it waits");
        }
    }

    #[test]
    fn m4_a_stream_lives_as_long_as_its_token_is_accepted() {
        let now = Timestamp(1000);
        assert_eq!(life(Timestamp(1300), now), Some(Duration::from_secs(360)));
        assert_eq!(life(Timestamp(900), now), Some(GRACE));
        assert_eq!(life(Timestamp::NEVER, now), None);
    }
}
