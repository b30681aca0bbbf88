//! Cases A1 to A9: how clients come back and what they ask for.

use authchain::provider::Pkce;
use serde_json::Value;

use super::{clients, clients_of};
use crate::world::{DRIVE, World, choice, scopes};

#[tokio::test]
async fn n07_a1_a_loopback_client_comes_back_on_another_port_and_on_nothing_else_that_is_other() {
    let world = World::new().await;
    for fixture in clients_of("A1") {
        let (client, _) = fixture.register(&world).await;
        let registered: Vec<_> =
            fixture.registration()["redirect_uris"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let uri = fixture.redirect_uri();
        assert!(!registered.contains(&uri), "{}: the fixture's port is another one", fixture.file);
        let mut url: url::Url = uri.parse().unwrap();
        let asked = async |uri: &str| {
            let url = world.authorize_url(&client, &Pkce::generate(), &[("redirect_uri", uri)]);
            world.browser().open(url).await.unwrap().status
        };
        for port in [1024, 8080, 65535] {
            url.set_port(Some(port)).unwrap();
            assert_eq!(asked(url.as_str()).await, 200, "{url}");
        }
        for other in [format!("{url}x"), url.as_str().replace("http:", "https:")] {
            assert_eq!(asked(&other).await, 400, "{other}");
        }
        url.set_host(Some("127.0.0.2")).unwrap();
        assert_eq!(asked(url.as_str()).await, 400, "{url}");
    }
}

#[tokio::test]
async fn a5_claude_asks_for_all_that_the_authorization_server_announces_and_gets_it() {
    let world = World::new().await;
    for fixture in clients_of("A5") {
        let way = fixture.goes_the_way(&world).await;
        let (_, metadata) = world.get_json("/.well-known/oauth-authorization-server").await;
        let announced = metadata["scopes_supported"].as_array().unwrap();
        let granted = scopes(&way.tokens);
        assert!(announced.contains(&"offline_access".into()), "and so it may ask for it");
        for scope in announced.iter().filter_map(Value::as_str).filter(|scope| *scope != "offline_access") {
            assert!(granted.contains(scope), "{scope} is not in {granted}");
        }
    }
}

#[tokio::test]
async fn a6_scopes_from_wherever_a_client_took_them_work_and_the_answer_says_which_were_given() {
    let world = World::new().await;
    let announced = async |path: &str| {
        let (_, document) = world.get_json(path).await;
        let scopes: Vec<_> =
            document["scopes_supported"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        scopes.join(" ")
    };
    let of_server = announced("/.well-known/oauth-authorization-server").await;
    let of_resource = announced("/.well-known/oauth-protected-resource/mcp").await;
    for fixture in clients_of("A6") {
        let (client, _) = fixture.register(&world).await;
        for (asked, at_least) in [
            (of_server.as_str(), DRIVE),
            (of_resource.as_str(), DRIVE),
            (DRIVE, DRIVE),
            ("", DRIVE),
            ("openid", "openid"),
            ("unheard-of openid", "openid"),
        ] {
            let pkce = Pkce::generate();
            let changes = [("redirect_uri", fixture.redirect_uri()), ("scope", asked)];
            let url = world.authorize_url(&client, &pkce, &changes);
            let browser = world.browser().stop_at(fixture.redirect_uri());
            let back = browser.walk(url, &choice("ann@example.com")).await.unwrap();
            let form = [
                ("grant_type", "authorization_code"),
                ("code", &back.query("code").unwrap()),
                ("redirect_uri", fixture.redirect_uri()),
                ("client_id", &client.id),
                ("code_verifier", pkce.verifier.expose()),
            ];
            let (status, tokens) = world.post_form("/oauth/token", &form).await;
            assert_eq!(status, 200, "{asked:?}: {tokens}");
            assert!(
                scopes(&tokens).contains(at_least) && !scopes(&tokens).contains("unheard-of"),
                "{asked:?}: {tokens}"
            );
        }
    }
}

#[tokio::test]
async fn n14_a7_a8_whatever_a_client_calls_the_resource_the_token_is_for_it_as_we_call_it() {
    let world = World::new().await;
    for case in ["A7", "A8"] {
        for fixture in clients_of(case) {
            let named = fixture.data["authorize"].get("resource");
            assert_eq!(named.is_some(), case == "A7", "{}", fixture.file);
            assert_ne!(named, Some(&"<mcp>".into()), "{}", fixture.file);
            let way = fixture.goes_the_way(&world).await;
            for answer in [&way.tokens, &way.refreshed] {
                assert_eq!(world.verified(answer).claims["aud"], world.resource(), "{}", fixture.file);
            }
        }
    }
}

#[tokio::test]
async fn n09_a9_a_state_with_base64_in_it_comes_back_byte_for_byte_to_every_client() {
    let world = World::new().await;
    assert!(clients_of("A9").iter().any(|fixture| fixture.data["authorize"]["state"].as_str().unwrap().len() > 400));
    let state = "a+/=".repeat(150);
    for fixture in clients() {
        let (client, _) = fixture.register(&world).await;
        let changes = [("redirect_uri", fixture.redirect_uri()), ("state", &state), ("response_type", "token")];
        let back = world.browser().stop_at(fixture.redirect_uri());
        let back = back.open(world.authorize_url(&client, &Pkce::generate(), &changes)).await.unwrap();
        assert_eq!(back.query("state"), Some(state.clone()), "{}", fixture.file);
    }
}
