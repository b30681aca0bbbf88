//! Gmail's search, as far as people use it: words, "quoted words", `from:`, `to:`, `subject:`, `is:`, `in:`, `label:`,
//! `after:`, `before:`, `newer_than:`, `older_than:`, and `-` before any of them.

use std::time::Duration;

use authchain_core::Timestamp;

use super::{mime::Part, people::Mail};

const DAY: u64 = 24 * 3600;

/// A parsed query: all terms must hold.
pub(crate) struct Query(Vec<(bool, Term)>);

enum Term {
    Word(String),
    Header(&'static str, String),
    Label(String),
    Read,
    After(Timestamp),
    Before(Timestamp),
    Anything,
}

impl Query {
    /// Takes a query apart. Nothing is refused, as Gmail refuses nothing: what is no operator is a word.
    pub(crate) fn parse(text: &str, now: Timestamp) -> Self {
        Self(words(text).iter().map(|word| term(word, now)).collect())
    }

    /// Whether a message is found. Without `in:`, spam and trash are not looked at; there are none here.
    pub(crate) fn matches(&self, mail: &Mail) -> bool {
        let part = Part::parse(&mail.raw);
        let header = |name: &str| part.header(name).unwrap_or_default().to_lowercase();
        let has = |label: &str| mail.labels.iter().any(|l| l.eq_ignore_ascii_case(label));
        self.0.iter().all(|(negated, term)| {
            let holds = match term {
                Term::Word(word) => {
                    let headers = ["From", "To", "Subject"].map(header).join("\n");
                    headers.contains(word) || part.text().to_lowercase().contains(word)
                }
                Term::Header(name, value) => header(name).contains(value),
                Term::Label(label) => has(label),
                Term::Read => !has("UNREAD"),
                Term::After(at) => mail.received >= *at,
                Term::Before(at) => mail.received < *at,
                Term::Anything => true,
            };
            holds != *negated
        })
    }
}

fn term(word: &str, now: Timestamp) -> (bool, Term) {
    let (negated, word) = match word.strip_prefix('-') {
        Some(rest) if !rest.is_empty() => (true, rest),
        _ => (false, word),
    };
    let plain = || Term::Word(word.to_lowercase());
    let Some((operator, value)) = word.split_once(':').filter(|(_, value)| !value.is_empty()) else {
        return (negated, plain());
    };
    let lower = value.to_lowercase();
    let term = match (operator.to_lowercase().as_str(), lower.as_str()) {
        ("from", _) => Term::Header("From", lower),
        ("to", _) => Term::Header("To", lower),
        ("subject", _) => Term::Header("Subject", lower),
        ("is", "read") => Term::Read,
        ("in", "anywhere") => Term::Anything,
        ("is" | "in" | "label", _) => Term::Label(lower),
        ("after", _) => date(value).map_or_else(plain, Term::After),
        ("before", _) => date(value).map_or_else(plain, Term::Before),
        ("newer_than", _) => span(&lower).map_or_else(plain, |span| Term::After(now - span)),
        ("older_than", _) => span(&lower).map_or_else(plain, |span| Term::Before(now - span)),
        _ => plain(),
    };
    (negated, term)
}

/// `2026/11/21`, `2026-11-21` or seconds since 1970.
fn date(text: &str) -> Option<Timestamp> {
    let day = text.replace('/', "-").parse::<jiff::civil::Date>().ok();
    let midnight = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
    midnight.map(|at| Timestamp(at.timestamp().as_second())).or_else(|| text.parse().ok().map(Timestamp))
}

/// `7d`, `2m`, `1y`.
fn span(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let days = match unit {
        'd' => 1,
        'm' => 30,
        'y' => 365,
        _ => return None,
    };
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    Some(Duration::from_secs(number.checked_mul(days * DAY)?))
}

/// Splits at white space that is in no quotes; quotes are removed.
fn words(text: &str) -> Vec<String> {
    let mut quoted = false;
    let split = text.split(|c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    });
    split.map(|word| word.replace('"', "")).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_find_what_gmail_would_find() {
        let received = Timestamp(1_795_246_020);
        let raw = b"From: Bob Baker <bob@example.com>\r\nTo: ann@example.com\r\nSubject: Fence\r\n\r\nOn Saturday morning.\r\n";
        let labels = vec!["INBOX".to_owned(), "UNREAD".to_owned()];
        let mail = Mail { id: "1".into(), thread: "1".into(), labels, received, raw: raw.to_vec() };
        for (query, found) in [
            ("", true),
            ("saturday fence", true),
            ("\"saturday morning\"", true),
            ("\"morning saturday\"", false),
            ("from:bob subject:fence is:unread in:inbox", true),
            ("from:bob -fence", false),
            ("is:read", false),
            ("in:sent", false),
            ("after:2026/11/20 before:2026-11-22", true),
            ("older_than:7d", false),
            ("newer_than:2d", true),
            ("http://x", false),
        ] {
            assert_eq!(Query::parse(query, received).matches(&mail), found, "{query}");
        }
    }
}
