//! What can be typed after `authchain credentials`.

use std::{net::IpAddr, path::PathBuf};

use authchain::{
    core::{CredentialKey, Email, InvalidId, ProviderId, TokenGroup, UserId},
    store::{StorageMode, transfer::Collision},
};

use authchain_server::control::IfMissing;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Credentials {
    /// Lists stored credentials with their state
    #[command(after_help = "Examples:\n  authchain credentials list\n  authchain credentials list --json")]
    List(Common),
    /// Says all that is known of one credential, and no secret
    #[command(after_help = "Example:\n  authchain credentials show ann@example.com")]
    Show {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        common: Common,
    },
    /// Opens every record and reports each that is broken
    #[command(after_help = "Example:\n  authchain credentials verify --json")]
    Verify(Common),
    /// Ends a grant at the provider and deletes the credential here
    #[command(after_help = "Example:\n  authchain credentials revoke ann@example.com --yes")]
    Revoke {
        #[command(flatten)]
        which: Which,
        /// Does not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Deletes a credential here; at the provider the grant lives on
    #[command(after_help = "Example:\n  authchain credentials delete ann@example.com --yes")]
    Delete {
        #[command(flatten)]
        which: Which,
        /// Does not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Moves every credential from one storage mode to another; stopped anywhere, run again, it finishes
    #[command(
        after_help = "Examples:\n  authchain credentials migrate --from file_plaintext --to file_encrypted --dry-run\n  \
                      authchain credentials migrate --from file_plaintext --to file_encrypted --delete-source\n  \
                      authchain credentials migrate --from memory_only --to file_encrypted   (the running server does it)"
    )]
    Migrate(Migrate),
    /// Takes credentials of other programs into the store
    #[command(
        after_help = "Examples:\n  authchain credentials import ~/.google_workspace_mcp/credentials --dry-run\n  \
                      authchain credentials import token.json --user ann@example.com"
    )]
    Import(Box<Import>),
    /// Writes a credential as another program reads it: it leaves the sealed store
    #[command(
        after_help = "Example:\n  authchain credentials export --format authorized_user --account ann@example.com --output token.json --yes"
    )]
    Export(Export),
    /// Writes all credentials into one sealed file
    #[command(after_help = "Example:\n  authchain credentials backup credentials.backup")]
    Backup {
        /// The new file
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Brings back what is in a backup
    #[command(after_help = "Example:\n  authchain credentials restore credentials.backup --dry-run")]
    Restore {
        /// The file that `backup` wrote
        file: PathBuf,
        #[command(flatten)]
        writing: Writing,
        #[command(flatten)]
        common: Common,
    },
}

/// What all of them have.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// The folder of credentials and keys, instead of the configured one
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Prints the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How to write what is brought into a store.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Writing {
    /// Writes over other credentials that are stored for the same accounts
    #[arg(long)]
    pub(crate) replace: bool,
    /// Says what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Does not ask before it writes over anything
    #[arg(long)]
    pub(crate) yes: bool,
}

impl Writing {
    /// What becomes of other credentials that are stored.
    pub(crate) fn collision(self) -> Collision {
        if self.replace { Collision::Replace } else { Collision::Refuse }
    }

    /// What becomes of a folder that is not there.
    pub(crate) fn if_missing(self) -> IfMissing {
        if self.dry_run { IfMissing::Empty } else { IfMissing::Create }
    }
}

/// One credential.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// The account
    #[arg(value_name = "ACCOUNT", required_unless_present = "named", conflicts_with = "named", value_parser = account)]
    positional: Option<UserId>,
    /// The account
    #[arg(long = "account", id = "named", value_name = "ACCOUNT", value_parser = account)]
    named: Option<UserId>,
    /// The set of services that it was granted for
    #[arg(long, default_value = "default", value_parser = TokenGroup::new)]
    group: TokenGroup,
    /// Who granted it
    #[arg(long, default_value = "google")]
    provider: ProviderId,
}

impl Which {
    /// The key of the credential; clap has seen to it that an account is named.
    pub(crate) fn key(&self) -> Option<CredentialKey> {
        let user = self.positional.clone().or_else(|| self.named.clone())?;
        Some(CredentialKey { provider: self.provider.clone(), user, group: self.group.clone() })
    }
}

/// An address in lower case, or whatever else an account is called.
fn account(text: &str) -> Result<UserId, InvalidId> {
    Email::new(text).map_or_else(|_| UserId::new(text), |email| Ok(UserId::from(&email)))
}

#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    /// Where the credentials are: file_plaintext, file_encrypted, memory_with_backup, postgres, or memory_only: in the server
    /// that runs
    #[arg(long, value_name = "MODE")]
    pub(crate) from: StorageMode,
    /// Where they are to be
    #[arg(long, value_name = "MODE")]
    pub(crate) to: StorageMode,
    /// The folder to move them to, with a key file of its own; without it the same folder
    #[arg(long, value_name = "DIR")]
    pub(crate) to_data: Option<PathBuf>,
    /// Removes them where they are, once all of them are verified where they should be
    #[arg(long)]
    pub(crate) delete_source: bool,
    /// The host that the server with memory_only listens on, if `serve` was given another than the configured one
    #[arg(long)]
    pub(crate) host: Option<IpAddr>,
    /// Its port
    #[arg(long)]
    pub(crate) port: Option<u16>,
    #[command(flatten)]
    pub(crate) writing: Writing,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// Files, or folders of them
    #[arg(required_unless_present_any = ["discover", "gateway"], value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Looks in the usual places of other programs, too, and asks before it takes anything
    #[arg(long)]
    pub(crate) discover: bool,
    /// Looks into the database of a central gateway, too. DATABASE_URL says where it is, and AUTH_GATEWAY_ENCRYPTION_KEY,
    /// AUTH_GATEWAY_ENCRYPTION_KEY_SALT and AUTH_GATEWAY_ROTATION_KEYS open it; --client-secrets is needed
    #[arg(long)]
    pub(crate) gateway: bool,
    /// Whose the credentials are that do not say so themselves
    #[arg(long, value_name = "EMAIL")]
    pub(crate) user: Option<Email>,
    /// The OAuth client of the credentials that do not name theirs
    #[arg(long, value_name = "FILE")]
    pub(crate) client_secrets: Option<PathBuf>,
    /// A key file for sealed files that have none near them
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// A file with the passphrase (MCP_API_KEY) of files that were sealed for one user
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// A file with the signing key of FastMCP, for its store
    #[arg(long, value_name = "FILE")]
    pub(crate) signing_key_file: Option<PathBuf>,
    /// Does not ask the provider whose a credential is that does not say so
    #[arg(long)]
    pub(crate) offline: bool,
    #[command(flatten)]
    pub(crate) writing: Writing,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Format {
    /// google-auth's JSON: whoever reads it has the account
    AuthorizedUser,
    /// The same, encrypted with the store's key as earlier programs did
    Fernet,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The form
    #[arg(long, value_enum)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) which: Which,
    /// A new file, for its owner only; without it standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Does not ask
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Credentials {
    /// What all of them have.
    pub(crate) fn common(&self) -> &Common {
        match self {
            Self::List(common) | Self::Verify(common) => common,
            Self::Show { common, .. }
            | Self::Revoke { common, .. }
            | Self::Delete { common, .. }
            | Self::Backup { common, .. }
            | Self::Restore { common, .. } => common,
            Self::Migrate(migrate) => &migrate.common,
            Self::Import(import) => &import.common,
            Self::Export(export) => &export.common,
        }
    }
}
