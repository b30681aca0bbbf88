//! Number 18 of the checklist, case T8: a client gives back what it was given.

use serde_json::Value;

use crate::world::{Client, World, text};

async fn revoke(world: &World, client: &Client, token: &str) -> (u16, Value) {
    let mut form = vec![("token", token), ("client_id", client.id.as_str())];
    form.extend(client.secret.as_deref().map(|secret| ("client_secret", secret)));
    world.post_form("/oauth/revoke", &form).await
}

#[tokio::test]
async fn n18_t8_either_token_ends_both_and_tier_2_hears_it() {
    let world = World::new().await;
    let client = world.client().await;
    for name in ["refresh_token", "access_token"] {
        let tokens = world.tokens(&client, "ann@example.com").await;
        let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let ear = heard.clone();
        world.grants().on_end(move |grant| ear.lock().unwrap().push(grant.to_owned()));
        assert_eq!(revoke(&world, &client, &text(&tokens, name)).await.0, 200, "{name}");
        let grant = world.verified(&tokens).grant.unwrap();
        assert_eq!(*heard.lock().unwrap(), [grant], "{name}");
        assert_eq!(world.refresh(&client, &text(&tokens, "refresh_token")).await.1["error"], "invalid_grant", "{name}");
    }
}

#[tokio::test]
async fn n18_an_expired_access_token_still_names_its_grant() {
    let world = World::new().await;
    let client = world.client().await;
    let tokens = world.tokens(&client, "ann@example.com").await;
    world.clock.advance(std::time::Duration::from_secs(2 * 3600));
    assert_eq!(revoke(&world, &client, &text(&tokens, "access_token")).await.0, 200);
    assert_eq!(world.refresh(&client, &text(&tokens, "refresh_token")).await.1["error"], "invalid_grant");
}

#[tokio::test]
async fn n18_t8_a_token_that_nobody_knows_is_as_good_as_revoked() {
    let world = World::new().await;
    let client = world.client().await;
    for token in ["x", "art_AAAA", "a.b.c"] {
        assert_eq!(revoke(&world, &client, token).await.0, 200, "{token}");
    }
    assert_eq!(revoke(&world, &client, "").await.1["error"], "invalid_request");
}

#[tokio::test]
async fn n18_nobody_revokes_what_another_client_was_given() {
    let world = World::new().await;
    let client = world.client().await;
    let (other, _) = world.confidential_client("client_secret_post").await;
    let tokens = world.tokens(&client, "ann@example.com").await;
    for name in ["refresh_token", "access_token"] {
        assert_eq!(revoke(&world, &other, &text(&tokens, name)).await.0, 400, "{name}");
    }
    let nameless = Client { id: other.id, secret: None };
    assert_eq!(
        revoke(&world, &nameless, &text(&tokens, "refresh_token")).await.0,
        401,
        "a confidential client proves itself"
    );
    assert_eq!(world.refresh(&client, &text(&tokens, "refresh_token")).await.0, 200);
}
