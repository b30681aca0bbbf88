//! From names to scopes: aliases, groups, legacy names, URLs, ends of URLs. Nothing is guessed; what is not known is refused
//! with the name that looks most like it.

use authchain_core::Scopes;

use super::{GoogleScopes, IDENTITY, ScopeError, ScopeInfo, facts, nearest};
use crate::catalogue::catalogue;

/// How much of a service is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// The narrowest that is useful for reading.
    Minimal,
    /// Reading all of it and nothing else.
    Readonly,
    /// What a tool usually needs.
    Basic,
    /// All that belongs to the service.
    Full,
}

impl Level {
    /// All levels with the words that end a group's name.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Minimal, "minimal"), (Self::Readonly, "readonly"), (Self::Basic, "basic"), (Self::Full, "full")];

    /// The word that ends a group's name: `drive_basic`.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(level, _)| *level == self).map_or("", |(_, name)| name)
    }
}

impl GoogleScopes {
    /// The scopes that a name stands for. Asked in this order: alias (`drive.readonly`), group (`drive_basic`), legacy name
    /// (`drive_read`), URL, end of a URL (`gmail.settings.basic`), service and level (`meet_readonly`).
    ///
    /// Four legacy names are groups as well (`drive_full`, `gmail_full`, `calendar_full`, `tasks_full`); the group, which
    /// adds the identity scopes, wins here, and [`GoogleScopes::legacy`] knows the other meaning.
    ///
    /// # Errors
    /// [`ScopeError`] for names that are unknown, retired, or were never scopes.
    pub fn resolve(&self, name: &str) -> Result<Scopes, ScopeError> {
        let facts = facts();
        let name = name.trim();
        if let Some(scope) = facts.by_alias(name) {
            return one(name, scope);
        }
        if let Some(scopes) = self.resolve_group(name) {
            return Ok(scopes);
        }
        if let Some(scope) = self.legacy(name) {
            return one(name, scope);
        }
        if let Some(refusal) = refusal(name, name) {
            return Err(refusal);
        }
        if let Some(scope) = facts.by_url(name).or_else(|| facts.by_short_name(name)) {
            return one(name, scope);
        }
        let (service, level) = name.rsplit_once('_').unwrap_or((name, ""));
        if let Some((level, _)) = Level::ALL.into_iter().find(|(_, word)| *word == level)
            && let Some(scopes) = self.level(service, level)
        {
            return Ok(scopes);
        }
        Err(ScopeError::Unknown { name: name.into(), nearest: self.nearest_name(name).map(Into::into) })
    }

    /// The scopes that several names stand for together.
    ///
    /// # Errors
    /// Those of [`GoogleScopes::resolve`], for the first name that is refused.
    pub fn resolve_all<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Scopes, ScopeError> {
        names.into_iter().try_fold(Scopes::none(), |all, name| Ok(all.union(&self.resolve(name)?)))
    }

    /// What to ask Google for when a group is wanted: its members, with a retired one replaced by its successor.
    pub fn resolve_group(&self, name: &str) -> Option<Scopes> {
        let mut scopes = Vec::new();
        for member in self.group(name)? {
            match facts().gone(member.url) {
                Some(gone) => scopes.extend(gone.instead.iter().copied()),
                None => scopes.push(member.url),
            }
        }
        Some(scopes.into_iter().collect())
    }

    /// The scopes of a service of the [catalogue](crate::catalogue()) at a level, with the identity scopes. A group of that
    /// name wins. `None` for an unknown service.
    pub fn level(&self, service: &str, level: Level) -> Option<Scopes> {
        if let Some(group) = self.resolve_group(&format!("{service}_{}", level.name())) {
            return Some(group);
        }
        let service = catalogue().find(service)?;
        let readonly = || {
            let scope = facts().by_alias(&format!("{}.readonly", service.key))?;
            scope.retired.is_none().then(|| Scopes::from(scope.url))
        };
        let scopes = match level {
            Level::Minimal => service.minimal(),
            Level::Readonly => readonly().unwrap_or_else(|| service.minimal()),
            Level::Basic => service.default_scopes(),
            Level::Full => service.full(),
        };
        Some(scopes.union(&[IDENTITY.0, IDENTITY.1].into_iter().collect()))
    }

    /// The name that looks most like a mistyped one, written in the way that was tried: URL for URL, alias for alias.
    pub fn nearest_name(&self, name: &str) -> Option<&'static str> {
        let facts = facts();
        if name.contains("://") {
            return nearest(name, facts.scopes.iter().map(|scope| scope.url));
        }
        let aliases = facts.scopes.iter().map(|scope| scope.alias);
        let short = facts.scopes.iter().map(ScopeInfo::short_name);
        let groups = facts.groups(self.edition).keys().copied();
        nearest(name, aliases.chain(groups).chain(self.legacy_names()).chain(short))
    }
}

fn one(name: &str, scope: &ScopeInfo) -> Result<Scopes, ScopeError> {
    refusal(name, scope.url).map_or_else(|| Ok(Scopes::from(scope.url)), Err)
}

/// Why Google would refuse the scope, when it would. `name` is what was asked for.
pub(super) fn refusal(name: &str, url: &str) -> Option<ScopeError> {
    let gone = facts().gone(url)?;
    let name = name.to_owned();
    let replacement = gone.instead.iter().copied().collect();
    Some(match gone.retired {
        Some(since) => ScopeError::Retired { name, since, replacement },
        None => ScopeError::NeverExisted { name, why: gone.why.unwrap_or("no such scope"), replacement },
    })
}
