//! `authchain login`: sign in with a browser, through a page on a loopback address that lives as long as the command.

use std::{net::Ipv4Addr, time::Duration};

use authchain::{
    core::{CredentialKey, Email, ProviderId, Scopes, TokenSource, UserId},
    provider::CredentialEvent,
};
use authchain_server::{App, config::Sources, google_client};
use serde_json::json;
use tokio::{net::TcpListener, sync::broadcast::error::RecvError};
use workspace_mcp::Workspace;

use crate::{args::Login, failure::Failure, output::Output};

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// For how long the pages stay once somebody has signed in: the browser has yet to fetch the success page and its style.
const LINGER: Duration = Duration::from_secs(2);

pub(crate) async fn run(mut sources: Sources, args: Login, output: &Output) -> Result<(), Failure> {
    if let Some(data) = &args.data {
        sources = sources.set("storage.directory", data.display(), "--data");
    }
    if !args.scopes.is_empty() {
        sources = sources.set("providers.google.scopes", args.scopes.join(","), "--scopes");
    }
    let listener = listen(args.port, sources.load()?.server.port).await?;
    let port = listener.local_addr()?.port();
    let address = format!("http://127.0.0.1:{port}");
    let config = sources
        .set("server.host", "127.0.0.1", "login")
        .set("server.port", port, "login")
        .set("server.public_url", &address, "login")
        .set("tls.enabled", false, "login")
        .load()?;
    crate::logging::start(&config.log);
    // A server can do without it where tools have another credential; a sign-in cannot.
    google_client(&config.providers.google)?;
    let app = App::new(config).await?;

    if let Some(email) = &args.account
        && !args.force
        && let Some(expires_at) = valid_until(&app, email).await
    {
        let answer = json!({ "status": "already_authenticated", "account": email, "expires_at": expires_at });
        output.answer(&answer, format!("Already signed in as {email}. Use --force to sign in again."));
        return Ok(());
    }

    let mut events = app.parts().credentials.subscribe();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mcp = authchain_mcp::service(Workspace::new(), app.public_url());
    let credentials = app.parts().credentials.clone();
    let server = tokio::spawn(app.serve_on(listener, mcp, async move { drop(stopped.await) }));

    let mut page = format!("{address}/auth");
    if let Some(email) = &args.account {
        let query: String =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("account", email.as_str()).finish();
        page = format!("{page}?{query}");
    }
    output.tell(&json!({ "sign_in_url": page }), format!("Sign in here: {page}"));
    if std::env::var_os("SSH_CONNECTION").is_some() {
        output.say(format!("Over SSH, first run on your own machine: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE"));
    }
    if !args.no_browser && webbrowser::open(&page).is_err() {
        output.say("No browser could be opened; open the link yourself.");
    }

    let signed_in = async {
        loop {
            match events.recv().await {
                Ok(CredentialEvent::Adopted { key }) => return Some(key),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    };
    let key = tokio::select! {
        key = signed_in => key,
        () = tokio::time::sleep(PATIENCE) => None,
        _ = tokio::signal::ctrl_c() => {
            return Err(Failure { code: "interrupted", message: "interrupted before anybody signed in".into(), fix: "Run it again.".into(), exit: 130 });
        }
    };
    let outcome = match key {
        Some(key) => {
            let expires_at = credentials.credential(&key).await?.and_then(|credential| credential.expires_at);
            let answer = json!({ "status": "authenticated", "account": key.user, "expires_at": expires_at });
            output.answer(&answer, format!("Signed in as {}. The credential is saved.", key.user));
            tokio::time::sleep(LINGER).await;
            Ok(())
        }
        None => Err(Failure::new("nobody signed in within ten minutes", "Run it again.")),
    };
    // Requests that are under way are finished before the server ends.
    let _ = stop.send(());
    let _ = tokio::time::timeout(Duration::from_secs(5), server).await;
    outcome
}

/// The port that was asked for, or else the usual one, or else any: a desktop client at Google takes any loopback port.
async fn listen(asked: Option<u16>, usual: u16) -> Result<TcpListener, Failure> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match asked {
        Some(port) => bind(port)
            .await
            .map_err(|e| Failure::in_use(format!("cannot listen on 127.0.0.1:{port}: {e}"), "Choose another --port.")),
        None => match bind(usual).await {
            Ok(listener) => Ok(listener),
            Err(_) => Ok(bind(0).await?),
        },
    }
}

/// When the stored credential's access token expires, if there is one that works.
async fn valid_until(app: &App, email: &Email) -> Option<i64> {
    let key = CredentialKey::new(ProviderId::google(), UserId::from(email));
    let token = app.parts().credentials.access_token(&key, &Scopes::none()).await.ok()?;
    Some(token.expires_at.0)
}
