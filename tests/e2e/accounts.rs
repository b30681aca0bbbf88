//! Two people with two accounts each: every combination of caller and requested account is tried, and only the caller's
//! own ones are answered, with that account's data; by many callers at once too, and after a restart.

use std::time::Duration;

use authchain_testkit::{Browser, Choice, Endpoint, StandIn, StandInOptions};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    journey::{CALLBACK, Client, Tokens, rpc, session_token},
    program::{Server, authchain, pointed_at, run},
};

/// A person, their second account, and a file that only the account has.
const PEOPLE: [[(&str, &str); 2]; 2] = [
    [("ann@example.com", "Quarterly plan"), ("ann.work@example.com", "Salary list")],
    [("bob@example.com", "Bread recipes"), ("bob.work@example.com", "Bakery rota")],
];
const CALLERS: usize = 200;
/// Shorter than the time before its end at which a token is renewed: a server that has just started renews each one as
/// soon as it is used.
const LIFE: Duration = Duration::from_secs(120);

struct Person {
    tokens: Tokens,
    /// The session token that they made for themselves.
    session: String,
    own: [(&'static str, &'static str); 2],
}

async fn world() -> (StandIn, Server, Vec<Person>) {
    let options = StandInOptions { second_accounts: true, access_token_life: LIFE, ..StandInOptions::default() };
    let google = StandIn::start(options).await.unwrap();
    let server = Server::start(&google, &[]).await;
    let mut people = Vec::new();
    for own in PEOPLE {
        let [(primary, _), (second, _)] = own;
        let client = Client::register(&server.mcp_url(), "accounts").await;
        let person = Browser::new().unwrap().stop_at(CALLBACK);
        let page = person.walk(client.authorize_url(), &Choice::approve(primary)).await.unwrap();
        let tokens = client.redeem(&page.query("code").unwrap()).await;
        // The same person at a browser links the second account.
        let browser = Browser::new().unwrap();
        browser.walk(format!("{}/auth", server.issuer()), &Choice::approve(primary)).await.unwrap();
        let linked = browser.walk(format!("{}/auth/link", server.issuer()), &Choice::approve(second)).await.unwrap();
        assert!(linked.text().contains(&format!("{second} is now linked to {primary}")), "{}", linked.text());
        let session = session_token(&server.issuer(), &browser).await;
        people.push(Person { tokens, session, own });
    }
    (google, server, people)
}

/// What `drive_list` answers for an account: the text, and whether it is an error.
async fn files(mcp_url: &str, token: &str, account: Option<&str>) -> (String, bool) {
    let arguments = account.map_or_else(|| json!({}), |account| json!({ "user_google_email": account }));
    let params = json!({ "name": "drive_list", "arguments": arguments });
    let answer = rpc(mcp_url, Some(token), "tools/call", params).await;
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (text, answer["result"]["isError"] == true)
}

/// Tries one combination: an own account answers with its own file and nobody else's; any other is refused.
async fn try_one(mcp_url: &str, token: &str, own: [(&str, &str); 2], requested: &str) {
    let (text, refused) = files(mcp_url, token, Some(requested)).await;
    let mine = own.iter().find(|(account, _)| *account == requested);
    match mine {
        Some((_, file)) => {
            assert!(!refused && text.contains(file), "{requested}: {text}");
            let others = PEOPLE.iter().flatten().filter(|(account, _)| *account != requested);
            for (_, other) in others {
                assert!(!text.contains(other), "{requested} answered with {other}: {text}");
            }
        }
        None => {
            assert!(refused && text.contains("not one of the caller's accounts"), "{requested}: {text}");
            for (_, file) in PEOPLE.iter().flatten() {
                assert!(!text.contains(file), "a refusal shows {file}: {text}");
            }
        }
    }
}

async fn every_combination(server: &Server, people: &[Person]) {
    for person in people {
        for (requested, _) in PEOPLE.iter().flatten() {
            try_one(&server.mcp_url(), &person.tokens.access, person.own, requested).await;
        }
        let (text, refused) = files(&server.mcp_url(), &person.tokens.access, None).await;
        assert!(!refused && text.contains(person.own[0].1), "left out, it is the primary account: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_owned_accounts_are_answered_also_after_a_restart_and_by_two_hundred_callers_at_once() {
    let (google, mut server, people) = world().await;
    every_combination(&server, &people).await;
    server.restart().await;
    // Every account's token is renewed while they call.
    let mut callers = JoinSet::new();
    for n in 0..CALLERS {
        let person = &people[n % people.len()];
        let (requested, _) = PEOPLE.as_flattened()[(n / people.len()) % 4];
        let (url, token, own) = (server.mcp_url(), person.tokens.access.clone(), person.own);
        callers.spawn(async move { try_one(&url, &token, own, requested).await });
    }
    while let Some(called) = callers.join_next().await {
        called.unwrap();
    }
    assert!(google.control().requests(Endpoint::Refresh) >= 4, "each account was refreshed");
    every_combination(&server, &people).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_lists_with_its_token_and_only_the_person_switches_and_unlinks_with_theirs() {
    let (_google, server, people) = world().await;
    let [ann, bob] = people.as_slice() else { panic!("two people") };
    let http = reqwest::Client::new();
    let (accounts, active) =
        (format!("{}/auth/accounts", server.issuer()), format!("{}/auth/accounts/active", server.issuer()));
    let list = async |token: &str| -> Value {
        http.get(&accounts).bearer_auth(token).send().await.unwrap().json().await.unwrap()
    };
    let listed = list(&ann.tokens.access).await;
    let names: Vec<_> = listed["accounts"].as_array().unwrap().iter().map(|a| a["user"].as_str().unwrap()).collect();
    assert_eq!(names, ["ann@example.com", "ann.work@example.com"]);
    assert_eq!(http.get(&accounts).bearer_auth("nonsense").send().await.unwrap().status(), 401);

    let switch = async |token: &str, account: &str| {
        let request = http.post(&active).bearer_auth(token).json(&json!({ "account": account }));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(switch(&bob.session, "ann.work@example.com").await, 403);
    assert_eq!(switch(&ann.tokens.access, "ann.work@example.com").await, 403, "ann did not allow the client that");
    let (text, _) = files(&server.mcp_url(), &ann.tokens.access, None).await;
    assert!(text.contains("Quarterly plan"), "nothing has changed: {text}");
    assert_eq!(switch(&ann.session, "ann.work@example.com").await, 200);
    let (text, _) = files(&server.mcp_url(), &ann.tokens.access, None).await;
    assert!(text.contains("Salary list") && !text.contains("Quarterly plan"), "{text}");
    let (text, _) = files(&server.mcp_url(), &bob.tokens.access, Some("me")).await;
    assert!(text.contains("Bread recipes"), "ann's switch is ann's: {text}");

    let url = format!("{accounts}/ann.work%40example.com");
    assert_eq!(http.delete(&url).bearer_auth(&bob.session).send().await.unwrap().status(), 403);
    let refused = http.delete(&url).bearer_auth(&ann.tokens.access).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let refused: Value = refused.json().await.unwrap();
    let why = refused["error_description"].as_str().unwrap();
    assert!(why.contains("a program that you connected may look at this and not change it"), "{refused}");
    let unlinked: Value = http.delete(&url).bearer_auth(&ann.session).send().await.unwrap().json().await.unwrap();
    assert_eq!((&unlinked["status"], &unlinked["revoked"]), (&json!("unlinked"), &json!(true)), "{unlinked}");
    let (text, refused) = files(&server.mcp_url(), &ann.tokens.access, Some("ann.work@example.com")).await;
    assert!(refused, "{text}");
    let (text, refused) = files(&server.mcp_url(), &ann.tokens.access, None).await;
    assert!(!refused && text.contains("Quarterly plan"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_let_clients_switch_accounts() {
    let (_google, mut server, people) = world().await;
    server.restart_with("AUTHCHAIN__CLIENTS__MAY_CHANGE_ACCOUNTS", "true").await;
    assert!(server.log().contains("clients.may_change_accounts is on"), "{}", server.log());
    let active = format!("{}/auth/accounts/active", server.issuer());
    let request = reqwest::Client::new().post(active).bearer_auth(&people[0].tokens.access);
    let switched = request.json(&json!({ "account": "ann.work@example.com" })).send().await.unwrap();
    assert_eq!(switched.status(), 200);
    let (text, _) = files(&server.mcp_url(), &people[0].tokens.access, None).await;
    assert!(text.contains("Salary list"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_and_changes_the_same_beside_a_running_server() {
    let (google, server, people) = world().await;
    let command = async |args: &[&str]| {
        let mut command = authchain(&server.data());
        command.arg("accounts").args(args).arg("--data").arg(server.data()).arg("--json").envs(pointed_at(&google));
        let output = run(&mut command).await;
        let stdout = String::from_utf8(output.stdout).unwrap();
        let answer: Value = serde_json::from_str(stdout.trim_end()).unwrap_or(Value::Null);
        (output.status.code(), answer, String::from_utf8(output.stderr).unwrap())
    };
    let (code, list, _) = command(&["list"]).await;
    assert_eq!((code, list.as_array().map(Vec::len)), (Some(0), Some(2)), "{list}");
    assert_eq!(list[0]["accounts"][1]["user"], "ann.work@example.com");

    let ann = "ann@example.com";
    let (code, answer, _) = command(&["validate", "--owner", ann]).await;
    assert_eq!((code, &answer["health"]["status"]), (Some(0), &json!("healthy")), "{answer}");
    let (code, _, errors) = command(&["validate"]).await;
    assert_eq!(code, Some(2), "whose? {errors}");
    assert!(errors.contains("--owner"), "{errors}");

    let (code, _, errors) = command(&["switch", "bob@example.com", "--owner", ann]).await;
    assert_eq!(code, Some(5), "{errors}");
    let (code, _, errors) = command(&["link", "eve@example.com", "--owner", ann]).await;
    assert_eq!(code, Some(4), "nothing is stored: {errors}");
    assert!(errors.contains("authchain login --account eve@example.com"), "{errors}");
    let (code, answer, _) = command(&["switch", "ann.work@example.com", "--owner", ann]).await;
    assert_eq!((code, &answer["active"]), (Some(0), &json!("ann.work@example.com")), "{answer}");
    let (text, _) = files(&server.mcp_url(), &people[0].tokens.access, None).await;
    assert!(text.contains("Salary list"), "the server sees it at once: {text}");

    let (code, answer, errors) = command(&["unlink", "ann.work@example.com", "--owner", ann]).await;
    assert_eq!((code, &answer["credential"]), (Some(0), &json!("deleted")), "{answer} {errors}");
    let (text, refused) = files(&server.mcp_url(), &people[0].tokens.access, Some("ann.work@example.com")).await;
    assert!(refused, "{text}");
}
