//! `authchain doctor`: is the server at an address one that MCP clients can sign in to? What they fetch is fetched, and what
//! would stop one of them is named, with the byte that differs and what to change.

mod walk;

use authchain_server::config::Sources;
use serde_json::json;
use url::Url;

use crate::{args::Doctor, failure::Failure, output::Output};
use walk::Walk;

/// How one check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Good,
    /// Works, and some client may stumble.
    Warning,
    Bad,
}

impl Grade {
    fn mark(self) -> char {
        match self {
            Self::Good => '✓',
            Self::Warning => '!',
            Self::Bad => '✗',
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// One check: what was looked at, what was found, and what to change where it is not good.
#[derive(Debug)]
struct Finding {
    grade: Grade,
    what: String,
    found: String,
    fix: &'static str,
}

pub(crate) async fn run(sources: &Sources, doctor: Doctor, output: &Output) -> Result<(), Failure> {
    let url = match doctor.url {
        Some(url) => url,
        None => sources.load()?.resource()?,
    };
    let findings = Walk::new(url.clone())?.all().await?;
    let count = |grade| findings.iter().filter(|finding| finding.grade == grade).count();
    let (bad, warnings) = (count(Grade::Bad), count(Grade::Warning));
    let rows: Vec<_> = findings
        .iter()
        .map(|finding| {
            let fix = (finding.grade != Grade::Good).then_some(finding.fix);
            json!({ "grade": finding.grade.word(), "what": finding.what, "found": finding.found, "fix": fix })
        })
        .collect();
    output.answer(&json!({ "url": url, "findings": rows, "bad": bad, "warnings": warnings }), text(&url, &findings));
    match bad {
        0 => Ok(()),
        _ => Err(Failure::new(format!("{bad} of {} checks failed", findings.len()), "Change what is marked with ✗.")),
    }
}

fn text(url: &Url, findings: &[Finding]) -> String {
    let mut lines = vec![url.to_string()];
    for finding in findings {
        lines.push(format!("  {} {}: {}", finding.grade.mark(), finding.what, finding.found));
        if finding.grade != Grade::Good {
            lines.push(format!("      → {}", finding.fix));
        }
    }
    lines.join("\n")
}
