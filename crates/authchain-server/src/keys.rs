//! Sub-keys of the keyring, one set per purpose, and the small primitives that stand on them: deterministic tags, hashes of
//! what must not be stored, and random names.
//!
//! Everything that a caller presents to us and that we must recognise is either stored as a hash or recomputed from a
//! sub-key. So a state database that is read by a stranger, or lost, gives nobody a secret.

use std::sync::{Arc, PoisonError, RwLock};

use authchain::{
    core::{AuthError, constant_time_eq},
    store::seal::Keyring,
};
use aws_lc_rs::{digest, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// The sub-keys of one purpose, the one for new things first. Older ones recognise what was made before a rotation; and when
/// another process rotates the keys, they follow.
pub(crate) struct SubKeys {
    keyring: Keyring,
    purpose: &'static str,
    derived: RwLock<(u64, Arc<[SubKey]>)>,
}

/// One of them, with its id.
pub(crate) struct SubKey {
    id: String,
    pub(crate) key: Zeroizing<[u8; 32]>,
}

/// All purposes. The names are part of the formats: a changed name is a new format.
pub(crate) struct Keys {
    pub(crate) client_ids: SubKeys,
    pub(crate) client_secrets: SubKeys,
    pub(crate) registrations: SubKeys,
    pub(crate) upstream: SubKeys,
    pub(crate) codes: SubKeys,
    pub(crate) refresh: SubKeys,
    pub(crate) forms: SubKeys,
    pub(crate) user_codes: SubKeys,
}

impl Keys {
    pub(crate) fn derive(keyring: &Keyring) -> Result<Self, AuthError> {
        let of = |purpose: &'static str| {
            let keys = SubKeys::of(keyring, purpose);
            if keys.all().is_empty() {
                return Err(AuthError::Configuration("the keyring holds no key".into()));
            }
            Ok(keys)
        };
        Ok(Self {
            client_ids: of("server client id 1")?,
            client_secrets: of("server client secret 1")?,
            registrations: of("server registration token 1")?,
            upstream: of("server upstream state 1")?,
            codes: of("server authorization code 1")?,
            refresh: of("server refresh token 1")?,
            forms: of("server form 1")?,
            user_codes: of("server user code 1")?,
        })
    }
}

/// A tag of HMAC-SHA-256.
pub(crate) type Tag = [u8; 32];

impl SubKeys {
    fn of(keyring: &Keyring, purpose: &'static str) -> Self {
        let derived = RwLock::new((keyring.changes(), derived(keyring, purpose)));
        Self { keyring: keyring.clone(), purpose, derived }
    }

    /// All keys, the one for new things first.
    pub(crate) fn all(&self) -> Arc<[SubKey]> {
        // Asked for first: should the keys change in between, they are derived once more than needed.
        let changes = self.keyring.changes();
        let known = self.derived.read().unwrap_or_else(PoisonError::into_inner);
        if known.0 == changes {
            return Arc::clone(&known.1);
        }
        drop(known);
        let fresh = derived(&self.keyring, self.purpose);
        *self.derived.write().unwrap_or_else(PoisonError::into_inner) = (changes, Arc::clone(&fresh));
        fresh
    }

    /// What `find` finds; once more with the keys of now, for another instance may have a newer one.
    pub(crate) fn find<T>(&self, find: impl Fn(&[SubKey]) -> Option<T>) -> Option<T> {
        find(&self.all()).or_else(|| if self.keyring.look_again() { find(&self.all()) } else { None })
    }

    /// The id of the key for new things.
    pub(crate) fn primary_id(&self) -> String {
        self.all().first().map(|key| key.id.clone()).unwrap_or_default()
    }

    /// The tag of some parts with the key for new things.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> Tag {
        self.all().first().map_or([0; 32], |key| tag(&key.key, parts))
    }

    /// The tags with each key, for what is looked up by its tag.
    pub(crate) fn tags(&self, parts: &[&[u8]]) -> Vec<Tag> {
        self.all().iter().map(|key| tag(&key.key, parts)).collect()
    }

    /// Whether there are other keys now, because another instance has made one.
    pub(crate) fn look_again(&self) -> bool {
        self.keyring.look_again()
    }

    /// The tag with the key of that id, or, where it is gone, with the key for new things.
    pub(crate) fn tag_by(&self, id: &str, parts: &[&[u8]]) -> Tag {
        let found = self.find(|keys| keys.iter().find(|key| key.id == id).map(|key| tag(&key.key, parts)));
        found.unwrap_or_else(|| self.tag(parts))
    }

    /// Whether `presented` is the beginning, at least 16 bytes, of the parts' tag with any of the keys.
    pub(crate) fn recognises(&self, parts: &[&[u8]], presented: &[u8]) -> bool {
        let made_with = |key: &SubKey| {
            tag(&key.key, parts).get(..presented.len()).is_some_and(|own| constant_time_eq(own, presented))
        };
        (16..=32).contains(&presented.len()) && self.find(|keys| keys.iter().any(made_with).then_some(())).is_some()
    }
}

fn derived(keyring: &Keyring, purpose: &str) -> Arc<[SubKey]> {
    keyring.derive(purpose).into_iter().map(|(id, key)| SubKey { id: id.to_string(), key }).collect()
}

fn tag(key: &[u8; 32], parts: &[&[u8]]) -> Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        // The length before each part: no two lists of parts read the same.
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut tag = [0; 32];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

/// Base64url without padding (RFC 4648, section 5).
pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes behind base64url; `None` for anything else.
pub(crate) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> Tag {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// What is stored in place of something secret: base64url of its SHA-256. It is enough for values of 128 random bits or
/// more, which all of ours are.
pub(crate) fn hashed(secret: &str) -> String {
    base64url(sha256(secret.as_bytes()))
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], AuthError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|_| AuthError::Configuration("the operating system gives no random numbers".into()))?;
    Ok(bytes)
}

/// A short reference number that a person can read out: ten characters without those that look alike (50 bits).
pub(crate) fn reference() -> String {
    const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    // Without random numbers nothing can be decided anyway; the message must still get out.
    let bytes = random::<10>().unwrap_or_default();
    bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 31)).map(|c| char::from(*c))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(seeds: &[u8]) -> SubKeys {
        use base64::engine::general_purpose::URL_SAFE;
        let roots: Vec<_> = seeds.iter().map(|seed| URL_SAFE.encode([*seed; 32]).into()).collect();
        SubKeys::of(&Keyring::from_keys(&roots, "the test").unwrap(), "test")
    }

    #[test]
    fn an_instance_recognises_what_another_made_with_a_newer_key() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Keyring::open_or_create(&dir.path().join("keys/key")).unwrap();
        let (one, other) = (open(), open());
        let (ours, id) = (SubKeys::of(&one, "test"), SubKeys::of(&one, "test").primary_id());
        let made_before = ours.tag(&[b"x"]);
        other.rotate().unwrap();
        let theirs = SubKeys::of(&other, "test");
        let made = theirs.tag(&[b"x"]);
        assert!(ours.recognises(&[b"x"], &made));
        assert_eq!(ours.tag(&[b"x"]), made, "and makes new things with it, too");
        assert_eq!(ours.tag_by(&theirs.primary_id(), &[b"y"]), theirs.tag(&[b"y"]));
        assert!(theirs.recognises(&[b"x"], &made_before));
        assert_eq!(theirs.tag_by(&id, &[b"x"]), made_before);
    }

    #[test]
    fn parts_do_not_run_into_one_another() {
        let keys = keys(&[1]);
        assert_ne!(keys.tag(&[b"ab", b"c"]), keys.tag(&[b"a", b"bc"]));
        assert_ne!(keys.tag(&[b"ab"]), keys.tag(&[b"ab", b""]));
    }

    #[test]
    fn an_older_key_still_recognises_what_it_made() {
        let made = keys(&[1]).tag(&[b"x"]);
        assert!(keys(&[2, 1]).recognises(&[b"x"], &made));
        assert!(!keys(&[2]).recognises(&[b"x"], &made));
        assert_eq!(keys(&[2, 1]).tag_by(&keys(&[1]).primary_id(), &[b"x"]), made);
    }

    #[test]
    fn a_short_tag_is_not_recognised() {
        let made = keys(&[1]).tag(&[b"x"]);
        assert!(keys(&[1]).recognises(&[b"x"], &made[..16]));
        assert!(!keys(&[1]).recognises(&[b"x"], &made[..15]));
        assert!(!keys(&[1]).recognises(&[b"x"], b""));
    }

    #[test]
    fn a_reference_can_be_read_out() {
        let reference = reference();
        assert_eq!(reference.len(), 10);
        assert!(reference.chars().all(|c| c.is_ascii_alphanumeric() && !"01IO".contains(c)));
    }
}
