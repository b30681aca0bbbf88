//! Mail: search, read, send.

use std::io::Cursor;

use authchain::google::{
    GmailHub,
    gmail1::api::{Message, MessagePart},
};
use authchain_mcp::{Auth, ToolError};
use mail_builder::MessageBuilder;
use rmcp::{handler::server::wrapper::Parameters, tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Account, Workspace, google_id};

/// Which messages.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Search {
    /// As in Gmail's own search field: `from:ann subject:report`.
    pub query: String,
    /// Whose mail.
    #[serde(flatten)]
    pub account: Account,
}

/// Which message.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct MessageId {
    /// The id that gmail_search shows.
    pub message_id: String,
    /// Whose mail.
    #[serde(flatten)]
    pub account: Account,
}

/// A message to send.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Draft {
    /// The address it goes to.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// Who sends it.
    #[serde(flatten)]
    pub account: Account,
}

#[tool_router(router = gmail_tools, vis = "pub(crate)")]
impl Workspace {
    #[tool(description = "Searches your mail", annotations(read_only_hint = true))]
    async fn gmail_search(&self, auth: Auth, Parameters(search): Parameters<Search>) -> Result<String, ToolError> {
        let auth = auth.account(search.account.user_google_email.as_deref()).await?;
        let gmail = auth.service::<GmailHub<_>>().await?;
        let list = || gmail.users().messages_list("me").q(&search.query).max_results(20).doit();
        let (_, found) = auth.call(list).await?;
        let mut lines = Vec::new();
        for id in found.messages.unwrap_or_default().into_iter().filter_map(|message| message.id) {
            let get = || gmail.users().messages_get("me", &id).format("metadata");
            let head = || get().add_metadata_headers("Subject").add_metadata_headers("From").doit();
            let (_, message) = auth.call(head).await?;
            lines.push(format!("{id}  {}  {}", header(&message, "From"), header(&message, "Subject")));
        }
        Ok(if lines.is_empty() { "No messages.".into() } else { lines.join("\n") })
    }

    #[tool(description = "Reads one message of your mail", annotations(read_only_hint = true))]
    async fn gmail_read(&self, auth: Auth, Parameters(which): Parameters<MessageId>) -> Result<String, ToolError> {
        let auth = auth.account(which.account.user_google_email.as_deref()).await?;
        let gmail = auth.service::<GmailHub<_>>().await?;
        let id = google_id(&which.message_id)?;
        let (_, message) = auth.call(|| gmail.users().messages_get("me", id).format("full").doit()).await?;
        let head: Vec<_> =
            ["From", "To", "Date", "Subject"].map(|name| format!("{name}: {}", header(&message, name))).into();
        let body = message.payload.as_ref().and_then(plain_text).unwrap_or_else(|| "[no plain text]".into());
        Ok(format!("{}\n\n{body}", head.join("\n")))
    }

    #[tool(description = "Sends a plain text mail in your name", annotations(destructive_hint = true))]
    async fn gmail_send(&self, auth: Auth, Parameters(draft): Parameters<Draft>) -> Result<String, ToolError> {
        let auth = auth.account(draft.account.user_google_email.as_deref()).await?;
        let gmail = auth.service_with::<GmailHub<_>>("https://www.googleapis.com/auth/gmail.send").await?;
        let mut mail = MessageBuilder::new().to(draft.to.trim()).subject(draft.subject).text_body(draft.body);
        if let Some(email) = auth.email() {
            mail = mail.from(email.as_str());
        }
        let bytes = mail.write_to_vec().map_err(|error| ToolError::text(format!("This is no mail: {error}")))?;
        let kind = || "message/rfc822".parse().expect("it is a media type");
        let users = gmail.users();
        let send = || users.messages_send(Message::default(), "me").upload(Cursor::new(bytes.clone()), kind());
        let (_, sent) = auth.call(send).await?;
        Ok(format!("Sent as message {}.", sent.id.unwrap_or_default()))
    }
}

fn header(message: &Message, name: &str) -> String {
    let headers = message.payload.as_ref().and_then(|part| part.headers.as_deref()).unwrap_or_default();
    let named = headers.iter().find(|header| header.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name)));
    named.and_then(|header| header.value.clone()).unwrap_or_default()
}

/// The first plain text among the parts of a message.
fn plain_text(part: &MessagePart) -> Option<String> {
    if part.mime_type.as_deref() == Some("text/plain") {
        let data = part.body.as_ref().and_then(|body| body.data.as_ref())?;
        return Some(String::from_utf8_lossy(data).into_owned());
    }
    part.parts.as_deref().unwrap_or_default().iter().find_map(plain_text)
}
