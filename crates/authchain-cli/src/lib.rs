//! The `authchain` command: arguments in, one call into the library, output and an exit code out. The program itself is one
//! line, so that all this is compiled while what it calls still is.

mod accounts;
mod args;
mod clients;
mod config;
mod credentials;
mod demo;
mod doctor;
mod failure;
mod keys;
mod logging;
mod login;
mod output;
mod scopes;
mod serve;
mod services;
mod token;

use std::process::ExitCode;

use args::{Args, Command};
use authchain_server::config::Sources;
use clap::{CommandFactory, Parser};
use failure::Failure;
use output::Output;

/// Does what the process's arguments say; the exit code tells scripts how it went.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        // Help and the version are answers; a program that asked for JSON gets its errors as JSON from the first one on.
        Err(error) if error.use_stderr() && std::env::args_os().any(|arg| arg == "--json") => {
            return Output::new(true).fail(&Failure::usage(&error));
        }
        Err(error) => error.exit(),
    };
    let output = Output::new(args.json());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.fail(&Failure::from(error)),
    };
    match runtime.block_on(run(args, &output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.fail(&failure),
    }
}

async fn run(args: Args, output: &Output) -> Result<(), Failure> {
    let mut sources = Sources::new().process_environment();
    sources = match &args.config {
        Some(file) => sources.file(file),
        None => sources.usual_file(),
    };
    match args.command {
        Command::Serve(serve) => serve::run(sources, serve).await,
        Command::Demo(_) if args.config.is_some() => Err(demo::no_configuration()),
        Command::Demo(demo) => demo::run(demo, output).await,
        Command::Login(login) => login::run(sources, login, output).await,
        Command::Accounts(command) => accounts::run(sources, command, output).await,
        Command::Clients(command) => clients::run(sources, command, output).await,
        Command::Keys(command) => keys::run(sources, command, output).await,
        Command::Credentials(command) => credentials::run(sources, command, output).await,
        Command::Token(args::Token::Mint(mint)) => token::mint(sources, mint, output).await,
        Command::Scopes(command) => scopes::run(&sources, command, output),
        Command::Services(args::Services::List(list)) => services::list(&list, output),
        Command::Config(args::Config::Show { origin, prefix, .. }) => {
            config::show(&sources, prefix.as_deref(), origin, output)
        }
        Command::Config(args::Config::Check { .. }) => config::check(&sources, output).await,
        Command::Doctor(doctor) => doctor::run(&sources, doctor, output).await,
        Command::Completions { shell } => {
            // Not straight to standard output: the generators panic where that is closed.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "authchain", &mut script);
            output.answer(&serde_json::Value::Null, String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
    }
}
