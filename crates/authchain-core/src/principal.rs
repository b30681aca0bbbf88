//! Who is calling.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{ClientId, CredentialKey, Email, ProviderId, Scopes, Timestamp, UserId};

/// The place in the chain that identified a caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// 1: a JWT of a trusted issuer.
    JwtClaims,
    /// 2: a token of our own authorization server.
    ProviderSession,
    /// 3: a session token of ours.
    SessionCache,
    /// 4: the stored credentials; by itself it identifies only the one trusted local user, where configured.
    CredentialBridge,
    /// 5: nobody yet; a sign-in is offered.
    #[serde(rename = "oauth_fallback")]
    OAuthFallback,
    /// A tier that the user of the library added.
    Custom(Cow<'static, str>),
}

impl Tier {
    /// The name in logs and metrics.
    pub fn name(&self) -> &str {
        match self {
            Self::JwtClaims => "jwt_claims",
            Self::ProviderSession => "provider_session",
            Self::SessionCache => "session_cache",
            Self::CredentialBridge => "credential_bridge",
            Self::OAuthFallback => "oauth_fallback",
            Self::Custom(name) => name,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An authenticated caller. Only a tier makes one, and only from a verified credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The person. Sessions, accounts and caches belong to this id.
    pub user: UserId,
    /// The verified address, where the credential says one.
    pub email: Option<Email>,
    /// The provider of the person's primary account.
    pub provider: ProviderId,
    /// Which tier said so.
    pub tier: Tier,
    /// What the presented token allows here.
    pub scopes: Scopes,
    /// The OAuth client that acts for the person.
    pub client: Option<ClientId>,
    /// The grant or session that the token belongs to: what revocation ends.
    pub grant: Option<Arc<str>>,
    /// When the presented token expires.
    pub expires_at: Timestamp,
}

impl Principal {
    /// The key of the person's primary credential.
    pub fn primary_key(&self) -> CredentialKey {
        CredentialKey::new(self.provider.clone(), self.user.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_written_as_it_is_named() {
        for tier in
            [Tier::JwtClaims, Tier::ProviderSession, Tier::SessionCache, Tier::CredentialBridge, Tier::OAuthFallback]
        {
            assert_eq!(serde_json::to_value(&tier).unwrap(), tier.name());
        }
    }
}
