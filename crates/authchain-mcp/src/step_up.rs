//! From the tool that lacks a scope back to the HTTP request that it answers: only there can a client be challenged.

use std::sync::{Arc, OnceLock};

use authchain::{AuthContext, core::AuthError};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;

use crate::stream::Answer;

/// What the tools of one request lacked. In the request's extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lacking(Arc<OnceLock<(AuthContext, AuthError)>>);

impl Lacking {
    pub(crate) fn report(&self, caller: &AuthContext, error: &AuthError) -> Report {
        Report { to: self.clone(), caller: caller.clone(), error: error.clone() }
    }

    /// The challenge in place of an answer that is whole: what has begun to stream has its status already. `presented` is
    /// the header with the request's token.
    pub(crate) fn challenge(&self, answer: &Answer, presented: Option<&HeaderValue>) -> Option<Answer> {
        let (caller, error) = self.0.get()?;
        let is_whole = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == b"application/json");
        if !is_whole || answer.status() != StatusCode::OK {
            return None;
        }
        let token = presented.map(HeaderValue::as_bytes).unwrap_or_default();
        caller.step_up(error, token).map(|challenge| challenge.map(BodyExt::boxed))
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
