//! The official TypeScript SDK with its own OAuth client: `tests/clients/sdk.mjs` has the steps.

use authchain_testkit::{Endpoint, StandIn, StandInOptions};
use serde_json::{Value, json};

use crate::{
    node::Script,
    program::{Demo, Server},
};

/// The whole way against the demo.
async fn against_the_demo(package: &str, era: &str) -> Vec<Value> {
    let demo = Demo::start(&["--auto-approve"]).await;
    let mut script = Script::start("sdk.mjs", &[package, demo.mcp_url(), era]);
    script.asks_for("restart").await;
    script.answer("no").await;
    script.passes().await
}

/// The whole way against a server that is killed in the middle, while Google goes on.
async fn with_a_restart(package: &str, era: &str) {
    let google = StandIn::start(StandInOptions { auto_approve: true, ..StandInOptions::default() }).await.unwrap();
    let mut server = Server::start(&google, &[]).await;
    let mut script = Script::start("sdk.mjs", &[package, &server.mcp_url(), era]);
    script.asks_for("restart").await;
    server.restart().await;
    script.answer("done").await;
    script.passes().await;
    assert_eq!(google.control().requests(Endpoint::Code), 1, "one sign-in was enough");
}

#[tokio::test]
async fn the_newest_sdk_speaks_2026_07_28_with_the_demo() {
    let said = against_the_demo("client", "auto").await;
    assert!(said.contains(&json!({ "protocol": "2026-07-28" })), "{said:?}");
}

#[tokio::test]
async fn the_newest_sdk_with_its_legacy_handshake_goes_the_whole_way() {
    against_the_demo("client", "legacy").await;
}

#[tokio::test]
async fn the_sdk_that_most_hosts_ship_goes_the_whole_way() {
    let said = against_the_demo("sdk", "legacy").await;
    assert!(said.contains(&json!({ "protocol": "2025-11-25" })), "{said:?}");
}

#[tokio::test]
async fn the_newest_sdk_stays_signed_in_when_the_server_is_killed() {
    with_a_restart("client", "auto").await;
}

#[tokio::test]
async fn the_sdk_that_most_hosts_ship_stays_signed_in_when_the_server_is_killed() {
    with_a_restart("sdk", "legacy").await;
}
