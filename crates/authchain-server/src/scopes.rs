//! Which scopes a client gets: what it asked for, narrowed to what there is (RFC 6749, section 3.3) and to the services that
//! the person chose.

use std::collections::BTreeSet;

use authchain::{
    core::Scopes,
    google::{catalogue, registry},
};

use crate::params::Params;

/// Scopes that say who a person is or keep them signed in; they open nothing at the provider's APIs.
pub(crate) const IDENTITY: [&str; 4] = ["openid", "email", "profile", "offline_access"];

/// Google's long names of two identity scopes.
const IDENTITY_URLS: [&str; 2] =
    ["https://www.googleapis.com/auth/userinfo.email", "https://www.googleapis.com/auth/userinfo.profile"];

/// Whether a scope is about identity and not about an API.
pub(crate) fn is_identity(scope: &str) -> bool {
    IDENTITY.contains(&scope) || IDENTITY_URLS.contains(&scope)
}

/// What a request for `asked` amounts to. Scopes that this server does not offer are left out; a request in which nothing
/// is left, or that named nothing, means the default set. What was not asked for is never added to what was.
pub(crate) fn narrow(asked: Option<&str>, supported: &Scopes, default: &Scopes) -> Scopes {
    let known = offered(asked.unwrap_or_default(), supported);
    if known.is_empty() { default.clone() } else { known }
}

/// The part of `asked` that this server offers.
pub(crate) fn offered(asked: &str, supported: &Scopes) -> Scopes {
    Scopes::from(asked).iter().filter(|scope| is_identity(scope) || supported.contains(scope)).collect()
}

/// What to ask the provider for: the API scopes of a request, and always who the person is. `offline_access` is ours: a
/// provider has its own way of keeping people signed in.
pub(crate) fn upstream(granted: &Scopes) -> Scopes {
    let apis: Scopes = granted.iter().filter(|scope| !is_identity(scope)).collect();
    apis.union(&Scopes::from("openid email profile"))
}

/// What a client gets after the person's answer at the provider: of the API scopes only those that the provider granted
/// too, by its own words.
pub(crate) fn after_sign_in(allowed: &Scopes, at_provider: &Scopes) -> Scopes {
    allowed.iter().filter(|scope| is_identity(scope) || at_provider.contains(scope)).collect()
}

/// The service that scopes belong to of which no service is known.
pub(crate) const OTHER: &str = "other";

/// The service whose API a scope opens, by its key in the catalogue. Identity scopes belong to none.
pub(crate) fn service(scope: &str) -> Option<&'static str> {
    if is_identity(scope) {
        return None;
    }
    // By the whole scope: a word that happens to be the name of one of Google's scopes means something else.
    let known = registry().describe(scope).filter(|known| known.url == scope);
    let service = known.and_then(|known| catalogue().find(known.service()));
    Some(service.map_or(OTHER, |service| service.key))
}

/// What people call a service; `None` for [`OTHER`].
pub(crate) fn service_name(key: &str) -> Option<&'static str> {
    catalogue().find(key).map(|service| service.name().trim_end_matches(" API"))
}

/// The services that these scopes open.
pub(crate) fn services(scopes: &Scopes) -> BTreeSet<&'static str> {
    scopes.iter().filter_map(service).collect()
}

/// The part of `scopes` that belongs to the services that a person chose. Who the person is stays in it: a client that is
/// let in has to be told.
pub(crate) fn of_services(scopes: &Scopes, chosen: &BTreeSet<&str>) -> Scopes {
    scopes.iter().filter(|scope| service(scope).is_none_or(|service| chosen.contains(service))).collect()
}

/// Whether a person can choose among what is asked for: where it is for more than one service.
pub(crate) fn offer_a_choice(asked: &Scopes) -> bool {
    services(asked).len() > 1
}

/// What of `asked` a person left ticked in a form of ours; `None` where the form let them choose nothing.
pub(crate) fn chosen(params: &Params, asked: &Scopes) -> Option<Scopes> {
    offer_a_choice(asked).then(|| of_services(asked, &params.all("service").collect()))
}

/// The order in which scopes are announced: some clients ask for the whole list as it stands, so identity comes first,
/// then the default set, then the rest, and `offline_access` last.
pub(crate) fn announced<'a>(supported: &'a Scopes, default: &'a Scopes) -> Vec<&'a str> {
    let apis = |of: &'a Scopes| of.iter().filter(|scope| !is_identity(scope));
    let rest = apis(supported).filter(|scope| !default.contains(scope));
    ["openid", "email", "profile"].into_iter().chain(apis(default)).chain(rest).chain(["offline_access"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIVE: &str = "https://www.googleapis.com/auth/drive";
    const GMAIL: &str = "https://www.googleapis.com/auth/gmail.readonly";

    fn supported() -> Scopes {
        [DRIVE, GMAIL].into_iter().collect()
    }

    fn default() -> Scopes {
        ["openid", "email", DRIVE].into_iter().collect()
    }

    fn narrowed(asked: Option<&str>) -> String {
        narrow(asked, &supported(), &default()).to_string()
    }

    #[test]
    fn nothing_asked_is_the_default_set() {
        for nothing in [None, Some(""), Some("  ")] {
            assert_eq!(narrowed(nothing), default().to_string());
        }
    }

    #[test]
    fn unknown_scopes_are_left_out_and_alone_they_are_nothing_asked() {
        assert_eq!(narrowed(Some(&format!("{GMAIL} claudeai"))), GMAIL);
        assert_eq!(narrowed(Some("claudeai read")), default().to_string());
    }

    #[test]
    fn identity_scopes_are_accepted_and_bring_no_others() {
        assert_eq!(narrowed(Some("openid email profile")), "email openid profile");
    }

    #[test]
    fn the_provider_is_asked_who_the_person_is_and_not_for_offline_access() {
        let asked = upstream(&Scopes::from(format!("{DRIVE} offline_access").as_str()));
        assert_eq!(asked, Scopes::from(format!("{DRIVE} openid email profile").as_str()));
    }

    #[test]
    fn what_the_person_unticked_at_the_provider_is_not_granted() {
        let allowed = Scopes::from(format!("{DRIVE} {GMAIL} openid").as_str());
        assert_eq!(after_sign_in(&allowed, &Scopes::from(GMAIL)), Scopes::from(format!("{GMAIL} openid").as_str()));
    }

    #[test]
    fn a_scope_belongs_to_the_service_that_it_opens() {
        for (scope, key, name) in [
            (DRIVE, "drive", Some("Google Drive")),
            ("https://mail.google.com/", "gmail", Some("Gmail")),
            ("https://www.googleapis.com/auth/contacts", "people", Some("Google Contacts")),
            ("https://www.googleapis.com/auth/meetings.space.created", "meet", Some("Google Meet")),
            ("https://www.googleapis.com/auth/admin.directory.user", "admin", Some("Google Workspace Admin")),
            ("drive", OTHER, None),
            ("repo", OTHER, None),
        ] {
            assert_eq!(service(scope), Some(key), "{scope}");
            assert_eq!(service_name(key), name, "{scope}");
        }
        assert_eq!(service("openid"), None);
    }

    #[test]
    fn choosing_services_only_ever_narrows() {
        let asked = Scopes::from(format!("{DRIVE} {GMAIL} openid repo").as_str());
        assert_eq!(services(&asked), BTreeSet::from(["drive", "gmail", OTHER]));
        let chosen = |keys: &[&str]| of_services(&asked, &keys.iter().copied().collect()).to_string();
        assert_eq!(chosen(&["drive"]), format!("{DRIVE} openid"));
        assert_eq!(chosen(&["drive", "calendar"]), format!("{DRIVE} openid"));
        assert_eq!(chosen(&[]), "openid");
    }

    #[test]
    fn identity_is_announced_first_and_offline_access_last() {
        assert_eq!(announced(&supported(), &default()), ["openid", "email", "profile", DRIVE, GMAIL, "offline_access"]);
    }
}
