//! What another site, another client or another browser makes a person's browser send; and framing.

use std::sync::Arc;

use authchain::{provider::Pkce, store::StateDb};
use authchain_testkit::{Browser, Endpoint, Page};

use crate::world::{World, choice, text};

const ANN: &str = "ann@example.com";
const EVE: &str = "eve@example.com";

async fn signed_in(world: &World, account: &str) -> Browser {
    let browser = world.browser();
    browser.walk(world.at("/auth"), &choice(account)).await.unwrap();
    browser
}

fn cookie(world: &World, browser: &Browser) -> String {
    format!("authchain-browser={}", browser.cookie(&world.base, "authchain-browser").unwrap())
}

/// The value of a hidden field.
fn hidden(page: &Page, name: &str) -> String {
    let fields = page.forms().into_iter().flat_map(|form| form.fields);
    let found = fields.into_iter().find(|field| field.name == name);
    found.unwrap_or_else(|| panic!("no {name} on {}: {}", page.url, page.text())).value
}

/// Every address that a form of ours is posted to and that changes something: `/device` only shows the next page.
const POSTS: [&str; 11] = [
    "/oauth/consent",
    "/oauth/clients/new",
    "/auth/start",
    "/auth/sign-out",
    "/auth/sessions",
    "/auth/sessions/x/end",
    "/auth/accounts",
    "/auth/accounts/active",
    "/auth/accounts/ann@example.com/unlink",
    "/auth/apps/x/revoke",
    "/device/decide",
];

#[tokio::test]
async fn n10_no_form_of_another_site_does_anything_with_the_persons_cookie() {
    let world = World::new().await;
    let (client, ann, eve) = (world.client().await, signed_in(&world, ANN).await, signed_in(&world, EVE).await);
    let tokens = world.tokens(&client, ANN).await;
    let eves = hidden(&eve.open(world.at("/auth/sessions")).await.unwrap(), "csrf");
    let before = world.google.control().requests(Endpoint::Authorize);
    for path in POSTS {
        for forged in [String::new(), "x".into(), eves.clone()] {
            let form = [
                ("csrf", forged.as_str()),
                ("ticket", &forged),
                ("decision", "allow"),
                ("account", ANN),
                ("name", "x"),
                ("redirect_uris", "https://evil.example/cb"),
                ("kind", "public"),
                ("label", "x"),
            ];
            let request = world.http.post(world.at(path)).header("cookie", cookie(&world, &ann));
            let request = request.header("origin", "https://evil.example").header("sec-fetch-site", "cross-site");
            let answer = request.form(&form).send().await.unwrap();
            assert!(matches!(answer.status().as_u16(), 400 | 403 | 422), "{path}: {}", answer.status());
            assert!(!answer.headers().contains_key("location"), "{path}");
        }
    }
    assert_eq!(world.google.control().requests(Endpoint::Authorize), before);
    assert!(world.sessions().list(&world.key_of(ANN).user).await.unwrap().is_empty());
    assert_eq!(world.refresh(&client, &text(&tokens, "refresh_token")).await.0, 200);
    assert!(ann.open(world.at("/auth")).await.unwrap().text().contains(ANN), "she is still signed in");
}

#[tokio::test]
async fn n10_a_body_that_a_form_can_send_is_never_read_as_that_of_a_program() {
    let world = World::new().await;
    let ann = signed_in(&world, ANN).await;
    // A form can say text/plain and write JSON; only application/json asks the browser's leave first.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        for (path, body) in [
            ("/auth/accounts/active", r#"{"account":"ann@example.com"}"#),
            ("/auth/accounts", r#"{"account":"ann.work@example.com"}"#),
            ("/auth/sessions", r#"{"label":"x"}"#),
        ] {
            let request = world.http.post(world.at(path)).header("cookie", cookie(&world, &ann));
            let answer = request.header("content-type", kind).header("accept", "application/json").body(body);
            let status = answer.send().await.unwrap().status().as_u16();
            assert!(matches!(status, 400 | 403 | 415), "{path} as {kind:?}: {status}");
        }
    }
    assert!(world.sessions().list(&world.key_of(ANN).user).await.unwrap().is_empty());
    // And no other site is told that it may ask.
    for path in ["/auth/accounts", "/auth/accounts/active", "/auth/apps", "/auth/sessions"] {
        let request = world.http.request(reqwest::Method::OPTIONS, world.at(path));
        let request = request.header("origin", "https://evil.example").header("access-control-request-method", "POST");
        assert!(!request.send().await.unwrap().headers().contains_key("access-control-allow-origin"), "{path}");
    }
}

#[tokio::test]
async fn n10_the_cookie_of_one_clients_consent_does_not_give_consent_to_another() {
    let world = World::new().await;
    let (good, evil) = (world.client().await, world.confidential_client("client_secret_post").await.0);
    let page_of = async |browser: &Browser, client| {
        browser.open(world.authorize_url(client, &Pkce::generate(), &[])).await.unwrap()
    };
    let (person, attacker) = (world.browser(), world.browser());
    let (theirs, own) = (page_of(&person, &good).await, page_of(&attacker, &evil).await);
    let set = |page: &Page| {
        let cookie = page.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let (name, value) = cookie.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    let ((their_name, their_value), (own_name, _)) = (set(&theirs), set(&own));
    let ticket = hidden(&own, "ticket");
    for cookie in [
        format!("{their_name}={their_value}"),
        format!("{own_name}={their_value}"),
        format!("{own_name}="),
        format!("{own_name}=x; {their_name}={their_value}"),
    ] {
        let form = [("ticket", ticket.as_str()), ("decision", "allow")];
        let request = world.http.post(world.at("/oauth/consent")).header("cookie", &cookie).form(&form);
        assert_eq!(request.send().await.unwrap().status(), 403, "{cookie}");
    }
    assert_eq!(world.google.control().requests(Endpoint::Authorize), 0, "nobody got to the provider");
}

#[tokio::test]
async fn n10_a_ticket_of_one_page_is_no_ticket_of_another() {
    let world = World::new().await;
    let (client, browser) = (world.client().await, world.browser());
    let consent = browser.open(world.authorize_url(&client, &Pkce::generate(), &[])).await.unwrap();
    let local = browser.open(world.at("/auth")).await.unwrap();
    let cookies = |page: &Page| page.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    for (page, paths) in
        [(&consent, &["/auth/start", "/device/decide"][..]), (&local, &["/oauth/consent", "/device/decide"])]
    {
        for path in paths {
            let form = [("ticket", hidden(page, "ticket")), ("decision", "allow".into())];
            let request = world.http.post(world.at(path)).header("cookie", cookies(page)).form(&form);
            assert_eq!(request.send().await.unwrap().status(), 403, "{} at {path}", page.url);
        }
    }
}

#[tokio::test]
async fn n10_a_sign_in_that_somebody_else_began_is_not_finished_by_the_person_who_is_lured_to_it() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    // Eve says yes in her own browser and sends ann the address at the provider.
    let eve = world.halting_browser();
    let page = eve.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
    let lure = eve.press(&page, "Allow", &[]).await.unwrap();
    let ann = signed_in(&world, ANN).await;
    let before = world.grants().list(&world.key_of(ANN).user).await.unwrap().len();
    let back = world.sign_in_at_google(&lure.url, ANN).await;
    let refused = ann.open(&back).await.unwrap();
    assert_eq!((refused.stopped, refused.status), (false, 403), "{}", refused.text());
    assert_eq!(world.grants().list(&world.key_of(ANN).user).await.unwrap().len(), before);

    // The other way round: ann is to finish, in her browser, as eve. What eve's callback brings is not ann's sign-in.
    let begun = world.halting_browser();
    let page = begun.open(world.at("/auth")).await.unwrap();
    let eves = begun.press(&page, "Sign in with Google", &[]).await.unwrap();
    let back = world.sign_in_at_google(&eves.url, EVE).await;
    assert_eq!(ann.open(&back).await.unwrap().status, 403);
    assert!(ann.open(world.at("/auth")).await.unwrap().text().contains(ANN), "she is still herself");
}

#[tokio::test]
async fn n10_a_made_up_state_or_one_of_another_transaction_leads_nowhere() {
    let world = World::new().await;
    let (client, browser) = (world.client().await, world.halting_browser());
    let begin = async || {
        let page = browser.open(world.authorize_url(&client, &Pkce::generate(), &[])).await.unwrap();
        browser.press(&page, "Allow", &[]).await.unwrap()
    };
    let (one, two) = (begin().await, begin().await);
    let back = world.sign_in_at_google(&one.url, ANN).await;
    // The code of one sign-in with the state of another: the provider's own PKCE and nonce do not fit.
    let mut mixed = world.at("/oauth2callback");
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    mixed.query_pairs_mut().append_pair("code", &code).append_pair("state", &two.query("state").unwrap());
    let refused = browser.open(&mixed).await.unwrap();
    assert!(!refused.stopped && refused.status >= 400, "{}: {}", refused.url, refused.text());
    for state in ["st", "../x", &"A".repeat(4000)] {
        let mut made_up = world.at("/oauth2callback");
        made_up.query_pairs_mut().append_pair("code", "x").append_pair("state", state);
        assert_eq!(browser.open(&made_up).await.unwrap().status, 400, "{state:.10}");
    }
    assert!(world.manager().credential(&world.key_of(ANN)).await.unwrap().is_none(), "nothing is stored");
}

#[tokio::test]
async fn n10_of_fifty_returns_with_one_state_exactly_one_gets_a_code_in_memory_and_on_disk() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    for durable in [false, true] {
        if durable {
            let path = folder.path().join("state.db");
            world.take_over(Arc::new(StateDb::open(&path, world.clock.clone()).unwrap()));
        }
        let (client, browser) = (world.client().await, world.halting_browser());
        let page = browser.open(world.authorize_url(&client, &Pkce::generate(), &[])).await.unwrap();
        let google = browser.press(&page, "Allow", &[]).await.unwrap();
        let back = world.sign_in_at_google(&google.url, ANN).await;
        let returns = futures_util::future::join_all((0..50).map(|_| browser.open(&back))).await;
        let returns: Vec<_> = returns.into_iter().map(Result::unwrap).collect();
        assert_eq!(returns.iter().filter(|page| page.query("code").is_some() && page.stopped).count(), 1);
        assert!(returns.iter().filter(|page| !page.stopped).all(|page| page.status == 400), "{durable}");
    }
}

#[tokio::test]
async fn n10_no_page_of_a_signed_in_person_can_be_framed_or_read_by_another_site() {
    let world = World::new().await;
    let client = world.client().await;
    world.tokens(&client, ANN).await;
    let ann = signed_in(&world, ANN).await;
    let apps = ann.open(world.at("/auth/apps")).await.unwrap();
    let revoke = apps.body.split("href=\"").find(|rest| rest.contains("/revoke\"")).unwrap().split('"').next().unwrap();
    for path in [
        "/auth",
        "/auth/sessions",
        "/auth/accounts",
        "/auth/link",
        "/auth/apps",
        revoke,
        "/auth/apps/x/revoke",
        "/auth/accounts/ann@example.com/unlink",
        "/oauth/clients/new",
        "/device",
        "/device?user_code=BCDF-GHJK",
        "/oauth/authorize",
        "/oauth2callback",
    ] {
        let request = world.http.get(world.at(path)).header("cookie", cookie(&world, &ann));
        let page = request.header("origin", "https://evil.example").send().await.unwrap();
        let header = |name: &str| page.headers().get(name).map(|v| v.to_str().unwrap()).unwrap_or_default();
        let policy = header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"), "{path}: {policy}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("access-control-allow-origin"), "", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
    }
}
