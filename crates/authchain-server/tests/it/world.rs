//! The world of the tests: one server on loopback that can be restarted, the stand-in, a person, a client.

use std::{
    net::SocketAddr,
    sync::{Arc, RwLock},
};

use authchain::{
    accounts::Accounts,
    core::{
        Clock, CredentialKey, Email, ExactScopes, ManualClock, ProviderId, Scopes, StateStore, SystemClock, Timestamp,
        UserId,
    },
    grants::Grants,
    jwt::{Algorithm, ClaimNames, KeySource, SigningKeys, TrustedIssuer, Verified, Verifier},
    provider::{CredentialManager, Pkce, Provider, ProviderClient, RefreshOptions, http_client},
    sessions::Sessions,
    store::{MemoryState, MemoryStore, seal::Keyring},
};
use authchain_server::{AuthorizationServer, Parts, ServerOptions};
use authchain_testkit::{Browser, Choice, Page, StandIn, StandInOptions};
use axum::{Router, body::Body, extract::Request};
use serde_json::{Value, json};
use tower::ServiceExt;
use url::Url;

pub(crate) const DRIVE: &str = "https://www.googleapis.com/auth/drive.readonly";
pub(crate) const GMAIL: &str = "https://www.googleapis.com/auth/gmail.send";
/// Nobody listens there; the browser is stopped before it would go.
pub(crate) const CALLBACK: &str = "http://127.0.0.1:33418/callback";

pub(crate) struct World {
    pub(crate) google: StandIn,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) base: Url,
    pub(crate) http: reqwest::Client,
    pub(crate) keyring: Keyring,
    pub(crate) signing: Arc<SigningKeys>,
    credentials: Arc<MemoryStore>,
    options: ServerOptions,
    live: Arc<RwLock<Live>>,
}

/// A clock that is wrong.
struct Ahead {
    clock: Arc<ManualClock>,
    seconds: i64,
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().0 + self.seconds)
    }
}

/// What a restart makes anew.
#[derive(Clone)]
struct Live {
    state: Arc<dyn StateStore>,
    router: Router,
    manager: Arc<CredentialManager>,
    grants: Arc<Grants>,
    sessions: Arc<Sessions>,
    accounts: Arc<Accounts>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ServerOptions)) -> Self {
        Self::make(0, change).await
    }

    /// The provider's clock is so many seconds ahead of ours.
    pub(crate) async fn with_clocks_apart(seconds: i64) -> Self {
        Self::make(seconds, |_| {}).await
    }

    async fn make(provider_ahead: i64, change: impl FnOnce(&mut ServerOptions)) -> Self {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let theirs = Arc::new(Ahead { clock: clock.clone(), seconds: provider_ahead });
        let google =
            StandIn::start(StandInOptions { clock: theirs, second_accounts: true, ..StandInOptions::default() })
                .await
                .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let mut options = ServerOptions::new(base.clone(), base.join("/mcp").unwrap());
        options.name = "Workspace".into();
        options.default_scopes = [DRIVE, "openid", "email"].into_iter().collect();
        options.scopes_supported = [DRIVE, GMAIL].into_iter().collect();
        change(&mut options);
        let (keyring, credentials) = (Keyring::ephemeral(), Arc::new(MemoryStore::new()));
        let signing = Arc::new(SigningKeys::generate(Algorithm::EdDSA).unwrap());
        let state = Arc::new(MemoryState::new(clock.clone()));
        let first = live(&google, &clock, &keyring, &signing, &credentials, &options, state);
        let live = Arc::new(RwLock::new(first));
        let current = live.clone();
        let front = Router::new().fallback(move |request: Request<Body>| {
            let router = current.read().unwrap().router.clone();
            async move { router.oneshot(request).await }
        });
        tokio::spawn(
            async move { axum::serve(listener, front.into_make_service_with_connect_info::<SocketAddr>()).await },
        );
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { google, clock, base, http, keyring, signing, credentials, options, live }
    }

    /// Another process takes over: the same stores and keys, everything else new.
    pub(crate) fn restart(&self) {
        let state = self.live().state;
        self.take_over(state);
    }

    /// The state database is lost, and the server restarted.
    pub(crate) fn lose_state(&self) {
        self.take_over(Arc::new(MemoryState::new(self.clock.clone())));
    }

    pub(crate) fn take_over(&self, state: Arc<dyn StateStore>) {
        let new =
            live(&self.google, &self.clock, &self.keyring, &self.signing, &self.credentials, &self.options, state);
        *self.live.write().unwrap() = new;
    }

    /// Another server takes over, made of these parts.
    pub(crate) fn serve(&self, router: Router, parts: &Parts) {
        let Parts { state, credentials, grants, sessions, accounts, .. } = parts.clone();
        *self.live.write().unwrap() = Live { state, router, manager: credentials, grants, sessions, accounts };
    }

    fn live(&self) -> Live {
        self.live.read().unwrap().clone()
    }

    pub(crate) fn grants(&self) -> Arc<Grants> {
        self.live().grants
    }

    pub(crate) fn sessions(&self) -> Arc<Sessions> {
        self.live().sessions
    }

    pub(crate) fn accounts(&self) -> Arc<Accounts> {
        self.live().accounts
    }

    pub(crate) fn manager(&self) -> Arc<CredentialManager> {
        self.live().manager
    }

    pub(crate) fn key_of(&self, email: &str) -> CredentialKey {
        CredentialKey::new(ProviderId::google(), UserId::from(&Email::new(email).unwrap()))
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        self.base.join(path).unwrap()
    }

    pub(crate) fn resource(&self) -> String {
        format!("{}mcp", self.base)
    }

    pub(crate) fn issuer(&self) -> String {
        self.base.as_str().trim_end_matches('/').into()
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new().unwrap().with_clock(self.clock.clone()).stop_at("http://127.0.0.1:33418/")
    }

    /// A browser that stops where it would leave for the provider.
    pub(crate) fn halting_browser(&self) -> Browser {
        self.browser().stop_at(self.google.url().as_str())
    }

    /// What the provider sends the person back with, after they signed in there: the address of our callback.
    pub(crate) async fn sign_in_at_google(&self, address: &Url, account: &str) -> Url {
        let browser = self.browser().stop_at(self.at("/oauth2callback")).stop_at(self.at("/auth/callback"));
        let back = browser.walk(address, &choice(account)).await.unwrap();
        assert!(back.stopped, "{}: {}", back.url, back.text());
        back.url
    }

    pub(crate) async fn get_json(&self, path: &str) -> (u16, Value) {
        let answer = self.http.get(self.at(path)).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn register(&self, body: &Value) -> (u16, Value) {
        let answer = self.http.post(self.at("/oauth/register")).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// A public client with the loopback callback of these tests.
    pub(crate) async fn client(&self) -> Client {
        let body = json!({
            "client_name": "Test Client",
            "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "none",
        });
        let (status, answer) = self.register(&body).await;
        assert_eq!(status, 201, "{answer}");
        Client { id: text(&answer, "client_id"), secret: None }
    }

    pub(crate) async fn confidential_client(&self, method: &str) -> (Client, Value) {
        let body = json!({
            "client_name": "Confidential Client",
            "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": method,
        });
        let (status, answer) = self.register(&body).await;
        assert_eq!(status, 201, "{answer}");
        (Client { id: text(&answer, "client_id"), secret: Some(text(&answer, "client_secret")) }, answer)
    }

    /// The address that a client opens, with whatever it adds or changes.
    pub(crate) fn authorize_url(&self, client: &Client, pkce: &Pkce, changes: &[(&str, &str)]) -> Url {
        let mut params = vec![
            ("response_type", "code"),
            ("client_id", client.id.as_str()),
            ("redirect_uri", CALLBACK),
            ("code_challenge", pkce.challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("state", "st"),
        ];
        for (name, value) in changes {
            params.retain(|(own, _)| own != name);
            params.push((name, value));
        }
        let mut url = self.at("/oauth/authorize");
        url.query_pairs_mut().extend_pairs(params.into_iter().filter(|(_, value)| *value != "<none>"));
        url
    }

    /// A person walks from the authorize address to the client's callback.
    pub(crate) async fn walk(&self, url: &Url, account: &str) -> Page {
        self.browser().walk(url, &choice(account)).await.unwrap()
    }

    /// The whole way to a code.
    pub(crate) async fn code(&self, client: &Client, pkce: &Pkce, account: &str) -> String {
        let back = self.walk(&self.authorize_url(client, pkce, &[]), account).await;
        assert!(back.stopped, "{}: {}", back.url, back.text());
        back.query("code").unwrap_or_else(|| panic!("no code in {}", back.url))
    }

    pub(crate) async fn post_form(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let answer = self.http.post(self.at(path)).form(form).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) async fn redeem(&self, client: &Client, pkce: &Pkce, code: &str) -> (u16, Value) {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("client_id", client.id.as_str()),
            ("code_verifier", pkce.verifier.expose()),
        ];
        form.extend(client.secret.as_deref().map(|secret| ("client_secret", secret)));
        self.post_form("/oauth/token", &form).await
    }

    pub(crate) async fn refresh(&self, client: &Client, token: &str) -> (u16, Value) {
        let mut form =
            vec![("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", client.id.as_str())];
        form.extend(client.secret.as_deref().map(|secret| ("client_secret", secret)));
        self.post_form("/oauth/token", &form).await
    }

    /// The whole way to tokens.
    pub(crate) async fn tokens(&self, client: &Client, account: &str) -> Value {
        let pkce = Pkce::generate();
        let code = self.code(client, &pkce, account).await;
        let (status, tokens) = self.redeem(client, &pkce, &code).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    /// The access token as tier 2 would check it.
    pub(crate) fn verified(&self, tokens: &Value) -> Verified {
        let issuer = TrustedIssuer {
            issuer: self.issuer(),
            audiences: vec![self.resource()],
            types: vec!["at+jwt".into()],
            keys: KeySource::Own(self.signing.clone()),
            claims: ClaimNames::default(),
            algorithms: vec![Algorithm::EdDSA],
            provider: ProviderId::google(),
        };
        match Verifier::new(vec![issuer], self.clock.clone()).check(&text(tokens, "access_token")) {
            authchain::jwt::Checked::Verified(verified) => *verified,
            other => panic!("{other:?}"),
        }
    }
}

fn live(
    google: &StandIn,
    clock: &Arc<ManualClock>,
    keyring: &Keyring,
    signing: &Arc<SigningKeys>,
    credentials: &Arc<MemoryStore>,
    options: &ServerOptions,
    state: Arc<dyn StateStore>,
) -> Live {
    let provider = Provider::google_at(google.url(), StandIn::client());
    let provider = Arc::new(ProviderClient::new(provider, http_client().unwrap(), clock.clone()));
    let manager = CredentialManager::new(
        credentials.clone(),
        vec![provider.clone()],
        Arc::new(ExactScopes),
        clock.clone(),
        RefreshOptions::default(),
    );
    let grants = Arc::new(Grants::new(state.clone(), clock.clone(), options.refresh_life));
    let sessions = Arc::new(Sessions::new(state.clone(), clock.clone(), std::time::Duration::from_secs(3600)));
    let accounts = Arc::new(Accounts::new(state.clone(), manager.clone(), clock.clone()));
    let parts = Parts {
        state: state.clone(),
        keyring: keyring.clone(),
        signing: signing.clone(),
        provider,
        credentials: manager.clone(),
        grants: grants.clone(),
        sessions: sessions.clone(),
        accounts: accounts.clone(),
        clock: clock.clone(),
        describe: |scope| match scope {
            DRIVE => Some("See and download all your files"),
            GMAIL => Some("Send email on your behalf"),
            _ => None,
        },
    };
    let router = AuthorizationServer::new(parts, options.clone()).unwrap().router();
    Live { state, router, manager, grants, sessions, accounts }
}

/// A registered client.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

pub(crate) fn choice(account: &str) -> Choice {
    Choice { account: account.into(), approve: true }
}

pub(crate) fn scopes(value: &Value) -> Scopes {
    Scopes::from(text(value, "scope").as_str())
}
