//! The checked-in facts, parsed once. `tools/generate.py` writes them; the tests read every line.

use std::{
    collections::{BTreeMap, HashMap},
    sync::OnceLock,
};

use authchain_core::Scopes;
use serde::Deserialize;

use super::{AUTH_PREFIX, GroupEdition, ScopeInfo};

type Lists = BTreeMap<&'static str, Vec<&'static str>>;

/// A name that Google does not take (any more).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gone {
    pub(crate) url: &'static str,
    /// The day on which it was retired; absent for what never existed.
    #[serde(default)]
    pub(crate) retired: Option<&'static str>,
    #[serde(default)]
    pub(crate) why: Option<&'static str>,
    /// What to ask for instead.
    #[serde(rename = "use")]
    pub(crate) instead: Vec<&'static str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclusive {
    prefixes: Vec<&'static str>,
    why: &'static str,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "'de: 'static"))]
struct Names {
    groups: Lists,
    groups_later: Lists,
    legacy: BTreeMap<&'static str, &'static str>,
    legacy_later: BTreeMap<&'static str, &'static str>,
    legacy_defaults: Lists,
    legacy_defaults_later: Lists,
    legacy_views: Lists,
    covers: Lists,
    equivalent: BTreeMap<&'static str, &'static str>,
    gone: Vec<Gone>,
    watch: Vec<&'static str>,
    token_groups: BTreeMap<&'static str, Exclusive>,
}

#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) scopes: Vec<ScopeInfo>,
    aliases: HashMap<&'static str, usize>,
    urls: HashMap<&'static str, usize>,
    short_names: HashMap<&'static str, usize>,
    /// Per URL, all URLs that cover it.
    covered_by: HashMap<&'static str, Vec<&'static str>>,
    names: Names,
}

/// The facts.
pub(crate) fn facts() -> &'static Facts {
    static FACTS: OnceLock<Facts> = OnceLock::new();
    FACTS.get_or_init(|| {
        let scopes = serde_json::from_str(include_str!("../data/scopes.json"));
        let names = serde_json::from_str(include_str!("../data/names.json"));
        Facts::new(
            scopes.expect("the checked-in scopes are well-formed: every test reads them"),
            names.expect("the checked-in names are well-formed: every test reads them"),
        )
    })
}

impl Facts {
    fn new(mut scopes: Vec<ScopeInfo>, names: Names) -> Self {
        for scope in &mut scopes {
            scope.retired = names.gone.iter().find(|gone| gone.url == scope.url).and_then(|gone| gone.retired);
        }
        let index = |name: fn(&ScopeInfo) -> &'static str| {
            scopes.iter().enumerate().map(|(i, scope)| (name(scope), i)).collect::<HashMap<_, _>>()
        };
        let (aliases, urls) = (index(|s| s.alias), index(|s| s.url));
        let short_names = index(ScopeInfo::short_name);
        let mut facts = Self { aliases, urls, short_names, covered_by: HashMap::new(), scopes, names };
        facts.covered_by = facts.coverage();
        facts
    }

    /// Turns the table "covers" around and follows it: the whole calendar covers events, events cover reading them.
    fn coverage(&self) -> HashMap<&'static str, Vec<&'static str>> {
        let url = |alias: &str| self.by_alias(alias).map(|scope| scope.url);
        let mut covered_by: HashMap<_, Vec<_>> = HashMap::new();
        for wide in self.names.covers.keys() {
            let mut reached: Vec<&str> = Vec::new();
            let mut queue = vec![*wide];
            while let Some(next) = queue.pop() {
                for narrow in self.names.covers.get(next).into_iter().flatten() {
                    if !reached.contains(narrow) && narrow != wide {
                        reached.push(narrow);
                        queue.push(narrow);
                    }
                }
            }
            let Some(wide) = url(wide) else { continue };
            for narrow in reached.into_iter().filter_map(url) {
                covered_by.entry(narrow).or_default().push(wide);
            }
        }
        for (short, long) in &self.names.equivalent {
            covered_by.entry(*short).or_default().push(long);
            covered_by.entry(*long).or_default().push(short);
        }
        covered_by
    }

    pub(crate) fn by_alias(&self, alias: &str) -> Option<&ScopeInfo> {
        self.scopes.get(*self.aliases.get(alias)?)
    }

    pub(crate) fn by_url(&self, url: &str) -> Option<&ScopeInfo> {
        self.scopes.get(*self.urls.get(url)?)
    }

    pub(crate) fn by_short_name(&self, name: &str) -> Option<&ScopeInfo> {
        self.scopes.get(*self.short_names.get(name)?)
    }

    /// All URLs that cover `url`, itself not among them.
    pub(crate) fn covering(&self, url: &str) -> &[&'static str] {
        self.covered_by.get(url).map_or(&[], Vec::as_slice)
    }

    /// The other spelling, where Google gives a scope another name in its answers: `email`.
    pub(crate) fn canonical<'a>(&'a self, scope: &'a str) -> &'a str {
        self.names.equivalent.get(scope).copied().unwrap_or(scope)
    }

    /// Whether it says who the account is, and nothing else.
    pub(crate) fn is_identity(&self, scope: &str) -> bool {
        self.by_url(scope).is_some_and(|info| info.service() == "base")
    }

    /// By URL, with or without the prefix.
    pub(crate) fn gone(&self, name: &str) -> Option<&Gone> {
        self.names.gone.iter().find(|gone| gone.url == name || gone.url.strip_prefix(AUTH_PREFIX) == Some(name))
    }

    pub(crate) fn groups(&self, edition: GroupEdition) -> &Lists {
        match edition {
            GroupEdition::Original => &self.names.groups,
            GroupEdition::Later => &self.names.groups_later,
        }
    }

    pub(crate) fn legacy(&self, edition: GroupEdition, name: &str) -> Option<&'static str> {
        let later = match edition {
            GroupEdition::Original => None,
            GroupEdition::Later => self.names.legacy_later.get(name),
        };
        later.or_else(|| self.names.legacy.get(name)).copied()
    }

    pub(crate) fn legacy_names(&self, edition: GroupEdition) -> Vec<&'static str> {
        let later = self.names.legacy_later.keys().filter(|_| edition == GroupEdition::Later);
        let mut names: Vec<_> = self.names.legacy.keys().chain(later).copied().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(crate) fn legacy_defaults(&self, edition: GroupEdition, service: &str) -> &[&'static str] {
        let later = match edition {
            GroupEdition::Original => None,
            GroupEdition::Later => self.names.legacy_defaults_later.get(service),
        };
        later.or_else(|| self.names.legacy_defaults.get(service)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn view(&self, name: &str) -> Scopes {
        let aliases = self.names.legacy_views.get(name).into_iter().flatten();
        aliases.filter_map(|alias| self.by_alias(alias)).map(|scope| scope.url).collect()
    }

    pub(crate) fn token_group(&self, scope: &str) -> Option<&'static str> {
        let listed = self.by_url(scope).and_then(|info| info.token_group);
        let by_prefix =
            || self.names.token_groups.iter().find(|(_, group)| group.prefixes.iter().any(|p| scope.starts_with(p)));
        listed.or_else(|| by_prefix().map(|(name, _)| *name))
    }

    /// Why a token group may not be combined with others.
    pub(crate) fn why_apart(&self, group: &str) -> &'static str {
        self.names.token_groups.get(group).map_or("", |group| group.why)
    }

    /// Parts of scope names that often mean a mistake.
    pub(crate) fn watched(&self) -> &[&'static str] {
        &self.names.watch
    }
}
