//! The page `docs/checklist.md` and the tests say the same: every number and every case has a test that carries it in its
//! name, and every test that the page names is there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// How many there are of each kind.
const KINDS: [(char, u32); 7] = [('n', 22), ('r', 18), ('c', 7), ('d', 12), ('a', 13), ('t', 11), ('m', 7)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("node_modules") && !path.ends_with("target") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names of all functions that stand right below a `#[test]` of any kind; and of the suites' parts.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in ["crates", "tests", "examples"] {
        sources(&root().join(folder), &mut files);
    }
    let mut names = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let is_suite = file.components().any(|part| part.as_os_str() == "suite");
        let mut attributed = false;
        for line in text.lines().map(str::trim) {
            let function = line.trim_start_matches("async ").strip_prefix("fn ");
            match function.and_then(|rest| rest.split(['(', '<']).next()) {
                Some(name) if attributed || is_suite => {
                    names.insert(name.to_owned());
                    attributed = false;
                }
                _ if line.starts_with("#[test") || line.starts_with("#[tokio::test") => attributed = true,
                _ if line.starts_with("#[") => {}
                _ => attributed = false,
            }
        }
    }
    names
}

/// The numbers and cases at the beginning of a name: `n05_c1_c7_a_client…` has three.
fn shown_by(name: &str) -> impl Iterator<Item = (char, u32)> + '_ {
    name.split('_').map_while(|word| {
        let (kind, number) = word.split_at_checked(1)?;
        number.parse().ok().map(|number| (kind.chars().next().unwrap(), number))
    })
}

fn all() -> impl Iterator<Item = (char, u32)> {
    KINDS.into_iter().flat_map(|(kind, most)| (1..=most).map(move |number| (kind, number)))
}

#[test]
fn every_number_and_case_has_a_test_and_every_test_that_is_named_exists() {
    let tests = tests();
    let shown: BTreeSet<_> = tests.iter().flat_map(|name| shown_by(name)).collect();
    let missing: Vec<_> = all().filter(|case| !shown.contains(case)).collect();
    assert!(missing.is_empty(), "no test shows {missing:?}");

    let page = fs::read_to_string(root().join("docs/checklist.md")).unwrap();
    for (kind, number) in all() {
        let row = if kind == 'n' {
            format!("\n| {number} | ")
        } else {
            format!("\n| {}{number} | ", kind.to_ascii_uppercase())
        };
        assert!(page.contains(&row), "docs/checklist.md has no row for {kind}{number}");
    }
    let is_name = |word: &str| {
        word.matches('_').count() > 2 && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let named: Vec<_> = page.split('`').skip(1).step_by(2).filter(|word| is_name(word)).collect();
    assert!(named.len() > 150, "{}", named.len());
    let gone: Vec<_> = named.into_iter().filter(|name| !tests.contains(*name)).collect();
    assert!(gone.is_empty(), "docs/checklist.md names tests that are not there: {gone:#?}");
}

#[test]
fn a_name_carries_its_numbers_in_front() {
    let of = |name| shown_by(name).collect::<Vec<_>>();
    assert_eq!(of("n05_c1_c7_a_client_of_2025"), [('n', 5), ('c', 1), ('c', 7)]);
    assert_eq!(of("a_client_n05"), []);
    assert_eq!(of("n20_a_foreign_host"), [('n', 20)]);
}
