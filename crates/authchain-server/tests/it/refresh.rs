//! Number 15 of the checklist, cases T1, T3 and T6: refresh that never signs anybody out, and reuse that does.

use std::time::Duration;

use crate::world::{DRIVE, GMAIL, World, scopes, text};

#[tokio::test]
async fn n15_t1_fifty_processes_that_refresh_at_once_get_the_same_successor_and_the_family_does_not_grow() {
    let world = World::new().await;
    let client = world.client().await;
    let tokens = world.tokens(&client, "ann@example.com").await;
    let first = text(&tokens, "refresh_token");
    let answers = futures_util::future::join_all((0..50).map(|_| world.refresh(&client, &first))).await;
    let successors: std::collections::BTreeSet<String> = answers
        .iter()
        .map(|(status, answer)| {
            assert_eq!(*status, 200, "{answer}");
            text(answer, "refresh_token")
        })
        .collect();
    assert_eq!(successors.len(), 1);
    let grant = world.grants().get(&world.verified(&tokens).grant.unwrap()).await.unwrap().unwrap().value;
    assert_eq!(grant.generation, 2);
}

#[tokio::test]
async fn n15_a_lost_answer_and_a_restart_cost_nobody_anything() {
    let world = World::new().await;
    let client = world.client().await;
    let first = text(&world.tokens(&client, "ann@example.com").await, "refresh_token");
    let (_, lost) = world.refresh(&client, &first).await;
    world.restart();
    world.clock.advance(Duration::from_secs(59));
    let (status, again) = world.refresh(&client, &first).await;
    assert_eq!(status, 200, "{again}");
    assert_eq!(lost["refresh_token"], again["refresh_token"]);
    assert_eq!(world.refresh(&client, &text(&again, "refresh_token")).await.0, 200);
}

#[tokio::test]
async fn n15_a_stolen_token_used_after_the_window_ends_the_grant() {
    let world = World::new().await;
    let client = world.client().await;
    let tokens = world.tokens(&client, "ann@example.com").await;
    let first = text(&tokens, "refresh_token");
    let (_, second) = world.refresh(&client, &first).await;
    world.clock.advance(Duration::from_secs(61));
    let (status, answer) = world.refresh(&client, &first).await;
    assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()));
    let (status, _) = world.refresh(&client, &text(&second, "refresh_token")).await;
    assert_eq!(status, 400, "the whole family has ended");
    assert!(world.grants().get(&world.verified(&tokens).grant.unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn n15_a_token_whose_successors_successor_exists_ends_the_grant_within_the_window_too() {
    let world = World::new().await;
    let client = world.client().await;
    let first = text(&world.tokens(&client, "ann@example.com").await, "refresh_token");
    let (_, second) = world.refresh(&client, &first).await;
    let (_, third) = world.refresh(&client, &text(&second, "refresh_token")).await;
    assert_eq!(world.refresh(&client, &first).await.1["error"], "invalid_grant");
    assert_eq!(world.refresh(&client, &text(&third, "refresh_token")).await.1["error"], "invalid_grant");
}

#[tokio::test]
async fn n15_a_refresh_token_belongs_to_one_client() {
    let world = World::new().await;
    let client = world.client().await;
    let (other, _) = world.confidential_client("client_secret_post").await;
    let token = text(&world.tokens(&client, "ann@example.com").await, "refresh_token");
    assert_eq!(world.refresh(&other, &token).await.1["error"], "invalid_grant");
    assert_eq!(world.refresh(&client, &token).await.0, 200, "and the try has not hurt the owner");
}

#[tokio::test]
async fn n15_t2_what_was_never_a_refresh_token_of_ours_is_turned_away() {
    let world = World::new().await;
    let client = world.client().await;
    let tokens = world.tokens(&client, "ann@example.com").await;
    let token = text(&tokens, "refresh_token");
    let forged = format!("{}{}", &token[..token.len() - 4], "AAAA");
    for bad in ["x", "art_", "art_AAAA", forged.as_str(), text(&tokens, "access_token").as_str()] {
        assert_eq!(world.refresh(&client, bad).await.1["error"], "invalid_grant", "{bad}");
    }
    assert_eq!(world.refresh(&client, &token).await.0, 200);
}

#[tokio::test]
async fn n15_t6_a_refresh_narrows_and_never_widens() {
    let world = World::new().await;
    let client = world.client().await;
    let mut token = text(&world.tokens(&client, "ann@example.com").await, "refresh_token");
    for (asked, granted) in [
        (DRIVE, Some(DRIVE)),
        ("", Some("email openid")),
        ("openid claudeai", Some("openid")),
        (GMAIL, None),
        ("openid profile", None),
    ] {
        let form =
            [("grant_type", "refresh_token"), ("refresh_token", &token), ("client_id", &client.id), ("scope", asked)];
        let (status, answer) = world.post_form("/oauth/token", &form).await;
        match granted {
            Some(granted) => {
                assert_eq!(status, 200, "{asked}: {answer}");
                assert!(granted.split(' ').all(|scope| scopes(&answer).contains(scope)), "{asked}: {answer}");
                token = text(&answer, "refresh_token");
            }
            None => assert_eq!((status, &answer["error"]), (400, &"invalid_scope".into()), "{asked}"),
        }
    }
    assert_eq!(world.refresh(&client, &token).await.0, 200, "T6: refused, not signed out");
}

#[tokio::test]
async fn n15_t11_a_grant_lives_ninety_days_beyond_its_last_use() {
    let world = World::new().await;
    let client = world.client().await;
    let mut token = text(&world.tokens(&client, "ann@example.com").await, "refresh_token");
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(80 * 24 * 3600));
        let (status, answer) = world.refresh(&client, &token).await;
        assert_eq!(status, 200, "T11: sliding, by last use: {answer}");
        token = text(&answer, "refresh_token");
    }
}

#[tokio::test]
async fn n15_an_account_that_was_disconnected_gives_no_more_tokens() {
    let world = World::new().await;
    let client = world.client().await;
    let token = text(&world.tokens(&client, "ann@example.com").await, "refresh_token");
    world.manager().disconnect(&world.key_of("ann@example.com")).await.unwrap();
    let (status, answer) = world.refresh(&client, &token).await;
    assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()), "so that the client signs in anew");
}
