//! What all Google APIs do before they answer: bearer, expiry, scopes.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header, request};
use serde_json::{Map, Value};

use super::{api_error::ApiError, ledger::Access, params::Params, world::World};
use crate::Endpoint;

/// A call of an API method with a bearer token, which [`Call::caller`] looks at.
pub(crate) struct Call {
    pub(crate) world: Arc<World>,
    pub(crate) query: Params,
    token: String,
}

impl FromRequestParts<Arc<World>> for Call {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut request::Parts, world: &Arc<World>) -> Result<Self, Response> {
        let query = Params::of_query(parts.uri.query());
        Self::new(world, &parts.headers, query).map_err(IntoResponse::into_response)
    }
}

impl Call {
    pub(crate) fn new(world: &Arc<World>, headers: &HeaderMap, query: Params) -> Result<Self, ApiError> {
        let token = bearer(headers).ok_or_else(ApiError::auth)?.to_owned();
        Ok(Self { world: world.clone(), query, token })
    }

    /// Who calls, if the token is alive and covers the method.
    pub(crate) fn caller(&self, method: &Method) -> Result<Access, ApiError> {
        let access = self.world.ledger().access(&self.token, self.world.now()).cloned().ok_or_else(ApiError::auth)?;
        if method.scopes.iter().any(|scope| access.scopes.contains(&format!("https://{scope}"))) {
            Ok(access)
        } else {
            Err(ApiError::insufficient(method.endpoint, method.name))
        }
    }
}

/// A method and the scopes of which any one is enough, as Google's discovery documents list them.
pub(crate) struct Method {
    endpoint: Endpoint,
    name: &'static str,
    scopes: &'static [&'static str],
}

macro_rules! methods {
    ($($name:ident: $endpoint:ident, $method:literal, [$($scope:literal),* $(,)?];)*) => {
        $(pub(crate) const $name: Method = Method { endpoint: Endpoint::$endpoint, name: $method, scopes: &[$($scope),*] };)*
    };
}

methods! {
    DRIVE_LIST: Drive, "google.apps.drive.v3.DriveFiles.List", [
        "www.googleapis.com/auth/drive", "www.googleapis.com/auth/drive.readonly", "www.googleapis.com/auth/drive.file",
        "www.googleapis.com/auth/drive.metadata", "www.googleapis.com/auth/drive.metadata.readonly",
        "www.googleapis.com/auth/drive.appdata", "www.googleapis.com/auth/drive.photos.readonly",
    ];
    DRIVE_GET: Drive, "google.apps.drive.v3.DriveFiles.Get", [
        "www.googleapis.com/auth/drive", "www.googleapis.com/auth/drive.readonly", "www.googleapis.com/auth/drive.file",
        "www.googleapis.com/auth/drive.metadata", "www.googleapis.com/auth/drive.metadata.readonly",
        "www.googleapis.com/auth/drive.appdata", "www.googleapis.com/auth/drive.photos.readonly",
    ];
    DRIVE_CONTENT: Drive, "google.apps.drive.v3.DriveFiles.Get", [
        "www.googleapis.com/auth/drive", "www.googleapis.com/auth/drive.readonly", "www.googleapis.com/auth/drive.file",
    ];
    DRIVE_EXPORT: Drive, "google.apps.drive.v3.DriveFiles.Export", [
        "www.googleapis.com/auth/drive", "www.googleapis.com/auth/drive.readonly", "www.googleapis.com/auth/drive.file",
    ];
    GMAIL_LIST: Gmail, "caribou.api.proto.MailboxService.ListMessages", [
        "mail.google.com/", "www.googleapis.com/auth/gmail.modify", "www.googleapis.com/auth/gmail.readonly",
        "www.googleapis.com/auth/gmail.metadata",
    ];
    GMAIL_GET: Gmail, "caribou.api.proto.MailboxService.GetMessage", [
        "mail.google.com/", "www.googleapis.com/auth/gmail.modify", "www.googleapis.com/auth/gmail.readonly",
        "www.googleapis.com/auth/gmail.metadata",
    ];
    GMAIL_SEND: Gmail, "caribou.api.proto.MailboxService.SendMessage", [
        "mail.google.com/", "www.googleapis.com/auth/gmail.modify", "www.googleapis.com/auth/gmail.compose",
        "www.googleapis.com/auth/gmail.send",
    ];
    GMAIL_LABELS: Gmail, "caribou.api.proto.MailboxService.ListLabels", [
        "mail.google.com/", "www.googleapis.com/auth/gmail.modify", "www.googleapis.com/auth/gmail.readonly",
        "www.googleapis.com/auth/gmail.metadata", "www.googleapis.com/auth/gmail.labels",
    ];
    GMAIL_PROFILE: Gmail, "caribou.api.proto.MailboxService.GetProfile", [
        "mail.google.com/", "www.googleapis.com/auth/gmail.modify", "www.googleapis.com/auth/gmail.readonly",
        "www.googleapis.com/auth/gmail.metadata", "www.googleapis.com/auth/gmail.compose",
    ];
    CALENDAR_LIST: Calendar, "calendar.v3.CalendarListService.List", [
        "www.googleapis.com/auth/calendar", "www.googleapis.com/auth/calendar.readonly",
        "www.googleapis.com/auth/calendar.calendarlist", "www.googleapis.com/auth/calendar.calendarlist.readonly",
    ];
    EVENTS_READ: Calendar, "calendar.v3.EventsService.List", [
        "www.googleapis.com/auth/calendar", "www.googleapis.com/auth/calendar.readonly",
        "www.googleapis.com/auth/calendar.events", "www.googleapis.com/auth/calendar.events.readonly",
        "www.googleapis.com/auth/calendar.events.owned", "www.googleapis.com/auth/calendar.events.owned.readonly",
    ];
    EVENTS_INSERT: Calendar, "calendar.v3.EventsService.Insert", [
        "www.googleapis.com/auth/calendar", "www.googleapis.com/auth/calendar.events",
        "www.googleapis.com/auth/calendar.events.owned",
    ];
}

/// The bearer token of a request (RFC 6750, section 2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// One page of a list: what is on it, and the token of the next.
pub(crate) fn page<T>(
    items: Vec<T>,
    query: &Params,
    size_name: &str,
    default: usize,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let start = match query.get("pageToken") {
        None => 0,
        Some(token) => token
            .strip_prefix("page-")
            .and_then(|n| n.parse::<usize>().ok())
            .ok_or_else(|| ApiError::invalid("pageToken", "Invalid Value"))?,
    };
    let size = match query.get(size_name) {
        None => default,
        Some(_) => query.number(size_name).filter(|n| (1..=2500).contains(n)).ok_or_else(|| {
            ApiError::invalid(
                "pageSize",
                &format!("Invalid value for {size_name}. Values must be within the range: [1, 2500]"),
            )
        })?,
    };
    let next = (items.len() > start.saturating_add(size)).then(|| format!("page-{}", start.saturating_add(size)));
    Ok((items.into_iter().skip(start).take(size).collect(), next))
}

/// Keeps the fields that a `fields` parameter names (`id,name`, `files(id,name)`, `files/id`, `*`).
pub(crate) fn select(value: Value, fields: Option<&str>) -> Value {
    match fields {
        None | Some("*") => value,
        Some(fields) => match value {
            Value::Object(map) => Value::Object(select_map(map, fields)),
            Value::Array(items) => items.into_iter().map(|item| select(item, Some(fields))).collect(),
            other => other,
        },
    }
}

fn select_map(mut map: Map<String, Value>, fields: &str) -> Map<String, Value> {
    let mut kept = Map::new();
    for field in split_fields(fields) {
        let (name, inner) = match field.find(['(', '/']) {
            Some(at) => {
                let (name, rest) = field.split_at(at);
                (name, rest.strip_prefix('/').or_else(|| rest.strip_prefix('(').and_then(|r| r.strip_suffix(')'))))
            }
            None => (field, None),
        };
        if name == "*" {
            kept.append(&mut map);
        } else if let Some(value) = map.remove(name) {
            kept.insert(name.to_owned(), select(value, inner));
        }
    }
    kept
}

/// Splits at the commas that are in no parentheses.
fn split_fields(fields: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    fields
        .split(|c| {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            c == ',' && depth == 0
        })
        .map(str::trim)
        .filter(|field| !field.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_selected_as_google_writes_them() {
        let list = json!({"kind": "list", "files": [{"id": "1", "name": "a", "size": "3"}], "nextPageToken": "x"});
        assert_eq!(
            select(list.clone(), Some("nextPageToken, files(id,name)")),
            json!({"nextPageToken": "x", "files": [{"id": "1", "name": "a"}]})
        );
        assert_eq!(select(list.clone(), Some("files/id")), json!({"files": [{"id": "1"}]}));
        assert_eq!(select(list.clone(), Some("*")), list);
    }

    #[test]
    fn pages_end_where_the_list_ends() {
        let query = |text: &str| Params::parse(text.as_bytes());
        assert_eq!(
            page(vec![1, 2, 3], &query("pageSize=2"), "pageSize", 100).unwrap(),
            (vec![1, 2], Some("page-2".into()))
        );
        assert_eq!(
            page(vec![1, 2, 3], &query("pageSize=2&pageToken=page-2"), "pageSize", 100).unwrap(),
            (vec![3], None)
        );
        assert!(page(vec![1], &query("pageSize=0"), "pageSize", 100).is_err());
        assert!(page(vec![1], &query("pageToken=forged"), "pageSize", 100).is_err());
    }
}
