//! The way of an MCP client by hand: discovery, registration, a person who signs in, tokens, calls.

use authchain_testkit::{Browser, Choice, Page};
use reqwest::{Client as Http, RequestBuilder, Response};
use serde_json::{Value, json};
use url::Url;

pub(crate) const ANN: &str = "ann@example.com";
/// Nobody listens there: the person hands the address over.
pub(crate) const CALLBACK: &str = "http://127.0.0.1:9/callback";
// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// The newest protocol that has a handshake.
pub(crate) const LEGACY: &str = "2025-11-25";

/// A registered client of one server.
pub(crate) struct Client {
    pub(crate) http: Http,
    pub(crate) mcp_url: String,
    pub(crate) metadata: Value,
    pub(crate) id: String,
}

/// What a client holds after a sign-in.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// The person who says yes as ann.
pub(crate) fn ann_says(approve: bool) -> Choice {
    Choice { account: ANN.into(), approve }
}

impl Client {
    /// Discovers the server and registers under this name.
    pub(crate) async fn register(mcp_url: &str, name: &str) -> Self {
        let http = Http::new();
        let issuer = Url::parse(mcp_url).unwrap().origin().ascii_serialization();
        let metadata = format!("{issuer}/.well-known/oauth-authorization-server");
        let metadata: Value = http.get(metadata).send().await.unwrap().json().await.unwrap();
        let body = json!({
            "client_name": name,
            "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        });
        let endpoint = metadata["registration_endpoint"].as_str().unwrap();
        let answer = http.post(endpoint).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        let answer: Value = answer.json().await.unwrap();
        let id = answer["client_id"].as_str().unwrap().to_owned();
        Self { http, mcp_url: mcp_url.into(), metadata, id }
    }

    /// Where a person is sent.
    pub(crate) fn authorize_url(&self) -> Url {
        let mut url = Url::parse(self.endpoint("authorization_endpoint")).unwrap();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.id)
            .append_pair("redirect_uri", CALLBACK)
            .append_pair("state", "st=/+")
            .append_pair("code_challenge", CHALLENGE)
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", &self.mcp_url);
        url
    }

    /// A person goes through the pages as ann; the address that the client gets back.
    pub(crate) async fn person_consents(&self) -> Page {
        let person = Browser::new().unwrap().stop_at(CALLBACK);
        let page = person.walk(self.authorize_url(), &ann_says(true)).await.unwrap();
        assert!(page.stopped, "the sign-in ends on {:?}: {}", page.title(), page.text());
        page
    }

    /// A whole sign-in as ann.
    pub(crate) async fn sign_in(&self) -> Tokens {
        let code = self.person_consents().await.query("code").expect("a code comes back");
        self.redeem(&code).await
    }

    /// Redeems a code.
    pub(crate) async fn redeem(&self, code: &str) -> Tokens {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("client_id", &self.id),
            ("code_verifier", VERIFIER),
            ("resource", &self.mcp_url),
        ];
        Self::tokens(self.asks_for_tokens(&form).await).await
    }

    /// Refreshes.
    pub(crate) async fn refresh(&self, token: &str) -> Tokens {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", self.id.as_str())];
        Self::tokens(self.asks_for_tokens(&form).await).await
    }

    /// A request to the token endpoint.
    pub(crate) async fn asks_for_tokens(&self, form: &[(&str, &str)]) -> Response {
        self.http.post(self.endpoint("token_endpoint")).form(form).send().await.unwrap()
    }

    /// Revokes a token.
    pub(crate) async fn revoke(&self, token: &str) -> Response {
        let form = [("token", token), ("client_id", self.id.as_str())];
        self.http.post(self.endpoint("revocation_endpoint")).form(&form).send().await.unwrap()
    }

    async fn tokens(answer: Response) -> Tokens {
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{answer}");
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Tokens { access: text("access_token"), refresh: text("refresh_token") }
    }

    fn endpoint(&self, name: &str) -> &str {
        self.metadata[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.metadata))
    }
}

/// A POST to an MCP endpoint.
pub(crate) fn post(http: &Http, mcp_url: &str, token: Option<&str>, body: &Value) -> RequestBuilder {
    let request = http.post(mcp_url).header("accept", "application/json, text/event-stream").json(body);
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// One request with the newest protocol that has a handshake.
pub(crate) async fn rpc(mcp_url: &str, token: Option<&str>, method: &str, params: Value) -> Response {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    post(&Http::new(), mcp_url, token, &body).header("mcp-protocol-version", LEGACY).send().await.unwrap()
}

/// The text that a tool answers; its refusals and protocol errors fail the test.
pub(crate) async fn call(mcp_url: &str, token: &str, tool: &str, arguments: Value) -> String {
    let params = json!({ "name": tool, "arguments": arguments });
    let answer = rpc(mcp_url, Some(token), "tools/call", params).await;
    assert_eq!(answer.status(), 200);
    text_of(&answer.json().await.unwrap())
}

/// The text in the answer of a tool.
pub(crate) fn text_of(answer: &Value) -> String {
    assert_ne!(answer["result"]["isError"], true, "{answer}");
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Makes a session token on the page for that, at a browser where somebody is signed in.
pub(crate) async fn session_token(issuer: &str, browser: &Browser) -> String {
    let page = browser.open(format!("{issuer}/auth/sessions")).await.unwrap();
    let shown = browser.press(&page, "Make a session token", &[("label", "mine")]).await.unwrap().text();
    let token = shown.split_whitespace().find(|word| word.starts_with("acs_"));
    token.unwrap_or_else(|| panic!("no token in {shown}")).to_owned()
}
