//! Number 18 of the checklist: introspection (RFC 7662).

use std::time::Duration;

use authchain::core::Secret;
use authchain_server::ClientProof;
use serde_json::{Value, json};

use crate::{
    client_keys::{SECRET, configured},
    world::{Client, World, text},
};

async fn world() -> World {
    World::with(|options| {
        configured(options, "resource-server", ClientProof::Secret(Secret::new(SECRET)));
        options.registered.iter_mut().for_each(|client| client.introspection = true);
        configured(options, "other", ClientProof::Secret(Secret::new(SECRET)));
    })
    .await
}

async fn ask(world: &World, client: &str, secret: Option<&str>, token: &str) -> (u16, Value) {
    let mut form = vec![("token", token), ("client_id", client)];
    form.extend(secret.map(|secret| ("client_secret", secret)));
    world.post_form("/oauth/introspect", &form).await
}

#[tokio::test]
async fn n18_a_resource_server_learns_what_a_token_is_worth_until_it_is_revoked() {
    let world = world().await;
    let client = world.client().await;
    let tokens = world.tokens(&client, "ann@example.com").await;
    for name in ["access_token", "refresh_token"] {
        let (status, answer) = ask(&world, "resource-server", Some(SECRET), &text(&tokens, name)).await;
        assert_eq!((status, &answer["active"]), (200, &true.into()), "{name}: {answer}");
        assert_eq!(answer["client_id"], client.id, "{name}");
        assert_eq!(answer["username"], "ann@example.com", "{name}");
        assert_eq!(answer["aud"], world.resource(), "{name}");
        assert_eq!(answer["iss"], world.issuer(), "{name}");
        assert_eq!(answer["scope"], tokens["scope"], "{name}");
        assert!(answer["exp"].as_i64() > answer["iat"].as_i64(), "{name}");
    }
    let revoke = [("token", text(&tokens, "refresh_token")), ("client_id", client.id.clone())];
    let revoke: Vec<(&str, &str)> = revoke.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(world.post_form("/oauth/revoke", &revoke).await.0, 200);
    for name in ["access_token", "refresh_token"] {
        let answer = ask(&world, "resource-server", Some(SECRET), &text(&tokens, name)).await;
        assert_eq!(answer, (200, json!({"active": false})), "{name}");
    }
}

#[tokio::test]
async fn n18_an_expired_or_superseded_token_is_inactive() {
    let world = world().await;
    let client = world.client().await;
    let tokens = world.tokens(&client, "ann@example.com").await;
    let (_, next) = world.refresh(&client, &text(&tokens, "refresh_token")).await;
    world.clock.advance(Duration::from_secs(3600));
    for token in [text(&tokens, "access_token"), text(&tokens, "refresh_token"), "x".into(), "a.b.c".into()] {
        assert_eq!(ask(&world, "resource-server", Some(SECRET), &token).await, (200, json!({"active": false})));
    }
    let (_, answer) = ask(&world, "resource-server", Some(SECRET), &text(&next, "refresh_token")).await;
    assert_eq!(answer["active"], true);
    assert_eq!(world.refresh(&client, &text(&next, "refresh_token")).await.0, 200, "asking ends nothing");
}

#[tokio::test]
async fn n18_other_clients_see_their_own_tokens_only_and_public_ones_none() {
    let world = world().await;
    let own = Client { id: "other".into(), secret: Some(SECRET.into()) };
    let tokens = world.tokens(&own, "ann@example.com").await;
    let public = world.client().await;
    let foreign = world.tokens(&public, "bob@example.com").await;
    assert_eq!(ask(&world, "other", Some(SECRET), &text(&tokens, "access_token")).await.1["active"], true);
    for name in ["access_token", "refresh_token"] {
        let answer = ask(&world, "other", Some(SECRET), &text(&foreign, name)).await;
        assert_eq!(answer, (200, json!({"active": false})), "{name}");
    }
    let (registered, _) = world.confidential_client("client_secret_post").await;
    let answer = ask(&world, &registered.id, registered.secret.as_deref(), &text(&foreign, "access_token")).await;
    assert_eq!(answer, (200, json!({"active": false})), "anybody can register");
    let refused = ask(&world, &public.id, None, &text(&foreign, "access_token")).await;
    assert_eq!((refused.0, &refused.1["error"]), (401, &"invalid_client".into()));
    assert_eq!(ask(&world, "other", Some("wrong"), &text(&tokens, "access_token")).await.0, 401);
}

#[tokio::test]
async fn n03_n18_introspection_is_announced_without_public_clients() {
    let (_, document) = world().await.get_json("/.well-known/oauth-authorization-server").await;
    assert!(text(&document, "introspection_endpoint").ends_with("/oauth/introspect"));
    let methods = document["introspection_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(methods.contains(&"private_key_jwt".into()) && !methods.contains(&"none".into()));
}
