//! What every page keeps to, whatever it says.

use authchain::provider::Pkce;

use crate::world::{Client, World};

/// One address per kind of page.
async fn pages(world: &World) -> Vec<url::Url> {
    let client = world.client().await;
    let unknown = Client { id: "ac_x".into(), secret: None };
    vec![
        world.authorize_url(&client, &Pkce::generate(), &[]),
        world.authorize_url(&unknown, &Pkce::generate(), &[]),
        world.authorize_url(&client, &Pkce::generate(), &[("redirect_uri", "https://evil.example/")]),
        world.at("/auth"),
        world.at("/auth?account=ann@example.com"),
        world.at("/auth?account=x"),
        world.at("/oauth2callback"),
        world.at("/auth/callback?state=x"),
    ]
}

#[tokio::test]
async fn n10_a2_every_page_has_the_headers_that_keep_it_to_itself() {
    let world = World::new().await;
    for url in pages(&world).await {
        let page = world.http.get(url.clone()).send().await.unwrap();
        let header = |name: &str| page.headers().get(name).map(|v| v.to_str().unwrap()).unwrap_or_default();
        let policy = header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'self'"] {
            assert!(policy.contains(part), "{url}: {policy}");
        }
        assert!(!policy.contains("form-action") && !policy.contains("script"), "{url}: A2");
        assert_eq!(header("cache-control"), "no-store", "{url}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{url}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{url}");
        assert_eq!(header("x-frame-options"), "DENY", "{url}");
        assert!(page.headers().get("access-control-allow-origin").is_none(), "{url}: no other site reads a page");
    }
}

#[tokio::test]
async fn every_page_speaks_english_and_german_and_loads_nothing_from_elsewhere() {
    let world = World::new().await;
    for url in pages(&world).await {
        for (language, lang) in [("en-US", "en"), ("de-DE,de;q=0.9", "de")] {
            let page = world.http.get(url.clone()).header("accept-language", language).send().await.unwrap();
            assert_eq!(page.headers()["content-language"], lang);
            let html = page.text().await.unwrap();
            assert!(html.contains(&format!("<html lang=\"{lang}\"")), "{url}");
            assert!(html.contains("<main>") && html.contains("<h1>") && html.contains("name=\"viewport\""), "{url}");
            for forbidden in ["<script", " style=", "onclick", "src=", "@import"] {
                assert!(!html.contains(forbidden), "{url}: {forbidden}");
            }
            let links: Vec<&str> = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            assert!(links.iter().all(|link| link.starts_with('/')), "{url}: {links:?}");
        }
    }
}

#[tokio::test]
async fn the_style_sheet_is_named_after_its_content_and_kept_for_ever() {
    let world = World::new().await;
    let html = world.http.get(world.at("/auth")).send().await.unwrap().text().await.unwrap();
    let path = html.split("stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let style = world.http.get(world.at(&path)).send().await.unwrap();
    assert_eq!(style.status(), 200);
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
    assert!(style.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let css = style.text().await.unwrap();
    assert!(css.contains("prefers-color-scheme: dark") && css.contains(":focus-visible"));
    assert_eq!(world.http.get(world.at("/auth/assets/style-x.css")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn n10_over_https_cookies_belong_to_this_host_alone() {
    let world = World::with(|options| {
        options.public_url = "https://auth.example.com".parse().unwrap();
        options.resource = "https://auth.example.com/mcp".parse().unwrap();
    })
    .await;
    let page = world.http.get(world.at("/auth")).send().await.unwrap();
    let cookie = page.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-authchain-t-"), "{cookie}");
    for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"));
}
