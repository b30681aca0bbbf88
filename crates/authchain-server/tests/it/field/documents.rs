//! Cases C1 to C7 with the clients' own documents. They are served from an address of these tests, which takes the place of
//! the client's own as `client_id`; nothing else is changed.

use authchain::provider::Pkce;

use super::{Fixture, read};
use crate::{
    client_documents::{Site, world},
    world::{Client, World, choice, text},
};

async fn site_of(fixture: &Fixture) -> Site {
    Site::new(|document| {
        let own = std::mem::replace(document, fixture.data["document"].clone());
        document["client_id"] = own["client_id"].clone();
    })
    .await
}

/// Where the browser is after the consent page was asked for.
async fn status_at(world: &World, client: &Client, uri: &str) -> u16 {
    let url = world.authorize_url(client, &Pkce::generate(), &[("redirect_uri", uri)]);
    world.browser().open(url).await.unwrap().status
}

#[tokio::test]
async fn n05_c1_c2_c3_c4_c5_c7_every_client_with_a_document_goes_the_whole_way() {
    let mut shown = Vec::new();
    for fixture in read("documents") {
        let (world, site) = (world().await, site_of(&fixture).await);
        let (client, pkce, file) = (site.client(), Pkce::generate(), &fixture.file);
        let uri = fixture.data["redirect_uri"].as_str().unwrap();
        let url = world.authorize_url(&client, &pkce, &[("redirect_uri", uri), ("resource", &world.resource())]);
        let back = world.browser().stop_at(uri).walk(url, &choice("ann@example.com")).await.unwrap();
        assert!(back.stopped, "{file}: {}", back.text());
        assert_eq!(back.query("iss"), Some(world.issuer()), "{file}: C3");
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &back.query("code").unwrap()),
            ("redirect_uri", uri),
            ("client_id", &client.id),
            ("code_verifier", pkce.verifier.expose()),
        ];
        let (status, tokens) = world.post_form("/oauth/token", &form).await;
        assert_eq!(status, 200, "{file}: {tokens}");
        world.restart();
        let (status, next) = world.refresh(&client, &text(&tokens, "refresh_token")).await;
        assert_eq!(status, 200, "{file}: {next}");
        shown.extend(fixture.data["cases"].as_array().unwrap().iter().map(|case| case.as_str().unwrap().to_owned()));
    }
    shown.sort();
    assert_eq!(shown, ["C1", "C2", "C3", "C4", "C7"]);
}

#[tokio::test]
async fn n05_n07_c1_c7_in_a_document_too_the_port_of_loopback_is_free_and_the_path_is_exact() {
    for fixture in read("documents") {
        let uri = fixture.data["redirect_uri"].as_str().unwrap();
        if !uri.starts_with("http:") {
            continue;
        }
        let (world, site) = (world().await, site_of(&fixture).await);
        let mut other: url::Url = uri.parse().unwrap();
        other.set_port(Some(1)).unwrap();
        assert_eq!(status_at(&world, &site.client(), other.as_str()).await, 200, "{other}");
        for wrong in [format!("{other}x"), format!("{other}/.."), other.as_str().replace("http:", "https:")] {
            assert_eq!(status_at(&world, &site.client(), &wrong).await, 400, "{wrong}");
        }
    }
}
