//! Numbers 6 and 7 of the checklist, cases R1 to R17: each client's own registration body.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    field::clients,
    world::{World, text},
};

/// What clients in the field send; the file and the body.
fn fixtures() -> Vec<(String, Value)> {
    let mut all: Vec<_> =
        clients().into_iter().map(|client| (client.file.clone(), client.registration().clone())).collect();
    all.push(("no method named".into(), json!({"redirect_uris": ["https://client.example/cb"]})));
    all
}

#[tokio::test]
async fn n06_r5_r14_every_client_in_the_field_registers_and_gets_what_it_asked_for() {
    let world = World::new().await;
    for (case, body) in fixtures() {
        let (status, answer) = world.register(&body).await;
        assert_eq!(status, 201, "{case}: {answer}");
        assert_eq!(answer["redirect_uris"], body["redirect_uris"], "{case}");
        let asked = body.get("token_endpoint_auth_method").and_then(Value::as_str).unwrap_or("client_secret_basic");
        assert_eq!(answer["token_endpoint_auth_method"], asked, "{case}");
        let mut grant_types = vec!["authorization_code", "refresh_token"];
        if body["grant_types"].to_string().contains("device_code") {
            grant_types.push("urn:ietf:params:oauth:grant-type:device_code");
        }
        assert_eq!(answer["grant_types"], json!(grant_types), "{case}: R3: what is not offered is left out");
        assert_eq!(answer["response_types"], json!(["code"]), "{case}");
        assert!(answer["client_id_issued_at"].is_i64(), "{case}");
        assert!(!text(&answer, "scope").is_empty(), "{case}: R7, R8: the answer always has a scope");
        let fields = answer.as_object().unwrap();
        if asked == "none" {
            assert!(!fields.contains_key("client_secret"), "{case}: R5");
            assert!(!fields.contains_key("client_secret_expires_at"), "{case}: R5");
        } else {
            assert!(text(&answer, "client_secret").len() >= 43, "{case}");
            let life =
                answer["client_secret_expires_at"].as_i64().unwrap() - answer["client_id_issued_at"].as_i64().unwrap();
            assert_eq!(life, 24 * 60 * 60, "{case}");
        }
        if let Some(kind) = body.get("application_type") {
            assert_eq!(answer["application_type"], *kind, "{case}");
        }
        assert!(text(&answer, "client_id").len() < 600, "{case}: {} characters", text(&answer, "client_id").len());
    }
}

#[tokio::test]
async fn n06_d1_the_alias_registers_as_well() {
    let world = World::new().await;
    let (_, body) = fixtures().swap_remove(0);
    let answer = world.http.post(world.at("/register")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn n07_r17_what_is_dangerous_is_refused_as_json() {
    let world = World::new().await;
    for uri in [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "blob:https://client.example/x",
        "https://client.example/cb#fragment",
        "https://user:password@client.example/cb",
        "http://client.example/cb",
        "https://*.example/cb",
        "http://localhost.evil.example/cb",
        "https://client.example\\@evil.example/cb",
    ] {
        let body = json!({"redirect_uris": ["https://client.example/cb", uri], "token_endpoint_auth_method": "none"});
        let answer = world.http.post(world.at("/oauth/register")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{uri}");
        assert_eq!(answer.headers()["content-type"], "application/json", "{uri}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["error"], "invalid_redirect_uri", "{uri}");
        assert!(!text(&answer, "error_description").is_empty());
    }
}

#[tokio::test]
async fn n06_a_body_that_is_no_registration_is_refused() {
    let world = World::new().await;
    for (body, error) in [
        ("", "invalid_client_metadata"),
        ("[]", "invalid_client_metadata"),
        ("{", "invalid_client_metadata"),
        ("{}", "invalid_redirect_uri"),
        (
            r#"{"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"magic"}"#,
            "invalid_client_metadata",
        ),
    ] {
        let answer = world.http.post(world.at("/oauth/register")).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], error, "{body}");
    }
    let endless = format!(r#"{{"client_name":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(world.http.post(world.at("/oauth/register")).body(endless).send().await.unwrap().status(), 413);
}

#[tokio::test]
async fn n06_r16_the_same_public_client_twice_is_one_client_and_confidential_ones_are_never_one() {
    let world = World::new().await;
    // Well inside a window, so that the test does not stand on its edge.
    let now = authchain::core::Clock::now(&*world.clock).0;
    world.clock.advance(Duration::from_secs(u64::try_from(600 - now.rem_euclid(600)).unwrap()));
    for (case, body) in fixtures() {
        let (first, second) = (world.register(&body).await.1, world.register(&body).await.1);
        if text(&first, "token_endpoint_auth_method") == "none" {
            assert_eq!(first["client_id"], second["client_id"], "{case}");
        } else {
            assert_ne!(first["client_id"], second["client_id"], "{case}");
            assert_ne!(first["client_secret"], second["client_secret"], "{case}");
        }
    }
}

#[tokio::test]
async fn n06_a_registration_is_read_changed_and_deleted_with_its_own_token_only() {
    let world = World::new().await;
    for (case, body) in fixtures() {
        let (_, answer) = world.register(&body).await;
        let (address, token) = (text(&answer, "registration_client_uri"), text(&answer, "registration_access_token"));
        let read = world.http.get(&address).bearer_auth(&token).send().await.unwrap();
        assert_eq!(read.status(), 200, "{case}");
        let read: Value = read.json().await.unwrap();
        assert_eq!(read["client_id"], answer["client_id"], "{case}");
        assert_eq!(read["client_secret"], answer["client_secret"], "{case}");
        for wrong in ["", "x", &text(&answer, "client_id")] {
            let refused = world.http.get(&address).bearer_auth(wrong).send().await.unwrap();
            assert_eq!(refused.status(), 401, "{case}");
            let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""), "{challenge}");
        }

        let mut changed = body.clone();
        changed["client_name"] = "Renamed".into();
        changed["client_id"] = answer["client_id"].clone();
        let put = world.http.put(&address).bearer_auth(&token).json(&changed).send().await.unwrap();
        assert_eq!(put.status(), 200, "{case}");
        world.restart();
        let read: Value = world.http.get(&address).bearer_auth(&token).send().await.unwrap().json().await.unwrap();
        assert_eq!(read["client_name"], "Renamed", "{case}");

        assert_eq!(world.http.delete(&address).bearer_auth(&token).send().await.unwrap().status(), 204, "{case}");
        assert_eq!(world.http.get(&address).bearer_auth(&token).send().await.unwrap().status(), 401, "{case}");
    }
}

#[tokio::test]
async fn n06_an_update_cannot_name_another_client_or_become_confidential() {
    let world = World::new().await;
    let body = json!({"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "none"});
    let (_, answer) = world.register(&body).await;
    let (address, token) = (text(&answer, "registration_client_uri"), text(&answer, "registration_access_token"));
    for (change, error) in [
        (json!({"client_id": "other"}), "invalid_request"),
        (json!({"token_endpoint_auth_method": "client_secret_basic"}), "invalid_client_metadata"),
        (json!({"redirect_uris": ["javascript:x"]}), "invalid_redirect_uri"),
    ] {
        let mut changed = body.clone();
        changed.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let put = world.http.put(&address).bearer_auth(&token).json(&changed).send().await.unwrap();
        assert_eq!(put.status(), 400, "{change}");
        assert_eq!(put.json::<Value>().await.unwrap()["error"], error, "{change}");
    }
}

#[tokio::test]
async fn n06_the_registration_token_lives_a_day_beyond_its_last_use() {
    let world = World::new().await;
    let body = json!({"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "none"});
    let (_, answer) = world.register(&body).await;
    let (address, token) = (text(&answer, "registration_client_uri"), text(&answer, "registration_access_token"));
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(23 * 3600));
        assert_eq!(world.http.get(&address).bearer_auth(&token).send().await.unwrap().status(), 200);
    }
    world.clock.advance(Duration::from_secs(25 * 3600));
    assert_eq!(world.http.get(&address).bearer_auth(&token).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn n06_who_deletes_or_changes_a_client_and_registers_again_gets_a_new_one() {
    let world = World::new().await;
    let body = json!({"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "none"});
    let (_, first) = world.register(&body).await;
    let (address, token) = (text(&first, "registration_client_uri"), text(&first, "registration_access_token"));
    assert_eq!(world.http.delete(&address).bearer_auth(&token).send().await.unwrap().status(), 204);
    let (_, second) = world.register(&body).await;
    assert_ne!(first["client_id"], second["client_id"]);
    let address = text(&second, "registration_client_uri");
    let token = text(&second, "registration_access_token");
    assert_eq!(world.http.get(&address).bearer_auth(&token).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn n06_an_update_may_repeat_the_secret_and_not_choose_one() {
    let world = World::new().await;
    let (client, answer) = world.confidential_client("client_secret_post").await;
    let (address, token) = (text(&answer, "registration_client_uri"), text(&answer, "registration_access_token"));
    for (secret, status) in [(client.secret.unwrap(), 200), ("one of my own choice".into(), 400)] {
        let body = json!({
            "client_id": client.id, "client_secret": secret, "redirect_uris": ["https://a.example/cb"],
            "token_endpoint_auth_method": "client_secret_basic",
        });
        let put = world.http.put(&address).bearer_auth(&token).json(&body).send().await.unwrap();
        assert_eq!(put.status(), status);
    }
}

#[tokio::test]
async fn n06_what_a_client_reads_of_itself_is_all_that_it_registered() {
    let world = World::new().await;
    let keys = authchain::jwt::SigningKeys::generate(authchain::jwt::Algorithm::ES256).unwrap();
    let body = json!({
        "client_name": "Signing Client", "redirect_uris": ["https://a.example/cb"], "application_type": "web",
        "token_endpoint_auth_method": "private_key_jwt", "jwks": keys.jwks(),
    });
    let (_, answer) = world.register(&body).await;
    let (address, token) = (text(&answer, "registration_client_uri"), text(&answer, "registration_access_token"));
    let read: Value = world.http.get(&address).bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    assert_eq!(read, answer);
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(&read[name], value, "{name}");
    }
    let mut public = body.clone();
    public["token_endpoint_auth_method"] = "none".into();
    let put = world.http.put(&address).bearer_auth(&token).json(&public).send().await.unwrap();
    assert_eq!(put.status(), 400, "a client that proves itself does not become one that cannot");
}

#[tokio::test]
async fn n06_equal_registrations_are_one_client_for_ten_minutes_and_never_share_a_secret() {
    let world = World::new().await;
    let body = |method: &str| json!({"client_name": "X", "redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": method});
    let twice = |method: &'static str| {
        let (world, body) = (&world, body(method));
        async move {
            let (first, second) = (world.register(&body).await.1, world.register(&body).await.1);
            text(&first, "client_id") == text(&second, "client_id")
        }
    };
    // The window begins at a full ten minutes.
    let now = authchain::core::Clock::now(&*world.clock).0;
    world.clock.advance(Duration::from_secs(u64::try_from(600 - now.rem_euclid(600)).unwrap()));
    assert!(twice("none").await);
    assert!(!twice("client_secret_post").await, "a secret is nobody else's");
    let first = text(&world.register(&body("none")).await.1, "client_id");
    world.clock.advance(Duration::from_secs(600));
    assert_ne!(text(&world.register(&body("none")).await.1, "client_id"), first);
}
