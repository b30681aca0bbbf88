//! Several servers, each a whole program, with one public address and one store: numbers 3, 6, 13, 15, 17, 18 and 19 of the
//! checklist where the next request may come to another server than the last one did.

#[cfg(feature = "postgres")]
mod database;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use authchain::{AuthContext, jwt::SigningKeys, provider::Pkce};
use authchain_server::{App, config::Sources};
use authchain_testkit::StandIn;
use axum::{Extension, Router, body::Body, extract::Request, routing::any};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::world::{World, text};

const ANN: &str = "ann@example.com";

/// Servers that share all that a configuration lets them share.
struct Instances {
    world: World,
    apps: Vec<App>,
    folder: TempDir,
    settings: Vec<(String, String)>,
}

impl Instances {
    /// So many servers, started at once on a store that is empty.
    async fn start(count: usize, settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut instances = Self { world: World::new().await, apps: Vec::new(), folder, settings };
        instances.apps = join_all((0..count).map(|_| instances.app())).await;
        instances.world.signing = instances.apps[0].parts().signing.clone();
        instances.at(0);
        instances
    }

    /// One that keeps everything in memory, and can be alone only.
    async fn in_memory() -> Self {
        Self::start(1, &[("storage.mode", "memory_only")]).await
    }

    /// Three on one folder.
    async fn in_a_folder() -> Self {
        Self::start(3, &[("storage.mode", "file_encrypted")]).await
    }

    async fn app(&self) -> App {
        let sources = Sources::new()
            .set("storage.directory", self.folder.path().join("data").display(), "--test")
            .set("server.public_url", &self.world.base, "--test")
            .set("providers.google.client_id", StandIn::client_id(), "--test")
            .set("providers.google.client_secret", StandIn::client_secret().expose(), "--test")
            .set("providers.google.base_url", self.world.google.url(), "--test")
            .set("providers.google.scopes", "drive.readonly", "--test");
        let sources = self.settings.iter().fold(sources, |sources, (key, value)| sources.set(key, value, "--test"));
        App::with_clock(sources.load().unwrap(), self.world.clock.clone()).await.unwrap()
    }

    fn router(&self, instance: usize) -> Router {
        let tool = |Extension(auth): Extension<AuthContext>| async move { auth.principal().user.to_string() };
        self.apps[instance].router(any(tool))
    }

    /// From now on this one answers.
    fn at(&self, instance: usize) -> &World {
        self.world.serve(self.router(instance), self.apps[instance].parts());
        &self.world
    }

    /// From now on they answer in turn.
    fn in_turn(&self) -> &World {
        let routers: Vec<_> = (0..self.apps.len()).map(|instance| self.router(instance)).collect();
        let turn = Arc::new(AtomicUsize::new(0));
        let in_turn = Router::new().fallback(move |request: Request<Body>| {
            let router = routers[turn.fetch_add(1, Ordering::Relaxed) % routers.len()].clone();
            async move { router.oneshot(request).await }
        });
        self.world.serve(in_turn, self.apps[0].parts());
        &self.world
    }

    /// One of them ends and starts again.
    async fn restart(&mut self, instance: usize) {
        self.apps[instance] = self.app().await;
    }

    /// Whom the MCP endpoint takes a token for; nobody, if it refuses it.
    async fn caller(&self, tokens: &Value) -> Option<String> {
        let token = text(tokens, "access_token");
        let answer = self.world.http.post(self.world.at("/mcp")).bearer_auth(token).send().await.unwrap();
        match answer.status().as_u16() {
            200 => Some(answer.text().await.unwrap()),
            401 => None,
            other => panic!("{other}: {}", answer.text().await.unwrap()),
        }
    }
}

/// The only answer that is a success, whichever of the servers gave it.
fn only_success(answers: &[(u16, Value)]) -> &Value {
    let good: Vec<_> = answers.iter().filter(|(status, _)| *status == 200).collect();
    assert_eq!(good.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|(status, answer)| *status == 200 || answer["error"] == "invalid_grant"), "{answers:?}");
    &good[0].1
}

async fn a_code_is_redeemed_once(instances: &Instances) {
    let world = instances.in_turn();
    let (client, pkce) = (world.client().await, Pkce::generate());
    let code = world.code(&client, &pkce, ANN).await;
    let answers = join_all((0..100).map(|_| world.redeem(&client, &pkce, &code))).await;
    let given = only_success(&answers);
    // Number 13: what a code gave that came twice is revoked, wherever the second time was.
    let refreshed = world.refresh(&client, &text(given, "refresh_token")).await;
    assert_eq!(refreshed.1["error"], "invalid_grant");
}

async fn a_state_is_taken_once(instances: &Instances) {
    let world = instances.in_turn();
    let (client, pkce) = (world.client().await, Pkce::generate());
    let browser = world.halting_browser();
    let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
    let google = browser.press(&page, "Allow", &[]).await.unwrap();
    let callback = world.sign_in_at_google(&google.url, ANN).await;
    let pages = join_all((0..20).map(|_| browser.open(&callback))).await;
    let codes = pages.iter().filter_map(|page| page.as_ref().unwrap().query("code").filter(|_| is_back(page)));
    assert_eq!(codes.count(), 1);
}

fn is_back(page: &Result<authchain_testkit::Page, authchain_testkit::BrowserError>) -> bool {
    page.as_ref().is_ok_and(|page| page.stopped)
}

#[tokio::test]
async fn n13_in_memory_a_code_and_a_state_are_taken_once_of_many_at_once() {
    let instances = Instances::in_memory().await;
    a_code_is_redeemed_once(&instances).await;
    a_state_is_taken_once(&instances).await;
}

#[tokio::test]
async fn n13_on_one_folder_three_servers_take_a_code_and_a_state_once() {
    let instances = Instances::in_a_folder().await;
    a_code_is_redeemed_once(&instances).await;
    a_state_is_taken_once(&instances).await;
}

#[tokio::test]
async fn n03_servers_that_start_at_once_on_an_empty_folder_have_the_same_keys() {
    let instances = Instances::in_a_folder().await;
    let mut published = Vec::new();
    for instance in 0..3 {
        published.push(instances.at(instance).get_json("/oauth/jwks").await);
    }
    assert!(published[0].0 == 200 && published.iter().all(|keys| *keys == published[0]), "{published:?}");
    sign_in_over_all(&instances).await;
}

/// A sign-in that comes to another server with each step.
async fn sign_in_over_all(instances: &Instances) {
    let client = instances.at(0).client().await;
    let pkce = Pkce::generate();
    let world = instances.at(1);
    let browser = world.halting_browser();
    let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
    instances.at(2);
    let google = browser.press(&page, "Allow", &[]).await.unwrap();
    let world = instances.at(0);
    let callback = world.sign_in_at_google(&google.url, ANN).await;
    let back = browser.open(&callback).await.unwrap();
    let code = back.query("code").unwrap_or_else(|| panic!("{}: {}", back.url, back.text()));
    let world = instances.at(1);
    let (status, tokens) = world.redeem(&client, &pkce, &code).await;
    assert_eq!(status, 200, "{tokens}");

    for instance in 0..3 {
        instances.at(instance);
        assert_eq!(instances.caller(&tokens).await.as_deref(), Some(ANN), "at {instance}");
    }
    let world = instances.at(2);
    let (status, refreshed) = world.refresh(&client, &text(&tokens, "refresh_token")).await;
    assert_eq!(status, 200, "{refreshed}");
    instances.at(0);
    assert_eq!(instances.caller(&refreshed).await.as_deref(), Some(ANN));

    // Number 18: what ends at one server has ended.
    let token = text(&refreshed, "refresh_token");
    let form = [("token", token.as_str()), ("client_id", client.id.as_str())];
    assert_eq!(instances.at(1).post_form("/oauth/revoke", &form).await.0, 200);
    assert_eq!(instances.caller(&refreshed).await, None, "at once where it ended");
    for instance in 0..3 {
        let (_, answer) = instances.at(instance).refresh(&client, &token).await;
        assert_eq!(answer["error"], "invalid_grant", "at once everywhere");
    }
    // A server that had seen the access token remembers it for a minute at most.
    instances.world.clock.advance(std::time::Duration::from_secs(61));
    for instance in 0..3 {
        instances.at(instance);
        assert_eq!(instances.caller(&tokens).await, None, "at {instance}");
        assert_eq!(instances.caller(&refreshed).await, None, "at {instance}");
    }
}

/// Many tasks of one client share a token; a server is restarted under them, and an answer is lost.
async fn a_shared_token_signs_nobody_out(mut instances: Instances) {
    let world = instances.in_turn();
    let client = world.client().await;
    let tokens = world.tokens(&client, ANN).await;
    let grant = world.verified(&tokens).grant.unwrap();
    let mut token = text(&tokens, "refresh_token");
    for round in 1..=2 {
        // An answer that nobody reads: the client is gone when it comes.
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("client_id", &client.id)];
        let lost = instances.world.http.post(instances.world.at("/oauth/token")).form(&form).send();
        let (lost, mut answers) =
            tokio::join!(lost, join_all((0..50).map(|_| instances.world.refresh(&client, &token))));
        drop(lost.unwrap());
        instances.restart(1).await;
        let world = instances.in_turn();
        answers.extend(join_all((0..50).map(|_| world.refresh(&client, &token))).await);
        assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
        let next = text(&answers[0].1, "refresh_token");
        assert!(answers.iter().all(|(_, answer)| answer["refresh_token"] == *next), "the same for all");
        for app in &instances.apps {
            let seen = app.parts().grants.get(&grant).await.unwrap().unwrap().value;
            assert_eq!(seen.generation, 1 + round, "one step, whoever asked and however often");
        }
        token = next;
    }
    // Who sat on the first one for longer than the window is a thief, and ends all, at every server.
    instances.world.clock.advance(std::time::Duration::from_secs(61));
    let (_, answer) = instances.at(0).refresh(&client, &text(&tokens, "refresh_token")).await;
    assert_eq!(answer["error"], "invalid_grant");
    for instance in 0..instances.apps.len() {
        let world = instances.at(instance);
        assert_eq!(world.refresh(&client, &token).await.1["error"], "invalid_grant", "at {instance}");
        assert_eq!(instances.caller(&tokens).await, None, "at {instance}");
    }
}

#[tokio::test]
async fn n15_t1_on_one_folder_fifty_clients_of_one_token_are_answered_by_two_servers_and_a_restart() {
    let instances = Instances::start(2, &[("storage.mode", "file_encrypted")]).await;
    a_shared_token_signs_nobody_out(instances).await;
}

/// Proofs that count once count once everywhere.
async fn proofs_count_once(instances: &Instances) {
    use crate::{client_keys, dpop};

    let world = instances.at(0);
    let (client, key) = (world.client().await, dpop::Key::new());
    let form = [("grant_type", "refresh_token"), ("refresh_token", "art_x"), ("client_id", client.id.as_str())];
    let (_, _, nonce) = dpop::post(world, dpop::TOKEN, Some(&key.proof(world, dpop::TOKEN, None)), &form).await;
    let world = instances.at(1);
    let proof = key.proof(world, dpop::TOKEN, nonce.as_deref());
    let (_, answer, _) = dpop::post(world, dpop::TOKEN, Some(&proof), &form).await;
    assert_eq!(answer["error"], "invalid_grant", "the nonce of one server is good at another, and the proof was good");
    let (_, answer, _) = dpop::post(instances.at(2), dpop::TOKEN, Some(&proof), &form).await;
    assert_eq!(answer["error"], "invalid_dpop_proof", "a proof that one server has seen is refused by another");

    let keys = SigningKeys::generate(authchain::jwt::Algorithm::EdDSA).unwrap();
    let client = client_keys::signing_client(instances.at(0), &keys).await;
    let signed = client_keys::assertion(&instances.world, &keys, &client.id, json!({}));
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "art_x"),
        ("client_assertion_type", client_keys::TYPE),
        ("client_assertion", signed.as_str()),
    ];
    let world = instances.in_turn();
    let answers = join_all((0..30).map(|_| world.post_form("/oauth/token", &form))).await;
    let proven = answers.iter().filter(|(_, answer)| answer["error"] == "invalid_grant").count();
    assert_eq!(proven, 1, "one got as far as its refresh token: {answers:?}");
}

#[tokio::test]
async fn n19_on_one_folder_a_proof_that_one_server_has_seen_is_refused_by_the_others() {
    proofs_count_once(&Instances::in_a_folder().await).await;
}

/// A registration at one server holds at the others, and so does what becomes of it.
async fn clients_are_known_everywhere(instances: &Instances) {
    let body = json!({
        "client_name": "Travelling Client", "redirect_uris": [crate::world::CALLBACK],
        "token_endpoint_auth_method": "client_secret_post",
    });
    let (status, answer) = instances.at(0).register(&body).await;
    assert_eq!(status, 201, "{answer}");
    let management = text(&answer, "registration_client_uri");
    let token = text(&answer, "registration_access_token");
    let http = &instances.world.http;

    instances.at(1);
    let read = http.get(&management).bearer_auth(&token).send().await.unwrap();
    assert_eq!(read.status(), 200);
    let mut changed = body.clone();
    changed["client_id"] = answer["client_id"].clone();
    changed["client_name"] = "Renamed Client".into();
    let put = http.put(&management).bearer_auth(&token).json(&changed).send().await.unwrap();
    assert_eq!(put.status(), 200);
    let changed: Value = put.json().await.unwrap();
    let token = changed["registration_access_token"].as_str().map_or(token, Into::into);

    let world = instances.at(2);
    let client = crate::world::Client { id: text(&answer, "client_id"), secret: Some(text(&changed, "client_secret")) };
    let page = world.halting_browser().open(world.authorize_url(&client, &Pkce::generate(), &[])).await.unwrap();
    assert!(page.title().contains("Renamed Client"), "{}", page.title());
    world.tokens(&client, ANN).await;
    let deleted = http.delete(&management).bearer_auth(&token).send().await.unwrap();
    assert_eq!(deleted.status(), 204);

    let world = instances.at(0);
    let page = world.halting_browser().open(world.authorize_url(&client, &Pkce::generate(), &[])).await.unwrap();
    assert_eq!(page.status, 400, "{}", page.text());
}

#[tokio::test]
async fn n06_on_one_folder_a_registration_at_one_server_holds_at_the_others() {
    clients_are_known_everywhere(&Instances::in_a_folder().await).await;
}
