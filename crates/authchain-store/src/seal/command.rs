//! Keys that a command prints.

use std::{
    fmt,
    io::Read,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use authchain_core::{Cause, StoreError};
use zeroize::Zeroizing;

use super::ring::Ring;

/// How long the command may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is run again at most.
const AT_MOST_EVERY: Duration = Duration::from_secs(30);

/// No list of keys is longer.
const LONGEST: u64 = 64 << 10;

/// A command that prints keys, and when it last ran.
pub(super) struct KeyCommand {
    command: String,
    ran_at: Mutex<Option<Instant>>,
}

impl KeyCommand {
    pub(super) fn new(command: &str) -> Self {
        Self { command: command.to_owned(), ran_at: Mutex::default() }
    }

    /// Runs it, unless it ran a moment ago.
    pub(super) fn run_if_due(&self) -> Result<Option<Ring>, StoreError> {
        let ran_at = *self.ran_at.lock().unwrap_or_else(PoisonError::into_inner);
        if ran_at.is_some_and(|at| at.elapsed() < AT_MOST_EVERY) { Ok(None) } else { self.run().map(Some) }
    }

    /// Runs it and reads what it prints.
    pub(super) fn run(&self) -> Result<Ring, StoreError> {
        *self.ran_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ring::read(&self.output()?, &self.to_string())
    }

    fn output(&self) -> Result<Zeroizing<String>, StoreError> {
        let failed = |why: String| StoreError::Unavailable { what: format!("run {self}"), cause: Cause::text(why) };
        let mut child = Command::new("sh")
            .args(["-c", &self.command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed(e.to_string()))?;
        let (tell, told) = mpsc::channel();
        let stdout = child.stdout.take();
        thread::spawn(move || {
            let mut text = Zeroizing::new(String::with_capacity(4 << 10));
            let read = stdout.map(|out| out.take(LONGEST).read_to_string(&mut text));
            // Whoever has lost patience does not hear it.
            let _ = tell.send(read.and_then(Result::ok).map(|_| text));
        });
        let Ok(text) = told.recv_timeout(PATIENCE) else {
            // It may have ended by itself in this moment.
            let _ = child.kill().and_then(|()| child.wait());
            return Err(failed(format!("it took longer than {} seconds", PATIENCE.as_secs())));
        };
        let status = child.wait().map_err(|e| failed(e.to_string()))?;
        if !status.success() {
            return Err(failed(format!("it ended with {status}")));
        }
        text.ok_or_else(|| failed("it printed something else than text".into()))
    }
}

impl fmt::Display for KeyCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the whole of it: somebody may have written a password into its arguments.
        write!(f, "the key command {:?}", self.command.split_whitespace().next().unwrap_or_default())
    }
}
