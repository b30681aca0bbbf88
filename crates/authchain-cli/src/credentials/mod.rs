//! `authchain credentials`: what is stored, moved, taken in, given out, and brought back.

mod archive;
pub(crate) mod args;
mod confirm;
mod export;
mod import;
mod list;
mod migrate;
mod place;
mod progress;
mod remove;
mod words;

use authchain_server::config::Sources;

use self::args::Credentials;
use crate::{failure::Failure, output::Output};

pub(crate) async fn run(mut sources: Sources, command: Credentials, output: &Output) -> Result<(), Failure> {
    if let Some(data) = &command.common().data {
        sources = sources.set("storage.directory", data.display(), "--data");
    }
    if let Credentials::Migrate(args) = &command {
        if let Some(host) = args.host {
            sources = sources.set("server.host", host, "--host");
        }
        if let Some(port) = args.port {
            sources = sources.set("server.port", port, "--port");
        }
    }
    let config = sources.load()?;
    match command {
        Credentials::List(_) => list::list(&config, output).await,
        Credentials::Show { which, .. } => list::show(&config, &which, output).await,
        Credentials::Verify(_) => list::verify(&config, output).await,
        Credentials::Revoke { which, yes, .. } => remove::revoke(&config, &which, yes, output).await,
        Credentials::Delete { which, yes, .. } => remove::delete(&config, &which, yes, output).await,
        Credentials::Migrate(args) => migrate::run(&config, &args, output).await,
        Credentials::Import(args) => import::run(&config, &args, output).await,
        Credentials::Export(args) => export::run(&config, &args, output).await,
        Credentials::Backup { file, .. } => archive::backup(&config, &file, output).await,
        Credentials::Restore { file, writing, .. } => archive::restore(&config, &file, writing, output).await,
    }
}
