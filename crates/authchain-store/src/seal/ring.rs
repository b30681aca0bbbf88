//! The keys as they were read, and what is said when none of them fits.

use std::collections::BTreeSet;

use authchain_core::StoreError;

use super::{
    KeyId,
    envelope::{Flaw, Key},
    names,
    root::RootKey,
};

/// What stands in a key file before the id of a key that was taken out of it.
pub(super) const RETIRED: &str = "# retired ";

/// The keys as they were read; never empty.
pub(super) struct Ring {
    pub(super) primary: RootKey,
    /// Those that still open.
    older: Vec<RootKey>,
    /// Those that were taken out, by their ids: whoever still seals with one may change to the primary without a word.
    gone: BTreeSet<KeyId>,
}

impl Ring {
    /// One new key.
    pub(super) fn random() -> Self {
        Self { primary: RootKey::random(), older: Vec::new(), gone: BTreeSet::new() }
    }

    /// Reads the lines of a key file.
    pub(super) fn read(text: &str, what: &str) -> Result<Self, StoreError> {
        let lines = || text.lines().map(str::trim);
        let gone = lines().filter_map(|line| line.strip_prefix(RETIRED)?.trim().parse().ok()).collect();
        let keys = lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(Self { gone, ..Self::parse(keys, what)? })
    }

    /// Reads keys in Fernet form, the primary first.
    pub(super) fn parse<'a>(keys: impl IntoIterator<Item = &'a str>, what: &str) -> Result<Self, StoreError> {
        let corrupt = |why: &str| StoreError::Corrupt { what: what.to_owned(), why: why.to_owned() };
        let keys = keys.into_iter().map(|text| {
            RootKey::parse(text).ok_or_else(|| corrupt("a key is 44 characters of URL-safe base64, for 32 bytes"))
        });
        let mut keys = keys.collect::<Result<Vec<_>, _>>()?.into_iter();
        let primary = keys.next().ok_or_else(|| corrupt("there is no key in it"))?;
        Ok(Self { primary, older: keys.collect(), gone: BTreeSet::new() })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &RootKey> {
        std::iter::once(&self.primary).chain(&self.older)
    }

    pub(super) fn kek(&self, id: KeyId) -> Option<&Key> {
        self.all().find(|key| key.id == id).map(|key| &key.kek)
    }

    pub(super) fn ids(&self) -> Vec<KeyId> {
        self.all().map(|key| key.id).collect()
    }

    /// Whether a key is here, or is known to have been retired.
    pub(super) fn knows(&self, id: KeyId) -> bool {
        self.kek(id).is_some() || self.gone.contains(&id)
    }

    /// Why a record does not open.
    pub(super) fn explain(&self, flaw: Flaw, what: &str) -> StoreError {
        let (what, at_hand) = (what.to_owned(), || names(&self.ids()));
        match flaw {
            Flaw::NoKey(wanted) => StoreError::WrongKey { what, wanted: names(&wanted), at_hand: at_hand() },
            Flaw::NoUserKey(wanted) => {
                let wanted = format!("{} together with the key of one of its users", names(&wanted));
                StoreError::WrongKey { what, wanted, at_hand: format!("{} and no such user's key", at_hand()) }
            }
            Flaw::Malformed(why) => StoreError::Corrupt { what, why: why.to_owned() },
            Flaw::Forged => {
                StoreError::Corrupt { what, why: "it was changed, or it belongs to another record".to_owned() }
            }
        }
    }
}
