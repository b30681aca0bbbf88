//! Errors of the Google APIs, in the JSON that they send: the old `errors[]` with its reason and the newer `status` and
//! `details` side by side.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::Endpoint;

/// One error answer. Boxed, since it is the rare way out of every method.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError(Box<Answer>);

#[derive(Clone, Debug, PartialEq)]
struct Answer {
    code: u16,
    reason: String,
    /// The new style message, and that of `errors[]` where it is another one.
    message: String,
    old_message: Option<&'static str>,
    domain: &'static str,
    location: Option<(&'static str, &'static str)>,
    status: Option<&'static str>,
    details: Vec<Value>,
}

impl Answer {
    fn new(code: u16, reason: &str, message: &str) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
            message: message.to_owned(),
            old_message: None,
            domain: "global",
            location: None,
            status: None,
            details: Vec::new(),
        }
    }

    fn usage_limit(self) -> Self {
        Self { domain: "usageLimits", ..self }
    }

    fn status(self, status: &'static str) -> Self {
        Self { status: Some(status), ..self }
    }
}

impl From<Answer> for ApiError {
    fn from(answer: Answer) -> Self {
        Self(Box::new(answer))
    }
}

impl ApiError {
    /// No token, or one that is not alive.
    pub(crate) fn auth() -> Self {
        let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                       other valid authentication credential.";
        Self::from(Answer {
            old_message: Some("Invalid Credentials"),
            location: Some(("Authorization", "header")),
            ..Answer::new(401, "authError", message).status("UNAUTHENTICATED")
        })
    }

    /// A token whose scopes do not cover the method.
    pub(crate) fn insufficient(endpoint: Endpoint, method: &str) -> Self {
        let message = "Request had insufficient authentication scopes.";
        Self::from(Answer {
            old_message: Some("Insufficient Permission"),
            details: vec![error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", endpoint, Some(method))],
            ..Answer::new(403, "insufficientPermissions", message).status("PERMISSION_DENIED")
        })
    }

    /// Something that this person may not do, for whatever reason the words give.
    pub(crate) fn forbidden(message: &str) -> Self {
        Answer::new(403, "forbidden", message).status("PERMISSION_DENIED").into()
    }

    /// There is nothing of that name.
    pub(crate) fn not_found(message: &str) -> Self {
        Answer::new(404, "notFound", message).status("NOT_FOUND").into()
    }

    /// A parameter that makes no sense.
    pub(crate) fn invalid(parameter: &'static str, message: &str) -> Self {
        let answer = Answer::new(400, "invalid", message).status("INVALID_ARGUMENT");
        Self::from(Answer { location: Some((parameter, "parameter")), ..answer })
    }

    /// A refusal with one of Google's reasons.
    pub(crate) fn refusal(endpoint: Endpoint, reason: &str) -> Self {
        let (code, message) = match reason {
            "authError" => return Self::auth(),
            "insufficientPermissions" => return Self::insufficient(endpoint, ""),
            "accessNotConfigured" => return Self::not_enabled(endpoint),
            "rateLimitExceeded" => (403, "Rate Limit Exceeded"),
            "userRateLimitExceeded" => (403, "User Rate Limit Exceeded"),
            "dailyLimitExceeded" => (403, "Daily Limit Exceeded"),
            "domainPolicy" => (403, "The domain administrators have disabled access to this service for this user."),
            "fileNotDownloadable" => {
                (403, "Only files with binary content can be downloaded. Use Export with Docs Editors files.")
            }
            "fileNotExportable" => (403, "Export only supports Docs Editors files."),
            "backendError" => (503, "Backend Error"),
            _ => (403, "Forbidden"),
        };
        let answer = Answer::new(code, reason, message);
        if reason.ends_with("LimitExceeded") { answer.usage_limit().into() } else { answer.into() }
    }

    /// What Google says with this status when it is its own fault or patience.
    pub(crate) fn of_status(code: u16) -> Self {
        match code {
            401 => Self::auth(),
            403 => Self::forbidden("Forbidden"),
            404 => Self::not_found("Not Found"),
            429 => Answer::new(429, "rateLimitExceeded", "Rate Limit Exceeded")
                .usage_limit()
                .status("RESOURCE_EXHAUSTED")
                .into(),
            500.. => Answer::new(code, "backendError", "Backend Error").status("UNAVAILABLE").into(),
            _ => Answer::new(code, "badRequest", "Bad Request").into(),
        }
    }

    /// The API is not switched on in the app's project.
    fn not_enabled(endpoint: Endpoint) -> Self {
        let (api, title) = names(endpoint);
        let link = format!("https://console.developers.google.com/apis/api/{api}/overview?project=123456789012");
        let message = format!(
            "{title} API has not been used in project 123456789012 before or it is disabled. Enable it by visiting {link} \
             then retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems \
             and retry."
        );
        let help = json!({
            "@type": "type.googleapis.com/google.rpc.Help",
            "links": [{"description": "Google developers console API activation", "url": link}],
        });
        let answer = Answer::new(403, "accessNotConfigured", &message).usage_limit().status("PERMISSION_DENIED");
        Self::from(Answer { details: vec![help, error_info("SERVICE_DISABLED", endpoint, None)], ..answer })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let answer = *self.0;
        let mut inner = Map::new();
        inner.insert("message".into(), answer.old_message.unwrap_or(&answer.message).into());
        inner.insert("domain".into(), answer.domain.into());
        inner.insert("reason".into(), answer.reason.into());
        if let Some((location, kind)) = answer.location {
            inner.insert("location".into(), location.into());
            inner.insert("locationType".into(), kind.into());
        }
        let mut error = Map::new();
        error.insert("code".into(), answer.code.into());
        error.insert("message".into(), answer.message.into());
        error.insert("errors".into(), json!([inner]));
        if let Some(status) = answer.status {
            error.insert("status".into(), status.into());
        }
        if !answer.details.is_empty() {
            error.insert("details".into(), answer.details.into());
        }
        let status = StatusCode::from_u16(answer.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(json!({ "error": error }))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge =
                HeaderValue::from_static(r#"Bearer realm="https://accounts.google.com/", error="invalid_token""#);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// A `google.rpc.ErrorInfo`.
fn error_info(reason: &str, endpoint: Endpoint, method: Option<&str>) -> Value {
    let mut metadata = json!({"service": names(endpoint).0});
    if let (Some(method), Some(metadata)) = (method.filter(|m| !m.is_empty()), metadata.as_object_mut()) {
        metadata.insert("method".into(), method.into());
    }
    json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com",
           "metadata": metadata})
}

/// The service's name and its title.
fn names(endpoint: Endpoint) -> (&'static str, &'static str) {
    match endpoint {
        Endpoint::Gmail => ("gmail.googleapis.com", "Gmail"),
        Endpoint::Calendar => ("calendar-json.googleapis.com", "Google Calendar"),
        _ => ("drive.googleapis.com", "Google Drive"),
    }
}
