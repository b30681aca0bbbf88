//! Numbers 3, 6, 8 and 19 of the checklist: clients that sign (`private_key_jwt`), and clients of the configuration.

use std::{sync::Arc, time::Duration};

use authchain::{
    core::{ClientId, Clock, Secret},
    jwt::{Algorithm, SigningKeys},
    provider::Pkce,
};
use authchain_server::{ClientProof, RegisteredClient, ServerOptions};
use axum::{Router, routing::get};
use serde_json::{Value, json};

use crate::world::{CALLBACK, Client, World, text};

pub(crate) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An assertion of a client, with whatever is added or changed.
pub(crate) fn assertion(world: &World, keys: &SigningKeys, id: &str, changes: Value) -> String {
    let now = world.clock.now().0;
    let jti: u64 =
        Pkce::generate().challenge.as_str().bytes().fold(0, |n, b| n.wrapping_mul(31).wrapping_add(b.into()));
    let mut claims =
        json!({"iss": id, "sub": id, "aud": world.issuer(), "exp": now + 300, "iat": now, "jti": jti.to_string()});
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    keys.sign("JWT", &claims).unwrap()
}

pub(crate) async fn signing_client(world: &World, keys: &SigningKeys) -> Client {
    let body = json!({
        "client_name": "Signing Client",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": keys.jwks(),
    });
    let (status, answer) = world.register(&body).await;
    assert_eq!(status, 201, "{answer}");
    assert!(answer.get("client_secret").is_none());
    assert_eq!(answer["token_endpoint_auth_method"], "private_key_jwt");
    Client { id: text(&answer, "client_id"), secret: None }
}

/// Redeems a code with whatever proof is given.
async fn redeem(world: &World, client: &Client, proof: &[(&str, &str)]) -> (u16, Value) {
    let pkce = Pkce::generate();
    let code = world.code(client, &pkce, "ann@example.com").await;
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", pkce.verifier.expose()),
    ];
    form.extend(proof);
    world.post_form("/oauth/token", &form).await
}

#[tokio::test]
async fn n03_n19_a_client_signs_its_way_to_tokens_with_each_algorithm_and_either_audience() {
    let world = World::new().await;
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let keys = SigningKeys::generate(algorithm).unwrap();
        let client = signing_client(&world, &keys).await;
        for audience in [world.issuer(), format!("{}/oauth/token", world.issuer())] {
            let signed = assertion(&world, &keys, &client.id, json!({"aud": audience}));
            // The client id may be left out: the assertion names it.
            let (status, tokens) =
                redeem(&world, &client, &[("client_assertion_type", TYPE), ("client_assertion", &signed)]).await;
            assert_eq!(status, 200, "{algorithm} {audience}: {tokens}");
            let signed = assertion(&world, &keys, &client.id, json!({}));
            let refresh = text(&tokens, "refresh_token");
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", &refresh),
                ("client_id", &client.id),
                ("client_assertion_type", TYPE),
                ("client_assertion", &signed),
            ];
            assert_eq!(world.post_form("/oauth/token", &form).await.0, 200);
        }
    }
}

#[tokio::test]
async fn n19_an_assertion_that_is_not_right_in_everything_proves_nothing() {
    let world = World::new().await;
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
    let other = SigningKeys::generate(Algorithm::ES256).unwrap();
    let client = signing_client(&world, &keys).await;
    let now = world.clock.now().0;
    let cases = [
        ("another's key", assertion(&world, &other, &client.id, json!({}))),
        ("another's audience", assertion(&world, &keys, &client.id, json!({"aud": "https://other.example"}))),
        ("another's name as subject", assertion(&world, &keys, &client.id, json!({"sub": "ac_other"}))),
        ("another's name as issuer", assertion(&world, &keys, &client.id, json!({"iss": "ac_other"}))),
        ("expired", assertion(&world, &keys, &client.id, json!({"exp": now - 120, "iat": now - 400}))),
        ("good for ever", assertion(&world, &keys, &client.id, json!({"exp": now + 100_000}))),
        ("without expiry", assertion(&world, &keys, &client.id, json!({"exp": null}))),
        ("without id", assertion(&world, &keys, &client.id, json!({"jti": null}))),
        ("not yet good", assertion(&world, &keys, &client.id, json!({"nbf": now + 120}))),
        ("no JWT", "x.y.z".into()),
    ];
    for (case, signed) in cases {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", "art_x"),
            ("client_id", client.id.as_str()),
            ("client_assertion_type", TYPE),
            ("client_assertion", &signed),
        ];
        let (status, answer) = world.post_form("/oauth/token", &form).await;
        assert_eq!((status, &answer["error"]), (401, &"invalid_client".into()), "{case}: {answer}");
    }
    let form = [("grant_type", "refresh_token"), ("refresh_token", "art_x"), ("client_id", client.id.as_str())];
    assert_eq!(world.post_form("/oauth/token", &form).await.0, 401, "without any proof");
}

#[tokio::test]
async fn n19_an_assertion_is_taken_once_also_by_many_at_once_and_after_a_restart() {
    let world = World::new().await;
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let client = signing_client(&world, &keys).await;
    let signed = assertion(&world, &keys, &client.id, json!({}));
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "art_x"),
        ("client_assertion_type", TYPE),
        ("client_assertion", signed.as_str()),
    ];
    let answers = futures_util::future::join_all((0..50).map(|_| world.post_form("/oauth/token", &form))).await;
    let proven = answers.iter().filter(|(_, answer)| answer["error"] == "invalid_grant").count();
    assert_eq!(proven, 1, "one got as far as its refresh token");
    world.restart();
    assert_eq!(world.post_form("/oauth/token", &form).await.1["error"], "invalid_client");
}

#[tokio::test]
async fn n03_two_proofs_at_once_or_of_the_wrong_kind_are_refused() {
    let world = World::new().await;
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let client = signing_client(&world, &keys).await;
    let (secret_client, _) = world.confidential_client("client_secret_post").await;
    let public = world.client().await;
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "art_x")];
    let post = |more: Vec<(&'static str, String)>| {
        let form: Vec<(&str, String)> = refresh.iter().map(|(k, v)| (*k, (*v).into())).chain(more).collect();
        let world = &world;
        async move {
            let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let (status, answer) = world.post_form("/oauth/token", &form).await;
            (status, text(&answer, "error"))
        }
    };
    let signed = |id: &str| assertion(&world, &keys, id, json!({}));
    let with = |id: &str, secret: &str| {
        vec![
            ("client_id", id.to_owned()),
            ("client_secret", secret.to_owned()),
            ("client_assertion_type", TYPE.to_owned()),
            ("client_assertion", signed(id)),
        ]
    };
    assert_eq!(post(with(&client.id, "x")).await, (400, "invalid_request".into()));
    for id in [&secret_client.id, &public.id] {
        assert_eq!(post(with(id, "")).await, (401, "invalid_client".into()), "these do not sign");
    }
    let wrong_type = vec![("client_assertion_type", "urn:x".to_owned()), ("client_assertion", signed(&client.id))];
    assert_eq!(post(wrong_type).await, (400, "invalid_request".into()));
    let secret = vec![("client_id", client.id.clone()), ("client_secret", "x".to_owned())];
    assert_eq!(post(secret).await, (401, "invalid_client".into()));
}

#[tokio::test]
async fn n05_n06_keys_at_an_address_are_fetched_under_the_same_guard() {
    let keys = Arc::new(SigningKeys::generate(Algorithm::ES256).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/keys", listener.local_addr().unwrap());
    let published = keys.clone();
    let router = Router::new().route("/keys", get(move || async move { axum::Json(published.jwks()) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let body = |uri: &str| json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": uri});

    let world = World::with(|options| options.documents.allow_loopback = true).await;
    let (_, answer) = world.register(&body(&address)).await;
    let client = Client { id: text(&answer, "client_id"), secret: None };
    let signed = assertion(&world, &keys, &client.id, json!({}));
    let (status, tokens) =
        redeem(&world, &client, &[("client_assertion_type", TYPE), ("client_assertion", &signed)]).await;
    assert_eq!(status, 200, "{tokens}");

    let world = World::new().await;
    assert_eq!(world.register(&body(&address)).await.0, 400, "plain http");
    let inside = address.replace("http:", "https:");
    let (_, answer) = world.register(&body(&inside)).await;
    let id = text(&answer, "client_id");
    let signed = assertion(&world, &keys, &id, json!({}));
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "art_x"),
        ("client_assertion_type", TYPE),
        ("client_assertion", &signed),
    ];
    let (status, answer) = world.post_form("/oauth/token", &form).await;
    assert_eq!((status, &answer["error"]), (401, &"invalid_client".into()), "{answer}");
}

pub(crate) const SECRET: &str = "a secret of the operator's own";

pub(crate) fn configured(options: &mut ServerOptions, id: &str, proof: ClientProof) {
    let id = ClientId::new(id).unwrap();
    options
        .registered
        .push(RegisteredClient { proof, ..RegisteredClient::new(id, "Dashboard", vec![CALLBACK.into()]) });
}

#[tokio::test]
async fn n08_a_client_of_the_configuration_signs_in_without_registration_and_never_expires() {
    let keys = SigningKeys::generate(Algorithm::EdDSA).unwrap();
    let world = World::with(|options| {
        configured(options, "public-app", ClientProof::Nothing);
        configured(options, "dashboard", ClientProof::Secret(Secret::new(SECRET)));
        configured(options, "signing-app", ClientProof::Keys(keys.jwks()));
    })
    .await;
    for (id, secret) in [("public-app", None), ("dashboard", Some(SECRET.to_owned()))] {
        let client = Client { id: id.into(), secret };
        let tokens = world.tokens(&client, "ann@example.com").await;
        world.clock.advance(Duration::from_secs(30 * 24 * 3600));
        world.lose_state();
        let again = world.tokens(&client, "ann@example.com").await;
        assert_eq!(world.verified(&again).client.unwrap().as_str(), id, "{tokens}");
    }
    let client = Client { id: "signing-app".into(), secret: None };
    let signed = assertion(&world, &keys, "signing-app", json!({}));
    let (status, tokens) =
        redeem(&world, &client, &[("client_assertion_type", TYPE), ("client_assertion", &signed)]).await;
    assert_eq!(status, 200, "{tokens}");
}

#[tokio::test]
async fn n08_a_client_of_the_configuration_is_held_to_its_secret_and_redirects() {
    let world = World::with(|options| configured(options, "dashboard", ClientProof::Secret(Secret::new(SECRET)))).await;
    for secret in [None, Some("wrong"), Some("a secret of the operator's ow")] {
        let client = Client { id: "dashboard".into(), secret: secret.map(Into::into) };
        let (status, answer) = world.refresh(&client, "art_x").await;
        assert_eq!((status, &answer["error"]), (401, &"invalid_client".into()), "{secret:?}");
    }
    let client = Client { id: "dashboard".into(), secret: None };
    let url = world.authorize_url(&client, &Pkce::generate(), &[("redirect_uri", "https://evil.example/cb")]);
    assert_eq!(world.browser().open(url).await.unwrap().status, 400);
    let managed = world.http.get(world.at("/oauth/register/dashboard")).bearer_auth("x").send().await.unwrap();
    assert_eq!(managed.status(), 401);
}
