//! A small OAuth client, so that the tests say what they test.

use authchain_core::{Email, Scopes};
use authchain_testkit::{Browser, Choice, Page, StandIn, StandInOptions};
use serde_json::Value;
use url::Url;

pub(crate) const CALLBACK: &str = "http://127.0.0.1:9/callback";
pub(crate) const DRIVE: &str = "https://www.googleapis.com/auth/drive.readonly";
pub(crate) const GMAIL: &str = "https://www.googleapis.com/auth/gmail.modify";
/// A verifier and its S256 challenge (RFC 7636, appendix B).
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(crate) fn ann() -> Email {
    Email::new("ann@example.com").unwrap()
}

pub(crate) fn bob() -> Email {
    Email::new("bob@example.com").unwrap()
}

/// An HTTP client that reads no certificates: everything here is on loopback.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// A stand-in that asks nobody.
pub(crate) async fn eager() -> StandIn {
    StandIn::start(StandInOptions { auto_approve: true, ..StandInOptions::default() }).await.unwrap()
}

/// A stand-in that shows its pages.
pub(crate) async fn asking() -> StandIn {
    StandIn::start(StandInOptions::default()).await.unwrap()
}

/// An authorization URL as a careful client makes it; `changes` replace parameters, an empty value removes one.
pub(crate) fn authorize_url(google: &StandIn, scopes: &str, changes: &[(&str, &str)]) -> Url {
    let mut params = vec![
        ("client_id", StandIn::client_id()),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", scopes),
        ("state", "a state & more"),
        ("nonce", "a nonce"),
        ("access_type", "offline"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        params.retain(|(known, _)| known != name);
        params.push((name, value));
    }
    let mut url = google.url().join("o/oauth2/v2/auth").unwrap();
    url.query_pairs_mut().extend_pairs(params.iter().filter(|(_, value)| !value.is_empty()));
    url
}

/// Where a person who says yes ends up.
pub(crate) async fn walk(google: &StandIn, email: &Email, scopes: &str, changes: &[(&str, &str)]) -> Page {
    let browser = Browser::new().unwrap().stop_at(CALLBACK);
    browser.walk(authorize_url(google, scopes, changes), &Choice::approve(email.as_str())).await.unwrap()
}

/// The token answer after a whole sign-in.
pub(crate) async fn sign_in(google: &StandIn, email: &Email, scopes: &str, changes: &[(&str, &str)]) -> Value {
    let back = walk(google, email, scopes, changes).await;
    let code = back.query("code").expect("a code came back");
    exchange(google, &code, &[]).await.1
}

pub(crate) async fn exchange(google: &StandIn, code: &str, changes: &[(&str, &str)]) -> (u16, Value) {
    let form =
        [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    token(google, &form, changes).await
}

pub(crate) async fn refresh(google: &StandIn, refresh_token: &str) -> (u16, Value) {
    token(google, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)], &[]).await
}

pub(crate) async fn token(google: &StandIn, form: &[(&str, &str)], changes: &[(&str, &str)]) -> (u16, Value) {
    let secret = StandIn::client_secret();
    let mut form = form.to_vec();
    form.extend([("client_id", StandIn::client_id()), ("client_secret", secret.expose())]);
    for (name, value) in changes {
        form.retain(|(known, _)| known != name);
        form.push((name, value));
    }
    form.retain(|(_, value)| !value.is_empty());
    post(google, "token", &form).await
}

pub(crate) async fn post(google: &StandIn, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let response = http().post(google.url().join(path).unwrap()).form(form).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

pub(crate) async fn get(google: &StandIn, path: &str, token: &str) -> (u16, Value) {
    let request = http().get(google.url().join(path).unwrap()).bearer_auth(token);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

/// An access token without a sign-in.
pub(crate) fn access_token(google: &StandIn, email: &Email, scopes: &str) -> String {
    let credential = google.control().credential(email, &Scopes::from(scopes)).unwrap();
    credential.access_token.unwrap().expose().to_owned()
}

pub(crate) fn text<'a>(json: &'a Value, name: &str) -> &'a str {
    json[name].as_str().unwrap_or_else(|| panic!("no text {name}"))
}
