//! How a person's accounts are: what is stored for each, whether it works, and what is missing.

use authchain_core::{AuthError, Credential, CredentialStatus, Email, Scopes, Timestamp, TokenGroup};
use serde::Serialize;

use super::{Account, Accounts};

/// One of a person's accounts.
#[derive(Clone, Debug, Serialize)]
pub struct AccountStatus {
    /// Which one.
    #[serde(flatten)]
    pub account: Account,
    /// Its verified address, where a credential says one.
    pub email: Option<Email>,
    /// Whether the person signs in with it.
    pub primary: bool,
    /// Whether it stands for "me".
    pub active: bool,
    /// When it was linked; the primary one is not.
    pub linked_since: Option<Timestamp>,
    /// What is stored for it, one per token group.
    pub credentials: Vec<CredentialState>,
}

/// Whether a stored credential works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SetUp {
    /// As far as anyone knows it works, and goes on working.
    Valid,
    /// It works until its access token expires, and there is no refresh token.
    ValidForNow,
    /// Only a new sign-in helps.
    NeedsSignIn,
}

/// A stored credential, without its secrets.
#[derive(Clone, Debug, Serialize)]
pub struct CredentialState {
    /// Of which token group.
    pub group: TokenGroup,
    /// Whether it works.
    pub status: SetUp,
    /// Why only a new sign-in helps.
    pub why: Option<String>,
    /// When the access token at hand expires.
    pub valid_until: Option<Timestamp>,
    /// Whether new access tokens can be made without the person.
    pub refreshable: bool,
    /// What was granted.
    pub scopes: Scopes,
    /// When the person signed in.
    pub granted_at: Timestamp,
}

impl CredentialState {
    fn of(group: TokenGroup, credential: Credential, now: Timestamp) -> Self {
        let refreshable = credential.refresh_token.is_some();
        let alive = credential.usable_access_token(now, std::time::Duration::ZERO).is_some();
        let (status, why) = match credential.status {
            CredentialStatus::NeedsSignIn { reason, .. } => (SetUp::NeedsSignIn, Some(reason)),
            CredentialStatus::Active if refreshable => (SetUp::Valid, None),
            CredentialStatus::Active if alive => (SetUp::ValidForNow, None),
            CredentialStatus::Active => (SetUp::NeedsSignIn, Some("expired, and no refresh token".into())),
        };
        Self {
            group,
            status,
            why,
            valid_until: credential.expires_at,
            refreshable,
            scopes: credential.scopes,
            granted_at: credential.granted_at,
        }
    }
}

impl AccountStatus {
    /// Whether something is stored for the account and all of it works.
    pub fn works(&self) -> bool {
        !self.credentials.is_empty() && self.credentials.iter().all(|c| c.status != SetUp::NeedsSignIn)
    }
}

/// How a person's accounts are as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// All is well.
    Healthy,
    /// Something works, something does not.
    Partial,
    /// Next to nothing works.
    NeedsConfiguration,
}

/// What a look at a person's accounts found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// In a word.
    pub status: Health,
    /// Whether the primary account works.
    pub primary_flow: bool,
    /// Whether a linked account works.
    pub secondary_flow: bool,
    /// Whether the person can use both in one conversation.
    pub bridging: bool,
    /// What to do, in sentences.
    pub recommendations: Vec<String>,
}

impl Accounts {
    /// All accounts of a person with what is stored for each: the primary one first, the others in the order of linking.
    ///
    /// # Errors
    /// [`AuthError::Store`].
    pub async fn list(&self, owner: &Account) -> Result<Vec<AccountStatus>, AuthError> {
        let owned = self.read(owner).await?;
        let active = owned.active.unwrap_or_else(|| owner.clone());
        let mut list = vec![self.status(owner.clone(), None, &active, owner).await?];
        for linked in owned.linked {
            list.push(self.status(linked.account, Some(linked.since), &active, owner).await?);
        }
        Ok(list)
    }

    async fn status(
        &self,
        account: Account,
        linked_since: Option<Timestamp>,
        active: &Account,
        owner: &Account,
    ) -> Result<AccountStatus, AuthError> {
        let (now, mut email, mut credentials) = (self.clock.now(), None, Vec::new());
        let mut keys = self.credentials.stored(&account.filter()).await?;
        keys.sort();
        for key in keys {
            if let Some(credential) = self.credentials.credential(&key).await? {
                email = email.or_else(|| credential.email.clone());
                credentials.push(CredentialState::of(key.group, credential, now));
            }
        }
        let (primary, active) = (account == *owner, account == *active);
        Ok(AccountStatus { account, email, primary, active, linked_since, credentials })
    }

    /// Looks at all accounts of a person and says what is missing.
    ///
    /// # Errors
    /// [`AuthError::Store`].
    pub async fn validate(&self, owner: &Account) -> Result<Finding, AuthError> {
        Ok(finding(&self.list(owner).await?))
    }
}

fn finding(accounts: &[AccountStatus]) -> Finding {
    let mut recommendations = Vec::new();
    for account in accounts {
        let user = &account.account.user;
        if account.credentials.is_empty() {
            recommendations.push(format!("{user} has not signed in here: authchain login --account {user}"));
        }
        for credential in &account.credentials {
            let group = match credential.group.as_str() {
                "default" => String::new(),
                group => format!(" ({group})"),
            };
            match credential.status {
                SetUp::Valid => {}
                SetUp::ValidForNow => recommendations
                    .push(format!("{user}{group} has no refresh token: sign in again before the access token expires")),
                SetUp::NeedsSignIn => recommendations.push(format!(
                    "{user}{group} has to sign in again ({}): authchain login --account {user} --force",
                    credential.why.as_deref().unwrap_or("unknown")
                )),
            }
        }
    }
    let primary_flow = accounts.iter().any(|account| account.primary && account.works());
    let (mut linked, mut works) = (0, 0);
    for account in accounts.iter().filter(|account| !account.primary) {
        linked += 1;
        works += usize::from(account.works());
    }
    let status = match recommendations.len() {
        0 => Health::Healthy,
        1..=2 if primary_flow || works > 0 => Health::Partial,
        _ => Health::NeedsConfiguration,
    };
    let (secondary_flow, bridging) = (works > 0, primary_flow && works == linked && linked > 0);
    Finding { status, primary_flow, secondary_flow, bridging, recommendations }
}

#[cfg(test)]
mod tests {
    use authchain_core::{ProviderId, UserId};

    use super::*;

    fn account(user: &str, primary: bool, states: &[SetUp]) -> AccountStatus {
        let state = |status: &SetUp| CredentialState {
            group: TokenGroup::default(),
            status: *status,
            why: None,
            valid_until: None,
            refreshable: *status == SetUp::Valid,
            scopes: Scopes::none(),
            granted_at: Timestamp(0),
        };
        AccountStatus {
            account: Account { provider: ProviderId::google(), user: UserId::new(user).unwrap() },
            email: None,
            primary,
            active: primary,
            linked_since: None,
            credentials: states.iter().map(state).collect(),
        }
    }

    #[test]
    fn two_accounts_that_work_are_healthy_and_bridged() {
        let found = finding(&[account("a", true, &[SetUp::Valid]), account("b", false, &[SetUp::Valid])]);
        assert_eq!((found.status, found.bridging, found.recommendations.len()), (Health::Healthy, true, 0));
    }

    #[test]
    fn one_account_alone_is_healthy_and_has_nothing_to_bridge() {
        let found = finding(&[account("a", true, &[SetUp::Valid])]);
        assert_eq!((found.status, found.primary_flow, found.secondary_flow), (Health::Healthy, true, false));
        assert!(!found.bridging);
    }

    #[test]
    fn one_that_has_to_sign_in_makes_it_partial_and_is_named() {
        let found = finding(&[account("a", true, &[SetUp::Valid]), account("b", false, &[SetUp::NeedsSignIn])]);
        assert_eq!((found.status, found.bridging), (Health::Partial, false));
        assert!(found.recommendations[0].starts_with("b has to sign in again"), "{:?}", found.recommendations);
    }

    #[test]
    fn with_nothing_stored_it_needs_configuration() {
        assert_eq!(finding(&[account("a", true, &[])]).status, Health::NeedsConfiguration);
        let three = ["b", "c", "d"].map(|user| account(user, false, &[SetUp::NeedsSignIn]));
        let all: Vec<_> = [account("a", true, &[SetUp::Valid])].into_iter().chain(three).collect();
        assert_eq!(finding(&all).status, Health::NeedsConfiguration);
    }
}
