//! A token source whose answers the tests choose, and a Drive that writes down the tokens it is shown.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use authchain_core::{AccessToken, AuthError, CredentialKey, Scopes, Secret, SignIn, Timestamp, TokenSource};
use axum::{Json, Router, extract::State, http::HeaderMap, routing::get};
use serde_json::{Value, json};
use url::Url;

/// Tokens by account; an account without one has to sign in.
#[derive(Default)]
pub(crate) struct Tokens {
    tokens: Mutex<BTreeMap<CredentialKey, String>>,
    granted: Mutex<Option<Scopes>>,
    quota_project: Mutex<Option<Arc<str>>>,
    pub(crate) asked: AtomicU64,
}

impl Tokens {
    pub(crate) fn set(&self, key: &CredentialKey, token: &str) {
        self.tokens.lock().unwrap().insert(key.clone(), token.into());
    }

    pub(crate) fn remove(&self, key: &CredentialKey) {
        self.tokens.lock().unwrap().remove(key);
    }

    pub(crate) fn count_for(&self, project: &str) {
        *self.quota_project.lock().unwrap() = Some(project.into());
    }

    pub(crate) fn grant_only(&self, scopes: Scopes) {
        *self.granted.lock().unwrap() = Some(scopes);
    }
}

#[async_trait]
impl TokenSource for Tokens {
    async fn access_token(&self, key: &CredentialKey, scopes: &Scopes) -> Result<AccessToken, AuthError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let token = self.tokens.lock().unwrap().get(key).cloned();
        let token = token.ok_or_else(|| AuthError::SignInNeeded { key: key.clone(), why: SignIn::NeverSignedIn })?;
        let granted = self.granted.lock().unwrap().clone().unwrap_or_else(|| scopes.clone());
        if !scopes.is_subset(&granted) {
            return Err(AuthError::InsufficientScope { needed: scopes.clone(), granted });
        }
        let project = self.quota_project.lock().unwrap().clone();
        Ok(AccessToken::new(Secret::new(token), Timestamp::NEVER, granted).counted_for(project))
    }
}

/// What the Drive was shown, in order.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

pub(crate) fn bearer(headers: &HeaderMap) -> String {
    headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
}

/// A Drive with one file, on loopback.
pub(crate) async fn drive() -> (Url, Seen) {
    async fn list(State(seen): State<Seen>, headers: HeaderMap) -> Json<Value> {
        seen.lock().unwrap().push(bearer(&headers));
        Json(json!({"kind": "drive#fileList", "files": [{"id": "1", "name": "Plan.txt"}]}))
    }
    let seen = Seen::default();
    let app = Router::new().route("/drive/v3/files", get(list)).with_state(seen.clone());
    (serve(app).await, seen)
}

/// Serves on a free port of this machine until the test's runtime ends.
pub(crate) async fn serve(app: Router) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}
