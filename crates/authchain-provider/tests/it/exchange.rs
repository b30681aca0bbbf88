//! The code exchange: what is sent, what is kept, and every id token that is refused.

use authchain_core::{AuthError, CredentialStatus, ErrorCode, OAuthClient, Scopes, Secret};
use authchain_provider::{ClientAuth, Pkce, SignedIn};
use serde_json::{Value, json};

use crate::support::{HOUR, NOW, Reply, World, quick_retry};

const REDIRECT: &str = "http://127.0.0.1:8002/auth/callback";

async fn exchange(world: &World, code: &str) -> Result<SignedIn, AuthError> {
    let verifier = Pkce::generate().verifier;
    world.client().exchange(&Secret::new(code), &verifier, REDIRECT, "nonce-1", &Scopes::from("drive")).await
}

fn claims(world: &World) -> Value {
    json!({
        "iss": world.provider().issuer,
        "aud": "client-1",
        "azp": "client-1",
        "sub": "1001",
        "email": "Ann@Example.com",
        "email_verified": true,
        "nonce": "nonce-1",
        "iat": NOW.0,
        "exp": NOW.0 + 3600,
    })
}

fn with(world: &World, name: &str, value: Value) -> Value {
    let mut claims = claims(world);
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

#[tokio::test]
async fn a_code_becomes_a_credential_of_the_person_who_signed_in() {
    let world = World::new().await;
    world.upstream.sign_in(&claims(&world));
    world.upstream.answer_with(json!({ "scope": "openid https://www.googleapis.com/auth/userinfo.email drive" }));
    let signed_in = exchange(&world, "good-code").await.unwrap();
    assert_eq!(signed_in.email.as_str(), "ann@example.com");
    assert_eq!(signed_in.subject, "1001");
    let credential = signed_in.credential;
    assert_eq!(credential.refresh_token, Some(Secret::new("first-1")));
    assert_eq!(credential.expires_at, Some(NOW + HOUR));
    assert_eq!(credential.granted_at, NOW);
    assert_eq!(credential.scopes, Scopes::from("drive openid https://www.googleapis.com/auth/userinfo.email"));
    assert_eq!(credential.status, CredentialStatus::Active);
    assert_eq!(credential.client.id, "client-1");
    assert_eq!(credential.token_uri, world.provider().token_url.as_str());
    let form = &world.upstream.log("token")[0];
    assert_eq!(form["redirect_uri"], REDIRECT);
    assert_eq!(form["code_verifier"].len(), 43);
    assert_eq!(form["client_secret"], "client-hush");
}

#[tokio::test]
async fn an_answer_without_scope_grants_what_was_asked() {
    let world = World::new().await;
    world.upstream.sign_in(&claims(&world));
    let credential = exchange(&world, "good-code").await.unwrap().credential;
    assert_eq!(credential.scopes, Scopes::from("drive email openid"));
}

#[tokio::test]
async fn a_sign_in_without_a_refresh_token_says_so() {
    let world = World::new().await;
    world.upstream.sign_in(&claims(&world));
    world.upstream.answer_with(json!({ "refresh_token": null }));
    assert_eq!(exchange(&world, "good-code").await.unwrap().credential.refresh_token, None);
}

#[tokio::test]
async fn the_clocks_may_be_a_minute_apart_and_no_more() {
    for (iat, exp, good) in
        [(60, 3600, true), (61, 3600, false), (-3600, -59, true), (-3600, -60, false), (300, 3900, false)]
    {
        let world = World::new().await;
        let mut claims = claims(&world);
        claims["iat"] = json!(NOW.0 + iat);
        claims["exp"] = json!(NOW.0 + exp);
        world.upstream.sign_in(&claims);
        let result = exchange(&world, "good-code").await;
        assert_eq!(result.is_ok(), good, "{iat} {exp}: {result:?}");
        assert!(result.is_ok() || result.unwrap_err().code() == ErrorCode::InvalidToken);
    }
}

#[tokio::test]
async fn an_id_token_that_is_not_for_this_sign_in_is_refused() {
    for (name, value) in [
        ("nonce", json!("nonce-2")),
        ("nonce", Value::Null),
        ("aud", json!("client-2")),
        ("aud", Value::Null),
        ("azp", json!("client-2")),
        ("iss", json!("https://evil.example.com")),
        ("sub", Value::Null),
        ("exp", Value::Null),
        ("nbf", json!(NOW.0 + 3600)),
    ] {
        let world = World::new().await;
        world.upstream.sign_in(&with(&world, name, value.clone()));
        let refused = exchange(&world, "good-code").await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidToken, "{name} = {value}: {refused}");
    }
}

#[tokio::test]
async fn a_forged_id_token_is_refused() {
    let world = World::new().await;
    let elsewhere = World::new().await;
    for forged in [elsewhere.upstream.signed(&claims(&world)), "e30.e30.".into(), "nonsense".into()] {
        world.upstream.sign_in_raw(&forged);
        assert_eq!(exchange(&world, "good-code").await.unwrap_err().code(), ErrorCode::InvalidToken, "{forged}");
    }
}

#[tokio::test]
async fn an_old_spelling_of_the_issuer_is_known() {
    let world = World::new().await;
    let mut provider = world.provider();
    provider.issuer_aliases = vec!["accounts.google.com".into()];
    world.upstream.sign_in(&with(&world, "iss", json!("accounts.google.com")));
    let client = world.client_of(provider, quick_retry());
    let verifier = Pkce::generate().verifier;
    let asked = Scopes::none();
    assert!(client.exchange(&Secret::new("good-code"), &verifier, REDIRECT, "nonce-1", &asked).await.is_ok());
}

#[tokio::test]
async fn an_address_that_the_provider_does_not_vouch_for_is_nobodys() {
    for unverified in [json!(false), json!("false"), Value::Null] {
        let world = World::new().await;
        world.upstream.sign_in(&with(&world, "email_verified", unverified.clone()));
        world.upstream.userinfo(json!({ "sub": "1001", "email": "ann@example.com", "email_verified": true }));
        let refused = exchange(&world, "good-code").await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::UpstreamRefused, "{unverified}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_in_the_id_token_is_asked_for() {
    let world = World::new().await;
    world.upstream.sign_in(&with(&world, "email", Value::Null));
    world.upstream.userinfo(json!({ "sub": "1001", "email": "ann@example.com", "email_verified": true }));
    assert_eq!(exchange(&world, "good-code").await.unwrap().email.as_str(), "ann@example.com");
    assert_eq!(world.upstream.headers("userinfo")[0]["authorization"], "Bearer signed-in-1");
}

#[tokio::test]
async fn userinfo_about_somebody_else_or_unverified_is_refused() {
    for info in [
        json!({ "sub": "1002", "email": "ann@example.com", "email_verified": true }),
        json!({ "email": "ann@example.com", "email_verified": true }),
        json!({ "sub": "1001", "email": "ann@example.com", "email_verified": false }),
        json!({ "sub": "1001", "email": "ann@example.com" }),
        json!({ "sub": "1001", "email_verified": true }),
    ] {
        let world = World::new().await;
        world.upstream.sign_in(&with(&world, "email", Value::Null));
        world.upstream.userinfo(info.clone());
        let refused = exchange(&world, "good-code").await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::UpstreamRefused, "{info}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_say_who_signed_in_is_refused() {
    let world = World::new().await;
    let refused = exchange(&world, "good-code").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::UpstreamRefused);
}

#[tokio::test]
async fn a_code_that_is_used_up_is_refused_and_sent_once() {
    let world = World::new().await;
    let refused = exchange(&world, "used-code").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::CodeRefused);
    assert!(refused.to_string().contains("Malformed auth code"), "{refused}");
    assert_eq!(world.upstream.requests(), 1);
}

#[tokio::test]
async fn an_outage_at_the_exchange_is_an_outage_and_the_code_is_not_sent_twice() {
    let world = World::new().await;
    world.upstream.next(Reply::Away(503, "7"));
    let error = exchange(&world, "good-code").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UpstreamUnavailable);
    assert_eq!(error.retry_after().unwrap().as_secs(), 7);
    assert_eq!(world.upstream.requests(), 1);
}

#[tokio::test]
async fn a_refused_client_is_for_the_operator() {
    let world = World::new().await;
    world.upstream.next(Reply::Json(400, json!({ "error": "redirect_uri_mismatch" })));
    let refused = exchange(&world, "good-code").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::UpstreamRefused);
    assert!(refused.to_string().contains("redirect_uri_mismatch"));
}

#[tokio::test]
async fn a_client_proves_itself_in_the_header_where_that_is_wanted() {
    let world = World::new().await;
    world.upstream.sign_in(&claims(&world));
    let mut provider = world.provider();
    provider.client_auth = ClientAuth::Basic;
    provider.client = OAuthClient { id: "client-1".into(), secret: Some(Secret::new("p@ss:word")) };
    let client = world.client_of(provider, quick_retry());
    let verifier = Pkce::generate().verifier;
    client.exchange(&Secret::new("good-code"), &verifier, REDIRECT, "nonce-1", &Scopes::none()).await.unwrap();
    // RFC 6749, section 2.3.1: form-encoded first, then base64 of `client-1:p%40ss%3Aword`.
    assert_eq!(world.upstream.headers("token")[0]["authorization"], "Basic Y2xpZW50LTE6cCU0MHNzJTNBd29yZA==");
    assert!(!world.upstream.log("token")[0].contains_key("client_secret"));
}

#[tokio::test]
async fn a_client_without_a_secret_sends_its_id_only() {
    let world = World::new().await;
    world.upstream.sign_in(&claims(&world));
    let mut provider = world.provider();
    provider.client.secret = None;
    let client = world.client_of(provider, quick_retry());
    let verifier = Pkce::generate().verifier;
    client.exchange(&Secret::new("good-code"), &verifier, REDIRECT, "nonce-1", &Scopes::none()).await.unwrap();
    let form = &world.upstream.log("token")[0];
    assert_eq!(form["client_id"], "client-1");
    assert!(!form.contains_key("client_secret"));
}
