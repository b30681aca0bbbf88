//! A server at which nobody can sign in through the provider: it announces nothing that cannot work, and says why.

use serde_json::{Value, json};

use crate::world::{DRIVE, World};

async fn world() -> World {
    World::with(|options| {
        options.sign_in = false;
        options.grants.client_credentials = true;
    })
    .await
}

#[tokio::test]
async fn what_cannot_work_is_not_announced() {
    let world = world().await;
    for document in ["oauth-authorization-server", "openid-configuration"] {
        let (_, document) = world.get_json(&format!("/.well-known/{document}")).await;
        for gone in ["authorization_endpoint", "registration_endpoint", "device_authorization_endpoint"] {
            assert!(document.get(gone).is_none(), "{gone}: {document}");
        }
        assert_eq!(document["grant_types_supported"], json!(["client_credentials"]));
        assert_eq!(document["response_types_supported"], json!([]));
        assert_eq!(document["client_id_metadata_document_supported"], false);
        assert_eq!(document["token_endpoint"], world.at("/oauth/token").as_str());
    }
    let (_, resource) = world.get_json("/.well-known/oauth-protected-resource/mcp").await;
    assert_eq!(resource["authorization_servers"], json!([world.issuer()]), "it still gives tokens to some");

    let none = World::with(|options| options.sign_in = false).await;
    let (_, resource) = none.get_json("/.well-known/oauth-protected-resource/mcp").await;
    assert!(resource.get("authorization_servers").is_none(), "it gives tokens to nobody: {resource}");
    for grant in ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"] {
        let (status, answer) = none.post_form("/oauth/token", &[("grant_type", grant)]).await;
        assert_eq!((status, answer["error"].as_str()), (400, Some("unsupported_grant_type")), "{grant}: {answer}");
    }
}

#[tokio::test]
async fn every_page_that_would_lead_to_a_sign_in_says_that_there_is_none() {
    let world = world().await;
    let authorize = format!("/oauth/authorize?response_type=code&client_id=x&scope={DRIVE}");
    let browser = world.halting_browser();
    for path in [
        authorize.as_str(),
        "/oauth2callback?state=x&code=y",
        "/oauth/clients/new",
        "/auth",
        "/auth/link",
        "/auth/accounts",
        "/auth/sessions",
        "/device",
    ] {
        let page = browser.open(world.at(path)).await.unwrap();
        assert_eq!((page.status, page.stopped), (404, false), "{path}");
        assert!(page.text().contains("Nobody can sign in through Google at this server"), "{path}: {}", page.text());
        assert!(page.text().contains("ask the operator"), "{path}: {}", page.text());
    }
    for path in ["/oauth/consent", "/auth/start", "/device/decide"] {
        assert_eq!(world.http.post(world.at(path)).send().await.unwrap().status(), 404, "{path}");
    }
    let german = world.http.get(world.at("/auth")).header("accept-language", "de").send().await.unwrap();
    assert!(german.text().await.unwrap().contains("kann sich niemand über Google anmelden"));
}

#[tokio::test]
async fn programs_learn_the_same_as_json() {
    let world = world().await;
    let registered = world.register(&json!({ "redirect_uris": ["http://127.0.0.1/callback"] })).await;
    let device = world.post_form("/oauth/device_authorization", &[("client_id", "x")]).await;
    let auth = world.http.get(world.at("/auth")).header("accept", "application/json").send().await.unwrap();
    let auth = (auth.status().as_u16(), auth.json::<Value>().await.unwrap());
    for (status, answer) in [registered, device, auth] {
        assert_eq!(status, 404, "{answer}");
        assert!(
            answer["error_description"].as_str().unwrap().contains("nobody can sign in through Google"),
            "{answer}"
        );
    }
}
