//! A whole `App`: whose credential a tool is given, and that a tool does not notice.

use std::{path::Path, sync::Mutex};

use authchain::{
    AuthContext,
    core::{Email, Secret},
    jwt::dev::DevKeys,
};
use authchain_testkit::{StandIn, StandInOptions};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::KeySize,
    signature::RsaKeyPair,
};
use axum::{
    Extension, Form, Json,
    body::{Body, to_bytes},
    extract::{Request, State},
    routing::{any, post},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;

const DRIVE: &str = "https://www.googleapis.com/auth/drive.readonly";
const ANN: &str = "ann@example.com";

struct World {
    google: StandIn,
    folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let google = StandIn::start(StandInOptions::default()).await.unwrap();
        Self { google, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn config(&self, settings: &[(&str, &str)]) -> Config {
        let sources = Sources::new()
            .set("storage.mode", "memory_only", "--test")
            .set("storage.directory", self.folder.path().display(), "--test")
            .set("providers.google.client_id", StandIn::client_id(), "--test")
            .set("providers.google.client_secret", StandIn::client_secret().expose(), "--test")
            .set("providers.google.base_url", self.google.url(), "--test")
            .set("dev.accept_dev_keys", true, "--test");
        settings.iter().fold(sources, |sources, (key, value)| sources.set(key, value, "--test")).load().unwrap()
    }

    /// What the tool `whose_token` answers to `email`; it may name an account.
    async fn ask(&self, config: &Config, email: &str, account: &str) -> String {
        let token = mint(self.folder.path(), email, config);
        let app = App::new(config.clone()).await.unwrap();
        let tool = any(|Extension(auth): Extension<AuthContext>, account: String| async move {
            let auth = match auth.with_account(&account).await {
                Ok(auth) => auth,
                Err(error) => return error.code().to_string(),
            };
            match auth.access_token(DRIVE).await {
                Ok(token) => token.secret().expose().to_owned(),
                Err(error) => error.code().to_string(),
            }
        });
        let request = Request::post("http://127.0.0.1:8002/mcp")
            .header("host", "127.0.0.1:8002")
            .header("authorization", format!("Bearer {}", token.expose()))
            .body(Body::from(account.to_owned()))
            .unwrap();
        let answer = app.router(tool).oneshot(request).await.unwrap();
        String::from_utf8(to_bytes(answer.into_body(), 4096).await.unwrap().to_vec()).unwrap()
    }
}

fn mint(folder: &Path, email: &str, config: &Config) -> Secret {
    let keys = DevKeys::open_or_create(folder).unwrap();
    let audience = config.resource().unwrap().to_string();
    keys.mint(&Email::new(email).unwrap(), &Scopes::from(DRIVE), &audience, Duration::from_secs(600)).unwrap()
}

/// A token endpoint that believes every assertion and answers with a token that names whom it is for.
async fn delegating() -> (Url, Arc<Mutex<Vec<Value>>>) {
    type Seen = Arc<Mutex<Vec<Value>>>;
    async fn grant(State(seen): State<Seen>, Form(form): Form<Vec<(String, String)>>) -> Json<Value> {
        let assertion = form.iter().find(|(name, _)| name == "assertion").map(|(_, value)| value.clone()).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        let token = format!("token of {}", claims["sub"].as_str().unwrap());
        seen.lock().unwrap().push(claims);
        Json(json!({ "access_token": token, "expires_in": 3599 }))
    }
    let seen = Seen::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/token", listener.local_addr().unwrap())).unwrap();
    let app = Router::new().route("/token", post(grant)).with_state(seen.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, seen)
}

fn key_file(token_uri: &Url) -> String {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = STANDARD.encode(AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref());
    json!({
        "type": "service_account",
        "client_email": "robot@project.iam.gserviceaccount.com",
        "private_key": format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"),
        "token_uri": token_uri,
    })
    .to_string()
}

#[tokio::test]
async fn a_service_account_acts_as_the_caller_and_as_nobody_else() {
    let (world, (token_uri, seen)) = (World::new().await, delegating().await);
    std::fs::write(world.path("key.json"), key_file(&token_uri)).unwrap();
    for kind in ["service_account", "adc"] {
        let config = world.config(&[
            ("google.credentials", kind),
            ("google.application_credentials", &world.path("key.json")),
            ("google.allowed_domains", "example.com"),
        ]);
        assert_eq!(world.ask(&config, ANN, "me").await, "token of ann@example.com", "{kind}");
        assert_eq!(world.ask(&config, "bob@example.com", "").await, "token of bob@example.com");
        assert_eq!(world.ask(&config, ANN, "bob@example.com").await, "not_your_account");
        assert_eq!(world.ask(&config, "mallory@evil.example", "").await, "not_your_account");
    }
    let subjects: Vec<_> = seen.lock().unwrap().iter().map(|claims| claims["sub"].clone()).collect();
    assert_eq!(subjects, ["ann@example.com", "bob@example.com", "ann@example.com", "bob@example.com"]);
}

#[tokio::test]
async fn gclouds_credential_serves_its_owner_only() {
    let world = World::new().await;
    let granted = world.google.control().credential(&ANN.parse().unwrap(), &Scopes::from(DRIVE)).unwrap();
    let file = json!({
        "type": "authorized_user",
        "client_id": granted.client.id,
        "client_secret": granted.client.secret.as_ref().unwrap().expose(),
        "refresh_token": granted.refresh_token.as_ref().unwrap().expose(),
    });
    std::fs::write(world.path("application_default_credentials.json"), file.to_string()).unwrap();
    let folder = world.folder.path().display().to_string();
    let config =
        world.config(&[("google.credentials", "adc"), ("google.gcloud_directory", &folder), ("google.account", ANN)]);
    let token = world.ask(&config, ANN, "").await;
    assert!(world.google.control().issued_secrets().contains(&Secret::new(token.as_str())), "{token}");
    assert_eq!(world.ask(&config, "bob@example.com", "").await, "not_your_account");
}

#[tokio::test]
async fn a_token_of_the_environment_serves_its_owner_only() {
    let world = World::new().await;
    let granted = world.google.control().credential(&ANN.parse().unwrap(), &Scopes::from(DRIVE)).unwrap();
    let token = granted.access_token.unwrap().expose().to_owned();
    let settings =
        |owner| [("google.credentials", "environment"), ("google.access_token", &token), ("google.account", owner)];
    let config = world.config(&settings(ANN));
    assert_eq!(world.ask(&config, ANN, "").await, token);
    assert_eq!(world.ask(&config, "bob@example.com", "").await, "not_your_account");
}

#[tokio::test]
async fn without_an_oauth_client_at_google_other_credentials_serve_and_nobody_is_sent_to_sign_in() {
    let world = World::new().await;
    let granted = world.google.control().credential(&ANN.parse().unwrap(), &Scopes::from(DRIVE)).unwrap();
    let token = granted.access_token.unwrap().expose().to_owned();
    let settings = [
        ("google.credentials", "environment"),
        ("google.access_token", &token),
        ("google.account", ANN),
        ("local.user", ANN),
        ("providers.google.client_id", ""),
        ("providers.google.client_secret", ""),
    ];
    let config = world.config(&settings);
    assert_eq!(world.ask(&config, ANN, "").await, token);
    let config = world.config(&[&settings[..], &[("chain.tiers", "jwt_claims,oauth_fallback")]].concat());
    let app = App::new(config).await.unwrap();
    let request = Request::post("/mcp").header("host", "127.0.0.1:8002").body(Body::empty()).unwrap();
    let answer = app.router(any(|| async { "the endpoint" })).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 401);
    let body: Value = serde_json::from_slice(&to_bytes(answer.into_body(), 4096).await.unwrap()).unwrap();
    assert!(body.get("sign_in_url").is_none(), "{body}");
    assert!(body["resource_metadata"].is_string(), "{body}");
}

#[tokio::test]
async fn people_use_their_own_credentials_unless_told_otherwise() {
    let world = World::new().await;
    assert_eq!(world.ask(&world.config(&[]), ANN, "").await, "sign_in_needed");
}

#[tokio::test]
async fn a_check_finds_what_would_stop_a_start_and_leaves_nothing_behind() {
    let world = World::new().await;
    let refused = |settings: &[(&str, &str)]| {
        let config = world.config(settings);
        async move {
            match App::check(&config).await {
                Ok(()) => String::new(),
                Err(StartError::Config(error)) => error.key.unwrap_or_default(),
                Err(other) => panic!("{other}"),
            }
        }
    };
    assert_eq!(refused(&[]).await, "");
    assert_eq!(refused(&[("providers.google.client_id", "")]).await, "providers.google.client_id");
    assert_eq!(refused(&[("providers.google.scopes", "drive.readonli")]).await, "providers.google.scopes");
    let missing = world.path("missing");
    let environment = [
        ("providers.google.client_id", ""),
        ("google.credentials", "environment"),
        ("google.access_token", "t"),
        ("google.account", ANN),
    ];
    assert_eq!(refused(&environment).await, "", "nobody has to sign in through Google");
    let tls = [("tls.enabled", "true"), ("tls.certificate_file", missing.as_str()), ("tls.key_file", missing.as_str())];
    assert_eq!(refused(&tls).await, "tls.certificate_file");
    let adc = [("google.credentials", "adc"), ("google.application_credentials", missing.as_str())];
    assert_eq!(refused(&adc).await, "google.application_credentials");
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 0);
}

#[test]
fn names_of_scopes_mean_what_the_configured_edition_says() {
    let scopes = |edition: &str| {
        let sources = Sources::new().set("providers.google.scopes", "drive_basic", "--test");
        let config = sources.set("google.scope_groups", edition, "--test").load().unwrap();
        let clock: std::sync::Arc<dyn authchain::core::Clock> = std::sync::Arc::new(authchain::core::SystemClock);
        options(&config, &config.public_url().unwrap(), &config.resource().unwrap(), &clock).unwrap().default_scopes
    };
    assert!(scopes("original").contains("https://www.googleapis.com/auth/drive.file"));
    assert!(scopes("later").contains("https://www.googleapis.com/auth/drive"));
}

#[tokio::test]
async fn d9_the_root_answers_a_probe_without_a_404_and_without_a_redirect() {
    let world = World::new().await;
    for (at_root, status) in [("false", 405), ("true", 401)] {
        let config = world.config(&[("server.mcp_at_root", at_root)]);
        let app = App::new(config.clone()).await.unwrap();
        for method in ["GET", "HEAD", "POST"] {
            let tool = any(|| async { "the endpoint" });
            let request = Request::builder().method(method).uri("/").header("host", "127.0.0.1:8002");
            let answer = app.router(tool).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), status, "{method}");
            assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401, "{method}: D6");
        }
        let token = mint(world.folder.path(), ANN, &config);
        let request = Request::post("/").header("host", "127.0.0.1:8002");
        let request = request.header("authorization", format!("Bearer {}", token.expose()));
        let tool = any(|| async { "the endpoint" });
        let answer = app.router(tool).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status() == 200, status == 401, "M1: with a token it is the endpoint where that is on");
    }
}

#[tokio::test]
async fn n03_below_a_path_of_a_proxy_everything_is_there_whether_the_proxy_takes_the_path_off_or_not() {
    let world = World::new().await;
    let app = App::new(world.config(&[("server.public_url", "http://127.0.0.1:8002/tools")])).await.unwrap();
    let router = app.router(any(|| async { "a tool" }));
    let ask = async |path: &str| {
        let request = Request::get(path).header("host", "127.0.0.1:8002").body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    };
    for path in ["/tools/mcp", "/mcp", "/tools/mcp/"] {
        let answer = ask(path).await;
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        let metadata = "resource_metadata=\"http://127.0.0.1:8002/.well-known/oauth-protected-resource/tools/mcp\"";
        assert!(answer.status() == 401 && challenge.contains(metadata), "{path}: {challenge}");
        let body: Value = serde_json::from_slice(&to_bytes(answer.into_body(), 9999).await.unwrap()).unwrap();
        assert_eq!(body["sign_in_url"], "http://127.0.0.1:8002/tools/auth");
    }
    let answer = ask("/.well-known/oauth-protected-resource/tools/mcp").await;
    let document: Value = serde_json::from_slice(&to_bytes(answer.into_body(), 9999).await.unwrap()).unwrap();
    assert_eq!(document["resource"], "http://127.0.0.1:8002/tools/mcp");
    assert_eq!(document["authorization_servers"][0], "http://127.0.0.1:8002/tools");
    for path in ["/tools/auth", "/auth", "/tools/oauth/jwks"] {
        assert_eq!(ask(path).await.status(), 200, "{path}");
    }
    for path in ["/", "/tools", "/tools/"] {
        assert_eq!(ask(path).await.status(), 405, "{path}");
    }
}
