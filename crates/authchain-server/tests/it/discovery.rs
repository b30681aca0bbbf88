//! Numbers 1, 3 and 4 of the checklist, cases D1 to D12.

use serde_json::Value;

use crate::world::World;

#[tokio::test]
async fn n03_n04_d1_d7_d12_r12_r13_every_form_that_a_client_probes_is_answered_with_the_same_issuer() {
    let world = World::new().await;
    for path in [
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/openid-configuration/mcp",
        "/mcp/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/mcp/.well-known/oauth-authorization-server",
    ] {
        let (status, document) = world.get_json(path).await;
        assert_eq!(status, 200, "{path}");
        assert_eq!(document["issuer"], world.issuer(), "{path}");
        assert_eq!(document["registration_endpoint"], format!("{}/oauth/register", world.issuer()), "{path}");
        assert_eq!(document["code_challenge_methods_supported"], serde_json::json!(["S256"]));
        assert_eq!(document["authorization_response_iss_parameter_supported"], true);
        let methods = document["token_endpoint_auth_methods_supported"].as_array().unwrap();
        for method in ["none", "client_secret_post", "client_secret_basic"] {
            assert!(methods.contains(&method.into()), "{method}");
        }
    }
}

#[tokio::test]
async fn n01_n04_d1_d2_d5_both_forms_of_the_resource_metadata_name_the_mcp_url_to_the_byte() {
    let world = World::new().await;
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let (status, document) = world.get_json(path).await;
        assert_eq!(status, 200, "{path}");
        assert_eq!(document["resource"], world.resource());
        assert_eq!(document["authorization_servers"], serde_json::json!([world.issuer()]));
        let scopes = document["scopes_supported"].as_array().unwrap();
        assert!(!scopes.contains(&"offline_access".into()), "that is the authorization server's business");
    }
}

#[tokio::test]
async fn n04_a5_offline_access_is_announced_by_the_authorization_server_and_comes_last() {
    let world = World::new().await;
    let (_, document) = world.get_json("/.well-known/oauth-authorization-server").await;
    let scopes: Vec<&str> = document["scopes_supported"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(scopes.first(), Some(&"openid"));
    assert_eq!(scopes.last(), Some(&"offline_access"));
}

#[tokio::test]
async fn n03_d12_every_endpoint_that_is_announced_is_there_and_below_the_issuer() {
    let world = World::new().await;
    let (_, document) = world.get_json("/.well-known/openid-configuration").await;
    for (name, value) in document.as_object().unwrap() {
        if !name.ends_with("_endpoint") && name != "jwks_uri" {
            continue;
        }
        let address = value.as_str().unwrap();
        assert!(address.starts_with(&world.issuer()), "{name}");
        let status = world.http.get(address).send().await.unwrap().status();
        assert_ne!(status, 404, "{name}");
    }
}

#[tokio::test]
async fn n03_the_public_keys_are_those_that_tokens_are_signed_with() {
    let world = World::new().await;
    let (status, keys) = world.get_json("/oauth/jwks").await;
    assert_eq!(status, 200);
    assert_eq!(keys, world.signing.jwks());
    assert!(!keys.to_string().contains("\"d\""), "no private part");
}

#[tokio::test]
async fn d1_an_unknown_well_known_path_is_a_404_in_json() {
    let world = World::new().await;
    for path in [
        "/.well-known/nothing",
        "/.well-known/",
        "/.well-known",
        "/.well-known/oauth-authorization-server/other",
        "/.well-known/oauth-protected-resource/mcp/x",
        "/mcp/.well-known/nothing",
    ] {
        let (status, body) = world.get_json(path).await;
        assert_eq!(status, 404, "{path}");
        assert_eq!(body["error"], "not_found", "{path}");
    }
}

#[tokio::test]
async fn n04_d8_browsers_of_any_origin_may_read_and_preflight() {
    let world = World::new().await;
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/nothing",
        "/oauth/register",
        "/register",
        "/oauth/token",
        "/oauth/revoke",
        "/oauth/jwks",
    ] {
        let preflight = world
            .http
            .request(reqwest::Method::OPTIONS, world.at(path))
            .header("origin", "http://localhost:6274")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type,mcp-protocol-version")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.status(), 200, "{path}");
        let headers = preflight.headers();
        assert_eq!(headers["access-control-allow-origin"], "*", "{path}");
        assert!(headers["access-control-allow-headers"].to_str().unwrap().contains("mcp-protocol-version"), "{path}");
        let get = world.http.get(world.at(path)).header("origin", "http://localhost:6274").send().await.unwrap();
        assert_eq!(get.headers()["access-control-allow-origin"], "*", "{path}");
        let exposed = get.headers()["access-control-expose-headers"].to_str().unwrap().to_ascii_lowercase();
        assert!(exposed.contains("www-authenticate"), "{path}");
    }
}

#[tokio::test]
async fn n03_d10_d12_behind_a_proxy_the_public_address_is_what_counts() {
    let world = World::with(|options| {
        options.public_url = "https://auth.example.com/base".parse().unwrap();
        options.resource = "https://auth.example.com/base/mcp".parse().unwrap();
    })
    .await;
    for path in [
        "/.well-known/oauth-authorization-server/base",
        "/.well-known/oauth-authorization-server",
        "/base/.well-known/openid-configuration",
        "/.well-known/openid-configuration/base/mcp",
        "/base/mcp/.well-known/openid-configuration",
    ] {
        let (status, document) = world.get_json(path).await;
        assert_eq!(status, 200, "{path}");
        assert_eq!(document["issuer"], "https://auth.example.com/base", "{path}");
        assert_eq!(document["token_endpoint"], "https://auth.example.com/base/oauth/token", "{path}");
    }
    for path in ["/base/oauth/jwks", "/oauth/jwks"] {
        assert_eq!(world.get_json(path).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn n03_d10_what_anybody_says_of_our_address_in_a_header_changes_no_document() {
    let world = World::with(|options| options.limits.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource/mcp"] {
        let (_, plain) = world.get_json(path).await;
        let request = world.http.get(world.at(path)).header("x-forwarded-host", "evil.example");
        let request = request.header("x-forwarded-proto", "https").header("forwarded", "host=evil.example;proto=https");
        let said = request.header("x-forwarded-port", "1").send().await.unwrap().json::<Value>().await.unwrap();
        assert_eq!(said, plain, "{path}");
    }
}

#[tokio::test]
async fn n01_d3_a_bare_host_is_published_without_a_slash() {
    let world = World::with(|options| options.resource = "https://mcp.example.com".parse().unwrap()).await;
    let (_, document) = world.get_json("/.well-known/oauth-protected-resource").await;
    assert_eq!(document["resource"], "https://mcp.example.com");
}

#[tokio::test]
async fn the_status_tells_what_the_server_is_and_nothing_about_anybody() {
    let world = World::new().await;
    let (status, body) = world.get_json("/oauth/status").await;
    assert_eq!(status, 200);
    assert_eq!((&body["status"], &body["issuer"]), (&"ok".into(), &world.issuer().into()));
}
