//! Sign-in for devices without a browser (RFC 8628).

use std::time::Duration;

use authchain_testkit::{Browser, Page};
use serde_json::{Value, json};

use crate::{
    dpop::{Key, prove, prove_at},
    world::{CALLBACK, Client, DRIVE, GMAIL, World, scopes, text},
};

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const ANN: &str = "ann@example.com";

async fn device_client(world: &World) -> Client {
    let body = json!({"client_name": "Television", "grant_types": [DEVICE_CODE], "token_endpoint_auth_method": "none"});
    let (status, answer) = world.register(&body).await;
    assert_eq!(status, 201, "{answer}");
    Client { id: text(&answer, "client_id"), secret: None }
}

async fn start(world: &World, client: &Client, more: &[(&str, &str)]) -> Value {
    let form = [&[("client_id", client.id.as_str())], more].concat();
    let (status, answer) = world.post_form("/oauth/device_authorization", &form).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

async fn ask(world: &World, client: &Client, device: &Value) -> (u16, Value) {
    let code = text(device, "device_code");
    let form = [("grant_type", DEVICE_CODE), ("device_code", code.as_str()), ("client_id", client.id.as_str())];
    world.post_form("/oauth/token", &form).await
}

async fn error(world: &World, client: &Client, device: &Value) -> String {
    let (status, answer) = ask(world, client, device).await;
    assert_eq!(status, 400, "{answer}");
    text(&answer, "error")
}

/// The page that shows who asks, after the code was typed.
async fn enter(world: &World, browser: &Browser, code: &str) -> Page {
    let page = browser.open(world.at("/device")).await.unwrap();
    browser.press(&page, "Continue", &[("user_code", code)]).await.unwrap()
}

/// A person types the code, says yes and signs in.
async fn allow(world: &World, device: &Value) -> Page {
    let browser = world.halting_browser();
    let asked = enter(world, &browser, &text(device, "user_code")).await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    let leaving = browser.press(&asked, "Allow", &[]).await.unwrap();
    assert!(leaving.stopped, "{}", leaving.text());
    let back = world.sign_in_at_google(&leaving.url, ANN).await;
    browser.open(back).await.unwrap()
}

#[tokio::test]
async fn a_device_gets_its_tokens_once_a_person_has_signed_in_elsewhere() {
    let world = World::new().await;
    let client = device_client(&world).await;
    let device = start(&world, &client, &[("scope", DRIVE), ("resource", &world.resource())]).await;
    let code = text(&device, "user_code");
    assert_eq!(text(&device, "verification_uri"), world.at("/device").as_str());
    assert_eq!(text(&device, "verification_uri_complete"), format!("{}?user_code={code}", world.at("/device")));
    assert_eq!((&device["expires_in"], &device["interval"]), (&900.into(), &5.into()));
    assert_eq!(error(&world, &client, &device).await, "authorization_pending");

    let done = allow(&world, &device).await;
    assert!(done.text().contains("You may return to your device"), "{}", done.text());
    assert!(!done.url.as_str().contains("code="), "{}", done.url);

    let (status, tokens) = ask(&world, &client, &device).await;
    assert_eq!(status, 200, "{tokens}");
    let token = world.verified(&tokens);
    assert_eq!(token.email.unwrap().as_str(), ANN);
    assert_eq!(scopes(&tokens).to_string(), DRIVE);
    let (status, next) = world.refresh(&client, &text(&tokens, "refresh_token")).await;
    assert_eq!(status, 200, "{next}");
    assert_eq!(error(&world, &client, &device).await, "invalid_grant", "it is redeemed once");
    assert_eq!(world.refresh(&client, &text(&next, "refresh_token")).await.0, 200, "and what it gave stays");
}

#[tokio::test]
async fn the_page_shows_the_code_who_asks_and_what_for_and_warns() {
    let world = World::new().await;
    let device = start(&world, &device_client(&world).await, &[("scope", DRIVE)]).await;
    let page = enter(&world, &world.browser(), &text(&device, "user_code")).await;
    let shown = page.text();
    for words in [
        text(&device, "user_code").as_str(),
        "Television",
        "See and download all your files",
        "Did somebody send you",
        "Nobody has checked",
    ] {
        assert!(shown.contains(words), "no {words:?} in {shown}");
    }
}

#[tokio::test]
async fn a_link_with_the_code_fills_it_in_and_still_asks() {
    let world = World::new().await;
    let (client, browser) = (device_client(&world).await, world.halting_browser());
    let device = start(&world, &client, &[]).await;
    let page = browser.open(text(&device, "verification_uri_complete")).await.unwrap();
    assert!(page.body.contains(&format!("value=\"{}\"", text(&device, "user_code"))), "{}", page.body);
    assert!(page.text().contains("exactly this code") && page.text().contains("Did somebody send you"));
    let asked = browser.press(&page, "Continue", &[]).await.unwrap();
    assert!(asked.text().contains("Television"), "{}", asked.text());
    let strange = browser.open(world.at("/device?user_code=%3Cscript%3E")).await.unwrap();
    assert!(!strange.body.contains("script"), "{}", strange.body);
}

#[tokio::test]
async fn another_site_cannot_skip_the_question_for_the_code() {
    let world = World::new().await;
    let device = start(&world, &device_client(&world).await, &[]).await;
    let request = world.http.post(world.at("/device")).header("sec-fetch-site", "cross-site");
    let page = request.form(&[("user_code", text(&device, "user_code"))]).send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("Television") && page.contains(&text(&device, "user_code")), "{page}");
}

#[tokio::test]
async fn a_code_is_accepted_however_it_is_typed() {
    let world = World::new().await;
    let client = device_client(&world).await;
    for change in [
        |code: &str| code.to_lowercase(),
        |code: &str| code.replace('-', ""),
        |code: &str| format!(" {} ", code.replace('-', " ")),
    ] {
        let device = start(&world, &client, &[]).await;
        let page = enter(&world, &world.browser(), &change(&text(&device, "user_code"))).await;
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(page.text().contains("Television"));
    }
    let wrong = enter(&world, &world.browser(), "BBBB-BBBB").await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("No device waits with this code"), "{}", wrong.text());
}

#[tokio::test]
async fn a_device_that_asks_too_soon_is_slowed_down_and_stays_so() {
    let world = World::new().await;
    let client = device_client(&world).await;
    let device = start(&world, &client, &[]).await;
    let wait = |seconds| world.clock.advance(Duration::from_secs(seconds));
    assert_eq!(error(&world, &client, &device).await, "authorization_pending");
    wait(5);
    assert_eq!(error(&world, &client, &device).await, "authorization_pending");
    wait(2);
    assert_eq!(error(&world, &client, &device).await, "slow_down");
    wait(5);
    assert_eq!(error(&world, &client, &device).await, "slow_down", "five seconds are no longer enough");
    wait(15);
    world.restart();
    assert_eq!(error(&world, &client, &device).await, "authorization_pending", "it waited the 15 seconds");
    wait(10);
    assert_eq!(error(&world, &client, &device).await, "slow_down", "also after a restart");
    allow(&world, &device).await;
    assert_eq!(ask(&world, &client, &device).await.0, 200, "an answer is told at once");
}

#[tokio::test]
async fn a_person_can_say_no_on_our_page_and_at_the_provider() {
    let world = World::new().await;
    let client = device_client(&world).await;
    let device = start(&world, &client, &[]).await;
    let browser = world.halting_browser();
    let asked = enter(&world, &browser, &text(&device, "user_code")).await;
    let denied = browser.press(&asked, "Deny", &[]).await.unwrap();
    assert!(denied.text().contains("The device gets no access"), "{}", denied.text());
    assert_eq!(error(&world, &client, &device).await, "access_denied");
    assert_eq!(enter(&world, &browser, &text(&device, "user_code")).await.status, 400, "the code is over");

    let device = start(&world, &client, &[]).await;
    let browser = world.halting_browser();
    let asked = enter(&world, &browser, &text(&device, "user_code")).await;
    let leaving = browser.press(&asked, "Allow", &[]).await.unwrap();
    let state = leaving.query("state").unwrap();
    let back = browser.open(world.at(&format!("/oauth2callback?state={state}&error=access_denied"))).await.unwrap();
    assert!(back.text().contains("You did not allow it"), "{}", back.text());
    assert_eq!(error(&world, &client, &device).await, "access_denied");
}

#[tokio::test]
async fn codes_expire_for_the_person_and_for_the_device() {
    let world = World::new().await;
    let client = device_client(&world).await;
    let device = start(&world, &client, &[]).await;
    let browser = world.halting_browser();
    let asked = enter(&world, &browser, &text(&device, "user_code")).await;
    world.clock.advance(Duration::from_secs(901));
    assert_eq!(error(&world, &client, &device).await, "expired_token");
    assert_eq!(enter(&world, &browser, &text(&device, "user_code")).await.status, 400);
    assert!(browser.press(&asked, "Allow", &[]).await.unwrap().status >= 400);
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(error(&world, &client, &device).await, "expired_token", "also when nothing is left of it");
}

#[tokio::test]
async fn one_of_two_people_who_answer_counts() {
    let world = World::new().await;
    let client = device_client(&world).await;
    let device = start(&world, &client, &[]).await;
    let mut waiting = Vec::new();
    for account in [ANN, "bob@example.com"] {
        let browser = world.halting_browser();
        let asked = enter(&world, &browser, &text(&device, "user_code")).await;
        let leaving = browser.press(&asked, "Allow", &[]).await.unwrap();
        waiting.push((browser, world.sign_in_at_google(&leaving.url, account).await));
    }
    let (bobs, back) = waiting.pop().unwrap();
    assert!(bobs.open(back).await.unwrap().text().contains("You may return to your device"));
    let (anns, back) = waiting.pop().unwrap();
    let late = anns.open(back).await.unwrap();
    assert_eq!(late.status, 409);
    assert!(late.text().contains("This code is over"), "{}", late.text());
    let (_, tokens) = ask(&world, &client, &device).await;
    assert_eq!(world.verified(&tokens).email.unwrap().as_str(), "bob@example.com");
}

#[tokio::test]
async fn a_sign_in_for_a_device_is_finished_by_the_browser_that_began_it_only() {
    let world = World::new().await;
    let client = device_client(&world).await;
    let device = start(&world, &client, &[]).await;
    let browser = world.halting_browser();
    let asked = enter(&world, &browser, &text(&device, "user_code")).await;
    let leaving = browser.press(&asked, "Allow", &[]).await.unwrap();
    let back = world.sign_in_at_google(&leaving.url, ANN).await;
    let stranger = world.browser().open(back.clone()).await.unwrap();
    assert_eq!(stranger.status, 403, "{}", stranger.text());
    assert_eq!(error(&world, &client, &device).await, "authorization_pending");
    let form = asked.forms().into_iter().next().unwrap();
    let ticket = form.fields.iter().find(|field| field.name == "ticket").unwrap().value.clone();
    let (status, _) = world.post_form("/device/decide", &[("ticket", &ticket), ("decision", "allow")]).await;
    assert_eq!(status, 403, "the form of one browser is worth nothing in another");
    assert!(browser.open(back).await.unwrap().text().contains("You may return to your device"));
}

#[tokio::test]
async fn of_a_hundred_that_redeem_at_once_exactly_one_succeeds() {
    let world = World::new().await;
    let client = device_client(&world).await;
    let device = start(&world, &client, &[]).await;
    allow(&world, &device).await;
    let answers = futures_util::future::join_all((0..100).map(|_| ask(&world, &client, &device))).await;
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|(status, _)| *status == 200);
    assert_eq!(good.len(), 1);
    assert!(bad.iter().all(|(status, answer)| *status == 400 && answer["error"] == "invalid_grant"), "{bad:?}");
}

#[tokio::test]
async fn a_device_code_is_of_the_client_that_asked_for_it() {
    let world = World::new().await;
    let client = device_client(&world).await;
    let device = start(&world, &client, &[]).await;
    allow(&world, &device).await;
    let body = json!({"client_name": "Thief", "grant_types": [DEVICE_CODE], "token_endpoint_auth_method": "none"});
    let thief = Client { id: text(&world.register(&body).await.1, "client_id"), secret: None };
    assert_eq!(error(&world, &thief, &device).await, "invalid_grant");
    assert_eq!(ask(&world, &client, &device).await.0, 200, "the thief has not used it up");
    for bad in ["x", "", &"A".repeat(54)] {
        let answer = ask(&world, &client, &json!({ "device_code": bad })).await.1;
        assert!(["invalid_grant", "invalid_request"].contains(&text(&answer, "error").as_str()), "{answer}");
    }
}

#[tokio::test]
async fn what_a_device_gets_is_bound_to_its_key_where_it_proves_one() {
    let world = World::new().await;
    let client = device_client(&world).await;
    let (device, key) = (start(&world, &client, &[]).await, Key::new());
    allow(&world, &device).await;
    let code = text(&device, "device_code");
    let form = [("grant_type", DEVICE_CODE), ("device_code", code.as_str()), ("client_id", client.id.as_str())];
    let (status, tokens) = prove(&world, &key, &form).await;
    assert_eq!((status, &tokens["token_type"]), (200, &"DPoP".into()), "{tokens}");
    assert_eq!(world.verified(&tokens).claims["cnf"]["jkt"], key.thumbprint());
    assert_eq!(world.refresh(&client, &text(&tokens, "refresh_token")).await.0, 400, "without the key");
}

#[tokio::test]
async fn a_device_asks_for_this_resource_only_and_gets_what_there_is() {
    let world = World::new().await;
    let client = device_client(&world).await;
    let elsewhere = [("client_id", client.id.as_str()), ("resource", "https://elsewhere.example/mcp")];
    assert_eq!(world.post_form("/oauth/device_authorization", &elsewhere).await.1["error"], "invalid_target");
    let stranger = [("client_id", "nobody")];
    let (status, answer) = world.post_form("/oauth/device_authorization", &stranger).await;
    assert_eq!((status, &answer["error"]), (401, &"invalid_client".into()));
    let device = start(&world, &client, &[("scope", "openid strange")]).await;
    allow(&world, &device).await;
    assert_eq!(scopes(&ask(&world, &client, &device).await.1).to_string(), "openid");
}

#[tokio::test]
async fn a_client_that_has_not_registered_the_grant_cannot_be_impersonated_with_it() {
    let world = World::new().await;
    let client = world.client().await;
    let (status, answer) = world.post_form("/oauth/device_authorization", &[("client_id", client.id.as_str())]).await;
    assert_eq!((status, &answer["error"]), (400, &"unauthorized_client".into()), "{answer}");
}

#[tokio::test]
async fn r03_r15_a_client_for_devices_alone_needs_no_redirect_uri() {
    let world = World::new().await;
    let (status, answer) = world.register(&json!({"client_name": "TV", "grant_types": [DEVICE_CODE]})).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["grant_types"], json!(["refresh_token", DEVICE_CODE]));
    assert_eq!((&answer["redirect_uris"], &answer["response_types"]), (&json!([]), &json!([])));
    let authorize = format!("/oauth/authorize?response_type=code&client_id={}", text(&answer, "client_id"));
    let page = world.browser().open(world.at(&authorize)).await.unwrap();
    assert_eq!(page.status, 400, "it has nowhere to send a code");

    let both = json!({"redirect_uris": [CALLBACK], "grant_types": ["authorization_code", DEVICE_CODE], "token_endpoint_auth_method": "none"});
    let (_, answer) = world.register(&both).await;
    assert_eq!(answer["grant_types"], json!(["authorization_code", "refresh_token", DEVICE_CODE]), "never device only");
}

#[tokio::test]
async fn switched_off_it_is_neither_announced_nor_given() {
    let on = World::new().await;
    let (_, document) = on.get_json("/.well-known/oauth-authorization-server").await;
    assert_eq!(document["device_authorization_endpoint"], on.at("/oauth/device_authorization").as_str());
    assert!(document["grant_types_supported"].as_array().unwrap().contains(&DEVICE_CODE.into()));

    let off = World::with(|options| options.grants.device_code = false).await;
    let (_, document) = off.get_json("/.well-known/oauth-authorization-server").await;
    assert!(document.get("device_authorization_endpoint").is_none());
    assert!(!document["grant_types_supported"].as_array().unwrap().contains(&DEVICE_CODE.into()));
    for path in ["/oauth/device_authorization", "/device", "/device/decide"] {
        assert_eq!(off.http.post(off.at(path)).send().await.unwrap().status(), 404, "{path}");
    }
    let form = [("grant_type", DEVICE_CODE), ("device_code", "x"), ("client_id", "x")];
    assert_eq!(off.post_form("/oauth/token", &form).await.1["error"], "unsupported_grant_type");
    let body = json!({"client_name": "TV", "grant_types": [DEVICE_CODE]});
    assert_eq!(off.register(&body).await.1["error"], "invalid_redirect_uri", "R15");
    let vs_code = json!({"redirect_uris": [CALLBACK], "grant_types": ["authorization_code", DEVICE_CODE]});
    assert_eq!(off.register(&vs_code).await.1["grant_types"], json!(["authorization_code", "refresh_token"]), "R3");
}

#[tokio::test]
async fn codes_cannot_be_tried_out() {
    let world = World::with(|options| {
        options.limits.user_codes = 5;
        options.limits.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let device = start(&world, &device_client(&world).await, &[]).await;
    let try_one = async |address: &str, code: &str| {
        let request = world.http.post(world.at("/device")).header("x-forwarded-for", address);
        request.form(&[("user_code", code)]).send().await.unwrap()
    };
    for _ in 0..5 {
        assert_eq!(try_one("9.9.9.9", "BBBB-BBBB").await.status(), 400);
    }
    let limited = try_one("9.9.9.9", &text(&device, "user_code")).await;
    assert_eq!(limited.status(), 429, "also the right one");
    assert!(limited.headers().contains_key("retry-after"));
    assert_eq!(try_one("8.8.8.8", &text(&device, "user_code")).await.status(), 200, "others are not held up");
    for n in 0..30 {
        try_one(&format!("7.7.7.{n}"), &text(&device, "user_code")).await;
    }
    assert_eq!(try_one("6.6.6.6", &text(&device, "user_code")).await.status(), 400, "nor is one code shown for ever");
}

#[tokio::test]
async fn a_device_goes_on_after_a_restart_and_with_other_keys() {
    let world = World::new().await;
    let client = device_client(&world).await;
    let device = start(&world, &client, &[]).await;
    world.restart();
    allow(&world, &device).await;
    world.restart();
    assert_eq!(ask(&world, &client, &device).await.0, 200);
    let device = start(&world, &client, &[]).await;
    world.lose_state();
    assert_eq!(error(&world, &client, &device).await, "expired_token", "it asks anew");
}

#[tokio::test]
async fn a_device_that_proves_a_key_when_it_asks_needs_it_for_its_tokens() {
    let world = World::new().await;
    let client = device_client(&world).await;
    let key = Key::new();
    let form = [("client_id", client.id.as_str())];
    let (status, device) = prove_at(&world, "/oauth/device_authorization", &key, &form).await;
    assert_eq!(status, 200, "{device}");
    allow(&world, &device).await;
    assert_eq!(error(&world, &client, &device).await, "invalid_grant", "without the key");
    let code = text(&device, "device_code");
    let form = [("grant_type", DEVICE_CODE), ("device_code", code.as_str()), ("client_id", client.id.as_str())];
    assert_eq!(prove(&world, &Key::new(), &form).await.1["error"], "invalid_grant", "with another one");
    assert_eq!(prove(&world, &key, &form).await.0, 200);
}

#[tokio::test]
async fn n11_a_person_gives_a_device_drive_without_gmail() {
    let world = World::new().await;
    let (client, browser) = (device_client(&world).await, world.halting_browser());
    let device = start(&world, &client, &[("scope", &format!("openid {DRIVE} {GMAIL}"))]).await;
    let asked = enter(&world, &browser, &text(&device, "user_code")).await;
    let none = browser.press(&asked, "Allow", &[("Google Drive", ""), ("Gmail", "")]).await.unwrap();
    assert_eq!(none.status, 422);
    assert!(none.text().contains("You have unticked everything"), "{}", none.text());
    assert!(none.text().contains(&text(&device, "user_code")) && none.text().contains("Television"));
    assert_eq!(error(&world, &client, &device).await, "authorization_pending");

    let leaving = browser.press(&none, "Allow", &[("drive", "on")]).await.unwrap();
    let at_google = leaving.query("scope").unwrap();
    assert!(at_google.contains(DRIVE) && !at_google.contains(GMAIL), "{at_google}");
    let back = browser.open(world.sign_in_at_google(&leaving.url, ANN).await).await.unwrap();
    assert!(back.text().contains("You may return to your device"), "{}", back.text());
    let (_, tokens) = ask(&world, &client, &device).await;
    assert_eq!(scopes(&tokens), format!("openid {DRIVE}").as_str().into(), "{tokens}");
}

#[tokio::test]
async fn n11_a_device_that_asks_for_one_service_has_nothing_to_choose() {
    let world = World::new().await;
    let device = start(&world, &device_client(&world).await, &[("scope", DRIVE)]).await;
    let asked = enter(&world, &world.browser(), &text(&device, "user_code")).await;
    assert!(!asked.body.contains("checkbox"), "{}", asked.body);
}

#[tokio::test]
async fn the_page_for_codes_speaks_german_too() {
    let world = World::new().await;
    let german = world.http.get(world.at("/device")).header("accept-language", "de").send().await.unwrap();
    assert!(german.text().await.unwrap().contains("Gerät verbinden"));
}
