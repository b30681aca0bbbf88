//! Number 5 of the checklist, cases C1 to C7: client ids that are addresses of metadata documents.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use authchain::provider::Pkce;
use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use serde_json::{Value, json};

use crate::world::{CALLBACK, Client, World, text};

/// The site of a client: one document, served as it is told to.
pub(crate) struct Site {
    pub(crate) base: String,
    served: Arc<Mutex<Served>>,
    fetches: Arc<AtomicUsize>,
}

struct Served {
    status: StatusCode,
    cache_control: &'static str,
    document: Value,
    delay: Duration,
}

impl Site {
    pub(crate) async fn new(change: impl FnOnce(&mut Value)) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut document = json!({
            "client_id": format!("{base}/client.json"),
            "client_name": "Document Client",
            "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
            "token_endpoint_auth_method": "none",
            "logo_uri": "https://elsewhere.example/logo.png",
        });
        change(&mut document);
        let served = Served { status: StatusCode::OK, cache_control: "", document, delay: Duration::ZERO };
        let (served, fetches) = (Arc::new(Mutex::new(served)), Arc::new(AtomicUsize::new(0)));
        let (now, count) = (served.clone(), fetches.clone());
        let answer = move || {
            count.fetch_add(1, Ordering::SeqCst);
            let (delay, answer) = {
                let served = now.lock().unwrap();
                let headers = [("content-type", "application/json"), ("cache-control", served.cache_control)];
                (served.delay, (served.status, headers, served.document.to_string()).into_response())
            };
            async move {
                tokio::time::sleep(delay).await;
                answer
            }
        };
        let router = Router::new().route("/client.json", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, served, fetches }
    }

    pub(crate) fn client(&self) -> Client {
        Client { id: format!("{}/client.json", self.base), secret: None }
    }

    fn change(&self, change: impl FnOnce(&mut Served)) {
        change(&mut self.served.lock().unwrap());
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

/// A server that reads documents on loopback, which only development does.
pub(crate) async fn world() -> World {
    World::with(|options| options.documents.allow_loopback = true).await
}

#[tokio::test]
async fn n05_c1_c7_a_client_signs_in_by_its_document_on_any_loopback_port_and_refreshes() {
    let (world, site) = (world().await, Site::new(|_| {}).await);
    let tokens = world.tokens(&site.client(), "ann@example.com").await;
    assert_eq!(world.verified(&tokens).client.unwrap().as_str(), site.client().id);
    world.restart();
    let (status, next) = world.refresh(&site.client(), &text(&tokens, "refresh_token")).await;
    assert_eq!(status, 200, "{next}");
    let pkce = Pkce::generate();
    for (uri, accepted) in [
        ("http://localhost:51234/callback", true),
        ("http://127.0.0.1:1/callback", true),
        ("http://localhost:51234/callback/abc", false),
        ("http://[::1]:1/callback", false),
        ("https://localhost/callback", false),
        ("https://evil.example/callback", false),
    ] {
        let url = world.authorize_url(&site.client(), &pkce, &[("redirect_uri", uri)]);
        let page = world.browser().open(url).await.unwrap();
        assert_eq!(page.status == 200, accepted, "{uri}");
    }
}

#[tokio::test]
async fn n05_c2_c3_documents_are_announced_with_none_and_iss() {
    let (_, document) = World::new().await.get_json("/.well-known/oauth-authorization-server").await;
    assert_eq!(document["client_id_metadata_document_supported"], true);
    assert!(document["token_endpoint_auth_methods_supported"].as_array().unwrap().contains(&"none".into()));
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);
}

#[tokio::test]
async fn n05_where_documents_are_switched_off_they_are_neither_announced_nor_fetched() {
    let site = Site::new(|_| {}).await;
    let world = World::with(|options| {
        options.documents.allow_loopback = true;
        options.documents.accept = false;
    })
    .await;
    let (_, document) = world.get_json("/.well-known/oauth-authorization-server").await;
    assert_eq!(document["client_id_metadata_document_supported"], false);
    let page = world.browser().open(world.authorize_url(&site.client(), &Pkce::generate(), &[])).await.unwrap();
    assert_eq!((page.status, site.fetches()), (400, 0));
}

#[tokio::test]
async fn n05_c4_a_copy_is_kept_by_its_headers_but_a_minute_at_least_and_a_day_at_most() {
    let hours = |h: u64| Duration::from_secs(h * 3600);
    for (cache_control, kept, gone) in [
        ("no-store", Duration::from_secs(59), Duration::from_secs(60)),
        ("max-age=600", Duration::from_secs(599), Duration::from_secs(600)),
        ("", Duration::from_secs(3599), hours(1)),
        ("max-age=31536000", hours(24) - Duration::from_secs(1), hours(24)),
    ] {
        let (world, site) = (world().await, Site::new(|_| {}).await);
        site.change(|served| served.cache_control = cache_control);
        let look = || async {
            let url = world.authorize_url(&site.client(), &Pkce::generate(), &[]);
            assert_eq!(world.browser().open(url).await.unwrap().status, 200, "{cache_control}");
            site.fetches()
        };
        assert_eq!(look().await, 1, "{cache_control}");
        world.clock.advance(kept);
        assert_eq!(look().await, 1, "{cache_control}: after {kept:?}");
        world.clock.advance(gone - kept);
        assert_eq!(look().await, 2, "{cache_control}: after {gone:?}");
    }
}

#[tokio::test]
async fn n05_a_change_of_the_document_counts_once_the_copy_is_old() {
    let (world, site) = (world().await, Site::new(|_| {}).await);
    let url = || world.authorize_url(&site.client(), &Pkce::generate(), &[]);
    assert_eq!(world.browser().open(url()).await.unwrap().status, 200);
    site.change(|served| served.document["redirect_uris"] = json!(["https://client.example/cb"]));
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(world.browser().open(url()).await.unwrap().status, 400, "the callback is no longer the client's");
}

#[tokio::test]
async fn n05_while_a_site_is_down_the_last_good_copy_serves_for_a_day_and_nobody_is_signed_out() {
    let (world, site) = (world().await, Site::new(|_| {}).await);
    let tokens = world.tokens(&site.client(), "ann@example.com").await;
    for status in [StatusCode::BAD_GATEWAY, StatusCode::NOT_FOUND, StatusCode::FOUND] {
        site.change(|served| served.status = status);
        world.clock.advance(Duration::from_secs(2 * 3600));
        let (answer, body) = world.refresh(&site.client(), &text(&tokens, "refresh_token")).await;
        assert_ne!(body["error"], "invalid_client", "{status}: {answer}");
    }
    let url = world.authorize_url(&site.client(), &Pkce::generate(), &[]);
    assert_eq!(world.browser().open(url).await.unwrap().status, 200);
    world.clock.advance(Duration::from_secs(25 * 3600));
    let url = world.authorize_url(&site.client(), &Pkce::generate(), &[]);
    assert_eq!(world.browser().open(url).await.unwrap().status, 400, "after a day it counts");
}

#[tokio::test]
async fn n05_a_site_that_cannot_be_reached_is_a_503_and_never_invalid_client() {
    let (world, site) = (world().await, Site::new(|_| {}).await);
    site.change(|served| served.status = StatusCode::SERVICE_UNAVAILABLE);
    let client = site.client();
    let form = [("grant_type", "refresh_token"), ("refresh_token", "art_x"), ("client_id", client.id.as_str())];
    let answer = world.http.post(world.at("/oauth/token")).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(answer.json::<Value>().await.unwrap()["error"], "temporarily_unavailable");
    let page = world.browser().open(world.authorize_url(&client, &Pkce::generate(), &[])).await.unwrap();
    assert_eq!(page.status, 503);
    assert_eq!(site.fetches(), 1, "nobody is asked again at once");
    world.clock.advance(Duration::from_secs(16));
    site.change(|served| served.status = StatusCode::OK);
    let page = world.browser().open(world.authorize_url(&client, &Pkce::generate(), &[])).await.unwrap();
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn n05_everybody_who_asks_at_once_waits_for_one_fetch() {
    let (world, site) = (world().await, Site::new(|_| {}).await);
    site.change(|served| served.delay = Duration::from_millis(50));
    let pages = (0..30).map(|_| async {
        let url = world.authorize_url(&site.client(), &Pkce::generate(), &[]);
        world.browser().open(url).await.unwrap().status
    });
    let pages = futures_util::future::join_all(pages).await;
    assert!(pages.iter().all(|status| *status == 200));
    assert_eq!(site.fetches(), 1);
}

#[tokio::test]
async fn n05_c6_a_document_that_breaks_a_rule_is_refused_with_a_page_that_says_which() {
    let cases: Vec<(Value, &str)> = vec![
        (json!({"client_id": "https://other.example/client.json"}), "client_id in it is not its address"),
        (json!({"client_id": null}), "client_id in it is not its address"),
        (json!({"redirect_uris": ["javascript:alert(1)"]}), "scheme that runs code"),
        (json!({"redirect_uris": ["http://client.example/cb"]}), "plain http is for loopback"),
        (json!({"redirect_uris": []}), "at least one redirect URI"),
        (json!({"token_endpoint_auth_method": "client_secret_post"}), "none or private_key_jwt"),
        (json!({"client_secret": "x"}), "must not hold a client_secret"),
        (json!({"client_name": "x".repeat(70_000)}), "longer than 64 KiB"),
    ];
    let world = world().await;
    for (change, rule) in cases {
        let site = Site::new(|document| {
            document.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        })
        .await;
        let page = world.browser().open(world.authorize_url(&site.client(), &Pkce::generate(), &[])).await.unwrap();
        assert_eq!(page.status, 400, "{rule}");
        assert!(!page.stopped && page.text().contains(rule), "{rule}: {}", page.text());
        let client = site.client();
        let form = [("grant_type", "refresh_token"), ("refresh_token", "art_x"), ("client_id", client.id.as_str())];
        let (status, answer) = world.post_form("/oauth/token", &form).await;
        assert_eq!((status, &answer["error"]), (401, &"invalid_client".into()), "{rule}");
        assert!(text(&answer, "error_description").contains(rule), "{answer}");
    }
}

#[tokio::test]
async fn n05_c6_nothing_is_fetched_from_private_addresses_or_over_plain_http() {
    let (world, site) = (World::new().await, Site::new(|_| {}).await);
    let port = site.base.rsplit(':').next().unwrap();
    for (id, rule) in [
        (site.client().id, "not https"),
        (format!("https://127.0.0.1:{port}/client.json"), "private"),
        (format!("https://localhost:{port}/client.json"), "private"),
        ("https://10.0.0.1/client.json".into(), "private"),
        ("https://169.254.169.254/latest/meta-data".into(), "private"),
        ("https://[::1]/client.json".into(), "private"),
        ("https://[::ffff:7f00:1]/client.json".into(), "private"),
        ("https://[fd00::1]/client.json".into(), "private"),
        ("https://client.example".into(), "normal form"),
    ] {
        let client = Client { id: id.clone(), secret: None };
        let page = world.browser().open(world.authorize_url(&client, &Pkce::generate(), &[])).await.unwrap();
        assert_eq!(page.status, 400, "{id}");
        assert!(page.text().contains(rule), "{id}: {}", page.text());
    }
    assert_eq!(site.fetches(), 0);
}

#[tokio::test]
async fn n05_n11_the_page_names_the_host_and_warns_where_answers_stay_on_this_computer() {
    let world = world().await;
    let warning = "any program on this computer can take the answer";
    let loopback = Site::new(|_| {}).await;
    let page = world.browser().open(world.authorize_url(&loopback.client(), &Pkce::generate(), &[])).await.unwrap();
    assert!(page.text().contains("Described at") && page.text().contains("127.0.0.1"));
    assert!(page.text().contains(warning));
    assert!(!page.text().contains("elsewhere.example"), "C4: a logo from elsewhere is not loaded");
    let both = Site::new(|document| document["redirect_uris"] = json!(["https://client.example/cb", CALLBACK])).await;
    let page = world.browser().open(world.authorize_url(&both.client(), &Pkce::generate(), &[])).await.unwrap();
    assert!(!page.text().contains(warning));
    let registered = world.client().await;
    let page = world.browser().open(world.authorize_url(&registered, &Pkce::generate(), &[])).await.unwrap();
    assert!(!page.text().contains("Described at"));
}

#[tokio::test]
async fn n05_a_document_is_managed_at_its_own_site_and_not_here() {
    let (world, site) = (world().await, Site::new(|_| {}).await);
    let id = site.client().id.replace(':', "%3A").replace('/', "%2F");
    for method in ["GET", "DELETE"] {
        let request = world.http.request(method.parse().unwrap(), world.at(&format!("/oauth/register/{id}")));
        assert_eq!(request.bearer_auth("x").send().await.unwrap().status(), 401, "{method}");
    }
}

#[tokio::test]
async fn n05_nobody_turns_the_server_against_a_site_by_naming_many_documents() {
    let (world, site) = (world().await, Site::new(|_| {}).await);
    let ask = |id: String| {
        let world = &world;
        async move {
            let form = [("grant_type", "refresh_token"), ("refresh_token", "art_x"), ("client_id", id.as_str())];
            world.post_form("/oauth/token", &form).await.0
        }
    };
    for n in 0..60 {
        assert_eq!(ask(format!("{}/{n}", site.base)).await, 401);
    }
    assert_eq!(ask(site.client().id).await, 503);
    assert_eq!(site.fetches(), 0);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(ask(site.client().id).await, 400, "there is room again, and the document is good");
}
