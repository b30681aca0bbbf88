//! Who is trusted to issue tokens, and which of their claims mean what.

use std::{fmt, sync::Arc};

use authchain_core::ProviderId;

use crate::{Algorithm, JwksCache, KeySet, SigningKeys};

/// One trusted issuer, for one use of its tokens. The same issuer may stand in the list several times, for instance once
/// per type of token; the first entry that a token fits is the one that counts.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    /// `iss`, compared as it is.
    pub issuer: String,
    /// A token has to name one of these in `aud`. An empty list trusts no token at all.
    pub audiences: Vec<String>,
    /// The accepted `typ` values in lower case, without `application/`; `""` stands for an absent `typ`.
    pub types: Vec<String>,
    /// Where the keys come from.
    pub keys: KeySource,
    /// Which claims hold what.
    pub claims: ClaimNames,
    /// The accepted algorithms; a key is pinned to one of them besides.
    pub algorithms: Vec<Algorithm>,
    /// Which provider the subject is an account of.
    pub provider: ProviderId,
}

/// Where an issuer's public keys come from.
#[derive(Clone)]
pub enum KeySource {
    /// Pinned by configuration.
    Pinned(KeySet),
    /// Fetched from the issuer.
    Jwks(Arc<JwksCache>),
    /// Our own signing keys.
    Own(Arc<SigningKeys>),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned(keys) => f.debug_tuple("Pinned").field(keys).finish(),
            Self::Jwks(cache) => f.debug_tuple("Jwks").field(&cache.url().as_str()).finish(),
            Self::Own(_) => f.write_str("Own(..)"),
        }
    }
}

/// Which claims hold what. Of several names the first that is there counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// The address.
    pub email: Vec<String>,
    /// Whether the address was verified: `true` or `"true"`, `false` or `"false"`.
    pub email_verified: Vec<String>,
    /// Without the claim above, is the address trusted? A tenant of some issuers can put any address into it: say `true`
    /// for those.
    pub email_must_be_verified: bool,
    /// Who it is about.
    pub subject: Vec<String>,
    /// What is allowed: one string with spaces or a list of strings.
    pub scope: Vec<String>,
    /// The OAuth client that acts.
    pub client: Vec<String>,
    /// The grant or session that the token belongs to.
    pub grant: Vec<String>,
}

impl Default for ClaimNames {
    /// The names of OpenID Connect Core (section 5.1) and RFC 9068 (section 2.2).
    fn default() -> Self {
        Self {
            email: names(&["email"]),
            email_verified: names(&["email_verified"]),
            email_must_be_verified: false,
            subject: names(&["sub"]),
            scope: names(&["scope", "scp"]),
            client: names(&["client_id", "azp"]),
            grant: names(&["sid"]),
        }
    }
}

impl ClaimNames {
    /// Google's ID tokens: an address counts only when Google says that it is verified.
    pub fn google() -> Self {
        Self { email_must_be_verified: true, client: names(&["azp"]), ..Self::default() }
    }
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}
