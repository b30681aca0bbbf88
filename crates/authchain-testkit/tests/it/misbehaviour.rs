//! Everything that goes wrong on command.

use std::time::Duration;

use authchain_core::{Email, Scopes};
use authchain_testkit::{Browser, Choice, Endpoint, Fault, StandIn};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::support::*;

async fn refresh_token(google: &StandIn) -> String {
    let credential = google.control().credential(&ann(), &Scopes::from("openid email")).unwrap();
    credential.refresh_token.unwrap().expose().to_owned()
}

/// The claims of an ID token, unverified.
fn claims(answer: &Value) -> Value {
    let payload = text(answer, "id_token").split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn failures_strike_as_often_as_commanded_and_are_counted() {
    let google = eager().await;
    let token = refresh_token(&google).await;
    let control = google.control();
    control.fail(Endpoint::Refresh, 503, 2);
    assert_eq!(refresh(&google, &token).await.0, 503);
    assert_eq!(refresh(&google, &token).await.0, 503);
    assert_eq!(refresh(&google, &token).await.0, 200);
    assert_eq!((control.requests(Endpoint::Refresh), control.requests(Endpoint::Code)), (3, 0));
    assert_eq!(control.log().iter().map(|request| request.status).collect::<Vec<_>>(), [503, 503, 200]);
    control.fail(Endpoint::Any, 500, u64::MAX);
    assert_eq!(get(&google, "oauth2/v3/certs", "").await.0, 500);
    control.heal();
    assert_eq!(get(&google, "oauth2/v3/certs", "").await.0, 200);
    control.reset_counters();
    assert_eq!((control.requests(Endpoint::Any), control.log().len()), (0, 0));
}

#[tokio::test]
async fn answers_can_be_garbage_lost_or_never_come() {
    let google = eager().await;
    let control = google.control();
    let token = access_token(&google, &ann(), DRIVE);
    let get = || http().get(google.url().join("drive/v3/files").unwrap()).bearer_auth(&token).send();
    control.inject(Endpoint::Drive, Fault::Garbage, 1);
    assert!(get().await.unwrap().json::<Value>().await.is_err());
    control.inject(Endpoint::Drive, Fault::Close, 1);
    assert!(get().await.is_err());
    control.inject(Endpoint::Drive, Fault::Trickle(Duration::from_micros(10)), 1);
    assert_eq!(get().await.unwrap().json::<Value>().await.unwrap()["kind"], "drive#fileList");
    control.inject(Endpoint::Drive, Fault::Status { status: 429, retry_after: Some(7) }, 1);
    let slow_down = get().await.unwrap();
    assert_eq!((slow_down.status().as_u16(), slow_down.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    for reason in ["accessNotConfigured", "domainPolicy", "rateLimitExceeded"] {
        control.inject(Endpoint::Drive, Fault::Refusal(reason.into()), 1);
        let error: Value = get().await.unwrap().json().await.unwrap();
        assert_eq!(error["error"]["errors"][0]["reason"], reason);
    }
}

#[tokio::test]
async fn a_lost_answer_was_carried_out_all_the_same() {
    let google = eager().await;
    let token = refresh_token(&google).await;
    google.control().rotate_refresh_tokens(true);
    google.control().inject(Endpoint::Refresh, Fault::LostAnswer, 1);
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*token),
        ("client_id", StandIn::client_id()),
        ("client_secret", "standin-client-secret"),
    ];
    let lost = http().post(google.url().join("token").unwrap()).form(&form).send().await;
    assert!(lost.is_err());
    assert_eq!(refresh(&google, &token).await.0, 400, "it was rotated, and its successor is lost");
}

#[tokio::test]
async fn held_requests_wait_until_they_are_let_go() {
    let google = eager().await;
    let token = refresh_token(&google).await;
    let hold = google.control().hold(Endpoint::Refresh);
    let (waiting, ()) = tokio::join!(refresh(&google, &token), async {
        google.control().arrived(Endpoint::Refresh, 1).await;
        assert_eq!(google.control().log()[0].status, 0, "no answer yet");
        drop(hold);
    });
    assert_eq!(waiting.0, 200);
}

#[tokio::test]
async fn a_delayed_answer_still_comes() {
    let google = eager().await;
    google.control().delay(Endpoint::Certs, Duration::from_millis(1));
    assert_eq!(get(&google, "oauth2/v3/certs", "").await.0, 200);
}

#[tokio::test]
async fn refreshes_are_refused_in_the_words_that_were_given() {
    let google = eager().await;
    let token = refresh_token(&google).await;
    for (words, status, error, subtype) in [
        ("invalid_grant", 400, "invalid_grant", None),
        ("invalid_rapt", 400, "invalid_grant", Some("invalid_rapt")),
        ("invalid_client", 401, "invalid_client", None),
        ("admin_policy_enforced", 400, "admin_policy_enforced", None),
    ] {
        google.control().refuse_refresh(words);
        let (got, body) = refresh(&google, &token).await;
        assert_eq!((got, text(&body, "error"), body["error_subtype"].as_str()), (status, error, subtype));
    }
    google.control().refuse_refresh(None);
    assert_eq!(refresh(&google, &token).await.0, 200);
}

#[tokio::test]
async fn refresh_tokens_can_be_withheld_rotated_and_mortal() {
    let google = eager().await;
    let control = google.control();
    control.omit_refresh_token(true);
    assert!(sign_in(&google, &ann(), "openid", &[("prompt", "consent")]).await.get("refresh_token").is_none());
    control.omit_refresh_token(false);
    control.rotate_refresh_tokens(true);
    let token = refresh_token(&google).await;
    let (_, answer) = refresh(&google, &token).await;
    assert!(answer.get("refresh_token").is_some());
    assert_eq!(refresh(&google, &token).await.0, 400, "the used one is dead");
    control.heal();
    control.seven_day_death(true);
    let mortal = sign_in(&google, &ann(), "openid", &[("prompt", "consent")]).await;
    assert_eq!(mortal["refresh_token_expires_in"], 604_799);
    assert_eq!(refresh(&google, text(&mortal, "refresh_token")).await.0, 200);
    control.age(Duration::from_secs(7 * 24 * 3600));
    assert_eq!(refresh(&google, text(&mortal, "refresh_token")).await.0, 400);
}

#[tokio::test]
async fn id_tokens_lie_on_command() {
    let google = eager().await;
    let control = google.control();
    let sign = async || claims(&sign_in(&google, &ann(), "openid email", &[]).await);
    let honest = sign().await;
    control.wrong_audience(true);
    assert_ne!(sign().await["aud"], honest["aud"]);
    control.heal();
    control.wrong_email(&Email::new("eve@example.com").unwrap());
    let lie = sign().await;
    assert_eq!((text(&lie, "email"), &lie["sub"]), ("eve@example.com", &honest["sub"]));
    control.heal();
    control.id_token_skew(100_000);
    assert!(sign().await["iat"].as_i64().unwrap() > honest["exp"].as_i64().unwrap());
}

#[tokio::test]
async fn rotated_keys_are_published_beside_the_old_ones() {
    let google = eager().await;
    let ids = async || {
        let (_, keys) = get(&google, "oauth2/v3/certs", "").await;
        keys["keys"].as_array().unwrap().iter().map(|key| text(key, "kid").to_owned()).collect::<Vec<_>>()
    };
    let before = ids().await;
    google.control().rotate_keys();
    let after = ids().await;
    assert_eq!((before.len(), after.len()), (1, 2));
    assert_eq!(after[1], before[0]);
}

#[tokio::test]
async fn access_tokens_expire_on_command_whatever_their_holder_believes() {
    let google = eager().await;
    let old = access_token(&google, &ann(), DRIVE);
    google.control().expire_access_tokens();
    assert_eq!(get(&google, "drive/v3/files", &old).await.0, 401);
    assert_eq!(get(&google, "drive/v3/files", &access_token(&google, &ann(), DRIVE)).await.0, 200);
    google.control().access_token_life(Duration::from_secs(5));
    assert_eq!(sign_in(&google, &ann(), DRIVE, &[]).await["expires_in"], 5);
}

#[tokio::test]
async fn less_is_granted_and_another_person_signs_in() {
    let google = eager().await;
    google.control().grant_only(&Scopes::from("openid email"));
    let answer = sign_in(&google, &ann(), &format!("openid email {DRIVE}"), &[]).await;
    assert!(!text(&answer, "scope").contains(DRIVE));
    google.control().sign_in_as(&bob());
    let answer = sign_in(&google, &ann(), "openid email", &[("login_hint", "ann@example.com")]).await;
    assert_eq!(text(&claims(&answer), "email"), "bob@example.com");
}

#[tokio::test]
async fn authorization_is_refused_at_the_client_or_on_a_page() {
    let google = eager().await;
    for error in ["access_denied", "admin_policy_enforced"] {
        google.control().refuse_authorize(error);
        let back = walk(&google, &ann(), "openid", &[]).await;
        assert_eq!(
            (back.query("error").as_deref(), back.query("state").as_deref()),
            (Some(error), Some("a state & more"))
        );
    }
    google.control().dead_end("access_denied");
    let page = walk(&google, &ann(), "openid", &[]).await;
    assert_eq!((page.stopped, page.status), (false, 403));
    assert!(page.text().contains("tester"));
}

#[tokio::test]
async fn every_secret_is_remembered_and_none_is_in_the_log() {
    let google = asking().await;
    let browser = Browser::new().unwrap().stop_at(CALLBACK);
    let back = browser.walk(authorize_url(&google, "openid", &[]), &Choice::approve("ann@example.com")).await.unwrap();
    let code = back.query("code").unwrap();
    let (_, answer) = exchange(&google, &code, &[]).await;
    let secrets = google.control().issued_secrets();
    let known = |secret: &str| secrets.iter().any(|known| known.expose() == secret);
    assert!(known(&code) && known(VERIFIER) && known("standin-client-secret"));
    assert!(["access_token", "refresh_token", "id_token"].iter().all(|name| known(text(&answer, name))));
    let log = serde_json::to_string(&google.control().log()).unwrap() + &format!("{google:?} {back:?}");
    assert!(!secrets.iter().any(|secret| log.contains(secret.expose())));
}
