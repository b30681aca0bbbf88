//! A little of Calendar v3: `calendarList.list`, `events.list`, `events.get`, `events.insert`.

use authchain_core::{Email, Timestamp};
use axum::{
    Json,
    extract::Path,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{
    api::{CALENDAR_LIST, Call, EVENTS_INSERT, EVENTS_READ, page, select},
    api_error::ApiError,
    people::{Calendar, Event, Person, rfc3339},
};

/// `GET /calendar/v3/users/me/calendarList`
pub(crate) async fn calendars(call: Call) -> Result<Response, ApiError> {
    let email = call.caller(&CALENDAR_LIST)?.holder.email;
    let people = call.world.people();
    let person = people.by_email(&email).ok_or_else(ApiError::auth)?;
    let (calendars, next) = page(person.calendars.iter().collect(), &call.query, "maxResults", 100)?;
    let items: Vec<Value> = calendars
        .into_iter()
        .map(|calendar| {
            let role = if calendar.primary { "owner" } else { "reader" };
            let mut item = json!({
                "kind": "calendar#calendarListEntry", "id": calendar.id, "summary": calendar.summary,
                "timeZone": "UTC", "accessRole": role, "selected": true,
            });
            if let (true, Some(item)) = (calendar.primary, item.as_object_mut()) {
                item.insert("primary".into(), true.into());
            }
            item
        })
        .collect();
    Ok(list(json!({"kind": "calendar#calendarList", "items": items}), next, &call))
}

/// `GET /calendar/v3/calendars/{calendar}/events`
pub(crate) async fn events(call: Call, Path(id): Path<String>) -> Result<Response, ApiError> {
    let email = call.caller(&EVENTS_READ)?.holder.email;
    let (from, until) = (bound(&call, "timeMin")?, bound(&call, "timeMax")?);
    let words = call.query.get("q").unwrap_or_default().to_lowercase();
    let people = call.world.people();
    let calendar = find(people.by_email(&email).ok_or_else(ApiError::auth)?, &id)?;
    let mut found: Vec<&Event> = calendar
        .events
        .iter()
        .filter(|event| from.is_none_or(|from| event.end > from) && until.is_none_or(|until| event.start < until))
        .filter(|event| words.split_whitespace().all(|word| text(event).contains(word)))
        .collect();
    found.sort_by_key(|event| event.start);
    let (events, next) = page(found, &call.query, "maxResults", 250)?;
    let items: Vec<&serde_json::Map<String, Value>> = events.into_iter().map(|event| &event.resource).collect();
    let body = json!({
        "kind": "calendar#events", "summary": calendar.summary, "timeZone": "UTC",
        "accessRole": if calendar.primary { "owner" } else { "reader" }, "items": items,
    });
    Ok(list(body, next, &call))
}

/// `GET /calendar/v3/calendars/{calendar}/events/{event}`
pub(crate) async fn event(call: Call, Path((id, event)): Path<(String, String)>) -> Result<Response, ApiError> {
    let email = call.caller(&EVENTS_READ)?.holder.email;
    let people = call.world.people();
    let calendar = find(people.by_email(&email).ok_or_else(ApiError::auth)?, &id)?;
    let event =
        calendar.events.iter().find(|known| known.id == event).ok_or_else(|| ApiError::not_found("Not Found"))?;
    Ok(Json(select(Value::Object(event.resource.clone()), call.query.get("fields"))).into_response())
}

/// `POST /calendar/v3/calendars/{calendar}/events`
pub(crate) async fn insert(call: Call, Path(id): Path<String>, body: Bytes) -> Result<Response, ApiError> {
    let email = call.caller(&EVENTS_INSERT)?.holder.email;
    let wanted: Value = serde_json::from_slice(&body).map_err(|_| ApiError::invalid("body", "Parse Error"))?;
    let now = call.world.now();
    let mut people = call.world.people();
    let person = people.by_email_mut(&email).ok_or_else(ApiError::auth)?;
    find(person, &id)?;
    let number: usize = person.calendars.iter().map(|calendar| calendar.events.len()).sum();
    let event_id = format!("{}event{:02}", person.given_name.to_lowercase(), number + 1);
    let event = new_event(&email, event_id, wanted, now)?;
    let resource = event.resource.clone();
    let calendar = person.calendars.iter_mut().find(|calendar| is_named(calendar, &id));
    let calendar = calendar.filter(|calendar| calendar.primary);
    calendar.ok_or_else(|| ApiError::forbidden("You need to have writer access to this calendar."))?.events.push(event);
    Ok(Json(Value::Object(resource)).into_response())
}

/// An event from what somebody wants, with the fields that Google adds.
pub(crate) fn new_event(owner: &Email, id: String, wanted: Value, now: Timestamp) -> Result<Event, ApiError> {
    let Value::Object(mut resource) = wanted else { return Err(ApiError::invalid("body", "Parse Error")) };
    let start =
        moment(resource.get("start")).ok_or_else(|| ApiError::invalid("start", "Missing or invalid start time."))?;
    let end = moment(resource.get("end")).ok_or_else(|| ApiError::invalid("end", "Missing end time."))?;
    if end < start {
        return Err(ApiError::invalid("end", "The specified time range is empty."));
    }
    let person = json!({"email": owner.as_str(), "self": true});
    let google: [(&str, Value); 9] = [
        ("kind", "calendar#event".into()),
        ("id", id.as_str().into()),
        ("status", "confirmed".into()),
        ("htmlLink", format!("https://calendar.standin.example/event?eid={id}").into()),
        ("created", rfc3339(now).into()),
        ("updated", rfc3339(now).into()),
        ("iCalUID", format!("{id}@standin.example").into()),
        ("creator", person.clone()),
        ("organizer", person),
    ];
    resource.extend(google.map(|(name, value)| (name.to_owned(), value)));
    Ok(Event { id, start, end, resource })
}

/// `{"dateTime": "..."}` with an offset, or with a time zone beside it, or `{"date": "..."}`.
fn moment(value: Option<&Value>) -> Option<Timestamp> {
    let value = value?;
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let zone = text("timeZone").map_or(Ok(TimeZone::UTC), TimeZone::get).ok()?;
    let zoned = match (text("dateTime"), text("date")) {
        (Some(at), _) => {
            if let Ok(at) = at.parse::<jiff::Timestamp>() {
                return Some(Timestamp(at.as_second()));
            }
            at.parse::<jiff::civil::DateTime>().ok()?.to_zoned(zone).ok()?
        }
        (None, Some(day)) => day.parse::<jiff::civil::Date>().ok()?.to_zoned(zone).ok()?,
        (None, None) => return None,
    };
    Some(Timestamp(zoned.timestamp().as_second()))
}

fn bound(call: &Call, name: &'static str) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = call.query.get(name) else { return Ok(None) };
    let at: jiff::Timestamp = text.parse().map_err(|_| ApiError::invalid(name, "Bad Request"))?;
    Ok(Some(Timestamp(at.as_second())))
}

fn find<'a>(person: &'a Person, id: &str) -> Result<&'a Calendar, ApiError> {
    person.calendars.iter().find(|calendar| is_named(calendar, id)).ok_or_else(|| ApiError::not_found("Not Found"))
}

fn is_named(calendar: &Calendar, id: &str) -> bool {
    calendar.id == id || (calendar.primary && id == "primary")
}

/// What a search looks at.
fn text(event: &Event) -> String {
    let field = |name: &str| event.resource.get(name).and_then(Value::as_str).unwrap_or_default();
    ["summary", "description", "location"].map(field).join("\n").to_lowercase()
}

fn list(mut body: Value, next: Option<String>, call: &Call) -> Response {
    if let (Some(next), Some(body)) = (next, body.as_object_mut()) {
        body.insert("nextPageToken".into(), next.into());
    }
    Json(select(body, call.query.get("fields"))).into_response()
}
