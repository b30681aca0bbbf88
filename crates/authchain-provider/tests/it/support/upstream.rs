//! A provider in the same process: token, revocation, userinfo and keys, that can be slow, fail, rotate and refuse.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use authchain_jwt::{Algorithm, SigningKeys};
use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use url::Url;

pub(crate) type Fields = HashMap<String, String>;

/// An answer that the upstream gives instead of its own.
#[derive(Clone)]
pub(crate) enum Reply {
    Json(u16, Value),
    /// With `Retry-After`.
    Away(u16, &'static str),
    Text(u16, &'static str),
    /// Accepts the request and never answers.
    Silence,
}

pub(crate) struct Upstream {
    pub(crate) url: Url,
    inner: Arc<Inner>,
    server: tokio::task::JoinHandle<()>,
}

struct Inner {
    keys: SigningKeys,
    script: Mutex<Script>,
    /// Refreshes wait here before they are looked at.
    gate: Semaphore,
    arrived: watch::Sender<u64>,
}

#[derive(Default)]
struct Script {
    grants: HashMap<String, String>,
    issued: u64,
    rotate: bool,
    extra: Option<Value>,
    next: VecDeque<Reply>,
    always: Option<Reply>,
    revoke: VecDeque<Reply>,
    userinfo: Option<Value>,
    id_token: Option<String>,
    log: Vec<(&'static str, Fields, HeaderMap)>,
}

const OPEN: usize = 100_000;

impl Upstream {
    pub(crate) async fn start() -> Self {
        let inner = Arc::new(Inner {
            keys: SigningKeys::generate(Algorithm::ES256).unwrap(),
            script: Mutex::default(),
            gate: Semaphore::new(OPEN),
            arrived: watch::Sender::new(0),
        });
        let app = Router::new()
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .route("/oauth2/v3/userinfo", get(userinfo))
            .route("/oauth2/v3/certs", get(certs))
            .with_state(inner.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, inner, server }
    }

    fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.inner.script.lock().unwrap())
    }

    pub(crate) fn grant(&self, refresh_token: &str, user: &str) {
        self.script(|s| s.grants.insert(refresh_token.into(), user.into()));
    }

    /// From now on the provider knows none of its refresh tokens.
    pub(crate) fn forget_grants(&self) {
        self.script(|s| s.grants.clear());
    }

    pub(crate) fn knows(&self, refresh_token: &str) -> bool {
        self.script(|s| s.grants.contains_key(refresh_token))
    }

    /// Each refresh ends its refresh token and issues another.
    pub(crate) fn rotate(&self) {
        self.script(|s| s.rotate = true);
    }

    /// Members that are put over those of each token answer; `null` removes one.
    pub(crate) fn answer_with(&self, extra: Value) {
        self.script(|s| s.extra = Some(extra));
    }

    pub(crate) fn next(&self, reply: Reply) {
        self.script(|s| s.next.push_back(reply));
    }

    pub(crate) fn always(&self, reply: impl Into<Option<Reply>>) {
        let reply = reply.into();
        self.script(|s| s.always = reply);
    }

    pub(crate) fn next_revocation(&self, reply: Reply) {
        self.script(|s| s.revoke.push_back(reply));
    }

    pub(crate) fn userinfo(&self, claims: Value) {
        self.script(|s| s.userinfo = Some(claims));
    }

    /// The id token that the next exchange answers with.
    pub(crate) fn sign_in(&self, claims: &Value) {
        let id_token = self.inner.keys.sign("JWT", claims).unwrap();
        self.script(|s| s.id_token = Some(id_token));
    }

    pub(crate) fn sign_in_raw(&self, id_token: &str) {
        self.script(|s| s.id_token = Some(id_token.into()));
    }

    pub(crate) fn signed(&self, claims: &Value) -> String {
        self.inner.keys.sign("JWT", claims).unwrap()
    }

    pub(crate) fn log(&self, endpoint: &str) -> Vec<Fields> {
        self.script(|s| s.log.iter().filter(|(e, ..)| *e == endpoint).map(|(_, form, _)| form.clone()).collect())
    }

    pub(crate) fn headers(&self, endpoint: &str) -> Vec<HeaderMap> {
        self.script(|s| s.log.iter().filter(|(e, ..)| *e == endpoint).map(|(.., headers)| headers.clone()).collect())
    }

    /// Requests to the token endpoint so far.
    pub(crate) fn requests(&self) -> u64 {
        *self.inner.arrived.borrow()
    }

    /// Holds all refreshes until the gate is opened.
    pub(crate) fn close_gate(&self) {
        self.inner.gate.forget_permits(OPEN);
    }

    pub(crate) fn open_gate(&self) {
        self.inner.gate.add_permits(OPEN);
    }

    /// Waits until so many requests have arrived in all.
    pub(crate) async fn arrived(&self, requests: u64) {
        self.inner.arrived.subscribe().wait_for(|n| *n >= requests).await.unwrap();
    }

    /// The port is closed: connections are refused from now on.
    pub(crate) async fn die(self) {
        self.server.abort();
        let _aborted = self.server.await;
    }
}

async fn token(State(inner): State<Arc<Inner>>, headers: HeaderMap, Form(form): Form<Fields>) -> Response {
    inner.script.lock().unwrap().log.push(("token", form.clone(), headers));
    inner.arrived.send_modify(|n| *n += 1);
    drop(inner.gate.acquire().await.unwrap());
    let reply = {
        let mut script = inner.script.lock().unwrap();
        script.next.pop_front().or_else(|| script.always.clone())
    };
    if let Some(reply) = reply {
        return respond(reply).await;
    }
    let mut script = inner.script.lock().unwrap();
    script.issued += 1;
    let number = script.issued;
    let mut answer = json!({ "token_type": "Bearer", "expires_in": 3600 });
    if form["grant_type"] == "refresh_token" {
        let refresh_token = &form["refresh_token"];
        let Some(user) = script.grants.get(refresh_token).cloned() else {
            return refused("invalid_grant", "Token has been expired or revoked.");
        };
        answer["access_token"] = format!("new-{user}-{number}").into();
        if script.rotate {
            let successor = format!("rotated-{user}-{number}");
            script.grants.remove(refresh_token);
            script.grants.insert(successor.clone(), user);
            answer["refresh_token"] = successor.into();
        }
    } else {
        if form["code"] != "good-code" {
            return refused("invalid_grant", "Malformed auth code.");
        }
        answer["access_token"] = format!("signed-in-{number}").into();
        answer["refresh_token"] = format!("first-{number}").into();
        answer["id_token"] = script.id_token.clone().into();
    }
    if let Some(Value::Object(extra)) = &script.extra {
        for (name, value) in extra {
            answer[name] = value.clone();
        }
    }
    answer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    Json(answer).into_response()
}

async fn revoke(State(inner): State<Arc<Inner>>, headers: HeaderMap, Form(form): Form<Fields>) -> Response {
    let reply = {
        let mut script = inner.script.lock().unwrap();
        script.grants.remove(&form["token"]);
        script.log.push(("revoke", form, headers));
        script.revoke.pop_front()
    };
    match reply {
        Some(reply) => respond(reply).await,
        None => StatusCode::OK.into_response(),
    }
}

async fn userinfo(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> Response {
    let mut script = inner.script.lock().unwrap();
    script.log.push(("userinfo", Fields::new(), headers));
    Json(script.userinfo.clone().unwrap_or_default()).into_response()
}

async fn certs(State(inner): State<Arc<Inner>>) -> Json<Value> {
    Json(inner.keys.jwks())
}

async fn respond(reply: Reply) -> Response {
    let status = |code| StatusCode::from_u16(code).unwrap();
    match reply {
        Reply::Json(code, body) => (status(code), Json(body)).into_response(),
        Reply::Away(code, after) => (status(code), [("retry-after", after)]).into_response(),
        Reply::Text(code, text) => (status(code), text).into_response(),
        Reply::Silence => std::future::pending().await,
    }
}

fn refused(error: &str, description: &str) -> Response {
    let body = json!({ "error": error, "error_description": description });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
