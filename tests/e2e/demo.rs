//! `authchain demo`, the first thing that a newcomer types.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
};

use serde_json::{Value, json};

use crate::{
    journey::{ANN, Client, call, rpc},
    program::{self, Demo, Program, authchain, files, run_authchain},
};

const STEPS: [&str; 11] = [
    "request without token → 401 challenge",
    "discovery",
    "registration",
    "authorize → consent page",
    "consent → upstream sign-in → code",
    "tools/list",
    "server restarted",
    "still signed in, no new consent",
    "token refused by Google's API → replaced, call repeated",
    "revoked → 401",
    "one refresh upstream",
];

#[tokio::test]
async fn check_goes_the_whole_way_and_prints_each_step() {
    let output = run_authchain(&["demo", "--check"]).await;
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stdout}{stderr}");
    for step in STEPS {
        let line =
            stdout.lines().find(|line| line.contains(step)).unwrap_or_else(|| panic!("no {step:?} in\n{stdout}"));
        assert!(line.starts_with('✓') && line.ends_with(" ms"), "{line}");
    }
    for tool in ["Drive", "Gmail", "Calendar"] {
        assert!(stdout.contains(tool), "no call on {tool} in\n{stdout}");
    }
    assert!(!stdout.contains('✗'), "{stdout}");
}

#[tokio::test]
async fn check_for_programs_is_one_json_object_a_line() {
    let output = run_authchain(&["demo", "--check", "--json"]).await;
    assert!(output.status.success());
    let lines: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (sum, steps) = lines.split_last().unwrap();
    assert!(steps.iter().all(|step| step["ok"] == true && step["microseconds"].is_u64()), "{steps:?}");
    assert_eq!(sum["passed"], steps.len());
    assert_eq!(sum["failed"], 0);
}

#[tokio::test]
async fn json_prints_exactly_one_line_and_ctrl_c_ends_it_cleanly() {
    let demo = Demo::start(&["--auto-approve"]).await;
    for key in ["mcp_url", "issuer", "google_url", "data_dir"] {
        assert!(!demo.text(key).is_empty());
    }
    assert_eq!(demo.mcp_url(), format!("{}/mcp", demo.text("issuer")));
    assert_eq!(demo.ready["users"], json!(["ann@example.com", "bob@example.com", "eve@example.com"]));
    let folder = demo.text("data_dir").to_owned();
    assert!(std::path::Path::new(&folder).is_dir());

    let (status, rest) = demo.program.interrupt().await;
    assert_eq!(status.code(), Some(0), "Ctrl-C is how a demo ends");
    assert_eq!(rest, "", "one line and no more");
    assert!(!std::path::Path::new(&folder).exists(), "the temporary folder is gone");
}

#[tokio::test]
async fn a_demo_whose_terminal_is_closed_leaves_nothing_behind() {
    let demo = Demo::start(&[]).await;
    let folder = demo.text("data_dir").to_owned();
    demo.program.signal(rustix::process::Signal::HUP);
    assert_eq!(demo.program.ended().await.0.code(), Some(0));
    assert!(!std::path::Path::new(&folder).exists(), "the temporary folder is gone");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_demo_that_was_told_to_outlive_its_terminal_does() {
    let home = tempfile::tempdir().unwrap();
    let quoted = format!("trap '' HUP; exec {} demo --json --port 0", env!("CARGO_BIN_EXE_authchain"));
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", &quoted]).env("TMPDIR", home.path()).kill_on_drop(true);
    let mut demo = Program::start(&mut shell, &home.path().join("log"));
    let ready: Value = serde_json::from_str(&demo.line().await).unwrap();
    demo.signal(rustix::process::Signal::HUP);
    assert_eq!(rpc(ready["mcp_url"].as_str().unwrap(), None, "tools/list", json!({})).await.status(), 401);
    assert_eq!(demo.interrupt().await.0.code(), Some(0));
}

#[tokio::test]
async fn a_configuration_file_for_a_demo_is_refused_and_not_ignored() {
    let output = run_authchain(&["--config", "mine.toml", "demo", "--json"]).await;
    assert_eq!(output.status.code(), Some(2));
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(error["error"]["fix"].as_str().unwrap().contains("authchain serve --config"), "{error}");
}

#[tokio::test]
async fn data_keeps_the_folder() {
    let kept = tempfile::tempdir().unwrap();
    let folder = kept.path().join("deeper/data");
    let demo = Demo::start(&["--data", folder.to_str().unwrap()]).await;
    assert_eq!(demo.text("data_dir"), folder.to_str().unwrap());
    let (status, _) = demo.program.interrupt().await;
    assert_eq!(status.code(), Some(0));
    assert!(!files(&folder).unwrap().is_empty(), "keys and state are still there");
}

/// The stand-in begins anew with each demo and knows nobody's old grants, as if ann had taken hers back at Google; what
/// authchain keeps lives on.
#[tokio::test]
async fn a_second_demo_over_the_same_folder_knows_its_clients() {
    let kept = tempfile::tempdir().unwrap();
    let args = ["--auto-approve", "--data", kept.path().to_str().unwrap()];
    let first = Demo::start(&args).await;
    let mcp_url = first.mcp_url().to_owned();
    let port = url::Url::parse(&mcp_url).unwrap().port().unwrap();
    let client = Client::register(&mcp_url, "faithful").await;
    let tokens = client.sign_in().await;
    first.program.interrupt().await;

    let _second = Demo::start_on(port, &args).await;
    assert!(call(&mcp_url, &tokens.access, "whoami", json!({})).await.contains(ANN));
    let newer = client.refresh(&tokens.refresh).await;
    assert!(call(&mcp_url, &newer.access, "whoami", json!({})).await.contains(ANN));
    let params = json!({ "name": "drive_list", "arguments": {} });
    let answer: Value = rpc(&mcp_url, Some(&newer.access), "tools/call", params.clone()).await.json().await.unwrap();
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(answer["result"]["isError"], true, "{text}");
    assert!(text.contains("Sign in again"), "{text}");

    let again = client.sign_in().await;
    let answer: Value = rpc(&mcp_url, Some(&again.access), "tools/call", params).await.json().await.unwrap();
    assert_ne!(answer["result"]["isError"], true, "the old client signs in anew and goes on: {answer}");
}

#[tokio::test]
async fn people_get_what_to_paste_and_what_will_happen() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("log");
    let mut demo = Program::start(authchain(home.path()).args(["demo", "--port", "0"]), &log);
    let mut text = String::new();
    while !text.contains("Ctrl-C") {
        text.push_str(&demo.line().await);
    }
    let mcp = text.split_whitespace().find(|word| word.starts_with("http") && word.ends_with("/mcp")).unwrap();
    assert!(text.contains(&format!("claude mcp add --transport http workspace {mcp}")), "{text}");
    assert!(text.contains(&format!(r#"{{"mcpServers":{{"workspace":{{"type":"http","url":"{mcp}"}}}}}}"#)), "{text}");
    assert!(text.contains("npx @modelcontextprotocol/inspector"), "{text}");
    assert!(text.contains("What will happen"), "{text}");
    assert!(text.contains("STAND-IN"), "{text}");
    assert_eq!(demo.interrupt().await.0.code(), Some(0));
}

/// The usual port is 8002. Whether it is free on this machine or not: two demos never share one.
#[tokio::test]
async fn a_taken_port_gives_way_to_the_next_free_one() {
    let home = tempfile::tempdir().unwrap();
    let start = || Program::start(authchain(home.path()).args(["demo", "--json"]), &home.path().join("log"));
    let port = |line: &str| {
        let ready: Value = serde_json::from_str(line).unwrap();
        url::Url::parse(ready["mcp_url"].as_str().unwrap()).unwrap().port().unwrap()
    };
    let mut first = start();
    let first_port = port(&first.line().await);
    let mut second = start();
    let second_port = port(&second.line().await);
    assert!(first_port >= 8002 && second_port > first_port, "{first_port}, {second_port}");
    first.interrupt().await;
    second.interrupt().await;
}

#[tokio::test]
async fn a_port_that_was_asked_for_and_is_taken_is_an_error_that_says_what_to_do() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run_authchain(&["demo", "--port", &port]).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(7), "{stderr}");
    assert!(stderr.contains(&port) && stderr.contains("--port"), "{stderr}");
}

/// The environment of the machine has no say in a demo.
#[tokio::test]
async fn a_demo_is_the_same_on_every_machine() {
    let home = tempfile::tempdir().unwrap();
    let mut command = authchain(home.path());
    command.args(["demo", "--json", "--port", "0"]).env("AUTHCHAIN__STORAGE__DIRECTORY", "/nowhere");
    command.env("GOOGLE_CLIENT_ID", "another");
    let mut demo = Program::start(&mut command, &home.path().join("log"));
    assert!(!demo.line().await.contains("nowhere"));
    assert_eq!(demo.interrupt().await.0.code(), Some(0));
    assert!(program::files(home.path()).unwrap().iter().all(|file| file.ends_with("log")), "nothing is left behind");
}

/// A browser that opened a connection ahead, a client that died in the middle of a request: nobody keeps a demo alive.
#[tokio::test]
async fn a_half_sent_request_does_not_hold_up_ctrl_c() {
    let demo = Demo::start(&[]).await;
    let mut held = Vec::new();
    for key in ["issuer", "google_url"] {
        let server = url::Url::parse(demo.text(key)).unwrap();
        for sent in
            ["", "POST /token HT", "POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\ngrant"]
        {
            let mut connection = TcpStream::connect(("127.0.0.1", server.port().unwrap())).unwrap();
            connection.write_all(sent.as_bytes()).unwrap();
            held.push(connection);
        }
    }
    assert_eq!(demo.program.interrupt().await.0.code(), Some(0));
}
