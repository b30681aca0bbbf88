//! A little of Drive v3: `files.list`, `files.get` (metadata and content) and `files.export`.

use axum::{
    Json,
    extract::Path,
    response::{IntoResponse, Response},
};
use http::header;
use serde_json::{Value, json};

use super::{
    api::{Call, DRIVE_CONTENT, DRIVE_EXPORT, DRIVE_GET, DRIVE_LIST, page, select},
    api_error::ApiError,
    drive_query::Query,
    people::{File, Person, rfc3339},
};

const GOOGLE_TYPES: &str = "application/vnd.google-apps.";
/// What `files.list` and `files.get` show when no fields are named.
const DEFAULT_FIELDS: &str = "kind,id,name,mimeType";

/// `GET /drive/v3/files`
pub(crate) async fn list(call: Call) -> Result<Response, ApiError> {
    let email = call.caller(&DRIVE_LIST)?.holder.email;
    let query =
        call.query.get("q").map(Query::parse).transpose().map_err(|()| ApiError::invalid("q", "Invalid Value"))?;
    let people = call.world.people();
    let person = people.by_email(&email).ok_or_else(ApiError::auth)?;
    let found: Vec<&File> = person
        .files
        .iter()
        .filter(|file| query.as_ref().is_none_or(|query| query.matches(file, &person.root())))
        .collect();
    let (files, next) = page(found, &call.query, "pageSize", 100)?;
    let files: Vec<Value> = files.into_iter().map(|file| resource(file, person)).collect();
    let mut body = json!({"kind": "drive#fileList", "incompleteSearch": false, "files": files});
    if let (Some(next), Some(body)) = (next, body.as_object_mut()) {
        body.insert("nextPageToken".into(), next.into());
    }
    let fields = format!("kind,incompleteSearch,nextPageToken,files({DEFAULT_FIELDS})");
    Ok(Json(select(body, Some(call.query.get("fields").unwrap_or(&fields)))).into_response())
}

/// `GET /drive/v3/about`: whose Drive it is and how full. Google insists on `fields` here.
pub(crate) async fn about(call: Call) -> Result<Response, ApiError> {
    let email = call.caller(&DRIVE_LIST)?.holder.email;
    let fields =
        call.query.get("fields").ok_or_else(|| ApiError::invalid("fields", "The 'fields' parameter is required"))?;
    let people = call.world.people();
    let person = people.by_email(&email).ok_or_else(ApiError::auth)?;
    let used: usize = person.files.iter().map(|file| file.content.len()).sum();
    let body = json!({
        "kind": "drive#about",
        "user": {"emailAddress": email},
        "storageQuota": {"limit": "16106127360", "usage": used.to_string()},
    });
    Ok(Json(select(body, Some(fields))).into_response())
}

/// `GET /drive/v3/files/{id}`, with `alt=media` for the content.
pub(crate) async fn get(call: Call, Path(id): Path<String>) -> Result<Response, ApiError> {
    let content = call.query.get("alt") == Some("media");
    let email = call.caller(if content { &DRIVE_CONTENT } else { &DRIVE_GET })?.holder.email;
    let people = call.world.people();
    let person = people.by_email(&email).ok_or_else(ApiError::auth)?;
    let file = find(person, &id)?;
    if !content {
        let fields = call.query.get("fields").unwrap_or(DEFAULT_FIELDS);
        return Ok(Json(select(resource(file, person), Some(fields))).into_response());
    }
    if file.mime_type.starts_with(GOOGLE_TYPES) {
        return Err(ApiError::refusal(crate::Endpoint::Drive, "fileNotDownloadable"));
    }
    Ok(([(header::CONTENT_TYPE, file.mime_type)], file.content).into_response())
}

/// `GET /drive/v3/files/{id}/export?mimeType=`
pub(crate) async fn export(call: Call, Path(id): Path<String>) -> Result<Response, ApiError> {
    let email = call.caller(&DRIVE_EXPORT)?.holder.email;
    let people = call.world.people();
    let file = find(people.by_email(&email).ok_or_else(ApiError::auth)?, &id)?;
    let wanted =
        call.query.get("mimeType").ok_or_else(|| ApiError::invalid("mimeType", "Required parameter: mimeType"))?;
    let offered: &[&str] = match file.mime_type.strip_prefix(GOOGLE_TYPES) {
        Some("document") => &["text/plain", "text/markdown", "text/html"],
        Some("spreadsheet") => &["text/csv"],
        _ => return Err(ApiError::refusal(crate::Endpoint::Drive, "fileNotExportable")),
    };
    let Some(mime_type) = offered.iter().find(|offered| **offered == wanted) else {
        return Err(ApiError::invalid("convertTo", "The requested conversion is not supported."));
    };
    let content = if *mime_type == "text/html" {
        maud::html! { html { body { @for line in file.content.lines() { p { (line) } } } } }.into_string()
    } else {
        file.content.to_owned()
    };
    Ok(([(header::CONTENT_TYPE, *mime_type)], content).into_response())
}

fn find<'a>(person: &'a Person, id: &str) -> Result<&'a File, ApiError> {
    person.files.iter().find(|file| file.id == id).ok_or_else(|| ApiError::not_found(&format!("File not found: {id}.")))
}

fn resource(file: &File, person: &Person) -> Value {
    let mut resource = json!({
        "kind": "drive#file",
        "id": file.id,
        "name": file.name,
        "mimeType": file.mime_type,
        "parents": [file.parent],
        "trashed": file.trashed,
        "starred": false,
        "createdTime": rfc3339(file.modified),
        "modifiedTime": rfc3339(file.modified),
        "ownedByMe": true,
        "owners": [{"kind": "drive#user", "displayName": person.name(), "emailAddress": person.email.as_str(), "me": true}],
        "webViewLink": format!("https://drive.standin.example/file/d/{}/view", file.id),
    });
    if !file.mime_type.starts_with(GOOGLE_TYPES)
        && let Some(resource) = resource.as_object_mut()
    {
        resource.insert("size".into(), file.content.len().to_string().into());
    }
    resource
}
