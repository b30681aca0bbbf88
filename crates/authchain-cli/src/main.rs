//! The `authchain` command.

fn main() -> std::process::ExitCode {
    authchain_cli::main()
}
