//! `authchain config`, older names in the environment, and HTTPS of our own, from outside.

use std::process::Output;

use authchain_testkit::{StandIn, StandInOptions};
use serde_json::{Value, json};

use crate::{
    journey::{Client, rpc},
    program::{Program, Server, authchain, free_port, run},
};

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

async fn with(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let home = tempfile::tempdir().unwrap();
    run(authchain(home.path()).args(args).envs(variables.iter().copied())).await
}

const CLIENT: [(&str, &str); 2] =
    [("AUTHCHAIN__PROVIDERS__GOOGLE__CLIENT_ID", "id"), ("AUTHCHAIN__PROVIDERS__GOOGLE__CLIENT_SECRET", "hush-hush")];

#[tokio::test]
async fn config_show_names_every_value_and_where_it_came_from_and_no_secret() {
    let variables = [&CLIENT[..], &[("SESSION_TIMEOUT_MINUTES", "30"), ("AUTHCHAIN__SERVER__PORT", "9000")]].concat();
    let shown = with(&["config", "show", "--origin"], &variables).await;
    assert!(shown.status.success(), "{}", stderr(&shown));
    let shown = stdout(&shown);
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("session.idle").contains("30m") && line("session.idle").contains("SESSION_TIMEOUT_MINUTES"));
    assert!(line("server.port").contains("9000") && line("server.port").contains("AUTHCHAIN__SERVER__PORT"));
    assert!(line("storage.mode").contains("file_encrypted") && line("storage.mode").contains("the defaults"));
    assert!(line("providers.google.client_secret").contains("(hidden)"));
    assert!(!shown.contains("hush-hush"), "{shown}");

    let json = with(&["config", "show", "server", "--json"], &variables).await;
    let json: Value = serde_json::from_str(&stdout(&json)).unwrap();
    let settings = json["settings"].as_array().unwrap();
    assert!(settings.iter().all(|setting| setting["key"].as_str().unwrap().starts_with("server.")), "{json}");
    assert!(settings.iter().all(|setting| setting["origin"].is_string() && setting["value"].is_string()));
    assert_eq!(with(&["config", "show", "sever"], &[]).await.status.code(), Some(3));
}

#[tokio::test]
async fn config_check_says_whether_a_server_could_start() {
    let good = with(&["config", "check"], &CLIENT).await;
    assert!(good.status.success(), "{}", stderr(&good));
    assert!(stdout(&good).contains("http://127.0.0.1:8002/mcp"), "{}", stdout(&good));
    let old = with(&["config", "check"], &[&CLIENT[..], &[("SERVER_PORT", "9000")]].concat()).await;
    assert!(stdout(&old).contains(":9000/mcp") && stderr(&old).contains("AUTHCHAIN__SERVER__PORT"), "{}", stderr(&old));
    let off = [&CLIENT[..], &[("SERVER_PORT", "9000"), ("LEGACY_COMPAT_MODE", "false")]].concat();
    let off = with(&["config", "check"], &off).await;
    assert_eq!(off.status.code(), Some(2));
    assert!(stderr(&off).contains("SERVER_PORT") && stderr(&off).contains("server.port"), "{}", stderr(&off));
    assert_eq!(with(&["config", "check"], &[]).await.status.code(), Some(2), "there is no client at Google");
}

#[tokio::test]
async fn an_environment_of_the_system_that_is_replaced_starts_a_server_with_https() {
    let home = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(home.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(home.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let port = free_port().to_string();
    let base = format!("https://localhost:{port}");
    let mut command = authchain(home.path());
    command.arg("serve").envs([
        ("GOOGLE_CLIENT_ID", "id"),
        ("GOOGLE_CLIENT_SECRET", "hush-hush"),
        ("FASTMCP_SERVER_AUTH", "GOOGLE"),
        ("CREDENTIAL_STORAGE_MODE", "FILE_ENCRYPTED"),
        ("SESSION_TIMEOUT_MINUTES", "30"),
        ("ENABLE_HTTPS", "true"),
        ("SSL_CERT_FILE", "cert.pem"),
        ("SSL_KEY_FILE", "key.pem"),
        ("SERVER_PORT", &port),
        ("OAUTH_REDIRECT_URI", &format!("{base}/oauth2callback")),
    ]);
    let program = Program::start(&mut command, &home.path().join("log"));
    program.logged("listening").await;
    let certificate = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().build().unwrap();
    let metadata = client.get(format!("{base}/.well-known/oauth-authorization-server")).send().await.unwrap();
    let metadata: Value = metadata.json().await.unwrap();
    assert_eq!(metadata["issuer"].as_str().unwrap().trim_end_matches('/'), base);
    let log = program.log();
    for (name, key) in [("SESSION_TIMEOUT_MINUTES", "session.idle"), ("ENABLE_HTTPS", "tls.enabled")] {
        let hints = log.lines().filter(|line| line.contains(&format!("{name} is an older name"))).count();
        assert!(hints == 1 && log.contains(key), "{name}: {log}");
    }
    assert!(!log.contains("hush-hush"), "{log}");
    let (status, _) = program.interrupt().await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn n03_with_endpoints_elsewhere_clients_find_their_way_by_the_metadata() {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let elsewhere = [
        ("AUTHCHAIN__PATHS__AUTHORIZE", "/authorize"),
        ("AUTHCHAIN__PATHS__CONSENT", "/say-yes"),
        ("AUTHCHAIN__PATHS__CALLBACK", "/signin/google"),
        ("AUTHCHAIN__PATHS__TOKEN", "/token"),
        ("AUTHCHAIN__PATHS__REVOKE", "/revoke"),
        ("AUTHCHAIN__PATHS__REGISTER", "/clients"),
        ("AUTHCHAIN__PATHS__JWKS", "/keys.json"),
    ];
    let server = Server::start(&google, &elsewhere).await;
    let client = Client::register(&server.mcp_url(), "elsewhere").await;
    assert!(client.authorize_url().path() == "/authorize", "{}", client.metadata);
    assert_eq!(client.metadata["jwks_uri"], format!("{}/keys.json", server.issuer()));
    let tokens = client.sign_in().await;
    let tokens = client.refresh(&tokens.refresh).await;
    let whoami = json!({ "name": "whoami", "arguments": {} });
    assert_eq!(rpc(&server.mcp_url(), Some(&tokens.access), "tools/call", whoami.clone()).await.status(), 200);
    assert_eq!(client.revoke(&tokens.refresh).await.status(), 200);
    assert_eq!(rpc(&server.mcp_url(), Some(&tokens.access), "tools/call", whoami).await.status(), 401);
    assert_eq!(client.http.get(format!("{}/oauth/authorize", server.issuer())).send().await.unwrap().status(), 404);

    let wrong = [&CLIENT[..], &[("AUTHCHAIN__PATHS__TOKEN", "/auth/token")]].concat();
    let refused = with(&["config", "check"], &wrong).await;
    assert_eq!(refused.status.code(), Some(2), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("paths.token"), "{}", stderr(&refused));
}
