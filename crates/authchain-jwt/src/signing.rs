//! Our own signing keys: one that signs, one that will, and those that did.
//!
//! A ring is a value. Rotation makes a new ring, which the caller saves and then installs: a key that could not be saved
//! never signs. Of retired keys only the public half is kept.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authchain_core::{Secret, Timestamp};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{Algorithm, KeyError, KeySet, PublicKey, Rotation, private::PrivateKey};

/// The version of the saved form.
const VERSION: u32 = 1;

/// Signing keys: current, next and retired. Signing takes a read lock for a moment and is cheap with EdDSA (8 µs) and
/// ES256; RS256 takes 600 µs.
pub struct SigningKeys {
    ring: RwLock<Arc<Ring>>,
    generation: AtomicU64,
}

#[derive(Clone)]
struct Ring {
    algorithm: Algorithm,
    current: Arc<PrivateKey>,
    /// Since when `current` signs; unknown until the first rotation is asked for.
    since: Option<Timestamp>,
    next: Option<Announced>,
    retired: Vec<Retired>,
    public: KeySet,
}

#[derive(Clone)]
struct Announced {
    key: Arc<PrivateKey>,
    since: Timestamp,
}

#[derive(Clone)]
struct Retired {
    key: PublicKey,
    until: Timestamp,
}

impl SigningKeys {
    /// A ring of one new key. For RS256 it takes a tenth of a second or more: do that on a blocking thread.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when there is no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        crate::install_crypto();
        let current = Arc::new(PrivateKey::generate(algorithm)?);
        Ok(Self::of(Ring::new(algorithm, current, None, None, Vec::new())))
    }

    fn of(ring: Ring) -> Self {
        Self { ring: RwLock::new(Arc::new(ring)), generation: AtomicU64::new(0) }
    }

    fn ring(&self) -> Arc<Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The ring in the form that [`SigningKeys::from_bytes`] reads: JSON with private keys in PKCS#8. To be sealed by the
    /// caller before it is written anywhere.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let ring = self.ring();
        // Room enough for two RSA keys, so that no half-written copy is left behind by a growing buffer.
        let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
        let (current, next) = (pkcs8(&ring.current), ring.next.as_ref().map(|next| pkcs8(&next.key)));
        let saved = Saved {
            version: VERSION,
            algorithm: ring.algorithm,
            current: SavedKey { pkcs8: current.as_str(), since: ring.since },
            next: ring
                .next
                .as_ref()
                .zip(next.as_ref())
                .map(|(next, text)| SavedKey { pkcs8: text.as_str(), since: Some(next.since) }),
            retired: ring.retired.iter().map(|old| SavedRetired { jwk: old.key.to_jwk(), until: old.until }).collect(),
        };
        serde_json::to_writer(&mut *bytes, &saved).expect("strings and numbers can always be written to memory");
        bytes
    }

    /// Reads what [`SigningKeys::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`] for anything else, [`KeyError::Unusable`] for a damaged key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        crate::install_crypto();
        let saved: Saved<Secret> =
            serde_json::from_slice(bytes).map_err(|_| KeyError::Unreadable("not a ring of signing keys"))?;
        if saved.version != VERSION {
            return Err(KeyError::Unreadable("written by another version of this program"));
        }
        let private = |pkcs8: &Secret| {
            let der = STANDARD.decode(pkcs8.expose()).map_err(|_| KeyError::Unreadable("a key that is not base64"))?;
            PrivateKey::from_pkcs8(saved.algorithm, &Zeroizing::new(der)).map(Arc::new)
        };
        let current = private(&saved.current.pkcs8)?;
        let next = match &saved.next {
            None => None,
            Some(next) => Some(Announced {
                key: private(&next.pkcs8)?,
                since: next.since.ok_or(KeyError::Unreadable("a next key without a date"))?,
            }),
        };
        let retired = saved
            .retired
            .iter()
            .map(|old| Ok(Retired { key: PublicKey::from_jwk(&old.jwk)?, until: old.until }))
            .collect::<Result<_, KeyError>>()?;
        Ok(Self::of(Ring::new(saved.algorithm, current, saved.current.since, next, retired)))
    }

    /// Signs a token of type `typ` (RFC 7515, section 4.1.9; none when empty) with the current key.
    ///
    /// # Errors
    /// [`KeyError::Claims`] when the claims are not a JSON object.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        #[derive(Serialize)]
        struct Header<'a> {
            #[serde(skip_serializing_if = "str::is_empty")]
            typ: &'a str,
            alg: &'a str,
            kid: &'a str,
        }
        let ring = self.ring();
        let kid = ring.current.public().id().unwrap_or_default();
        let header = serde_json::to_vec(&Header { typ, alg: ring.algorithm.as_str(), kid })
            .map_err(|e| KeyError::Claims(Some(e)))?;
        let claims = serde_json::to_vec(claims).map_err(|e| KeyError::Claims(Some(e)))?;
        if claims.first() != Some(&b'{') {
            return Err(KeyError::Claims(None));
        }
        // Room for an RSA signature too.
        let mut token = String::with_capacity((header.len() + claims.len()) * 4 / 3 + 360);
        URL_SAFE_NO_PAD.encode_string(header, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = ring.current.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// The public keys to publish: current, next and retired.
    pub fn jwks(&self) -> Value {
        self.ring().public.to_jwks()
    }

    /// The same as a set.
    pub fn public_keys(&self) -> KeySet {
        self.ring().public.clone()
    }

    /// What the keys sign with.
    pub fn algorithm(&self) -> Algorithm {
        self.ring().algorithm
    }

    /// `kid` of the key that signs now.
    pub fn current_id(&self) -> String {
        self.ring().current.public().id().unwrap_or_default().to_owned()
    }

    /// A number that changes whenever a key that was trusted no longer is.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What the ring should be at `now`, where that is something else than it is: save it, then [`SigningKeys::install`]
    /// it. Ask every few minutes, and not less often than a tenth of `announce`.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when a new key cannot be made.
    pub fn rotated(&self, now: Timestamp, schedule: &Rotation) -> Result<Option<Self>, KeyError> {
        let ring = self.ring();
        let since = ring.since.unwrap_or(now);
        let mut next = ring.next.clone();
        let mut current = ring.current.clone();
        let mut retired: Vec<_> = ring.retired.iter().filter(|old| now < old.until).cloned().collect();
        let mut changed = ring.since.is_none() || retired.len() != ring.retired.len();
        let mut signs_since = since;
        let ends = since + schedule.every;
        match &next {
            None if now >= ends - schedule.announce => {
                next = Some(Announced { key: Arc::new(PrivateKey::generate(ring.algorithm)?), since: now });
                changed = true;
            }
            Some(announced) if now >= ends && now >= announced.since + schedule.announce => {
                retired.push(Retired { key: current.public().clone(), until: now + schedule.overlap });
                current = announced.key.clone();
                signs_since = now;
                next = None;
                changed = true;
            }
            _ => {}
        }
        Ok(changed.then(|| Self::of(Ring::new(ring.algorithm, current, Some(signs_since), next, retired))))
    }

    /// A ring with a new key that signs at once, without having been announced; save it, then install it. The old key
    /// stays published for a while, or, where it may be known to others, not at all: then everything that it or a
    /// neighbour signed is refused from now on.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when a new key cannot be made.
    pub fn replaced(&self, now: Timestamp, keep_old_for: Option<Duration>) -> Result<Self, KeyError> {
        let ring = self.ring();
        let mut retired = Vec::new();
        if let Some(overlap) = keep_old_for {
            retired.extend(ring.retired.iter().filter(|old| now < old.until).cloned());
            retired.push(Retired { key: ring.current.public().clone(), until: now + overlap });
        }
        let current = Arc::new(PrivateKey::generate(ring.algorithm)?);
        Ok(Self::of(Ring::new(ring.algorithm, current, Some(now), None, retired)))
    }

    /// Takes over a ring that was saved, here or by another instance.
    pub fn install(&self, keys: Self) {
        let new = keys.ring();
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let withdrawn = !ring.public.is_kept_by(&new.public);
        *ring = new;
        drop(ring);
        if withdrawn {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Ring {
    fn new(
        algorithm: Algorithm,
        current: Arc<PrivateKey>,
        since: Option<Timestamp>,
        next: Option<Announced>,
        retired: Vec<Retired>,
    ) -> Self {
        let public = std::iter::once(current.public())
            .chain(next.as_ref().map(|next| next.key.public()))
            .chain(retired.iter().map(|old| &old.key))
            .cloned()
            .collect();
        Self { algorithm, current, since, next, retired, public: KeySet::new(public) }
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("public", &self.ring().public).finish_non_exhaustive()
    }
}

/// A private key as text.
fn pkcs8(key: &PrivateKey) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(key.pkcs8()))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved<S> {
    version: u32,
    algorithm: Algorithm,
    current: SavedKey<S>,
    next: Option<SavedKey<S>>,
    retired: Vec<SavedRetired>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedKey<S> {
    pkcs8: S,
    since: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedRetired {
    jwk: Value,
    until: Timestamp,
}
