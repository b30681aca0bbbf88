//! What can be typed.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use authchain::core::Email;
use clap::{Parser, Subcommand};
use clap_complete::Shell;

/// Authentication for MCP servers that act on a user's Google Workspace.
#[derive(Debug, Parser)]
#[command(name = "authchain", version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// A configuration file, instead of ./authchain.toml or the one in your configuration folder
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 not found, 4 sign-in needed, \
5 refused, 6 unreachable, 7 conflict or in use, 8 damaged or wrong key, 9 partly done, 130 interrupted";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the example MCP server with sign-in through Google
    #[command(after_help = "Example:\n  GOOGLE_CLIENT_ID=... GOOGLE_CLIENT_SECRET=... authchain serve --port 8002")]
    Serve(Serve),
    /// Runs the same server with a stand-in for Google: nothing to configure
    #[command(after_help = "Examples:\n  authchain demo\n  authchain demo --check")]
    Demo(Demo),
    /// Signs in with a browser and saves the credential
    #[command(after_help = "Example:\n  authchain login --account ann@example.com --scopes drive.readonly,gmail.readonly")]
    Login(Login),
    /// Tokens for tests and scripts
    #[command(subcommand)]
    Token(Token),
    /// Prints completions for a shell
    #[command(after_help = "Example:\n  authchain completions bash > ~/.local/share/bash-completion/completions/authchain")]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// The address to listen on
    #[arg(long)]
    pub(crate) host: Option<IpAddr>,
    /// The port to listen on
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// The folder of credentials, keys and state
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// The port to listen on; without it 8002, or the next one that is free
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Keeps credentials and state in this folder; without it a temporary one, removed at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Lets the stand-in for Google approve without a page; our own consent page stays
    #[arg(long)]
    pub(crate) auto_approve: bool,
    /// Prints one line of JSON when it is ready
    #[arg(long)]
    pub(crate) json: bool,
    /// Plays a client and a person through the whole way, prints each step with its time, and ends
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Login {
    /// The account that must sign in
    #[arg(long, value_name = "EMAIL")]
    pub(crate) account: Option<Email>,
    /// What to ask for, by alias, group or URL; without it the configured scopes
    #[arg(long, value_delimiter = ',', value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// Prints the link only
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Signs in although there is a valid credential
    #[arg(long)]
    pub(crate) force: bool,
    /// The port of the callback; without it the configured one, or any that is free
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// The folder of credentials and keys
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Prints the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Prints a JWT signed by the development key, for a server that was told to accept it
    #[command(after_help = "Example:\n  authchain token mint --email ann@example.com --scope drive.readonly --ttl 1h")]
    Mint(Mint),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Mint {
    /// Who the token says the caller is
    #[arg(long)]
    pub(crate) email: Email,
    /// What it allows, by alias, group or URL; may be repeated or separated by commas
    #[arg(long = "scope", value_delimiter = ',', value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// How long it lives
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    pub(crate) ttl: Duration,
    /// The MCP URL that it is for; without it the configured server's
    #[arg(long, value_name = "URL")]
    pub(crate) audience: Option<String>,
    /// The folder of the development key
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Prints the token with its meaning as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    /// Whether the answer is for a program.
    pub(crate) fn json(&self) -> bool {
        match &self.command {
            Command::Demo(demo) => demo.json,
            Command::Login(login) => login.json,
            Command::Token(Token::Mint(mint)) => mint.json,
            Command::Serve(_) | Command::Completions { .. } => false,
        }
    }
}
