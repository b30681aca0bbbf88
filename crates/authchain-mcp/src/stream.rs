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

/// As long as a token is accepted beyond its expiry.
const GRACE: Duration = Duration::from_secs(60);

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// How long a stream may stay open that is opened now with a credential that expires then; `None` for ever.
pub(crate) fn life(expires_at: Timestamp, clock: &dyn Clock) -> Option<Duration> {
    (expires_at != Timestamp::NEVER).then(|| expires_at.since(clock.now()).saturating_add(GRACE))
}

/// The answer; where it is a stream, it ends after this time.
pub(crate) fn ends_after(answer: Answer, life: Option<Duration>) -> Answer {
    let is_stream =
        answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    match life {
        Some(life) if is_stream => answer.map(|body| Limited { body, end: Some(Box::pin(sleep(life))) }.boxed()),
        _ => answer,
    }
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

    #[tokio::test]
    async fn m4_an_open_stream_ends_cleanly_when_its_token_does_and_loses_nothing_that_was_said() {
        let stream = ends_after(endless("text/event-stream"), Some(Duration::from_millis(20))).into_body();
        let said = stream.collect().await.expect("it ends without an error").to_bytes();
        assert_eq!(said, "data: x\n\n");
    }

    #[tokio::test]
    async fn m4_what_is_no_stream_or_has_no_end_is_left_alone() {
        for (kind, life) in [("application/json", Some(Duration::ZERO)), ("text/event-stream", None)] {
            let mut body = ends_after(endless(kind), life).into_body();
            assert!(body.frame().await.is_some(), "{kind}");
            assert!(futures_util::FutureExt::now_or_never(body.frame()).is_none(), "{kind}: it waits");
        }
    }

    #[test]
    fn m4_a_stream_lives_as_long_as_its_token_is_accepted() {
        let clock = ManualClock::new(Timestamp(1000));
        assert_eq!(life(Timestamp(1300), &clock), Some(Duration::from_secs(360)));
        assert_eq!(life(Timestamp(900), &clock), Some(GRACE));
        assert_eq!(life(Timestamp::NEVER, &clock), None);
    }
}
