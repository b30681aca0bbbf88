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
    /// The right key does not open them.
    Forged,
}

/// One who can open an envelope.
struct Recipient<'a> {
    kind: u8,
    id: KeyId,
    salt: &'a [u8; SALT],
    wrapped: &'a [u8; KEY + TAG],
}

/// Sealed bytes, taken apart.
pub(super) struct Envelope<'a> {
    recipients: Vec<Recipient<'a>>,
    nonce: &'a [u8; NONCE],
    content: &'a [u8],
}

/// Seals `content` for everyone in `recipients`. `random` fills what it gets with random bytes.
pub(super) fn seal(
    recipients: &[(KeyId, &Key)],
    associated: &[u8],
    content: &[u8],
    mut random: impl FnMut(&mut [u8]),
) -> Option<Vec<u8>> {
    let count = u8::try_from(recipients.len()).ok().filter(|n| *n > 0)?;
    let mut data_key = Key::default();
    random(&mut *data_key);

    let mut sealed = Vec::with_capacity(64 + recipients.len() * 96 + content.len());
    sealed.extend(MAGIC);
    sealed.extend([VERSION, ALGORITHM, count]);
    for (id, key) in recipients {
        let mut salt = [0; SALT];
        random(&mut salt);
        let bound = bound(b"wrap", &[&[ONE_KEY], &id.0, associated]);
        let payload = Payload { msg: &*data_key, aad: &bound };
        let wrapped = wrapping_cipher(key, &salt)?.encrypt(&Nonce::from([0; NONCE]), payload).ok()?;
        sealed.push(ONE_KEY);
        sealed.extend(id.0);
        sealed.extend(salt);
        sealed.extend(wrapped);
    }
    let mut nonce = [0; NONCE];
    random(&mut nonce);
    let payload = Payload { msg: content, aad: &bound(b"data", &[associated]) };
    let sealed_content = Aes256Gcm::new_from_slice(&*data_key).ok()?.encrypt(&Nonce::from(nonce), payload).ok()?;
    sealed.extend(nonce);
    sealed.extend(sealed_content);
    Some(sealed)
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
            let id = KeyId(*rest.take()?);
            recipients.push(Recipient { kind, id, salt: rest.take()?, wrapped: rest.take()? });
        }
        let nonce = rest.take()?;
        if rest.0.len() < TAG {
            return Err(CUT_SHORT);
        }
        Ok(Self { recipients, nonce, content: rest.0 })
    }

    /// Who can open it.
    pub(super) fn key_ids(&self) -> Vec<KeyId> {
        self.recipients.iter().map(|r| r.id).collect()
    }

    /// Opens it with whichever of the keys it is sealed for.
    pub(super) fn open<'k>(
        &self,
        key: impl Fn(KeyId) -> Option<&'k Key>,
        associated: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Flaw> {
        let mut flaw = Flaw::NoKey(self.key_ids());
        for recipient in self.recipients.iter().filter(|r| r.kind == ONE_KEY) {
            let Some(key) = key(recipient.id) else { continue };
            match recipient.unwrap_data_key(key, associated) {
                Some(data_key) => return self.open_content(&data_key, associated).ok_or(Flaw::Forged),
                None => flaw = Flaw::Forged,
            }
        }
        Err(flaw)
    }

    fn open_content(&self, data_key: &Key, associated: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload { msg: self.content, aad: &bound(b"data", &[associated]) };
        let cipher = Aes256Gcm::new_from_slice(&**data_key).ok()?;
        cipher.decrypt(&Nonce::from(*self.nonce), payload).ok().map(Zeroizing::new)
    }
}

impl Recipient<'_> {
    fn unwrap_data_key(&self, key: &Key, associated: &[u8]) -> Option<Key> {
        let bound = bound(b"wrap", &[&[self.kind], &self.id.0, associated]);
        let payload = Payload { msg: self.wrapped, aad: &bound };
        let opened = wrapping_cipher(key, self.salt)?.decrypt(&Nonce::from([0; NONCE]), payload).ok();
        let opened = opened.map(Zeroizing::new)?;
        Some(Zeroizing::new(opened.first_chunk().copied()?))
    }
}

/// The cipher of one wrapped data key. Its key is used once, for the salt is fresh; so its nonce may be fixed.
fn wrapping_cipher(key: &Key, salt: &[u8; SALT]) -> Option<Aes256Gcm> {
    let derived = super::expand(&hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&**key), b"authchain/seal/wrap/1");
    Aes256Gcm::new_from_slice(&*derived).ok()
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
mod tests {
    use super::*;

    /// Not random at all, so that a vector can be written down: 0, 1, 2, ...
    fn counting() -> impl FnMut(&mut [u8]) {
        let mut next = 0_u8;
        move |bytes| {
            bytes.fill_with(|| {
                next = next.wrapping_add(1);
                next.wrapping_sub(1)
            })
        }
    }

    fn key(byte: u8) -> (KeyId, Key) {
        (KeyId([byte; 8]), Zeroizing::new([byte; KEY]))
    }

    fn sealed() -> Vec<u8> {
        let (id, key) = key(7);
        seal(&[(id, &key)], b"ann", b"the content", counting()).unwrap()
    }

    fn open(sealed: &[u8], keys: &[(KeyId, Key)], associated: &[u8]) -> Result<Zeroizing<Vec<u8>>, Flaw> {
        Envelope::parse(sealed)?.open(|id| keys.iter().find(|k| k.0 == id).map(|k| &k.1), associated)
    }

    #[test]
    fn what_was_sealed_opens() {
        assert_eq!(**open(&sealed(), &[key(7)], b"ann").unwrap(), *b"the content");
        let empty = seal(&[(key(7).0, &key(7).1)], b"", b"", counting()).unwrap();
        assert!(open(&empty, &[key(7)], b"").unwrap().is_empty());
    }

    #[test]
    fn any_recipient_opens_it() {
        let keys = [key(1), key(2), key(3)];
        let recipients: Vec<_> = keys.iter().map(|(id, key)| (*id, key)).collect();
        let sealed = seal(&recipients, b"ann", b"the content", counting()).unwrap();
        for key in keys {
            assert_eq!(**open(&sealed, &[key], b"ann").unwrap(), *b"the content");
        }
        assert_eq!(open(&sealed, &[key(4)], b"ann"), Err(Flaw::NoKey(vec![key(1).0, key(2).0, key(3).0])));
    }

    #[test]
    fn it_does_not_open_for_another_record() {
        assert_eq!(open(&sealed(), &[key(7)], b"bob"), Err(Flaw::Forged));
    }

    #[test]
    fn another_key_under_the_same_id_does_not_open_it() {
        assert_eq!(open(&sealed(), &[(key(7).0, key(8).1)], b"ann"), Err(Flaw::Forged));
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let good = sealed();
        for i in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[i / 8] ^= 1 << (i % 8);
            assert!(open(&bad, &[key(7)], b"ann").is_err(), "bit {i}");
        }
    }

    #[test]
    fn no_cut_goes_unnoticed() {
        let good = sealed();
        for length in 0..good.len() {
            assert!(open(&good[..length], &[key(7)], b"ann").is_err(), "{length} bytes");
        }
        let longer = [&good[..], b"x"].concat();
        assert_eq!(open(&longer, &[key(7)], b"ann"), Err(Flaw::Forged));
    }

    #[test]
    fn a_newer_version_is_called_so() {
        let mut newer = sealed();
        newer[6] = 2;
        let Err(Flaw::Malformed(why)) = Envelope::parse(&newer).map(|_| ()) else { panic!() };
        assert!(why.contains("newer"), "{why}");
    }

    #[test]
    fn no_salt_or_nonce_comes_twice() {
        let (id, key) = key(7);
        let random = |bytes: &mut [u8]| getrandom::fill(bytes).unwrap();
        let seal = || seal(&[(id, &key)], b"ann", b"the content", random).unwrap();
        let seen: std::collections::HashSet<_> = (0..1000)
            .map(|_| {
                let sealed = seal();
                let envelope = Envelope::parse(&sealed).unwrap();
                (*envelope.recipients[0].salt, *envelope.nonce, envelope.content.to_vec())
            })
            .collect();
        assert_eq!(seen.iter().map(|s| s.0).collect::<std::collections::HashSet<_>>().len(), 1000);
        assert_eq!(seen.iter().map(|s| s.1).collect::<std::collections::HashSet<_>>().len(), 1000);
    }
}
