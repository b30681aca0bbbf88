//! MCP `tools/call` with a token that our own server issued, over bare rmcp.
#![allow(clippy::print_stdout, reason = "benchmarks print")]
#![allow(clippy::indexing_slicing, reason = "a benchmark that is wrong may stop")]

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use authchain::{
    core::{ClientId, Clock, Email, ProviderId, Scopes, SystemClock, UserId},
    grants::Grant,
};
use authchain_bench::{
    load,
    process::{Server, serve},
    report::{line, median},
};
use authchain_server::{App, config::Sources};
use axum::{Router, body::Body};
use hyper::body::Incoming;
use rmcp::{
    tool, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use serde_json::json;
use tower::ServiceExt;

const USERS: usize = 1000;
const ROUNDS: usize = 9;

/// One tool that does nothing.
#[derive(Clone)]
struct Ping;

#[tool_router(server_handler)]
impl Ping {
    #[tool(description = "Answers")]
    async fn ping(&self) -> String {
        "pong".into()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve", "bare"] => serve(bare(), &[]).await,
        ["serve", "guarded"] => {
            let app = App::new(config()?).await?;
            let tokens = issue(&app).await?;
            let mcp = authchain_mcp::service(Ping, app.public_url());
            serve(app.service(mcp).map_request(|request: http::Request<Incoming>| request.map(Body::new)), &tokens)
                .await
        }
        _ => compare().await,
    }
}

fn config() -> Result<authchain_server::config::Config> {
    Ok(Sources::new()
        .set("storage.mode", "memory_only", "bench")
        .set("providers.google.client_id", "bench", "bench")
        .load()?)
}

/// rmcp's own service with the same settings, on a router.
fn bare() -> Router {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_origins(["http://localhost:*"])
        .enforce_origin_validation();
    let mcp = StreamableHttpService::new(|| Ok(Ping), Arc::<LocalSessionManager>::default(), config);
    Router::new().route_service("/mcp", mcp)
}

/// Grants and access tokens as the token endpoint makes them.
async fn issue(app: &App) -> Result<Vec<String>> {
    let now = SystemClock.now();
    let resource = config()?.resource()?.to_string();
    let issuer = app.public_url().as_str().trim_end_matches('/').to_owned();
    let scopes = Scopes::from("https://www.googleapis.com/auth/drive.readonly");
    let mut tokens = Vec::new();
    for n in 0..USERS {
        let email = Email::new(&format!("person{n}@example.com"))?;
        let grant = Grant {
            id: format!("grant-{n}"),
            user: UserId::from(&email),
            email: email.clone(),
            provider: ProviderId::google(),
            client: ClientId::new("bench")?,
            client_name: "bench".into(),
            redirect_uri: None,
            scopes: scopes.clone(),
            resource: resource.clone(),
            created_at: now,
            last_used: now,
            generation: 0,
            rotated_at: now,
            key_id: String::new(),
            added: Scopes::none(),
            bound_to: None,
        };
        app.parts().grants.create(&grant).await?;
        let claims = json!({
            "iss": issuer, "aud": resource, "sub": email, "iat": now, "exp": now + Duration::from_secs(3600),
            "jti": format!("jti-{n}"), "client_id": "bench", "scope": scopes, "sid": grant.id, "email": email, "idp": "google",
        });
        tokens.push(app.parts().signing.sign("at+jwt", &claims)?);
    }
    Ok(tokens)
}

fn call(token: &str) -> Vec<u8> {
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "ping", "arguments": {} } });
    let body = body.to_string();
    format!(
        "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Every round has processes of its own: where one happens to lie in memory is worth a few hundredths.
async fn compare() -> Result<()> {
    let (mut ratios, mut base, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let guarded = Server::start("guarded", USERS)?;
        let requests: Vec<_> = guarded.extra.iter().map(|token| call(token)).collect();
        let [without, with] = load::take_turns(&[Server::start("bare", 0)?, guarded], &requests).await?;
        ratios.push(without / with);
        base.push(without);
        ours.push(with);
    }
    line("tools/call, bare rmcp: CPU", format!("{:.1} µs", median(base)), "");
    line("tools/call, the whole server, own tokens: CPU", format!("{:.1} µs", median(ours)), "");
    line("tools/call: ratio to bare rmcp", format!("{:.3}", median(ratios)), "at least 0.95");
    Ok(())
}
