//! Whole sign-ins (register, authorize, consent, provider, callback, tokens) a second of one core of the server: with
//! everything durable on disk, and in memory. Everybody is a new person with a new client.
//!
//! The factors compare with what FastMCP's OAuth proxy does on one core of the reference machine: 17 a second with its
//! store on disk, 38 in memory. A server that has one core to itself and waits for nothing does 1 / (CPU time of a sign-in)
//! of them; beside it stands how many there were a second by the clock.
#![allow(clippy::print_stdout, reason = "benchmarks print")]
#![allow(clippy::indexing_slicing, reason = "a benchmark that is wrong may stop")]

use std::{
    collections::HashMap,
    fs::File,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use authchain::{
    core::{Clock, SystemClock},
    jwt::{Algorithm, SigningKeys},
};
use authchain_bench::{
    flow, load,
    process::{Server, serve},
    report::{line, median},
};
use authchain_server::{App, config::Sources};
use axum::{
    Form, Json, Router,
    routing::{any, get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const ROUNDS: usize = 7;
const PEOPLE: usize = 500;
const CLIENT: &str = "bench.apps.googleusercontent.com";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve", "bare"] => serve(Router::new().route("/", get(|| async { "ok" })), &[]).await,
        ["serve", "upstream"] => upstream().await,
        ["serve", mode, upstream, folder] => server(mode, upstream, folder).await,
        [mode] => measure(&[*mode]).await,
        _ => measure(&["memory_only", "file_encrypted"]).await,
    }
}

/// The server as `authchain serve` runs it, with its log written to where nobody reads it.
async fn server(mode: &str, upstream: &str, folder: &str) -> Result<()> {
    tracing_subscriber::fmt().with_target(false).with_writer(File::create("/dev/null")?).init();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let mut sources = Sources::new()
        .set("storage.mode", mode, "bench")
        .set("storage.directory", folder, "bench")
        .set("server.public_url", format!("http://127.0.0.1:{port}"), "bench")
        .set("providers.google.client_id", CLIENT, "bench")
        .set("providers.google.client_secret", "bench", "bench")
        .set("providers.google.base_url", upstream, "bench");
    for limit in ["registrations", "token_requests", "client_token_requests", "public_client_token_requests"] {
        sources = sources.set(&format!("limits.{limit}_per_minute"), 0, "bench");
    }
    let app = App::new(sources.load()?).await?;
    println!("{port}");
    Ok(app.serve_on(listener, any(|| async { "pong" }), std::future::pending()).await?)
}

/// What a server asks of the provider, answered at once: the id tokens were signed before.
async fn upstream() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let issuer = format!("http://127.0.0.1:{port}");
    let keys = Arc::new(SigningKeys::generate(Algorithm::RS256)?);
    let (signing, jwks) = (keys.clone(), keys.jwks());
    let answers: Arc<Mutex<HashMap<String, Value>>> = Arc::default();
    let ready = answers.clone();
    let presign = move |Json(asked): Json<Value>| async move {
        let (now, first) = (SystemClock.now(), asked["first"].as_u64().unwrap_or_default());
        for (n, nonce) in (first..).zip(asked["nonces"].as_array().into_iter().flatten()) {
            let claims = json!({
                "iss": issuer, "aud": CLIENT, "azp": CLIENT, "sub": format!("10769150350006150715{n:06}"),
                "email": format!("person{n}@example.com"), "email_verified": true, "nonce": nonce,
                "name": format!("Person {n}"), "iat": now, "exp": now + Duration::from_secs(3600),
            });
            let answer = json!({
                "access_token": format!("ya29.{n:0180}"), "expires_in": 3599, "token_type": "Bearer",
                "refresh_token": format!("1//{n:0100}"), "id_token": signing.sign("JWT", &claims).unwrap_or_default(),
                "scope": "openid https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/drive.readonly",
            });
            let code = nonce.as_str().unwrap_or_default().to_owned();
            ready.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(code, answer);
        }
        "ready"
    };
    let token = move |Form(asked): Form<HashMap<String, String>>| async move {
        let code = asked.get("code").map(String::as_str).unwrap_or_default();
        Json(answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(code))
    };
    let app = Router::new()
        .route("/presign", post(presign))
        .route("/token", post(token))
        .route("/oauth2/v3/certs", get(|| async { Json(jwks) }))
        .layer(axum::extract::DefaultBodyLimit::disable());
    println!("{port}");
    Ok(axum::serve(listener, app).await?)
}

async fn measure(modes: &[&str]) -> Result<()> {
    let bare = Server::start("bare", 0)?;
    let request = vec![b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".to_vec(); 16];
    let mut base = Vec::new();
    for _ in 0..ROUNDS {
        base.push(load::round(&bare, &request, 200, Duration::from_secs(1)).await?.cpu);
    }
    let base = median(base);
    line("bare axum: CPU for one request", format!("{:.2} µs", base / 1000.0), "");
    for mode in modes {
        let (what, reference, aim) = match *mode {
            "memory_only" => ("in memory", 38.0, 65.0),
            _ => ("all durable on disk", 17.0, 58.0),
        };
        let upstream = Server::start_on(1, &["upstream"], 0)?;
        // On a disk, and away from where compilers make and remove files: ext4 without a journal avoids the numbers of files
        // that were removed near by in the last minutes, and looks at each of them for every new file. A second run within
        // five minutes is slower for that.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let (data, provider) = (folder.path().join("data"), format!("http://127.0.0.1:{}", upstream.port));
        let server = Server::start_on(0, &[mode, &provider, &data.to_string_lossy()], 0)?;
        flow::batch(&server, &upstream, 0, PEOPLE).await?;
        let (mut cpu, mut wall) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            let batch = flow::batch(&server, &upstream, round * PEOPLE, PEOPLE).await?;
            cpu.push(batch.cpu);
            wall.push(batch.per_second);
        }
        let (cpu, wall) = (median(cpu), median(wall));
        let rate = 1e9 / cpu;
        line(
            &format!("sign-ins a second of one core, {what}"),
            format!("{rate:.0}"),
            &format!("at least {:.0}", reference * aim),
        );
        line(
            &format!("    times FastMCP's {reference}"),
            format!("{:.1}", rate / reference),
            &format!("at least {aim}"),
        );
        line("    CPU for one", format!("{:.0} µs", cpu / 1000.0), "");
        line("    … in requests to bare axum", format!("{:.0}", cpu / base), "");
        line("    sign-ins a second by the clock", format!("{wall:.0}"), "");
    }
    Ok(())
}
