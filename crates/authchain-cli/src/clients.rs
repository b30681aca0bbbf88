//! `authchain clients`: the clients that an operator sees, makes and ends, while servers run.

use std::sync::Arc;

use authchain::{
    core::{SystemClock, Timestamp},
    store::StorageMode,
};
use authchain_server::{ClientKind, ClientSummary, Clients, NewClient, Storage, config::Sources, open_clients};
use serde_json::{Value, json};

use crate::{
    args::{self, CreateClient},
    failure::Failure,
    output::{Output, table},
};

pub(crate) async fn run(mut sources: Sources, command: args::Clients, output: &Output) -> Result<(), Failure> {
    let common = command.common();
    if let Some(data) = &common.data {
        sources = sources.set("storage.directory", data.display(), "--data");
    }
    if let args::Clients::Create(CreateClient { url: Some(url), .. }) = &command {
        sources = sources.set("server.public_url", url, "--url");
    }
    let config = sources.load()?;
    crate::logging::start(&config.log);
    if config.storage.mode == StorageMode::MemoryOnly {
        let message = "with storage.mode memory_only a server keeps its clients to itself";
        return Err(Failure { exit: 2, ..Failure::new(message, "Choose a mode that stores: see storage.mode.") });
    }
    let storage = Storage::open(&config.storage, Arc::new(SystemClock)).await?;
    let clients = open_clients(&config, &storage)?;
    match command {
        args::Clients::List(_) => list(&clients, output).await,
        args::Clients::Create(create) => make(&clients, create, output).await,
        args::Clients::Revoke { id, .. } => revoke(&clients, &id, output).await,
    }
}

async fn list(clients: &Clients, output: &Output) -> Result<(), Failure> {
    let clients = clients.list().await?;
    let rows: Vec<_> = clients.iter().map(row).collect();
    let headings = ["CLIENT", "NAME", "KIND", "SIGN-INS", "REGISTERED", "LAST USED", "EXPIRES", "GOES TO"];
    let count = match clients.len() {
        1 => "1 client".into(),
        many => format!("{many} clients"),
    };
    let text = if rows.is_empty() {
        "No client has been used yet.".into()
    } else {
        format!("{}\n{count}", table(headings, &rows))
    };
    output.answer(&json!({ "count": clients.len(), "clients": clients }), text);
    Ok(())
}

fn row(client: &ClientSummary) -> [String; 8] {
    let kind = match client.kind {
        ClientKind::Registered => "registered",
        ClientKind::ByHand => "made by hand",
        ClientKind::Document => "document",
        ClientKind::Configured => "configured",
        ClientKind::Unknown => "unknown",
    };
    let proof = if client.confidential { "confidential" } else { "public" };
    let (kind, expires) = match (client.ended, client.kind) {
        (true, _) => (format!("{kind}, ended"), "ended".into()),
        (false, ClientKind::Configured) => (format!("{kind}, {proof}"), "never".into()),
        (false, _) => (format!("{kind}, {proof}"), day(client.expires_at)),
    };
    [
        client.fingerprint.clone(),
        client.name.clone(),
        kind,
        client.sign_ins.to_string(),
        day(client.registered_at),
        day(client.last_used),
        expires,
        client.goes_to.join(", "),
    ]
}

/// The day of a time; empty where it is not known.
fn day(time: Option<Timestamp>) -> String {
    let Some(time) = time else { return String::new() };
    let seconds = u64::try_from(time.0).unwrap_or_default();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string().chars().take(10).collect()
}

async fn make(clients: &Clients, create: CreateClient, output: &Output) -> Result<(), Failure> {
    let new = NewClient {
        name: create.name,
        redirect_uris: create.redirect_uris,
        confidential: create.confidential,
        device_code: create.device,
    };
    let made = clients.create(&new).await?.map_err(|why| Failure {
        code: "invalid_request",
        exit: 2,
        ..Failure::new(why, "Compare --redirect-uri with what the program shows as its callback address.")
    })?;
    let secret = made.client_secret.as_ref().map(authchain::core::Secret::expose);
    let mut answer = serde_json::to_value(&made).unwrap_or_default();
    if let (Value::Object(fields), Some(secret)) = (&mut answer, secret) {
        fields.insert("client_secret".into(), secret.into());
    }
    let mut lines = vec![format!("Client id:          {}", made.client_id)];
    lines.extend(secret.map(|secret| format!("Client secret:      {secret}")));
    lines.extend([
        format!("MCP server:         {}", made.mcp_url),
        format!("Authorization URL:  {}", made.authorize_url),
        format!("Token URL:          {}", made.token_url),
    ]);
    output.answer(&answer, lines.join("\n"));
    if secret.is_some() {
        output.say("The secret is not shown again.");
    }
    output.say(format!("It ends on {} unless it is used; every use puts that off.", day(Some(made.expires_at))));
    Ok(())
}

async fn revoke(clients: &Clients, named: &str, output: &Output) -> Result<(), Failure> {
    let Some(revoked) = clients.revoke(named).await? else {
        let message = format!("no client is known as {named}");
        return Err(Failure::not_found(message, "See `authchain clients list`; a whole client id can be given, too."));
    };
    let name = match revoked.client.name.as_str() {
        "" => revoked.client.fingerprint.as_str(),
        name => name,
    };
    let ended = match revoked.sign_ins {
        0 => "It held no sign-in.".into(),
        1 => "Its 1 sign-in ended.".into(),
        many => format!("Its {many} sign-ins ended."),
    };
    let id = if revoked.refused {
        "Its id is refused from now on."
    } else {
        match revoked.client.kind {
            ClientKind::Configured => "The configuration names it: take it out there, else it can ask people again.",
            _ => "Its id stays good: it can ask people again.",
        }
    };
    output.answer(&json!(revoked), format!("{name}: {ended} {id}"));
    Ok(())
}
