//! Scope sets (RFC 6749, section 3.3) and the question whether one covers another.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of scopes: sorted, without duplicates, cheap to clone. Written as one string with spaces.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scopes(Arc<BTreeSet<Box<str>>>);

impl Scopes {
    /// The empty set.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there is no scope in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many scopes are in it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether exactly this scope is in it, by text.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// The scopes in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|s| &**s)
    }

    /// Everything that is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    /// What is in `self` and not in `other`, by text.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.iter().filter(|s| !other.contains(s)).collect()
    }

    /// What is in both, by text.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.iter().filter(|s| other.contains(s)).collect()
    }

    /// Whether every scope of `self` is in `other`, by text.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }
}

impl<S: AsRef<str>> FromIterator<S> for Scopes {
    fn from_iter<I: IntoIterator<Item = S>>(scopes: I) -> Self {
        Self(Arc::new(scopes.into_iter().filter(|s| !s.as_ref().is_empty()).map(|s| s.as_ref().into()).collect()))
    }
}

impl From<&str> for Scopes {
    fn from(text: &str) -> Self {
        text.split_ascii_whitespace().collect()
    }
}

impl FromStr for Scopes {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.into())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, scope) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(std::borrow::Cow::<str>::deserialize(deserializer)?.as_ref().into())
    }
}

/// What a provider knows of its scopes: which one covers which.
pub trait ScopeRules: Send + Sync {
    /// The part of `needed` that `granted` does not cover; empty when the call may go ahead.
    fn missing(&self, needed: &Scopes, granted: &Scopes) -> Scopes;
}

/// Rules for a provider of which nothing is known: a scope covers itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExactScopes;

impl ScopeRules for ExactScopes {
    fn missing(&self, needed: &Scopes, granted: &Scopes) -> Scopes {
        needed.difference(granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repetition_do_not_matter() {
        assert_eq!(Scopes::from("b a  b"), Scopes::from("a b"));
        assert_eq!(Scopes::from("b a").to_string(), "a b");
    }

    #[test]
    fn the_set_operations_are_those_of_sets() {
        let (a, b) = (Scopes::from("x y"), Scopes::from("y z"));
        assert_eq!(a.union(&b), Scopes::from("x y z"));
        assert_eq!(a.difference(&b), Scopes::from("x"));
        assert_eq!(a.intersection(&b), Scopes::from("y"));
        assert!(Scopes::from("y").is_subset(&a) && !a.is_subset(&b));
    }

    #[test]
    fn it_is_one_string_in_json() {
        let json = serde_json::to_string(&Scopes::from("b a")).unwrap();
        assert_eq!(json, "\"a b\"");
        assert_eq!(serde_json::from_str::<Scopes>(&json).unwrap(), Scopes::from("a b"));
    }
}
