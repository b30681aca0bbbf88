//! The pages in headless Chromium: `tests/clients/browser.mjs` has the walks, `target/screenshots` the pictures.

use serde_json::json;

use crate::{
    journey::Client,
    node::{Script, project},
    program::Demo,
};

/// One walk through a demo that shows all of its pages.
async fn walk(name: &str) {
    let demo = Demo::start(&[]).await;
    let client = Client::register(demo.mcp_url(), "Weather & <b>Friends</b> of the Very Long Name").await;
    let given = json!({
        "issuer": demo.text("issuer"),
        "google": demo.text("google_url"),
        "authorize": client.authorize_url(),
        "screenshots": project().join("target/screenshots"),
    });
    Script::start("browser.mjs", &[name, &given.to_string()]).passes().await;
}

#[tokio::test]
async fn a_sign_in_needs_no_javascript() {
    walk("withoutJavaScript").await;
}

#[tokio::test]
async fn a_person_can_say_no() {
    walk("deny").await;
}

#[tokio::test]
async fn a_sign_in_needs_no_mouse() {
    walk("keyboard").await;
}

#[tokio::test]
async fn double_clicks_second_tabs_and_strangers_do_no_harm() {
    walk("people").await;
}

#[tokio::test]
async fn every_page_is_readable_for_everybody_and_keeps_to_itself() {
    walk("everyPage").await;
}
