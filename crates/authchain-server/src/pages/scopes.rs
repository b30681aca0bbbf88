//! Scopes in words, grouped by the service that they open.

use authchain::core::Scopes;
use maud::{Markup, html};

use super::words::Words;
use crate::{
    ScopeWords,
    scopes::{IDENTITY, is_identity},
};

/// What people call the services whose scopes begin like this.
const SERVICES: &[(&str, &str)] = &[
    ("drive", "Google Drive"),
    ("gmail", "Gmail"),
    ("calendar", "Google Calendar"),
    ("documents", "Google Docs"),
    ("spreadsheets", "Google Sheets"),
    ("presentations", "Google Slides"),
    ("forms", "Google Forms"),
    ("chat", "Google Chat"),
    ("contacts", "Google Contacts"),
    ("directory", "Google Contacts"),
    ("tasks", "Google Tasks"),
    ("photoslibrary", "Google Photos"),
    ("photospicker", "Google Photos"),
    ("keep", "Google Keep"),
    ("meetings", "Google Meet"),
    ("admin", "Google Workspace Admin"),
];

/// One service and what is asked for there.
struct Group<'a> {
    service: &'a str,
    lines: Vec<Line<'a>>,
}

struct Line<'a> {
    words: &'a str,
    reads_only: bool,
    identity: bool,
}

/// The list for a page. What nobody has words for stands there as it is.
pub(super) fn list(scopes: &Scopes, describe: ScopeWords, words: &Words) -> Markup {
    let groups = grouped(scopes, describe, words);
    html! {
        @if groups.is_empty() { p { (words.consent.nothing) } }
        @for group in &groups {
            h3 { (group.service) }
            ul {
                @for line in &group.lines {
                    li {
                        (line.words)
                        @if !line.identity {
                            " " span.mark {
                                "(" @if line.reads_only { (words.consent.reads) } @else { (words.consent.changes) } ")"
                            }
                        }
                    }
                }
            }
        }
    }
}

fn grouped<'a>(scopes: &'a Scopes, describe: ScopeWords, words: &'a Words) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    // Identity first and in its own order, whatever the alphabet says.
    let (mut identity, apis): (Vec<&str>, Vec<&str>) = scopes.iter().partition(|scope| is_identity(scope));
    identity.sort_by_key(|scope| IDENTITY.iter().position(|known| known == scope));
    for scope in identity.into_iter().chain(apis) {
        let identity = is_identity(scope);
        let service = if identity { words.consent.identity } else { service_of(scope).unwrap_or(words.consent.other) };
        let line = Line {
            words: (words.scope)(scope).or_else(|| describe(scope)).unwrap_or(scope),
            reads_only: scope.ends_with(".readonly") || scope.ends_with(".metadata"),
            identity,
        };
        match groups.iter_mut().find(|group| group.service == service) {
            Some(group) if group.lines.iter().any(|other| other.words == line.words) => {}
            Some(group) => group.lines.push(line),
            None => groups.push(Group { service, lines: vec![line] }),
        }
    }
    groups
}

fn service_of(scope: &str) -> Option<&'static str> {
    if scope.starts_with("https://mail.google.com") {
        return Some("Gmail");
    }
    let last = scope.trim_end_matches('/').rsplit('/').next()?;
    let first = last.split(['.', ':']).next()?;
    SERVICES.iter().find(|(prefix, _)| *prefix == first).map(|(_, service)| *service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::Language;

    #[test]
    fn scopes_are_grouped_by_service_and_who_you_are_comes_first() {
        let scopes = Scopes::from(
            "https://www.googleapis.com/auth/drive.readonly https://www.googleapis.com/auth/drive https://mail.google.com/ openid weird",
        );
        let groups = grouped(&scopes, |_| None, Language::English.words());
        let names: Vec<_> = groups.iter().map(|group| (group.service, group.lines.len())).collect();
        assert_eq!(names, [("Who you are", 1), ("Gmail", 1), ("Google Drive", 2), ("Other", 1)]);
    }

    #[test]
    fn reading_and_changing_are_told_apart() {
        let scopes = Scopes::from("https://www.googleapis.com/auth/drive.readonly");
        let html = list(&scopes, |_| Some("see files"), Language::English.words()).into_string();
        assert!(html.contains("see files") && html.contains("(read only)"), "{html}");
    }

    #[test]
    fn a_scope_is_escaped_like_everything_else() {
        let html = list(&Scopes::from("<script>"), |_| None, Language::English.words()).into_string();
        assert!(!html.contains("<script>"), "{html}");
    }
}
