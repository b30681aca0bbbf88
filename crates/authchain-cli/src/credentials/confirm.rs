//! Asking before something goes that does not come back.
#![allow(clippy::print_stderr, reason = "this is where the command asks")]

use std::io::{self, IsTerminal, Write};

use crate::failure::Failure;

/// Asks on a terminal; elsewhere stops, unless the answer was given with the command.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure {
            code: "confirmation_needed",
            message: format!("{question} There is no terminal to ask on."),
            fix: "Run it again with --yes.".into(),
            exit: 2,
        });
    }
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure { code: "cancelled", exit: 1, ..Failure::new("nothing was done", "Answer y if you mean it.") })
}
