//! `authchain credentials`: what is stored, moved, taken in, given out and brought back; with its exit codes, and without
//! a secret in any word of it.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Output,
};

use authchain_testkit::{Browser, Endpoint, StandIn, StandInOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    journey::{ANN, ann_says},
    program::{Program, authchain, files, pointed_at, run},
};

const SECRETS: [&str; 4] = ["SECRET", "ya29.", "1//", "client-SECRET"];

/// A home with a folder `data` for the store and one `in` for files of other programs.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::create_dir(home.path("in")).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `authchain credentials ARGS --json` and takes the answer; nothing that it says is a secret.
    async fn ask(&self, mode: &str, args: &[&str]) -> (Option<i32>, Value, String) {
        let output = self.run(mode, &[args, &["--json"]].concat()).await;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let answer = if out.is_empty() { Value::Null } else { serde_json::from_str(&out).unwrap() };
        for line in err.lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line:?} is no JSON in\n{err}"));
        }
        (output.status.code(), answer, err)
    }

    async fn run(&self, mode: &str, args: &[&str]) -> Output {
        let mut command = authchain(self.0.path());
        command.arg("credentials").args(args);
        command.env("AUTHCHAIN__STORAGE__MODE", mode).env("AUTHCHAIN__STORAGE__DIRECTORY", self.path("data"));
        let output = run(&mut command).await;
        if !args.contains(&"export") {
            for said in [text(&output.stdout), text(&output.stderr)] {
                assert!(!SECRETS.iter().any(|secret| said.contains(secret)), "{args:?} says\n{said}");
            }
        }
        output
    }

    /// Files of people, as google_workspace_mcp keeps them, one of them broken.
    fn fill(&self) {
        for who in ["ann", "bob"] {
            self.write(&format!("in/{who}@example.com.json"), &token(who).to_string());
        }
        self.write("in/eve@example.com.json", "{\"token\": \"ya29.SECRET");
        self.write("in/oauth_states.json", "{}");
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let below = files(&self.path(folder)).unwrap_or_default();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let mut names: Vec<_> = below.iter().map(name).filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn token(who: &str) -> Value {
    json!({
        "token": format!("ya29.SECRET-{who}"),
        "refresh_token": format!("1//SECRET-{who}"),
        "token_uri": "https://oauth2.googleapis.com/token",
        "client_id": "client.apps.example.com",
        "client_secret": "client-SECRET",
        "scopes": ["https://www.googleapis.com/auth/drive.readonly"],
        "expiry": "2025-11-21T08:00:00.123456",
    })
}

const PLAIN: &str = "file_plaintext";
const SEALED: &str = "file_encrypted";

#[tokio::test]
async fn a_folder_is_imported_with_a_reason_for_every_file_and_a_second_time_changes_nothing() {
    let home = Home::new();
    home.fill();
    let (code, plan, _) = home.ask(SEALED, &["import", "in", "--dry-run"]).await;
    assert_eq!((code, &plan["imported"]), (Some(9), &json!(2)));
    assert!(!home.path("data").exists(), "a dry run writes nothing");

    let (code, answer, error) = home.ask(SEALED, &["import", "in"]).await;
    assert_eq!(code, Some(9), "{error}");
    assert!(error.contains("partly_done"), "{error}");
    let results: Vec<_> = answer["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (Path::new(file["path"].as_str().unwrap()).file_name().unwrap(), file["result"].as_str().unwrap()))
        .map(|(name, result)| (name.to_string_lossy().into_owned(), result.to_owned()))
        .collect();
    let wanted = [
        ("ann@example.com.json", "written"),
        ("bob@example.com.json", "written"),
        ("eve@example.com.json", "refused"),
        ("oauth_states.json", "passed_over"),
    ];
    assert_eq!(results, wanted.map(|(name, result)| (name.to_owned(), result.to_owned())));

    fs::remove_file(home.path("in/eve@example.com.json")).unwrap();
    let (code, again, _) = home.ask(SEALED, &["import", "in"]).await;
    assert_eq!((code, &again["imported"]), (Some(0), &json!(2)));
    assert_eq!(again["files"][0]["result"], "already_there");
    for file in files(&home.path("data")).unwrap() {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"SECRET"), "{} is not sealed", file.display());
    }
}

#[tokio::test]
async fn what_is_stored_is_listed_and_shown_without_its_secrets() {
    let home = Home::new();
    let (code, empty, _) = home.ask(SEALED, &["list"]).await;
    assert_eq!((code, &empty["credentials"]), (Some(0), &json!([])));
    home.fill();
    home.ask(SEALED, &["import", "in"]).await;
    let (code, list, _) = home.ask(SEALED, &["list"]).await;
    assert_eq!(code, Some(0));
    let accounts: Vec<_> = list["credentials"].as_array().unwrap().iter().map(|c| c["account"].clone()).collect();
    assert_eq!(accounts, ["ann@example.com", "bob@example.com"]);
    let (code, shown, _) = home.ask(SEALED, &["show", "Ann@Example.com"]).await;
    assert_eq!((code, &shown["status"]), (Some(0), &json!("refreshable")));
    assert_eq!((&shown["has_refresh_token"], &shown["client_id"]), (&json!(true), &json!("client.apps.example.com")));
    let said = text(&home.run(SEALED, &["show", "--account", ANN]).await.stdout);
    assert!(said.contains("drive.readonly") && said.contains("refresh token"), "{said}");
    assert_eq!(home.ask(SEALED, &["show", "nobody@example.com"]).await.0, Some(3));
}

#[tokio::test]
async fn verify_names_each_broken_record_and_ends_with_8() {
    let home = Home::new();
    home.fill();
    home.ask(SEALED, &["import", "in"]).await;
    let (code, whole, _) = home.ask(SEALED, &["verify"]).await;
    assert_eq!((code, &whole["good"], &whole["broken"]), (Some(0), &json!(2), &json!([])));
    let broken = home.path("data/google~bob@example.com~default.enc");
    let mut bytes = fs::read(&broken).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&broken, bytes).unwrap();
    let (code, answer, error) = home.ask(SEALED, &["verify"]).await;
    assert_eq!(code, Some(8), "{error}");
    assert_eq!((&answer["good"], &answer["broken"][0]["account"]), (&json!(1), &json!("bob@example.com")));
    assert!(error.contains("unreadable_record"), "{error}");
    assert_eq!(home.ask(SEALED, &["show", ANN]).await.0, Some(0), "the others go on working");
}

#[tokio::test]
async fn a_migration_moves_everything_and_says_so_of_each_account() {
    let home = Home::new();
    home.fill();
    home.ask(PLAIN, &["import", "in"]).await;
    let there = ["--from", PLAIN, "--to", SEALED];
    let (code, plan, _) = home.ask(PLAIN, &[&["migrate", "--dry-run"], &there[..]].concat()).await;
    assert_eq!((code, &plan["credentials"], &plan["results"][0]["result"]), (Some(0), &json!(2), &json!("written")));
    assert!(home.names("data").iter().all(|name| name.ends_with(".json")), "a dry run writes nothing");

    let (code, answer, error) = home.ask(PLAIN, &[&["migrate"], &there[..]].concat()).await;
    assert_eq!((code, &answer["status"]), (Some(0), &json!("done")), "{error}");
    assert!(error.contains("\"progress\""), "there is a progress event: {error}");
    assert_eq!(home.names("data").len(), 4, "both are there");
    let (code, answer, _) = home.ask(PLAIN, &[&["migrate", "--delete-source"], &there[..]].concat()).await;
    assert_eq!((code, &answer["removed_from_source"]), (Some(0), &json!(2)));
    assert_eq!(answer["results"][0]["result"], "already_there");
    let left: Vec<_> = home.names("data");
    assert_eq!(left, ["google~ann@example.com~default.enc", "google~bob@example.com~default.enc"]);
    assert_eq!(home.ask(SEALED, &["verify"]).await.0, Some(0));

    let (code, answer, _) = home.ask(SEALED, &["migrate", "--from", SEALED, "--to", "memory_with_backup"]).await;
    assert_eq!((code, &answer["status"]), (Some(0), &json!("same_files")));
    for (from, to, why, fix) in
        [(SEALED, SEALED, "nothing to move", ""), ("memory_only", "memory_only", "nothing to move", "")]
    {
        let (code, _, error) = home.ask(SEALED, &["migrate", "--from", from, "--to", to, "--delete-source"]).await;
        assert_eq!(code, Some(2), "{from} to {to}: {error}");
        assert!(error.contains(why) && error.contains(fix), "{from} to {to}: {error}");
    }
    assert_eq!(home.ask(SEALED, &["verify"]).await.1["good"], 2, "and everything is where it was");
}

#[tokio::test]
async fn a_broken_record_ends_a_migration_with_9_and_keeps_the_source() {
    let home = Home::new();
    home.fill();
    home.ask(PLAIN, &["import", "in"]).await;
    home.write("data/google~bob@example.com~default.json", "{\"token\": \"ya29.SECRET");
    let args = ["migrate", "--from", PLAIN, "--to", SEALED, "--delete-source"];
    let (code, answer, _) = home.ask(PLAIN, &args).await;
    assert_eq!((code, &answer["status"], &answer["removed_from_source"]), (Some(9), &json!("partly_done"), &json!(0)));
    assert_eq!(home.names("data").iter().filter(|name| name.ends_with(".json")).count(), 2);
}

#[tokio::test]
async fn a_backup_is_brought_back_after_everything_was_deleted() {
    let home = Home::new();
    home.fill();
    home.ask(SEALED, &["import", "in"]).await;
    let (code, made, _) = home.ask(SEALED, &["backup", "all.backup"]).await;
    assert_eq!((code, &made["credentials"]), (Some(0), &json!(2)));
    assert_eq!(fs::metadata(home.path("all.backup")).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(home.ask(SEALED, &["backup", "all.backup"]).await.0, Some(7), "it is never written over");

    let (code, _, error) = home.ask(SEALED, &["delete", ANN]).await;
    assert_eq!(code, Some(2), "without a terminal it wants to be told: {error}");
    assert!(error.contains("--yes"), "{error}");
    for who in [ANN, "bob@example.com"] {
        assert_eq!(home.ask(SEALED, &["delete", who, "--yes"]).await.0, Some(0));
    }
    assert_eq!(home.ask(SEALED, &["delete", ANN, "--yes"]).await.0, Some(3));
    let (_, planned, _) = home.ask(SEALED, &["restore", "all.backup", "--dry-run"]).await;
    assert_eq!(planned["results"][0]["result"], "written");
    assert!(home.names("data").iter().all(|name| !name.ends_with(".enc")), "a dry run writes nothing");
    let (code, answer, _) = home.ask(SEALED, &["restore", "all.backup"]).await;
    assert_eq!((code, answer["results"].as_array().unwrap().len()), (Some(0), 2));
    assert_eq!(home.ask(SEALED, &["verify"]).await.1["good"], 2);

    let whole = fs::read(home.path("all.backup")).unwrap();
    fs::write(home.path("all.backup"), &whole[..whole.len() - 1]).unwrap();
    assert_eq!(home.ask(SEALED, &["restore", "all.backup"]).await.0, Some(8), "cut short");
    assert_eq!(home.ask(SEALED, &["restore", "none.backup"]).await.0, Some(3));
    fs::write(home.path("all.backup"), whole).unwrap();
    fs::rename(home.path("data"), home.path("elsewhere")).unwrap();
    assert_eq!(home.ask(SEALED, &["restore", "all.backup"]).await.0, Some(8), "without its key");
    assert!(!home.path("data/.auth_encryption_key").exists(), "no new key hides that the old one is missing");
}

#[tokio::test]
async fn an_export_is_asked_about_and_can_be_imported_elsewhere() {
    let home = Home::new();
    home.fill();
    home.ask(SEALED, &["import", "in"]).await;
    let export = |format, file| ["export", "--format", format, "--account", ANN, "--output", file];
    assert_eq!(home.run(SEALED, &export("authorized_user", "token.json")).await.status.code(), Some(2));
    assert!(!home.path("token.json").exists());
    for (format, file) in
        [("authorized_user", "ann@example.com.json"), ("fernet", "ann_at_example_com_credentials.enc")]
    {
        let (code, answer, error) = home.ask(SEALED, &[&export(format, file)[..], &["--yes"]].concat()).await;
        assert_eq!(code, Some(0), "{error}");
        assert_eq!(answer["file"], file);
        assert_eq!(fs::metadata(home.path(file)).unwrap().mode() & 0o7777, 0o600);
        let other = Home::new();
        fs::copy(home.path(file), other.path("in").join(file)).unwrap();
        fs::copy(home.path("data/.auth_encryption_key"), other.path("in/.auth_encryption_key")).unwrap();
        let (code, answer, error) = other.ask(SEALED, &["import", "in"]).await;
        assert_eq!((code, &answer["imported"]), (Some(0), &json!(1)), "{format}: {error}");
        assert_eq!(other.ask(SEALED, &["show", ANN]).await.1["has_refresh_token"], true);
    }
    let plain: Value = serde_json::from_slice(&fs::read(home.path("ann@example.com.json")).unwrap()).unwrap();
    assert_eq!((&plain["refresh_token"], &plain["expiry"]), (&json!("1//SECRET-ann"), &json!("2025-11-21T08:00:00Z")));
    let again = export("authorized_user", "ann@example.com.json");
    assert_eq!(home.run(SEALED, &[&again[..], &["--yes"]].concat()).await.status.code(), Some(7));
}

#[tokio::test]
async fn what_cannot_be_imported_says_what_to_do() {
    let home = Home::new();
    home.write("in/robot.json", &json!({ "type": "service_account", "private_key": "SECRET" }).to_string());
    let (code, _, error) = home.ask(SEALED, &["import", "in/robot.json"]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("google.application_credentials"), "{error}");
    assert_eq!(home.ask(SEALED, &["import", "in/nothing.json"]).await.0, Some(1));
    fs::remove_file(home.path("in/robot.json")).unwrap();
    assert_eq!(home.ask(SEALED, &["import", "in"]).await.0, Some(3), "an empty folder");
    home.write("in/token.json", &token("ann").to_string());
    let (code, _, error) = home.ask(SEALED, &["import", "in/token.json", "--offline"]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("--user EMAIL"), "{error}");
    assert_eq!(home.ask(SEALED, &["import", "in/token.json", "--user", ANN]).await.0, Some(0));
    let other = json!({ "refresh_token": "1//SECRET-other", "client_id": "client.apps.example.com" });
    home.write("in/token.json", &other.to_string());
    let (code, answer, _) = home.ask(SEALED, &["import", "in/token.json", "--user", ANN]).await;
    assert_eq!((code, &answer["files"][0]["result"]), (Some(1), &json!("failed")), "it is not written over");
    let replace = ["import", "in/token.json", "--user", ANN, "--replace", "--yes"];
    assert_eq!(home.ask(SEALED, &replace).await.1["files"][0]["result"], "replaced");
}

#[tokio::test]
async fn the_usual_places_of_other_programs_are_looked_into_when_asked() {
    let home = Home::new();
    let (code, _, error) = home.ask(SEALED, &["import", "--discover"]).await;
    assert_eq!(code, Some(3), "there is nothing yet: {error}");
    fs::create_dir_all(home.path(".google_workspace_mcp/credentials")).unwrap();
    home.write(".google_workspace_mcp/credentials/ann@example.com.json", &token("ann").to_string());
    let (code, planned, _) = home.ask(SEALED, &["import", "--discover", "--dry-run"]).await;
    assert_eq!((code, &planned["imported"]), (Some(0), &json!(1)));
    let (code, _, error) = home.ask(SEALED, &["import", "--discover"]).await;
    assert_eq!(code, Some(2), "nobody named it, so somebody is asked: {error}");
    assert!(!home.path("data").exists());
    let (code, taken, error) = home.ask(SEALED, &["import", "--discover", "--yes"]).await;
    assert_eq!((code, &taken["files"][0]["account"]), (Some(0), &json!(ANN)), "{error}");
    assert!(home.path(".google_workspace_mcp/credentials/ann@example.com.json").exists(), "the file stays");
}

/// A home in which ann has signed in through the stand-in.
async fn signed_in(google: &StandIn) -> Home {
    let home = Home::new();
    let mut command = authchain(home.0.path());
    command.args(["login", "--no-browser", "--account", ANN, "--data", "data"]).envs(pointed_at(google));
    let program = Program::start(&mut command, &home.path("log"));
    program.logged("/auth").await;
    let log = program.log();
    let link = log.split_once("Sign in here: ").unwrap().1.split_whitespace().next().unwrap().to_owned();
    Browser::new().unwrap().walk(link, &ann_says(true)).await.unwrap();
    assert!(program.ended().await.0.success());
    home
}

async fn with_google(home: &Home, google: &StandIn, args: &[&str]) -> (Option<i32>, String) {
    let mut command = authchain(home.0.path());
    command.arg("credentials").args(args).args(["--data", "data", "--json"]).envs(pointed_at(google));
    let output = run(&mut command).await;
    (output.status.code(), [text(&output.stdout), text(&output.stderr)].concat())
}

#[tokio::test]
async fn revoking_ends_the_grant_at_the_provider_and_deletes_the_credential() {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let home = signed_in(&google).await;
    let (code, said) = with_google(&home, &google, &["revoke", ANN, "--yes"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("\"ended_at_provider\":true"), "{said}");
    assert_eq!(google.control().requests(Endpoint::Revoke), 1);
    assert_eq!(with_google(&home, &google, &["show", ANN]).await.0, Some(3));
}

#[tokio::test]
async fn a_provider_that_does_not_answer_does_not_keep_a_credential_from_being_deleted() {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let home = signed_in(&google).await;
    google.control().fail(Endpoint::Revoke, 400, 10);
    let (code, said) = with_google(&home, &google, &["revoke", ANN, "--yes"]).await;
    assert_eq!(code, Some(9), "{said}");
    assert!(said.contains("myaccount.google.com"), "{said}");
    assert_eq!(with_google(&home, &google, &["show", ANN]).await.0, Some(3));
}

#[tokio::test]
async fn a_credential_that_does_not_say_whose_it_is_is_asked_about_at_the_provider() {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let home = signed_in(&google).await;
    let export = ["export", "--format", "authorized_user", "--account", ANN, "--output", "token.json", "--yes"];
    assert_eq!(with_google(&home, &google, &export).await.0, Some(0));
    let mut file: Value = serde_json::from_slice(&fs::read(home.path("token.json")).unwrap()).unwrap();
    file.as_object_mut().unwrap().retain(|name, _| !["account", "id_token", "token"].contains(&name.as_str()));
    home.write("in/token.json", &file.to_string());
    assert_eq!(with_google(&home, &google, &["delete", ANN, "--yes"]).await.0, Some(0));
    let (code, said) = with_google(&home, &google, &["import", "in/token.json"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("\"account_from\":\"provider\"") && said.contains(ANN), "{said}");
    assert_eq!(with_google(&home, &google, &["show", ANN]).await.0, Some(0));
    for secret in google.control().issued_secrets() {
        assert!(!said.contains(secret.expose()), "a secret in\n{said}");
    }
}
