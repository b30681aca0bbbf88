//! Logs on standard error, as text or as JSON.

use std::io::IsTerminal;

use authchain_server::config::{LogFormat, LogSection};
use tracing_subscriber::EnvFilter;

/// Begins logging. `RUST_LOG` comes before the configured level.
pub(crate) fn start(section: &LogSection) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(&section.level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process keeps the first: the commands start it once.
    let _ = match section.format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).with_target(false).try_init()
        }
    };
}
