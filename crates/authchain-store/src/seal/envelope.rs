//! The sealed format, version 1, byte by byte; `docs/sealed-format.md` is its description and its test vectors.
//!
//! A random data key seals the content, once; for each recipient the data key is wrapped under a key that is derived from
//! the recipient's key and a fresh salt. So no key ever sees a nonce twice, however many records there are.

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use super::KeyId;

const MAGIC: [u8; 6] = *b"ACSEAL";
const VERSION: u8 = 1;
/// AES-256-GCM for the content and for the wrapped data keys, HKDF-SHA256 in between.
const ALGORITHM: u8 = 1;
/// A recipient that needs one key, a key-encryption key of the keyring.
const ONE_KEY: u8 = 1;
/// A recipient that needs two: a key-encryption key of the keyring, and a key that a user brings.
const TWO_KEYS: u8 = 2;

const SALT: usize = 24;
const NONCE: usize = 12;
const TAG: usize = 16;
const KEY: usize = 32;

/// A key of 32 bytes.
pub(super) type Key = Zeroizing<[u8; KEY]>;

/// Why sealed bytes do not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// They are not what this format describes.
    Malformed(&'static str),
    /// They are sealed for none of the keys at hand.
    NoKey(Vec<KeyId>),
    /// They open only together with a user's key, and that is not at hand or another one.
    NoUserKey(Vec<KeyId>),
    /// The right key does not open them.
    Forged,
}

/// For whom an envelope is sealed.
pub(super) struct Opener<'a> {
    pub(super) id: KeyId,
    pub(super) kek: &'a Key,
    /// Needed together with the key-encryption key.
    pub(super) user: Option<&'a Key>,
}

/// One who can open an envelope.
struct Recipient<'a> {
    id: KeyId,
    salt: &'a [u8; SALT],
    wrapped: Wrapped<'a>,
}

/// A data key under the keys that it takes.
enum Wrapped<'a> {
    One(&'a [u8; KEY + TAG]),
    /// The inner coat is the user's: so the keyring can change the outer one without the user.
    Two {
        user_salt: &'a [u8; SALT],
        coats: &'a [u8; KEY + TAG + TAG],
    },
}

/// Sealed bytes, taken apart.
pub(super) struct Envelope<'a> {
    recipients: Vec<Recipient<'a>>,
    nonce: &'a [u8; NONCE],
    content: &'a [u8],
}

/// Seals `content` for everyone in `openers`. `random` fills what it gets with random bytes.
pub(super) fn seal(
    openers: &[Opener<'_>],
    associated: &[u8],
    content: &[u8],
    mut random: impl FnMut(&mut [u8]),
) -> Option<Vec<u8>> {
    let mut data_key = Key::default();
    random(&mut *data_key);
    let mut sealed = begin(openers.len(), content.len())?;
    for opener in openers {
        push_opener(&mut sealed, opener, &data_key, associated, &mut random)?;
    }
    push_content(&mut sealed, &data_key, associated, content, &mut random)?;
    Some(sealed)
}

/// Wraps the data key for one who may open it.
fn push_opener(
    sealed: &mut Vec<u8>,
    opener: &Opener<'_>,
    data_key: &Key,
    associated: &[u8],
    mut random: impl FnMut(&mut [u8]),
) -> Option<()> {
    let mut salt = [0; SALT];
    random(&mut salt);
    match opener.user {
        None => {
            let wrapped = wrap(opener.kek, &salt, &bound_to(ONE_KEY, opener.id, associated), &**data_key)?;
            push_recipient(sealed, ONE_KEY, opener.id, &[&salt, &wrapped]);
        }
        Some(user) => {
            let mut user_salt = [0; SALT];
            random(&mut user_salt);
            let inner = user_cipher(user, &user_salt)?;
            let payload = Payload { msg: &**data_key, aad: &bound(b"user", &[associated]) };
            let inner = inner.encrypt(&Nonce::from([0; NONCE]), payload).ok()?;
            let coats = wrap(opener.kek, &salt, &bound_to(TWO_KEYS, opener.id, associated), &inner)?;
            push_recipient(sealed, TWO_KEYS, opener.id, &[&salt, &user_salt, &coats]);
        }
    }
    Some(())
}

/// The nonce and the content.
fn push_content(
    sealed: &mut Vec<u8>,
    data_key: &Key,
    associated: &[u8],
    content: &[u8],
    mut random: impl FnMut(&mut [u8]),
) -> Option<()> {
    let mut nonce = [0; NONCE];
    random(&mut nonce);
    let payload = Payload { msg: content, aad: &bound(b"data", &[associated]) };
    let encrypted = Aes256Gcm::new_from_slice(&**data_key).ok()?.encrypt(&Nonce::from(nonce), payload).ok()?;
    sealed.extend(nonce);
    sealed.extend(encrypted);
    Some(())
}

/// The header of an envelope.
fn begin(recipients: usize, content: usize) -> Option<Vec<u8>> {
    let count = u8::try_from(recipients).ok().filter(|n| *n > 0)?;
    let mut sealed = Vec::with_capacity(64 + recipients * 128 + content);
    sealed.extend(MAGIC);
    sealed.extend([VERSION, ALGORITHM, count]);
    Some(sealed)
}

fn push_recipient(sealed: &mut Vec<u8>, kind: u8, id: KeyId, rest: &[&[u8]]) {
    sealed.push(kind);
    sealed.extend(id.0);
    rest.iter().for_each(|part| sealed.extend(*part));
}

impl<'a> Envelope<'a> {
    /// Takes sealed bytes apart; nothing is opened yet.
    pub(super) fn parse(sealed: &'a [u8]) -> Result<Self, Flaw> {
        let mut rest = Rest(sealed);
        if rest.take()? != &MAGIC {
            return Err(Flaw::Malformed("it is not in the sealed format"));
        }
        let [version, algorithm, count] = *rest.take()?;
        if version != VERSION {
            return Err(Flaw::Malformed("it is sealed in a newer version of the format than this program knows"));
        }
        if algorithm != ALGORITHM {
            return Err(Flaw::Malformed("it is sealed with an algorithm that this program does not know"));
        }
        if count == 0 {
            return Err(Flaw::Malformed("it has no recipient"));
        }
        let mut recipients = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let [kind] = *rest.take()?;
            let (id, salt) = (KeyId(*rest.take()?), rest.take()?);
            let wrapped = match kind {
                ONE_KEY => Wrapped::One(rest.take()?),
                TWO_KEYS => Wrapped::Two { user_salt: rest.take()?, coats: rest.take()? },
                _ => {
                    return Err(Flaw::Malformed(
                        "it is sealed for a kind of recipient that this program does not know",
                    ));
                }
            };
            recipients.push(Recipient { id, salt, wrapped });
        }
        let nonce = rest.take()?;
        if rest.0.len() < TAG {
            return Err(CUT_SHORT);
        }
        Ok(Self { recipients, nonce, content: rest.0 })
    }

    /// The keys of the keyring that are needed to open it, any of them.
    pub(super) fn key_ids(&self) -> Vec<KeyId> {
        let mut ids = Vec::with_capacity(self.recipients.len());
        for recipient in &self.recipients {
            if !ids.contains(&recipient.id) {
                ids.push(recipient.id);
            }
        }
        ids
    }

    /// Whether a user's key opens it, together with one of the keyring.
    pub(super) fn has_users(&self) -> bool {
        self.recipients.iter().any(|recipient| recipient.parts().0 == TWO_KEYS)
    }

    /// Whether there are users among its recipients whose key is none of these.
    pub(super) fn has_other_users<'k>(
        &self,
        key: impl Fn(KeyId) -> Option<&'k Key>,
        users: &[&Key],
        associated: &[u8],
    ) -> bool {
        let opens = |recipient: &Recipient<'_>| {
            key(recipient.id).is_some_and(|kek| recipient.data_key(kek, users, associated).is_ok())
        };
        self.recipients.iter().any(|recipient| recipient.parts().0 == TWO_KEYS && !opens(recipient))
    }

    /// Opens it with whichever of the keys it is sealed for, and with a user's key where that is needed, too.
    pub(super) fn open<'k>(
        &self,
        key: impl Fn(KeyId) -> Option<&'k Key>,
        users: &[&Key],
        associated: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Flaw> {
        let data_key = self.data_key(key, users, associated)?;
        self.open_content(&data_key, associated).ok_or(Flaw::Forged)
    }

    fn data_key<'k>(
        &self,
        key: impl Fn(KeyId) -> Option<&'k Key>,
        users: &[&Key],
        associated: &[u8],
    ) -> Result<Key, Flaw> {
        let mut flaw = Flaw::NoKey(self.key_ids());
        for recipient in &self.recipients {
            let Some(key) = key(recipient.id) else { continue };
            match recipient.data_key(key, users, associated) {
                Ok(data_key) => return Ok(data_key),
                Err(Flaw::Forged) => flaw = Flaw::Forged,
                Err(other) if flaw != Flaw::Forged => flaw = other,
                Err(_) => {}
            }
        }
        Err(flaw)
    }

    /// The same content for the same recipients, with every key at hand replaced by `primary`; `None` when there is nothing
    /// to replace. No user is needed for it, and recipients whose key is not at hand stay as they are.
    pub(super) fn rewrap<'k>(
        &self,
        key: impl Fn(KeyId) -> Option<&'k Key>,
        primary: (KeyId, &Key),
        associated: &[u8],
        mut random: impl FnMut(&mut [u8]),
    ) -> Result<Option<Vec<u8>>, Flaw> {
        if self.recipients.iter().all(|recipient| recipient.id == primary.0 || key(recipient.id).is_none()) {
            return Ok(None);
        }
        let (count, recipients) = self.renewed(|_| true, key, primary, associated, &mut random)?;
        let mut sealed = begin(count, self.content.len()).ok_or(Flaw::Forged)?;
        sealed.extend(recipients);
        sealed.extend(self.nonce);
        sealed.extend(self.content);
        Ok(Some(sealed))
    }

    /// Other content for the same recipients and these users; for a key of the keyring alone as `alone` says, where it says
    /// something. The data key stays, so that users whose key is not at hand go on opening it; it takes a fresh nonce.
    pub(super) fn reseal<'k>(
        &self,
        key: impl Fn(KeyId) -> Option<&'k Key> + Copy,
        primary: (KeyId, &Key),
        (users, alone): (&[&Key], Option<bool>),
        (associated, content): (&[u8], &[u8]),
        mut random: impl FnMut(&mut [u8]),
    ) -> Result<Vec<u8>, Flaw> {
        let data_key = self.data_key(key, users, associated)?;
        let keeps = |kind| kind == TWO_KEYS || alone != Some(false);
        let (mut count, mut recipients) = self.renewed(keeps, key, primary, associated, &mut random)?;
        if alone == Some(true) && !self.recipients.iter().any(|recipient| recipient.parts().0 == ONE_KEY) {
            let opener = Opener { id: primary.0, kek: primary.1, user: None };
            push_opener(&mut recipients, &opener, &data_key, associated, &mut random).ok_or(Flaw::Forged)?;
            count += 1;
        }
        for user in users {
            let has_it = |recipient: &Recipient<'_>| {
                recipient.parts().0 == TWO_KEYS
                    && key(recipient.id).is_some_and(|kek| recipient.data_key(kek, &[user], associated).is_ok())
            };
            if !self.recipients.iter().any(has_it) {
                let opener = Opener { id: primary.0, kek: primary.1, user: Some(user) };
                push_opener(&mut recipients, &opener, &data_key, associated, &mut random).ok_or(Flaw::Forged)?;
                count += 1;
            }
        }
        let mut sealed =
            begin(count, content.len()).ok_or(Flaw::Malformed("it has more recipients than there can be"))?;
        sealed.extend(recipients);
        push_content(&mut sealed, &data_key, associated, content, &mut random).ok_or(Flaw::Forged)?;
        Ok(sealed)
    }

    /// The recipients of these kinds, each for `primary` whose key is at hand, and how many they are.
    fn renewed<'k>(
        &self,
        keeps: impl Fn(u8) -> bool,
        key: impl Fn(KeyId) -> Option<&'k Key>,
        primary: (KeyId, &Key),
        associated: &[u8],
        mut random: impl FnMut(&mut [u8]),
    ) -> Result<(usize, Vec<u8>), Flaw> {
        let mut recipients = Vec::new();
        let mut count = 0;
        let mut for_primary = false;
        for recipient in &self.recipients {
            let (kind, user_salt, coats) = recipient.parts();
            if !keeps(kind) {
                continue;
            }
            let Some(kek) = key(recipient.id) else {
                push_recipient(&mut recipients, kind, recipient.id, &[recipient.salt, user_salt, coats]);
                count += 1;
                continue;
            };
            if kind == ONE_KEY && std::mem::replace(&mut for_primary, true) {
                continue;
            }
            let inner = recipient.take_outer_coat(kek, associated).ok_or(Flaw::Forged)?;
            let mut salt = [0; SALT];
            random(&mut salt);
            let coats = wrap(primary.1, &salt, &bound_to(kind, primary.0, associated), &inner).ok_or(Flaw::Forged)?;
            push_recipient(&mut recipients, kind, primary.0, &[&salt, user_salt, &coats]);
            count += 1;
        }
        Ok((count, recipients))
    }

    fn open_content(&self, data_key: &Key, associated: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload { msg: self.content, aad: &bound(b"data", &[associated]) };
        let cipher = Aes256Gcm::new_from_slice(&**data_key).ok()?;
        cipher.decrypt(&Nonce::from(*self.nonce), payload).ok().map(Zeroizing::new)
    }
}

impl Recipient<'_> {
    /// Kind, the user's salt if there is one, and the wrapped data key.
    fn parts(&self) -> (u8, &[u8], &[u8]) {
        match &self.wrapped {
            Wrapped::One(wrapped) => (ONE_KEY, &[], *wrapped),
            Wrapped::Two { user_salt, coats } => (TWO_KEYS, *user_salt, *coats),
        }
    }

    /// Takes off what the keyring's key has put on: then the data key is bare, or in the user's coat.
    fn take_outer_coat(&self, kek: &Key, associated: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (kind, _, coats) = self.parts();
        let payload = Payload { msg: coats, aad: &bound_to(kind, self.id, associated) };
        wrapping_cipher(kek, self.salt)?.decrypt(&Nonce::from([0; NONCE]), payload).ok().map(Zeroizing::new)
    }

    fn data_key(&self, kek: &Key, users: &[&Key], associated: &[u8]) -> Result<Key, Flaw> {
        let mut opened = self.take_outer_coat(kek, associated).ok_or(Flaw::Forged)?;
        if let Wrapped::Two { user_salt, .. } = self.wrapped {
            let inner = users.iter().find_map(|user| {
                let payload = Payload { msg: &opened, aad: &bound(b"user", &[associated]) };
                user_cipher(user, user_salt)?.decrypt(&Nonce::from([0; NONCE]), payload).ok()
            });
            opened = inner.map(Zeroizing::new).ok_or_else(|| Flaw::NoUserKey(vec![self.id]))?;
        }
        opened.first_chunk().copied().map(Zeroizing::new).ok_or(Flaw::Forged)
    }
}

/// Encrypts a data key, bare or in its user's coat.
fn wrap(kek: &Key, salt: &[u8; SALT], bound: &[u8], inner: &[u8]) -> Option<Vec<u8>> {
    wrapping_cipher(kek, salt)?.encrypt(&Nonce::from([0; NONCE]), Payload { msg: inner, aad: bound }).ok()
}

/// The cipher of one wrapped data key. Its key is used once, for the salt is fresh; so its nonce may be fixed.
fn wrapping_cipher(key: &Key, salt: &[u8; SALT]) -> Option<Aes256Gcm> {
    cipher(key, salt, b"authchain/seal/wrap/1")
}

/// The cipher of a user's coat, which is used once as well.
fn user_cipher(key: &Key, salt: &[u8; SALT]) -> Option<Aes256Gcm> {
    cipher(key, salt, b"authchain/seal/user/1")
}

fn cipher(key: &Key, salt: &[u8; SALT], purpose: &[u8]) -> Option<Aes256Gcm> {
    let derived = super::expand(&hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&**key), purpose);
    Aes256Gcm::new_from_slice(&*derived).ok()
}

/// What a wrapped data key is bound to.
fn bound_to(kind: u8, id: KeyId, associated: &[u8]) -> Vec<u8> {
    bound(b"wrap", &[&[kind], &id.0, associated])
}

/// What is authenticated beside the sealed bytes: what they are, in which version, and what they belong to.
fn bound(what: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    [&MAGIC[..], &[VERSION, ALGORITHM], what].into_iter().chain(parts.iter().copied()).collect::<Vec<_>>().concat()
}

const CUT_SHORT: Flaw = Flaw::Malformed("it is cut short");

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Flaw> {
        let (head, tail) = self.0.split_first_chunk().ok_or(CUT_SHORT)?;
        self.0 = tail;
        Ok(head)
    }
}

#[cfg(test)]
mod tests;
