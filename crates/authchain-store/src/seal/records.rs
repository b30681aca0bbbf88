//! Records of users: sealed and opened with the server's keys, and with those that their users have brought.

use authchain_core::{StoreError, UserId};
use zeroize::Zeroizing;

use super::{
    Keyring, Openers, Sharing,
    envelope::{Envelope, Key},
    random,
    user_keys::Held,
};

impl Keyring {
    fn held(&self, user: &UserId) -> Option<Held> {
        self.1.as_ref()?.of(user)
    }

    /// Whether a user's records must not stay open once the user's keys are taken away.
    pub(crate) fn is_split(&self, user: &UserId) -> bool {
        self.held(user).is_some_and(|held| held.sharing == Sharing::Split)
    }

    /// Whether users bring keys at all.
    #[cfg(feature = "postgres")]
    pub(crate) const fn has_users(&self) -> bool {
        self.1.is_some()
    }

    /// Opens a record of a user, with whatever keys of theirs are at hand.
    pub(crate) fn open_record(
        &self,
        user: &UserId,
        associated: &[u8],
        sealed: &[u8],
        what: &str,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let (ring, held) = (self.ring(), self.held(user));
        let users: Vec<&Key> = held.iter().flat_map(|held| held.keys.iter().map(|key| &key.0)).collect();
        let opened = Envelope::parse(sealed).and_then(|envelope| envelope.open(|id| ring.kek(id), &users, associated));
        opened.map_err(|flaw| ring.explain(flaw, what))
    }

    /// Seals a record of a user for the server, and for the user as their keys at hand say. `before` is what takes its place:
    /// nobody who opens that is shut out, unless the server is, which the user wants.
    pub(crate) fn seal_record(
        &self,
        user: &UserId,
        associated: &[u8],
        plaintext: &[u8],
        before: Option<&[u8]>,
    ) -> Result<Vec<u8>, StoreError> {
        let (ring, held) = (self.ring(), self.held(user));
        let users: Vec<&Key> = held.iter().flat_map(|held| held.keys.iter().map(|key| &key.0)).collect();
        let key = |id| ring.kek(id);
        let before = before.and_then(|sealed| Envelope::parse(sealed).ok());
        match before.filter(|before| before.has_other_users(key, &users, associated)) {
            None => self.seal_for(held.as_ref().map_or(Openers::Server, Held::openers), associated, plaintext),
            Some(before) => {
                let primary = (ring.primary.id, &ring.primary.kek);
                let alone = held.as_ref().map(|held| held.sharing == Sharing::Shared);
                let sealed = before.reseal(key, primary, (&users, alone), (associated, plaintext), random);
                sealed.map_err(|flaw| ring.explain(flaw, "what is to be written over"))
            }
        }
    }
}

/// Whether a user's key opens these sealed bytes, together with one of the keyring.
pub(crate) fn has_users(sealed: &[u8]) -> bool {
    Envelope::parse(sealed).is_ok_and(|envelope| envelope.has_users())
}
