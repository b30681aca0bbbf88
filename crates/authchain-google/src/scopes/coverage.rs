//! Which scope covers which. Google does not list the narrower scopes that a token also covers, so a plain comparison of
//! sets reports them as missing.

use authchain_core::{ScopeRules, Scopes};

use super::{GoogleScopes, facts};

impl ScopeRules for GoogleScopes {
    /// By the table of coverage; `email` and `profile` are the same as their URLs. A scope that is not known covers itself.
    fn missing(&self, needed: &Scopes, granted: &Scopes) -> Scopes {
        if needed.is_subset(granted) {
            return Scopes::none();
        }
        let facts = facts();
        let covered =
            |scope: &str| granted.contains(scope) || facts.covering(scope).iter().any(|wider| granted.contains(wider));
        needed.iter().filter(|scope| !covered(scope)).collect()
    }
}

impl GoogleScopes {
    /// Whether one scope, by URL, covers another.
    pub fn covers(&self, granted: &str, needed: &str) -> bool {
        granted == needed || facts().covering(needed).contains(&granted)
    }

    /// The same rights with the fewest scopes: what another one in the set covers is left out, and `email` and `profile`
    /// are written as URLs. `gmail.metadata` goes beside any wider Gmail scope: a token with both is held to its limits.
    #[must_use]
    pub fn minimal(&self, scopes: &Scopes) -> Scopes {
        let canonical = self.canonical(scopes);
        let covered = |scope: &str| facts().covering(scope).iter().any(|wider| canonical.contains(wider));
        canonical.iter().filter(|scope| !covered(scope)).collect()
    }

    /// The set as Google writes it in its answers: `email` and `profile` as URLs.
    #[must_use]
    pub fn canonical(&self, scopes: &Scopes) -> Scopes {
        scopes.iter().map(|scope| facts().canonical(scope)).collect()
    }
}
