//! Keys that a command prints.

use std::{
    fmt,
    io::{self, Read, Write},
    process::{Command, ExitStatus, Stdio},
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
        let mut command = Command::new("sh");
        command.args(["-c", &self.command]);
        match run(command, None, PATIENCE) {
            Ok(ended) if ended.succeeded => Ok(ended.printed),
            Ok(ended) => Err(failed(format!("it ended with {}", ended.status))),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// What a command that has ended said.
pub(super) struct Ended {
    pub(super) succeeded: bool,
    pub(super) status: ExitStatus,
    pub(super) printed: Zeroizing<String>,
    /// What it said on standard error, if that is a pipe.
    pub(super) complaint: Zeroizing<String>,
}

/// Runs a command that prints keys, and ends it when it takes too long. `input` is what it reads.
pub(super) fn run(mut command: Command, input: Option<&str>, patience: Duration) -> io::Result<Ended> {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command.stdin(stdin).stdout(Stdio::piped()).spawn()?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        // Whoever ends without reading says why in another way. No list of keys fills a pipe.
        let _ = pipe.write_all(input.as_bytes());
    }
    let (tell, told) = mpsc::channel();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::spawn(move || {
        let said = read(stdout).and_then(|printed| Ok((printed, read(stderr)?)));
        // Whoever has lost patience does not hear it.
        let _ = tell.send(said);
    });
    let Ok(said) = told.recv_timeout(patience) else {
        // It may have ended by itself in this moment.
        let _ = child.kill().and_then(|()| child.wait());
        return Err(io::Error::other(format!("it took longer than {} seconds", patience.as_secs())));
    };
    let status = child.wait()?;
    let (printed, complaint) = match said {
        Ok(said) => said,
        // Of one that failed nobody wants to know what it printed.
        Err(_) if !status.success() => Default::default(),
        Err(_) => return Err(io::Error::other("it printed something else than text")),
    };
    Ok(Ended { succeeded: status.success(), status, printed, complaint })
}

fn read(pipe: Option<impl Read>) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(4 << 10));
    if let Some(pipe) = pipe {
        pipe.take(LONGEST).read_to_string(&mut text)?;
    }
    Ok(text)
}

impl fmt::Display for KeyCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the whole of it: somebody may have written a password into its arguments.
        write!(f, "the key command {:?}", self.command.split_whitespace().next().unwrap_or_default())
    }
}
