//! Reading Google's error bodies. There are two generations of them, often in one body: `error.errors[].reason` of the older
//! APIs, and `error.details[]` with `google.rpc.ErrorInfo`, `RetryInfo` and `Help` of the newer.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use super::{Explained, Problem};

/// An error answer, picked apart.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    status: Option<u16>,
    /// All words that name the error, the most telling first.
    reasons: Vec<String>,
    message: Option<String>,
    link: Option<String>,
    retry_after: Option<Duration>,
}

impl Answer {
    pub(crate) fn of_status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// `status` is that of the response, where it is known apart from the body.
    pub(crate) fn of_json(status: Option<u16>, body: &Value) -> Self {
        let error = body.get("error").unwrap_or(body);
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let list = |name: &str| error.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut reasons: Vec<String> = list("details").iter().filter_map(|detail| text(detail, "reason")).collect();
        reasons.extend(list("errors").iter().filter_map(|entry| text(entry, "reason")));
        reasons.extend(text(error, "status"));
        // The token endpoint's form, RFC 6749, section 5.2: `{"error": "admin_policy_enforced", ...}`.
        reasons.extend(error.as_str().map(str::to_owned));
        let message = text(error, "message").or_else(|| text(body, "error_description"));
        let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        Self {
            status: status.or(code),
            link: link(list("details"), list("errors"), message.as_deref()),
            retry_after: list("details").iter().filter_map(|d| text(d, "retryDelay")).find_map(|d| seconds(&d)),
            reasons,
            message,
        }
    }

    /// `retry_after` is that of the response's header; the body's own comes first.
    pub(crate) fn explain(self, retry_after: Option<Duration>) -> Explained {
        let problem = self.problem(self.retry_after.or(retry_after));
        Explained {
            problem,
            status: self.status,
            reason: self.reasons.into_iter().next(),
            message: self.message.map(|message| message.chars().take(300).collect()),
        }
    }

    fn problem(&self, retry_after: Option<Duration>) -> Problem {
        let said = |part: &str| self.message.as_deref().is_some_and(|m| m.to_ascii_lowercase().contains(part));
        if said("chat app not found") || said("configure the app in the google cloud console") {
            return Problem::ChatAppMissing;
        }
        for reason in &self.reasons {
            if let Some(problem) = self.of_reason(reason, retry_after) {
                return problem;
            }
        }
        match self.status {
            Some(403) if said("insufficient authentication scopes") => Problem::ScopeMissing,
            Some(403) if said("has not been used in project") || said("it is disabled") => {
                Problem::ApiNotEnabled { link: self.link.clone() }
            }
            Some(401) => Problem::TokenRefused,
            Some(403) => Problem::Forbidden,
            Some(404 | 410) => Problem::NotFound,
            Some(409 | 412) => Problem::Conflict,
            Some(429) => Problem::RateLimited { retry_after },
            Some(408 | 500..) => Problem::Unavailable { retry_after },
            Some(400..) => Problem::BadRequest,
            _ => Problem::Other,
        }
    }

    /// `None` for words that say no more than the status does.
    fn of_reason(&self, reason: &str, retry_after: Option<Duration>) -> Option<Problem> {
        Some(match reason {
            "accessNotConfigured" | "SERVICE_DISABLED" | "serviceDisabled" => {
                Problem::ApiNotEnabled { link: self.link.clone() }
            }
            "insufficientPermissions" | "insufficientScopes" | "ACCESS_TOKEN_SCOPE_INSUFFICIENT" => {
                Problem::ScopeMissing
            }
            "rateLimitExceeded"
            | "userRateLimitExceeded"
            | "sharingRateLimitExceeded"
            | "concurrentLimitExceeded"
            | "RATE_LIMIT_EXCEEDED"
            | "RESOURCE_EXHAUSTED" => Problem::RateLimited { retry_after },
            "quotaExceeded"
            | "dailyLimitExceeded"
            | "dailyLimitExceededUnreg"
            | "storageQuotaExceeded"
            | "limitExceeded" => Problem::QuotaUsedUp,
            "domainPolicy" | "domainPolicyViolation" | "domainCannotUseApis" => Problem::DomainPolicy,
            "admin_policy_enforced" | "ADMIN_POLICY_ENFORCED" | "org_internal" | "disallowed_useragent" => {
                Problem::AdminPolicy
            }
            "appNotAuthorizedToFile" | "appAccess" => Problem::FileNotOpenedWithApp,
            "fileNotExportable" | "fileNotDownloadable" => Problem::WrongKindOfFile,
            "authError"
            | "UNAUTHENTICATED"
            | "ACCESS_TOKEN_EXPIRED"
            | "ACCESS_TOKEN_TYPE_UNSUPPORTED"
            | "CREDENTIALS_MISSING" => Problem::TokenRefused,
            "backendError" | "internalError" | "INTERNAL" | "UNAVAILABLE" | "DEADLINE_EXCEEDED" => {
                Problem::Unavailable { retry_after }
            }
            _ => return None,
        })
    }
}

/// Where the API is switched on, from the three places where Google may write it. Only addresses of Google's are passed on.
fn link(details: &[Value], errors: &[Value], message: Option<&str>) -> Option<String> {
    let activation = details.iter().filter_map(|d| d.pointer("/metadata/activationUrl")?.as_str());
    let help =
        details.iter().filter_map(|d| d.get("links")?.as_array()).flatten().filter_map(|l| l.get("url")?.as_str());
    let extended = errors.iter().filter_map(|e| e.get("extendedHelp")?.as_str());
    let words = message.unwrap_or_default().split_whitespace().map(|word| word.trim_end_matches(['.', ',', ')']));
    activation.chain(help).chain(extended).chain(words).find(|link| is_console(link)).map(str::to_owned)
}

fn is_console(link: &str) -> bool {
    ["https://console.developers.google.com/", "https://console.cloud.google.com/"].iter().any(|p| link.starts_with(p))
}

/// A `google.protobuf.Duration` in JSON: `30s`, `1.5s`. Rounded up.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds.ceil()).ok()
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3). Google does not send the form with a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
