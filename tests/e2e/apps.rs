//! What a person allowed is taken back by a program that acts for them, over the whole server: number 10 of the checklist.

use authchain_testkit::{StandIn, StandInOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    journey::{Client, Tokens, rpc},
    program::Server,
};

/// Asks below `/auth/apps` with a bearer token.
async fn apps(server: &Server, method: Method, path: &str, tokens: &Tokens) -> (u16, Value) {
    let url = format!("{}/auth/apps{path}", server.issuer());
    let answer = reqwest::Client::new().request(method, url).bearer_auth(&tokens.access).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn list_tools(server: &Server, tokens: &Tokens) -> u16 {
    rpc(&server.mcp_url(), Some(&tokens.access), "tools/list", json!({})).await.status().as_u16()
}

#[tokio::test]
async fn n10_a_program_that_was_disconnected_is_refused_with_the_token_that_worked_a_moment_ago() {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let mut server = Server::start(&google, &[]).await;
    let (one, other) = (
        Client::register(&server.mcp_url(), "one").await.sign_in().await,
        Client::register(&server.mcp_url(), "other").await.sign_in().await,
    );
    for tokens in [&one, &other] {
        assert_eq!(list_tools(&server, tokens).await, 200);
    }
    server.restart().await;
    let (status, listed) = apps(&server, Method::GET, "", &one).await;
    assert_eq!(status, 200, "{listed}");
    let id = |name: &str| {
        let app = listed["apps"].as_array().unwrap().iter().find(|app| app["name"] == name);
        app.unwrap_or_else(|| panic!("no {name} in {listed}"))["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(list_tools(&server, &other).await, 200);
    let (status, answer) = apps(&server, Method::DELETE, &format!("/{}", id("other")), &one).await;
    assert_eq!((status, answer["status"].as_str()), (200, Some("disconnected")), "{answer}");
    assert_eq!(list_tools(&server, &other).await, 401);
    assert_eq!(list_tools(&server, &one).await, 200);
    assert_eq!(apps(&server, Method::DELETE, &format!("/{}", id("other")), &one).await.0, 404);
    assert_eq!(apps(&server, Method::DELETE, &format!("/{}", id("one")), &one).await.0, 200);
    assert_eq!(apps(&server, Method::GET, "", &one).await.0, 401);
}
