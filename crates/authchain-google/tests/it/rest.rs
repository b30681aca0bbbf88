//! The generic client against a small API that counts, pages, stumbles and takes uploads.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authchain_core::{AuthError, CredentialKey, ErrorCode, ProviderId, Scopes, TokenGroup, UserId};
use authchain_google::{CacheOptions, Content, Endpoints, Problem, RestClient, RestError, RetryPolicy, ServiceFactory};
use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, Query, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get, post, put},
};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use url::Url;

use crate::source::{Tokens, bearer, serve};

/// What was uploaded, each with the `Authorization` that came with it.
type Uploads = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

#[derive(Clone, Default)]
struct Api {
    /// Statuses to answer before all is well.
    stumbles: Arc<Mutex<Vec<(u16, &'static str)>>>,
    calls: Arc<AtomicU64>,
    uploaded: Uploads,
    elsewhere: bool,
}

type Parameters = Query<std::collections::BTreeMap<String, String>>;

async fn echo(State(api): State<Api>, request: Request) -> Response {
    api.calls.fetch_add(1, Ordering::SeqCst);
    let stumble = api.stumbles.lock().unwrap().pop();
    if let Some((status, retry_after)) = stumble {
        return (StatusCode::from_u16(status).unwrap(), [("retry-after", retry_after)]).into_response();
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    if head.method == "DELETE" {
        return StatusCode::NO_CONTENT.into_response();
    }
    Json(json!({
        "method": head.method.as_str(),
        "uri": head.uri.to_string(),
        "authorization": bearer(&head.headers),
        "project": head.headers.get("x-goog-user-project").map(|v| v.to_str().unwrap()),
        "body": serde_json::from_slice::<Value>(&body).ok(),
    }))
    .into_response()
}

async fn pages(Query(parameters): Parameters) -> Json<Value> {
    let page: u32 = parameters.get("pageToken").map_or(0, |token| token.parse().unwrap());
    let next = (page < 2).then(|| (page + 1).to_string());
    // The middle page is empty and has no field, as Google sends it.
    let files = (page != 1).then(|| json!([{"id": page * 10}, {"id": page * 10 + 1}]));
    Json(json!({"files": files, "nextPageToken": next, "size": parameters.get("pageSize")}))
}

async fn circle() -> Json<Value> {
    Json(json!({"files": [], "nextPageToken": "again"}))
}

async fn content(Path(length): Path<usize>, Query(parameters): Parameters) -> Response {
    assert_eq!(parameters.get("alt").map(String::as_str), Some("media"));
    ([("content-type", "text/plain")], vec![b'x'; length]).into_response()
}

async fn upload(State(api): State<Api>, Query(parameters): Parameters, request: Request) -> Response {
    let host = request.headers().get("host").unwrap().to_str().unwrap().to_owned();
    if parameters["uploadType"] == "resumable" {
        assert_eq!(request.headers().get("x-upload-content-type").unwrap(), "text/plain");
        let host = if api.elsewhere { "evil.example".into() } else { host };
        return [("location", format!("http://{host}/session"))].into_response();
    }
    keep(api, request).await
}

async fn keep(api: Api, request: Request) -> Response {
    let authorization = bearer(request.headers());
    let body = to_bytes(request.into_body(), 1 << 24).await.unwrap();
    let length = body.len();
    api.uploaded.lock().unwrap().push((authorization, body.to_vec()));
    Json(json!({"size": length})).into_response()
}

async fn session(State(api): State<Api>, request: Request<Body>) -> Response {
    keep(api, request).await
}

fn key() -> CredentialKey {
    CredentialKey::new(ProviderId::google(), UserId::new("ann@example.com").unwrap())
}

async fn start(api: &Api) -> Url {
    let app = Router::new()
        .route("/drive/v3/pages", get(pages))
        .route("/drive/v3/circle", get(circle))
        .route("/drive/v3/content/{length}", get(content))
        .route("/upload/drive/v3/files", post(upload))
        .route("/session", put(session))
        .fallback(any(echo))
        .with_state(api.clone());
    serve(app).await
}

fn factory(base: Url, tokens: &Arc<Tokens>) -> ServiceFactory {
    ServiceFactory::new(tokens.clone(), Endpoints::under(base), CacheOptions::default()).unwrap()
}

/// Waits for nothing between attempts, so that no test does.
fn hasty() -> RetryPolicy {
    RetryPolicy { first_wait: Duration::ZERO, ..RetryPolicy::default() }
}

async fn client(api: &Api) -> (RestClient, Arc<Tokens>) {
    let tokens = Arc::new(Tokens::default());
    tokens.set(&key(), "first");
    let factory = factory(start(api).await, &tokens);
    (factory.rest(&key(), "drive", None).await.unwrap().with_retry(hasty()), tokens)
}

#[tokio::test]
async fn a_call_carries_path_parameters_headers_body_and_the_token_of_now() {
    let (client, tokens) = client(&Api::default()).await;
    let call = client.post("files/{id}/copy").path("id", "a/b").query("fields", "id,name");
    let call = call.json(&json!({"name": "Copy"})).unwrap().header("x-goog-user-project", "p1").unwrap();
    let answer: Value = call.clone().send().await.unwrap();
    assert_eq!(answer["uri"], "/drive/v3/files/a%2Fb/copy?fields=id%2Cname");
    assert_eq!((&answer["method"], &answer["project"]), (&json!("POST"), &json!("p1")));
    assert_eq!((&answer["body"], &answer["authorization"]), (&json!({"name": "Copy"}), &json!("Bearer first")));
    tokens.set(&key(), "second");
    let answer: Value = call.send().await.unwrap();
    assert_eq!(answer["authorization"], "Bearer second");
}

#[tokio::test]
async fn a_call_counts_for_the_project_of_its_credential_unless_it_names_another() {
    let (client, tokens) = client(&Api::default()).await;
    let answer: Value = client.get("files/{id}").path("id", "a").send().await.unwrap();
    assert_eq!(answer["project"], Value::Null);
    tokens.count_for("p2");
    let call = client.get("files/{id}").path("id", "a");
    let answer: Value = call.clone().send().await.unwrap();
    assert_eq!(answer["project"], "p2");
    let answer: Value = call.header("x-goog-user-project", "p1").unwrap().send().await.unwrap();
    assert_eq!(answer["project"], "p1");
}

#[tokio::test]
async fn an_empty_answer_is_a_success() {
    let (client, _) = client(&Api::default()).await;
    client.delete("files/{id}").path("id", "1").send_empty().await.unwrap();
    assert_eq!(client.delete("files/{id}").path("id", "1").send::<Option<Value>>().await.unwrap(), None);
}

#[tokio::test]
async fn the_token_header_is_the_clients_own() {
    let (client, _) = client(&Api::default()).await;
    for (name, value) in [("Authorization", "Bearer x"), ("a b", "x"), ("x", "a\nb")] {
        assert!(matches!(client.get("x").header(name, value), Err(RestError::Invalid(_))), "{name}");
    }
}

#[tokio::test]
async fn a_stumbling_api_is_asked_again() {
    let api = Api::default();
    let (client, _) = client(&api).await;
    *api.stumbles.lock().unwrap() = vec![(500, "0"), (429, "0"), (503, "0")];
    client.get("files").send::<Value>().await.unwrap();
    assert_eq!(api.calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn patience_ends_with_what_went_wrong() {
    let api = Api::default();
    let (client, _) = client(&api).await;
    *api.stumbles.lock().unwrap() = vec![(503, "0"); 10];
    let error = client.get("files").send::<Value>().await.unwrap_err();
    assert!(matches!(error.problem(), Some(Problem::Unavailable { .. })), "{error}");
    assert_eq!(api.calls.load(Ordering::SeqCst), 4);
    assert_eq!(error.into_auth_error(&key(), &Scopes::none()).code(), ErrorCode::UpstreamUnavailable);
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_twice() {
    let api = Api::default();
    let (client, _) = client(&api).await;
    *api.stumbles.lock().unwrap() = vec![(500, "0")];
    assert!(client.post("send").send::<Value>().await.is_err());
    assert_eq!(api.calls.load(Ordering::SeqCst), 1);
    *api.stumbles.lock().unwrap() = vec![(500, "0"), (429, "0")];
    assert!(client.post("send").send::<Value>().await.is_err(), "429 is repeated, 500 is not");
    assert_eq!(api.calls.load(Ordering::SeqCst), 3);
    *api.stumbles.lock().unwrap() = vec![(500, "0")];
    client.post("search").repeatable().send::<Value>().await.unwrap();
}

#[tokio::test]
async fn a_long_wait_is_handed_on_at_once() {
    let api = Api::default();
    let (client, _) = client(&api).await;
    *api.stumbles.lock().unwrap() = vec![(429, "3600")];
    let error = client.get("files").send::<Value>().await.unwrap_err();
    let error = error.into_auth_error(&key(), &Scopes::none());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!(api.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_api_that_is_not_there_is_an_outage() {
    let tokens = Arc::new(Tokens::default());
    tokens.set(&key(), "t");
    let client = factory("http://127.0.0.1:1".parse().unwrap(), &tokens).rest(&key(), "drive", None).await.unwrap();
    let error = client.with_retry(RetryPolicy::never()).get("files").send::<Value>().await.unwrap_err();
    assert!(matches!(error.problem(), Some(Problem::Unavailable { .. })), "{error}");
}

#[tokio::test]
async fn a_call_without_a_token_asks_nobody() {
    let api = Api::default();
    let (client, tokens) = client(&api).await;
    tokens.remove(&key());
    let error = client.get("files").send::<Value>().await.unwrap_err();
    assert!(matches!(error, RestError::Auth(AuthError::SignInNeeded { .. })));
    assert_eq!(api.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn pages_come_as_one_stream() {
    let (client, _) = client(&Api::default()).await;
    let ids: Vec<u64> = client
        .get("pages")
        .query("pageSize", "2")
        .items("files")
        .map_ok(|file| file["id"].as_u64().unwrap())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(ids, [0, 1, 20, 21]);
    let pages: Vec<Value> = client.get("pages").query("pageSize", "2").pages().try_collect().await.unwrap();
    assert_eq!(pages.len(), 3);
    assert!(pages.iter().all(|page| page["size"] == "2"));
}

#[tokio::test]
async fn pages_that_go_in_a_circle_end_with_an_error() {
    let (client, _) = client(&Api::default()).await;
    let pages: Vec<_> = client.get("circle").pages().collect().await;
    assert!(matches!(pages.last(), Some(Err(RestError::Nonsense(_)))));
}

#[tokio::test]
async fn a_download_is_a_stream() {
    let (client, _) = client(&Api::default()).await;
    let download = client.get("content/{length}").path("length", "300000").download().await.unwrap();
    assert_eq!((download.content_type.as_deref(), download.length), (Some("text/plain"), Some(300_000)));
    let length: usize =
        download.map_ok(|bytes| bytes.len()).try_fold(0, |a, b| async move { Ok(a + b) }).await.unwrap();
    assert_eq!(length, 300_000);
}

#[tokio::test]
async fn an_upload_sends_its_content() {
    let api = Api::default();
    let (client, _) = client(&api).await;
    let chunks = (0..100).map(|_| Ok(vec![7_u8; 1000].into()));
    let content = Content::stream("text/plain", None, futures_util::stream::iter(chunks));
    let answer: Value = client.post("/upload/drive/v3/files").upload(content).await.unwrap();
    assert_eq!(answer["size"], 100_000);
    let uploaded = api.uploaded.lock().unwrap();
    assert_eq!((uploaded[0].0.as_str(), uploaded[0].1.len()), ("Bearer first", 100_000));
}

#[tokio::test]
async fn an_upload_with_metadata_announces_itself_first() {
    let api = Api::default();
    let (client, _) = client(&api).await;
    for content in ["hello", ""] {
        let call = client.post("/upload/drive/v3/files").json(&json!({"name": "x"})).unwrap();
        let answer: Value = call.upload_with_metadata(Content::bytes("text/plain", content)).await.unwrap();
        assert_eq!(answer["size"], content.len());
    }
    let uploaded = api.uploaded.lock().unwrap();
    assert!(uploaded.iter().all(|(authorization, _)| authorization.is_empty()), "the session needs no token");
}

#[tokio::test]
async fn an_upload_is_not_led_to_another_host() {
    let (client, _) = client(&Api { elsewhere: true, ..Api::default() }).await;
    let call = client.post("/upload/drive/v3/files").json(&json!({})).unwrap();
    let error = call.upload_with_metadata::<Value>(Content::bytes("text/plain", "secret")).await.unwrap_err();
    assert!(matches!(error, RestError::Nonsense(_)));
}

#[tokio::test]
async fn a_service_uses_the_credential_of_its_token_group() {
    let photos = CredentialKey { group: TokenGroup::new("photos").unwrap(), ..key() };
    let tokens = Arc::new(Tokens::default());
    tokens.set(&photos, "photos");
    let factory = factory(start(&Api::default()).await, &tokens);
    let client = factory.rest(&key(), "photos", None).await.unwrap();
    assert_eq!(client.key(), &photos);
    let answer: Value = client.get("v1/albums").send().await.unwrap();
    assert_eq!((&answer["uri"], &answer["authorization"]), (&json!("/v1/albums"), &json!("Bearer photos")));
}

#[tokio::test]
async fn of_several_services_one_may_fail() {
    let tokens = Arc::new(Tokens::default());
    tokens.set(&key(), "t");
    let factory = factory(start(&Api::default()).await, &tokens);
    let asked = [("drive_v2", None), ("photos", None), ("plus", None), ("sheets", None)];
    let made = factory.services(&key(), asked).await;
    let codes: Vec<_> = made.iter().map(|made| made.as_ref().err().map(AuthError::code)).collect();
    assert_eq!(codes, [None, Some(ErrorCode::SignInNeeded), Some(ErrorCode::Configuration), None]);
    assert_eq!(made[0].as_ref().unwrap().service().version.name, "v2");
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_token() {
    let (client, tokens) = client(&Api::default()).await;
    tokens.set(&key(), "ya29.very-secret");
    let call = client.get("files");
    call.clone().send::<Value>().await.unwrap();
    assert!(!format!("{client:?} {call:?}").contains("very-secret"));
}
