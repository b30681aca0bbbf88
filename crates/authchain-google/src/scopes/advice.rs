//! Advice before Google is asked: which scopes for which operation, and what is wrong with a combination.

use std::fmt;

use authchain_core::{Scopes, TokenGroup};

use super::{GoogleScopes, IDENTITY, ScopeError, facts, resolve::refusal};
use crate::catalogue::catalogue;

/// Google's limits for apps that it has not verified.
const COMFORTABLE_SCOPES: usize = 25;

/// What a tool does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Looks.
    Read,
    /// Makes something new.
    Create,
    /// Changes something.
    Update,
    /// Removes something.
    Delete,
}

impl Operation {
    /// By the words `read`, `write`, `create`, `update`, `delete`.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "read" => Self::Read,
            "write" | "update" => Self::Update,
            "create" => Self::Create,
            "delete" => Self::Delete,
            _ => return None,
        })
    }
}

/// Something worth knowing about a combination that Google accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Without this scope nobody knows who signed in.
    NoIdentity(&'static str),
    /// The scope gives nothing, because another one covers it.
    Redundant {
        /// The narrower one.
        scope: String,
        /// The wider one.
        covered_by: &'static str,
    },
    /// `gmail.metadata` beside a wider Gmail scope: no search and no bodies with that token.
    MetadataLimits,
    /// More than fits on the consent page of an unverified app.
    Many(usize),
    /// A part of the name that often means a mistake.
    Watched {
        /// The scope.
        scope: String,
        /// The part.
        pattern: &'static str,
    },
    /// What the registry notes about a scope.
    Note {
        /// The scope.
        scope: String,
        /// The note.
        note: &'static str,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIdentity(scope) => write!(f, "without {scope} it is not known who signed in"),
            Self::Redundant { scope, covered_by } => write!(f, "{scope} is covered by {covered_by}"),
            Self::MetadataLimits => f.write_str(
                "a token with gmail.metadata cannot search or read bodies, whatever else it holds: leave gmail.metadata out",
            ),
            Self::Many(count) => write!(
                f,
                "{count} scopes: the consent page of an unverified app takes about {COMFORTABLE_SCOPES}"
            ),
            Self::Watched { scope, pattern } => write!(f, "{scope} ({pattern}): is this really needed?"),
            Self::Note { scope, note } => write!(f, "{scope}: {note}"),
        }
    }
}

/// What is wrong, and what is odd, about asking a person for a set of scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeReport {
    /// Scopes that Google refuses, each with the reason.
    pub refused: Vec<ScopeError>,
    /// Scopes that only a service account can hold: one of them fails the whole consent page.
    pub app_only: Scopes,
    /// The parts that have to be asked for apart, and why; one part is a request that may be sent as it is.
    pub parts: Vec<(TokenGroup, Scopes, &'static str)>,
    /// Identity scopes that are not in the set.
    pub missing: Scopes,
    /// Scopes that Google's device flow does not take.
    pub not_for_devices: Scopes,
    /// What is odd.
    pub warnings: Vec<Warning>,
}

impl ScopeReport {
    /// Whether one consent page can grant all of it.
    pub fn is_valid(&self) -> bool {
        self.refused.is_empty() && self.app_only.is_empty() && self.parts.len() <= 1
    }
}

impl GoogleScopes {
    /// What a tool needs for an operation on a service, without the identity scopes. `None` for an unknown service.
    pub fn recommend(&self, service: &str, operation: Operation) -> Option<Scopes> {
        let service = catalogue().find(service)?;
        if operation == Operation::Read {
            return Some(service.minimal());
        }
        let usual = service.default_scopes();
        let writes = |scopes: &Scopes| scopes.iter().any(|s| facts().by_url(s).is_none_or(|info| !info.readonly));
        Some(if writes(&usual) { usual } else { service.full() })
    }

    /// Looks at a set of scope URLs before a person is asked for it.
    pub fn check(&self, scopes: &Scopes) -> ScopeReport {
        let facts = facts();
        let mut report = ScopeReport {
            app_only: scopes.iter().filter(|s| facts.by_url(s).is_some_and(|i| i.app_only.is_some())).collect(),
            not_for_devices: scopes.iter().filter(|s| facts.by_url(s).is_none_or(|i| !i.device_flow)).collect(),
            parts: self
                .split(scopes)
                .into_iter()
                .map(|(g, s)| {
                    let why = facts.why_apart(g.as_str());
                    (g, s, why)
                })
                .collect(),
            ..Default::default()
        };
        let canonical = self.canonical(scopes);
        report.missing = [IDENTITY.0, IDENTITY.1].into_iter().filter(|scope| !canonical.contains(scope)).collect();
        for scope in [IDENTITY.0, IDENTITY.1].into_iter().filter(|scope| !canonical.contains(scope)) {
            report.warnings.push(Warning::NoIdentity(scope));
        }
        for scope in scopes.iter() {
            match (refusal(scope, scope), facts.by_url(scope)) {
                (Some(refusal), _) => report.refused.push(refusal),
                (None, None) => report.refused.push(ScopeError::Unknown {
                    name: scope.into(),
                    nearest: self.nearest_name(scope).map(Into::into),
                }),
                (None, Some(info)) => {
                    let scope = scope.to_owned();
                    if let Some(note) = info.note {
                        report.warnings.push(Warning::Note { scope: scope.clone(), note });
                    }
                    if let Some(pattern) = facts.watched().iter().find(|pattern| scope.contains(**pattern)) {
                        report.warnings.push(Warning::Watched { scope: scope.clone(), pattern });
                    }
                    if let Some(covered_by) = facts.covering(&scope).iter().find(|wider| scopes.contains(wider)) {
                        report.warnings.push(if info.alias == "gmail.metadata" {
                            Warning::MetadataLimits
                        } else {
                            Warning::Redundant { scope, covered_by }
                        });
                    }
                }
            }
        }
        if scopes.len() > COMFORTABLE_SCOPES {
            report.warnings.push(Warning::Many(scopes.len()));
        }
        report
    }
}
