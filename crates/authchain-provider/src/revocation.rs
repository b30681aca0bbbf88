//! Revocation (RFC 7009), and what became of it: said as it is.

use std::fmt;

use authchain_core::{Cause, Credential, OAuthClient, Secret};
use url::Url;

use crate::{
    ProviderClient,
    answer::{Failure, Refusal},
};

/// Which token the provider took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedToken {
    /// The refresh token, and with it the grant.
    Refresh,
    /// Only the access token; the provider does not revoke refresh tokens, or there was none.
    Access,
}

/// What the provider did when a credential was to be revoked. Whatever it says, the local copy is removed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Revocation {
    /// The provider revoked it. At Google that ends the whole grant: other token groups of the same client and person
    /// end with it.
    Revoked(RevokedToken),
    /// The provider did not know the token any more: it had ended before.
    AlreadyEnded,
    /// The provider has no revocation, so the grant lives on until the person removes it on the provider's own page.
    Unsupported,
    /// There was nothing stored that could be revoked.
    NothingStored,
    /// The provider did not answer, or refused: the grant may live on there.
    Failed {
        /// What was seen.
        cause: Cause,
    },
}

impl Revocation {
    /// Whether nothing of the grant is left at the provider, as far as it says.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Revoked(RevokedToken::Refresh) | Self::AlreadyEnded | Self::NothingStored)
    }
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked(RevokedToken::Refresh) => f.write_str("revoked at the provider"),
            Self::Revoked(RevokedToken::Access) => f.write_str("only the access token was revoked at the provider"),
            Self::AlreadyEnded => f.write_str("the provider had ended it before"),
            Self::Unsupported => f.write_str("the provider offers no revocation: remove the app on its account page"),
            Self::NothingStored => f.write_str("nothing was stored"),
            Self::Failed { cause } => {
                write!(f, "the provider did not revoke it ({cause}): remove the app on its account page")
            }
        }
    }
}

impl ProviderClient {
    /// Revokes a credential at the provider (RFC 7009): the refresh token, and with it the grant; the access token only
    /// where the provider does not revoke refresh tokens, or where there is none. What is stored is not touched.
    pub async fn revoke(&self, credential: &Credential) -> Revocation {
        let Some(url) = &self.provider().revoke_url else {
            return Revocation::Unsupported;
        };
        let tokens = [
            (RevokedToken::Refresh, "refresh_token", &credential.refresh_token),
            (RevokedToken::Access, "access_token", &credential.access_token),
        ];
        let mut outcome = Revocation::NothingStored;
        for (kind, hint, token) in tokens {
            let Some(token) = token else { continue };
            outcome = match self.revoke_token(url, self.client_of(credential), token, hint).await {
                Ok(true) => return Revocation::Revoked(kind),
                Ok(false) => return Revocation::AlreadyEnded,
                Err(Failure::Dead { words }) => Revocation::Failed { cause: Cause::text(words) },
                Err(Failure::Unavailable { cause, .. } | Failure::Misconfigured { cause }) => {
                    return Revocation::Failed { cause };
                }
            };
        }
        outcome
    }

    /// `true`: revoked; `false`: it had ended before; `Failure::Dead`: this kind of token cannot be revoked.
    async fn revoke_token(&self, url: &Url, client: &OAuthClient, token: &Secret, hint: &str) -> Result<bool, Failure> {
        let form = [("token", token.expose()), ("token_type_hint", hint)];
        let attempt = || async {
            let request = if self.provider().revoke_with_client {
                self.authenticated(url, client, &form)
            } else {
                self.http.post(url.clone()).form(&form)
            };
            let answer = self.send(request).await?;
            if answer.status.is_success() {
                return Ok(true);
            }
            let refusal = Refusal::read(&answer.body, &[token]);
            match refusal.as_ref().map(|r| r.code.as_str()) {
                _ if answer.status.is_server_error() || answer.status.as_u16() == 429 => Err(Failure::Unavailable {
                    retry_after: answer.retry_after,
                    cause: Cause::text(format!("it answers {}", answer.status)),
                    never_sent: false,
                }),
                Some("unsupported_token_type") => Err(Failure::Dead { words: "unsupported_token_type".into() }),
                Some("invalid_token" | "invalid_grant") => Ok(false),
                _ => {
                    let words = refusal.map_or_else(|| format!("it answers {}", answer.status), |r| r.words);
                    Err(Failure::Misconfigured { cause: Cause::text(words) })
                }
            }
        };
        self.persist(attempt, |failure| matches!(failure, Failure::Unavailable { .. })).await
    }
}
