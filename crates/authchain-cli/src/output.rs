//! Printing: data on standard output, talk on standard error, errors in three parts.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where the command prints")]

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use authchain_server::config::RefreshSection;
use serde_json::{Value, json};

use crate::failure::Failure;

/// Where a command's answer goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the answer is for a program.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// The answer: one line of JSON for programs, `text` for people.
    pub(crate) fn answer(self, json: &Value, text: impl Display) {
        let text: &dyn Display = if self.json { json } else { &text };
        match writeln!(io::stdout().lock(), "{text}") {
            // Whoever reads has seen enough: `authchain scopes list | head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => {
                eprintln!("error: the answer cannot be written: {error}");
                std::process::exit(1);
            }
            Ok(()) => {}
        }
    }

    /// A word to the person, never to a program.
    pub(crate) fn say(self, text: impl Display) {
        if !self.json {
            eprintln!("{text}");
        }
    }

    /// A word that is needed to go on: to a program as one line of JSON, beside its answer.
    pub(crate) fn tell(self, json: &Value, text: impl Display) {
        let text: &dyn Display = if self.json { json } else { &text };
        eprintln!("{text}");
    }

    /// For whoever deleted or replaced a credential: how long servers that run may go on using what they hold of it.
    pub(crate) fn say_when_servers_notice(self, refresh: &RefreshSection) {
        let within = humantime::format_duration(refresh.look_again);
        self.say(format!(
            "Servers that run notice within {within} (refresh.look_again) and use until then what they have in memory."
        ));
    }

    /// What went wrong, and the exit code.
    pub(crate) fn fail(self, failure: &Failure) -> ExitCode {
        let Failure { code, message, fix, exit } = failure;
        if self.json {
            eprintln!("{}", json!({ "error": { "code": code, "message": message, "fix": fix } }));
        } else {
            eprintln!("error: {message}\n  what to do: {fix}\n  code: {code}");
        }
        ExitCode::from(*exit)
    }
}

/// Columns that stand below their headings, the last one as long as it is.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let headings = headings.map(ToOwned::to_owned);
    let width = |column: usize| {
        let cells = std::iter::once(&headings).chain(rows).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    std::iter::once(&headings).chain(rows).map(line).collect::<Vec<_>>().join("\n")
}
