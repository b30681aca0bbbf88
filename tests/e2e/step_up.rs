//! A tool that needs a scope which was not granted: an OAuth client is challenged for exactly the union, one that does not
//! understand gets a link that a person can follow, and what was granted before stays.

use authchain_testkit::{Browser, Choice, StandIn, StandInOptions};
use serde_json::{Value, json};

use crate::{
    journey::{ANN, CALLBACK, Client, Tokens, ann_says, rpc},
    node::Script,
    program::Server,
};

const DRIVE: &str = "https://www.googleapis.com/auth/drive.readonly";
const GMAIL: &str = "https://www.googleapis.com/auth/gmail.readonly";

async fn world(environment: &[(&str, &str)]) -> (StandIn, Server, Client) {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let server = Server::start(&google, environment).await;
    let client = Client::register(&server.mcp_url(), "narrow").await;
    (google, server, client)
}

/// The client signs in for these scopes.
async fn granted(client: &Client, scopes: &str) -> Tokens {
    let mut url = client.authorize_url();
    url.query_pairs_mut().append_pair("scope", scopes);
    let person = Browser::new().unwrap().stop_at(CALLBACK);
    let page = person.walk(url, &ann_says(true)).await.unwrap();
    client.redeem(&page.query("code").unwrap()).await
}

async fn search_mail(server: &Server, tokens: &Tokens) -> reqwest::Response {
    let params = json!({ "name": "gmail_search", "arguments": { "query": "fence" } });
    rpc(&server.mcp_url(), Some(&tokens.access), "tools/call", params).await
}

/// A tool's text, and whether it is an error.
async fn said(answer: reqwest::Response) -> (String, bool) {
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (text, answer["result"]["isError"] == true)
}

async fn reads_drive(server: &Server, tokens: &Tokens) {
    let params = json!({ "name": "drive_list", "arguments": {} });
    let (text, refused) = said(rpc(&server.mcp_url(), Some(&tokens.access), "tools/call", params).await).await;
    assert!(!refused && text.contains("Quarterly plan"), "what was allowed before stays: {text}");
}

/// The scopes that a challenge names.
fn scopes(answer: &reqwest::Response) -> Vec<String> {
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.contains("error=\"insufficient_scope\"") && challenge.contains("resource_metadata="),
        "{challenge}"
    );
    let (_, rest) = challenge.split_once("scope=\"").unwrap();
    rest.split_once('"').unwrap().0.split(' ').map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn n17_a_missing_scope_is_a_challenge_for_exactly_the_union() {
    let (_google, server, client) = world(&[]).await;
    let narrow = granted(&client, DRIVE).await;
    let answer = search_mail(&server, &narrow).await;
    assert_eq!(answer.status(), 403);
    let asked = scopes(&answer);
    assert_eq!(asked, [DRIVE, GMAIL], "granted and missing, nothing else");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"], "insufficient_scope");
    assert!(body["sign_in_url"].as_str().unwrap().contains("scopes="), "{body}");

    let wide = granted(&client, &asked.join(" ")).await;
    assert!(!said(search_mail(&server, &wide).await).await.1);
    reads_drive(&server, &wide).await;
    reads_drive(&server, &narrow).await;
    assert_eq!(search_mail(&server, &narrow).await.status(), 403, "the old token is no wider for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn m5_a_client_that_does_not_understand_the_challenge_gets_a_link_that_grants_it() {
    let (_google, server, client) = world(&[]).await;
    let tokens = granted(&client, DRIVE).await;
    for _ in 0..2 {
        assert_eq!(search_mail(&server, &tokens).await.status(), 403);
    }
    the_link_grants_it(&server, &tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_operator_prefers_links_a_tool_names_one_at_once() {
    let (_google, server, client) = world(&[("AUTHCHAIN__CHAIN__STEP_UP", "link")]).await;
    let tokens = granted(&client, DRIVE).await;
    the_link_grants_it(&server, &tokens).await;
}

async fn the_link_grants_it(server: &Server, tokens: &Tokens) {
    let (text, refused) = said(search_mail(server, tokens).await).await;
    assert!(refused, "{text}");
    let (_, link) = text.split_once("[Allow it here](").unwrap_or_else(|| panic!("no link in {text}"));
    let (link, _) = link.split_once(')').unwrap();
    let done = Browser::new().unwrap().walk(link, &Choice::approve(ANN)).await.unwrap();
    assert!(done.text().contains("You are signed in"), "{}", done.text());
    let (text, refused) = said(search_mail(server, tokens).await).await;
    assert!(!refused, "the same token has it now: {text}");
    reads_drive(server, tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdks_ask_the_person_for_what_a_tool_lacks() {
    let (_google, server, _) = world(&[]).await;
    for package in ["client", "sdk"] {
        Script::start("step-up.mjs", &[package, &server.mcp_url()]).passes().await;
    }
}
