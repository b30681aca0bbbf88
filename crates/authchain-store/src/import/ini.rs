//! Files of sections with `key = value` lines, as rclone writes them.

use std::collections::BTreeMap;

/// A section's name and its values.
pub(super) type Section = (String, BTreeMap<String, String>);

/// Takes a file apart; `None` if it is none of this kind.
pub(super) fn parse(text: &str) -> Option<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.push((name.to_owned(), BTreeMap::new()));
            continue;
        }
        let (key, value) = line.split_once('=')?;
        sections.last_mut()?.1.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    (!sections.is_empty()).then_some(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_values_and_comments_do_not_count() {
        let parsed = parse("# note\n[one]\na = 1\nb=x = y\n\n; more\n[two]\n").unwrap();
        assert_eq!(parsed.len(), 2);
        assert_eq!(parsed[0].1.get("b").map(String::as_str), Some("x = y"));
        assert!(parsed[1].1.is_empty());
    }

    #[test]
    fn what_is_none_is_none() {
        for text in ["", "just words", "a = 1\n[late]\n", "[one]\nwords"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
