//! `authchain demo`: the example server with a stand-in for Google, on loopback, with nothing to configure.

mod check;
mod running;

use authchain::core::ErrorCode;
use serde_json::{Value, json};

use crate::{args::Demo, failure::Failure, logging, output::Output};
use running::Running;

pub(crate) async fn run(args: Demo, output: &Output) -> Result<(), Failure> {
    if args.check {
        return check::run(args, *output).await;
    }
    let (stop, hung_up) = (authchain_server::stop_signal(), hung_up());
    let running = Running::start(&args).await?;
    logging::start(running.log());
    output.answer(&ready(&running), text(&running, &args));
    running
        .until(async {
            tokio::select! { () = stop => {}, () = hung_up => {} }
        })
        .await
}

/// A demo is the same on every machine: a file that somebody names for it would have no effect.
pub(crate) fn no_configuration() -> Failure {
    let why = "the demo reads no configuration file: everything in it is made up";
    Failure::of(ErrorCode::Configuration, why).fix("Leave --config away, or use: authchain serve --config FILE")
}

/// Ready when the terminal is closed: what is temporary goes then, too. Never where the program was told to outlive its
/// terminal, or where that cannot be known.
fn hung_up() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let signal = hang_up_counts().then(|| {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::hangup()).ok()
    });
    async move {
        #[cfg(unix)]
        if let Some(mut signal) = signal.flatten() {
            signal.recv().await;
            return;
        }
        std::future::pending().await
    }
}

/// Whether this process was not started by `nohup`: listening would undo what that does. Linux says which signals are
/// ignored, as a mask whose first bit is that of SIGHUP.
#[cfg(unix)]
fn hang_up_counts() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 0)
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
