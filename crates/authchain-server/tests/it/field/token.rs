//! Cases T2 to T7: how clients prove themselves and refresh.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::clients_of;
use crate::world::{DRIVE, World, scopes, text};

#[tokio::test]
async fn n17_t2_an_unknown_client_a_dead_token_and_anything_else_are_told_apart_for_every_kind_of_client() {
    let world = World::new().await;
    for case in ["T4", "T5", "T8"] {
        for fixture in clients_of(case) {
            let way = fixture.goes_the_way(&world).await;
            let refresh = |token: &str| {
                let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
                vec![pair("grant_type", "refresh_token"), pair("refresh_token", token)]
            };
            let (status, answer) = fixture.asks(&world, &way.client, refresh("art_dead")).await;
            assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()), "{}", fixture.file);
            let mut forgotten = way.client.clone();
            forgotten.id = "ac_forgotten".into();
            let token = text(&way.refreshed, "refresh_token");
            let (status, answer) = fixture.asks(&world, &forgotten, refresh(&token)).await;
            assert_eq!((status, &answer["error"]), (401, &"invalid_client".into()), "{}", fixture.file);
            assert_eq!(fixture.asks(&world, &way.client, refresh(&token)).await.0, 200, "{}", fixture.file);
        }
    }
}

#[tokio::test]
async fn n15_t3_every_answer_to_a_refresh_has_a_refresh_token() {
    let world = World::new().await;
    let client = world.client().await;
    let mut token = text(&world.tokens(&client, "ann@example.com").await, "refresh_token");
    for scope in ["", DRIVE, "openid", ""] {
        let form =
            [("grant_type", "refresh_token"), ("refresh_token", &token), ("client_id", &client.id), ("scope", scope)];
        let (first, again) =
            (world.post_form("/oauth/token", &form).await, world.post_form("/oauth/token", &form).await);
        for (status, answer) in [&first, &again] {
            assert_eq!(*status, 200, "{scope:?}: {answer}");
            assert_eq!(answer["refresh_token"], first.1["refresh_token"], "{scope:?}: also within the grace window");
        }
        token = text(&first.1, "refresh_token");
    }
}

#[tokio::test]
async fn t4_both_proofs_at_once_count_only_if_they_are_equal() {
    let world = World::new().await;
    for fixture in clients_of("T4") {
        let way = fixture.goes_the_way(&world).await;
        let token = text(&way.refreshed, "refresh_token");
        let secret = way.client.secret.clone().unwrap();
        let basic = BASE64_STANDARD.encode(format!("{}:{secret}", way.client.id));
        let ask = async |id: &str, in_body: &str| {
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", &token),
                ("client_id", id),
                ("client_secret", in_body),
            ];
            let request = world.http.post(world.at("/oauth/token")).header("authorization", format!("Basic {basic}"));
            request.form(&form).send().await.unwrap().status().as_u16()
        };
        assert_eq!(ask(&way.client.id, &secret).await, 200, "{}", fixture.file);
        assert!([400, 401].contains(&ask(&way.client.id, "another").await), "{}", fixture.file);
        assert!([400, 401].contains(&ask("ac_another", &secret).await), "{}", fixture.file);
    }
}

#[tokio::test]
async fn n14_t6_a_refresh_without_resource_and_with_an_equal_scope_keeps_both_and_a_wider_one_signs_nobody_out() {
    let world = World::new().await;
    for fixture in clients_of("T6") {
        let way = fixture.goes_the_way(&world).await;
        let ask = async |token: &str, scope: &str| {
            let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)];
            let form = form.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            fixture.asks(&world, &way.client, form).await
        };
        let equal = text(&way.tokens, "scope");
        let (status, answer) = ask(&text(&way.refreshed, "refresh_token"), &equal).await;
        assert_eq!((status, scopes(&answer)), (200, scopes(&way.tokens)), "{answer}");
        assert_eq!(world.verified(&answer).claims["aud"], world.resource());
        let token = text(&answer, "refresh_token");
        let (status, answer) = ask(&token, &format!("{equal} {}", crate::world::GMAIL)).await;
        assert_eq!((status, &answer["error"]), (400, &"invalid_scope".into()));
        assert_eq!(ask(&token, "").await.0, 200, "not signed out");
    }
}

#[tokio::test]
async fn n14_t7_the_audience_is_the_resource_of_the_metadata_to_the_byte() {
    let world = World::new().await;
    for fixture in clients_of("T7") {
        let way = fixture.goes_the_way(&world).await;
        for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
            let (_, document) = world.get_json(path).await;
            assert_eq!(world.verified(&way.tokens).claims["aud"], document["resource"], "{path}");
        }
    }
}

#[tokio::test]
async fn n18_t8_a_public_client_revokes_with_its_id_alone() {
    let world = World::new().await;
    for fixture in clients_of("T8") {
        let way = fixture.goes_the_way(&world).await;
        let refresh = text(&way.refreshed, "refresh_token");
        let form = [("token", refresh.as_str()), ("client_id", way.client.id.as_str())];
        assert_eq!(world.post_form("/oauth/revoke", &form).await.0, 200);
        assert_eq!(world.post_form("/oauth/revoke", &form).await.0, 200, "nobody knows it any more");
        let grant = world.verified(&way.tokens).grant.unwrap();
        assert!(world.grants().get(&grant).await.unwrap().is_none(), "the access token dies with it");
        assert_eq!(world.refresh(&way.client, &refresh).await.1["error"], "invalid_grant");
    }
}
