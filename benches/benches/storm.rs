//! A refresh storm: a thousand callers at once find an access token expired. The provider, in a process of its own, takes
//! 50 ms to answer; how often it is asked, who fails, and how much longer than the provider the slowest of a hundred waits.
#![allow(clippy::print_stdout, reason = "benchmarks print")]
#![allow(clippy::indexing_slicing, reason = "a benchmark that is wrong may stop")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use authchain::{
    core::{
        Clock, Credential, CredentialKey, CredentialStatus, CredentialStore, Email, ExactScopes, OAuthClient,
        ProviderId, Scopes, Secret, SystemClock, TokenSource, UserId,
    },
    provider::{CredentialManager, Provider, ProviderClient, RefreshOptions, http_client},
    store::{FileForm, FileStore, MemoryStore, seal::Keyring},
};
use authchain_bench::{
    process::{Server, serve},
    report::{line, median},
};
use axum::{
    Json, Router,
    routing::{get, post},
};
use serde_json::json;

const CALLERS: usize = 1000;
const ROUNDS: usize = 15;
const DELAY: Duration = Duration::from_millis(50);
const DRIVE: &str = "https://www.googleapis.com/auth/drive.readonly";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    if std::env::args().any(|argument| argument == "serve") {
        return upstream().await;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    storm("credentials in memory", Arc::new(MemoryStore::new())).await?;
    storm("credentials sealed and durable on disk", sealed(&folder.path().join("data"))?).await
}

fn sealed(folder: &Path) -> Result<Arc<dyn CredentialStore>> {
    Ok(Arc::new(FileStore::open(folder, FileForm::Sealed(Keyring::ephemeral()))?))
}

/// A token endpoint that takes its time, and a page that says how often it was asked.
async fn upstream() -> Result<()> {
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let token = move || async move {
        let n = asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(DELAY).await;
        Json(json!({ "access_token": format!("ya29.{n}"), "expires_in": 3599, "token_type": "Bearer", "scope": DRIVE }))
    };
    let count = move || async move { count.load(Ordering::Relaxed).to_string() };
    serve(Router::new().route("/token", post(token)).route("/asked", get(count)), &[]).await
}

async fn storm(what: &str, store: Arc<dyn CredentialStore>) -> Result<()> {
    let upstream = Server::start("upstream", 0)?;
    let base = url::Url::parse(&format!("http://127.0.0.1:{}", upstream.port))?;
    let http = http_client()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let client = OAuthClient { id: "bench".into(), secret: Some(Secret::new("bench")) };
    let provider = ProviderClient::new(Provider::google_at(&base, client.clone()), http.clone(), clock.clone());
    let (provider, rules) = (vec![Arc::new(provider)], Arc::new(ExactScopes));
    let manager = CredentialManager::new(store, provider, rules, clock.clone(), RefreshOptions::default());
    let scopes = Scopes::from(DRIVE);
    let (mut slowest, mut halfway, mut refused) = (Vec::new(), Vec::new(), 0);
    for round in 0..=ROUNDS {
        let email = Email::new(&format!("person{round}@example.com"))?;
        let key = CredentialKey::new(ProviderId::google(), UserId::from(&email));
        let now = clock.now();
        let expired = Credential {
            email: Some(email),
            subject: Some(round.to_string()),
            access_token: Some(Secret::new("ya29.expired")),
            expires_at: Some(authchain::core::Timestamp(now.0 - 60)),
            refresh_token: Some(Secret::new(format!("1//{round}"))),
            scopes: scopes.clone(),
            token_uri: base.join("/token")?.into(),
            client: client.clone(),
            status: CredentialStatus::Active,
            granted_at: now,
            extra: serde_json::Map::new(),
        };
        manager.adopt(&key, expired).await?;
        let begun = Instant::now();
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (manager, key, scopes) = (manager.clone(), key.clone(), scopes.clone());
                tokio::spawn(async move { (manager.access_token(&key, &scopes).await.is_ok(), begun.elapsed()) })
            })
            .collect();
        let mut waited = Vec::new();
        for caller in callers {
            let (served, took) = caller.await?;
            refused += usize::from(!served);
            waited.push(took.as_secs_f64() * 1000.0);
        }
        waited.sort_by(f64::total_cmp);
        // The first one connects to the provider.
        if round > 0 {
            slowest.push(waited[CALLERS * 99 / 100]);
            halfway.push(waited[CALLERS / 2]);
        }
    }
    let asked: usize = http.get(base.join("/asked")?).send().await?.text().await?.parse()?;
    let delay = DELAY.as_secs_f64() * 1000.0;
    let worst = slowest.iter().copied().max_by(f64::total_cmp).context("no rounds")?;
    println!("{CALLERS} callers, an expired token, a provider that takes {delay:.0} ms; {what}");
    line("    refreshes at the provider for one storm", asked as f64 / (ROUNDS + 1) as f64, "1");
    line("    callers that failed", refused, "0");
    line("    99 of 100 have their token after", format!("{:.1} ms", median(slowest)), "at most 60 ms");
    line("    … in the worst of the rounds", format!("{worst:.1} ms"), "");
    line("    half of them after", format!("{:.1} ms", median(halfway)), "");
    Ok(())
}
