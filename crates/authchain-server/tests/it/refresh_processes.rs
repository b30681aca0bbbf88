//! Number 15 of the checklist, case T1, with processes of the operating system in the place of tasks: each has its own
//! connection, as the sessions of one client on one machine have. The server runs on the durable database.
//!
//! A test starts this test program again, for the ignored test below, which plays one client process: it waits until its
//! standard input is closed, so that all begin at once, and prints what it was answered.

use std::{
    env,
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use authchain::store::StateDb;
use serde_json::Value;

use crate::world::{Client, World, text};

const PROCESSES: usize = 50;
const SERVER: &str = "AUTHCHAIN_TEST_SERVER";
const FORM: &str = "AUTHCHAIN_TEST_FORM";
const LOSES_THE_ANSWER: &str = "AUTHCHAIN_TEST_LOSES_THE_ANSWER";

/// So many processes that will refresh with this token; every fifth loses the answer.
fn processes(world: &World, client: &Client, token: &str) -> Vec<Child> {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("refresh_token", token)
        .append_pair("client_id", &client.id)
        .finish();
    let authority = format!("127.0.0.1:{}", world.base.port().unwrap());
    let start = |n: usize| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "refresh_processes::refreshes_once", "--ignored", "--quiet", "--nocapture"]);
        command.env(SERVER, &authority).env(FORM, &form).stdin(Stdio::piped()).stdout(Stdio::piped());
        if n % 5 == 4 {
            command.env(LOSES_THE_ANSWER, "1");
        }
        command.spawn().unwrap()
    };
    (0..PROCESSES).map(start).collect()
}

/// Lets them go at once; what those said that got an answer.
async fn answers(mut processes: Vec<Child>) -> Vec<Value> {
    for process in &mut processes {
        drop(process.stdin.take());
    }
    let ends = processes.into_iter().map(|process| tokio::task::spawn_blocking(|| process.wait_with_output().unwrap()));
    let mut answers = Vec::new();
    for end in futures_util::future::join_all(ends).await {
        let output = end.unwrap();
        assert!(output.status.success());
        let said = String::from_utf8(output.stdout).unwrap();
        let answer = said.lines().find_map(|line| line.strip_prefix("ANSWER ")).expect("it was its turn");
        if answer != "lost" {
            let (head, body) = answer.split_once("\t").unwrap();
            assert!(head.contains(" 200 "), "{head}: {body}");
            answers.push(serde_json::from_str(body).unwrap());
        }
    }
    answers
}

#[tokio::test]
#[ignore = "the other process of a test"]
async fn refreshes_once() {
    let (Ok(server), Ok(form)) = (env::var(SERVER), env::var(FORM)) else { return };
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let mut connection = TcpStream::connect(&server).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let kind = "application/x-www-form-urlencoded";
    let head = format!("POST /oauth/token HTTP/1.1\r\nhost: {server}\r\ncontent-type: {kind}\r\nconnection: close\r\n");
    write!(connection, "{head}content-length: {}\r\n\r\n{form}", form.len()).unwrap();
    if env::var_os(LOSES_THE_ANSWER).is_some() {
        // The answer is on its way, and nobody reads it.
        connection.read_exact(&mut [0; 1]).unwrap();
        println!("\nANSWER lost");
        return;
    }
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    println!("\nANSWER {}\t{body}", head.lines().next().unwrap());
}

#[tokio::test]
async fn n15_t1_fifty_processes_answers_that_are_lost_and_restarts_sign_nobody_out_and_the_family_does_not_grow() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let restart =
        || world.take_over(Arc::new(StateDb::open(&folder.path().join("state.db"), world.clock.clone()).unwrap()));
    restart();
    let client = world.client().await;
    let tokens = world.tokens(&client, "ann@example.com").await;
    let grant = world.verified(&tokens).grant.unwrap();
    let mut token = text(&tokens, "refresh_token");
    for round in 1..=2 {
        let (before, after) = (processes(&world, &client, &token), processes(&world, &client, &token));
        let mut all = answers(before).await;
        restart();
        all.extend(answers(after).await);
        assert_eq!(all.len(), 2 * PROCESSES * 4 / 5);
        assert!(all.iter().all(|answer| answer["refresh_token"] == all[0]["refresh_token"]), "the same for all");
        let now = world.grants().get(&grant).await.unwrap().unwrap().value;
        assert_eq!(now.generation, 1 + round, "one step, whoever asked and however often");
        token = text(&all[0], "refresh_token");
    }
    // Who sat on the first token for longer than the window is a thief, and ends all.
    world.clock.advance(Duration::from_secs(61));
    let (status, answer) = world.refresh(&client, &text(&tokens, "refresh_token")).await;
    assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()));
    assert_eq!(world.refresh(&client, &token).await.0, 400, "the family has ended");
    assert!(world.grants().get(&grant).await.unwrap().is_none());
}
