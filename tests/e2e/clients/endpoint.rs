//! Cases D1 to D9 and M1 to M7: what clients do at the MCP endpoint and on the way to it, by hand.

use reqwest::{Client as Http, Method, Response};
use serde_json::{Value, json};
use url::Url;

use crate::{
    journey::{Client, post, rpc},
    program::Demo,
};

/// A demo, a client of it, and a token.
async fn signed_in() -> (Demo, Client, String) {
    let demo = Demo::start(&["--auto-approve"]).await;
    let client = Client::register(demo.mcp_url(), "endpoint").await;
    let token = client.sign_in().await.access;
    (demo, client, token)
}

/// A client that follows no redirect: one loses the token in some clients.
fn http() -> Http {
    Http::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

fn at(demo: &Demo, path: &str) -> String {
    Url::parse(demo.mcp_url()).unwrap().join(path).unwrap().into()
}

fn challenge(answer: &Response) -> String {
    let header = answer.headers().get("www-authenticate").unwrap_or_else(|| panic!("no challenge: {answer:?}"));
    header.to_str().unwrap().to_owned()
}

fn list() -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} })
}

#[tokio::test]
async fn n01_n03_n04_d1_d2_d5_d7_d12_all_that_claude_code_probes_is_there_and_agrees() {
    let demo = Demo::start(&[]).await;
    let http = http();
    let issuer = Url::parse(demo.mcp_url()).unwrap().origin().ascii_serialization();
    for path in [
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/openid-configuration/mcp",
        "/mcp/.well-known/openid-configuration",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ] {
        let answer = http.get(at(&demo, path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let document: Value = answer.json().await.unwrap();
        if path.contains("protected-resource") {
            assert_eq!(document["resource"], demo.mcp_url(), "{path}");
            assert_eq!(document["authorization_servers"], json!([issuer]), "{path}");
        } else {
            assert_eq!(document["issuer"], issuer, "{path}");
            assert!(document["registration_endpoint"].as_str().unwrap().starts_with(&issuer), "{path}");
        }
    }
    let unknown = http.get(at(&demo, "/.well-known/unheard-of")).send().await.unwrap();
    assert_eq!(unknown.status(), 404);
    assert_eq!(unknown.json::<Value>().await.unwrap()["error"], "not_found");
    let body = json!({ "redirect_uris": ["http://localhost:1/callback"], "token_endpoint_auth_method": "none" });
    assert_eq!(http.post(at(&demo, "/register")).json(&body).send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn n02_n14_d4_t7_challenge_metadata_and_token_name_the_same_resource_and_the_address_is_absolute() {
    let (demo, _, token) = signed_in().await;
    let refused = rpc(demo.mcp_url(), None, "tools/list", json!({})).await;
    let challenge = challenge(&refused);
    assert!(!challenge.contains("error="), "nothing was presented: {challenge}");
    let metadata = challenge.split("resource_metadata=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(metadata.starts_with("http://127.0.0.1:"), "{metadata}");
    let document: Value = http().get(metadata).send().await.unwrap().json().await.unwrap();
    assert_eq!(document["resource"], demo.mcp_url());
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64_url(claims);
    assert_eq!(claims["aud"], document["resource"]);
}

/// The JSON in one part of a token.
fn base64_url(part: &str) -> Value {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = 0_u32;
    let mut held = 0;
    let mut bytes = Vec::new();
    for letter in part.chars() {
        bits = bits << 6 | u32::try_from(alphabet.find(letter).unwrap()).unwrap();
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn n02_d6_every_401_of_every_route_behind_the_layer_has_a_challenge() {
    let demo = Demo::start(&[]).await;
    for (method, path) in [
        ("POST", "/mcp"),
        ("POST", "/mcp/"),
        ("GET", "/mcp"),
        ("DELETE", "/mcp"),
        ("HEAD", "/mcp"),
        ("GET", "/auth/accounts"),
        ("GET", "/auth/apps"),
        ("DELETE", "/auth/apps/x"),
    ] {
        let request = http().request(method.parse::<Method>().unwrap(), at(&demo, path));
        let answer = request.bearer_auth("not.a.token").header("accept", "application/json").send().await.unwrap();
        assert_eq!(answer.status(), 401, "{method} {path}");
        let challenge = challenge(&answer);
        assert!(
            challenge.starts_with("Bearer ") && challenge.contains("invalid_token"),
            "{method} {path}: {challenge}"
        );
    }
}

#[tokio::test]
async fn n04_d8_a_browser_client_may_ask_with_all_its_headers_and_read_the_challenge() {
    let demo = Demo::start(&[]).await;
    let headers =
        "authorization, content-type, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id";
    for path in [
        "/mcp",
        "/mcp/",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/oauth/register",
        "/oauth/token",
        "/oauth/revoke",
    ] {
        let request = http().request(Method::OPTIONS, at(&demo, path)).header("origin", "http://localhost:6274");
        let request = request.header("access-control-request-method", "POST");
        let answer = request.header("access-control-request-headers", headers).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let allowed = answer.headers()["access-control-allow-headers"].to_str().unwrap().to_ascii_lowercase();
        for header in headers.split(", ") {
            assert!(allowed.contains(header), "{path}: {header} is not in {allowed}");
        }
        let answer = http().post(at(&demo, path)).header("origin", "http://localhost:6274").send().await.unwrap();
        let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap().to_ascii_lowercase();
        assert!(exposed.contains("www-authenticate"), "{path}: {exposed}");
        assert!(!path.starts_with("/mcp") || exposed.contains("mcp-session-id"), "{path}: {exposed}");
    }
}

#[tokio::test]
async fn d9_a_probe_of_the_endpoint_and_of_the_root_is_neither_redirected_nor_an_error_of_ours() {
    let demo = Demo::start(&[]).await;
    for (path, status) in [("/mcp", 401), ("/mcp/", 401), ("/", 405)] {
        for method in [Method::HEAD, Method::GET] {
            let request = http().request(method.clone(), at(&demo, path)).header("user-agent", "python-httpx/0.28");
            assert_eq!(request.send().await.unwrap().status(), status, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn m1_the_endpoint_with_and_without_a_slash_is_one_and_redirects_nobody() {
    let (demo, _, token) = signed_in().await;
    for path in ["/mcp", "/mcp/"] {
        let request =
            post(&http(), &at(&demo, path), Some(&token), &list()).header("mcp-protocol-version", "2025-11-25");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["result"]["tools"].as_array().unwrap().len(), 10, "{path}");
    }
}

#[tokio::test]
async fn m2_a_stream_that_is_opened_without_the_token_is_challenged_and_calls_go_on() {
    let (demo, _, token) = signed_in().await;
    let stream = http().get(demo.mcp_url()).header("accept", "text/event-stream");
    let refused = stream.send().await.unwrap();
    assert_eq!(refused.status(), 401);
    challenge(&refused);
    assert_eq!(rpc(demo.mcp_url(), Some(&token), "tools/list", json!({})).await.status(), 200);
}

#[tokio::test]
async fn n17_m3_a_401_is_json_with_the_error_what_to_do_and_the_link() {
    let demo = Demo::start(&[]).await;
    for token in [None, Some("not.a.token"), Some("opaque")] {
        let refused = rpc(demo.mcp_url(), token, "tools/list", json!({})).await;
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.headers()["content-type"], "application/json");
        assert_eq!(refused.headers()["cache-control"], "no-store");
        let body: Value = refused.json().await.unwrap();
        for field in ["error", "error_description", "what_to_do", "sign_in_url"] {
            assert!(body[field].is_string(), "no {field} in {body}");
        }
    }
}

#[tokio::test]
async fn m4_each_request_is_checked_by_itself_and_no_stream_outlives_its_token() {
    let (demo, client, token) = signed_in().await;
    // There is no stream of the server's own: a client that wants one is told, and asks again by POST.
    let stream = http().get(demo.mcp_url()).header("accept", "text/event-stream").bearer_auth(&token);
    assert_eq!(stream.send().await.unwrap().status(), 405);
    assert_eq!(rpc(demo.mcp_url(), Some(&token), "tools/list", json!({})).await.status(), 200);
    assert_eq!(client.revoke(&token).await.status(), 200);
    assert_eq!(rpc(demo.mcp_url(), Some(&token), "tools/list", json!({})).await.status(), 401);
}

#[tokio::test]
async fn m6_the_headers_of_2026_07_28_are_wanted_from_clients_of_that_version_only() {
    let (demo, _, token) = signed_in().await;
    for version in [None, Some("2025-03-26"), Some("2025-06-18"), Some("2025-11-25")] {
        let request = post(&http(), demo.mcp_url(), Some(&token), &list());
        let request =
            version.into_iter().fold(request, |request, version| request.header("mcp-protocol-version", version));
        assert_eq!(request.send().await.unwrap().status(), 200, "{version:?}");
    }
    let request = post(&http(), demo.mcp_url(), Some(&token), &list()).header("mcp-protocol-version", "2026-07-28");
    assert_eq!(request.send().await.unwrap().status(), 400, "without Mcp-Method");
}

#[tokio::test]
async fn n02_m7_a_good_token_that_was_pasted_never_sees_a_challenge_and_a_bad_one_is_called_that() {
    let (demo, _, token) = signed_in().await;
    let answer = rpc(demo.mcp_url(), Some(&token), "tools/list", json!({})).await;
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("www-authenticate"));
    let mut bad = token.clone();
    bad.truncate(token.len() - 4);
    let refused = rpc(demo.mcp_url(), Some(&(bad + "AAAA")), "tools/list", json!({})).await;
    assert_eq!(refused.status(), 401);
    assert!(challenge(&refused).contains("error=\"invalid_token\""));
}

#[tokio::test]
async fn n20_a_foreign_host_a_foreign_origin_and_a_token_in_the_address_are_refused() {
    let (demo, _, token) = signed_in().await;
    let ask = |name: &'static str, value: &'static str| {
        post(&http(), demo.mcp_url(), Some(&token), &list()).header(name, value).send()
    };
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example"] {
        assert_eq!(ask("host", host).await.unwrap().status(), 421, "{host}");
    }
    for origin in ["https://evil.example", "http://localhost.evil.example", "null"] {
        let refused = ask("origin", origin).await.unwrap();
        assert_eq!(refused.status(), 403, "{origin}");
    }
    assert_eq!(ask("origin", "http://localhost:6274").await.unwrap().status(), 200);
    for parameter in ["access_token", "Access_Token"] {
        let url = format!("{}?{parameter}={token}", demo.mcp_url());
        let refused = post(&http(), &url, None, &list()).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{parameter}");
        assert!(!refused.text().await.unwrap().contains(&token));
    }
    let doubled =
        post(&http(), demo.mcp_url(), Some(&token), &list()).header("authorization", format!("Bearer {token}"));
    assert_eq!(doubled.send().await.unwrap().status(), 400);
}
