//! rmcp's own client with its own OAuth machinery, a tool of the testkit as the person.

use authchain_testkit::{Browser, Endpoint, StandIn, StandInOptions};
use reqwest::Client as Http;
use rmcp::{
    ClientLifecycleMode, ClientServiceExt, RoleClient,
    model::{CallToolRequestParams, ClientConfig, ProtocolVersion},
    service::RunningService,
    transport::{
        AuthClient, AuthorizationManager, StreamableHttpClientTransport,
        auth::{AuthorizationRequest, CredentialStore, InMemoryCredentialStore, OAuthState},
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};

use crate::{
    journey::{ANN, CALLBACK, ann_says, rpc},
    program::{Demo, Server},
};

type Connection = RunningService<RoleClient, ClientConfig>;

/// Discovery, registration, a person, tokens: all by rmcp.
async fn authorized(mcp_url: &str, kept: &InMemoryCredentialStore) -> AuthorizationManager {
    let mut manager = AuthorizationManager::new(mcp_url).await.unwrap();
    manager.set_credential_store(kept.clone());
    let mut state = OAuthState::Unauthorized(manager);
    let request = AuthorizationRequest::new(CALLBACK).with_client_name("rmcp");
    state.start_authorization(request).await.unwrap();
    let page = state.get_authorization_url().await.unwrap();
    let person = Browser::new().unwrap().stop_at(CALLBACK);
    let back = person.walk(&page, &ann_says(true)).await.unwrap();
    assert!(back.stopped, "the sign-in ends on {:?}: {}", back.title(), back.text());
    state.handle_callback_url(back.url.as_str()).await.unwrap();
    state.into_authorization_manager().unwrap()
}

/// The manager of another start of the same application.
async fn remembered(mcp_url: &str, kept: &InMemoryCredentialStore) -> AuthorizationManager {
    let mut manager = AuthorizationManager::new(mcp_url).await.unwrap();
    manager.set_credential_store(kept.clone());
    assert!(manager.initialize_from_store().await.unwrap(), "the store holds what is needed");
    manager
}

async fn connected(mcp_url: &str, manager: AuthorizationManager, lifecycle: ClientLifecycleMode) -> Connection {
    let client = AuthClient::new(Http::new(), manager);
    let config = StreamableHttpClientTransportConfig::with_uri(mcp_url.to_owned());
    let transport = StreamableHttpClientTransport::with_client(client, config);
    ClientConfig::default().serve_with_lifecycle(transport, lifecycle).await.unwrap()
}

fn newest() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

async fn call(connection: &Connection, tool: &'static str, arguments: Value) -> String {
    let params = CallToolRequestParams::new(tool).with_arguments(arguments.as_object().unwrap().clone());
    let result = connection.call_tool(params).await.unwrap();
    let result = serde_json::to_value(&result).unwrap();
    assert_ne!(result["isError"], true, "{result}");
    let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"));
    assert!(!text.is_empty() && !text.starts_with("No "), "{tool} finds nothing: {text}");
    text.to_owned()
}

async fn calls_all(connection: &Connection) {
    assert_eq!(connection.list_all_tools().await.unwrap().len(), 10);
    assert!(call(connection, "whoami", json!({})).await.contains(ANN));
    call(connection, "drive_list", json!({})).await;
    call(connection, "gmail_search", json!({ "query": "" })).await;
    call(connection, "calendar_list", json!({})).await;
}

async fn access_token(kept: &InMemoryCredentialStore) -> String {
    let stored = serde_json::to_value(kept.load().await.unwrap().unwrap()).unwrap();
    stored["token_response"]["access_token"].as_str().unwrap_or_else(|| panic!("{stored}")).to_owned()
}

/// The whole way against the demo with one lifecycle.
async fn against_the_demo(lifecycle: ClientLifecycleMode) {
    let demo = Demo::start(&["--auto-approve"]).await;
    let kept = InMemoryCredentialStore::new();
    let manager = authorized(demo.mcp_url(), &kept).await;
    let connection = connected(demo.mcp_url(), manager, lifecycle).await;
    calls_all(&connection).await;
    connection.cancel().await.unwrap();
}

#[tokio::test]
async fn rmcp_speaks_2026_07_28_with_the_demo() {
    against_the_demo(newest()).await;
}

#[tokio::test]
async fn rmcp_with_the_handshake_goes_the_way() {
    against_the_demo(ClientLifecycleMode::Initialize).await;
}

#[tokio::test]
async fn rmcp_refreshes_survives_a_restart_and_is_refused_once_revoked() {
    let google = StandIn::start(StandInOptions { auto_approve: true, ..StandInOptions::default() }).await.unwrap();
    let mut server = Server::start(&google, &[]).await;
    let mcp_url = server.mcp_url();
    let kept = InMemoryCredentialStore::new();
    let manager = authorized(&mcp_url, &kept).await;
    let before = access_token(&kept).await;
    manager.refresh_token().await.unwrap();
    let after = access_token(&kept).await;
    assert_ne!(before, after, "a refresh brings a new access token");
    let connection = connected(&mcp_url, manager, newest()).await;
    calls_all(&connection).await;

    server.restart().await;
    calls_all(&connection).await;
    connection.cancel().await.unwrap();
    let manager = remembered(&mcp_url, &kept).await;
    manager.refresh_token().await.unwrap();
    let connection = connected(&mcp_url, manager, newest()).await;
    calls_all(&connection).await;
    connection.cancel().await.unwrap();
    assert_eq!(google.control().requests(Endpoint::Code), 1, "one sign-in was enough");

    let stored = serde_json::to_value(kept.load().await.unwrap().unwrap()).unwrap();
    let refresh = stored["token_response"]["refresh_token"].as_str().unwrap();
    let form = [("token", refresh), ("client_id", stored["client_id"].as_str().unwrap())];
    let revoke = format!("{}/oauth/revoke", server.issuer());
    assert_eq!(Http::new().post(revoke).form(&form).send().await.unwrap().status(), 200);
    let answer = rpc(&mcp_url, Some(&access_token(&kept).await), "tools/list", json!({})).await;
    assert_eq!(answer.status(), 401);
    let refused = remembered(&mcp_url, &kept).await.refresh_token().await.unwrap_err();
    assert!(
        refused.to_string().contains("invalid_grant") || format!("{refused:?}").contains("invalid_grant"),
        "{refused:?}"
    );
}
