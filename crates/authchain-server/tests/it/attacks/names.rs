//! What a client says of itself is only text, on every page where it stands, and nothing that it points to is loaded.

use authchain::provider::Pkce;
use authchain_testkit::Endpoint;
use serde_json::json;

use crate::world::{CALLBACK, Client, World, choice, text};

const ANN: &str = "ann@example.com";
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Names that try to become something else.
const NAMES: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</title></h1><meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "Google\u{202e}moc.elgoog\u{202c}\u{2066}x\u{2069}",
    "Goo\u{200b}gle\u{feff}\u{00ad}\u{2060}",
    "Google\r\n\r\nVerified by\u{2028}Google\u{0}\u{7}\u{1b}[31m",
];

async fn client_called(world: &World, name: &str) -> Client {
    let body = json!({
        "client_name": name,
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token", DEVICE_CODE],
        "token_endpoint_auth_method": "none",
        "logo_uri": "https://evil.example/logo.svg",
        "client_uri": "javascript:alert(2)",
        "tos_uri": "https://evil.example/tos",
        "policy_uri": "data:text/html,x",
        "contacts": ["<b>evil.example</b>"],
    });
    let (status, answer) = world.register(&body).await;
    assert_eq!(status, 201, "{answer}");
    Client { id: text(&answer, "client_id"), secret: None }
}

#[tokio::test]
async fn n10_n11_no_name_and_no_logo_breaks_out_of_any_page() {
    for name in NAMES {
        let world = World::new().await;
        let (client, browser) = (client_called(&world, name).await, world.browser());
        let mut pages = Vec::new();
        let consent = world.authorize_url(&client, &Pkce::generate(), &[]);
        pages.push(browser.open(&consent).await.unwrap());

        // The page of a fault, with its way back to the client.
        world.google.control().fail(Endpoint::Token, 400, 50);
        pages.push(browser.walk(&consent, &choice(ANN)).await.unwrap());
        world.google.control().heal();

        // The pages of what is connected, and of its end.
        world.tokens(&client, ANN).await;
        browser.walk(world.at("/auth"), &choice(ANN)).await.unwrap();
        let apps = browser.open(world.at("/auth/apps")).await.unwrap();
        let revoke = apps.body.split("href=\"").find(|rest| rest.contains("/revoke\"")).unwrap();
        pages.push(browser.open(world.at(revoke.split('"').next().unwrap())).await.unwrap());
        pages.push(apps);

        // The page that asks for more.
        let user = world.key_of(ANN).user;
        let grant = world.grants().list(&user).await.unwrap().remove(0);
        let more = format!("/auth?account={ANN}&scopes={}&grant={}", crate::world::GMAIL, grant.id);
        pages.push(browser.open(world.at(&more)).await.unwrap());

        // The page of a device.
        let form = [("client_id", client.id.as_str())];
        let (status, device) = world.post_form("/oauth/device_authorization", &form).await;
        assert_eq!(status, 200, "{device}");
        let typed = browser.open(world.at("/device")).await.unwrap();
        let code = text(&device, "user_code");
        pages.push(browser.press(&typed, "Continue", &[("user_code", &code)]).await.unwrap());

        assert_eq!(pages.len(), 6);
        for page in pages {
            let (body, words) = (&page.body, page.text());
            let plain = if name.contains("alert") { "alert(1)" } else { "Goo" };
            assert!(name.contains("meta") || words.contains(plain), "{}: {words}", page.url);
            for markup in
                ["<script", "<img", "<meta http-equiv", "evil.example/logo", "evil.example/tos", "javascript:"]
            {
                assert!(!body.contains(markup), "{markup} is in {}: {body}", page.url);
            }
            let unseen = |c: &char| {
                (c.is_control() && !c.is_whitespace())
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}')
            };
            assert_eq!(body.chars().find(unseen), None, "{}", page.url);
            assert!(!body.contains("Google\r") && !body.contains("Google\n"), "{}: one line", page.url);
        }
    }
}
