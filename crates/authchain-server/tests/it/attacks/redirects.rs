//! Open redirects and tricks with redirect URIs, at registration and at the authorization endpoint.

use authchain::provider::Pkce;
use serde_json::{Value, json};

use crate::world::{Client, World, text};

/// What is registered, and what somebody presents in its place.
const TRICKS: [(&str, &[&str]); 4] = [
    (
        "https://client.example/cb",
        &[
            // Other places of the same site.
            "https://client.example/cb/",
            "https://client.example/CB",
            "https://client.example/cb?x=1",
            "https://client.example/cb#",
            "https://client.example/cb#x",
            "https://client.example/cb/../cb",
            "https://client.example/./cb",
            "https://client.example/cb/%2e%2e/cb",
            "https://client.example/cb%2F",
            "https://client.example/%63b",
            "https://client.example//cb",
            "https://client.example",
            // The same host for some readers.
            "https://CLIENT.example/cb",
            "HTTPS://client.example/cb",
            "https://client.example./cb",
            "https://client.example:443/cb",
            "https://client.example:8443/cb",
            "https://client.example:/cb",
            "https://client。example/cb",
            "https://clıent.example/cb",
            "https://client.example\u{200b}/cb",
            // Another host for some readers.
            "https://client.example@evil.example/cb",
            "https://client.example:pw@evil.example/cb",
            "https://evil.example@client.example/cb",
            "https://client.example%40evil.example/cb",
            "https://client.example%2F@evil.example/cb",
            "https://client.example%2Fevil.example/cb",
            "https://client.example\\@evil.example/cb",
            "https://client.example\\.evil.example/cb",
            "https:\\\\client.example\\cb",
            "https:/client.example/cb",
            "https:client.example/cb",
            "https://client.example.evil.example/cb",
            "https://client.example;evil.example/cb",
            "https://client.example,evil.example/cb",
            "https://evil.example/?https://client.example/cb",
            "https://evil.example#https://client.example/cb",
            "https://*.example/cb",
            // No site at all, or without protection.
            "http://client.example/cb",
            "//client.example/cb",
            "/cb",
            "cb",
            "javascript:alert(1)//https://client.example/cb",
            "data:text/html,https://client.example/cb",
            // Characters that split what they stand in.
            "https://client.example/cb\r\nLocation: https://evil.example/",
            "https://client.example/cb%0d%0aLocation:x",
            "https://client.example/cb\0",
            " https://client.example/cb",
            "https://client.example/cb ",
            "https://client.example/cb\t",
        ],
    ),
    (
        "http://127.0.0.1:33418/callback",
        &[
            // Other names of the same machine, or what some readers take for them.
            "http://127.1:33418/callback",
            "http://127.0.1:33418/callback",
            "http://2130706433:33418/callback",
            "http://0x7f000001:33418/callback",
            "http://0177.0.0.1:33418/callback",
            "http://127.0.0.1.:33418/callback",
            "http://127.0.0.2:33418/callback",
            "http://0.0.0.0:33418/callback",
            "http://[::1]:33418/callback",
            "http://[::ffff:127.0.0.1]:33418/callback",
            "http://[::ffff:7f00:1]:33418/callback",
            "http://localhost:33418/callback",
            "http://①②⑦.0.0.1:33418/callback",
            // Other machines.
            "http://127.0.0.1.evil.example:33418/callback",
            "http://127.0.0.1:33418@evil.example/callback",
            "http://127.0.0.1:33418%40evil.example/callback",
            "http://127.0.0.1:33418\\@evil.example/callback",
            "http://127.0.0.1%00.evil.example/callback",
            "http://127.0.0.1%2f.evil.example/callback",
            "http://evil.example:33418/callback",
            // Ports that are none.
            "http://127.0.0.1:0/callback",
            "http://127.0.0.1:65536/callback",
            "http://127.0.0.1:80:80/callback",
            "http://127.0.0.1:-1/callback",
            "http://127.0.0.1:1e3/callback",
            // Other places.
            "https://127.0.0.1:33418/callback",
            "http://127.0.0.1:33418/callback/",
            "http://127.0.0.1:33418/callback/../other",
            "http://127.0.0.1:33418/callback%2f..%2fother",
            "http://127.0.0.1:33418/callback?next=https://evil.example",
            "http://127.0.0.1:33418//evil.example/callback",
        ],
    ),
    (
        "http://[::1]:33418/callback",
        &[
            "http://[0:0:0:0:0:0:0:1]:33418/callback",
            "http://[::0001]:33418/callback",
            "http://[::]:33418/callback",
            "http://[::ffff:127.0.0.1]:33418/callback",
            "http://[::1%25lo]:33418/callback",
            "http://[::1]evil.example:33418/callback",
            "http://[::1].evil.example:33418/callback",
            "http://[::1]@evil.example:33418/callback",
            "http://::1:33418/callback",
            "http://[::1:33418/callback",
        ],
    ),
    (
        "http://localhost:33418/callback",
        &[
            "http://localhost.evil.example:33418/callback",
            "http://localhost.:33418/callback",
            "http://localhost%2eevil.example:33418/callback",
            "http://evil.localhost:33418/callback",
            "http://localhost@evil.example:33418/callback",
            "http://localhost:33418@evil.example/callback",
            "http://localhost\\evil.example/callback",
            "http://local\thost:33418/callback",
            "http://ｌocalhost:33418/callback",
            "http://127.0.0.1:33418/callback",
        ],
    ),
];

#[tokio::test]
async fn n07_n09_no_spelling_of_a_redirect_uri_leads_elsewhere() {
    let world = World::new().await;
    for (registered, tricks) in TRICKS {
        let body = json!({"redirect_uris": [registered], "token_endpoint_auth_method": "none"});
        let client = Client { id: text(&world.register(&body).await.1, "client_id"), secret: None };
        for trick in tricks {
            // A request that is wrong besides, so that an answer would be a redirect at once.
            for response_type in ["code", "token"] {
                let changes = [("redirect_uri", *trick), ("response_type", response_type)];
                let url = world.authorize_url(&client, &Pkce::generate(), &changes);
                let answer = world.http.get(url).send().await.unwrap();
                assert_eq!(answer.status(), 400, "{trick:?}");
                assert!(!answer.headers().contains_key("location"), "{trick:?}");
                assert!(!answer.headers().contains_key("set-cookie"), "{trick:?}: nothing has begun");
                let page = answer.text().await.unwrap();
                assert!(!page.contains("evil.example"), "{trick:?}: the page does not lead there either");
            }
        }
    }
}

#[tokio::test]
async fn n07_what_two_readers_could_take_for_two_hosts_is_never_registered() {
    let world = World::new().await;
    for uri in [
        "https://client.example@evil.example/cb",
        "https://evil.example@client.example/cb",
        "https://client.example%2F@evil.example/cb",
        "https://client.example%2Fevil.example/cb",
        "https://client.example\\@evil.example/cb",
        "https:\\\\client.example\\cb",
        "https:/client.example/cb",
        "https:client.example/cb",
        "https://client.example./cb",
        "https://client。example/cb",
        "https://clıent.example/cb",
        "https://*.example/cb",
        "https://client.example:0/cb",
        "https://client.example:65536/cb",
        "https:///cb",
        "https://[::1/cb",
        "http://127.1/cb",
        "http://2130706433/cb",
        "http://0x7f.0.0.1/cb",
        "http://0.0.0.0/cb",
        "http://127.0.0.2/cb",
        "http://[::]/cb",
        "http://[::ffff:127.0.0.1]/cb",
        "http://[0:0:0:0:0:0:0:1]/cb",
        "http://localhost./cb",
        "http://localhost.evil.example/cb",
        "http://evil.localhost/cb",
        "JavaScript:alert(1)",
        "java\tscript:alert(1)",
        "\u{1}javascript:alert(1)",
        " javascript:alert(1)",
        "vbscript:x",
        "DATA:text/html,x",
        "https://client.example/cb\r\nx: y",
        "https://client.example/<script>",
        "//evil.example/cb",
        "",
    ] {
        for method in ["none", "client_secret_post"] {
            let body = json!({"redirect_uris": [uri], "token_endpoint_auth_method": method});
            let (status, answer) = world.register(&body).await;
            assert_eq!((status, &answer["error"]), (400, &Value::from("invalid_redirect_uri")), "{uri:?}: {answer}");
        }
    }
}

#[tokio::test]
async fn n09_nothing_in_a_state_splits_the_answer() {
    let world = World::new().await;
    let client = world.client().await;
    let state = "x\r\nSet-Cookie: a=b\r\n\r\n<script>&code=stolen#code=stolen";
    let changes = [("state", state), ("response_type", "token")];
    let answer = world.http.get(world.authorize_url(&client, &Pkce::generate(), &changes)).send().await.unwrap();
    assert!(!answer.headers().contains_key("set-cookie"));
    let location: url::Url = answer.headers()["location"].to_str().unwrap().parse().unwrap();
    let named: Vec<_> = location.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert!(!named.contains(&"code".to_owned()) && location.fragment().is_none(), "{location}");
    assert_eq!(location.query_pairs().find(|(name, _)| name == "state").unwrap().1, state);
}
