//! A little of Gmail v1: messages (list, get), labels, profile. Sending is in `gmail_send`.

use authchain_core::{Email, Scopes};
use axum::{
    Json,
    extract::Path,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE};
use serde_json::{Map, Value, json};

use super::{
    api::{Call, GMAIL_GET, GMAIL_LABELS, GMAIL_LIST, GMAIL_PROFILE, page, select},
    api_error::ApiError,
    gmail_query::Query,
    mime::Part,
    people::{Mail, Person},
};

const METADATA: &str = "https://www.googleapis.com/auth/gmail.metadata";
const LABELS: [&str; 8] = ["INBOX", "SENT", "UNREAD", "IMPORTANT", "STARRED", "DRAFT", "SPAM", "TRASH"];

/// `GET /gmail/v1/users/{user}/messages`
pub(crate) async fn list(call: Call, Path(user): Path<String>) -> Result<Response, ApiError> {
    let access = call.caller(&GMAIL_LIST)?;
    own(&user, &access.holder.email)?;
    let text = call.query.get("q").unwrap_or_default();
    if !text.is_empty() && is_metadata_only(&access.scopes) {
        return Err(ApiError::forbidden("Metadata scope does not support 'q' parameter"));
    }
    let query = Query::parse(text, call.world.now());
    let people = call.world.people();
    let person = people.by_email(&access.holder.email).ok_or_else(ApiError::auth)?;
    let mut found: Vec<&Mail> = person
        .mail
        .iter()
        .filter(|mail| {
            query.matches(mail) && call.query.all("labelIds").all(|label| mail.labels.iter().any(|l| l == label))
        })
        .collect();
    found.sort_by_key(|mail| std::cmp::Reverse(mail.received));
    let total = found.len();
    let (mail, next) = page(found, &call.query, "maxResults", 100)?;
    let mut body = Map::new();
    if !mail.is_empty() {
        let messages = mail.iter().map(|mail| json!({"id": mail.id, "threadId": mail.thread})).collect();
        body.insert("messages".into(), Value::Array(messages));
    }
    body.extend(next.map(|next| ("nextPageToken".to_owned(), next.into())));
    body.insert("resultSizeEstimate".into(), total.into());
    Ok(Json(select(Value::Object(body), call.query.get("fields"))).into_response())
}

/// `GET /gmail/v1/users/{user}/messages/{id}`
pub(crate) async fn get(call: Call, Path((user, id)): Path<(String, String)>) -> Result<Response, ApiError> {
    let access = call.caller(&GMAIL_GET)?;
    own(&user, &access.holder.email)?;
    let format = call.query.get("format").unwrap_or("full").to_ascii_lowercase();
    if matches!(format.as_str(), "full" | "raw") && is_metadata_only(&access.scopes) {
        return Err(ApiError::forbidden(&format!(
            "Metadata scope doesn't allow format {}",
            format.to_ascii_uppercase()
        )));
    }
    let people = call.world.people();
    let person = people.by_email(&access.holder.email).ok_or_else(ApiError::auth)?;
    let mail = person.mail.iter().find(|mail| mail.id == id);
    let mail = mail.ok_or_else(|| ApiError::not_found("Requested entity was not found."))?;
    let part = Part::parse(&mail.raw);
    let mut body = summary(mail, &part);
    match format.as_str() {
        "minimal" => {}
        "raw" => {
            body.insert("raw".into(), URL_SAFE.encode(&mail.raw).into());
        }
        "metadata" => {
            let wanted: Vec<&str> = call.query.all("metadataHeaders").collect();
            let headers =
                header_list(&part, |name| wanted.is_empty() || wanted.iter().any(|w| w.eq_ignore_ascii_case(name)));
            body.insert("payload".into(), json!({"mimeType": part.mime_type, "headers": headers}));
        }
        "full" => {
            body.insert("payload".into(), part_json(&part, ""));
        }
        _ => return Err(ApiError::invalid("format", &format!("Invalid value at 'format': {format}"))),
    }
    Ok(Json(select(Value::Object(body), call.query.get("fields"))).into_response())
}

/// `GET /gmail/v1/users/{user}/labels`
pub(crate) async fn labels(call: Call, Path(user): Path<String>) -> Result<Response, ApiError> {
    own(&user, &call.caller(&GMAIL_LABELS)?.holder.email)?;
    let labels: Vec<Value> = LABELS.iter().map(|name| json!({"id": name, "name": name, "type": "system"})).collect();
    Ok(Json(json!({"labels": labels})).into_response())
}

/// `GET /gmail/v1/users/{user}/profile`
pub(crate) async fn profile(call: Call, Path(user): Path<String>) -> Result<Response, ApiError> {
    let email = call.caller(&GMAIL_PROFILE)?.holder.email;
    own(&user, &email)?;
    let people = call.world.people();
    let person = people.by_email(&email).ok_or_else(ApiError::auth)?;
    let threads: std::collections::BTreeSet<&str> = person.mail.iter().map(|mail| mail.thread.as_str()).collect();
    Ok(Json(json!({
        "emailAddress": email.as_str(),
        "messagesTotal": person.mail.len(),
        "threadsTotal": threads.len(),
        "historyId": history(person),
    }))
    .into_response())
}

/// Whether the user named in a path is the caller; nobody has delegated a mailbox here.
pub(crate) fn own(user: &str, email: &Email) -> Result<(), ApiError> {
    if user == "me" || Email::new(user).is_ok_and(|named| named == *email) {
        Ok(())
    } else {
        Err(ApiError::forbidden(&format!("Delegation denied for {email}")))
    }
}

/// Google applies the limits of `gmail.metadata` as soon as it is among the scopes, whatever else is.
fn is_metadata_only(scopes: &Scopes) -> bool {
    scopes.contains(METADATA)
}

fn history(person: &Person) -> String {
    (1000 + person.mail.len()).to_string()
}

/// What every format but the list shows.
fn summary(mail: &Mail, part: &Part) -> Map<String, Value> {
    let text = part.text().split_whitespace().collect::<Vec<_>>().join(" ");
    let mut body = Map::new();
    body.insert("id".into(), mail.id.as_str().into());
    body.insert("threadId".into(), mail.thread.as_str().into());
    body.insert("labelIds".into(), json!(mail.labels));
    body.insert("snippet".into(), text.chars().take(200).collect::<String>().into());
    body.insert("sizeEstimate".into(), mail.raw.len().into());
    body.insert("historyId".into(), "1000".into());
    body.insert("internalDate".into(), mail.received.0.saturating_mul(1000).to_string().into());
    body
}

fn part_json(part: &Part, id: &str) -> Value {
    let mut body = json!({"size": part.body.len()});
    if let (false, Some(body)) = (part.body.is_empty(), body.as_object_mut()) {
        body.insert("data".into(), URL_SAFE.encode(&part.body).into());
    }
    let mut json = json!({
        "partId": id, "mimeType": part.mime_type, "filename": part.filename,
        "headers": header_list(part, |_| true), "body": body,
    });
    if let (false, Some(json)) = (part.parts.is_empty(), json.as_object_mut()) {
        let name = |i: usize| if id.is_empty() { i.to_string() } else { format!("{id}.{i}") };
        let parts = part.parts.iter().enumerate().map(|(i, part)| part_json(part, &name(i))).collect();
        json.insert("parts".into(), Value::Array(parts));
    }
    json
}

fn header_list(part: &Part, wanted: impl Fn(&str) -> bool) -> Vec<Value> {
    let wanted = part.headers.iter().filter(|(name, _)| wanted(name));
    wanted.map(|(name, value)| json!({"name": name, "value": value})).collect()
}
