//! What an API error means, and what a person can do about it. Google answers 403 for a dozen different reasons; each has
//! its own sentence here.

mod answer;

use std::{fmt, time::Duration};

use authchain_core::{AuthError, Cause, CredentialKey, Scopes, SignIn};
use google_apis_common::Error;

pub(crate) use answer::{Answer, retry_after};

/// What went wrong at an API.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Problem {
    /// There was no usable token; the error of the token source.
    NoToken(AuthError),
    /// 401: Google does not take the token, although it has not expired. The person has taken the grant back, or an
    /// administrator has.
    TokenRefused,
    /// 403: the token was not granted for this.
    ScopeMissing,
    /// 403: the API is not switched on in the Cloud project.
    ApiNotEnabled {
        /// The page on which to switch it on.
        link: Option<String>,
    },
    /// 403 or 429: too many requests.
    RateLimited {
        /// When to try again, where Google says so.
        retry_after: Option<Duration>,
    },
    /// 403: the quota of the day, or of the account's storage, is used up.
    QuotaUsedUp,
    /// 403: the person's Workspace domain does not allow the API or the app.
    DomainPolicy,
    /// 403: an administrator has blocked the app or the scope.
    AdminPolicy,
    /// 403 or 404: no Chat app is configured in the Cloud project.
    ChatAppMissing,
    /// 403: with `drive.file` an app sees only the files that it made or that were opened with it.
    FileNotOpenedWithApp,
    /// 403: a folder, a form and the like have no content, and one kind of content is not given out as another.
    WrongKindOfFile,
    /// 403: this account may not do this to this object.
    Forbidden,
    /// 404 or 410: there is no such object, or this account may not see it.
    NotFound,
    /// 409 or 412: somebody else has changed it.
    Conflict,
    /// 400: the request makes no sense to Google.
    BadRequest,
    /// 5xx, or no answer at all.
    Unavailable {
        /// When to try again, where Google says so.
        retry_after: Option<Duration>,
    },
    /// An answer that cannot be read, or another failure.
    Other,
}

/// An API error, understood.
#[derive(Clone, Debug)]
pub struct Explained {
    /// What it is.
    pub problem: Problem,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// Google's word for it: `accessNotConfigured`, `PERMISSION_DENIED`, ...
    pub reason: Option<String>,
    /// Google's own message, cut to a readable length. It may name the person's files; it holds no secret of authchain's.
    pub message: Option<String>,
}

/// What an error of a hub means.
pub fn explain(error: &Error) -> Explained {
    match error {
        Error::MissingToken(cause) => match cause.downcast_ref::<AuthError>() {
            Some(error) => Explained::of(Problem::NoToken(error.clone())),
            None => Explained::of(Problem::Other).saying(&cause.to_string()),
        },
        Error::BadRequest(body) => Answer::of_json(None, body).explain(None),
        Error::Failure(response) => {
            let retry_after = retry_after(response.headers());
            Answer::of_status(response.status().as_u16()).explain(retry_after)
        }
        Error::HttpError(error) => Explained::of(Problem::Unavailable { retry_after: None }).saying(&chain_of(error)),
        Error::Io(error) => Explained::of(Problem::Unavailable { retry_after: None }).saying(&error.to_string()),
        Error::JsonDecodeError(_, error) => Explained::of(Problem::Other).saying(&error.to_string()),
        Error::MissingAPIKey | Error::UploadSizeLimitExceeded(..) | Error::Cancelled | Error::FieldClash(_) => {
            Explained::of(Problem::Other).saying(error.to_string().trim())
        }
    }
}

/// An error and its causes in one line.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

impl Explained {
    pub(crate) fn of(problem: Problem) -> Self {
        Self { problem, status: None, reason: None, message: None }
    }

    pub(crate) fn saying(mut self, message: &str) -> Self {
        self.message = Some(message.chars().take(300).collect());
        self
    }

    /// What a person can do about it, in one sentence.
    pub fn sentence(&self) -> String {
        match &self.problem {
            Problem::NoToken(error) => error.code().what_to_do().to_owned(),
            Problem::ApiNotEnabled { link: Some(link) } => {
                format!("Switch the API on in the Cloud project of this server, then try again in a minute: {link}")
            }
            Problem::ApiNotEnabled { link: None } => {
                "Switch the API on in the Cloud project of this server (console.cloud.google.com/apis/library), then try \
                 again in a minute."
                    .to_owned()
            }
            Problem::RateLimited { retry_after: Some(wait) } | Problem::Unavailable { retry_after: Some(wait) } => {
                format!("Nothing was lost. Try again in {} seconds.", wait.as_secs().max(1))
            }
            other => other.advice().to_owned(),
        }
    }

    /// As an error of authchain's, for the account and the scopes that the call was made with. What is not about
    /// authentication (not found, a bad request) becomes [`AuthError::UpstreamRefused`] with the sentence.
    pub fn into_auth_error(self, key: &CredentialKey, scopes: &Scopes) -> AuthError {
        let default_wait = Duration::from_secs(5);
        match &self.problem {
            Problem::NoToken(error) => error.clone(),
            Problem::TokenRefused => AuthError::SignInNeeded {
                key: key.clone(),
                why: SignIn::Refused("the API refused the access token (401)".into()),
            },
            // What was granted is not known here: the answer names nothing, and the token source held it for enough.
            Problem::ScopeMissing => AuthError::InsufficientScope { needed: scopes.clone(), granted: Scopes::none() },
            Problem::ApiNotEnabled { .. } | Problem::ChatAppMissing => AuthError::Configuration(self.to_string()),
            Problem::RateLimited { retry_after } | Problem::Unavailable { retry_after } => {
                AuthError::UpstreamUnavailable {
                    retry_after: retry_after.unwrap_or(default_wait),
                    cause: Cause::text(self.to_string()),
                }
            }
            _ => AuthError::UpstreamRefused { cause: Cause::text(self.to_string()) },
        }
    }
}

impl Problem {
    fn advice(&self) -> &'static str {
        match self {
            Self::NoToken(_) => "Sign in again with this account.",
            Self::TokenRefused => {
                "Google does not take this account's token any more: access was taken back. Sign in again."
            }
            Self::ScopeMissing => {
                "This account has not granted what the call needs: sign in again and leave all boxes on Google's page ticked."
            }
            Self::ApiNotEnabled { .. } => "Switch the API on in the Cloud project of this server.",
            Self::RateLimited { .. } => "Google asks for fewer requests: try again in a few seconds.",
            Self::QuotaUsedUp => {
                "A quota is used up: the project's for today (console.cloud.google.com/apis/dashboard) or the account's storage."
            }
            Self::DomainPolicy => {
                "The Workspace domain of this account does not allow this: its administrator can, in the admin console \
                 under Security, API controls."
            }
            Self::AdminPolicy => {
                "The Workspace administrator has blocked this app or this scope: they can trust the app's client id in the \
                 admin console under Security, API controls, App access control."
            }
            Self::ChatAppMissing => {
                "Google Chat answers only after a Chat app is configured: console.cloud.google.com, Google Chat API, \
                 Configuration. Accounts outside Workspace are always refused."
            }
            Self::FileNotOpenedWithApp => {
                "With per-file access (drive.file) only files that this app made, or that were opened with it, are there; \
                 ask for drive.readonly or drive to see others."
            }
            Self::WrongKindOfFile => {
                "A file of this kind cannot be read this way: folders have no content, and Google's own documents are \
                 exported, not downloaded."
            }
            Self::Forbidden => "This account may not do this: ask the owner to share it, or use another account.",
            Self::NotFound => "It does not exist, or this account may not see it: look at the id and at the account.",
            Self::Conflict => "Somebody else has changed it meanwhile: read it again and repeat.",
            Self::BadRequest => "Google does not understand the request: look at the parameters.",
            Self::Unavailable { .. } => "Google does not answer. Nothing was lost; try again in a few seconds.",
            Self::Other => "The answer of the API cannot be used.",
        }
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())?;
        let details: Vec<String> =
            [self.status.map(|status| status.to_string()), self.reason.clone(), self.message.clone()]
                .into_iter()
                .flatten()
                .collect();
        if details.is_empty() { Ok(()) } else { write!(f, " (Google: {})", details.join(", ")) }
    }
}

impl std::error::Error for Explained {}

#[cfg(test)]
mod tests;
