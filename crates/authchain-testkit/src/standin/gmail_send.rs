//! `users.messages.send` of Gmail v1: as JSON, and as the uploads that Google's client libraries make.

use std::sync::Arc;

use authchain_core::Email;
use axum::{
    Json,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
};
use base64::{
    Engine,
    alphabet::URL_SAFE as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::{
    api::{Call, GMAIL_SEND},
    api_error::ApiError,
    gmail::own,
    ledger::random,
    mime::{Part, parameter, sections, split_head},
    params::Params,
    people::{Mail, Person},
    world::World,
};

/// Google accepts base64url with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A message that comes in pieces.
pub(crate) struct Upload {
    email: Email,
    received: Vec<u8>,
}

/// `POST /gmail/v1/users/{user}/messages/send` with `{"raw": "..."}`.
pub(crate) async fn send(call: Call, Path(user): Path<String>, body: Bytes) -> Result<Response, ApiError> {
    let email = call.caller(&GMAIL_SEND)?.holder.email;
    own(&user, &email)?;
    let message: Value =
        serde_json::from_slice(&body).map_err(|_| ApiError::invalid("body", "Invalid JSON payload received."))?;
    let raw = message.get("raw").and_then(Value::as_str);
    let raw = raw.ok_or_else(|| {
        ApiError::invalid("raw", "'raw' RFC822 payload message string or uploading message via /upload/* URL required")
    })?;
    let raw = LENIENT
        .decode(raw)
        .map_err(|_| ApiError::invalid("raw", "Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed"))?;
    deliver(&call.world, &email, &raw)
}

/// `POST /upload/gmail/v1/users/{user}/messages/send?uploadType=media|multipart|resumable`
pub(crate) async fn upload(
    State(world): State<Arc<World>>,
    Path(user): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let query = Params::of_query(query.as_deref());
    if let Some(id) = query.get("upload_id") {
        return piece(&world, id, &headers, &body);
    }
    let kind = query.get("uploadType").unwrap_or_default().to_owned();
    let call = Call::new(&world, &headers, query)?;
    let email = call.caller(&GMAIL_SEND)?.holder.email;
    own(&user, &email)?;
    match kind.as_str() {
        "media" => deliver(&world, &email, &body),
        "multipart" => {
            let content_type =
                headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let boundary = parameter(content_type, "boundary");
            let boundary = boundary.ok_or_else(|| ApiError::invalid("body", "Missing multipart boundary"))?;
            let parts = sections(&body, &boundary);
            let message = parts.get(1).ok_or_else(|| ApiError::invalid("body", "Missing media part"))?;
            deliver(&world, &email, split_head(message).1)
        }
        "resumable" => {
            let id = random();
            let location =
                format!("{}/upload/gmail/v1/users/me/messages/send?uploadType=resumable&upload_id={id}", world.issuer);
            world.uploads().insert(id, Upload { email, received: Vec::new() });
            Ok((StatusCode::OK, [(header::LOCATION, location)]).into_response())
        }
        _ => Err(ApiError::invalid("uploadType", "Invalid upload type")),
    }
}

/// A piece of a resumable upload; the id in the address is what admits it.
fn piece(world: &World, id: &str, headers: &HeaderMap, body: &[u8]) -> Result<Response, ApiError> {
    let mut uploads = world.uploads();
    let upload = uploads.get_mut(id).ok_or_else(|| ApiError::not_found("Upload not found."))?;
    upload.received.extend_from_slice(body);
    // `Content-Range: bytes 0-99/200`; without one, this is all.
    let range = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let total = range.and_then(|range| range.rsplit_once('/')).and_then(|(_, total)| total.parse::<usize>().ok());
    if total.is_some_and(|total| upload.received.len() < total) {
        let last = upload.received.len().saturating_sub(1);
        return Ok((StatusCode::PERMANENT_REDIRECT, [(header::RANGE, format!("bytes 0-{last}"))]).into_response());
    }
    let Some(Upload { email, received }) = uploads.remove(id) else {
        return Err(ApiError::not_found("Upload not found."));
    };
    drop(uploads);
    deliver(world, &email, &received)
}

/// Puts a message into the sender's mailbox, and into those of the people here that it goes to.
fn deliver(world: &World, from: &Email, raw: &[u8]) -> Result<Response, ApiError> {
    let part = Part::parse(raw);
    let recipients: Vec<Email> =
        ["To", "Cc", "Bcc"].iter().filter_map(|name| part.header(name)).flat_map(addresses).collect();
    if recipients.is_empty() {
        return Err(ApiError::invalid("raw", "Recipient address required"));
    }
    let now = world.now();
    let mut people = world.people();
    let sender = people.by_email_mut(from).ok_or_else(ApiError::auth)?;
    let raw = match part.header("From") {
        Some(_) => raw.to_vec(),
        None => [format!("From: {} <{from}>\r\n", sender.name()).as_bytes(), raw].concat(),
    };
    let mail = Mail { id: next_id(sender), thread: next_id(sender), labels: vec!["SENT".into()], received: now, raw };
    let answer = json!({"id": mail.id, "threadId": mail.thread, "labelIds": mail.labels});
    sender.mail.push(mail.clone());
    for email in recipients {
        if let Some(person) = people.by_email_mut(&email) {
            let (id, labels) = (next_id(person), vec!["INBOX".into(), "UNREAD".into()]);
            person.mail.push(Mail { thread: id.clone(), id, labels, ..mail.clone() });
        }
    }
    Ok(Json(answer).into_response())
}

fn next_id(person: &Person) -> String {
    format!("{}mail{:02}", person.given_name.to_lowercase(), person.mail.len() + 1)
}

/// The addresses of a header such as `To: Ann <ann@example.com>, bob@example.com`.
fn addresses(header: &str) -> Vec<Email> {
    let bare = |one: &str| match one.rsplit_once('<') {
        Some((_, address)) => Email::new(address.split('>').next().unwrap_or_default()).ok(),
        None => Email::new(one).ok(),
    };
    header.split(',').filter_map(bare).collect()
}
