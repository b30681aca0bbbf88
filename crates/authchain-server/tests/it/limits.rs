//! Registration floods and the like: limits per address and per client, with `Retry-After`. The tests come through a proxy
//! that the server trusts, because loopback addresses are not limited.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::World;

async fn world() -> World {
    World::with(|options| {
        options.limits.registrations = 30;
        options.limits.tokens_by_address = 20;
        options.limits.tokens_by_client = 10;
        options.limits.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await
}

async fn register(world: &World, address: &str) -> (u16, Option<u64>) {
    let body = json!({"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "none"});
    let request = world.http.post(world.at("/oauth/register")).header("x-forwarded-for", address).json(&body);
    let answer = request.send().await.unwrap();
    let wait = answer.headers().get("retry-after").map(|wait| wait.to_str().unwrap().parse().unwrap());
    (answer.status().as_u16(), wait)
}

#[tokio::test]
async fn n06_r16_thirty_registrations_a_minute_are_welcome_and_a_flood_is_told_to_wait() {
    let world = world().await;
    for _ in 0..30 {
        assert_eq!(register(&world, "9.9.9.9").await, (201, None));
    }
    let (status, wait) = register(&world, "9.9.9.9").await;
    assert_eq!((status, wait), (429, Some(2)));
    // What the client itself writes to the left of the proxy's own word does not count.
    assert_eq!(register(&world, "6.6.6.6, 9.9.9.9").await.0, 429);
    assert_eq!(register(&world, "8.8.8.8").await.0, 201, "others are not held up");
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(register(&world, "9.9.9.9").await.0, 201);
    for _ in 0..30 {
        register(&world, "2001:db8::1").await;
    }
    assert_eq!(register(&world, "2001:db8::2").await.0, 429, "one household, many addresses");
}

#[tokio::test]
async fn n06_the_alias_and_the_management_of_clients_share_the_limit() {
    let world = world().await;
    for _ in 0..30 {
        register(&world, "9.9.9.9").await;
    }
    for (method, path) in [("POST", "/register"), ("GET", "/oauth/register/x")] {
        let request = world.http.request(method.parse().unwrap(), world.at(path));
        let answer = request.header("x-forwarded-for", "9.9.9.9").send().await.unwrap();
        assert_eq!(answer.status(), 429, "{method} {path}");
    }
}

#[tokio::test]
async fn the_token_endpoint_is_limited_per_address_and_per_client() {
    let world = world().await;
    let ask = |address: &'static str, form: Vec<(&'static str, String)>| {
        let request = world.http.post(world.at("/oauth/token")).header("x-forwarded-for", address).form(&form);
        async move {
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            (status, answer.headers().contains_key("retry-after"), answer.json::<Value>().await.unwrap())
        }
    };
    let stranger = || vec![("grant_type", "refresh_token".to_owned()), ("client_id", "x".to_owned())];
    for _ in 0..20 {
        assert_eq!(ask("9.9.9.9", stranger()).await.0, 401);
    }
    let (status, told_to_wait, answer) = ask("9.9.9.9", stranger()).await;
    assert_eq!((status, told_to_wait, &answer["error"]), (429, true, &"temporarily_unavailable".into()));
    assert_eq!(ask("8.8.8.8", stranger()).await.0, 401);

    let (client, _) = world.confidential_client("client_secret_post").await;
    let own = |secret: &str| {
        vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", "art_x".to_owned()),
            ("client_id", client.id.clone()),
            ("client_secret", secret.to_owned()),
        ]
    };
    let secret = client.secret.clone().unwrap();
    for _ in 0..10 {
        assert_eq!(ask("1.1.1.1", own("wrong")).await.0, 401, "strangers do not use up its share");
    }
    for _ in 0..10 {
        assert_eq!(ask("2.2.2.2", own(&secret)).await.2["error"], "invalid_grant");
    }
    assert_eq!(ask("3.3.3.3", own(&secret)).await.0, 429, "from wherever it asks");
}

#[tokio::test]
async fn n06_without_a_trusted_proxy_the_header_is_anybodys_word() {
    let world = World::with(|options| options.limits.registrations = 1).await;
    for _ in 0..5 {
        assert_eq!(register(&world, "9.9.9.9").await.0, 201, "loopback is not limited, whatever the header says");
    }
}

#[tokio::test]
async fn a_public_client_is_limited_per_address_and_nobody_locks_it_out_elsewhere() {
    let world = World::with(|options| {
        options.limits.tokens_by_public_client = 5;
        options.limits.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let (client, other) = (world.client().await, world.confidential_client("client_secret_post").await.0);
    let ask = async |address: &str, form: &[(&str, &str)]| {
        let request = world.http.post(world.at("/oauth/token")).header("x-forwarded-for", address).form(form);
        request.send().await.unwrap().status().as_u16()
    };
    let of_public = [("grant_type", "refresh_token"), ("refresh_token", "art_x"), ("client_id", client.id.as_str())];
    for _ in 0..5 {
        assert_eq!(ask("9.9.9.9", &of_public).await, 400);
    }
    assert_eq!(ask("9.9.9.9", &of_public).await, 429);
    assert_eq!(ask("8.8.8.8", &of_public).await, 400, "the same client elsewhere");
    let of_other = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "art_x"),
        ("client_id", other.id.as_str()),
        ("client_secret", other.secret.as_deref().unwrap()),
    ];
    assert_eq!(ask("9.9.9.9", &of_other).await, 400, "another client at the same address");
    world.clock.advance(Duration::from_secs(12));
    assert_eq!(ask("9.9.9.9", &of_public).await, 400);
}
