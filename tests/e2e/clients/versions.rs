//! Clients of each protocol version that is in use, by hand: the headers and the handshake that the version asks for.

use reqwest::Client as Http;
use serde_json::{Value, json};

use crate::{
    journey::{Client, post, text_of},
    program::Demo,
};

const DISCOVER_META: &str = "io.modelcontextprotocol";

/// A demo and a token for it.
async fn signed_in() -> (Demo, String) {
    let demo = Demo::start(&["--auto-approve"]).await;
    let token = Client::register(demo.mcp_url(), "versions").await.sign_in().await.access;
    (demo, token)
}

fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// A version with `initialize`; `header` tells whether requests after it name the version.
async fn with_a_handshake(version: &str, header: bool) {
    let (demo, token) = signed_in().await;
    let http = Http::new();
    let params = json!({
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": { "name": "by hand", "version": "1" },
    });
    let answer = post(&http, demo.mcp_url(), Some(&token), &request("initialize", params)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let session = answer.headers().get("mcp-session-id").cloned();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["result"]["protocolVersion"], version, "the version is spoken: {answer}");

    let send = |body: Value| {
        let mut request = post(&http, demo.mcp_url(), Some(&token), &body);
        if header {
            request = request.header("mcp-protocol-version", version);
        }
        if let Some(session) = &session {
            request = request.header("mcp-session-id", session);
        }
        request.send()
    };
    let noted = send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await.unwrap();
    assert_eq!(noted.status(), 202);
    let tools: Value = send(request("tools/list", json!({}))).await.unwrap().json().await.unwrap();
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 10, "{tools}");
    let params = json!({ "name": "drive_list", "arguments": {} });
    let files: Value = send(request("tools/call", params)).await.unwrap().json().await.unwrap();
    assert!(!text_of(&files).starts_with("No files"), "{files}");
}

#[tokio::test]
async fn a_client_of_2025_03_26_lists_and_calls() {
    // Its requests carry no version header: that came with the next one.
    with_a_handshake("2025-03-26", false).await;
}

#[tokio::test]
async fn m6_a_client_of_2025_06_18_lists_and_calls() {
    with_a_handshake("2025-06-18", true).await;
}

#[tokio::test]
async fn a_client_of_2025_11_25_lists_and_calls() {
    with_a_handshake("2025-11-25", true).await;
}

/// A request of 2026-07-28: no handshake; who the client is and what it can do comes with each one.
fn modern(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        format!("{DISCOVER_META}/protocolVersion"): "2026-07-28",
        format!("{DISCOVER_META}/clientInfo"): { "name": "by hand", "version": "1" },
        format!("{DISCOVER_META}/clientCapabilities"): {},
    });
    request(method, params)
}

#[tokio::test]
async fn m6_a_client_of_2026_07_28_lists_and_calls_without_a_handshake() {
    let (demo, token) = signed_in().await;
    let http = Http::new();
    let send = |body: &Value, name: Option<&str>| {
        let mut request = post(&http, demo.mcp_url(), Some(&token), body)
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", body["method"].as_str().unwrap());
        if let Some(name) = name {
            request = request.header("mcp-name", name);
        }
        request.send()
    };
    let found = send(&modern("server/discover", json!({})), None).await.unwrap();
    assert_eq!(found.status(), 200);
    assert_eq!(found.headers().get("mcp-session-id"), None, "there are no protocol sessions");
    let found: Value = found.json().await.unwrap();
    let versions = found["result"]["supportedVersions"].as_array().unwrap_or_else(|| panic!("{found}"));
    assert!(versions.contains(&json!("2026-07-28")), "{found}");

    let tools: Value = send(&modern("tools/list", json!({})), None).await.unwrap().json().await.unwrap();
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 10, "{tools}");

    let call = modern("tools/call", json!({ "name": "gmail_search", "arguments": { "query": "" } }));
    let mails: Value = send(&call, Some("gmail_search")).await.unwrap().json().await.unwrap();
    assert!(!text_of(&mails).starts_with("No messages"), "{mails}");

    let lie = send(&call, Some("whoami")).await.unwrap();
    assert_eq!(lie.status(), 400, "a header that contradicts the body is refused");
    let lie: Value = lie.json().await.unwrap();
    assert_eq!(lie["error"]["code"], -32020, "{lie}");
}

#[tokio::test]
async fn n02_a_request_without_a_token_is_challenged_in_every_version() {
    let demo = Demo::start(&[]).await;
    for version in [None, Some("2025-06-18"), Some("2025-11-25"), Some("2026-07-28")] {
        let body = request("tools/list", json!({}));
        let mut request = post(&Http::new(), demo.mcp_url(), None, &body);
        if let Some(version) = version {
            request = request.header("mcp-protocol-version", version).header("mcp-method", "tools/list");
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401, "{version:?}");
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains("resource_metadata=\"http"), "{version:?}: {challenge}");
    }
}
