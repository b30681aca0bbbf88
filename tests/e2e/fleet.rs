//! Several `authchain serve` behind one address, on one database or one folder: they are killed and started again while
//! clients refresh and call, and nobody notices more than a connection that broke.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use authchain_testkit::{Endpoint, StandIn, StandInOptions};
use futures_util::future::join_all;
use reqwest::{Client as Http, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{
    journey::{ANN, Client, LEGACY, Tokens, post, text_of},
    program::{Program, authchain, free_port, pointed_at, run},
};

const SERVERS: usize = 3;
const CLIENTS: usize = 20;
/// Longer than anything takes on a busy machine with a slow disk.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the stand-in's access tokens live. A server takes one from the store if it has ten seconds left, so that a new
/// one is needed every five seconds.
const LIFE: Duration = Duration::from_secs(15);
const NEEDED_EVERY: u64 = 5;

/// Servers that share their store and their public address. What connects there is passed on to one after the other.
struct Fleet {
    servers: Vec<Node>,
    balancer: u16,
    passing_on: AbortHandle,
    variables: Vec<(String, String)>,
    home: TempDir,
}

struct Node {
    port: u16,
    program: Option<Program>,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.passing_on.abort();
    }
}

impl Fleet {
    /// Starts all servers at once on a store that is empty.
    async fn start(google: &StandIn, variables: &[(&str, &str)]) -> Self {
        let balancer = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = balancer.local_addr().unwrap().port();
        let servers: Vec<_> = (0..SERVERS).map(|_| Node { port: free_port(), program: None }).collect();
        let passing_on = tokio::spawn(pass_on(balancer, servers.iter().map(|server| server.port).collect()));
        let mut all: Vec<_> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        all.extend(pointed_at(google));
        all.push(("AUTHCHAIN__SERVER__PUBLIC_URL".into(), format!("http://127.0.0.1:{port}")));
        // A token with less life than this is renewed as soon as it is read.
        all.push(("AUTHCHAIN__REFRESH__AHEAD".into(), "1s".into()));
        let home = tempfile::tempdir().unwrap();
        let passing_on = passing_on.abort_handle();
        let mut fleet = Self { servers, balancer: port, passing_on, variables: all, home };
        fleet.launch(&(0..SERVERS).collect::<Vec<_>>()).await;
        fleet
    }

    fn command(&self) -> tokio::process::Command {
        let mut command = authchain(self.home.path());
        command.env("AUTHCHAIN__STORAGE__DIRECTORY", self.home.path().join("data"));
        command.envs(self.variables.iter().map(|(k, v)| (k, v)));
        command
    }

    async fn launch(&mut self, which: &[usize]) {
        for &n in which {
            let mut command = self.command();
            command.args(["serve", "--port", &self.servers[n].port.to_string()]);
            self.servers[n].program = Some(Program::start(&mut command, &self.home.path().join(format!("log{n}"))));
        }
        let ready = async |n: usize| {
            let url = format!("http://127.0.0.1:{}/.well-known/oauth-protected-resource", self.servers[n].port);
            while reqwest::get(&url).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let all = join_all(which.iter().map(|&n| ready(n)));
        timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("they do not start:\n{}", self.logs()));
    }

    /// Ends servers as `kill -9` does.
    async fn kill(&mut self, which: &[usize]) {
        for &n in which {
            self.servers[n].program.take().unwrap().kill().await;
        }
    }

    /// The endpoint as clients know it.
    fn mcp_url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.balancer)
    }

    /// The endpoint of one server, past the others.
    fn mcp_at(&self, n: usize) -> String {
        format!("http://127.0.0.1:{}/mcp", self.servers[n].port)
    }

    fn logs(&self) -> String {
        let log = |n| std::fs::read_to_string(self.home.path().join(format!("log{n}"))).unwrap_or_default();
        (0..SERVERS).map(log).collect()
    }
}

/// Plays the load balancer: each connection goes to the next server that takes it; where none does, it ends.
async fn pass_on(balancer: TcpListener, ports: Vec<u16>) {
    let (ports, next) = (Arc::new(ports), Arc::new(AtomicUsize::new(0)));
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = balancer.accept().await.unwrap();
        let (ports, next) = (ports.clone(), next.clone());
        connections.spawn(async move {
            for _ in 0..ports.len() {
                let port = ports[next.fetch_add(1, Ordering::Relaxed) % ports.len()];
                if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                    // A server that dies breaks the connection, which the client sees.
                    let _broken = copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Sends a request until it is answered. What a client may meet meanwhile is a connection that is refused or breaks, and 503
/// with a time to try again; each connection is a new one, so that the next goes to another server.
async fn answered(request: impl Fn(&Http) -> RequestBuilder) -> (StatusCode, Value) {
    let trying = async {
        loop {
            let http = Http::builder().pool_max_idle_per_host(0).build().unwrap();
            if let Ok(answer) = request(&http).send().await {
                let status = answer.status();
                let retriable = answer.headers().contains_key("retry-after");
                if let Ok(body) = answer.bytes().await {
                    let text = String::from_utf8_lossy(&body);
                    if status != StatusCode::SERVICE_UNAVAILABLE {
                        return (status, serde_json::from_slice(&body).unwrap_or_else(|_| json!(text)));
                    }
                    assert!(retriable, "503 without Retry-After: {text}");
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, trying).await.expect("it is answered at last")
}

/// Calls a tool that needs ann's credential.
async fn list_files(mcp_url: &str, access: &str) -> (StatusCode, Value) {
    let params = json!({ "name": "drive_list", "arguments": {} });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    answered(|http| post(http, mcp_url, Some(access), &body).header("mcp-protocol-version", LEGACY)).await
}

/// Redeems a refresh token at this server, or, by the public address, at any.
async fn redeem(client: &Client, base: &str, refresh: &str) -> (StatusCode, Value) {
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", client.id.as_str())];
    let endpoint = base.replace("/mcp", "/oauth/token");
    answered(|http| http.post(&endpoint).form(&form)).await
}

/// A client that refreshes and calls until it is told to stop, and fails the test when it is signed out.
async fn work(client: Client, mut tokens: Tokens, stop: Arc<AtomicBool>, rounds: Arc<AtomicU64>) -> (Client, Tokens) {
    while !stop.load(Ordering::Relaxed) {
        let (status, files) = list_files(&client.mcp_url, &tokens.access).await;
        assert_eq!(status, 200, "{files}");
        assert!(!text_of(&files).is_empty());
        let (status, fresh) = redeem(&client, &client.mcp_url, &tokens.refresh).await;
        assert_eq!(status, 200, "signed out: {fresh}");
        let text = |name: &str| fresh[name].as_str().unwrap().to_owned();
        tokens = Tokens { access: text("access_token"), refresh: text("refresh_token") };
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    (client, tokens)
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("it never came to be: {what}"));
}

/// Clients that have signed in, each through all servers.
async fn sign_in_everybody(fleet: &Fleet) -> Vec<(Client, Tokens)> {
    let mut clients = Vec::new();
    for batch in 0..CLIENTS / 4 {
        let url = fleet.mcp_url();
        let sign_in = async |n: usize| {
            let client = Client::register(&url, &format!("client {batch}-{n}")).await;
            let tokens = client.sign_in().await;
            (client, tokens)
        };
        clients.extend(join_all((0..4).map(sign_in)).await);
    }
    clients
}

/// Kills servers, one, two or all at once, and starts them again, while everybody works. Who works is given back, with what
/// they hold.
async fn restart_storm(google: &StandIn, fleet: &mut Fleet, clients: Vec<(Client, Tokens)>) -> Vec<(Client, Tokens)> {
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (began, before) = (Instant::now(), google.control().requests(Endpoint::Refresh));
    let mut working = JoinSet::new();
    for (client, tokens) in clients {
        working.spawn(work(client, tokens, stop.clone(), rounds.clone()));
    }
    let mut kills = 0;
    for victims in [&[0][..], &[1], &[2, 0], &[1, 2], &[0, 1, 2]] {
        // Everybody is in the middle of something.
        let so_far = rounds.load(Ordering::Relaxed);
        until("clients go on", async || rounds.load(Ordering::Relaxed) >= so_far + CLIENTS as u64).await;
        assert_eq!(working.len(), CLIENTS);
        if let Some(failed) = working.try_join_next() {
            panic!("{:?}\n{}", failed.err(), fleet.logs());
        }
        fleet.kill(victims).await;
        fleet.launch(victims).await;
        kills += victims.len() as u64;
    }
    let so_far = rounds.load(Ordering::Relaxed);
    until("clients go on", async || rounds.load(Ordering::Relaxed) >= so_far + CLIENTS as u64).await;
    stop.store(true, Ordering::Relaxed);
    let done = working.join_all().await;

    // At worst every server asked once whenever a token was needed, and each that was killed had asked in vain.
    let (asked, elapsed) = (google.control().requests(Endpoint::Refresh) - before, began.elapsed().as_secs());
    let bound = (elapsed / NEEDED_EVERY + 2) * SERVERS as u64 + kills;
    assert!(asked <= bound, "{asked} refreshes in {elapsed} s, at {} calls", rounds.load(Ordering::Relaxed));
    done
}

/// A client that is revoked at one server is refused by all, and what an operator deletes is used by none.
async fn ended_at_one_is_ended_at_all(google: &StandIn, fleet: &mut Fleet, clients: &[(Client, Tokens)]) {
    let [(revoked, held), (other, others), ..] = clients else { panic!("there are clients") };
    let form = [("token", held.refresh.as_str()), ("client_id", revoked.id.as_str())];
    let endpoint = fleet.mcp_at(0).replace("/mcp", "/oauth/revoke");
    let (status, answer) = answered(|http| http.post(&endpoint).form(&form)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(list_files(&fleet.mcp_at(0), &held.access).await.0, 401, "the server that was told");
    for n in 0..SERVERS {
        let (status, answer) = redeem(revoked, &fleet.mcp_at(n), &held.refresh).await;
        assert_eq!(
            (status, &answer["error"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_grant")),
            "server {n}: {answer}"
        );
    }
    // From here on no token ends by itself, and every server holds one.
    google.control().access_token_life(Duration::from_secs(3600));
    other.sign_in().await;
    fleet.kill(&[0, 1, 2]).await;
    fleet.launch(&[0, 1, 2]).await;
    let serves = async |n: usize| {
        let (status, answer) = list_files(&fleet.mcp_at(n), &others.access).await;
        status == 200 && answer["result"]["isError"] != true
    };
    for n in 0..SERVERS {
        // A server that was not told may have remembered the token for a minute; one that starts has not.
        assert_eq!(list_files(&fleet.mcp_at(n), &held.access).await.0, 401, "server {n}");
        assert!(serves(n).await, "server {n}: others are not concerned");
    }
    let deleted = run(fleet.command().args(["credentials", "delete", ANN, "--yes"])).await;
    let said = String::from_utf8(deleted.stderr).unwrap();
    assert!(deleted.status.success() && said.contains("Servers that run notice within"), "{said}");
    for n in 0..SERVERS {
        until(&format!("server {n} has noticed"), async || !serves(n).await).await;
    }
    // Signing in again is all it takes, at every server.
    other.sign_in().await;
    for n in 0..SERVERS {
        until(&format!("server {n} serves again"), async || serves(n).await).await;
    }
}

/// Everything of the above, on the store that these variables name. The tests of the database call it, too.
pub(crate) async fn nobody_notices(variables: &[(&str, &str)]) {
    let google = StandIn::start(StandInOptions { access_token_life: LIFE, ..StandInOptions::default() }).await.unwrap();
    let mut fleet = Fleet::start(&google, variables).await;
    let clients = sign_in_everybody(&fleet).await;
    let clients = restart_storm(&google, &mut fleet, clients).await;
    ended_at_one_is_ended_at_all(&google, &mut fleet, &clients).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_on_one_folder_are_killed_and_started_again_and_nobody_is_signed_out() {
    nobody_notices(&[("AUTHCHAIN__REFRESH__LOOK_AGAIN", "1s")]).await;
}
