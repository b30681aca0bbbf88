//! What a tool answers when it cannot go on: a text that a model can pass on, with the link that helps.

use authchain::{
    AuthContext,
    core::{AuthError, ErrorCode},
    google::{Explained, RestError},
};
use rmcp::model::{ContentBlock, IntoContents};
use url::Url;

use crate::step_up::{Lacking, Report};

/// Why a tool could not do its work, in words for the person. As a tool's error it becomes a result with `isError`, which
/// the model reads, and not a protocol error, which many clients hide.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct ToolError {
    text: String,
    /// The scope that was missing, for the answer to the HTTP request.
    report: Option<Box<Report>>,
}

impl ToolError {
    /// The words for `error`, with the page where the person can sign in, where that helps.
    pub fn new(error: &AuthError, sign_in: Option<Url>) -> Self {
        let code = error.code();
        let mut text = format!("{}. {}", capitalized(&error.to_string()), code.what_to_do());
        match (code, sign_in) {
            (ErrorCode::SignInNeeded | ErrorCode::SessionControl | ErrorCode::WrongAccount, Some(page)) => {
                text.push_str(&format!(
                    "\n\n[Sign in here]({page}), then ask for the same again: the call can simply be repeated."
                ));
            }
            (ErrorCode::InsufficientScope, page) => {
                if let AuthError::InsufficientScope { needed, granted } = error {
                    text.push_str(&format!("\n\nNeeded: {needed}\nGranted: {granted}"));
                }
                if let Some(page) = page {
                    text.push_str(&format!(
                        "\n\n[Allow it here]({page}): what was allowed before stays. Then ask for the same again: the call can simply be repeated."
                    ));
                }
            }
            _ => {}
        }
        Self { text, report: None }
    }

    /// A failure of the tool itself, in its own words.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), report: None }
    }

    /// Where it is what a tool ends with, and a scope is what it lacks, the request is answered accordingly.
    pub(crate) fn of_request(mut self, lacking: &Lacking, caller: &AuthContext, error: &AuthError) -> Self {
        if matches!(error, AuthError::InsufficientScope { .. }) {
            self.report = Some(Box::new(lacking.report(caller, error)));
        }
        self
    }
}

fn capitalized(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

impl IntoContents for ToolError {
    fn into_contents(self) -> Vec<ContentBlock> {
        if let Some(report) = self.report {
            report.file();
        }
        vec![ContentBlock::text(self.text)]
    }
}

/// An error of a Google API call becomes the sentence that says what it means.
impl From<google_apis_common::Error> for ToolError {
    fn from(error: google_apis_common::Error) -> Self {
        authchain::google::explain(&error).into()
    }
}

impl From<RestError> for ToolError {
    fn from(error: RestError) -> Self {
        Self::text(error.to_string())
    }
}

impl From<Explained> for ToolError {
    fn from(explained: Explained) -> Self {
        Self::text(explained.to_string())
    }
}

#[cfg(test)]
mod tests {
    use authchain::core::{CredentialKey, ProviderId, SignIn, UserId};

    use super::*;

    #[test]
    fn a_dead_credential_comes_with_the_link_that_mends_it() {
        let key = CredentialKey::new(ProviderId::google(), UserId::new("ann@example.com").unwrap());
        let error = AuthError::SignInNeeded { key, why: SignIn::Refused("invalid_grant".into()) };
        let page = "http://127.0.0.1:8002/auth?account=ann%40example.com".parse().unwrap();
        let text = ToolError::new(&error, Some(page)).to_string();
        assert!(text.contains("[Sign in here](http://127.0.0.1:8002/auth?account=ann%40example.com)"), "{text}");
    }

    #[test]
    fn a_missing_scope_is_named() {
        let error = AuthError::InsufficientScope { needed: "gmail.send".into(), granted: "drive".into() };
        assert!(ToolError::new(&error, None).to_string().contains("Needed: gmail.send\nGranted: drive"));
        let page = "http://127.0.0.1:8002/auth?account=ann%40example.com&scopes=gmail.send".parse().unwrap();
        let text = ToolError::new(&error, Some(page)).to_string();
        assert!(
            text.contains("[Allow it here](http://127.0.0.1:8002/auth?account=ann%40example.com&scopes=gmail.send)"),
            "{text}"
        );
    }
}
