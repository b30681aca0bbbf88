//! The same on PostgreSQL, and what becomes of servers whose database goes away.

// The server that the tests of the store start, too.
#[path = "../../../../authchain-store/tests/it/postgres/server.rs"]
mod server;

use std::{sync::Arc, time::Duration};

use authchain::{core::Secret, provider::Pkce};

use self::server::Server;
use super::{
    ANN, Instances, a_code_is_redeemed_once, a_shared_token_signs_nobody_out, a_state_is_taken_once,
    clients_are_known_everywhere, proofs_count_once, sign_in_over_all,
};
use crate::world::text;

/// Of thirty-two bytes, as operators hand it to each server.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

async fn on_a_database(server: &Server, count: usize) -> Instances {
    let url = server.url().await;
    let settings = [("storage.mode", "postgres"), ("storage.url", url.expose()), ("storage.keys", KEY)];
    Instances::start(count, &settings).await
}

#[tokio::test]
async fn n13_n18_a_sign_in_begins_at_one_server_returns_to_another_and_is_redeemed_at_a_third() {
    let server = Server::shared();
    sign_in_over_all(&on_a_database(&server, 3).await).await;
}

#[tokio::test]
async fn n03_servers_that_start_at_once_on_an_empty_database_have_the_same_keys() {
    let server = Server::shared();
    for _ in 0..3 {
        let instances = on_a_database(&server, 4).await;
        let mut published = Vec::new();
        for instance in 0..4 {
            published.push(instances.at(instance).get_json("/oauth/jwks").await);
        }
        assert!(published[0].0 == 200 && published.iter().all(|keys| *keys == published[0]), "{published:?}");
    }
}

#[tokio::test]
async fn n03_servers_that_make_their_key_file_together_agree_on_it_too() {
    let server = Server::shared();
    let url = server.url().await;
    let instances = Instances::start(3, &[("storage.mode", "postgres"), ("storage.url", url.expose())]).await;
    sign_in_over_all(&instances).await;
}

#[tokio::test]
async fn n13_three_servers_on_a_database_take_a_code_and_a_state_once() {
    let server = Server::shared();
    let instances = on_a_database(&server, 3).await;
    a_code_is_redeemed_once(&instances).await;
    a_state_is_taken_once(&instances).await;
}

#[tokio::test]
async fn n15_t1_on_a_database_fifty_clients_of_one_token_are_answered_by_two_servers_and_a_restart() {
    let server = Server::shared();
    a_shared_token_signs_nobody_out(on_a_database(&server, 2).await).await;
}

#[tokio::test]
async fn n19_on_a_database_a_proof_that_one_server_has_seen_is_refused_by_the_others() {
    let server = Server::shared();
    proofs_count_once(&on_a_database(&server, 3).await).await;
}

#[tokio::test]
async fn n06_on_a_database_a_registration_at_one_server_holds_at_the_others() {
    let server = Server::shared();
    clients_are_known_everywhere(&on_a_database(&server, 3).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n17_while_the_database_is_away_clients_are_told_to_come_back_and_then_are_served_without_a_restart() {
    let server = Arc::new(Server::start_new());
    let instances = on_a_database(&server, 2).await;
    let world = instances.at(0);
    let client = world.client().await;
    let tokens = world.tokens(&client, ANN).await;
    let refresh = text(&tokens, "refresh_token");
    let pkce = Pkce::generate();
    let code = world.code(&client, &pkce, ANN).await;

    let stopping = server.clone();
    tokio::task::spawn_blocking(move || stopping.stop()).await.unwrap();
    for instance in 0..2 {
        let world = instances.at(instance);
        let (status, answer) = world.refresh(&client, &refresh).await;
        assert_eq!((status, &answer["error"]), (503, &"temporarily_unavailable".into()), "{answer}");
        assert_eq!(world.redeem(&client, &pkce, &code).await.0, 503, "the code is not used up");
        let page = world.halting_browser().open(world.authorize_url(&client, &Pkce::generate(), &[])).await.unwrap();
        assert_eq!(page.status, 503, "{}", page.text());
        assert!(!page.text().contains("127.0.0.1"), "no address of ours: {}", page.text());
        let token = text(&tokens, "access_token");
        let asked = world.http.post(world.at("/mcp")).bearer_auth(token).send().await.unwrap();
        assert_eq!(asked.status(), 503, "a token that this server has not seen is neither good nor bad now");
        assert!(asked.headers().contains_key("retry-after"));
    }

    let starting = server.clone();
    tokio::task::spawn_blocking(move || starting.start()).await.unwrap();
    for instance in 0..2 {
        let world = instances.at(instance);
        // The first question may still find the connection of before.
        for _ in 0..100 {
            if world.refresh(&client, &refresh).await.0 != 503 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (status, answer) = world.refresh(&client, &refresh).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(instances.caller(&tokens).await.as_deref(), Some(ANN));
    }
    assert_eq!(instances.at(1).redeem(&client, &pkce, &code).await.0, 200, "it had not expired");
}
