//! The calendar: what is coming, a new event.

use authchain::google::{
    CalendarHub,
    calendar3::api::{Event, EventDateTime},
};
use authchain_mcp::{Auth, ToolError};
use chrono::{DateTime, Utc};
use rmcp::{handler::server::wrapper::Parameters, tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Account, Workspace};

/// Which events.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Span {
    /// From when on, e.g. `2026-11-21T00:00:00Z`; left out, from the beginning.
    pub from: Option<String>,
    /// Until when; left out, without end.
    pub until: Option<String>,
    /// Whose calendar.
    #[serde(flatten)]
    pub account: Account,
}

/// A new event.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct NewEvent {
    /// What it is called.
    pub title: String,
    /// When it begins, e.g. `2026-11-21T09:00:00+01:00`.
    pub start: String,
    /// When it ends.
    pub end: String,
    /// Whose calendar.
    #[serde(flatten)]
    pub account: Account,
}

#[tool_router(router = calendar_tools, vis = "pub(crate)")]
impl Workspace {
    #[tool(description = "Lists the events in your main calendar", annotations(read_only_hint = true))]
    async fn calendar_list(&self, auth: Auth, Parameters(span): Parameters<Span>) -> Result<String, ToolError> {
        let auth = auth.account(span.account.user_google_email.as_deref()).await?;
        let calendar = auth.service::<CalendarHub<_>>().await?;
        let (from, until) =
            (span.from.as_deref().map(moment).transpose()?, span.until.as_deref().map(moment).transpose()?);
        let list = || {
            let call = calendar.events().list("primary").single_events(true).order_by("startTime").max_results(50);
            let call = from.into_iter().fold(call, |call, from| call.time_min(from));
            until.into_iter().fold(call, |call, until| call.time_max(until))
        };
        let (_, answer) = auth.call(|| list().doit()).await?;
        let lines = answer.items.unwrap_or_default().into_iter().map(|event| {
            let start = event.start.map(|start| when(&start)).unwrap_or_default();
            format!("{start}  {}", event.summary.unwrap_or_default())
        });
        let lines: Vec<_> = lines.collect();
        Ok(if lines.is_empty() { "No events.".into() } else { lines.join("\n") })
    }

    #[tool(description = "Puts an event into your main calendar", annotations(destructive_hint = false))]
    async fn calendar_create(&self, auth: Auth, Parameters(new): Parameters<NewEvent>) -> Result<String, ToolError> {
        let auth = auth.account(new.account.user_google_email.as_deref()).await?;
        let needed = "https://www.googleapis.com/auth/calendar.events";
        let calendar = auth.service_with::<CalendarHub<_>>(needed).await?;
        let at = |time: &str| moment(time).map(|t| EventDateTime { date_time: Some(t), ..EventDateTime::default() });
        let event = Event {
            summary: Some(new.title),
            start: Some(at(&new.start)?),
            end: Some(at(&new.end)?),
            ..Event::default()
        };
        let insert = || calendar.events().insert(event.clone(), "primary").doit();
        let (_, created) = auth.call(insert).await?;
        Ok(format!("Created event {}.", created.id.unwrap_or_default()))
    }
}

fn moment(text: &str) -> Result<DateTime<Utc>, ToolError> {
    DateTime::parse_from_rfc3339(text)
        .map(|moment| moment.to_utc())
        .map_err(|_| ToolError::text(format!("{text:?} is no time such as 2026-11-21T09:00:00+01:00.")))
}

fn when(time: &EventDateTime) -> String {
    match (time.date_time, time.date) {
        (Some(moment), _) => moment.to_rfc3339(),
        (None, Some(day)) => day.to_string(),
        (None, None) => String::new(),
    }
}
