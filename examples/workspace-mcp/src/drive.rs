//! Files: list, search, read.

use authchain::{core::Scopes, google::DriveHub};
use authchain_mcp::{Auth, ToolError};
use google_apis_common::{Response, to_bytes};
use rmcp::{handler::server::wrapper::Parameters, tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Account, Workspace, google_id};

/// As much of a file as goes into one answer.
const LONGEST: usize = 100_000;
const FIELDS: &str = "nextPageToken, files(id, name, mimeType, modifiedTime)";

/// Which files.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Search {
    /// Words to look for in names and contents.
    pub query: String,
    /// Whose files.
    #[serde(flatten)]
    pub account: Account,
}

/// Which file.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct FileId {
    /// The id that drive_list and drive_search show.
    pub file_id: String,
    /// Whose file.
    #[serde(flatten)]
    pub account: Account,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    storage_quota: Quota,
}

/// Numbers of bytes, which Google writes as text.
#[derive(Deserialize)]
struct Quota {
    limit: Option<String>,
    usage: String,
}

#[tool_router(router = drive_tools, vis = "pub(crate)")]
impl Workspace {
    #[tool(description = "Lists the files on your Google Drive, the newest first", annotations(read_only_hint = true))]
    async fn drive_list(&self, auth: Auth, Parameters(account): Parameters<Account>) -> Result<String, ToolError> {
        files(auth.account(account.user_google_email.as_deref()).await?, "trashed = false").await
    }

    /// The generic client serves every API of the catalogue, and methods that no typed client has.
    #[tool(description = "Says how full your Google Drive is", annotations(read_only_hint = true))]
    async fn drive_quota(&self, auth: Auth, Parameters(account): Parameters<Account>) -> Result<String, ToolError> {
        let auth = auth.account(account.user_google_email.as_deref()).await?;
        let drive = auth.rest("drive", Some(&Scopes::none())).await?;
        let about: About = drive.get("about").query("fields", "storageQuota(limit,usage)").send().await?;
        let Quota { limit, usage } = about.storage_quota;
        Ok(format!("{usage} of {} bytes", limit.as_deref().unwrap_or("unlimited")))
    }

    #[tool(
        description = "Searches names and contents of the files on your Google Drive",
        annotations(read_only_hint = true)
    )]
    async fn drive_search(&self, auth: Auth, Parameters(search): Parameters<Search>) -> Result<String, ToolError> {
        let auth = auth.account(search.account.user_google_email.as_deref()).await?;
        let words = search.query.replace('\\', "\\\\").replace('\'', "\\'");
        files(auth, &format!("(name contains '{words}' or fullText contains '{words}') and trashed = false")).await
    }

    #[tool(description = "Reads a file on your Google Drive as text", annotations(read_only_hint = true))]
    async fn drive_read(&self, auth: Auth, Parameters(file): Parameters<FileId>) -> Result<String, ToolError> {
        let auth = auth.account(file.account.user_google_email.as_deref()).await?;
        let id = google_id(&file.file_id)?;
        let drive = auth.service::<DriveHub<_>>().await?;
        let head = || drive.files().get(id).param("fields", "name, mimeType").doit();
        let (_, about) = auth.call(head).await?;
        let kind = about.mime_type.unwrap_or_default();
        let response = if kind.starts_with("application/vnd.google-apps.") {
            let format = if kind.ends_with(".spreadsheet") { "text/csv" } else { "text/plain" };
            auth.call(|| drive.files().export(id, format).doit()).await?
        } else {
            auth.call(|| drive.files().get(id).param("alt", "media").doit()).await?.0
        };
        text(response).await.map(|text| format!("{}\n\n{text}", about.name.unwrap_or_default()))
    }
}

async fn files(auth: Auth, query: &str) -> Result<String, ToolError> {
    let drive = auth.service::<DriveHub<_>>().await?;
    let list = || drive.files().list().q(query).order_by("modifiedTime desc").page_size(50).param("fields", FIELDS);
    let (_, answer) = auth.call(|| list().doit()).await?;
    let lines = answer.files.unwrap_or_default().into_iter().map(|file| {
        let (id, name, kind) = (file.id, file.name, file.mime_type);
        format!("{}  {}  ({})", id.unwrap_or_default(), name.unwrap_or_default(), kind.unwrap_or_default())
    });
    let lines: Vec<_> = lines.collect();
    Ok(if lines.is_empty() { "No files.".into() } else { lines.join("\n") })
}

async fn text(response: Response) -> Result<String, ToolError> {
    let bytes = to_bytes(response.into_body()).await.ok_or_else(|| ToolError::text("The download broke off."))?;
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.chars().count() <= LONGEST => Ok(text.into()),
        Ok(text) => Ok(text.chars().take(LONGEST).chain("\n[the rest is left out]".chars()).collect()),
        Err(_) => Err(ToolError::text("This file is no text.")),
    }
}
