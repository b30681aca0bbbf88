//! Scopes in words, grouped by the service that they open.

use std::collections::BTreeSet;

use authchain::core::Scopes;
use maud::{Markup, html};

use super::words::Words;
use crate::{
    ScopeWords,
    scopes::{IDENTITY, is_identity, service, service_name},
};

/// One service and what is asked for there.
struct Group<'a> {
    /// The service's key; `None` for who the person is.
    key: Option<&'static str>,
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
            ul { (lines(group, words)) }
        }
    }
}

/// The same list with a box to tick for each service, to stand in a form; `ticked` are those that are.
pub(super) fn choice(scopes: &Scopes, describe: ScopeWords, words: &Words, ticked: &BTreeSet<&str>) -> Markup {
    html! {
        @for group in &grouped(scopes, describe, words) {
            @match group.key {
                None => { h3 { (group.service) } ul { (lines(group, words)) } }
                Some(key) => div.service {
                    label.tick {
                        input type="checkbox" name="service" value=(key) checked[ticked.contains(key)]
                            aria-describedby=(format!("of-{key}"));
                        (group.service)
                    }
                    ul id=(format!("of-{key}")) { (lines(group, words)) }
                }
            }
        }
    }
}

fn lines(group: &Group<'_>, words: &Words) -> Markup {
    html! {
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

fn grouped<'a>(scopes: &'a Scopes, describe: ScopeWords, words: &'a Words) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    // Identity first and in its own order, whatever the alphabet says.
    let (mut identity, apis): (Vec<&str>, Vec<&str>) = scopes.iter().partition(|scope| is_identity(scope));
    identity.sort_by_key(|scope| IDENTITY.iter().position(|known| known == scope));
    for scope in identity.into_iter().chain(apis) {
        let key = service(scope);
        let line = Line {
            words: (words.scope)(scope).or_else(|| describe(scope)).unwrap_or(scope),
            reads_only: scope.ends_with(".readonly") || scope.ends_with(".metadata"),
            identity: key.is_none(),
        };
        match groups.iter_mut().find(|group| group.key == key) {
            Some(group) if group.lines.iter().any(|other| other.words == line.words) => {}
            Some(group) => group.lines.push(line),
            None => {
                let service = match key {
                    None => words.consent.identity,
                    Some(key) => service_name(key).unwrap_or(words.consent.other),
                };
                groups.push(Group { key, service, lines: vec![line] });
            }
        }
    }
    groups
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
    fn each_service_has_a_box_and_who_you_are_has_none() {
        let scopes = Scopes::from("openid https://www.googleapis.com/auth/drive.readonly https://mail.google.com/");
        let ticked = BTreeSet::from(["gmail"]);
        let html = choice(&scopes, |_| None, Language::English.words(), &ticked).into_string();
        assert_eq!(html.matches("type=\"checkbox\"").count(), 2, "{html}");
        assert_eq!(html.matches(" checked").count(), 1, "{html}");
        assert!(html.contains("value=\"gmail\" checked"), "{html}");
    }

    #[test]
    fn a_scope_is_escaped_like_everything_else() {
        let html = list(&Scopes::from("<script>"), |_| None, Language::English.words()).into_string();
        assert!(!html.contains("<script>"), "{html}");
    }
}
