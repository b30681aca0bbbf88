//! `authchain credentials` and `authchain keys` on a real PostgreSQL, from and to every other mode.

// The server that the tests of the store start, too.
#[path = "../../crates/authchain-store/tests/it/postgres/server.rs"]
mod server;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use authchain::core::Secret;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::server::Server;
use crate::{
    fleet::nobody_notices,
    memory::it_goes_away_and_comes_back,
    program::{authchain, run},
};

/// The modes that have records which a command can reach.
const MODES: [&str; 4] = ["file_plaintext", "file_encrypted", "memory_with_backup", "postgres"];

/// Runs `authchain ARGS --json` on a database, and takes the exit code and the last thing that it said.
async fn ask(home: &Path, url: &Secret, mode: &str, args: &[&str]) -> (Option<i32>, Value) {
    let mut command = authchain(home);
    command.args(args).arg("--json").env("AUTHCHAIN__STORAGE__MODE", mode);
    command.env("AUTHCHAIN__STORAGE__URL", url.expose()).env("AUTHCHAIN__STORAGE__DIRECTORY", home.join("data"));
    let output = run(&mut command).await;
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let said = String::from_utf8(said).unwrap();
    assert!(!said.contains("SECRET"), "{args:?} says\n{said}");
    let last = said.trim_end().lines().last().unwrap_or_default();
    (output.status.code(), serde_json::from_str(last).unwrap_or_else(|e| panic!("{args:?}: {e}: {said}")))
}

/// A home with files of two people.
fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("in")).unwrap();
    for who in ["ann", "bob"] {
        let token = json!({
            "token": format!("ya29.SECRET-{who}"), "refresh_token": format!("1//SECRET-{who}"),
            "client_id": "client.apps.example.com", "client_secret": "client-SECRET", "scopes": ["openid"],
            "token_uri": "https://oauth2.googleapis.com/token", "expiry": "2025-11-21T08:00:00Z",
        });
        let path = home.path().join(format!("in/{who}@example.com.json"));
        fs::write(&path, token.to_string()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    home
}

#[tokio::test]
async fn credentials_are_moved_between_every_two_modes() {
    let server = Server::shared();
    for from in MODES {
        for to in MODES {
            if from == "postgres" && to == "postgres" {
                continue;
            }
            let (home, url) = (home(), server.url().await);
            let (code, imported) = ask(home.path(), &url, from, &["credentials", "import", "in"]).await;
            assert_eq!((code, &imported["imported"]), (Some(0), &json!(2)), "{from}: {imported}");
            let other = home.path().join("other").display().to_string();
            let migrate = ["credentials", "migrate", "--from", from, "--to", to, "--to-data", &other];
            let (code, planned) = ask(home.path(), &url, from, &[&migrate[..], &["--dry-run"]].concat()).await;
            assert_eq!((code, &planned["credentials"]), (Some(0), &json!(2)), "{from} to {to}: {planned}");
            assert!(to == "postgres" || !Path::new(&other).exists(), "a dry run makes no folder");
            let (code, done) = ask(home.path(), &url, from, &[&migrate[..], &["--delete-source"]].concat()).await;
            assert_eq!((code, &done["removed_from_source"]), (Some(0), &json!(2)), "{from} to {to}: {done}");
            let (_, left) = ask(home.path(), &url, from, &["credentials", "list"]).await;
            assert_eq!(left["credentials"], json!([]), "{from} to {to}");
            let (code, moved) = ask(home.path(), &url, to, &["credentials", "verify", "--data", &other]).await;
            assert_eq!((code, &moved["good"], &moved["broken"]), (Some(0), &json!(2), &json!([])), "{from} to {to}");
        }
    }
}

#[tokio::test]
async fn what_a_server_has_in_memory_is_moved_to_a_database_and_back_and_its_owner_is_served() {
    let server = Server::shared();
    let url = server.url().await;
    it_goes_away_and_comes_back("postgres", &[("AUTHCHAIN__STORAGE__URL", url.expose())]).await;
}

#[tokio::test]
async fn the_commands_work_on_a_database_as_on_a_folder() {
    let server = Server::shared();
    let (home, url) = (home(), server.url().await);
    let ask = async |args: &[&str]| ask(home.path(), &url, "postgres", args).await;
    assert_eq!(ask(&["credentials", "import", "in"]).await.0, Some(0));
    let (_, shown) = ask(&["credentials", "show", "ann@example.com"]).await;
    assert_eq!((&shown["account"], &shown["has_refresh_token"]), (&json!("ann@example.com"), &json!(true)));
    let (code, backup) = ask(&["credentials", "backup", "all.backup"]).await;
    assert_eq!((code, &backup["credentials"]), (Some(0), &json!(2)), "{backup}");

    let (_, keys) = ask(&["keys", "list"]).await;
    let old = keys["keys"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(keys["keys"][0]["credentials"], 2);
    assert_eq!(ask(&["keys", "rotate"]).await.0, Some(0));
    assert_eq!(ask(&["keys", "retire", &old]).await.0, Some(7), "it is needed");
    let (code, sealed) = ask(&["keys", "reencrypt"]).await;
    assert_eq!((code, &sealed["sealed"]), (Some(0), &json!(2)), "{sealed}");
    let (_, kept) = ask(&["keys", "list"]).await;
    assert_eq!(kept["keys"][0]["credentials"], 2, "{kept}");

    assert_eq!(ask(&["credentials", "delete", "ann@example.com", "--yes"]).await.0, Some(0));
    assert_eq!(ask(&["credentials", "show", "ann@example.com"]).await.0, Some(3));
    let (code, restored) = ask(&["credentials", "restore", "all.backup"]).await;
    assert_eq!(code, Some(0), "{restored}");
    assert_eq!(ask(&["credentials", "verify"]).await.1["good"], 2);
    assert_eq!(ask(&["keys", "retire", &old]).await.0, Some(0), "nothing needs it any more");
    assert_eq!(ask(&["credentials", "verify"]).await.1["good"], 2);
}

#[tokio::test]
async fn a_gateways_database_is_named_by_its_environment_and_never_on_the_command_line() {
    let server = Server::shared();
    let (home, url) = (home(), server.url().await);
    let ask = async |variables: &[(&str, &str)]| {
        let mut command = authchain(home.path());
        command.args(["credentials", "import", "--gateway", "--json"]).envs(variables.iter().copied());
        command.env("AUTHCHAIN__STORAGE__DIRECTORY", home.path().join("data"));
        let output = run(&mut command).await;
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, said) = ask(&[]).await;
    assert!(code == Some(2) && said.contains("DATABASE_URL is not set"), "{said}");
    let (code, said) = ask(&[("DATABASE_URL", url.expose()), ("AUTH_GATEWAY_ENCRYPTION_KEY", "a SECRET")]).await;
    assert!(code == Some(6) && said.contains("oauth_credentials") && !said.contains("SECRET"), "{said}");
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_ends_a_command_with_6_and_says_which_it_is() {
    let home = home();
    let url = Secret::new("postgresql://postgres:SECRET@127.0.0.1:1/none");
    let (code, said) = ask(home.path(), &url, "postgres", &["credentials", "list"]).await;
    assert_eq!(code, Some(6), "{said}");
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.contains("127.0.0.1") && message.to_lowercase().contains("refused"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_on_one_database_are_killed_and_started_again_and_nobody_is_signed_out() {
    let server = Server::shared();
    let url = server.url().await;
    nobody_notices(&[("AUTHCHAIN__STORAGE__MODE", "postgres"), ("AUTHCHAIN__STORAGE__URL", url.expose())]).await;
}
