//! Numbers 9 to 11 and 14 of the checklist, cases A1 to A11: the authorization endpoint and the consent page.

use authchain::provider::Pkce;
use authchain_testkit::Choice;
use serde_json::json;

use crate::world::{CALLBACK, Client, DRIVE, GMAIL, World, choice, text};

#[tokio::test]
async fn n11_the_page_names_the_client_where_the_answer_goes_and_the_scopes_in_words() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    let page =
        world.browser().open(world.authorize_url(&client, &pkce, &[("login_hint", "ann@example.com")])).await.unwrap();
    assert_eq!(page.status, 200);
    let words = page.text();
    for seen in [
        "“Test Client” asks for access to your Google account",
        "a program on this computer (127.0.0.1)",
        "read only",
        "Google Drive",
        "See and download all your files",
        "ann@example.com",
        "Allow",
        "Deny",
    ] {
        assert!(words.contains(seen), "{seen:?} is not in {words:?}");
    }
}

#[tokio::test]
async fn n09_a3_a4_an_unknown_client_gets_a_page_that_says_what_to_click_and_never_a_redirect() {
    let world = World::new().await;
    for id in ["ac_unknown", "mcp_123", "x"] {
        let client = Client { id: id.into(), secret: None };
        let page = world.browser().open(world.authorize_url(&client, &Pkce::generate(), &[])).await.unwrap();
        assert!(!page.stopped);
        assert_eq!(page.status, 400);
        for seen in ["Claude", "Cursor", "VS Code", "ChatGPT", "MCP Inspector", "Reference number"] {
            assert!(page.text().contains(seen), "{seen}");
        }
    }
}

#[tokio::test]
async fn n07_n09_a_redirect_uri_that_was_not_registered_is_never_followed() {
    let world = World::new().await;
    let client = world.client().await;
    for uri in [
        "https://evil.example/callback",
        "http://127.0.0.1:33418/other",
        "http://127.0.0.1:33418/callback/",
        "http://localhost:33418/callback",
        "http://127.0.0.1:33418@evil.example/callback",
        "http://127.0.0.1:33418/callback#x",
        "http://127.0.0.1:33418/callback?x",
        "javascript:alert(1)",
        "//evil.example",
    ] {
        let page = world
            .browser()
            .open(world.authorize_url(&client, &Pkce::generate(), &[("redirect_uri", uri)]))
            .await
            .unwrap();
        assert!(!page.stopped, "{uri}");
        assert_eq!(page.status, 400, "{uri}");
    }
}

#[tokio::test]
async fn n07_a1_a_loopback_client_may_come_back_on_another_port() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    let other = "http://127.0.0.1:50123/callback";
    let browser = world.browser().stop_at("http://127.0.0.1:50123/");
    let back = browser
        .walk(world.authorize_url(&client, &pkce, &[("redirect_uri", other)]), &choice("ann@example.com"))
        .await
        .unwrap();
    assert!(back.stopped && back.url.as_str().starts_with(other), "{}", back.url);
}

#[tokio::test]
async fn n09_n14_faults_of_the_request_are_told_to_the_client_with_state_and_iss() {
    let world = World::new().await;
    let client = world.client().await;
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", "<none>"), "invalid_request"),
        (("code_challenge", "<none>"), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", "<none>"), "invalid_request"),
        (("resource", "https://evil.example/mcp"), "invalid_target"),
        (("resource", "http://127.0.0.1:1/mcp"), "invalid_target"),
        (("prompt", "none"), "consent_required"),
        (("request", "x"), "request_not_supported"),
        (("response_mode", "fragment"), "invalid_request"),
    ] {
        let url = world.authorize_url(&client, &Pkce::generate(), &[change]);
        let back = world.browser().open(url).await.unwrap();
        assert!(back.stopped, "{change:?}");
        assert_eq!(back.query("error").as_deref(), Some(error), "{change:?}");
        assert_eq!(back.query("state").as_deref(), Some("st"), "{change:?}");
        assert_eq!(back.query("iss"), Some(world.issuer()), "{change:?}");
        assert_eq!(back.query("code"), None, "{change:?}");
    }
}

#[tokio::test]
async fn n09_a_parameter_that_is_sent_twice_is_refused() {
    let world = World::new().await;
    let client = world.client().await;
    let mut url = world.authorize_url(&client, &Pkce::generate(), &[]);
    url.query_pairs_mut().append_pair("scope", "a").append_pair("scope", "b");
    assert_eq!(world.browser().open(url).await.unwrap().query("error").as_deref(), Some("invalid_request"));
    let mut url = world.authorize_url(&client, &Pkce::generate(), &[]);
    url.query_pairs_mut().append_pair("redirect_uri", "https://evil.example/");
    let page = world.browser().open(url).await.unwrap();
    assert!(!page.stopped && page.status == 400);
}

#[tokio::test]
async fn n14_a7_a8_several_spellings_of_the_resource_or_none_are_the_same() {
    let world = World::new().await;
    let client = world.client().await;
    let resource = world.resource();
    for spelling in [
        resource.clone(),
        format!("{resource}/"),
        format!("{resource}?utm_source=plugin"),
        resource.replace("http", "HTTP"),
    ] {
        let url = world.authorize_url(&client, &Pkce::generate(), &[("resource", &spelling)]);
        assert_eq!(world.browser().open(url).await.unwrap().status, 200, "{spelling}");
    }
}

#[tokio::test]
async fn n09_a9_the_state_comes_back_byte_for_byte() {
    let world = World::new().await;
    let client = world.client().await;
    for state in ["a=b/c+d e&f%20ü#", &"x".repeat(2000)] {
        let url = world.authorize_url(&client, &Pkce::generate(), &[("state", state)]);
        let back = world.walk(&url, "ann@example.com").await;
        assert_eq!(back.query("state").as_deref(), Some(state));
    }
}

#[tokio::test]
async fn n10_a3_opening_the_page_changes_nothing_and_each_load_stands_alone() {
    let world = World::new().await;
    let (client, pkce) = (world.client().await, Pkce::generate());
    let url = world.authorize_url(&client, &pkce, &[]);
    let browser = world.browser();
    // A client fetches the address first; the person opens it twice, and answers the first of the two pages.
    assert_eq!(world.http.get(url.clone()).send().await.unwrap().status(), 200);
    let first = browser.open(&url).await.unwrap();
    let _second = browser.open(&url).await.unwrap();
    let chooser = browser.press(&first, "Allow", &[]).await.unwrap();
    assert_eq!(chooser.url.host_str(), world.google.url().host_str());
    assert!(chooser.url.as_str().starts_with(world.google.url().as_str()), "{}", chooser.url);
}

#[tokio::test]
async fn n10_a10_several_sign_ins_of_one_browser_live_side_by_side() {
    let world = World::new().await;
    let (client, browser) = (world.client().await, world.browser());
    let (one, two) = (Pkce::generate(), Pkce::generate());
    let first = browser.open(world.authorize_url(&client, &one, &[("state", "1")])).await.unwrap();
    let second = browser.open(world.authorize_url(&client, &two, &[("state", "2")])).await.unwrap();
    let first = browser.press(&first, "Allow", &[]).await.unwrap();
    let second = browser.press(&second, "Allow", &[]).await.unwrap();
    for (page, state) in [(second, "2"), (first, "1")] {
        let back = browser.walk(&page.url, &choice("ann@example.com")).await.unwrap();
        assert!(back.stopped, "{}", back.text());
        assert_eq!(back.query("state").as_deref(), Some(state));
        assert!(back.query("code").is_some());
    }
}

#[tokio::test]
async fn n10_a11_a_double_click_leads_to_the_same_place_and_a_late_one_says_that_it_is_done() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.halting_browser());
    let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
    let (one, two) = tokio::join!(browser.press(&page, "Allow", &[]), browser.press(&page, "Allow", &[]));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.url, two.url);
    assert_eq!(browser.press(&page, "Allow", &[]).await.unwrap().url, one.url, "and so does a third");
    let back = browser.open(world.sign_in_at_google(&two.url, "ann@example.com").await).await.unwrap();
    assert!(back.query("code").is_some());
    let late = browser.press(&page, "Allow", &[]).await.unwrap();
    assert_eq!(late.status, 409);
    assert!(late.text().contains("already done"), "{}", late.text());
}

#[tokio::test]
async fn n11_a_no_is_told_to_the_client_and_cannot_be_turned_into_a_yes() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.browser());
    let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
    for button in ["Deny", "Allow"] {
        let back = browser.press(&page, button, &[]).await.unwrap();
        assert!(back.stopped, "{button}");
        assert_eq!(back.query("error").as_deref(), Some("access_denied"), "{button}");
        assert_eq!(back.query("state").as_deref(), Some("st"));
        assert_eq!(back.query("iss"), Some(world.issuer()));
    }
}

#[tokio::test]
async fn n11_a_no_at_the_provider_is_told_to_the_client_too() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.browser());
    let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
    let google = browser.press(&page, "Allow", &[]).await.unwrap();
    let back = browser.walk(&google.url, &Choice::deny("ann@example.com")).await.unwrap();
    assert!(back.stopped, "{}: {}", back.url, back.text());
    assert_eq!(back.query("error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn n10_a_form_of_another_browser_of_another_site_or_too_late_does_nothing() {
    let world = World::new().await;
    let (client, pkce, browser) = (world.client().await, Pkce::generate(), world.browser());
    let page = browser.open(world.authorize_url(&client, &pkce, &[])).await.unwrap();

    let stranger = world.browser();
    let refused = stranger.press(&page, "Allow", &[]).await.unwrap();
    assert_eq!(refused.status, 403, "another browser has not the cookie");

    // A page that another site has loaded for itself: the victim's cookie belongs to another ticket.
    let attackers = world.browser().open(world.authorize_url(&client, &pkce, &[])).await.unwrap();
    assert_eq!(browser.press(&attackers, "Allow", &[]).await.unwrap().status, 403);

    for body in ["", "decision=allow", "ticket=x&decision=allow", "ticket=&decision=allow"] {
        let answer = world.http.post(world.at("/oauth/consent")).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{body}");
    }

    world.clock.advance(std::time::Duration::from_secs(601));
    let late = browser.press(&page, "Allow", &[]).await.unwrap();
    assert_eq!(late.status, 403);
    assert_eq!(
        world.google.control().requests(authchain_testkit::Endpoint::Authorize),
        0,
        "nobody got to the provider"
    );
}

#[tokio::test]
async fn a6_unknown_scopes_are_left_out_and_none_means_the_default_set() {
    let world = World::new().await;
    let client = world.client().await;
    for (asked, seen, unseen) in [
        ("", "See and download all your files", "Send email"),
        ("claudeai", "See and download all your files", "Send email"),
        (&format!("{GMAIL} nonsense"), "Send email on your behalf", "See and download"),
        (&format!("{GMAIL} {DRIVE} openid"), "Send email on your behalf", "nonsense"),
    ] {
        let page =
            world.browser().open(world.authorize_url(&client, &Pkce::generate(), &[("scope", asked)])).await.unwrap();
        assert!(page.text().contains(seen), "{asked}: {}", page.text());
        assert!(!page.text().contains(unseen), "{asked}: {}", page.text());
    }
}

#[tokio::test]
async fn n10_n11_a_name_cannot_break_out_of_the_page() {
    let world = World::new().await;
    let name = "<script>alert(1)</script>\u{202e}\"><img src=x>";
    let (_, answer) = world
        .register(&json!({"client_name": name, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}))
        .await;
    let client = Client { id: text(&answer, "client_id"), secret: None };
    let page = world.browser().open(world.authorize_url(&client, &Pkce::generate(), &[])).await.unwrap();
    assert!(!page.body.contains("<script") && !page.body.contains("<img") && !page.body.contains('\u{202e}'));
}
