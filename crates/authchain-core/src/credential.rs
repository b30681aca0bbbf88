//! A stored credential: what a provider granted for one account.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Email, InvalidId, ProviderId, Scopes, Secret, Timestamp, UserId};

/// Services whose scopes a provider refuses to combine are granted apart; each such set is a token group.
/// Most credentials are of the group `default`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenGroup(Box<str>);

impl TokenGroup {
    /// A group by its name: letters, digits, `-` and `_`, at most 64.
    ///
    /// # Errors
    /// [`InvalidId`] for any other text.
    pub fn new(name: &str) -> Result<Self, InvalidId> {
        let well_formed = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if well_formed { Ok(Self(name.into())) } else { Err(InvalidId) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TokenGroup {
    fn default() -> Self {
        Self("default".into())
    }
}

/// Which credential: one per provider, account and token group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CredentialKey {
    /// Who granted it.
    pub provider: ProviderId,
    /// The account at the provider.
    pub user: UserId,
    /// The set of services that it was granted for.
    #[serde(default)]
    pub group: TokenGroup,
}

impl CredentialKey {
    /// The key of an account's default group.
    pub fn new(provider: ProviderId, user: UserId) -> Self {
        Self { provider, user, group: TokenGroup::default() }
    }
}

impl fmt::Display for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.user)?;
        if self.group != TokenGroup::default() {
            write!(f, "/{}", self.group.as_str())?;
        }
        Ok(())
    }
}

/// The OAuth client that a credential was granted to. A refresh must come from the same client, so it is kept with the
/// credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthClient {
    /// The provider's client id.
    pub id: String,
    /// Its secret; a desktop client may have none.
    pub secret: Option<Secret>,
}

/// Whether a credential can still be used.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum CredentialStatus {
    /// As far as anyone knows it works.
    #[default]
    Active,
    /// The provider refused it for good (`invalid_grant`); only a new sign-in helps.
    NeedsSignIn {
        /// When it was refused.
        since: Timestamp,
        /// The provider's own words: `invalid_grant`, `invalid_rapt`, ...
        reason: String,
    },
}

/// What a provider granted for one account. Its life is that of the refresh token; the access token in it may be old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The account's address, as the provider verified it.
    pub email: Option<Email>,
    /// The provider's own unchanging id of the account (`sub`).
    pub subject: Option<String>,
    /// The newest access token.
    pub access_token: Option<Secret>,
    /// When that access token expires; unknown counts as expired.
    pub expires_at: Option<Timestamp>,
    /// What new access tokens are made from.
    pub refresh_token: Option<Secret>,
    /// What was granted, which may be more or less than was asked.
    pub scopes: Scopes,
    /// Where it is refreshed (RFC 6749, section 3.2).
    pub token_uri: String,
    /// The client it was granted to.
    pub client: OAuthClient,
    /// Whether it can still be used.
    pub status: CredentialStatus,
    /// When the person signed in.
    pub granted_at: Timestamp,
    /// Fields of other programs' files that authchain keeps and does not read.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl Credential {
    /// The access token, if it lives longer than `ahead` from `now`.
    pub fn usable_access_token(&self, now: Timestamp, ahead: std::time::Duration) -> Option<&Secret> {
        self.access_token.as_ref().filter(|_| self.expires_at.is_some_and(|expiry| expiry > now + ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_as_a_path_of_names() {
        let mut key = CredentialKey::new(ProviderId::google(), UserId::new("ann@example.com").unwrap());
        assert_eq!(key.to_string(), "google/ann@example.com");
        key.group = TokenGroup::new("photos").unwrap();
        assert_eq!(key.to_string(), "google/ann@example.com/photos");
    }

    #[test]
    fn a_group_is_a_plain_word() {
        for bad in ["", "a/b", "..", "a b", &"a".repeat(65)] {
            assert!(TokenGroup::new(bad).is_err(), "{bad:?}");
        }
    }
}
