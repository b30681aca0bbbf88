//! The official conformance suite, run by Node.js: its commands, and what it found.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use crate::node::{PATIENCE, node, project};

/// The versions of the protocol that the suite knows.
pub(crate) const VERSIONS: [&str; 4] = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];

/// One thing that the suite looked at.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) id: String,
    /// `SUCCESS`, `FAILURE`, `WARNING`, `INFO` or `SKIPPED`.
    pub(crate) status: String,
    /// What it says about anything but success.
    pub(crate) words: String,
}

/// The command of the suite.
pub(crate) fn conformance() -> Command {
    let program = project().join("tests/clients/node_modules/@modelcontextprotocol/conformance/dist/index.js");
    assert!(program.is_file(), "run `scripts/test --setup` once: it installs the conformance suite");
    let mut command = node();
    command.arg(program).kill_on_drop(true);
    command
}

/// The scenarios of one kind, `--server` or `--authorization`, with the versions that each applies to. Extensions apply to
/// none.
pub(crate) async fn listed(kind: &str) -> BTreeMap<String, Vec<String>> {
    let output = timeout(PATIENCE, conformance().args(["list", kind]).output()).await.expect("it lists").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let scenario = |line: &str| {
        let (name, versions) = line.trim().strip_prefix("- ")?.split_once(" [")?;
        let versions = versions.strip_suffix(']')?.split(',').filter(|version| VERSIONS.contains(version));
        Some((name.to_owned(), versions.map(str::to_owned).collect()))
    };
    text.lines().filter_map(scenario).collect()
}

/// Runs scenarios against an MCP server; the folder with what was found. Whether all went well is for the reader to say.
pub(crate) async fn meets(mcp_url: &str, scenarios: &[&str], version: &str) -> TempDir {
    let results = tempfile::tempdir().unwrap();
    let mut run = conformance();
    run.args(["server", "--url", mcp_url, "--spec-version", version]).args(scenarios).arg("-o").arg(results.path());
    let output = timeout(PATIENCE, run.output()).await.expect("it ends").unwrap();
    let ran = output.status.code().is_some_and(|code| code <= 1);
    assert!(ran, "{}", String::from_utf8_lossy(&output.stderr));
    results
}

/// The checks that a run left of a scenario; `None` when it did not run. The kind is `server` or `authorization-server`.
pub(crate) fn checks(results: &Path, kind: &str, scenario: &str) -> Option<Vec<Check>> {
    // The folders are named by kind, scenario and time.
    let of_this = format!("{kind}-{scenario}-2");
    let mut folders = std::fs::read_dir(results).unwrap().map(|entry| entry.unwrap());
    let folder = folders.find(|entry| entry.file_name().into_string().unwrap().starts_with(&of_this))?;
    let checks: Vec<Value> = serde_json::from_slice(&std::fs::read(folder.path().join("checks.json")).ok()?).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let check = |check: &Value| Check {
        id: text(&check["id"]),
        status: text(&check["status"]),
        words: match &check["errorMessage"] {
            Value::String(words) => words.clone(),
            _ => format!("{}: {}", text(&check["description"]), check["details"]),
        },
    };
    Some(checks.iter().map(check).collect())
}
