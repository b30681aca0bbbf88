//! Number 19 of the checklist, the whole way: two servers of one organisation, each made of its configuration file. A person
//! signs in at the first one; the client goes on to the second without a page.

use std::time::Duration;

use authchain::AuthContext;
use authchain_server::{App, config::Sources};
use authchain_testkit::StandIn;
use axum::{Extension, routing::any};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    dpop::{Key, TOKEN, prove},
    exchange::{ACCESS_TOKEN, ID_JAG, TOKEN_EXCHANGE},
    world::{Client, DRIVE, World, text},
};

const ANN: &str = "ann@example.com";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The client's secrets at the two servers.
const AT_HOME: &str = "the secret of desk at home";
const AT_FILES: &str = "the secret of desk-at-files";

struct Fleet {
    /// Where people sign in.
    home: World,
    files: World,
    _folders: [TempDir; 2],
}

impl Fleet {
    async fn start() -> Self {
        let (mut home, mut files) = (World::new().await, World::new().await);
        let of_home = format!(
            r#"
            [[clients.registered]]
            id = "desk"
            name = "Desk"
            redirect_uris = ["{callback}"]
            secret = "{AT_HOME}"
            [[grants.exchange_audiences]]
            issuer = "{files}"
            resources = ["{files}/mcp"]
            scopes = ["drive.readonly"]
            clients = [{{ id = "desk", id_there = "desk-at-files" }}]
            "#,
            callback = crate::world::CALLBACK,
            files = files.issuer(),
        );
        let of_files = format!(
            r#"
            [[clients.registered]]
            id = "desk-at-files"
            name = "Desk"
            redirect_uris = ["{callback}"]
            secret = "{AT_FILES}"
            [[grants.enterprise_issuers]]
            issuer = "{home}"
            jwks_url = "{home}/oauth/jwks"
            algorithms = ["EdDSA", "ES256"]
            domains = ["example.com"]
            "#,
            callback = crate::world::CALLBACK,
            home = home.issuer(),
        );
        let _folders = [serve(&mut home, &of_home).await, serve(&mut files, &of_files).await];
        Self { home, files, _folders }
    }

    /// What `desk` gets for a token of the first server.
    async fn exchange(&self, subject: &str) -> (u16, Value) {
        let (audience, resource) = (self.files.issuer(), self.files.resource());
        self.home.post_form(TOKEN, &exchange_form(subject, &audience, &resource)).await
    }

    async fn redeem(&self, assertion: &str) -> (u16, Value) {
        self.files.post_form(TOKEN, &redeem_form(assertion)).await
    }

    /// What the tool of the second server says of its caller.
    async fn call(&self, tokens: &Value) -> Option<Value> {
        let request = self.files.http.post(self.files.at("/mcp")).bearer_auth(text(tokens, "access_token"));
        let answer = request.send().await.unwrap();
        match answer.status().as_u16() {
            200 => Some(answer.json().await.unwrap()),
            401 => None,
            other => panic!("{other}: {}", answer.text().await.unwrap()),
        }
    }
}

fn exchange_form<'a>(subject: &'a str, audience: &'a str, resource: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("grant_type", TOKEN_EXCHANGE),
        ("requested_token_type", ID_JAG),
        ("audience", audience),
        ("resource", resource),
        ("subject_token", subject),
        ("subject_token_type", ACCESS_TOKEN),
        ("client_id", "desk"),
        ("client_secret", AT_HOME),
    ]
}

fn redeem_form(assertion: &str) -> Vec<(&str, &str)> {
    let client = [("client_id", "desk-at-files"), ("client_secret", AT_FILES)];
    [&[("grant_type", JWT_BEARER), ("assertion", assertion)], &client[..]].concat()
}

/// A whole program takes over from the bare server of a world.
async fn serve(world: &mut World, toml: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authchain.toml");
    std::fs::write(&file, toml).unwrap();
    let sources = Sources::new()
        .file(&file)
        .set("storage.directory", folder.path().join("data").display(), "--test")
        .set("storage.mode", "memory_only", "--test")
        .set("server.public_url", &world.base, "--test")
        .set("providers.google.client_id", StandIn::client_id(), "--test")
        .set("providers.google.client_secret", StandIn::client_secret().expose(), "--test")
        .set("providers.google.base_url", world.google.url(), "--test")
        .set("providers.google.scopes", "drive.readonly gmail.send", "--test");
    let app = App::with_clock(sources.load().unwrap(), world.clock.clone()).await.unwrap();
    let tool = |Extension(auth): Extension<AuthContext>| async move {
        let caller = auth.principal();
        let client = caller.client.as_ref().map(ToString::to_string);
        axum::Json(json!({"user": caller.user, "client": client, "scopes": caller.scopes}))
    };
    world.serve(app.router(any(tool)), app.parts());
    world.signing = app.parts().signing.clone();
    folder
}

#[tokio::test]
async fn n19_who_signed_in_once_is_let_in_at_the_other_servers_of_the_fleet_until_the_sign_in_is_revoked() {
    let fleet = Fleet::start().await;
    let (_, document) = fleet.home.get_json("/.well-known/oauth-authorization-server").await;
    assert_eq!(document["identity_chaining_requested_token_types_supported"], json!([ID_JAG]));
    let (_, document) = fleet.files.get_json("/.well-known/oauth-authorization-server").await;
    assert_eq!(
        document["authorization_grant_profiles_supported"],
        json!(["urn:ietf:params:oauth:grant-profile:id-jag"])
    );
    assert!(document.get("identity_chaining_requested_token_types_supported").is_none());

    let desk = Client { id: "desk".into(), secret: Some(AT_HOME.into()) };
    let at_home = fleet.home.tokens(&desk, ANN).await;
    let subject = text(&at_home, "access_token");
    assert_eq!(fleet.call(&at_home).await, None, "the token of one server is worth nothing at another");

    let (status, exchanged) = fleet.exchange(&subject).await;
    assert_eq!(status, 200, "{exchanged}");
    let assertion = text(&exchanged, "access_token");
    assert_eq!(fleet.call(&exchanged).await, None, "an assertion is no access token");
    let (status, tokens) = fleet.redeem(&assertion).await;
    assert_eq!((status, text(&tokens, "scope").as_str()), (200, DRIVE), "{tokens}");
    let caller = json!({"user": ANN, "client": "desk-at-files", "scopes": DRIVE});
    assert_eq!(
        fleet.call(&tokens).await,
        Some(caller),
        "no page was shown, and nothing beyond what the operator listed"
    );
    assert_eq!(fleet.redeem(&assertion).await.1["error"], "invalid_grant", "it is redeemed once");

    let (_, late) = fleet.exchange(&subject).await;
    fleet.files.clock.advance(Duration::from_secs(5 * 60 + 61));
    assert_eq!(fleet.redeem(&text(&late, "access_token")).await.1["error"], "invalid_grant", "it lives five minutes");

    let form = [("token", subject.as_str()), ("client_id", "desk"), ("client_secret", AT_HOME)];
    assert_eq!(fleet.home.post_form("/oauth/revoke", &form).await.0, 200);
    let (status, refused) = fleet.exchange(&subject).await;
    assert_eq!((status, &refused["error"]), (400, &"invalid_request".into()), "{refused}");
    assert!(
        fleet.call(&tokens).await.is_some(),
        "what was given at the other server ends there by itself, within the hour"
    );
}

#[tokio::test]
async fn n19_an_assertion_that_is_bound_to_a_key_is_redeemed_with_a_proof_by_that_key_only() {
    let (fleet, key) = (Fleet::start().await, Key::new());
    let desk = Client { id: "desk".into(), secret: Some(AT_HOME.into()) };
    let subject = text(&fleet.home.tokens(&desk, ANN).await, "access_token");
    let (audience, resource) = (fleet.files.issuer(), fleet.files.resource());
    let (status, exchanged) = prove(&fleet.home, &key, &exchange_form(&subject, &audience, &resource)).await;
    assert_eq!(status, 200, "{exchanged}");
    let assertion = text(&exchanged, "access_token");
    assert_eq!(fleet.redeem(&assertion).await.1["error"], "invalid_grant", "without a proof");
    let (_, stolen) = prove(&fleet.files, &Key::new(), &redeem_form(&assertion)).await;
    assert_eq!(stolen["error"], "invalid_grant", "by another key");
    let (status, tokens) = prove(&fleet.files, &key, &redeem_form(&assertion)).await;
    assert_eq!((status, &tokens["token_type"]), (200, &"DPoP".into()), "a thief has not used it up: {tokens}");
    assert_eq!(fleet.files.verified(&tokens).claims["cnf"], json!({"jkt": key.thumbprint()}));
}
