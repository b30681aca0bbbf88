//! From paths to findings: every file below a folder is looked at, and none goes unmentioned.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{Finding, Flaw, Means, Verdict, recognize::recognize};

/// No credential file comes near this size.
const LARGEST_FILE: u64 = 16 << 20;

/// How deep folders are looked into: FastMCP's files are three deep, earlier servers' groups two.
const DEEPEST: usize = 6;

/// Looks at files, and at all files below folders. Reads, and does nothing else. It blocks.
pub fn look(paths: &[PathBuf], means: &Means) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in paths {
        match fs::metadata(path) {
            Ok(about) if about.is_dir() => folder(path, DEEPEST, means, &mut findings),
            Ok(_) => findings.extend(file(path, true, means)),
            Err(error) => findings.push(refused(path, &format!("it cannot be read: {error}"), "Check the path")),
        }
    }
    findings
}

fn folder(path: &Path, depth: usize, means: &Means, findings: &mut Vec<Finding>) {
    let listed: std::io::Result<Vec<PathBuf>> =
        fs::read_dir(path).and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect());
    let mut entries = match listed {
        Ok(entries) => entries,
        Err(error) => {
            return findings.push(refused(path, &format!("it cannot be read: {error}"), "Check who may read it"));
        }
    };
    entries.sort();
    for entry in entries {
        match fs::symlink_metadata(&entry) {
            Ok(about) if about.is_symlink() => {
                let why = "a symbolic link: name its target if it is meant".into();
                findings.push(passed_over(entry, "link", why));
            }
            Ok(about) if about.is_dir() && depth == 0 => {
                findings.push(passed_over(entry, "folder", "a folder too deep below the one that was named".into()));
            }
            Ok(about) if about.is_dir() => folder(&entry, depth - 1, means, findings),
            Ok(_) => findings.extend(file(&entry, false, means)),
            Err(error) => findings.push(refused(&entry, &format!("it cannot be read: {error}"), "Check the path")),
        }
    }
}

fn file(path: &Path, named: bool, means: &Means) -> Vec<Finding> {
    let (bytes, mode) = match read(path) {
        Ok(read) => read,
        Err(why) => return vec![refused(path, &why, "Name a file that holds a credential")],
    };
    let mut findings = recognize(path, &bytes, named, means);
    for finding in &mut findings {
        if let Verdict::Credential(found) = &mut finding.verdict
            && mode & 0o077 != 0
        {
            found.notes.push(format!("others can read the file (mode {:04o}): chmod 600, or remove it", mode & 0o7777));
        }
    }
    findings
}

fn read(path: &Path) -> Result<(Zeroizing<Vec<u8>>, u32), String> {
    let unreadable = |error: std::io::Error| format!("it cannot be read: {error}");
    // Opening a pipe would wait for whoever writes into it.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("it is no regular file".into());
    }
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode();
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 << 10));
    (&file).take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|n| n > LARGEST_FILE) {
        return Err("it is far larger than any credential file".into());
    }
    Ok((bytes, mode))
}

fn refused(path: &Path, why: &str, fix: &str) -> Finding {
    Finding { path: path.to_owned(), part: None, format: "unknown", verdict: Flaw::new(why, fix).into() }
}

fn passed_over(path: PathBuf, format: &'static str, why: String) -> Finding {
    Finding { path, part: None, format, verdict: Verdict::PassedOver { why } }
}
