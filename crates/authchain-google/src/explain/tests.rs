//! Each meaning of an error answer, with bodies as Google sends them.

use authchain_core::{ErrorCode, ProviderId, UserId};
use serde_json::json;

use super::*;

fn key() -> CredentialKey {
    CredentialKey::new(ProviderId::google(), UserId::new("ann@example.com").unwrap())
}

fn code_of(explained: Explained) -> ErrorCode {
    explained.into_auth_error(&key(), &Scopes::from("a")).code()
}

fn legacy(code: u16, reason: &str, message: &str) -> Explained {
    explain(&Error::BadRequest(json!({
        "error": {"code": code, "message": message, "errors": [{"domain": "usageLimits", "reason": reason, "message": message}]}
    })))
}

#[test]
fn an_error_of_the_token_source_comes_back_as_it_was() {
    let error = AuthError::SignInNeeded { key: key(), why: SignIn::NeverSignedIn };
    let explained = explain(&Error::MissingToken(Box::new(error)));
    assert!(matches!(&explained.problem, Problem::NoToken(AuthError::SignInNeeded { .. })));
    assert_eq!(code_of(explained), ErrorCode::SignInNeeded);
}

#[test]
fn an_api_that_is_not_switched_on_is_named_with_the_link() {
    let link = "https://console.developers.google.com/apis/api/drive.googleapis.com/overview?project=1";
    let message = format!(
        "Drive API has not been used in project 1 before or it is disabled. Enable it by visiting {link} then retry."
    );
    let old = legacy(403, "accessNotConfigured", &message);
    assert!(matches!(&old.problem, Problem::ApiNotEnabled { link: Some(found) } if found == link));
    let new = explain(&Error::BadRequest(json!({"error": {
        "code": 403, "status": "PERMISSION_DENIED", "message": message,
        "details": [{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED",
            "metadata": {"activationUrl": link, "service": "drive.googleapis.com"}
        }]
    }})));
    assert!(new.sentence().contains(link), "{}", new.sentence());
    assert_eq!(code_of(new), ErrorCode::Configuration);
}

#[test]
fn a_link_that_is_not_googles_is_not_passed_on() {
    let explained = legacy(403, "accessNotConfigured", "visit https://console.cloud.google.com.evil.example/x");
    assert!(matches!(explained.problem, Problem::ApiNotEnabled { link: None }));
}

#[test]
fn a_missing_scope_is_a_missing_scope() {
    assert_eq!(
        code_of(legacy(403, "insufficientPermissions", "Insufficient Permission")),
        ErrorCode::InsufficientScope
    );
    let new = explain(&Error::BadRequest(json!({"error": {
        "code": 403, "status": "PERMISSION_DENIED", "message": "Request had insufficient authentication scopes.",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]
    }})));
    assert!(matches!(new.problem, Problem::ScopeMissing));
    let bare = explain(&Error::BadRequest(json!({"error": {
        "code": 403, "status": "PERMISSION_DENIED", "message": "Request had insufficient authentication scopes."
    }})));
    assert!(matches!(bare.problem, Problem::ScopeMissing));
}

#[test]
fn too_many_requests_are_no_reason_to_sign_in_again() {
    for reason in ["rateLimitExceeded", "userRateLimitExceeded"] {
        assert_eq!(code_of(legacy(403, reason, "Rate Limit Exceeded")), ErrorCode::UpstreamUnavailable, "{reason}");
    }
    let told = explain(&Error::BadRequest(json!({"error": {
        "code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "29.4s"}]
    }})));
    let error = told.into_auth_error(&key(), &Scopes::none());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
}

#[test]
fn policies_and_quotas_have_sentences_of_their_own() {
    let cases = [
        (legacy(403, "domainPolicy", "The domain administrators have disabled Drive apps."), "Workspace domain"),
        (legacy(403, "dailyLimitExceeded", "Daily Limit Exceeded"), "quota"),
        (legacy(403, "appNotAuthorizedToFile", "The user has not granted the app access to the file"), "drive.file"),
        (legacy(403, "insufficientFilePermissions", "The user does not have sufficient permissions"), "share"),
        (explain(&Error::BadRequest(json!({"error": "admin_policy_enforced"}))), "administrator has blocked"),
    ];
    for (explained, words) in cases {
        assert!(explained.sentence().contains(words), "{}", explained.sentence());
        assert_eq!(code_of(explained), ErrorCode::UpstreamRefused);
    }
}

#[test]
fn a_folder_that_cannot_be_read_is_nobodys_to_share() {
    let folder = legacy(403, "fileNotExportable", "Export only supports Docs Editors files.");
    assert!(matches!(folder.problem, Problem::WrongKindOfFile));
    assert!(!folder.sentence().contains("share"), "{folder}");
}

#[test]
fn a_chat_app_that_is_not_configured_is_not_a_missing_message() {
    let explained = explain(&Error::BadRequest(json!({"error": {
        "code": 404, "status": "NOT_FOUND",
        "message": "Google Chat app not found. To create a Chat app, you must turn on the Chat API and configure the app in the Google Cloud console."
    }})));
    assert!(matches!(explained.problem, Problem::ChatAppMissing));
    assert_eq!(code_of(explained), ErrorCode::Configuration);
}

#[test]
fn a_refused_token_asks_for_a_new_sign_in() {
    assert_eq!(code_of(legacy(401, "authError", "Invalid Credentials")), ErrorCode::SignInNeeded);
    assert_eq!(code_of(Answer::of_status(401).explain(None)), ErrorCode::SignInNeeded);
}

#[test]
fn the_other_statuses_mean_what_they_say() {
    let of = |status| Answer::of_status(status).explain(None).problem;
    assert!(matches!(of(404), Problem::NotFound));
    assert!(matches!(of(410), Problem::NotFound));
    assert!(matches!(of(412), Problem::Conflict));
    assert!(matches!(of(429), Problem::RateLimited { retry_after: None }));
    assert!(matches!(of(503), Problem::Unavailable { .. }));
    assert!(matches!(of(400), Problem::BadRequest));
    assert!(matches!(of(403), Problem::Forbidden));
    assert!(matches!(of(302), Problem::Other));
}

#[test]
fn an_outage_is_never_a_reason_to_sign_in() {
    assert_eq!(code_of(legacy(503, "backendError", "Backend Error")), ErrorCode::UpstreamUnavailable);
    let answer = Answer::of_status(503).explain(Some(Duration::from_secs(7)));
    assert_eq!(answer.sentence(), "Nothing was lost. Try again in 7 seconds.");
}

#[test]
fn a_body_of_another_shape_does_no_harm() {
    for body in [json!(null), json!([]), json!({"error": {"errors": 3, "details": {}, "code": "x"}}), json!("words")] {
        let explained = explain(&Error::BadRequest(body));
        assert!(!explained.to_string().is_empty());
    }
}
