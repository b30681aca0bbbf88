//! The OAuth and OpenID Connect side on a good day.

use std::time::Duration;

use authchain_core::{Clock, ManualClock, OAuthClient, Scopes, Timestamp};
use authchain_testkit::{StandIn, StandInOptions};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::Value;

use crate::support::*;

/// The claims of an ID token, verified with the published keys as a stranger would.
async fn claims(google: &StandIn, id_token: &str) -> Value {
    let (_, keys) = get(google, "oauth2/v3/certs", "").await;
    let keys: JwkSet = serde_json::from_value(keys).unwrap();
    let header = jsonwebtoken::decode_header(id_token).unwrap();
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).expect("its key is published")).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[StandIn::client_id()]);
    validation.set_issuer(&[google.issuer()]);
    jsonwebtoken::decode::<Value>(id_token, &key, &validation).unwrap().claims
}

#[tokio::test]
async fn a_sign_in_gives_a_verifiable_id_token_and_working_tokens() {
    let google = eager().await;
    let answer = sign_in(&google, &ann(), &format!("openid email profile {DRIVE}"), &[]).await;
    assert_eq!(text(&answer, "token_type"), "Bearer");
    assert_eq!(answer["expires_in"], 3599);
    let granted = Scopes::from(text(&answer, "scope"));
    assert!(granted.contains("https://www.googleapis.com/auth/userinfo.email"), "email comes back as a URL");

    let claims = claims(&google, text(&answer, "id_token")).await;
    assert_eq!((text(&claims, "email"), text(&claims, "name")), ("ann@example.com", "Ann Archer"));
    assert_eq!((text(&claims, "nonce"), text(&claims, "azp")), ("a nonce", StandIn::client_id()));
    assert_eq!(claims["email_verified"], true);
    assert_eq!(text(&claims, "sub").len(), 21);

    let access_token = text(&answer, "access_token");
    let (status, me) = get(&google, "oauth2/v3/userinfo", access_token).await;
    assert_eq!((status, text(&me, "sub")), (200, text(&claims, "sub")));
    let (_, info) = get(&google, &format!("tokeninfo?access_token={access_token}"), "").await;
    assert_eq!((text(&info, "aud"), text(&info, "email_verified")), (StandIn::client_id(), "true"));
    assert_eq!(Scopes::from(text(&info, "scope")), granted);
}

#[tokio::test]
async fn discovery_names_every_endpoint_under_the_issuer() {
    let google = eager().await;
    let (_, document) = get(&google, ".well-known/openid-configuration", "").await;
    assert_eq!(text(&document, "issuer"), google.issuer());
    assert!(!google.issuer().ends_with('/'));
    for name in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "revocation_endpoint", "jwks_uri"] {
        assert!(text(&document, name).starts_with(&format!("{}/", google.issuer())), "{name}");
    }
}

#[tokio::test]
async fn the_state_comes_back_as_it_was_sent() {
    let google = eager().await;
    let back = walk(&google, &ann(), "openid", &[]).await;
    assert_eq!(back.query("state").as_deref(), Some("a state & more"));
    let back = walk(&google, &ann(), "openid", &[("state", "")]).await;
    assert_eq!(back.query("state"), None);
}

#[tokio::test]
async fn a_refresh_token_comes_with_the_first_consent_and_with_prompt_consent_only() {
    let google = eager().await;
    let has_refresh = async |changes: &[(&str, &str)]| {
        sign_in(&google, &ann(), &format!("openid {DRIVE}"), changes).await.get("refresh_token").is_some()
    };
    assert!(has_refresh(&[]).await, "the first time");
    assert!(!has_refresh(&[]).await, "the second time");
    assert!(has_refresh(&[("prompt", "consent")]).await, "asked again");
    assert!(!has_refresh(&[("prompt", "consent"), ("access_type", "online")]).await, "online");
    assert_eq!(google.control().live_refresh_tokens(&ann()), 2);
    assert_eq!(google.control().live_refresh_tokens(&bob()), 0);
}

#[tokio::test]
async fn a_refresh_keeps_the_refresh_token_and_the_account() {
    let google = eager().await;
    let first = sign_in(&google, &bob(), "openid email", &[("login_hint", "bob@example.com")]).await;
    let (status, second) = refresh(&google, text(&first, "refresh_token")).await;
    assert_eq!(status, 200);
    assert_ne!(second["access_token"], first["access_token"]);
    assert!(second.get("refresh_token").is_none(), "Google never rotates");
    let (before, after) =
        (claims(&google, text(&first, "id_token")).await, claims(&google, text(&second, "id_token")).await);
    assert_eq!(after["sub"], before["sub"]);
    assert!(after.get("nonce").is_none(), "a nonce belongs to a sign-in");
}

#[tokio::test]
async fn earlier_grants_are_included_on_request() {
    let google = eager().await;
    sign_in(&google, &ann(), &format!("openid {DRIVE}"), &[]).await;
    let narrow = sign_in(&google, &ann(), GMAIL, &[]).await;
    assert_eq!(text(&narrow, "scope"), GMAIL);
    let wide = sign_in(&google, &ann(), GMAIL, &[("include_granted_scopes", "true")]).await;
    assert_eq!(Scopes::from(text(&wide, "scope")), Scopes::from(&*format!("openid {DRIVE} {GMAIL}")));
}

#[tokio::test]
async fn revoking_the_access_token_ends_the_refresh_token_too() {
    let google = eager().await;
    let answer = sign_in(&google, &ann(), DRIVE, &[]).await;
    let access_token = text(&answer, "access_token");
    assert_eq!(post(&google, "revoke", &[("token", access_token)]).await.0, 200);
    assert_eq!(get(&google, "drive/v3/files", access_token).await.0, 401);
    let (status, error) = refresh(&google, text(&answer, "refresh_token")).await;
    assert_eq!((status, text(&error, "error")), (400, "invalid_grant"));
    let again = sign_in(&google, &ann(), DRIVE, &[]).await;
    assert!(again.get("refresh_token").is_some(), "it is a first consent again");
}

#[tokio::test]
async fn tokens_expire_by_the_clock_that_was_given() {
    let clock = std::sync::Arc::new(ManualClock::new(Timestamp(1_800_000_000)));
    let options = StandInOptions { auto_approve: true, clock: clock.clone(), ..StandInOptions::default() };
    let google = StandIn::start(options).await.unwrap();
    let token = access_token(&google, &ann(), DRIVE);
    clock.advance(Duration::from_secs(3598));
    assert_eq!(get(&google, "drive/v3/files", &token).await.0, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(get(&google, "drive/v3/files", &token).await.0, 401);
    assert!(clock.now() > Timestamp(1_800_000_000));
}

#[tokio::test]
async fn a_client_may_authenticate_by_basic_and_a_public_one_not_at_all() {
    let public = OAuthClient { id: "public.apps.example.com".into(), secret: None };
    let options = StandInOptions { auto_approve: true, clients: vec![public], ..StandInOptions::default() };
    let google = StandIn::start(options).await.unwrap();
    let code = walk(&google, &ann(), "openid", &[]).await.query("code").unwrap();
    let response = http()
        .post(google.url().join("token").unwrap())
        .basic_auth(StandIn::client_id(), Some(StandIn::client_secret().expose()))
        .form(&[
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ])
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);

    let id = ("client_id", "public.apps.example.com");
    let code = walk(&google, &ann(), "openid", &[id]).await.query("code").unwrap();
    assert_eq!(exchange(&google, &code, &[id, ("client_secret", "")]).await.0, 200);
}

#[tokio::test]
async fn a_registered_redirect_uri_is_compared_to_the_byte_and_any_loopback_port_will_do() {
    let registered = "https://app.example.com/oauth2callback";
    let options =
        StandInOptions { auto_approve: true, redirect_uris: vec![registered.into()], ..StandInOptions::default() };
    let google = StandIn::start(options).await.unwrap();
    for (uri, goes) in [
        (registered, true),
        ("https://app.example.com/oauth2callback/", false),
        ("https://app.example.com/other", false),
        ("http://localhost:4711/x", true),
        ("http://[::1]:1/x", true),
        ("https://127.0.0.1/x", false),
        ("http://127.0.0.1.example.com/x", false),
    ] {
        let url = authorize_url(&google, "openid", &[("redirect_uri", uri)]);
        let response = http().get(url).send().await.unwrap();
        assert_eq!(response.status().is_redirection(), goes, "{uri}");
    }
}

#[tokio::test]
async fn a_stopped_stand_in_frees_its_port() {
    let google = eager().await;
    let port = google.url().port();
    google.stop().await;
    let again = StandIn::start(StandInOptions { port, ..StandInOptions::default() }).await.unwrap();
    assert_eq!(again.url().port(), port);
}
