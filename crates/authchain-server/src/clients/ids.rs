//! Client ids that carry their own registration: sealed, so that nobody can make or change one, and complete, so that a
//! server with an empty state database, or another instance, still knows the client.
//!
//! Format: `ac_` and base64url of AES-256-GCM-SIV (RFC 8452) over the JSON of [`Registration`], with an all-zero nonce.
//! The SIV construction is made for that: equal registrations give equal ids, which is what makes registration idempotent,
//! and nothing else is revealed. Confidential clients carry a random salt, so that no two share an id or a secret.

use authchain::core::{AuthError, ClientId, Timestamp};
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use super::metadata::Metadata;
use crate::keys::{SubKey, SubKeys, base64url, from_base64url};

const PREFIX: &str = "ac_";
const ASSOCIATED: &[u8] = b"authchain client id 1";
/// The longest id that [`ClientId`] takes.
const MAX_ID: usize = 4096;

/// What an id carries. Names are short, because every request of the client carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Registration {
    #[serde(flatten)]
    pub(super) metadata: Metadata,
    /// When it was registered.
    #[serde(rename = "t")]
    pub(super) issued_at: Timestamp,
    /// Tells confidential clients with equal metadata apart.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub(super) salt: Option<String>,
    /// Whether a person made it, to be pasted into a program that cannot register.
    #[serde(rename = "h", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) by_hand: bool,
}

/// The id of a registration; `None` when it does not fit into one.
pub(super) fn seal(keys: &SubKeys, registration: &Registration) -> Result<Option<ClientId>, AuthError> {
    let broken = |_| AuthError::Configuration("a client id cannot be sealed".into());
    let mut text = serde_json::to_vec(registration).map_err(|e| AuthError::Configuration(e.to_string()))?;
    let keys = keys.all();
    let key = keys.first().ok_or_else(|| AuthError::Configuration("the keyring holds no key".into()))?;
    aead(&key.key)
        .map_err(broken)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::from(ASSOCIATED), &mut text)
        .map_err(broken)?;
    let id = format!("{PREFIX}{}", base64url(text));
    Ok(if id.len() > MAX_ID { None } else { ClientId::new(id).ok() })
}

/// What an id carries; `None` for one that we did not make.
pub(super) fn open(keys: &SubKeys, id: &str) -> Option<Registration> {
    let sealed = from_base64url(id.strip_prefix(PREFIX)?).filter(|_| id.len() <= MAX_ID)?;
    let with = |key: &SubKey| {
        let mut bytes = sealed.clone();
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let text = aead(&key.key).ok()?.open_in_place(nonce, Aad::from(ASSOCIATED), &mut bytes).ok()?;
        serde_json::from_slice(text).ok()
    };
    keys.find(|keys| keys.iter().find_map(with))
}

fn aead(key: &[u8; 32]) -> Result<LessSafeKey, aws_lc_rs::error::Unspecified> {
    UnboundKey::new(&AES_256_GCM_SIV, key).map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use authchain::store::seal::Keyring;

    use super::*;
    use crate::{clients::metadata::AuthMethod, keys::Keys};

    fn registration(uri: &str) -> Registration {
        Registration {
            metadata: Metadata::new("Cursor", vec![uri.into()], AuthMethod::None),
            issued_at: Timestamp(1_700_000_000),
            salt: None,
            by_hand: false,
        }
    }

    fn keys() -> SubKeys {
        Keys::derive(&Keyring::ephemeral()).unwrap().client_ids
    }

    #[test]
    fn an_id_carries_its_registration() {
        let (keys, registration) = (keys(), registration("cursor://anysphere.cursor-mcp/oauth/callback"));
        let id = seal(&keys, &registration).unwrap().unwrap();
        assert_eq!(open(&keys, id.as_str()), Some(registration));
        assert!(id.as_str().len() < 200, "{} characters", id.as_str().len());
    }

    #[test]
    fn the_same_registration_is_the_same_id() {
        let keys = keys();
        let id = |uri| seal(&keys, &registration(uri)).unwrap().unwrap();
        assert_eq!(id("cursor://a/cb"), id("cursor://a/cb"));
        assert_ne!(id("cursor://a/cb"), id("cursor://b/cb"));
    }

    #[test]
    fn an_id_that_was_changed_or_made_elsewhere_is_unknown() {
        let ours = keys();
        let id = seal(&ours, &registration("cursor://a/cb")).unwrap().unwrap();
        let (kept, last) = id.as_str().split_at(id.as_str().len() - 2);
        let changed = format!("{kept}{}", if last == "AA" { "BA" } else { "AA" });
        for bad in [changed.as_str(), "", "ac_", "ac_AAAA", "mcp_x", &format!("x{id}")] {
            assert_eq!(open(&ours, bad), None, "{bad}");
        }
        assert_eq!(open(&keys(), id.as_str()), None);
    }

    #[test]
    fn a_registration_that_does_not_fit_is_said_so() {
        assert_eq!(seal(&keys(), &registration(&format!("https://a/{}", "x".repeat(3000)))).unwrap(), None);
    }
}
