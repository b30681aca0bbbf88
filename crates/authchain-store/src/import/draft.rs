//! A credential as one file tells it, before it is decided whether it can be used and whose it is.

use std::path::Path;

use authchain_core::{Credential, CredentialStatus, Email, OAuthClient, Scopes, Secret, Timestamp, TokenGroup};
use serde_json::{Map, Value};

use super::{
    Flaw, Found, Means,
    kinds::{self, GCLOUDS_CLIENT},
    owner::{self, Claims, NameClaim},
};
use crate::authorized_user;

const GOOGLE_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// Where Google's clients have been told to refresh over the years; it is one and the same place.
const GOOGLE_TOKEN_URIS: [&str; 5] = [
    GOOGLE_TOKEN_URI,
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v3/token",
    "https://www.googleapis.com/oauth2/v4/token",
    "https://oauth2.mtls.googleapis.com/token",
];

/// What a file tells.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) access_token: Option<Secret>,
    pub(super) refresh_token: Option<Secret>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) scopes: Scopes,
    pub(super) token_uri: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Secret>,
    pub(super) account: Option<Email>,
    pub(super) id_token: Option<Email>,
    pub(super) group: Option<TokenGroup>,
    /// What the file's name does not say, and the name of its part may.
    pub(super) part_owner: Option<Email>,
    pub(super) extra: Map<String, Value>,
    pub(super) notes: Vec<String>,
}

impl Draft {
    /// Decides whether it can be used and whose it is.
    pub(super) fn finish(mut self, path: &Path, means: &Means) -> Result<Found, Flaw> {
        let client = self.client(path, means)?;
        self.check_use(means.now)?;
        let (owner, owner_from, name) = self.owner(path, means)?;
        if name.as_ref().is_some_and(|name| owner_from == "file name" && owner::is_ambiguous(name)) {
            self.notes.push(
                "other addresses (a_b@ beside a.b@) become the same file name: see that it is the right one".into(),
            );
        }
        if let (Some(owner), Some(user)) = (&owner, &means.user)
            && owner != user
        {
            self.notes.push(format!("its {owner_from} says whose it is, so --user does not apply"));
        }
        let hint = if owner.is_none() { kinds::last_sign_in(path) } else { None };
        if client.id == GCLOUDS_CLIENT {
            self.notes.push("granted to gcloud's own client, which Google gives no Workspace scopes".into());
        }
        let token_uri = match self.token_uri {
            None => GOOGLE_TOKEN_URI.to_owned(),
            Some(uri) if GOOGLE_TOKEN_URIS.contains(&uri.as_str()) => GOOGLE_TOKEN_URI.to_owned(),
            Some(uri) => {
                self.notes
                    .push("it names a token endpoint that is not Google's; the configured provider's is used".into());
                uri
            }
        };
        let credential = Credential {
            email: owner.clone(),
            subject: None,
            access_token: self.access_token,
            expires_at: self.expires_at,
            refresh_token: self.refresh_token,
            scopes: self.scopes,
            token_uri,
            client,
            status: CredentialStatus::Active,
            granted_at: Timestamp(0),
            extra: self.extra,
        };
        let group = self.group.or_else(|| owner::group_of(path)).unwrap_or_default();
        let credential = authorized_user::as_stored(credential);
        Ok(Found { owner, owner_from, hint, group, credential, notes: self.notes })
    }

    /// The client that it was granted to; a refresh must come from the same one.
    fn client(&mut self, path: &Path, means: &Means) -> Result<OAuthClient, Flaw> {
        if let Some(id) = self.client_id.take() {
            return Ok(OAuthClient { id, secret: self.client_secret.take() });
        }
        if let Some(client) = &means.client {
            return Ok(client.clone());
        }
        if let Some((client, file)) = kinds::client_beside(path) {
            self.notes.push(format!("its OAuth client is the one in {} beside it", file.display()));
            return Ok(client);
        }
        Err(Flaw::new(
            "client_id: it does not say which OAuth client it was granted to, and only that one can refresh it",
            "Give that client's file: --client-secrets client_secret.json",
        ))
    }

    fn check_use(&mut self, now: Timestamp) -> Result<(), Flaw> {
        if self.refresh_token.is_some() {
            if self.scopes.is_empty() {
                self.notes.push("it does not say what was granted: that is known after the first refresh".into());
            }
            return Ok(());
        }
        if self.access_token.is_none() {
            return Err(Flaw::broken("there is neither a refresh token nor an access token in it"));
        }
        match self.expires_at {
            Some(expiry) if expiry > now => {
                self.notes.push("there is no refresh token: it works until its access token expires".into());
                Ok(())
            }
            _ => Err(Flaw::new(
                "its access token has expired and there is no refresh token",
                "Sign in again: authchain login",
            )),
        }
    }

    fn owner(&mut self, path: &Path, means: &Means) -> Result<(Option<Email>, &'static str, Option<NameClaim>), Flaw> {
        let name = match self.part_owner.take() {
            Some(email) => Some(NameClaim::Exact(email)),
            None => owner::name_claim(path),
        };
        let claims = Claims { name, account: self.account.take(), id_token: self.id_token.take() };
        let (owner, from) = claims.decide(means.user.as_ref())?.unzip();
        Ok((owner, from.unwrap_or("nothing"), claims.name))
    }
}
