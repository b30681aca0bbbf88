//! Why a command did not do what it was asked to: a code, a sentence, what to do, and the exit code.

use std::fmt::Display;

use authchain::core::{AuthError, ErrorCode, StoreError, with_causes};
use authchain_server::{StartError, config::ConfigError};

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) fix: String,
    pub(crate) exit: u8,
}

impl Failure {
    /// A failure without a row in the table of codes.
    pub(crate) fn new(message: impl Display, fix: impl Display) -> Self {
        Self { code: "failed", message: message.to_string(), fix: fix.to_string(), exit: 1 }
    }

    /// A failure with a row of the table of codes.
    pub(crate) fn of(code: ErrorCode, message: impl Display) -> Self {
        Self {
            code: code.as_str(),
            message: message.to_string(),
            fix: code.what_to_do().into(),
            exit: code.exit_code(),
        }
    }

    /// Arguments that the command does not take: what clap says, without the usage below it.
    pub(crate) fn usage(error: &clap::Error) -> Self {
        let told = error.to_string();
        let told = told.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        let message = told.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { code: "usage", message, fix: "See what it takes with --help.".into(), exit: 2 }
    }

    /// The same with another advice.
    pub(crate) fn fix(self, fix: impl Display) -> Self {
        Self { fix: fix.to_string(), ..self }
    }

    /// What was named does not exist.
    pub(crate) fn not_found(message: impl Display, fix: impl Display) -> Self {
        Self { code: "not_found", message: message.to_string(), fix: fix.to_string(), exit: 3 }
    }

    /// Something that was asked for is in use already.
    pub(crate) fn in_use(message: impl Display, fix: impl Display) -> Self {
        Self { code: "in_use", message: message.to_string(), fix: fix.to_string(), exit: 7 }
    }
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        Self::of(error.code(), with_causes(&error))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        AuthError::from(error).into()
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::of(ErrorCode::Configuration, &error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(error) => error.into(),
            StartError::Auth(error) => error.into(),
            StartError::Listen { address, cause } => Self::in_use(
                format!("cannot listen on {address}: {cause}"),
                "Choose another port with --port, or stop the program that listens there.",
            ),
            other => Self::new(other, "Look at the log above."),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error, "Look at what the operating system says above.")
    }
}
