//! `demo --check`: a client and a person go the whole way against the running demo, and each step is checked and timed.
#![allow(clippy::indexing_slicing, reason = "indexing JSON does not panic: what is missing is null")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use authchain::provider::Pkce;
use authchain_testkit::{Browser, Choice, Endpoint};
use reqwest::{
    Client, Response,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};
use url::Url;

use super::Running;
use crate::{args::Demo, failure::Failure, output::Output};

const PERSON: &str = "ann@example.com";
const REDIRECT: &str = "http://127.0.0.1:9/callback";

pub(super) async fn run(args: Demo, output: Output) -> Result<(), Failure> {
    let mut check = Check { output, passed: 0, started: Instant::now() };
    let outcome = check.whole_way(&args).await;
    let (passed, took) = (check.passed, check.started.elapsed());
    match outcome {
        Ok(()) => {
            let answer = json!({ "passed": passed, "failed": 0, "milliseconds": took.as_millis() });
            output.answer(&answer, format!("{passed} steps, all as they should be, in {} ms", took.as_millis()));
            Ok(())
        }
        Err(error) => Err(Failure::new(
            format!("step {} failed: {error:#}", passed + 1),
            "Run it again with RUST_LOG=authchain=debug and look at the log.",
        )),
    }
}

struct Check {
    output: Output,
    passed: u32,
    started: Instant,
}

/// What a client holds after it has signed in.
struct Tokens {
    access: String,
    refresh: String,
}

impl Check {
    /// Waits for one step and prints how long it took.
    async fn step<T>(&mut self, name: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let begun = Instant::now();
        let outcome = work.await.with_context(|| name.to_owned());
        let took = begun.elapsed();
        let mark = if outcome.is_ok() { "✓" } else { "✗" };
        let json = json!({ "step": name, "ok": outcome.is_ok(), "microseconds": took.as_micros() });
        self.output.answer(&json, format!("{mark} {name:<58} {:>8.1} ms", took.as_secs_f64() * 1000.0));
        self.passed += u32::from(outcome.is_ok());
        outcome
    }

    async fn whole_way(&mut self, args: &Demo) -> Result<()> {
        let mut demo = self.step("demo started", async { Running::start(args).await.map_err(explained) }).await?;
        let client = McpClient::new(demo.mcp_url())?;

        let metadata = self.step("request without token → 401 challenge", client.challenged()).await?;
        let server = self.step("discovery", client.discover(metadata)).await?;
        let client_id = self.step("registration", client.register(&server)).await?;

        let pkce = Pkce::generate();
        let authorize = client.authorize_url(&server, &client_id, pkce.challenge.as_str())?;
        let person = Browser::new()?.stop_at(REDIRECT);
        self.step("authorize → consent page", async {
            let page = person.open(&authorize).await?;
            ensure!(page.status == 200, "the consent page answers {}", page.status);
            ensure!(page.text().contains("authchain check"), "it does not name the client");
            Ok(())
        })
        .await?;
        let code = self
            .step("consent → upstream sign-in → code", async {
                let choice = Choice { account: PERSON.into(), approve: true };
                let page = person.walk(&authorize, &choice).await?;
                ensure!(page.stopped, "the sign-in ends on the page {:?}", page.title());
                ensure!(page.query("state").as_deref() == Some("st=/+"), "state did not come back as it was sent");
                ensure!(page.query("iss").as_deref() == Some(&demo.issuer()), "the answer names another issuer");
                page.query("code").context("no code came back")
            })
            .await?;
        let tokens =
            self.step("code → token", client.redeem(&server, &client_id, &code, pkce.verifier.expose())).await?;

        self.step("tools/list", client.lists_tools(&tokens.access)).await?;
        self.step("tools/call on Drive", client.calls(&tokens.access, "drive_list", json!({}))).await?;
        self.step("tools/call by the generic client", client.calls(&tokens.access, "drive_quota", json!({}))).await?;
        let mail = json!({ "query": "" });
        self.step("tools/call on Gmail", client.calls(&tokens.access, "gmail_search", mail)).await?;
        self.step("tools/call on Calendar", client.calls(&tokens.access, "calendar_list", json!({}))).await?;

        let tokens = self
            .step("access token expired → refused → refreshed", async {
                demo.clock().advance(Duration::from_secs(2 * 3600));
                demo.google().control().expire_access_tokens();
                client.refused(&tokens.access).await?;
                client.refresh(&server, &client_id, &tokens.refresh).await
            })
            .await?;
        self.step("one refresh upstream for 20 calls at once", async {
            let before = demo.google().control().requests(Endpoint::Refresh);
            let calls = (0..20).map(|_| client.calls(&tokens.access, "drive_list", json!({})));
            futures_util::future::try_join_all(calls).await?;
            let refreshes = demo.google().control().requests(Endpoint::Refresh) - before;
            ensure!(refreshes == 1, "there were {refreshes} refreshes");
            Ok(())
        })
        .await?;

        self.step("server restarted", async { demo.restart().await.map_err(explained) }).await?;
        self.step("still signed in, no new consent", async {
            client.calls(&tokens.access, "drive_list", json!({})).await?;
            client.refresh(&server, &client_id, &tokens.refresh).await.map(drop)
        })
        .await?;

        self.step("token refused by Google's API → replaced, call repeated", async {
            demo.google().control().expire_access_tokens();
            client.calls(&tokens.access, "drive_list", json!({})).await
        })
        .await?;

        self.step("revoked → 401", async {
            client.revoke(&server, &client_id, &tokens.refresh).await?;
            client.refused(&tokens.access).await
        })
        .await
    }
}

fn explained(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("{}: {}", failure.message, failure.fix)
}

/// An MCP client that does by hand what an SDK does.
struct McpClient {
    http: Client,
    mcp_url: String,
}

impl McpClient {
    fn new(mcp_url: String) -> Result<Self> {
        Ok(Self { http: Client::builder().timeout(Duration::from_secs(10)).build()?, mcp_url })
    }

    async fn rpc(&self, token: Option<&str>, method: &str, params: Value) -> Result<Response> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut request = self
            .http
            .post(&self.mcp_url)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .json(&body);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        Ok(request.send().await?)
    }

    /// The address of the resource's metadata, from the challenge.
    async fn challenged(&self) -> Result<Url> {
        let response = self.rpc(None, "tools/list", json!({})).await?;
        ensure!(response.status() == 401, "it answers {}", response.status());
        let header = response.headers().get(WWW_AUTHENTICATE).context("there is no challenge")?.to_str()?;
        ensure!(!header.contains("error="), "it speaks of an error although nothing was presented");
        let (_, rest) = header.split_once("resource_metadata=\"").context("it names no metadata")?;
        let (url, _) = rest.split_once('"').context("it names no metadata")?;
        Ok(Url::parse(url)?)
    }

    /// The authorization server's metadata, by way of the resource's.
    async fn discover(&self, metadata: Url) -> Result<Value> {
        let resource: Value = self.http.get(metadata).send().await?.error_for_status()?.json().await?;
        ensure!(resource["resource"] == self.mcp_url, "the resource is {}", resource["resource"]);
        let issuer = resource["authorization_servers"][0].as_str().context("no authorization server is named")?;
        let url = format!("{issuer}/.well-known/oauth-authorization-server");
        let server: Value = self.http.get(url).send().await?.error_for_status()?.json().await?;
        ensure!(server["issuer"] == issuer, "the issuer is {}", server["issuer"]);
        ensure!(server["code_challenge_methods_supported"] == json!(["S256"]), "PKCE is not announced");
        Ok(server)
    }

    async fn register(&self, server: &Value) -> Result<String> {
        let body = json!({
            "client_name": "authchain check",
            "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        });
        let endpoint = endpoint(server, "registration_endpoint")?;
        let answer: Value = self.http.post(endpoint).json(&body).send().await?.error_for_status()?.json().await?;
        Ok(answer["client_id"].as_str().context("no client id came back")?.to_owned())
    }

    fn authorize_url(&self, server: &Value, client_id: &str, challenge: &str) -> Result<Url> {
        let mut url = Url::parse(endpoint(server, "authorization_endpoint")?)?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", REDIRECT)
            .append_pair("state", "st=/+")
            .append_pair("code_challenge", challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", &self.mcp_url);
        Ok(url)
    }

    async fn redeem(&self, server: &Value, client_id: &str, code: &str, verifier: &str) -> Result<Tokens> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("client_id", client_id),
            ("code_verifier", verifier),
            ("resource", &self.mcp_url),
        ];
        self.tokens(server, &form).await
    }

    async fn refresh(&self, server: &Value, client_id: &str, refresh: &str) -> Result<Tokens> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", client_id)];
        self.tokens(server, &form).await
    }

    async fn tokens(&self, server: &Value, form: &[(&str, &str)]) -> Result<Tokens> {
        let response = self.http.post(endpoint(server, "token_endpoint")?).form(form).send().await?;
        let (status, answer): (_, Value) = (response.status(), response.json().await?);
        ensure!(status == 200, "it answers {status} {}", answer["error"]);
        let text =
            |name: &str| answer[name].as_str().map(str::to_owned).with_context(|| format!("no {name} came back"));
        Ok(Tokens { access: text("access_token")?, refresh: text("refresh_token")? })
    }

    async fn lists_tools(&self, token: &str) -> Result<()> {
        let answer: Value = self.rpc(Some(token), "tools/list", json!({})).await?.error_for_status()?.json().await?;
        let tools = answer["result"]["tools"].as_array().context("there is no list")?;
        ensure!(tools.len() == 10, "there are {} tools", tools.len());
        Ok(())
    }

    async fn calls(&self, token: &str, tool: &str, arguments: Value) -> Result<()> {
        let params = json!({ "name": tool, "arguments": arguments });
        let answer: Value = self.rpc(Some(token), "tools/call", params).await?.error_for_status()?.json().await?;
        let text = answer["result"]["content"][0]["text"].as_str().with_context(|| format!("{answer}"))?;
        ensure!(answer["result"]["isError"] != true, "{text}");
        ensure!(!text.is_empty() && !text.starts_with("No "), "it finds nothing: {text}");
        Ok(())
    }

    async fn refused(&self, token: &str) -> Result<()> {
        let response = self.rpc(Some(token), "tools/list", json!({})).await?;
        ensure!(response.status() == 401, "it answers {}", response.status());
        let header = response.headers().get(WWW_AUTHENTICATE).context("there is no challenge")?.to_str()?;
        if !header.contains("error=\"invalid_token\"") {
            bail!("the challenge says {header}");
        }
        Ok(())
    }

    async fn revoke(&self, server: &Value, client_id: &str, token: &str) -> Result<()> {
        let form = [("token", token), ("client_id", client_id)];
        self.http.post(endpoint(server, "revocation_endpoint")?).form(&form).send().await?.error_for_status()?;
        Ok(())
    }
}

fn endpoint<'a>(server: &'a Value, name: &str) -> Result<&'a str> {
    server[name].as_str().with_context(|| format!("the metadata names no {name}"))
}
