//! What an operator does about clients with the command while a server runs, and a device without a browser.

use std::{path::Path, process::Output};

use authchain_testkit::{Browser, Choice, StandIn, StandInOptions};
use serde_json::{Value, json};

use crate::{
    journey::{ANN, CALLBACK, Client, ann_says, call, rpc},
    program::{Demo, Server, authchain, run},
};

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// `authchain clients ARGS --json` over these data.
async fn clients(data: &Path, args: &[&str]) -> Output {
    let mut command = authchain(data);
    run(command.arg("clients").args(args).args(["--json", "--data"]).arg(data)).await
}

fn json_of(output: &Output) -> Value {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"))
}

async fn server() -> (StandIn, Server) {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    let server = Server::start(&google, &[]).await;
    (google, server)
}

#[tokio::test]
async fn r18_a_client_id_from_the_command_is_pasted_and_signs_in() {
    let (_google, server) = server().await;
    let issuer = server.issuer();
    let create = ["create", "--name", "Gemini", "--redirect-uri", CALLBACK, "--url", &issuer];
    let made = json_of(&clients(&server.data(), &create).await);
    for key in ["client_id", "authorize_url", "token_url", "mcp_url"] {
        assert!(made[key].is_string(), "no {key} in {made}");
    }
    assert!(made.get("client_secret").is_none(), "a public client has none");
    assert_eq!(made["mcp_url"], server.mcp_url(), "the server listens on another port than the configuration says");
    let plain = ["create", "--name", "x", "--redirect-uri", CALLBACK, "--url", "http://mcp.example.com"];
    let refused = clients(&server.data(), &plain).await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("plain http gives tokens away"), "{refused:?}");
    let pasted =
        Client { id: made["client_id"].as_str().unwrap().into(), ..Client::register(&server.mcp_url(), "x").await };
    let tokens = pasted.sign_in().await;
    assert!(call(&server.mcp_url(), &tokens.access, "whoami", json!({})).await.contains(ANN));

    let create =
        ["create", "--name", "ChatGPT", "--confidential", "--redirect-uri", "https://chatgpt.com/connector/oauth/a"];
    let made = json_of(&clients(&server.data(), &create).await);
    assert!(made["client_secret"].as_str().unwrap().len() >= 43, "{made}");
    let listed = json_of(&clients(&server.data(), &["list"]).await);
    assert_eq!(listed["count"], 2, "{listed}");
    assert!(!listed.to_string().contains(made["client_secret"].as_str().unwrap()), "the list holds no secret");
}

#[tokio::test]
async fn clients_are_listed_with_their_age_and_a_revoked_one_is_out() {
    let (_google, server) = server().await;
    let client = Client::register(&server.mcp_url(), "Inspector").await;
    let tokens = client.sign_in().await;
    let listed = json_of(&clients(&server.data(), &["list"]).await);
    let [seen] = listed["clients"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(
        (&seen["name"], &seen["kind"], &seen["sign_ins"]),
        (&"Inspector".into(), &"registered".into(), &1.into())
    );
    assert_eq!(seen["goes_to"], json!(["this computer"]));
    for time in ["registered_at", "last_used", "expires_at"] {
        assert!(seen[time].is_i64(), "no {time} in {seen}");
    }

    let revoked = json_of(&clients(&server.data(), &["revoke", seen["fingerprint"].as_str().unwrap()]).await);
    assert_eq!((&revoked["refused"], &revoked["sign_ins"]), (&true.into(), &1.into()), "{revoked}");
    let form = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh), ("client_id", &client.id)];
    let refused = client.asks_for_tokens(&form).await;
    assert_eq!(refused.status(), 401, "it has to register anew");
    let page = Browser::new().unwrap().walk(client.authorize_url(), &ann_says(true)).await.unwrap();
    assert_eq!(page.status, 400, "{}", page.text());

    let nobody = clients(&server.data(), &["revoke", "nobody"]).await;
    assert_eq!(nobody.status.code(), Some(3));
    let wrong = clients(&server.data(), &["create", "--name", "x", "--redirect-uri", "javascript:alert(1)"]).await;
    assert_eq!(wrong.status.code(), Some(2));
}

#[tokio::test]
async fn a_device_without_a_browser_signs_in_through_a_demo() {
    let demo = Demo::start(&[]).await;
    let http = reqwest::Client::new();
    let post = async |path: &str, form: &[(&str, &str)]| {
        let answer = http.post(format!("{}{path}", demo.text("issuer"))).form(form).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let body = json!({"client_name": "Terminal", "grant_types": [DEVICE_CODE], "token_endpoint_auth_method": "none"});
    let registered = http.post(format!("{}/oauth/register", demo.text("issuer"))).json(&body).send().await.unwrap();
    let registered: Value = registered.json().await.unwrap();
    let id = registered["client_id"].as_str().unwrap();
    let (_, device) = post("/oauth/device_authorization", &[("client_id", id), ("resource", demo.mcp_url())]).await;
    let code = device["device_code"].as_str().unwrap();
    let ask = [("grant_type", DEVICE_CODE), ("device_code", code), ("client_id", id)];
    assert_eq!(post("/oauth/token", &ask).await.1["error"], "authorization_pending");

    let person = Browser::new().unwrap();
    let page = person.open(device["verification_uri_complete"].as_str().unwrap()).await.unwrap();
    let page = person.press(&page, "Continue", &[]).await.unwrap();
    let chooser = person.press(&page, "Allow", &[]).await.unwrap();
    let done = person.walk(&chooser.url, &Choice::approve(ANN)).await.unwrap();
    assert!(done.text().contains("You may return to your device"), "{}: {}", done.url, done.text());

    let (status, tokens) = post("/oauth/token", &ask).await;
    assert_eq!(status, 200, "{tokens}");
    let access = tokens["access_token"].as_str().unwrap();
    assert!(call(demo.mcp_url(), access, "whoami", json!({})).await.contains(ANN));
    assert_eq!(rpc(demo.mcp_url(), Some(access), "tools/list", json!({})).await.status(), 200);
}
