//! What can be typed.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use authchain::{core::Email, store::seal::KeyId};
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use url::Url;

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
    #[command(
        after_help = "Example:\n  authchain login --account ann@example.com --scopes drive.readonly,gmail.readonly"
    )]
    Login(Login),
    /// The accounts of the people who signed in here
    #[command(subcommand)]
    Accounts(Accounts),
    /// The programs that connect: list, create, revoke
    #[command(subcommand)]
    Clients(Clients),
    /// The keys that seal what is stored: list, rotate, reencrypt, retire
    #[command(subcommand)]
    Keys(Keys),
    /// Stored credentials: listed, checked, moved, imported, exported, backed up
    #[command(subcommand)]
    Credentials(crate::credentials::args::Credentials),
    /// Tokens for tests and scripts
    #[command(subcommand)]
    Token(Token),
    /// Google's scopes: what they allow, what they are called
    #[command(subcommand)]
    Scopes(Scopes),
    /// Google's APIs: addresses, versions, scopes
    #[command(subcommand)]
    Services(Services),
    /// Fetches what MCP clients fetch from a server and says what would stop them
    #[command(after_help = "Example:\n  authchain doctor --url https://mcp.example.com/mcp")]
    Doctor(Doctor),
    /// The configuration as it is, and whether a server can start with it
    #[command(subcommand)]
    Config(Config),
    /// Prints completions for a shell
    #[command(
        after_help = "Example:\n  authchain completions bash > ~/.local/share/bash-completion/completions/authchain"
    )]
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
pub(crate) struct Doctor {
    /// The MCP endpoint as people configure it in their clients; without it the configured one
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<Url>,
    /// Prints the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
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
pub(crate) enum Accounts {
    /// Lists accounts with their state
    #[command(after_help = "Example:\n  authchain accounts list --owner ann@example.com")]
    List(AccountsCommon),
    /// Links an account that has signed in here to a person
    #[command(after_help = "Example:\n  authchain accounts link ann.work@example.com --owner ann@example.com")]
    Link {
        /// The account
        account: Email,
        #[command(flatten)]
        common: AccountsCommon,
    },
    /// Makes an account the one that tools use when none is named
    #[command(after_help = "Example:\n  authchain accounts switch ann.work@example.com --owner ann@example.com")]
    Switch {
        /// The account
        account: Email,
        #[command(flatten)]
        common: AccountsCommon,
    },
    /// Ends a link; revokes and deletes the credential unless somebody else uses it
    #[command(after_help = "Example:\n  authchain accounts unlink ann.work@example.com --owner ann@example.com")]
    Unlink {
        /// The account
        account: Email,
        #[command(flatten)]
        common: AccountsCommon,
    },
    /// Says whether a person's accounts work, and what to do
    #[command(after_help = "Example:\n  authchain accounts validate --owner ann@example.com --json")]
    Validate(AccountsCommon),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AccountsCommon {
    /// Whose accounts; without it the configured local user, or the only person there is
    #[arg(long, value_name = "EMAIL")]
    pub(crate) owner: Option<Email>,
    /// The folder of credentials and state
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Prints the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Accounts {
    pub(crate) fn common(&self) -> &AccountsCommon {
        match self {
            Self::List(common) | Self::Validate(common) => common,
            Self::Link { common, .. } | Self::Switch { common, .. } | Self::Unlink { common, .. } => common,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Clients {
    /// Lists the clients that were used, changed, ended or made by hand; a client that has only registered is stored nowhere
    #[command(after_help = "Example:\n  authchain clients list --json")]
    List(ClientsCommon),
    /// Makes a client id to paste into a program that cannot register by itself
    #[command(
        after_help = "Examples:\n  authchain clients create --name Gemini --redirect-uri http://localhost:7777/oauth/callback\n  authchain clients create --name ChatGPT --confidential --redirect-uri https://chatgpt.com/connector/oauth/abc"
    )]
    Create(CreateClient),
    /// Refuses a client from now on, and ends all sign-ins that it holds
    #[command(after_help = "Example:\n  authchain clients revoke mZ3xQ0yPdc7K")]
    Revoke {
        /// The client, as `authchain clients list` calls it, or its whole id
        #[arg(allow_hyphen_values = true)]
        id: String,
        #[command(flatten)]
        common: ClientsCommon,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct CreateClient {
    /// What people read on the consent page
    #[arg(long)]
    pub(crate) name: String,
    /// Where answers go, exactly as the program names it; may be repeated
    #[arg(long = "redirect-uri", value_name = "URI", required_unless_present = "device")]
    pub(crate) redirect_uris: Vec<String>,
    /// Makes a client without a secret, which is the default
    #[arg(long, conflicts_with = "confidential")]
    pub(crate) public: bool,
    /// Makes a client with a secret
    #[arg(long)]
    pub(crate) confidential: bool,
    /// Lets it ask from a device without a browser, too
    #[arg(long)]
    pub(crate) device: bool,
    /// Where the server is reached, where the configuration says otherwise: scheme, host and port
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) common: ClientsCommon,
}

/// What every `clients` command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct ClientsCommon {
    /// The folder of credentials, keys and state
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Prints the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Clients {
    pub(crate) fn common(&self) -> &ClientsCommon {
        match self {
            Self::List(common) | Self::Revoke { common, .. } => common,
            Self::Create(create) => &create.common,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Lists the keys, what needs them, and which can go
    #[command(after_help = "Example:\n  authchain keys list --json")]
    List(KeysCommon),
    /// Makes a new primary key; everything still opens, and running servers take it up
    #[command(after_help = "Examples:\n  authchain keys rotate --dry-run\n  authchain keys rotate")]
    Rotate(KeysCommon),
    /// Seals every record with the primary key, while servers run; run it again if it was stopped
    #[command(after_help = "Examples:\n  authchain keys reencrypt --dry-run\n  authchain keys reencrypt")]
    Reencrypt(KeysCommon),
    /// Takes a key away for good, unless something needs it
    #[command(after_help = "Example:\n  authchain keys retire f085a87c4461fe24")]
    Retire {
        /// The key, as `authchain keys list` calls it
        id: KeyId,
        #[command(flatten)]
        common: KeysCommon,
    },
}

/// What every `keys` command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct KeysCommon {
    /// The folder of credentials and keys
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Says what would be done, and changes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Prints the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Keys {
    pub(crate) fn common(&self) -> &KeysCommon {
        match self {
            Self::List(common) | Self::Rotate(common) | Self::Reencrypt(common) | Self::Retire { common, .. } => common,
        }
    }
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
    #[arg(long, default_value = "1h", value_parser = life)]
    pub(crate) ttl: Duration,
    /// The MCP URL that it is for; without it the configured server's
    #[arg(long, value_name = "URL", value_parser = audience)]
    pub(crate) audience: Option<String>,
    /// The folder of the development key
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Prints the token with its meaning as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Scopes {
    /// Lists scopes, or groups of scopes
    #[command(after_help = "Examples:\n  authchain scopes list --service drive\n  authchain scopes list --groups")]
    List(ListScopes),
    /// Says what a scope or a group allows, what covers it, and what else it is called
    #[command(after_help = "Example:\n  authchain scopes explain drive.file")]
    Explain {
        /// An alias, a group, a legacy name, a URL or its end
        name: String,
        #[command(flatten)]
        common: ScopesCommon,
    },
    /// Prints the scope URLs that names stand for, one per line
    #[command(after_help = "Example:\n  authchain scopes resolve office_suite gmail.send")]
    Resolve {
        /// Aliases, groups, legacy names or URLs
        #[arg(required = true, value_delimiter = ',')]
        names: Vec<String>,
        #[command(flatten)]
        common: ScopesCommon,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct ScopesCommon {
    /// Which groups and legacy names: original or later; without it the configured ones
    #[arg(long, value_name = "EDITION")]
    pub(crate) edition: Option<Edition>,
    /// Prints the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Edition {
    /// As in 2025
    Original,
    /// As in 2026; asks for more
    Later,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListScopes {
    /// Only those of this service: drive, gmail, ...
    #[arg(long)]
    pub(crate) service: Option<String>,
    /// Only those that contain this text in a name or in the description
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Only those that Google holds to be this sensitive
    #[arg(long, value_name = "SENSITIVITY")]
    pub(crate) sensitivity: Option<Rating>,
    /// Only those that allow reading and nothing else
    #[arg(long)]
    pub(crate) readonly: bool,
    /// Lists groups instead of scopes
    #[arg(long, conflicts_with_all = ["service", "sensitivity", "readonly"])]
    pub(crate) groups: bool,
    #[command(flatten)]
    pub(crate) common: ScopesCommon,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Rating {
    /// No verification beyond the basic one
    NonSensitive,
    /// Not known
    Unknown,
    /// The app has to be verified
    Sensitive,
    /// The app has to be verified and its security assessed
    Restricted,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Services {
    /// Lists services
    #[command(
        after_help = "Examples:\n  authchain services list --category workspace\n  authchain services list drive --json"
    )]
    List(ListServices),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListServices {
    /// Only these, by key, alias, or key with version: drive, drive_v3, webmasters
    pub(crate) names: Vec<String>,
    /// Only those of this category: workspace, admin, cloud, ...
    #[arg(long)]
    pub(crate) category: Option<String>,
    /// Only those that contain this text in a name
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Prints the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Prints every key with its value; secrets are hidden
    #[command(after_help = "Example:\n  authchain config show --origin")]
    Show {
        /// Prints where each value came from as well
        #[arg(long)]
        origin: bool,
        /// Only keys that begin with this: server, providers.google
        prefix: Option<String>,
        /// Prints the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Says whether a server can start with the configuration
    #[command(after_help = "Example:\n  authchain --config authchain.toml config check")]
    Check {
        /// Prints the answer as JSON
        #[arg(long)]
        json: bool,
    },
}

impl Args {
    /// Whether the answer is for a program.
    pub(crate) fn json(&self) -> bool {
        match &self.command {
            Command::Demo(demo) => demo.json,
            Command::Doctor(doctor) => doctor.json,
            Command::Login(login) => login.json,
            Command::Accounts(accounts) => accounts.common().json,
            Command::Clients(clients) => clients.common().json,
            Command::Keys(keys) => keys.common().json,
            Command::Credentials(credentials) => credentials.common().json,
            Command::Token(Token::Mint(mint)) => mint.json,
            Command::Scopes(Scopes::List(list)) => list.common.json,
            Command::Scopes(Scopes::Explain { common, .. } | Scopes::Resolve { common, .. }) => common.json,
            Command::Services(Services::List(list)) => list.json,
            Command::Config(Config::Show { json, .. } | Config::Check { json }) => *json,
            Command::Serve(_) | Command::Completions { .. } => false,
        }
    }
}

/// How long a token lives: in whole seconds (RFC 7519, section 2), so that less than one is none.
fn life(text: &str) -> Result<Duration, String> {
    let life = humantime::parse_duration(text).map_err(|error| format!("{error}: 90s, 15m, 1h, 2days"))?;
    if life < Duration::from_secs(1) { Err("a token lives for a second at least".into()) } else { Ok(life) }
}

/// An address as clients name a server by (RFC 8707, section 2). The text stays as it is: it is compared as a text.
fn audience(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.fragment().is_some() {
        return Err("it is an http or https address without a fragment: http://127.0.0.1:8002/mcp".into());
    }
    Ok(text.to_owned())
}
