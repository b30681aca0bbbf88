//! Two writers, one record: what of both is kept.

use authchain_core::{Credential, CredentialStatus, Version, Versioned};

/// A credential as this process knows it, and what the store holds of it.
#[derive(Clone)]
pub(super) struct Record {
    /// The newest that is known; newer than the stored one when the store did not take it.
    pub(super) credential: Credential,
    /// What is stored.
    pub(super) stored: Credential,
    /// The version of what is stored.
    pub(super) version: Version,
}

impl From<Versioned<Credential>> for Record {
    fn from(stored: Versioned<Credential>) -> Self {
        Self { credential: stored.value.clone(), stored: stored.value, version: stored.version }
    }
}

/// Which of two successors of one credential is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    /// The one in the store.
    Theirs,
    /// Ours, over what else they changed.
    Ours(Box<Credential>),
}

/// Decides between `ours` and `theirs`, both made from `base`. The refresh token decides, because a rotated one makes
/// its predecessor worthless: whoever has a new one has the live grant, and of two the one that is stored first wins.
pub(super) fn resolve(base: &Credential, ours: &Credential, theirs: &Credential) -> Resolution {
    let rotated = |one: &Credential| one.refresh_token != base.refresh_token;
    if rotated(theirs) {
        return Resolution::Theirs;
    }
    let they_refreshed = theirs.status == CredentialStatus::Active
        && theirs.access_token.is_some()
        && theirs.access_token != base.access_token
        && theirs.expires_at >= ours.expires_at;
    if they_refreshed && !rotated(ours) {
        return Resolution::Theirs;
    }
    Resolution::Ours(Box::new(Credential {
        access_token: ours.access_token.clone(),
        expires_at: ours.expires_at,
        refresh_token: ours.refresh_token.clone(),
        scopes: ours.scopes.clone(),
        status: ours.status.clone(),
        ..theirs.clone()
    }))
}

/// What is stored after a sign-in over what was stored before. A sign-in that brought no refresh token keeps the old
/// one (Google sends one at the first consent only) if it is of the same account and client and not known to be dead;
/// then what was granted before counts on. A sign-in with its own refresh token says itself what that is good for.
pub(super) fn merge_sign_in(before: Option<&Credential>, signed_in: Credential) -> Credential {
    let Some(before) = before else { return signed_in };
    let same_account = match (&before.subject, &signed_in.subject) {
        (Some(before), Some(now)) => before == now,
        _ => true,
    };
    if !same_account {
        return signed_in;
    }
    let mut merged = Credential { extra: before.extra.clone(), ..signed_in };
    merged.email = merged.email.or_else(|| before.email.clone());
    merged.subject = merged.subject.or_else(|| before.subject.clone());
    let alive = before.status == CredentialStatus::Active && before.client.id == merged.client.id;
    if merged.refresh_token.is_none() && alive && before.refresh_token.is_some() {
        merged.refresh_token.clone_from(&before.refresh_token);
        merged.scopes = merged.scopes.union(&before.scopes);
    }
    merged
}

#[cfg(test)]
mod tests {
    use authchain_core::{OAuthClient, Scopes, Timestamp};

    use super::*;

    fn credential(access: &str, refresh: Option<&str>, expires: i64) -> Credential {
        Credential {
            email: None,
            subject: Some("1".into()),
            access_token: Some(access.into()),
            expires_at: Some(Timestamp(expires)),
            refresh_token: refresh.map(Into::into),
            scopes: Scopes::from("a"),
            token_uri: String::new(),
            client: OAuthClient { id: "c".into(), secret: None },
            status: CredentialStatus::Active,
            granted_at: Timestamp(0),
            extra: serde_json::Map::new(),
        }
    }

    fn dead(credential: Credential) -> Credential {
        let status = CredentialStatus::NeedsSignIn { since: Timestamp(1), reason: "invalid_grant".into() };
        Credential { status, ..credential }
    }

    #[test]
    fn the_loser_takes_the_winners_rotated_token() {
        let base = credential("a0", Some("r0"), 10);
        let theirs = credential("a1", Some("r1"), 20);
        assert_eq!(resolve(&base, &credential("a2", Some("r2"), 30), &theirs), Resolution::Theirs);
        assert_eq!(resolve(&base, &credential("a2", Some("r0"), 30), &theirs), Resolution::Theirs);
    }

    #[test]
    fn a_rotated_token_of_ours_is_not_lost_to_a_note_of_the_loser() {
        let base = credential("a0", Some("r0"), 10);
        let ours = credential("a1", Some("r1"), 20);
        let Resolution::Ours(kept) = resolve(&base, &ours, &dead(base.clone())) else { panic!("ours is the live one") };
        assert_eq!(*kept, ours);
    }

    #[test]
    fn without_rotation_the_token_that_lives_longer_is_kept() {
        let base = credential("a0", Some("r0"), 10);
        let ours = credential("a1", Some("r0"), 20);
        assert_eq!(resolve(&base, &ours, &credential("a2", Some("r0"), 20)), Resolution::Theirs);
        assert!(matches!(resolve(&base, &ours, &credential("a2", Some("r0"), 19)), Resolution::Ours(_)));
    }

    #[test]
    fn what_they_changed_besides_stays() {
        let base = credential("a0", Some("r0"), 10);
        let mut theirs = base.clone();
        theirs.extra.insert("label".into(), "work".into());
        let Resolution::Ours(kept) = resolve(&base, &credential("a1", Some("r0"), 20), &theirs) else { panic!() };
        assert_eq!(kept.extra["label"], "work");
        assert_eq!(kept.access_token, Some("a1".into()));
    }

    #[test]
    fn a_sign_in_without_refresh_token_keeps_the_old_one_and_what_it_is_good_for() {
        let before = credential("a0", Some("r0"), 10);
        let now = Credential { scopes: Scopes::from("b"), ..credential("a1", None, 20) };
        let merged = merge_sign_in(Some(&before), now);
        assert_eq!(merged.refresh_token, Some("r0".into()));
        assert_eq!(merged.scopes, Scopes::from("a b"));
        assert_eq!(merged.access_token, Some("a1".into()));
    }

    #[test]
    fn a_sign_in_with_a_refresh_token_says_itself_what_was_granted() {
        let now = Credential { scopes: Scopes::from("b"), ..credential("a1", Some("r1"), 20) };
        assert_eq!(merge_sign_in(Some(&credential("a0", Some("r0"), 10)), now.clone()), now);
    }

    #[test]
    fn nothing_is_kept_of_a_dead_grant_another_client_or_another_account() {
        let before = credential("a0", Some("r0"), 10);
        let now = credential("a1", None, 20);
        let other_client = Credential { client: OAuthClient { id: "d".into(), secret: None }, ..before.clone() };
        let other_account = Credential { subject: Some("2".into()), ..before.clone() };
        for before in [dead(before), other_client, other_account] {
            assert_eq!(merge_sign_in(Some(&before), now.clone()).refresh_token, None);
        }
    }
}
