//! Eve tries everything with what is ann's. Every endpoint of the server is in the table below, or in the list of those that
//! know no person; a test compares both with the server's own list of paths.

use authchain_server::Paths;
use authchain_testkit::Browser;
use reqwest::Method;
use serde_json::json;

use crate::world::{Client, GMAIL, World, choice, text};

const ANN: &str = "ann@example.com";
const EVE: &str = "eve@example.com";

/// Endpoints that know clients and tokens but no person at a browser, or where a transaction begins or ends: what belongs to
/// one is refused to another by the tests of these.
const NOBODYS: [&str; 14] = [
    "/oauth/authorize",
    "/oauth/consent",
    "/oauth2callback",
    "/oauth/token",
    "/oauth/introspect",
    "/oauth/revoke",
    "/oauth/register",
    "/register",
    "/oauth/jwks",
    "/oauth/device_authorization",
    "/oauth/status",
    "/device",
    "/device/decide",
    "/auth/callback",
];

/// Method, address and what a form says beside its token.
type Try = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// How eve asks; these names in brackets stand for the ids of ann's things.
const TRIES: [Try; 19] = [
    ("GET", "/auth", &[]),
    ("GET", "/auth?account=ann@example.com", &[]),
    ("GET", "/auth?account=ann@example.com&scopes=<gmail>&grant=<grant>", &[]),
    ("GET", "/auth?account=eve@example.com&scopes=<gmail>&grant=<grant>", &[]),
    ("GET", "/auth/start", &[]),
    ("GET", "/auth/sessions", &[]),
    ("DELETE", "/auth/sessions/<session>", &[]),
    ("POST", "/auth/sessions/<session>/end", &[]),
    ("GET", "/auth/accounts", &[]),
    ("POST", "/auth/accounts/active", &[("account", "ann@example.com")]),
    ("DELETE", "/auth/accounts/ann@example.com", &[]),
    ("GET", "/auth/accounts/ann@example.com/unlink", &[]),
    ("POST", "/auth/accounts/ann@example.com/unlink", &[]),
    ("GET", "/auth/apps", &[]),
    ("DELETE", "/auth/apps/<app>", &[]),
    ("GET", "/auth/apps/<app>/revoke", &[]),
    ("POST", "/auth/apps/<app>/revoke", &[]),
    ("GET", "/auth/link?account=ann@example.com", &[]),
    ("GET", "/oauth/clients/new", &[]),
];

async fn signed_in(world: &World, account: &str) -> Browser {
    let browser = world.browser();
    browser.walk(world.at("/auth"), &choice(account)).await.unwrap();
    browser
}

fn cookie(world: &World, browser: &Browser) -> String {
    format!("authchain-browser={}", browser.cookie(&world.base, "authchain-browser").unwrap())
}

#[tokio::test]
async fn user_a_reads_and_changes_nothing_of_user_b() {
    let world = World::new().await;
    let body = json!({
        "client_name": "Diary of Ann", "redirect_uris": [crate::world::CALLBACK], "token_endpoint_auth_method": "none",
    });
    let client = Client { id: text(&world.register(&body).await.1, "client_id"), secret: None };
    let tokens = world.tokens(&client, ANN).await;
    let (ann, eve) = (signed_in(&world, ANN).await, signed_in(&world, EVE).await);
    let page = ann.open(world.at("/auth/sessions")).await.unwrap();
    ann.press(&page, "Make a session token", &[("label", "ann's laptop")]).await.unwrap();
    let user = world.key_of(ANN).user;
    let session = world.sessions().list(&user).await.unwrap().remove(0).id.to_string();
    let grant = world.grants().list(&user).await.unwrap().remove(0).id.to_string();
    let request = world.http.get(world.at("/auth/apps")).header("cookie", cookie(&world, &ann));
    let apps: serde_json::Value =
        request.header("accept", "application/json").send().await.unwrap().json().await.unwrap();
    let app = text(&apps["apps"][0], "id");
    let csrf = {
        let page = eve.open(world.at("/auth/sessions")).await.unwrap();
        let mut fields = page.forms().into_iter().flat_map(|form| form.fields);
        fields.find(|field| field.name == "csrf").unwrap().value
    };

    for (method, path, extra) in TRIES {
        let path = path.replace("<session>", &session).replace("<app>", &app);
        let path = path.replace("<grant>", &grant).replace("<gmail>", GMAIL);
        for who in [Some(cookie(&world, &eve)), None] {
            for accept in ["text/html", "application/json"] {
                let mut request = world.http.request(method.parse::<Method>().unwrap(), world.at(&path));
                request = request.header("accept", accept);
                if method == "POST" {
                    let form = [&[("csrf", csrf.as_str())], extra].concat();
                    request = request.form(&form);
                }
                if let Some(cookie) = &who {
                    request = request.header("cookie", cookie);
                }
                let answer = request.send().await.unwrap();
                let (status, whose) = (answer.status().as_u16(), if who.is_some() { "eve" } else { "nobody" });
                let what = format!("{method} {path} by {whose} ({accept})");
                // Ending a session that is not there leads back to one's own list, whatever was in the address.
                let back_to_the_list = path.ends_with("/end") && status == 303;
                if method != "GET" && !back_to_the_list {
                    assert!(matches!(status, 400 | 401 | 403 | 404), "{what}: {status}");
                }
                assert!(status < 500, "{what}: {status}");
                let body = answer.text().await.unwrap();
                // What stands in the address may be said back; and who is nobody yet is asked to sign in as ann, for a
                // program that is named: such a link is made for her, and its id cannot be guessed.
                let made_for_ann = who.is_none() && path.contains(&grant);
                for of_anns in
                    ["Diary of Ann", "ann's laptop", "ann&#39;s laptop", session.as_str(), client.id.as_str()]
                {
                    let known = path.contains(of_anns) || made_for_ann;
                    assert!(known || !body.contains(of_anns), "{what}: {of_anns} is in {body}");
                }
                assert!(path.contains(ANN) || !body.contains(ANN), "{what}: {body}");
            }
        }
    }

    assert_eq!(world.sessions().list(&user).await.unwrap().len(), 1, "her session lives");
    assert_eq!(world.refresh(&client, &text(&tokens, "refresh_token")).await.0, 200, "her client, too");
    assert!(world.manager().credential(&world.key_of(ANN)).await.unwrap().is_some(), "and her credential");
    assert!(ann.open(world.at("/auth/apps")).await.unwrap().text().contains("Diary of Ann"));
}

#[test]
fn every_path_of_the_server_is_tried_or_is_nobodys() {
    let source = include_str!("../../../src/server.rs");
    let fixed = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub(crate) const ")?.split_once("&str = \""))
        .map(|(_, path)| path.trim_end_matches("\";").to_owned());
    let Paths {
        authorize,
        consent,
        callback,
        token,
        introspect,
        revoke,
        register,
        jwks,
        status,
        device_authorization,
        device,
    } = Paths::default();
    let chosen = [authorize, consent, callback, token, introspect, revoke, register, jwks, status];
    let named: Vec<String> =
        fixed.chain(chosen).chain([device_authorization, format!("{device}/decide"), device]).collect();
    assert!(named.len() > 20, "{named:?}");
    for path in named {
        let tried = TRIES.iter().any(|(_, tried, _)| {
            tried.split(['?', '<']).next().is_some_and(|own| own.trim_end_matches('/') == path || *tried == path)
        });
        assert!(tried || NOBODYS.contains(&path.as_str()) || path == "/auth/sign-out", "{path} is not looked at");
    }
}
