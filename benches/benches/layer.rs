//! What the layer costs: a warm request with a verified RS256 token through all five tiers, over bare axum; the first
//! sight of a token; the refusal of bad ones.
#![allow(clippy::print_stdout, reason = "benchmarks print")]
#![allow(clippy::indexing_slicing, reason = "a benchmark that is wrong may stop")]

use std::{
    convert::Infallible,
    hint::black_box,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use authchain::{
    AuthLayer, Chain, Challenge,
    core::{AuthRequest, Clock, ExactScopes, StateStore, SystemClock},
    grants::Grants,
    jwt::{Algorithm, ClaimNames, JwksCache, KeySource, SigningKeys, TrustedIssuer, Verifier},
    provider::{CredentialManager, RefreshOptions},
    sessions::Sessions,
    store::{MemoryState, MemoryStore},
    tiers::{CredentialBridge, JwtClaims, OAuthFallback, ProviderSession, SessionCache},
};
use authchain_bench::{
    cpu, load, now,
    process::{Server, serve},
    report::{line, median, nanoseconds_per_call},
    tokens,
    yardstick::Yardstick,
};
use axum::{Json, Router, routing::get};
use http::{Request, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

const TOKENS: usize = 1000;
const ROUNDS: usize = 7;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve", "bare"] => serve(app(), &[]).await,
        ["serve", "yardstick"] => serve(Yardstick::new(app()), &[]).await,
        ["serve", "guarded"] => {
            let issued = tokens::rs256(TOKENS)?;
            serve(layer(issued.issuer()?).layer(app()), &issued.tokens).await
        }
        ["serve", "refusing", published] => {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let keys = JwksCache::new(published.parse()?, authchain::provider::http_client()?, clock);
            let issuer = TrustedIssuer { keys: KeySource::Jwks(Arc::new(keys)), ..tokens::rs256(0)?.issuer()? };
            serve(layer(issuer).layer(app()), &[]).await
        }
        ["refusals"] => refusals().await,
        ["count", what, calls, file] => count(what, calls.parse()?, Path::new(file)),
        _ => {
            in_process()?;
            over_http().await
        }
    }
}

fn app() -> Router {
    Router::new().route("/", get(|| async { "ok" }))
}

/// All five tiers, with one trusted issuer beside our own.
fn layer(issuer: TrustedIssuer) -> AuthLayer {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let state: Arc<dyn StateStore> = Arc::new(MemoryState::new(clock.clone()));
    let grants = Arc::new(Grants::new(state.clone(), clock.clone(), Duration::from_secs(3600)));
    let sessions = Arc::new(Sessions::new(state, clock.clone(), Duration::from_secs(3600)));
    let own = TrustedIssuer {
        issuer: "https://mcp.example.com".into(),
        audiences: vec![tokens::AUDIENCE.into()],
        types: vec!["at+jwt".into()],
        keys: KeySource::Own(Arc::new(SigningKeys::generate(Algorithm::EdDSA).expect("a key is made"))),
        claims: ClaimNames::default(),
        algorithms: vec![Algorithm::EdDSA],
        provider: issuer.provider.clone(),
    };
    let verifier = |issuer| Arc::new(Verifier::new(vec![issuer], clock.clone()));
    let store = Arc::new(MemoryStore::new());
    let credentials =
        CredentialManager::new(store, Vec::new(), Arc::new(ExactScopes), clock.clone(), RefreshOptions::default());
    let chain = Chain::builder()
        .tier(JwtClaims::new(verifier(issuer), clock.clone()))
        .tier(ProviderSession::new(verifier(own), grants, credentials, clock.clone()))
        .tier(SessionCache::new(sessions))
        .tier(CredentialBridge::new())
        .tier(OAuthFallback);
    AuthLayer::new(chain.build()).challenge(Challenge::new())
}

/// The smallest service there is, so that what is measured is the layer.
#[derive(Clone)]
struct Nothing;

impl Service<Request<()>> for Nothing {
    type Response = Response<http_body_util::Empty<bytes::Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(&request);
        std::future::ready(Ok(Response::new(http_body_util::Empty::new())))
    }
}

fn request(token: &str) -> Request<()> {
    let request = Request::get("/mcp").header("authorization", format!("Bearer {token}"));
    request.body(()).expect("the request is well-formed")
}

fn in_process() -> Result<()> {
    let issued = tokens::rs256(TOKENS)?;
    let tokens = &issued.tokens;
    let mut bare = Nothing;
    let mut guarded = layer(issued.issuer()?).layer(Nothing);
    let requests: Vec<_> = tokens.iter().map(|token| request(token)).collect();
    for request in &requests {
        assert_eq!(now(guarded.call(request.clone())).map(|r| r.status()), Ok(http::StatusCode::OK));
    }
    let asked = |n: usize| requests[n % TOKENS].clone();
    let base = nanoseconds_per_call(15, 100_000, |n| drop(black_box(now(bare.call(asked(n))))));
    let ours = nanoseconds_per_call(15, 100_000, |n| drop(black_box(now(guarded.call(asked(n))))));
    line("warm request, added in process", format!("{:.0} ns", ours - base), "at most 400 ns");

    if let Some(added) = added_instructions(&issued)? {
        line("warm request, added instructions", format!("{added:.0}"), "at most 5000");
    }

    // A verifier that has seen nothing yet looks at each token once.
    let fresh = Verifier::new(vec![issued.issuer()?], Arc::new(SystemClock));
    let first = nanoseconds_per_call(7, TOKENS, |n| drop(black_box(fresh.check(&tokens[n]))));
    line("first sight of a token", format!("{:.1} µs", first / 1000.0), "at most 20 µs");
    let head = |n: usize| AuthRequest::of(&requests[n % TOKENS]).map(drop);
    let parsing = nanoseconds_per_call(7, 100_000, |n| drop(black_box(head(n))));
    line("of the warm request: reading the head", format!("{parsing:.0} ns"), "");
    Ok(())
}

/// Two counts of different length, so that what is done once cancels out.
fn added_instructions(issued: &tokens::Issued) -> Result<Option<f64>> {
    let file = std::env::temp_dir().join(format!("authchain-bench-{}", std::process::id()));
    issued.save(&file)?;
    let path = file.to_string_lossy().into_owned();
    let (few, many) = (1000, 6000);
    let per_call = |what: &str| -> Result<Option<f64>> {
        let [less, more] = [few, many].map(|calls: u64| cpu::instructions(&["count", what, &calls.to_string(), &path]));
        Ok(less?.zip(more?).map(|(less, more)| more.saturating_sub(less) as f64 / (many - few) as f64))
    };
    let (bare, guarded) = (per_call("bare")?, per_call("guarded")?);
    std::fs::remove_file(file)?;
    Ok(bare.zip(guarded).map(|(bare, guarded)| guarded - bare))
}

/// Runs under valgrind, with keys and tokens from a file: making RSA keys takes a different time each time.
fn count(what: &str, calls: usize, file: &Path) -> Result<()> {
    let issued = tokens::Issued::load(file)?;
    let mut bare = Nothing;
    let mut guarded = layer(issued.issuer()?).layer(Nothing);
    let requests: Vec<_> = issued.tokens.iter().map(|token| request(token)).collect();
    for request in requests.iter().chain(requests.iter().cycle().take(calls)) {
        match what {
            "bare" => drop(black_box(now(bare.call(request.clone())))),
            _ => drop(black_box(now(guarded.call(request.clone())))),
        }
    }
    Ok(())
}

/// Warm requests. Every round has processes of its own: where one happens to lie in memory is worth a few hundredths.
async fn over_http() -> Result<()> {
    let (mut costs, mut ratios) = ([const { Vec::new() }; 3], [const { Vec::new() }; 2]);
    for _ in 0..ROUNDS {
        let guarded = Server::start("guarded", TOKENS)?;
        let good: Vec<_> = guarded.extra.iter().map(|token| tokens::get("/", token)).collect();
        let servers = [Server::start("bare", 0)?, guarded, Server::start("yardstick", 0)?];
        let spent = load::take_turns(&servers, &good).await?;
        costs.iter_mut().zip(spent).for_each(|(all, cost)| all.push(cost));
        ratios.iter_mut().zip(&spent[1..]).for_each(|(all, cost)| all.push(spent[0] / cost));
    }
    let [ours, yardstick] = ratios.map(median);
    let [bare, guarded, behind_yardstick] = costs.map(median);
    line("warm request with a verified RS256 token: ratio to bare axum", format!("{ours:.3}"), "at least 0.97");
    line("    CPU for one request, bare and guarded", format!("{bare:.2} / {guarded:.2} µs"), "");
    line("    yardstick, SHA-256 of the token and moka: ratio", format!("{yardstick:.3}"), "0.91 to 0.95 elsewhere");
    line("    CPU for one request behind it", format!("{behind_yardstick:.2} µs"), "");

    refusals().await
}

/// Bad tokens, each a new one, and wrong signatures that were refused before.
async fn refusals() -> Result<()> {
    let keys = SigningKeys::generate(Algorithm::RS256)?;
    let strangers = SigningKeys::generate(Algorithm::RS256)?;
    let requests = |keys: &SigningKeys, change: &dyn Fn(&mut tokens::Claims)| -> Result<Vec<_>> {
        let issued = tokens::with_keys(keys, TOKENS, change)?;
        Ok(issued.tokens.iter().map(|token| tokens::get("/", token)).collect())
    };
    let unchanged = |_: &mut tokens::Claims| {};
    let expired = |claims: &mut tokens::Claims| {
        (claims.exp, claims.iat, claims.nbf) = (claims.exp - 7200, claims.iat - 7200, claims.nbf - 7200);
    };
    let of_a_stranger = |claims: &mut tokens::Claims| claims.iss = "https://stranger.example.com";
    let good = requests(&keys, &unchanged)?;
    // A dot too many near the end.
    let malformed = |request: &Vec<u8>| {
        let mut request = request.clone();
        let near_the_end = request.len() - 20;
        request[near_the_end] = b'.';
        request
    };
    let malformed: Vec<_> = good.iter().map(malformed).collect();

    let (published, fetched) = publish(keys.jwks()).await?;
    let guarded = Server::start_on(0, &["refusing", &published], 0)?;
    let bare = Server::start("bare", 0)?;
    // The keys are fetched with the first good one.
    load::round(&guarded, &good, 200, Duration::from_millis(200)).await?;
    for (what, requests, limit) in [
        ("malformed", malformed, "at least 0.9"),
        ("expired", requests(&keys, &expired)?, "at least 0.9"),
        ("of an unknown issuer", requests(&keys, &of_a_stranger)?, "at least 0.9"),
        ("of an unknown key", requests(&strangers, &unchanged)?, "at least 0.9"),
        ("with a wrong signature", good.clone(), "at least 0.35"),
    ] {
        let before = fetched.load(Ordering::Relaxed);
        let begun = Instant::now();
        compare(&format!("refusing a token {what}: ratio to bare axum"), &bare, &guarded, &requests, limit, true)
            .await?;
        let fetches = fetched.load(Ordering::Relaxed) - before;
        if what == "of an unknown key" {
            let what = format!("    JWKS fetches in {:.0} s of such tokens", begun.elapsed().as_secs_f64());
            line(&what, fetches, "at most one per 60 s");
        }
    }
    let wrong = |request: &Vec<u8>| {
        let mut request = request.clone();
        let near_the_end = request.len() - 20;
        request[near_the_end] = if request[near_the_end] == b'A' { b'B' } else { b'A' };
        request
    };
    let wrong: Vec<_> = good.iter().map(wrong).collect();
    compare("    … that was refused before: ratio to bare axum", &bare, &guarded, &wrong, "", false).await
}

/// Serves keys from this process; where, and how often they were fetched.
async fn publish(jwks: Value) -> Result<(String, Arc<AtomicU64>)> {
    let fetched = Arc::new(AtomicU64::new(0));
    let count = fetched.clone();
    let serve = move || async move {
        count.fetch_add(1, Ordering::Relaxed);
        Json(jwks)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", get(serve))).await });
    Ok((url, fetched))
}

/// The bare server against the guarded one, which refuses.
async fn compare(
    what: &str,
    bare: &Server,
    guarded: &Server,
    requests: &[Vec<u8>],
    limit: &str,
    new: bool,
) -> Result<()> {
    let (mut ratios, mut base, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let time = Duration::from_secs(1);
        let (without, with) = if new {
            let without = load::round_of_new(bare, requests, 200, time).await?;
            (without, load::round_of_new(guarded, requests, 401, time).await?)
        } else {
            (load::round(bare, requests, 200, time).await?, load::round(guarded, requests, 401, time).await?)
        };
        ratios.push(without.cpu / with.cpu);
        base.push(without.cpu / 1000.0);
        ours.push(with.cpu / 1000.0);
    }
    line(what, format!("{:.3}", median(ratios)), limit);
    line("    CPU for one request, bare and guarded", format!("{:.2} / {:.2} µs", median(base), median(ours)), "");
    Ok(())
}
