//! What a person allowed is taken back with a token that they made for themselves, over the whole server: number 10 of the
//! checklist.

use authchain_testkit::{Browser, StandIn, StandInOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    journey::{Client, Tokens, ann_says, rpc, session_token},
    program::Server,
};

/// Asks below `/auth/apps` with a bearer token.
async fn apps(server: &Server, method: Method, path: &str, token: &str) -> (u16, Value) {
    let url = format!("{}/auth/apps{path}", server.issuer());
    let answer = reqwest::Client::new().request(method, url).bearer_auth(token).send().await.unwrap();
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
    let browser = Browser::new().unwrap();
    browser.walk(format!("{}/auth", server.issuer()), &ann_says(true)).await.unwrap();
    let anns = session_token(&server.issuer(), &browser).await;
    server.restart().await;
    let (status, listed) = apps(&server, Method::GET, "", &one.access).await;
    assert_eq!(status, 200, "{listed}");
    let id = |name: &str| {
        let app = listed["apps"].as_array().unwrap().iter().find(|app| app["name"] == name);
        app.unwrap_or_else(|| panic!("no {name} in {listed}"))["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(list_tools(&server, &other).await, 200);
    let (status, answer) = apps(&server, Method::DELETE, &format!("/{}", id("other")), &one.access).await;
    assert_eq!((status, answer["error"].as_str()), (403, Some("access_denied")), "one client ends no other: {answer}");
    assert_eq!(list_tools(&server, &other).await, 200);
    let (status, answer) = apps(&server, Method::DELETE, &format!("/{}", id("other")), &anns).await;
    assert_eq!((status, answer["status"].as_str()), (200, Some("disconnected")), "{answer}");
    assert_eq!(list_tools(&server, &other).await, 401);
    assert_eq!(list_tools(&server, &one).await, 200);
    assert_eq!(apps(&server, Method::DELETE, &format!("/{}", id("other")), &anns).await.0, 404);
    assert_eq!(apps(&server, Method::DELETE, &format!("/{}", id("one")), &anns).await.0, 200);
    assert_eq!(apps(&server, Method::GET, "", &one.access).await.0, 401);
}
