//! What the stand-in refuses, and in which words: those of Google.

use authchain_testkit::Browser;

use crate::support::*;

#[tokio::test]
async fn a_bad_authorization_request_ends_on_a_page_and_never_at_the_client() {
    let google = eager().await;
    let browser = Browser::new().unwrap().stop_at(CALLBACK);
    for (changes, status, word) in [
        (&[("client_id", "")][..], 400, "client_id"),
        (&[("client_id", "stale")], 401, "invalid_client"),
        (&[("redirect_uri", "https://evil.example/cb")], 400, "redirect_uri_mismatch"),
        (&[("redirect_uri", "")], 400, "redirect_uri"),
        (&[("response_type", "token")], 400, "unsupported_response_type"),
        (&[("scope", "")], 400, "scope"),
        (&[("scope", "openid https://www.googleapis.com/auth/chat.bot")], 400, "invalid_scope"),
        (&[("code_challenge_method", "plain")], 400, "S256"),
        (&[("code_challenge_method", "")], 400, "S256"),
    ] {
        let page = browser.open(authorize_url(&google, "openid", changes)).await.unwrap();
        assert!(!page.stopped, "{changes:?}");
        assert_eq!(page.status, status, "{changes:?}");
        assert!(page.text().contains(word), "{changes:?}: {}", page.text());
    }
}

#[tokio::test]
async fn prompt_none_never_shows_a_page() {
    let google = asking().await;
    let back = walk(&google, &ann(), "openid", &[("prompt", "none")]).await;
    assert_eq!(back.query("error").as_deref(), Some("interaction_required"));
    google.control().auto_approve(true);
    let back = walk(&google, &ann(), "openid", &[("prompt", "none")]).await;
    assert_eq!(back.query("error").as_deref(), Some("interaction_required"), "nothing was granted yet");
    walk(&google, &ann(), "openid", &[]).await;
    assert!(walk(&google, &ann(), "openid", &[("prompt", "none")]).await.query("code").is_some());
}

#[tokio::test]
async fn a_bad_code_exchange_is_refused_in_googles_words() {
    let google = eager().await;
    for (changes, status, error, description) in [
        (&[("code_verifier", "wrong")][..], 400, "invalid_grant", "Invalid code verifier."),
        (&[("code_verifier", "")], 400, "invalid_grant", "Missing code verifier."),
        (&[("redirect_uri", "http://127.0.0.1:10/callback")], 400, "redirect_uri_mismatch", "Bad Request"),
        (&[("client_secret", "wrong")], 401, "invalid_client", "The provided client secret is invalid."),
        (&[("client_secret", "")], 400, "invalid_request", "client_secret is missing."),
        (&[("client_id", "stale")], 401, "invalid_client", "The OAuth client was not found."),
        (&[("client_id", "")], 400, "invalid_request", "Missing required parameter: client_id"),
        (&[("code", "forged")], 400, "invalid_grant", "Malformed auth code."),
        (&[("code", "")], 400, "invalid_request", "Missing required parameter: code"),
        (&[("grant_type", "password")], 400, "unsupported_grant_type", "Invalid grant_type: password"),
        (&[("grant_type", "")], 400, "invalid_request", "Missing required parameter: grant_type"),
    ] {
        let code = walk(&google, &ann(), "openid", &[]).await.query("code").unwrap();
        let (got, body) = exchange(&google, &code, changes).await;
        assert_eq!(
            (got, text(&body, "error"), text(&body, "error_description")),
            (status, error, description),
            "{changes:?}"
        );
    }
}

#[tokio::test]
async fn a_code_works_once() {
    let google = eager().await;
    let code = walk(&google, &ann(), "openid", &[]).await.query("code").unwrap();
    assert_eq!(exchange(&google, &code, &[]).await.0, 200);
    assert_eq!(exchange(&google, &code, &[]).await.0, 400);
}

#[tokio::test]
async fn a_token_that_is_not_alive_is_refused_everywhere() {
    let google = eager().await;
    assert_eq!(get(&google, "tokeninfo?access_token=forged", "").await.0, 400);
    assert_eq!(get(&google, "tokeninfo", "").await.0, 400);
    let (status, error) = get(&google, "oauth2/v3/userinfo", "forged").await;
    assert_eq!((status, text(&error, "error_description")), (401, "Invalid Credentials"));
    let (status, error) = post(&google, "revoke", &[("token", "forged")]).await;
    assert_eq!((status, text(&error, "error")), (400, "invalid_token"));
    let (status, error) = refresh(&google, "forged").await;
    assert_eq!((status, text(&error, "error_description")), (400, "Bad Request"));
    let without_openid = access_token(&google, &ann(), DRIVE);
    assert_eq!(get(&google, "oauth2/v3/userinfo", &without_openid).await.0, 403);
}

#[tokio::test]
async fn an_api_refuses_with_googles_error_shape() {
    let google = eager().await;
    let (status, error) = get(&google, "drive/v3/files", "forged").await;
    assert_eq!(status, 401);
    assert_eq!(error["error"]["errors"][0]["reason"], "authError");
    assert_eq!(error["error"]["status"], "UNAUTHENTICATED");

    let mail_only = access_token(&google, &ann(), GMAIL);
    let (status, error) = get(&google, "drive/v3/files", &mail_only).await;
    assert_eq!(status, 403);
    assert_eq!(error["error"]["errors"][0]["reason"], "insufficientPermissions");
    assert_eq!(error["error"]["details"][0]["reason"], "ACCESS_TOKEN_SCOPE_INSUFFICIENT");
    assert_eq!(error["error"]["details"][0]["metadata"]["service"], "drive.googleapis.com");

    let token = access_token(&google, &ann(), &format!("{DRIVE} {GMAIL}"));
    for (path, expected, reason) in [
        ("drive/v3/files/none", 404, "notFound"),
        ("drive/v3/files/bob-file-01", 404, "notFound"),
        ("drive/v3/files?q=colour%20%3D%20'red'", 400, "invalid"),
        ("drive/v3/files?pageSize=0", 400, "invalid"),
        ("drive/v3/files/ann-file-02?alt=media", 403, "fileNotDownloadable"),
        ("drive/v3/files/ann-file-04/export?mimeType=text/plain", 403, "fileNotExportable"),
        ("drive/v3/files/ann-file-02/export?mimeType=image/png", 400, "invalid"),
        ("gmail/v1/users/bob@example.com/messages", 403, "forbidden"),
        ("gmail/v1/users/me/messages/bobmail01", 404, "notFound"),
        ("gmail/v1/users/me/messages/annmail01?format=strange", 400, "invalid"),
        ("no/such/path", 404, "notFound"),
    ] {
        let (status, error) = get(&google, path, &token).await;
        assert_eq!((status, error["error"]["errors"][0]["reason"].as_str()), (expected, Some(reason)), "{path}");
    }
}

#[tokio::test]
async fn the_metadata_scope_narrows_whatever_stands_beside_it() {
    let google = eager().await;
    let both = "https://www.googleapis.com/auth/gmail.metadata https://www.googleapis.com/auth/gmail.readonly";
    let token = access_token(&google, &ann(), both);
    assert_eq!(get(&google, "gmail/v1/users/me/messages/annmail01?format=full", &token).await.0, 403);
    assert_eq!(get(&google, "gmail/v1/users/me/messages?q=fence", &token).await.0, 403);
    assert_eq!(get(&google, "gmail/v1/users/me/messages/annmail01?format=metadata", &token).await.0, 200);
}
