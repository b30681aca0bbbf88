//! The controls over HTTP.

use authchain_testkit::{Endpoint, StandIn};
use serde_json::{Value, json};

use crate::support::*;

async fn command(google: &StandIn, body: Value) -> u16 {
    let url = google.url().join("standin/control").unwrap();
    http().post(url).json(&body).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn commands_are_obeyed_and_what_happened_can_be_read() {
    let google = eager().await;
    let commands = json!([
        {"do": "fail", "endpoint": "drive", "status": 502, "times": 1},
        {"do": "sign_in_as", "email": "bob@example.com"},
        {"do": "rotate_keys"},
    ]);
    assert_eq!(command(&google, commands).await, 200);
    let token = access_token(&google, &ann(), DRIVE);
    assert_eq!(get(&google, "drive/v3/files", &token).await.0, 502);
    assert_eq!(get(&google, "drive/v3/files", &token).await.0, 200);
    let (_, keys) = get(&google, "oauth2/v3/certs", "").await;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    sign_in(&google, &ann(), "openid", &[]).await;
    let (_, state) = get(&google, "standin/state", "").await;
    assert_eq!((&state["requests"]["drive"], &state["requests"]["code"]), (&json!(2), &json!(1)));
    assert_eq!(state["live_refresh_tokens"]["bob@example.com"], 1);
    assert_eq!(google.control().requests(Endpoint::Any), 5, "the remote control is not counted");
    let said = state.to_string();
    assert!(!google.control().issued_secrets().iter().any(|secret| said.contains(secret.expose())));
}

#[tokio::test]
async fn a_command_that_is_not_understood_changes_nothing() {
    let google = eager().await;
    assert_eq!(
        command(&google, json!([{"do": "fail", "endpoint": "certs", "status": 500}, {"do": "explode"}])).await,
        400
    );
    assert_eq!(get(&google, "oauth2/v3/certs", "").await.0, 200);
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_send_commands() {
    let google = eager().await;
    let url = google.url().join("standin/control").unwrap();
    let form = http().post(url).header("content-type", "text/plain").body(r#"{"do":"heal"}"#);
    assert_eq!(form.send().await.unwrap().status(), 415);
}
