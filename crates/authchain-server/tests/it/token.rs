//! Numbers 13, 14 and 17 of the checklist, cases T2 and T4 to T6: the token endpoint.

use authchain::provider::Pkce;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::world::{CALLBACK, Client, World, text};

#[tokio::test]
async fn n13_of_a_hundred_redemptions_of_one_code_exactly_one_succeeds() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    let code = world.code(&client, &pkce, "ann@example.com").await;
    let answers = futures_util::future::join_all((0..100).map(|_| world.redeem(&client, &pkce, &code))).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 1);
    for (status, answer) in answers.iter().filter(|(status, _)| *status != 200) {
        assert_eq!((*status, &answer["error"]), (400, &"invalid_grant".into()));
    }
}

#[tokio::test]
async fn n13_a_code_that_comes_twice_revokes_what_it_gave() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    let code = world.code(&client, &pkce, "ann@example.com").await;
    let (_, tokens) = world.redeem(&client, &pkce, &code).await;
    let grant = world.verified(&tokens).grant.unwrap();
    world.restart();
    assert_eq!(world.redeem(&client, &pkce, &code).await.1["error"], "invalid_grant");
    assert!(world.grants().get(&grant).await.unwrap().is_none());
    let (status, answer) = world.refresh(&client, &text(&tokens, "refresh_token")).await;
    assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()));
}

#[tokio::test]
async fn n13_a_code_is_bound_to_client_redirect_verifier_and_a_minute() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    let (other, _) = world.confidential_client("client_secret_post").await;
    let wrong_verifier = Pkce { verifier: Pkce::generate().verifier, challenge: pkce.challenge.clone() };
    let code = async || world.code(&client, &pkce, "ann@example.com").await;

    assert_eq!(world.redeem(&other, &pkce, &code().await).await.1["error"], "invalid_grant");
    let tried = code().await;
    assert_eq!(world.redeem(&client, &wrong_verifier, &tried).await.1["error"], "invalid_grant");
    assert_eq!(world.redeem(&client, &pkce, &tried).await.1["error"], "invalid_grant", "one try uses a code up");
    let form = |code: &str, redirect: &str| {
        vec![
            ("grant_type".to_owned(), "authorization_code".to_owned()),
            ("code".into(), code.into()),
            ("redirect_uri".into(), redirect.into()),
            ("client_id".into(), client.id.clone()),
            ("code_verifier".into(), pkce.verifier.expose().into()),
        ]
    };
    let answer = world.http.post(world.at("/oauth/token")).form(&form(&code().await, "http://127.0.0.1:1/callback"));
    assert_eq!(answer.send().await.unwrap().status(), 400, "another redirect URI");
    let late = code().await;
    world.clock.advance(std::time::Duration::from_secs(61));
    assert_eq!(world.redeem(&client, &pkce, &late).await.1["error"], "invalid_grant");
    for garbage in ["x", "", "AAAA", &"A".repeat(54)] {
        assert_eq!(world.redeem(&client, &pkce, garbage).await.0, 400, "{garbage}");
    }
}

#[tokio::test]
async fn n14_n17_a_json_body_is_read_like_a_form() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    let code = world.code(&client, &pkce, "ann@example.com").await;
    let body = json!({
        "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "client_id": client.id,
        "code_verifier": pkce.verifier.expose(), "resource": format!("{}/", world.resource()),
    });
    let answer = world.http.post(world.at("/oauth/token")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn n03_t4_a_confidential_client_proves_itself_by_header_or_body_whatever_it_registered() {
    let world = World::new().await;
    for method in ["client_secret_basic", "client_secret_post"] {
        let (client, _) = world.confidential_client(method).await;
        let tokens = world.tokens(&client, "ann@example.com").await;
        let basic = BASE64_STANDARD.encode(format!("{}:{}", client.id, client.secret.clone().unwrap()));
        let answer = world
            .http
            .post(world.at("/oauth/token"))
            .header("authorization", format!("Basic {basic}"))
            .form(&[("grant_type", "refresh_token"), ("refresh_token", &text(&tokens, "refresh_token"))])
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "T4: {method}");
    }
}

#[tokio::test]
async fn n17_t2_who_cannot_prove_itself_is_invalid_client_with_401() {
    let world = World::new().await;
    let (confidential, _) = world.confidential_client("client_secret_post").await;
    let public = world.client().await;
    let stolen = Client { id: confidential.id.clone(), secret: Some("wrong".into()) };
    let mute = Client { id: confidential.id.clone(), secret: None };
    let boastful = Client { id: public.id.clone(), secret: Some("secret".into()) };
    let unknown = Client { id: "ac_forgotten".into(), secret: None };
    for client in [stolen, mute, boastful, unknown] {
        let (status, answer) = world.refresh(&client, "art_x").await;
        assert_eq!((status, &answer["error"]), (401, &"invalid_client".into()), "{}", client.id);
    }
    let basic = world
        .http
        .post(world.at("/oauth/token"))
        .header("authorization", "Basic eDp5")
        .form(&[("grant_type", "refresh_token")])
        .send()
        .await
        .unwrap();
    assert_eq!(basic.status(), 401);
    assert!(basic.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));
}

#[tokio::test]
async fn t5_an_empty_secret_of_a_public_client_is_no_secret() {
    let world = World::new().await;
    let client = world.client().await;
    let tokens = world.tokens(&client, "ann@example.com").await;
    let empty = Client { secret: Some(String::new()), ..client };
    assert_eq!(world.refresh(&empty, &text(&tokens, "refresh_token")).await.0, 200, "T5");
}

#[tokio::test]
async fn n06_a_secret_lives_a_day_beyond_its_last_use_and_a_public_id_ninety() {
    let world = World::new().await;
    let day = std::time::Duration::from_secs(24 * 3600);
    let ((confidential, _), public) = (world.confidential_client("client_secret_post").await, world.client().await);
    let mut tokens = world.tokens(&confidential, "ann@example.com").await;
    for _ in 0..3 {
        world.clock.advance(day * 9 / 10);
        let (status, next) = world.refresh(&confidential, &text(&tokens, "refresh_token")).await;
        assert_eq!(status, 200, "each use counts: {next}");
        tokens = next;
    }
    world.clock.advance(day * 11 / 10);
    let (status, answer) = world.refresh(&confidential, &text(&tokens, "refresh_token")).await;
    assert_eq!((status, &answer["error"]), (401, &"invalid_client".into()));

    for _ in 0..3 {
        world.clock.advance(day * 80);
        world.tokens(&public, "ann@example.com").await;
    }
    world.clock.advance(day * 91);
    assert_eq!(world.refresh(&public, "art_x").await.1["error"], "invalid_client");
}

#[tokio::test]
async fn n14_n17_requests_that_make_no_sense_have_their_own_words() {
    let world = World::new().await;
    let client = world.client().await;
    let id = client.id.as_str();
    for (form, status, error) in [
        (vec![("client_id", id)], 400, "invalid_request"),
        (vec![("client_id", id), ("grant_type", "password")], 400, "unsupported_grant_type"),
        (vec![("client_id", id), ("grant_type", "authorization_code")], 400, "invalid_request"),
        (vec![("client_id", id), ("grant_type", "refresh_token")], 400, "invalid_request"),
        (vec![("grant_type", "refresh_token")], 401, "invalid_client"),
        (
            vec![
                ("client_id", id),
                ("grant_type", "refresh_token"),
                ("refresh_token", "x"),
                ("resource", "https://evil.example/"),
            ],
            400,
            "invalid_target",
        ),
        (vec![("client_id", id), ("client_id", id), ("grant_type", "refresh_token")], 400, "invalid_request"),
    ] {
        let (got, answer) = world.post_form("/oauth/token", &form).await;
        assert_eq!((got, &answer["error"]), (status, &error.into()), "{form:?}");
    }
    let plain = world.http.post(world.at("/oauth/token")).header("content-type", "text/plain").body("grant_type=x");
    let answer = plain.send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json::<Value>().await.unwrap()["error"], "invalid_request");
}
