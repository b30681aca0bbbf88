//! The scope registry: every Google scope, what it allows, what covers it, and all the names that it goes by.
//!
//! ```
//! use authchain_core::{ScopeRules, Scopes};
//! use authchain_google::registry;
//!
//! let scopes = registry();
//! let needed = scopes.resolve("drive.readonly")?;
//! assert_eq!(needed, Scopes::from("https://www.googleapis.com/auth/drive.readonly"));
//! // Whoever granted the whole Drive need not be asked again.
//! let granted = Scopes::from("https://www.googleapis.com/auth/drive");
//! assert!(scopes.missing(&needed, &granted).is_empty());
//! # Ok::<(), authchain_google::ScopeError>(())
//! ```

mod advice;
mod coverage;
mod error;
mod facts;
mod nearest;
mod resolve;

use authchain_core::{Scopes, TokenGroup};
use serde::Deserialize;

pub use advice::{Operation, ScopeReport, Warning};
pub use error::ScopeError;
pub use resolve::Level;

pub(crate) use facts::facts;
pub use nearest::nearest;

/// How sensitive Google holds a scope to be; what it is decides about the verification of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// No verification beyond the basic one.
    NonSensitive,
    /// Not known here; to be treated as sensitive.
    Unknown,
    /// The app has to be verified.
    Sensitive,
    /// The app has to be verified and its security assessed.
    Restricted,
}

/// How sure the sensitivity is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Nothing is known.
    #[default]
    None,
    /// Commonly known, not verified.
    Low,
    /// Seen on consent pages or in other programs.
    Medium,
    /// Taken from a page of Google's.
    High,
}

/// Who gave a scope its alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The system that authchain replaces, in 2025.
    Original,
    /// The same system, in 2026.
    Later,
    /// Other programs.
    Peer,
    /// Made by rule from the URL.
    Derived,
}

/// One scope.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeInfo {
    /// Its name here: `service.name`.
    pub alias: &'static str,
    /// What is sent to Google.
    pub url: &'static str,
    /// Google's own description, as a consent page shows it; empty for scopes that its discovery documents do not list.
    #[serde(default)]
    pub description: &'static str,
    /// How sensitive Google holds it to be.
    pub sensitivity: Sensitivity,
    /// How sure that is.
    #[serde(default)]
    pub confidence: Confidence,
    /// Whose name the alias is.
    pub origin: Origin,
    /// Whether it allows reading only.
    #[serde(default)]
    pub readonly: bool,
    /// Whether it is of use to a Workspace administrator only.
    #[serde(default)]
    pub admin_only: bool,
    /// Why a person cannot grant it, for scopes of service accounts: on a consent page it fails the whole request.
    #[serde(default)]
    pub app_only: Option<&'static str>,
    /// The token group that it has to be asked for in, where Google refuses to combine it with others.
    #[serde(default)]
    pub token_group: Option<&'static str>,
    /// Whether Google's device authorization grant accepts it.
    #[serde(default)]
    pub device_flow: bool,
    /// Whether Google's discovery documents do not list it.
    #[serde(default)]
    pub undocumented: bool,
    /// What else to know.
    #[serde(default)]
    pub note: Option<&'static str>,
    /// The day on which Google retired it, `YYYY-MM-DD`.
    #[serde(skip)]
    pub retired: Option<&'static str>,
}

impl ScopeInfo {
    /// The service of its alias: `drive`, `gmail`, ...
    pub fn service(&self) -> &'static str {
        self.alias.split_once('.').map_or(self.alias, |(service, _)| service)
    }

    /// The end of its URL: `gmail.settings.basic`.
    pub fn short_name(&self) -> &'static str {
        self.url.strip_prefix(AUTH_PREFIX).unwrap_or(self.url)
    }
}

/// What most scope URLs begin with.
pub(crate) const AUTH_PREFIX: &str = "https://www.googleapis.com/auth/";

/// Which of the two sets of groups and legacy names is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupEdition {
    /// Those of September 2025, which ask for less: `drive_basic` is per-file access and reading.
    #[default]
    Original,
    /// Those of August 2026, which ask for more: `drive_basic` is the whole Drive.
    Later,
}

/// The scope registry. Constant data, parsed at first use; copying it is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoogleScopes {
    edition: GroupEdition,
}

/// The registry with the original groups.
pub fn registry() -> &'static GoogleScopes {
    &GoogleScopes { edition: GroupEdition::Original }
}

impl GoogleScopes {
    /// The registry with one of the two sets of groups and legacy names.
    pub const fn new(edition: GroupEdition) -> Self {
        Self { edition }
    }

    /// Which groups and legacy names it speaks.
    pub fn edition(&self) -> GroupEdition {
        self.edition
    }

    /// Every scope, ordered by URL.
    pub fn all(&self) -> &'static [ScopeInfo] {
        &facts().scopes
    }

    /// A scope by its alias, URL, the end of its URL, or legacy name. Retired ones are found too.
    pub fn describe(&self, name: &str) -> Option<&'static ScopeInfo> {
        let facts = facts();
        facts
            .by_alias(name)
            .or_else(|| facts.by_url(name))
            .or_else(|| facts.by_short_name(name))
            .or_else(|| self.legacy(name))
    }

    /// The names of all groups, in alphabetical order.
    pub fn groups(&self) -> impl Iterator<Item = &'static str> {
        facts().groups(self.edition).keys().copied()
    }

    /// The members of a group exactly as the group was written down, retired ones included; what to ask Google for is
    /// [`GoogleScopes::resolve_group`].
    pub fn group(&self, name: &str) -> Option<Vec<&'static ScopeInfo>> {
        let facts = facts();
        let members = facts.groups(self.edition).get(name)?;
        Some(members.iter().filter_map(|alias| facts.by_alias(alias)).collect())
    }

    /// All legacy names, in alphabetical order.
    pub fn legacy_names(&self) -> Vec<&'static str> {
        facts().legacy_names(self.edition)
    }

    /// The scope that a legacy name (`drive_read`) stands for.
    pub fn legacy(&self, name: &str) -> Option<&'static ScopeInfo> {
        let facts = facts();
        facts.by_alias(facts.legacy(self.edition, name)?)
    }

    /// The legacy names that a service asked for by default; empty for services that had no defaults.
    pub fn legacy_defaults(&self, service: &str) -> &'static [&'static str] {
        facts().legacy_defaults(self.edition, service)
    }

    /// The legacy list of scopes that a registered client was given.
    pub fn legacy_registration(&self) -> Scopes {
        facts().view("registration")
    }

    /// The legacy list of scopes of a Chat app, without `chat.apps`, which never existed.
    pub fn legacy_chat_app(&self) -> Scopes {
        facts().view("chat_app")
    }

    /// What identifies the account: every sign-in asks for these.
    pub fn identity(&self) -> Scopes {
        [IDENTITY.0, IDENTITY.1].into_iter().collect()
    }

    /// The scopes apart by token group, the default group first: Google refuses to combine what is in different parts, so
    /// each is a sign-in and a credential of its own. The identity scopes asked for are in every part.
    pub fn split(&self, scopes: &Scopes) -> Vec<(TokenGroup, Scopes)> {
        let facts = facts();
        let identity: Scopes = scopes.iter().filter(|scope| facts.is_identity(scope)).collect();
        let mut parts: std::collections::BTreeMap<Option<&str>, Vec<&str>> = Default::default();
        for scope in scopes.iter().filter(|scope| !facts.is_identity(scope)) {
            parts.entry(facts.token_group(scope)).or_default().push(scope);
        }
        if parts.is_empty() {
            return if identity.is_empty() { Vec::new() } else { vec![(TokenGroup::default(), identity)] };
        }
        parts
            .into_iter()
            .map(|(group, part)| {
                let group = group.and_then(|name| TokenGroup::new(name).ok()).unwrap_or_default();
                (group, identity.union(&part.into_iter().collect()))
            })
            .collect()
    }

    /// The token group that a scope belongs to.
    pub fn token_group(&self, scope: &str) -> TokenGroup {
        facts().token_group(scope).and_then(|name| TokenGroup::new(name).ok()).unwrap_or_default()
    }
}

/// The scopes that identify an account.
pub(crate) const IDENTITY: (&str, &str) = ("openid", "https://www.googleapis.com/auth/userinfo.email");
