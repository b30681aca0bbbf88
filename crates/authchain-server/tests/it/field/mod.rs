//! Clients in the field. How each one registers, asks and refreshes is data in `fixtures/`: when a client changes, a file
//! changes. Every client there goes the whole way; the modules below look at the single cases. `docs/checklist.md` says which
//! case is shown by which test.

mod authorize;
mod documents;
mod registration;
mod token;

use std::path::Path;

use authchain::provider::Pkce;
use authchain_testkit::Page;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::world::{Client, DRIVE, World, choice, text};

/// One client, as its file describes it.
pub(crate) struct Fixture {
    /// The name of the file, for messages.
    pub(crate) file: String,
    data: Value,
}

/// What a client saw on its way.
pub(crate) struct Journey {
    pub(crate) client: Client,
    pub(crate) registered: Value,
    pub(crate) consent: Page,
    pub(crate) back: Page,
    pub(crate) tokens: Value,
    pub(crate) refreshed: Value,
}

/// The files of one folder below `fixtures`.
fn read(folder: &str) -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let fixture = |path: std::path::PathBuf| Fixture {
        file: path.file_name().unwrap().to_string_lossy().into(),
        data: serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap(),
    };
    files.into_iter().map(fixture).collect()
}

/// Every client that registers.
pub(crate) fn clients() -> Vec<Fixture> {
    read("clients")
}

/// The clients that show this case.
fn clients_of(case: &str) -> Vec<Fixture> {
    let found: Vec<_> = clients().into_iter().filter(|client| client.shows(case)).collect();
    assert!(!found.is_empty(), "no fixture shows {case}");
    found
}

impl Fixture {
    /// What it sends to the registration endpoint.
    pub(crate) fn registration(&self) -> &Value {
        &self.data["registration"]
    }

    fn shows(&self, case: &str) -> bool {
        self.data["cases"].as_array().unwrap().contains(&case.into())
    }

    fn redirect_uri(&self) -> &str {
        self.data["authorize"]["redirect_uri"].as_str().unwrap()
    }

    /// What it adds to one of its requests; `<mcp>` is the address of the MCP endpoint, `<all>` what the metadata announces,
    /// `<registered>` what the registration was answered with, `<some>` one scope.
    async fn extras(&self, world: &World, request: &str, registered: &Value) -> Vec<(String, String)> {
        let Some(extras) = self.data[request].as_object() else { return Vec::new() };
        let (_, metadata) = world.get_json("/.well-known/oauth-authorization-server").await;
        let all: Vec<_> = metadata["scopes_supported"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let filled = |value: &str| match value {
            "<all>" => all.join(" "),
            "<registered>" => text(registered, "scope"),
            "<some>" => DRIVE.into(),
            value => value.replace("<mcp>", &world.resource()),
        };
        extras.iter().map(|(name, value)| (name.clone(), filled(value.as_str().unwrap()))).collect()
    }

    /// Asks for tokens, and proves itself the way it does.
    async fn asks(&self, world: &World, client: &Client, mut form: Vec<(String, String)>) -> (u16, Value) {
        let secret = client.secret.clone().unwrap_or_default();
        let (in_header, in_body) = match self.data["proof"].as_str().unwrap() {
            "none" => (false, None),
            "empty" => (false, Some("")),
            "post" => (false, Some(secret.as_str())),
            "basic" => (true, None),
            "both" => (true, Some(secret.as_str())),
            other => panic!("{}: {other}", self.file),
        };
        let mut request = world.http.post(world.at("/oauth/token"));
        if in_header {
            let basic = BASE64_STANDARD.encode(format!("{}:{secret}", client.id));
            request = request.header("authorization", format!("Basic {basic}"));
        }
        if !in_header || in_body.is_some() {
            form.push(("client_id".into(), client.id.clone()));
        }
        form.extend(in_body.map(|secret| ("client_secret".into(), secret.into())));
        let answer = request.form(&form).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn register(&self, world: &World) -> (Client, Value) {
        let (status, registered) = world.register(self.registration()).await;
        assert_eq!(status, 201, "{}: {registered}", self.file);
        let secret = registered["client_secret"].as_str().map(Into::into);
        (Client { id: text(&registered, "client_id"), secret }, registered)
    }

    /// The address that it opens.
    async fn authorize_url(&self, world: &World, client: &Client, registered: &Value, pkce: &Pkce) -> url::Url {
        let extras = self.extras(world, "authorize", registered).await;
        let extras: Vec<_> = extras.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        world.authorize_url(client, pkce, &extras)
    }

    /// The whole way. Between registration and sign-in the server loses its state database.
    async fn goes_the_way(&self, world: &World) -> Journey {
        let (client, registered) = self.register(world).await;
        world.lose_state();
        self.signs_in(world, client, registered).await
    }

    /// The way from the authorize request on.
    async fn signs_in(&self, world: &World, client: Client, registered: Value) -> Journey {
        let pkce = Pkce::generate();
        let url = self.authorize_url(world, &client, &registered, &pkce).await;
        let browser = world.browser().stop_at(self.redirect_uri());
        let consent = browser.open(&url).await.unwrap();
        let back = browser.walk(&url, &choice("ann@example.com")).await.unwrap();
        assert!(back.stopped, "{}: {} {}", self.file, back.url, back.text());
        let code = back.query("code").unwrap_or_else(|| panic!("{}: no code in {}", self.file, back.url));
        let form = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let mut redeem = form(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", self.redirect_uri()),
            ("code_verifier", pkce.verifier.expose()),
        ]);
        redeem.extend(self.extras(world, "token", &registered).await);
        let (status, tokens) = self.asks(world, &client, redeem).await;
        assert_eq!(status, 200, "{}: {tokens}", self.file);
        let mut refresh = form(&[("grant_type", "refresh_token"), ("refresh_token", &text(&tokens, "refresh_token"))]);
        refresh.extend(self.extras(world, "refresh", &registered).await);
        let (status, refreshed) = self.asks(world, &client, refresh).await;
        assert_eq!(status, 200, "{}: {refreshed}", self.file);
        Journey { client, registered, consent, back, tokens, refreshed }
    }
}

#[tokio::test]
async fn every_client_in_the_field_goes_the_whole_way_although_the_state_was_lost_after_its_registration() {
    let world = World::new().await;
    for fixture in clients() {
        let file = &fixture.file;
        let way = fixture.goes_the_way(&world).await;
        assert_eq!(way.registered["redirect_uris"], fixture.registration()["redirect_uris"], "{file}");

        let redirect: url::Url = fixture.redirect_uri().parse().unwrap();
        let leads_to = if redirect.scheme() == "http" || redirect.scheme() == "https" {
            redirect.host_str().unwrap()
        } else {
            redirect.scheme()
        };
        assert!(way.consent.text().contains(leads_to), "{file}: n11: {}", way.consent.text());
        assert!(way.back.url.as_str().starts_with(fixture.redirect_uri()), "{file}: {}", way.back.url);
        let state = fixture.data["authorize"]["state"].as_str().unwrap_or("st");
        assert_eq!(way.back.query("state").as_deref(), Some(state), "{file}: A9");
        assert_eq!(way.back.query("iss"), Some(world.issuer()), "{file}");

        for answer in [&way.tokens, &way.refreshed] {
            let token = world.verified(answer);
            assert_eq!(token.claims["aud"], world.resource(), "{file}: A7, A8, T7");
            assert_eq!(token.client.as_ref().unwrap().as_str(), way.client.id, "{file}");
            assert_eq!(text(answer, "scope"), token.scopes.to_string(), "{file}: A6");
            assert!(!text(answer, "refresh_token").is_empty(), "{file}: T3");
        }
        assert_eq!(way.tokens["scope"], way.refreshed["scope"], "{file}");
    }
}
