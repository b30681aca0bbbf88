//! Cases R1 to R16: each client's own registration.

use serde_json::{Value, json};

use super::{Fixture, clients, clients_of};
use crate::world::{Client, DRIVE, World, scopes, text};

/// Whether the server shows a consent page for this redirect URI, or its own error page.
async fn is_asked(world: &World, client: &Client, uri: &str) -> bool {
    let url = world.authorize_url(client, &authchain::provider::Pkce::generate(), &[("redirect_uri", uri)]);
    let page = world.browser().open(url).await.unwrap();
    assert!(!page.stopped, "{uri}");
    page.status == 200
}

/// What a registration that differs in these fields is answered with.
async fn with(world: &World, fixture: &Fixture, changes: Value) -> (u16, Value) {
    let mut body = fixture.registration().clone();
    let body = body.as_object_mut().unwrap();
    body.extend(changes.as_object().unwrap().clone());
    body.retain(|_, value| !value.is_null());
    world.register(&Value::from(body.clone())).await
}

#[tokio::test]
async fn n07_r1_cursor_registers_three_redirects_at_once_and_may_use_each() {
    let world = World::new().await;
    for fixture in clients_of("R1") {
        let (client, registered) = fixture.register(&world).await;
        assert_eq!(registered["redirect_uris"].as_array().unwrap().len(), 3);
        for uri in registered["redirect_uris"].as_array().unwrap() {
            assert!(is_asked(&world, &client, uri.as_str().unwrap()).await, "{uri}");
        }
    }
}

#[tokio::test]
async fn n07_n09_r2_a_scheme_of_an_editor_is_accepted_as_any_kind_with_pkce_and_to_the_byte() {
    let world = World::new().await;
    let kinds: Vec<_> =
        clients_of("R2").iter().map(|fixture| fixture.registration()["application_type"].clone()).collect();
    assert_eq!(kinds, [json!("native"), Value::Null, json!("web")]);
    for fixture in clients_of("R2") {
        let (client, _) = fixture.register(&world).await;
        let uri = fixture.redirect_uri();
        assert!(is_asked(&world, &client, uri).await, "{uri}");
        for other in [format!("{uri}/"), uri.replace("cursor:", "cursors:"), uri.replace("anysphere", "evil")] {
            assert!(!is_asked(&world, &client, &other).await, "{other}");
        }
        let pkce = authchain::provider::Pkce::generate();
        for without in ["code_challenge", "code_challenge_method"] {
            let changes = [("redirect_uri", uri), (without, "<none>")];
            let back = world.browser().open(world.authorize_url(&client, &pkce, &changes)).await.unwrap();
            assert_eq!(back.query("error").as_deref(), Some("invalid_request"), "without {without}");
        }
    }
}

#[tokio::test]
async fn r3_a_native_client_may_have_web_redirects_and_grant_types_that_nobody_offers_are_left_out() {
    for device_code in [true, false] {
        let world = World::with(|options| options.grants.device_code = device_code).await;
        for fixture in clients_of("R3") {
            let mut grant_types = fixture.registration()["grant_types"].as_array().unwrap().clone();
            grant_types.push("urn:example:not-offered".into());
            let (status, answer) = with(&world, &fixture, json!({"grant_types": grant_types})).await;
            assert_eq!(status, 201, "{answer}");
            assert_eq!(answer["redirect_uris"], fixture.registration()["redirect_uris"]);
            assert_eq!(answer["application_type"], "native");
            let mut kept = vec!["authorization_code", "refresh_token"];
            kept.extend(device_code.then_some("urn:ietf:params:oauth:grant-type:device_code"));
            assert_eq!(answer["grant_types"], json!(kept), "never an error, never for devices only");
        }
    }
}

#[tokio::test]
async fn r4_claude_gets_the_method_that_it_asked_for() {
    let world = World::new().await;
    let mut methods = Vec::new();
    for fixture in clients_of("R4") {
        let (_, registered) = fixture.register(&world).await;
        assert_eq!(
            registered["token_endpoint_auth_method"],
            fixture.registration()["token_endpoint_auth_method"],
            "{}",
            fixture.file
        );
        methods.push(text(&registered, "token_endpoint_auth_method"));
    }
    assert_eq!(methods, ["none", "client_secret_post"]);
}

#[tokio::test]
async fn r5_a_public_client_is_told_no_secret_and_all_that_it_said() {
    let world = World::new().await;
    for fixture in clients_of("R5") {
        let (_, registered) = fixture.register(&world).await;
        let fields = registered.as_object().unwrap();
        assert!(!fields.contains_key("client_secret") && !fields.contains_key("client_secret_expires_at"));
        assert!(registered["client_id_issued_at"].is_i64());
        assert_eq!(registered["response_types"], json!(["code"]));
        assert_eq!(registered["token_endpoint_auth_method"], "none");
    }
}

#[tokio::test]
async fn r6_every_connector_of_chatgpt_has_a_callback_of_its_own() {
    let world = World::new().await;
    for fixture in clients_of("R6") {
        fixture.register(&world).await;
        for id in ["1", "AbC-123_x", "c.d~e", "550e8400-e29b-41d4-a716-446655440000", &"x".repeat(200)] {
            let uri = format!("https://chatgpt.com/connector/oauth/{id}");
            let (status, answer) = with(&world, &fixture, json!({"redirect_uris": [uri]})).await;
            assert_eq!(status, 201, "{id}: {answer}");
        }
    }
}

#[tokio::test]
async fn r7_r8_r9_who_names_no_scope_or_an_empty_one_is_told_the_default_set() {
    let world = World::new().await;
    for case in ["R7", "R8", "R9"] {
        for fixture in clients_of(case) {
            let (_, registered) = fixture.register(&world).await;
            assert_eq!(scopes(&registered), format!("{DRIVE} email openid").as_str().into(), "{case}");
        }
    }
    // Copilot Studio asks for what it was told.
    for fixture in clients_of("R8") {
        let way = fixture.goes_the_way(&world).await;
        assert_eq!(scopes(&way.tokens), scopes(&way.registered));
    }
}

#[tokio::test]
async fn r10_identity_scopes_that_were_never_announced_for_the_resource_are_no_error() {
    let world = World::new().await;
    for fixture in clients_of("R10") {
        let (_, registered) = fixture.register(&world).await;
        let asked = fixture.registration()["scope"].as_str().unwrap();
        assert_eq!(scopes(&registered), asked.into(), "{}: accepted as they are", fixture.file);
        let (status, answer) = with(&world, &fixture, json!({"scope": format!("{asked} never-heard-of")})).await;
        assert_eq!((status, scopes(&answer)), (201, asked.into()), "{}: narrowed", fixture.file);
    }
}

#[tokio::test]
async fn r11_scopes_are_checked_against_what_the_server_offers_and_not_against_the_registration() {
    let world = World::new().await;
    for fixture in clients_of("R11") {
        assert_eq!(fixture.registration().get("scope"), None);
        let way = fixture.goes_the_way(&world).await;
        assert!(scopes(&way.tokens).contains("openid"), "{}", way.tokens);
    }
}

#[tokio::test]
async fn n03_r12_each_method_that_is_announced_works() {
    let world = World::new().await;
    let (_, document) = world.get_json("/.well-known/oauth-authorization-server").await;
    for method in ["none", "client_secret_post", "client_secret_basic"] {
        assert!(document["token_endpoint_auth_methods_supported"].as_array().unwrap().contains(&method.into()));
        let fixture = clients().into_iter().find(|f| f.registration()["token_endpoint_auth_method"] == method);
        fixture.unwrap().goes_the_way(&world).await;
    }
}

#[tokio::test]
async fn r14_a_client_that_knows_two_methods_only_is_never_told_a_third() {
    let world = World::new().await;
    for fixture in clients_of("R14") {
        for method in ["none", "client_secret_post"] {
            let (_, answer) = with(&world, &fixture, json!({"token_endpoint_auth_method": method})).await;
            assert_eq!(answer["token_endpoint_auth_method"], method);
        }
    }
}

#[tokio::test]
async fn r15_n8n_registers_its_own_host_and_without_any_redirect_uri_it_is_told_why_not() {
    let world = World::new().await;
    for fixture in clients_of("R15") {
        fixture.register(&world).await;
        for none in [json!([]), Value::Null] {
            let (status, answer) = with(&world, &fixture, json!({"redirect_uris": none})).await;
            assert_eq!((status, &answer["error"]), (400, &"invalid_redirect_uri".into()), "{none}");
        }
    }
}

#[tokio::test]
async fn r16_five_processes_that_register_at_once_are_one_client_and_each_can_sign_in() {
    let world = World::new().await;
    for fixture in clients_of("R16") {
        let processes = futures_util::future::join_all((0..5).map(|_| fixture.register(&world))).await;
        for (client, registered) in processes.clone() {
            assert_eq!(client.id, processes[0].0.id, "the same metadata within a short time is the same client");
            fixture.signs_in(&world, client, registered).await;
        }
    }
}
