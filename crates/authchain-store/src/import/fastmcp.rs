//! The store of FastMCP's OAuth proxy: files whose value is a Fernet token under a key that is derived from the server's
//! signing key.

use authchain_core::Secret;
use aws_lc_rs::{hkdf, pbkdf2};
use base64::{Engine, engine::general_purpose};
use fernet::Fernet;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Flaw, draft::Draft, fields};

const SIGNING_SALT: &[u8] = b"fastmcp-jwt-signing-key";
const STORAGE_SALT: &[u8] = b"fastmcp-storage-encryption-key";
const ROUNDS: std::num::NonZeroU32 = std::num::NonZeroU32::new(1_000_000).unwrap();
const END_OF_TIME: u64 = u64::MAX - 60;

/// The encrypted value of an entry, if the object is one.
pub(super) fn encrypted_value(object: &serde_json::Map<String, Value>) -> Option<&str> {
    object.get("value")?.get("__encrypted_data__")?.as_str()
}

/// Reads one entry. The collection it is in is told by its folder's name: only upstream tokens are credentials.
pub(super) fn read(encrypted: &str, secret: Option<&Secret>) -> Result<Option<Draft>, Flaw> {
    let secret = secret.ok_or_else(|| {
        Flaw::new(
            "it is sealed with a key that comes from FastMCP's signing key",
            "Give the signing key with --signing-key-file, or the client secret with --client-secrets",
        )
    })?;
    let token = general_purpose::STANDARD
        .decode(encrypted)
        .ok()
        .and_then(|token| String::from_utf8(token).ok())
        .ok_or_else(|| Flaw::broken("value.__encrypted_data__: it is no Fernet token in base64"))?;
    let opened = ways(secret.expose().as_bytes())
        .find_map(|key| Fernet::new(&key)?.decrypt_at_time(&token, None, END_OF_TIME).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| {
            Flaw::new("the key that was given does not open it", "Give the key of the server that wrote it")
        })?;
    let mut fields = fields::object(&opened)?;
    if !fields.has("access_token") && !fields.has("refresh_token") {
        return Ok(None);
    }
    let mut draft = Draft {
        access_token: fields.secret(&["access_token"])?,
        refresh_token: fields.secret(&["refresh_token"])?,
        expires_at: fields.time(&["expires_at"])?,
        scopes: fields.scopes(&["scope"])?,
        ..Draft::default()
    };
    // That is the MCP client which signed in; the client at Google is the server's own.
    fields.text(&["client_id"])?;
    if let Some(mut raw) = fields.object("raw_token_data")? {
        draft.id_token = raw.id_token_email("id_token");
        for stale in ["access_token", "refresh_token", "expires_in"] {
            raw.map.remove(stale);
        }
        draft.extra.extend(raw.map);
    }
    draft.notes.push("only the upstream token is taken: clients of that server sign in again".into());
    Ok(Some(draft))
}

/// The store keys that may have come of a secret, the cheap ones first: it is the signing key itself, the client secret
/// that the signing key was derived from, or a passphrase that it was stretched from.
fn ways(secret: &[u8]) -> impl Iterator<Item = String> {
    let signing_keys: [fn(&[u8]) -> String; 3] =
        [|secret| String::from_utf8_lossy(secret).into_owned(), |secret| derived(secret, SIGNING_SALT), stretched];
    signing_keys.into_iter().map(move |signing| derived(signing(secret).as_bytes(), STORAGE_SALT))
}

fn derived(material: &[u8], salt: &[u8]) -> String {
    let mut key = Zeroizing::new([0; 32]);
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(material);
    prk.expand(&[b"Fernet"], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *key))
        .expect("HKDF gives 32 bytes of the hash's own length");
    general_purpose::URL_SAFE.encode(*key)
}

fn stretched(passphrase: &[u8]) -> String {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, SIGNING_SALT, passphrase, &mut *key);
    general_purpose::URL_SAFE.encode(*key)
}

/// An entry of upstream tokens with this content, under a store key that comes straight from the signing key.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn sealed_entry(content: &[u8], signing_key: &Secret) -> Vec<u8> {
    let key = derived(signing_key.expose().as_bytes(), STORAGE_SALT);
    let token = Fernet::new(&key).expect("32 bytes are a key").encrypt_at_time(content, 0);
    serde_json::json!({ "value": { "__encrypted_data__": general_purpose::STANDARD.encode(token) } })
        .to_string()
        .into_bytes()
}
