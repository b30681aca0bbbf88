//! Wrong turns that no endpoint sees: unknown paths, wrong methods, endless bodies. Nobody is left with an empty answer.

use authchain::provider::Pkce;
use reqwest::Method;
use serde_json::Value;

use crate::world::World;

#[tokio::test]
async fn a_program_at_a_wrong_path_or_with_a_wrong_method_is_told_so_in_json() {
    let world = World::new().await;
    for (method, path, status, allow) in [
        (Method::GET, "/nothing", 404, None),
        (Method::POST, "/oauth/token/", 404, None),
        (Method::GET, "/oauth/token", 405, Some("POST")),
        (Method::DELETE, "/oauth/register", 405, Some("POST")),
        (Method::POST, "/oauth/register/x", 405, Some("GET,HEAD,PUT,DELETE")),
        (Method::POST, "/oauth/authorize", 405, Some("GET,HEAD")),
        (Method::POST, "/oauth/jwks", 405, Some("GET,HEAD")),
        (Method::POST, "/.well-known/oauth-authorization-server", 405, Some("GET,HEAD")),
    ] {
        let answer = world.http.request(method.clone(), world.at(path)).send().await.unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
        let named = answer.headers().get("allow").map(|allow| allow.to_str().unwrap().to_owned());
        assert_eq!(named.as_deref(), allow, "{method} {path}");
        assert_eq!(answer.headers()["cache-control"], "no-store", "{method} {path}");
        let body: Value = answer.json().await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert!(body["error"].is_string() && body["error_description"].is_string(), "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn a_script_in_a_browser_can_read_that_it_used_the_wrong_method() {
    let world = World::new().await;
    let ask = world.http.get(world.at("/oauth/token")).header("origin", "http://localhost:6274");
    let answer = ask.send().await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(answer.headers()["content-type"], "application/json");
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_in_json() {
    let world = World::new().await;
    for path in ["/oauth/token", "/oauth/register", "/oauth/revoke", "/oauth/introspect"] {
        let answer = world.http.post(world.at(path)).body("x".repeat(70_000)).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (413, "application/json")
        );
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], "invalid_request", "{path}");
    }
}

/// The page that says "tick something" has the address of the form: opened by itself it is asked for with `GET`.
#[tokio::test]
async fn a_person_at_a_wrong_address_sees_a_page_in_their_language() {
    let world = World::new().await;
    for (path, status) in [("/nothing", 404), ("/auth/x/y/z", 404), ("/oauth/consent", 405), ("/oauth/token", 405)] {
        let ask = |language: &str| {
            let ask = world.http.get(world.at(path)).header("accept", "text/html,*/*;q=0.8");
            ask.header("accept-language", language).send()
        };
        let page = ask("en").await.unwrap();
        assert_eq!(page.status(), status, "{path}");
        assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"), "{path}");
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8", "{path}");
        assert!(page.text().await.unwrap().contains("There is no page here"), "{path}");
        assert!(ask("de").await.unwrap().text().await.unwrap().contains("Hier ist keine Seite"), "{path}");
    }
    let long = world.http.post(world.at("/oauth/consent")).header("accept", "text/html").body("x".repeat(70_000));
    let page = long.send().await.unwrap();
    assert_eq!(page.status(), 413);
    assert!(page.text().await.unwrap().contains("the body is too long"));
}

#[tokio::test]
async fn the_answer_to_head_has_no_body() {
    let world = World::new().await;
    for (path, status) in [("/nothing", 404), ("/oauth/token", 405), ("/oauth/jwks", 200)] {
        let answer = world.http.head(world.at(path)).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (status, ""), "{path}");
    }
}

/// Whatever looks at links before the person does must not use them up.
#[tokio::test]
async fn a_head_request_does_not_use_up_a_sign_in() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.halting_browser());
    let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
    let google = browser.press(&page, "Allow", &[]).await.unwrap();
    let back = world.sign_in_at_google(&google.url, "ann@example.com").await;
    for path in [back.clone(), world.at("/auth/callback?state=x")] {
        assert_eq!(world.http.head(path).send().await.unwrap().status(), 405);
    }
    let back = browser.open(back).await.unwrap();
    assert_eq!(world.redeem(&client, &pkce, &back.query("code").unwrap()).await.0, 200);
}
