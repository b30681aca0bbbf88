//! CPU time of another process, and instructions of this one.

use std::{fs, process::Command};

use anyhow::{Context, Result};

/// Nanoseconds that all threads of a process have spent on a CPU.
///
/// # Errors
/// When there is no such process, or the system is no Linux.
pub fn nanoseconds(process: u32) -> Result<u64> {
    let mut total = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let line = fs::read_to_string(thread?.path().join("schedstat"))?;
        let spent: u64 = line.split(' ').next().context("schedstat is empty")?.trim().parse()?;
        total += spent;
    }
    Ok(total)
}

/// Instructions that this program executes with these arguments, counted by valgrind. `None` without valgrind.
///
/// # Errors
/// When valgrind runs and says nothing.
pub fn instructions(arguments: &[&str]) -> Result<Option<u64>> {
    let program = std::env::current_exe()?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program).args(arguments);
    let Ok(output) = command.output() else { return Ok(None) };
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("Collected :")).context("valgrind counted nothing")?;
    let count = line.rsplit(' ').next().context("valgrind counted nothing")?;
    Ok(Some(count.parse()?))
}
