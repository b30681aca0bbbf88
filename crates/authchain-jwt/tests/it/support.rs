//! An issuer with keys made by `jsonwebtoken` and OpenSSL-like tools, tokens put together by hand, and a key server.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use authchain_core::{ManualClock, ProviderId, Timestamp};
use authchain_jwt::{
    Algorithm, Checked, ClaimNames, JwksCache, JwksOptions, KeySet, KeySource, SigningKeys, TrustedIssuer, Verifier,
};
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "https://mcp.example/mcp";
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOW))
}

pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "1234", "email": "ann@example.com", "email_verified": true,
        "iat": NOW.0 - 100, "nbf": NOW.0 - 100, "exp": NOW.0 + 600, "scope": "a b", "client_id": "client", "sid": "grant"
    })
}

pub(crate) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

pub(crate) fn issuer(keys: KeySource) -> TrustedIssuer {
    TrustedIssuer {
        issuer: ISSUER.into(),
        audiences: vec![AUDIENCE.into()],
        types: vec!["jwt".into(), "at+jwt".into()],
        keys,
        claims: ClaimNames::default(),
        algorithms: Algorithm::ALL.to_vec(),
        provider: ProviderId::google(),
    }
}

pub(crate) fn pinned(keys: &SigningKeys) -> Verifier {
    Verifier::new(vec![issuer(KeySource::Pinned(keys.public_keys()))], clock())
}

/// The words of a refusal, `"verified"` or `"needs keys"`.
pub(crate) fn words(checked: Checked) -> &'static str {
    match checked {
        Checked::Verified(_) => "verified",
        Checked::Refused(error) => error.reason(),
        Checked::NeedsKeys => "needs keys",
    }
}

pub(crate) fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// The token with another part: 0 header, 1 payload, 2 signature.
pub(crate) fn with_part(token: &str, which: usize, part: &str) -> String {
    let mut parts: Vec<_> = token.split('.').collect();
    parts[which] = part;
    parts.join(".")
}

/// A JWKS over HTTP that counts who asks and does what it is told.
pub(crate) struct KeyServer {
    pub(crate) url: url::Url,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    requests: AtomicUsize,
    answer: Mutex<Answer>,
}

#[derive(Clone)]
pub(crate) enum Answer {
    Keys(Value),
    KeysFor(Value, &'static str),
    Text(String),
    Status(StatusCode),
    Slow(Duration, Value),
    Redirect(String),
}

impl KeyServer {
    pub(crate) async fn start(answer: Answer) -> Self {
        let shared = Arc::new(Shared { requests: AtomicUsize::new(0), answer: Mutex::new(answer) });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap()).parse().unwrap();
        let app = Router::new().route("/keys", get(serve)).with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, shared, task }
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    pub(crate) fn stop(&self) {
        self.task.abort();
    }

    pub(crate) fn verifier(&self, clock: &Arc<ManualClock>) -> (Arc<JwksCache>, Arc<Verifier>) {
        self.verifier_with(clock, JwksOptions::default())
    }

    pub(crate) fn verifier_with(
        &self,
        clock: &Arc<ManualClock>,
        options: JwksOptions,
    ) -> (Arc<JwksCache>, Arc<Verifier>) {
        let cache = Arc::new(JwksCache::with_options(self.url.clone(), reqwest::Client::new(), clock.clone(), options));
        let verifier = Verifier::new(vec![issuer(KeySource::Jwks(cache.clone()))], clock.clone());
        (cache, Arc::new(verifier))
    }
}

async fn serve(State(shared): State<Arc<Shared>>) -> Response {
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let answer = shared.answer.lock().unwrap().clone();
    match answer {
        Answer::Keys(keys) => axum::Json(keys).into_response(),
        Answer::KeysFor(keys, control) => ([("cache-control", control)], axum::Json(keys)).into_response(),
        Answer::Text(text) => text.into_response(),
        Answer::Status(status) => status.into_response(),
        Answer::Slow(delay, keys) => {
            tokio::time::sleep(delay).await;
            axum::Json(keys).into_response()
        }
        Answer::Redirect(to) => (StatusCode::FOUND, [("location", to)]).into_response(),
    }
}

/// A set that holds only a key that no token here is signed with.
pub(crate) fn stranger() -> KeySet {
    SigningKeys::generate(Algorithm::ES256).unwrap().public_keys()
}
