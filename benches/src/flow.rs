//! Whole sign-ins against a server: what a client, a person's browser and the provider's pages send it, and nothing else.
//!
//! A batch of people goes through two halves. In the first each client registers, opens the consent page and says yes. Then
//! the stand-in for the provider signs an id token for each of them, which nobody's time is counted for. In the second the
//! people come back and the clients redeem their codes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use url::Url;

use crate::{cpu, load::read_answer, process::Server};

/// People who sign in at the same time.
const CONNECTIONS: usize = 32;
/// Nobody listens there.
const CALLBACK: &str = "http://127.0.0.1:9/callback";
// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// What a batch of sign-ins showed.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Sign-ins in a second, as they were.
    pub per_second: f64,
    /// CPU time that the server spent for one, in nanoseconds.
    pub cpu: f64,
}

/// A sign-in that waits at the provider.
struct Away {
    client: String,
    cookie: String,
    state: String,
    nonce: String,
}

/// Signs in as many new people, with a new client each, numbered from `first`.
///
/// # Errors
/// When anything but a whole sign-in comes of it.
pub async fn batch(server: &Server, upstream: &Server, first: usize, people: usize) -> Result<Batch> {
    let share = |worker: usize| (first + worker..first + people).step_by(CONNECTIONS);
    let spent = || cpu::nanoseconds(server.process());

    let (cpu_before, begun) = (spent()?, Instant::now());
    let leaving: Vec<_> = (0..CONNECTIONS).map(|worker| tokio::spawn(leave(server.port, share(worker)))).collect();
    let mut away = Vec::new();
    for worker in leaving {
        away.push(worker.await??);
    }
    let (cpu_between, took) = (spent()? - cpu_before, begun.elapsed());

    presign(upstream, &away, first).await?;

    let (cpu_before, begun) = (spent()?, Instant::now());
    let returning: Vec<_> = away.into_iter().map(|people| tokio::spawn(come_back(server.port, people))).collect();
    let mut signed_in = 0;
    for worker in returning {
        signed_in += worker.await??;
    }
    let took: Duration = took + begun.elapsed();
    ensure!(signed_in == people, "{signed_in} of {people} signed in");
    let cpu = cpu_between + spent()? - cpu_before;
    Ok(Batch { per_second: people as f64 / took.as_secs_f64(), cpu: cpu as f64 / people as f64 })
}

/// To the provider.
async fn leave(port: u16, people: impl Iterator<Item = usize>) -> Result<Vec<Away>> {
    let mut connection = Connection::open(port).await?;
    let mut away = Vec::new();
    for person in people {
        let registration = json!({
            "client_name": format!("Client {person}"), "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        });
        let answer = connection.post("/oauth/register", "application/json", "", &registration.to_string()).await?;
        let client = answer.json(201)?["client_id"].as_str().context("no client_id")?.to_owned();

        let mut url = Url::parse("http://server/oauth/authorize")?;
        url.query_pairs_mut()
            .extend_pairs([("response_type", "code"), ("client_id", &client), ("redirect_uri", CALLBACK)])
            .extend_pairs([("code_challenge", CHALLENGE), ("code_challenge_method", "S256"), ("state", "st")])
            .append_pair("scope", "https://www.googleapis.com/auth/drive.readonly");
        let target = url.as_str().trim_start_matches("http://server");
        let page = connection.get(target, "").await?;
        let cookie = page.header("set-cookie")?.split(';').next().unwrap_or_default().to_owned();
        let ticket = page.body(200)?.split_once("name=\"ticket\" value=\"").context("a page without a ticket")?.1;
        let ticket = ticket.split('"').next().unwrap_or_default();

        let form = form(&[("ticket", ticket), ("decision", "allow")]);
        let answer = connection.post("/oauth/consent", FORM, &cookie, &form).await?;
        let provider = answer.address()?;
        let param =
            |name: &str| provider.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let (state, nonce) = param("state").zip(param("nonce")).context("the way to the provider has no state")?;
        away.push(Away { client, cookie, state, nonce });
    }
    Ok(away)
}

/// The provider's stand-in gets ready for these people. The nonce is the code that they come back with.
async fn presign(upstream: &Server, away: &[Vec<Away>], first: usize) -> Result<()> {
    let nonces: Vec<_> = away.iter().flatten().map(|person| person.nonce.as_str()).collect();
    let body = json!({ "first": first, "nonces": nonces }).to_string();
    let answer = Connection::open(upstream.port).await?.post("/presign", "application/json", "", &body).await?;
    answer.body(200).map(drop)
}

/// Back from the provider, and to the tokens. How many had some.
async fn come_back(port: u16, people: Vec<Away>) -> Result<usize> {
    let mut connection = Connection::open(port).await?;
    let mut signed_in = 0;
    for Away { client, cookie, state, nonce } in people {
        let target = format!("/oauth2callback?{}", form(&[("code", &nonce), ("state", &state)]));
        let back = connection.get(&target, &cookie).await?.address()?;
        let code = back.query_pairs().find(|(key, _)| key == "code").context("no code came back")?.1.into_owned();
        let form = form(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("client_id", &client),
            ("code_verifier", VERIFIER),
        ]);
        let tokens = connection.post("/oauth/token", FORM, "", &form).await?.json(200)?;
        ensure!(tokens["access_token"].is_string() && tokens["refresh_token"].is_string(), "{tokens}");
        signed_in += 1;
    }
    Ok(signed_in)
}

const FORM: &str = "application/x-www-form-urlencoded";

fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// One kept-alive connection.
struct Connection {
    stream: TcpStream,
    port: u16,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, port, buffer: vec![0; 64 * 1024] })
    }

    async fn get(&mut self, target: &str, cookie: &str) -> Result<Answer> {
        let port = self.port;
        self.send(format!("GET {target} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncookie: {cookie}\r\n\r\n")).await
    }

    async fn post(&mut self, target: &str, content: &str, cookie: &str, body: &str) -> Result<Answer> {
        let (port, length) = (self.port, body.len());
        self.send(format!(
            "POST {target} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\norigin: http://127.0.0.1:{port}\r\ncookie: {cookie}\r\n\
             content-type: {content}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    async fn send(&mut self, request: String) -> Result<Answer> {
        self.stream.write_all(request.as_bytes()).await?;
        let answer = read_answer(&mut self.stream, &mut self.buffer).await?;
        Ok(Answer(String::from_utf8(answer.to_vec())?))
    }
}

/// A whole answer.
struct Answer(String);

impl Answer {
    fn header(&self, name: &str) -> Result<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap_or_default();
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim()).with_context(|| format!("no {name} in\n{}", self.0))
    }

    fn body(&self, status: u16) -> Result<&str> {
        let (head, body) = self.0.split_once("\r\n\r\n").context("no whole answer")?;
        if !head.starts_with(&format!("HTTP/1.1 {status} ")) {
            bail!("another answer than {status}:\n{}", self.0);
        }
        Ok(body)
    }

    fn json(&self, status: u16) -> Result<Value> {
        Ok(serde_json::from_str(self.body(status)?)?)
    }

    fn address(&self) -> Result<Url> {
        self.body(303)?;
        Ok(Url::parse(self.header("location")?)?)
    }
}
