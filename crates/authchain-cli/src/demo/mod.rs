//! `authchain demo`: the example server with a stand-in for Google, on loopback, with nothing to configure.

mod check;
mod running;

use serde_json::{Value, json};

use crate::{args::Demo, failure::Failure, logging, output::Output};
use running::Running;

pub(crate) async fn run(args: Demo, output: &Output) -> Result<(), Failure> {
    if args.check {
        return check::run(args, *output).await;
    }
    let stop = authchain_server::stop_signal();
    let running = Running::start(&args).await?;
    logging::start(running.log());
    output.answer(&ready(&running), text(&running, &args));
    running.until(stop).await
}

fn ready(running: &Running) -> Value {
    json!({
        "mcp_url": running.mcp_url(),
        "issuer": running.issuer(),
        "google_url": running.google_url(),
        "data_dir": running.data_dir(),
        "users": authchain_testkit::StandIn::USERS,
    })
}

fn text(running: &Running, args: &Demo) -> String {
    let (mcp, google, data) = (running.mcp_url(), running.google_url(), running.data_dir().display());
    let kept = if args.data.is_some() { "kept" } else { "removed when you stop it" };
    let servers = json!({ "mcpServers": { "workspace": { "type": "http", "url": mcp } } });
    let people = authchain_testkit::StandIn::USERS.join(", ");
    format!(
        "\
authchain demo: a Google Workspace MCP server with sign-in

  MCP server   {mcp}
  Google       {google}  (a STAND-IN: made-up people and files, no real Google, no password)
  Data         {data}  ({kept})

Connect a client:

  Claude Code      claude mcp add --transport http workspace {mcp}
  JSON settings    {servers}
  MCP Inspector    npx @modelcontextprotocol/inspector --transport http --server-url {mcp}

What will happen: the client opens a page here that says who asks for what. Say yes, choose one of
{people} at the stand-in, and ask for your files.
Without a client: {issuer}/auth

Ctrl-C stops it.",
        issuer = running.issuer(),
    )
}
