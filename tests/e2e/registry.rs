//! `authchain scopes` and `authchain services`: what is known of Google, for people and for programs.

use std::process::{Output, Stdio};

use serde_json::Value;

use crate::program::{authchain, run_authchain};

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

async fn text(args: &[&str]) -> String {
    let output = run_authchain(args).await;
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

async fn json(args: &[&str]) -> Value {
    let text = text(&[args, &["--json"]].concat()).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
}

/// What is not found: exit code 3, and what the error says.
async fn not_found(args: &[&str]) -> String {
    let output = run_authchain(args).await;
    assert_eq!(output.status.code(), Some(3), "{args:?}: {}", stderr(&output));
    assert_eq!(stdout(&output), "");
    stderr(&output)
}

#[tokio::test]
async fn scopes_are_listed_and_filtered() {
    let all = json(&["scopes", "list"]).await["scopes"].as_array().unwrap().len();
    assert!(all > 500, "{all}");
    let drive = json(&["scopes", "list", "--service", "drive", "--readonly"]).await;
    for scope in drive["scopes"].as_array().unwrap() {
        assert!(scope["service"] == "drive" && scope["readonly"] == true, "{scope}");
    }
    let table = text(&["scopes", "list", "--service", "gmail", "--sensitivity", "restricted"]).await;
    assert!(table.starts_with("NAME ") && table.contains("gmail.readonly"), "{table}");
    assert!(!table.contains("gmail.labels"), "{table}");
    let searched = text(&["scopes", "list", "--search", "spreadsheets"]).await;
    assert!(searched.contains("sheets.full") && !searched.contains("gmail.send"), "{searched}");
}

#[tokio::test]
async fn groups_are_listed_as_the_edition_knows_them() {
    let members = |edition: &'static str| async move {
        let groups = json(&["scopes", "list", "--groups", "--edition", edition]).await;
        let group = groups["groups"].as_array().unwrap().iter().find(|group| group["name"] == "drive_basic").cloned();
        group.unwrap()["members"].to_string()
    };
    assert!(members("original").await.contains("drive.file"));
    assert!(members("later").await.contains("drive.full"));
}

#[tokio::test]
async fn a_scope_is_explained_by_any_of_its_names() {
    let url = "https://www.googleapis.com/auth/drive.readonly";
    for name in ["drive.readonly", "drive_read", url] {
        let known = json(&["scopes", "explain", name]).await;
        assert_eq!(known["url"], url, "{name}");
        assert!(known["covered_by"].as_array().unwrap().iter().any(|wider| wider == "drive.full"), "{known}");
    }
    let words = text(&["scopes", "explain", "drive.readonly"]).await;
    for word in ["drive.readonly", "restricted", "covered by", "drive_basic", "drive_read"] {
        assert!(words.contains(word), "no {word} in\n{words}");
    }
    let group = text(&["scopes", "explain", "office_suite"]).await;
    assert!(group.contains("group") && group.contains("drive.file"), "{group}");
}

#[tokio::test]
async fn names_are_resolved_to_urls_one_per_line() {
    let urls = text(&["scopes", "resolve", "drive.readonly", "gmail.send,calendar_read"]).await;
    let urls: Vec<_> = urls.lines().collect();
    assert_eq!(urls.len(), 3);
    assert!(urls.iter().all(|url| url.starts_with("https://www.googleapis.com/auth/")), "{urls:?}");
    let apart = json(&["scopes", "resolve", "drive.readonly", "photos.appendonly"]).await;
    assert_eq!(apart["one_consent_page"], false);
    assert_eq!(apart["parts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn unknown_names_are_not_found_and_the_nearest_is_named() {
    for command in ["explain", "resolve"] {
        assert!(not_found(&["scopes", command, "drive.readonli"]).await.contains("drive.readonly"));
        let retired = not_found(&["scopes", command, "https://www.googleapis.com/auth/nothing.like.it"]).await;
        assert!(retired.contains("not_found"), "{retired}");
    }
    assert!(not_found(&["scopes", "list", "--service", "drivve"]).await.contains("did you mean drive?"));
    assert!(not_found(&["services", "list", "drivee"]).await.contains("did you mean drive?"));
    assert!(not_found(&["services", "list", "--category", "workspce"]).await.contains("workspace"));
    let error: Value = serde_json::from_str(&not_found(&["services", "list", "drivee", "--json"]).await).unwrap();
    assert_eq!(error["error"]["code"], "not_found");
}

#[tokio::test]
async fn services_are_listed_and_filtered() {
    assert_eq!(json(&["services", "list"]).await["services"].as_array().unwrap().len(), 116);
    let drive = json(&["services", "list", "drive_v2"]).await;
    assert_eq!(drive["services"][0]["base_url"], "https://www.googleapis.com/drive/v2/");
    let workspace = text(&["services", "list", "--category", "workspace"]).await;
    assert!(workspace.starts_with("SERVICE ") && workspace.contains("Google Drive"), "{workspace}");
    let alias = text(&["services", "list", "webmasters"]).await;
    assert_eq!(alias.lines().count(), 2, "{alias}");
    let searched = text(&["services", "list", "--search", "calendar"]).await;
    assert!(searched.contains("calendar") && !searched.contains("gmail"), "{searched}");
}

#[tokio::test]
async fn a_reader_who_has_seen_enough_is_no_failure() {
    let home = tempfile::tempdir().unwrap();
    let mut command = authchain(home.path());
    command.args(["scopes", "list"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success() && !stderr(&output).contains("panicked"), "{}", stderr(&output));
}
