//! Every hub that is switched on calls the stand-in at its API's own path, and Google nowhere.

use std::sync::{Arc, Mutex};

use authchain_core::{CredentialKey, ProviderId, Scopes, UserId};
use authchain_google::{CacheOptions, Endpoints, Hub, ServiceFactory, catalogue};
use axum::{Json, Router, extract::State, http::Uri};
use serde_json::{Value, json};

use crate::source::{Tokens, serve};

type Paths = Arc<Mutex<Vec<String>>>;

/// A hub of a stand-in that answers `{}` to everything and writes down the paths.
async fn hub<H: Hub>() -> (Arc<H>, Paths) {
    async fn note(State(paths): State<Paths>, uri: Uri) -> Json<Value> {
        paths.lock().unwrap().push(uri.path().to_owned());
        Json(json!({}))
    }
    let paths = Paths::default();
    let base = serve(Router::new().fallback(note).with_state(paths.clone())).await;
    let ann = UserId::new("ann@example.com").unwrap();
    let key = CredentialKey::new(ProviderId::google(), ann.clone());
    let tokens = Arc::new(Tokens::default());
    tokens.set(&key, "t");
    let factory = ServiceFactory::new(tokens, Endpoints::under(base), CacheOptions::default()).unwrap();
    assert!(catalogue().find(H::SERVICE).is_some(), "{}", H::SERVICE);
    (factory.service::<H>(&ann, &key, &Scopes::none()).await.unwrap(), paths)
}

#[cfg(feature = "drive")]
#[tokio::test]
async fn drive_is_at_its_path() {
    let (hub, paths) = hub::<authchain_google::DriveHub<_>>().await;
    hub.files().get("1").doit().await.unwrap();
    assert_eq!(*paths.lock().unwrap(), ["/drive/v3/files/1"]);
}

#[cfg(feature = "drive")]
#[tokio::test]
async fn an_upload_to_drive_is_at_its_path() {
    let (hub, paths) = hub::<authchain_google::DriveHub<_>>().await;
    let content = std::io::Cursor::new(b"hello".to_vec());
    hub.files().create(Default::default()).upload(content, "text/plain".parse().unwrap()).await.unwrap();
    assert_eq!(*paths.lock().unwrap(), ["/upload/drive/v3/files"]);
}

#[cfg(feature = "gmail")]
#[tokio::test]
async fn gmail_is_at_its_path() {
    let (hub, paths) = hub::<authchain_google::GmailHub<_>>().await;
    hub.users().messages_list("me").doit().await.unwrap();
    assert_eq!(*paths.lock().unwrap(), ["/gmail/v1/users/me/messages"]);
}

#[cfg(feature = "calendar")]
#[tokio::test]
async fn calendar_is_at_its_path() {
    let (hub, paths) = hub::<authchain_google::CalendarHub<_>>().await;
    hub.events().list("primary").doit().await.unwrap();
    assert_eq!(*paths.lock().unwrap(), ["/calendar/v3/calendars/primary/events"]);
}

#[cfg(feature = "docs")]
#[tokio::test]
async fn docs_is_at_its_path() {
    let (hub, paths) = hub::<authchain_google::DocsHub<_>>().await;
    hub.documents().get("1").doit().await.unwrap();
    assert_eq!(*paths.lock().unwrap(), ["/v1/documents/1"]);
}

#[cfg(feature = "sheets")]
#[tokio::test]
async fn sheets_is_at_its_path() {
    let (hub, paths) = hub::<authchain_google::SheetsHub<_>>().await;
    hub.spreadsheets().get("1").doit().await.unwrap();
    assert_eq!(*paths.lock().unwrap(), ["/v4/spreadsheets/1"]);
}

#[cfg(feature = "people")]
#[tokio::test]
async fn people_is_at_its_path() {
    let (hub, paths) = hub::<authchain_google::PeopleHub<_>>().await;
    hub.people().get("people/me").doit().await.unwrap();
    assert_eq!(*paths.lock().unwrap(), ["/v1/people/me"]);
}

#[cfg(feature = "tasks")]
#[tokio::test]
async fn tasks_is_at_its_path() {
    let (hub, paths) = hub::<authchain_google::TasksHub<_>>().await;
    hub.tasklists().list().doit().await.unwrap();
    assert_eq!(*paths.lock().unwrap(), ["/tasks/v1/users/@me/lists"]);
}
