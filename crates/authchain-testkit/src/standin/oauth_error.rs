//! Errors of the OAuth endpoints, in the JSON and with the words that Google uses.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Map, Value};

/// An error of RFC 6749, section 5.2, with Google's `error_subtype` where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OAuthError {
    pub(crate) status: u16,
    pub(crate) error: String,
    pub(crate) description: String,
    pub(crate) subtype: Option<String>,
}

impl OAuthError {
    pub(crate) fn new(status: u16, error: &str, description: &str) -> Self {
        Self { status, error: error.to_owned(), description: description.to_owned(), subtype: None }
    }

    pub(crate) fn invalid_grant(description: &str) -> Self {
        Self::new(400, "invalid_grant", description)
    }

    pub(crate) fn revoked() -> Self {
        Self::invalid_grant("Token has been expired or revoked.")
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        Self::new(400, "invalid_request", &format!("Missing required parameter: {parameter}"))
    }

    /// What Google says when a refresh is refused in these words.
    pub(crate) fn refusal(words: &str) -> Self {
        match words {
            "invalid_grant" => Self::revoked(),
            "invalid_rapt" | "rapt_required" => Self {
                subtype: Some(words.to_owned()),
                ..Self::invalid_grant(&format!("reauth related error ({words})"))
            },
            "invalid_client" => Self::new(401, words, "The OAuth client was not found."),
            "deleted_client" => Self::new(401, words, "The OAuth client was deleted."),
            "unauthorized_client" => Self::new(401, words, "Unauthorized"),
            other => Self::new(400, other, "Bad Request"),
        }
    }

    /// What Google says with this status when it is its own fault or patience.
    pub(crate) fn of_status(status: u16) -> Self {
        let (error, words) = match status {
            400 => ("invalid_request", "Bad Request"),
            401 => ("invalid_client", "Unauthorized"),
            403 => ("access_denied", "Forbidden"),
            429 => ("rate_limit_exceeded", "Rate Limit Exceeded"),
            503 => ("temporarily_unavailable", "The service is currently unavailable."),
            _ => ("internal_failure", "Internal Error"),
        };
        Self::new(status, error, words)
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        body.insert("error".into(), self.error.into());
        body.insert("error_description".into(), self.description.into());
        if let Some(subtype) = self.subtype {
            body.insert("error_subtype".into(), subtype.into());
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (
            status,
            [(header::CACHE_CONTROL, "no-cache, no-store, max-age=0, must-revalidate")],
            axum::Json(Value::Object(body)),
        )
            .into_response()
    }
}
