//! `authchain credentials migrate` from and to what a running server keeps in its memory and nowhere else.

use std::os::unix::fs::MetadataExt;

use authchain_testkit::{StandIn, StandInOptions};
use serde_json::{Value, json};

use crate::{
    journey::{ANN, Client, call, rpc},
    program::{Server, authchain, files, run},
};

const MEMORY: [(&str, &str); 2] =
    [("AUTHCHAIN__STORAGE__MODE", "memory_only"), ("AUTHCHAIN__DEV__ACCEPT_DEV_KEYS", "true")];

/// What `authchain ARGS --json` beside a server says, with the server's variables: the exit code, the answer, and the rest.
async fn beside(server: &Server, variables: &[(&str, &str)], args: &[&str]) -> (Option<i32>, Value, String) {
    let mut command = authchain(server.data().parent().unwrap());
    command.args(args).arg("--json").envs(variables.iter().copied());
    let output = run(&mut command).await;
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(!out.contains("1//") && !err.contains("1//") && !out.contains("ya29."), "a secret is in\n{out}{err}");
    (output.status.code(), serde_json::from_str(&out).unwrap_or_default(), err)
}

/// `credentials migrate` for the server, whose data are not in the folder of the configuration.
async fn migrate(server: &Server, from: &str, to: &str, more: &[&str]) -> (Option<i32>, Value, String) {
    let issuer = server.issuer();
    let port = issuer.rsplit(':').next().unwrap();
    let args = ["credentials", "migrate", "--from", from, "--to", to, "--port", port];
    beside(server, &[], &[&args[..], more].concat()).await
}

/// A token of a program that has no refresh token here: it needs what is stored for ann.
async fn dev_token(server: &Server) -> String {
    let (mcp_url, data) = (server.mcp_url(), server.data().display().to_string());
    let mint = ["token", "mint", "--email", ANN, "--scope", "drive.readonly", "--audience", &mcp_url, "--data", &data];
    beside(server, &[], &mint).await.1["token"].as_str().unwrap().to_owned()
}

async fn is_served(server: &Server, token: &str) -> bool {
    let params = json!({ "name": "drive_list", "arguments": {} });
    let answer: Value = rpc(&server.mcp_url(), Some(token), "tools/call", params).await.json().await.unwrap();
    answer["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("Budget"))
        && answer["result"]["isError"] != true
}

/// Somebody signs in at a server with `memory_only`; a command has the server move that to another mode; a server with
/// that mode serves her; and the other way round.
pub(crate) async fn it_goes_away_and_comes_back(mode: &str, variables: &[(&str, &str)]) {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let mut server = Server::start(&google, &[&MEMORY, variables].concat()).await;
    let tokens = Client::register(&server.mcp_url(), "Inspector").await.sign_in().await;
    assert!(call(&server.mcp_url(), &tokens.access, "whoami", json!({})).await.contains(ANN));
    let token = dev_token(&server).await;
    assert!(is_served(&server, &token).await);
    let before = files(&server.data()).unwrap();

    let (code, planned, error) = migrate(&server, "memory_only", mode, &["--dry-run"]).await;
    assert_eq!((code, &planned["results"][0]["result"]), (Some(0), &json!("written")), "{planned}{error}");
    let (code, done, error) = migrate(&server, "memory_only", mode, &[]).await;
    assert_eq!((code, &done["status"], &done["credentials"]), (Some(0), &json!("done"), &json!(1)), "{done}{error}");
    assert_eq!((&done["results"][0]["account"], &done["results"][0]["result"]), (&json!(ANN), &json!("written")));
    assert!(error.contains("\"progress\""), "{error}");
    assert!(is_served(&server, &token).await, "the server goes on meanwhile");
    assert!(server.log().contains("credentials_migrated"), "{}", server.log());
    if mode != "postgres" {
        assert!(files(&server.data()).unwrap().len() > before.len());
    }

    let data = server.data().display().to_string();
    let of_mode = [&[("AUTHCHAIN__STORAGE__MODE", mode)], variables].concat();
    let (code, listed, _) = beside(&server, &of_mode, &["credentials", "list", "--data", &data]).await;
    assert_eq!((code, &listed["credentials"][0]["account"]), (Some(0), &json!(ANN)), "{listed}");
    let (code, verified, _) = beside(&server, &of_mode, &["credentials", "verify", "--data", &data]).await;
    assert_eq!((code, &verified["good"], &verified["broken"]), (Some(0), &json!(1), &json!([])), "{verified}");
    server.restart_with("AUTHCHAIN__STORAGE__MODE", mode).await;
    assert!(is_served(&server, &token).await, "nobody has to sign in at Google again");

    server.restart_with("AUTHCHAIN__STORAGE__MODE", "memory_only").await;
    assert!(!is_served(&server, &token).await, "its memory is empty");
    let (code, done, error) = migrate(&server, mode, "memory_only", &["--delete-source"]).await;
    assert_eq!((code, &done["removed_from_source"]), (Some(0), &json!(1)), "{done}{error}");
    assert!(is_served(&server, &token).await, "at once");
    let (_, listed, _) = beside(&server, &of_mode, &["credentials", "list", "--data", &data]).await;
    assert_eq!(listed["credentials"], json!([]));
    let (code, done, _) = migrate(&server, mode, "memory_only", &[]).await;
    assert_eq!((code, &done["credentials"]), (Some(0), &json!(0)), "run again it has nothing to do: {done}");
}

#[tokio::test]
async fn what_a_server_has_in_memory_is_moved_to_sealed_files_and_back_and_its_owner_is_served() {
    it_goes_away_and_comes_back("file_encrypted", &[]).await;
}

#[tokio::test]
async fn what_a_server_has_in_memory_is_moved_to_plain_files_and_back_and_its_owner_is_served() {
    it_goes_away_and_comes_back("file_plaintext", &[]).await;
}

#[tokio::test]
async fn a_server_that_does_not_run_or_has_another_mode_is_said_with_what_to_do() {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let server = Server::start(&google, &[]).await;
    for (from, to) in [("memory_only", "file_plaintext"), ("file_plaintext", "memory_only")] {
        let (code, _, error) = migrate(&server, from, to, &[]).await;
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("storage.mode = \\\"file_encrypted\\\"") && error.contains("Name the mode"), "{error}");

        let args = ["credentials", "migrate", "--from", from, "--to", to, "--port", "1"];
        let (code, _, error) = beside(&server, &[], &args).await;
        assert_eq!(code, Some(3), "{error}");
        let address = server.issuer().replace("http://", "");
        for words in ["no server of this user runs at 127.0.0.1:1 here", "authchain serve", "Running here: ", &address]
        {
            assert!(error.contains(words), "no {words:?} in {error}");
        }
    }
    for (args, why) in [(&[][..], "nothing to move"), (&["--to-data", "elsewhere"], "nothing to move")] {
        let (code, _, error) = migrate(&server, "memory_only", "memory_only", args).await;
        assert!(code == Some(2) && error.contains(why), "{error}");
    }
    let (code, _, error) = migrate(&server, "file_encrypted", "memory_only", &["--to-data", "elsewhere"]).await;
    assert!(code == Some(2) && error.contains("memory_only has no folder"), "{error}");
}

#[tokio::test]
async fn the_socket_is_its_users_alone_and_gone_with_the_server() {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let server = Server::start(&google, &MEMORY).await;
    let home = server.data().parent().unwrap().to_owned();
    let sockets = || {
        let of_ours = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "sock");
        files(&home).unwrap().into_iter().filter(of_ours).collect::<Vec<_>>()
    };
    let [socket] = sockets().try_into().unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));
    let (status, _home) = server.interrupt().await;
    assert!(status.success(), "{status}");
    assert!(sockets().is_empty());
}
