//! The commands other than `demo`: help, errors that say what to do, dev tokens, sign-in from a shell.

use std::process::Output;

use authchain_testkit::{Browser, Endpoint, StandIn, StandInOptions};
use serde_json::{Value, json};

use crate::{
    journey::{ANN, ann_says, call, rpc},
    program::{Program, Server, authchain, free_port, pointed_at, run, run_authchain},
};

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// `authchain ARGS` with one more environment variable.
async fn with_variable(args: &[&str], name: &str, value: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    run(authchain(home.path()).args(args).env(name, value)).await
}

/// The names under "Commands:" in a help text.
fn commands_in(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[tokio::test]
async fn every_command_explains_itself_with_an_example() {
    let mut waiting = vec![Vec::new()];
    let mut met = Vec::new();
    while let Some(command) = waiting.pop() {
        let args: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = run_authchain(&args).await;
        assert!(help.status.success());
        let (text, name) = (stdout(&help), command.join(" "));
        assert!(text.contains("Usage: authchain"), "{name}:\n{text}");
        let below = commands_in(&text);
        if below.is_empty() {
            let (_, examples) = text.split_once("\nExample").unwrap_or_else(|| panic!("{name} has none:\n{text}"));
            assert!(examples.contains("authchain") && examples.contains(&name), "{name}:\n{text}");
        }
        waiting.extend(below.into_iter().map(|word| [command.clone(), vec![word]].concat()));
        met.push(name);
    }
    for command in ["", "serve", "demo", "login", "token mint", "completions"] {
        assert!(met.iter().any(|name| name == command), "no {command:?} among {met:?}");
    }
}

#[tokio::test]
async fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run_authchain(&["completions", shell]).await;
        assert!(output.status.success());
        assert!(stdout(&output).contains("authchain") && stdout(&output).contains("auto-approve"), "{shell}");
    }
}

#[tokio::test]
async fn completions_that_nobody_reads_to_the_end_are_no_crash() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = authchain(home.path());
        command.args(["completions", shell]).stdout(writer).stderr(std::process::Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().await.unwrap();
        assert!(output.status.success(), "{shell}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{shell}");
    }
}

#[tokio::test]
async fn an_argument_that_is_not_taken_is_an_error_for_programs_too() {
    for (args, word) in [
        (&["demo", "--json", "--port", "many"][..], "--port"),
        (&["token", "mint", "--json"], "--email"),
        (&["keys", "retire", "x", "--json"], "hexadecimal"),
        (&["config", "shwo", "--json"], "shwo"),
    ] {
        let output = run_authchain(args).await;
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{args:?}");
        let error: Value = serde_json::from_str(&stderr(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        assert_eq!(error["error"]["code"], "usage", "{error}");
        assert!(error["error"]["message"].as_str().unwrap().contains(word), "{error}");
    }
    let help = run_authchain(&["demo", "--json", "--help"]).await;
    assert!(help.status.success() && stdout(&help).contains("Usage"), "help is no error");
}

#[tokio::test]
async fn a_dev_token_that_no_server_could_take_is_not_minted() {
    for (flag, value, word) in [
        ("--ttl", "0s", "a second"),
        ("--ttl", "1ms", "a second"),
        ("--ttl", "soon", "15m"),
        ("--audience", "", "URL"),
        ("--audience", "mcp", "URL"),
        ("--audience", "ftp://a.example/mcp", "http"),
        ("--audience", "https://a.example/mcp#x", "fragment"),
        ("--scope", "driv.readonly", "did you mean drive.readonly?"),
        ("--scope", "drvie", "authchain scopes list"),
    ] {
        let minted = run_authchain(&["token", "mint", "--email", ANN, "--data", "data", flag, value]).await;
        assert_eq!((minted.status.code(), stdout(&minted).as_str()), (Some(2), ""), "{flag} {value}");
        let said = stderr(&minted);
        assert!(said.contains(word) && !said.contains("the server is not set up"), "{flag} {value}: {said}");
    }
}

#[tokio::test]
async fn an_unknown_key_stops_the_start_and_is_named_with_its_variable() {
    let output = with_variable(&["serve"], "AUTHCHAIN__STORAGE__MOED", "memory_only").await;
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    for word in ["storage.moed", "AUTHCHAIN__STORAGE__MOED", "storage.mode"] {
        assert!(stderr(&output).contains(word), "no {word} in\n{}", stderr(&output));
    }
}

#[tokio::test]
async fn a_value_that_makes_no_sense_stops_the_start_and_is_named_with_its_variable() {
    for (name, key, value) in [
        ("AUTHCHAIN__STORAGE__MODE", "storage.mode", "fast"),
        ("AUTHCHAIN__SERVER__PORT", "server.port", "many"),
        ("AUTHCHAIN__SESSION__IDLE", "session.idle", "a while"),
        ("AUTHCHAIN__CHAIN__TIERS", "chain.tiers", "jwt_claims,magic"),
        ("AUTHCHAIN__SERVER__PUBLIC_URL", "server.public_url", "http://mcp.example.com"),
        ("AUTHCHAIN__PROVIDERS__GOOGLE__SCOPES", "providers.google.scopes", "drvie"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let mut serve = authchain(home.path());
        serve.arg("serve").env("AUTHCHAIN__PROVIDERS__GOOGLE__CLIENT_ID", "id").env(name, value);
        let output = run(&mut serve).await;
        assert_eq!(output.status.code(), Some(2), "{name}: {}", stderr(&output));
        for word in [key, name] {
            assert!(stderr(&output).contains(word), "no {word} in\n{}", stderr(&output));
        }
    }
}

#[tokio::test]
async fn an_unknown_key_in_a_file_is_named_with_the_file() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("mine.toml");
    std::fs::write(&file, "[server]\nprot = 9000\n").unwrap();
    let output = run(authchain(home.path()).arg("serve").arg("--config").arg(&file)).await;
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    for word in ["server.prot", "mine.toml", "server.port"] {
        assert!(stderr(&output).contains(word), "no {word} in\n{}", stderr(&output));
    }
}

#[tokio::test]
async fn a_server_without_a_google_client_says_which_settings_are_missing() {
    let output = run_authchain(&["serve", "--port", "0"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("GOOGLE_CLIENT_ID"), "{}", stderr(&output));
}

#[tokio::test]
async fn an_error_for_programs_is_one_line_of_json() {
    let output = with_variable(&["login", "--json"], "AUTHCHAIN__NO__SUCH", "1").await;
    assert_eq!(output.status.code(), Some(2));
    let error: Value = serde_json::from_str(stderr(&output).trim_end()).unwrap();
    for key in ["code", "message", "fix"] {
        assert!(error["error"][key].is_string(), "no {key} in {error}");
    }
    assert_eq!(stdout(&output), "", "standard output is for answers");
}

#[tokio::test]
async fn a_dev_token_opens_a_server_that_was_told_so_and_no_other() {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let mut server = Server::start(&google, &[("AUTHCHAIN__DEV__ACCEPT_DEV_KEYS", "true")]).await;
    let mint = ["token", "mint", "--email", ANN, "--scope", "drive.readonly", "--ttl", "1h", "--audience"];
    let minted = run(authchain(&server.data()).args(mint).arg(server.mcp_url()).arg("--data").arg(server.data())).await;
    assert!(minted.status.success(), "{}", stderr(&minted));
    let token = stdout(&minted).trim_end().to_owned();
    assert_eq!(token.split('.').count(), 3, "standard output is the token and nothing else");

    let who = call(&server.mcp_url(), &token, "whoami", json!({})).await;
    assert!(who.contains(ANN) && who.contains("drive.readonly"), "{who}");

    server.restart_with("AUTHCHAIN__DEV__ACCEPT_DEV_KEYS", "false").await;
    let answer = rpc(&server.mcp_url(), Some(&token), "tools/list", json!({})).await;
    assert_eq!(answer.status(), 401);
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
}

#[tokio::test]
async fn a_dev_token_for_another_server_is_refused() {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let server = Server::start(&google, &[("AUTHCHAIN__DEV__ACCEPT_DEV_KEYS", "true")]).await;
    let mint = ["token", "mint", "--email", ANN, "--audience", "http://127.0.0.1:1/mcp", "--json", "--data"];
    let minted = run(authchain(&server.data()).args(mint).arg(server.data())).await;
    let minted: Value = serde_json::from_str(&stdout(&minted)).unwrap();
    assert_eq!(minted["expires_in"], 3600);
    let token = minted["token"].as_str().unwrap();
    assert_eq!(rpc(&server.mcp_url(), Some(token), "tools/list", json!({})).await.status(), 401);
}

#[tokio::test]
async fn dev_keys_are_never_accepted_where_others_can_reach_the_server() {
    let home = tempfile::tempdir().unwrap();
    let mut command = authchain(home.path());
    command.args(["serve", "--host", "0.0.0.0", "--port", &free_port().to_string()]);
    command
        .env("AUTHCHAIN__DEV__ACCEPT_DEV_KEYS", "true")
        .env("AUTHCHAIN__SERVER__PUBLIC_URL", "https://mcp.example.com");
    command.env("GOOGLE_CLIENT_ID", "id").env("GOOGLE_CLIENT_SECRET", "secret");
    let output = run(&mut command).await;
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("dev.accept_dev_keys"), "{}", stderr(&output));
}

/// `authchain login` for ann, pointed at a stand-in.
fn login(google: &StandIn, home: &std::path::Path, args: &[&str]) -> tokio::process::Command {
    let mut command = authchain(home);
    command.args(["login", "--no-browser", "--data", "data"]).args(args).envs(pointed_at(google));
    command
}

/// The link that a running login prints.
async fn link(program: &Program) -> String {
    program.logged("/auth").await;
    let log = program.log();
    let (_, rest) = log.split_once("Sign in here: ").unwrap_or_else(|| panic!("no link in {log}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn login_saves_the_credential_and_says_so_the_second_time() {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let program = Program::start(&mut login(&google, home.path(), &["--account", ANN]), &home.path().join("log"));
    let person = Browser::new().unwrap();
    let page = person.walk(link(&program).await, &ann_says(true)).await.unwrap();
    assert!(page.title().contains("You are signed in"), "{}: {}", page.title(), page.text());
    assert!(page.text().contains(ANN), "{}", page.text());
    let (status, said) = program.ended().await;
    assert!(status.success());
    assert_eq!(said, format!("Signed in as {ANN}. The credential is saved.\n"));

    let again = run(&mut login(&google, home.path(), &["--account", ANN, "--json"])).await;
    let answer: Value = serde_json::from_str(&stdout(&again)).unwrap_or_else(|_| panic!("{}", stderr(&again)));
    assert_eq!(answer["status"], "already_authenticated");
    assert_eq!(answer["account"], ANN);
    assert_eq!(google.control().requests(Endpoint::Code), 1);
}

#[tokio::test]
async fn login_tells_a_program_the_link_that_a_person_has_to_open() {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let program = Program::start(&mut login(&google, home.path(), &["--json"]), &home.path().join("log"));
    program.logged("sign_in_url").await;
    let log = program.log();
    let told: Value = log.lines().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_else(|| panic!("{log}"));
    let page = Browser::new().unwrap().walk(told["sign_in_url"].as_str().unwrap(), &ann_says(true)).await.unwrap();
    assert!(page.title().contains("You are signed in"), "{}: {}", page.title(), page.text());
    let (status, said) = program.ended().await;
    assert!(status.success());
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["account"], ANN);
}

#[tokio::test]
async fn login_takes_no_other_account_than_the_one_asked_for() {
    let google = StandIn::start(StandInOptions { auto_approve: true, ..StandInOptions::default() }).await.unwrap();
    google.control().sign_in_as(Some(&ANN.parse().unwrap()));
    let home = tempfile::tempdir().unwrap();
    let args = ["--account", "bob@example.com"];
    let program = Program::start(&mut login(&google, home.path(), &args), &home.path().join("log"));
    let page = Browser::new().unwrap().walk(link(&program).await, &ann_says(true)).await.unwrap();
    assert!(page.text().contains("bob@example.com") && page.text().contains(ANN), "{}", page.text());
    let (status, said) = program.interrupt().await;
    assert_eq!((status.code(), said.as_str()), (Some(130), ""));
}

#[tokio::test]
async fn login_asks_for_the_scopes_that_were_named() {
    let google = StandIn::start(StandInOptions { auto_approve: true, ..StandInOptions::default() }).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let args = ["--scopes", "drive.readonly,calendar.readonly"];
    let program = Program::start(&mut login(&google, home.path(), &args), &home.path().join("log"));
    let page = Browser::new().unwrap().walk(link(&program).await, &ann_says(true)).await.unwrap();
    assert!(page.text().contains("Google Calendar") && !page.text().contains("Gmail"), "{}", page.text());
    assert!(program.ended().await.0.success());

    let unknown = run(&mut login(&google, home.path(), &["--scopes", "drive.readonli"])).await;
    assert_eq!(unknown.status.code(), Some(2), "{}", stderr(&unknown));
    assert!(stderr(&unknown).contains("drive.readonly"), "the nearest one is named: {}", stderr(&unknown));
}
