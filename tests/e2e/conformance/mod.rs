//! The official conformance suite of MCP (`@modelcontextprotocol/conformance`, pinned in `tests/clients`) against our servers.
//!
//! Its scenarios for authorization servers meet the demo, with a person who signs in. Its scenarios for MCP servers go
//! through our layer with a real token, on to the example server or to one that has what they ask for. No failure is
//! expected. Its third kind, scenarios for MCP clients, has nothing to meet here.

mod bearer;
mod everything;
mod scenarios;
mod suite;

use std::{net::Ipv4Addr, path::Path, process::Stdio, sync::Arc};

use authchain_server::{App, config::Sources};
use authchain_testkit::{Browser, StandIn, StandInOptions};
use rmcp::transport::streamable_http_server::{StreamableHttpService, session::local::LocalSessionManager};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    journey::{Client, ann_says},
    node::PATIENCE,
    program::{Demo, free_port},
};
use bearer::Bearer;
use everything::Everything;
use scenarios::{AUTHORIZATION, At, Fate, SERVER};
use suite::{Check, VERSIONS, checks, conformance, listed, meets};

/// `everything.rs` behind the chain, with a stand-in for Google, in this process.
struct Behind {
    mcp_url: String,
    server: JoinHandle<()>,
    _google: StandIn,
    _data: TempDir,
}

impl Behind {
    async fn start(sessions: bool) -> Self {
        let google = StandIn::start(StandInOptions { auto_approve: true, ..StandInOptions::default() }).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sources = Sources::new()
            .set("server.public_url", &url, "test")
            .set("storage.directory", data.path().display(), "test")
            .set("providers.google.base_url", google.url(), "test")
            .set("providers.google.client_id", StandIn::client_id(), "test")
            .set("providers.google.client_secret", StandIn::client_secret().expose(), "test");
        let app = App::new(sources.load().unwrap()).await.unwrap();
        let everything = Everything::new(sessions);
        let server = if sessions {
            let rooms = Arc::<LocalSessionManager>::default();
            let mcp = StreamableHttpService::new(move || Ok(everything.clone()), rooms, Default::default());
            tokio::spawn(async move { app.serve_on(listener, mcp, std::future::pending()).await.unwrap() })
        } else {
            let mcp = authchain_mcp::service(everything, app.public_url());
            tokio::spawn(async move { app.serve_on(listener, mcp, std::future::pending()).await.unwrap() })
        };
        Self { mcp_url: format!("{url}/mcp"), server, _google: google, _data: data }
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What became of the checks of one server.
#[derive(Default)]
struct Tally {
    scenarios: usize,
    passed: usize,
    failures: Vec<String>,
    remarks: Vec<String>,
}

impl Tally {
    /// A scenario has passed when something was checked, and nothing failed.
    fn add(&mut self, what: &str, found: Option<Vec<Check>>) {
        self.scenarios += 1;
        let Some(found) = found else { return self.failures.push(format!("{what}: it did not run")) };
        // Whether the messages fit the schema is checked beside every scenario.
        if !found.iter().any(|check| check.status == "SUCCESS" && check.id != "wire-schema-valid") {
            self.failures.push(format!("{what}: nothing was checked: {found:?}"));
        }
        for check in found {
            let line = format!("{what}: {} {}: {}", check.status, check.id, check.words);
            match check.status.as_str() {
                "SUCCESS" => self.passed += 1,
                "FAILURE" => self.failures.push(line),
                "WARNING" | "SKIPPED" => self.remarks.push(line),
                _ => {}
            }
        }
    }

    /// Remarks are printed: they are for people to judge.
    #[allow(clippy::print_stdout)]
    fn passes(self, server: &str) {
        println!("{server}: {} scenarios, {} checks passed", self.scenarios, self.passed);
        self.remarks.iter().for_each(|line| println!("  {line}"));
        assert!(self.failures.is_empty(), "{}", self.failures.join("\n"));
        assert!(self.scenarios > 0, "something ran");
    }
}

/// All that runs at one server, in every version.
async fn passes_at(at: At, mcp_url: &str) {
    let token = Client::register(mcp_url, "conformance").await.sign_in().await.access;
    let client = Bearer::start(mcp_url, &token).await;
    let scenarios = listed("--server").await;
    let mut tally = Tally::default();
    for version in VERSIONS {
        // What does not run here fails here: only what the table names counts.
        let results = meets(client.url.as_str(), &["--suite", "all"], version).await;
        for (name, fate) in SERVER {
            let applies = scenarios[*name].iter().any(|other| other == version);
            if applies && matches!(fate, Fate::RunsAt(servers) if servers.contains(&at)) {
                tally.add(&format!("{name} {version}"), checks(results.path(), "server", name));
            }
        }
    }
    tally.passes(&format!("{at:?}"));
}

#[tokio::test]
async fn every_scenario_of_the_suite_runs_or_is_left_out_with_a_reason() {
    let known: Vec<_> = SERVER.iter().map(|(name, _)| *name).collect();
    let server = listed("--server").await;
    assert!(server.keys().all(|name| known.contains(&name.as_str())), "there are new ones: {:?}", server.keys());
    for (name, fate) in SERVER {
        let versions = server.get(*name).unwrap_or_else(|| panic!("{name} is gone"));
        match fate {
            Fate::RunsAt(servers) => assert!(!versions.is_empty() && !servers.is_empty(), "{name} runs nowhere"),
            Fate::LeftOut(why) => assert!(why.len() > 20, "{name}: say why"),
        }
    }
    assert_eq!(known.len(), server.len(), "each is there once");
    let authorization = listed("--authorization").await;
    assert_eq!(authorization.len(), AUTHORIZATION.len(), "{authorization:?}");
    assert!(AUTHORIZATION.iter().all(|name| authorization.contains_key(*name)), "{authorization:?}");
}

#[tokio::test]
async fn the_example_server_conforms() {
    let demo = Demo::start(&["--auto-approve"]).await;
    passes_at(At::Example, demo.mcp_url()).await;
}

#[tokio::test]
async fn a_server_that_offers_everything_conforms_behind_our_layer() {
    let server = Behind::start(false).await;
    passes_at(At::Everything, &server.mcp_url).await;
}

#[tokio::test]
async fn a_server_with_protocol_sessions_conforms_behind_our_layer() {
    let server = Behind::start(true).await;
    passes_at(At::Sessions, &server.mcp_url).await;
}

#[tokio::test]
async fn without_a_token_the_suite_gets_nothing() {
    let demo = Demo::start(&[]).await;
    for version in ["2025-11-25", "2026-07-28"] {
        let results = meets(demo.mcp_url(), &["--scenario", "tools-list"], version).await;
        let found = checks(results.path(), "server", "tools-list").unwrap();
        assert!(found.iter().any(|check| check.status == "FAILURE" && check.id == "tools-list"), "{found:?}");
    }
}

#[tokio::test]
async fn the_suite_finds_what_a_server_lacks() {
    let demo = Demo::start(&["--auto-approve"]).await;
    let token = Client::register(demo.mcp_url(), "conformance").await.sign_in().await.access;
    let client = Bearer::start(demo.mcp_url(), &token).await;
    let results = meets(client.url.as_str(), &["--scenario", "tools-call-image"], "2026-07-28").await;
    let mut tally = Tally::default();
    tally.add("image", checks(results.path(), "server", "tools-call-image"));
    tally.add("audio", checks(results.path(), "server", "tools-call-audio"));
    assert!(tally.failures.iter().any(|line| line.contains("tool not found")), "{:?}", tally.failures);
    assert!(tally.failures.iter().any(|line| line == "audio: it did not run"), "{:?}", tally.failures);
}

/// The suite waits for a person, who is told where to go.
async fn person_signs_in(issuer: &str, client: &Client, version: &str, results: &Path) {
    let port = free_port().to_string();
    let mut run = conformance();
    run.args(["authorization", "--url", issuer, "--client-id", &client.id, "--resource", &client.mcp_url])
        .args(["--port", &port, "--spec-version", version, "-o"])
        .arg(results)
        .stdout(Stdio::piped());
    let mut run = run.spawn().unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    while let Some(line) = timeout(PATIENCE, lines.next_line()).await.expect("it goes on").unwrap() {
        if line.starts_with(issuer) {
            let page = Browser::new().unwrap().walk(&line, &ann_says(true)).await.unwrap();
            assert!(page.text().contains("You can close this page"), "{:?}: {}", page.title(), page.text());
        }
    }
    assert!(run.wait().await.unwrap().success(), "the suite says that something failed");
}

#[tokio::test]
async fn the_authorization_server_conforms() {
    let demo = Demo::start(&["--auto-approve"]).await;
    // Its port is another than the registered one, which RFC 8252, section 7.3 allows on loopback addresses.
    let client = Client::register(demo.mcp_url(), "conformance").await;
    let mut tally = Tally::default();
    for version in VERSIONS {
        let results = tempfile::tempdir().unwrap();
        person_signs_in(demo.text("issuer"), &client, version, results.path()).await;
        for name in AUTHORIZATION {
            tally.add(&format!("{name} {version}"), checks(results.path(), "authorization-server", name));
        }
    }
    tally.passes("the authorization server");
}
