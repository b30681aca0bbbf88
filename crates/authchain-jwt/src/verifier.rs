//! The whole check of a token, cheap refusals first.
//!
//! In order: form, header, `iss`, `typ`, `alg`, `aud`, `exp`, `nbf`, `iat`, key. Only what has passed all of them costs a
//! public-key operation, and only a good signature makes the rest of the claims worth reading.

use std::{borrow::Cow, cell::LazyCell, fmt, sync::Arc, time::Duration};

use authchain_core::Clock;

use crate::{
    JwksCache, JwtError, KeySet, KeySource, TrustedIssuer, Verified,
    claims::{Registered, claimed_issuer, leading_issuer, plain_expiry},
    jwks::Keys,
    jws::{Compact, Header, KnownHeaders, text},
    refused::RefusedTokens,
};

/// The answer of [`Verifier::check`].
#[derive(Clone, Debug)]
pub enum Checked {
    /// The token is good.
    Verified(Box<Verified>),
    /// The token is bad.
    Refused(JwtError),
    /// The issuer's keys have to be fetched first: [`Verifier::verify`] does it.
    NeedsKeys,
}

/// How strict to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierOptions {
    /// How far clocks may differ: 60 s.
    pub leeway: Duration,
    /// The longest token in bytes: 16 KiB.
    pub longest: usize,
    /// How many tokens with a wrong signature are remembered for half a minute: 4,096; 0 for none.
    pub refused: usize,
}

impl Default for VerifierOptions {
    fn default() -> Self {
        Self { leeway: Duration::from_secs(60), longest: 16 * 1024, refused: 4096 }
    }
}

/// Verifies tokens of trusted issuers.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use authchain_core::{Clock, ManualClock, ProviderId, SystemClock};
/// use authchain_jwt::{Algorithm, ClaimNames, KeySource, SigningKeys, TrustedIssuer, Verifier};
///
/// let keys = Arc::new(SigningKeys::generate(Algorithm::EdDSA)?);
/// let issuer = TrustedIssuer {
///     issuer: "https://auth.example.com".into(),
///     audiences: vec!["https://mcp.example.com/mcp".into()],
///     types: vec!["at+jwt".into()],
///     keys: KeySource::Own(keys.clone()),
///     claims: ClaimNames::default(),
///     algorithms: vec![Algorithm::EdDSA],
///     provider: ProviderId::google(),
/// };
/// let verifier = Verifier::new(vec![issuer], Arc::new(SystemClock));
///
/// let token = keys.sign("at+jwt", &serde_json::json!({
///     "iss": "https://auth.example.com",
///     "aud": "https://mcp.example.com/mcp",
///     "sub": "ann",
///     "exp": SystemClock.now().0 + 600,
/// }))?;
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// assert_eq!(verifier.verify(&token).await.unwrap().subject, "ann");
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Verifier {
    issuers: Vec<TrustedIssuer>,
    clock: Arc<dyn Clock>,
    options: VerifierOptions,
    refused: Option<RefusedTokens>,
    headers: KnownHeaders,
}

/// Why an examination ended.
enum Stop<'a> {
    Refused(JwtError),
    /// Keys have to be fetched, unless somebody did since this round.
    Fetch(&'a JwksCache, u64),
}

impl From<JwtError> for Stop<'_> {
    fn from(error: JwtError) -> Self {
        Self::Refused(error)
    }
}

impl From<Result<Verified, Stop<'_>>> for Checked {
    fn from(outcome: Result<Verified, Stop<'_>>) -> Self {
        match outcome {
            Ok(verified) => Self::Verified(Box::new(verified)),
            Err(Stop::Refused(error)) => Self::Refused(error),
            Err(Stop::Fetch(..)) => Self::NeedsKeys,
        }
    }
}

impl Verifier {
    /// Trusts these issuers, with default options.
    pub fn new(issuers: Vec<TrustedIssuer>, clock: Arc<dyn Clock>) -> Self {
        Self::with_options(issuers, clock, VerifierOptions::default())
    }

    /// Trusts these issuers. With `refused: 0` a verifier is cheap enough to be made for one token.
    pub fn with_options(issuers: Vec<TrustedIssuer>, clock: Arc<dyn Clock>, options: VerifierOptions) -> Self {
        let refused = (options.refused > 0).then(|| RefusedTokens::new(options.refused, clock.clone()));
        Self { issuers, clock, options, refused, headers: KnownHeaders::default() }
    }

    /// Whether this token names one of these issuers. Nothing is verified.
    pub fn trusts(&self, token: &(impl AsRef<[u8]> + ?Sized)) -> bool {
        self.named(token.as_ref()).is_some()
    }

    /// The parts of a token that names one of these issuers. Who trusts nobody looks at nothing.
    fn named<'t>(&self, token: &'t [u8]) -> Option<Compact<'t>> {
        if self.issuers.is_empty() {
            return None;
        }
        Compact::split(token, self.options.longest).ok().filter(|compact| self.is_named(compact))
    }

    fn is_named(&self, compact: &Compact<'_>) -> bool {
        let known = |issuer: &str| self.issuers.iter().any(|trusted| trusted.issuer == issuer);
        if let Some(issuer) = compact.beginning(&mut [0; _]).and_then(leading_issuer) {
            return known(issuer);
        }
        compact
            .payload()
            .ok()
            .and_then(|payload| claimed_issuer(text(&payload).ok()?))
            .is_some_and(|issuer| known(&issuer))
    }

    /// Checks a token with the keys at hand, without waiting.
    pub fn check(&self, token: &(impl AsRef<[u8]> + ?Sized)) -> Checked {
        let token = token.as_ref();
        Compact::split(token, self.options.longest)
            .map_err(Stop::from)
            .and_then(|compact| self.examine(token, &compact))
            .into()
    }

    /// [`Verifier::check`] for a token that [`Verifier::trusts`]; nothing for any other.
    pub fn check_if_trusted(&self, token: &(impl AsRef<[u8]> + ?Sized)) -> Option<Checked> {
        let token = token.as_ref();
        self.named(token).map(|compact| self.examine(token, &compact).into())
    }

    /// Checks a token; fetches the issuer's keys first where they are missing. Everybody who waits for the same keys
    /// waits for the same fetch.
    ///
    /// # Errors
    /// Any [`JwtError`]; [`JwtError::KeysUnavailable`] only when there are no keys of the issuer at all.
    pub async fn verify(&self, token: &(impl AsRef<[u8]> + ?Sized)) -> Result<Verified, JwtError> {
        let token = token.as_ref();
        // A second round covers a fetch for an unknown key that ran into one for missing keys.
        let compact = Compact::split(token, self.options.longest)?;
        for _ in 0..2 {
            match self.examine(token, &compact) {
                Ok(verified) => return Ok(verified),
                Err(Stop::Refused(error)) => return Err(error),
                Err(Stop::Fetch(cache, round)) => cache.fetch_after(round).await,
            }
        }
        match self.examine(token, &compact) {
            Ok(verified) => Ok(verified),
            Err(Stop::Refused(error)) => Err(error),
            Err(Stop::Fetch(..)) => Err(JwtError::UnknownKey),
        }
    }

    /// A number that changes whenever a key that was trusted no longer is. Whoever remembers verified tokens compares it
    /// and forgets them. Costs one atomic load per issuer.
    pub fn generation(&self) -> u64 {
        self.issuers
            .iter()
            .map(|issuer| match &issuer.keys {
                KeySource::Pinned(_) => 0,
                KeySource::Jwks(cache) => cache.generation(),
                KeySource::Own(keys) => keys.generation(),
            })
            .fold(0, u64::wrapping_add)
    }

    fn examine(&self, token: &[u8], compact: &Compact<'_>) -> Result<Verified, Stop<'_>> {
        if let Some(header) = self.headers.get(compact.header) {
            return self.examine_with(token, compact, &header);
        }
        let decoded = compact.header()?;
        let header = Header::read(text(&decoded)?)?;
        self.refuse_unknown_key(compact, &header)?;
        let verified = self.examine_with(token, compact, &header)?;
        self.headers.insert(compact.header, header);
        Ok(verified)
    }

    fn examine_with(&self, token: &[u8], compact: &Compact<'_>, header: &Header<'_>) -> Result<Verified, Stop<'_>> {
        let payload = compact.payload()?;
        if plain_expiry(&payload).is_some_and(|expires| expires + self.options.leeway <= self.clock.now()) {
            return Err(JwtError::Expired.into());
        }
        let payload = text(&payload)?;
        let claims = Registered::read(payload)?;
        let issuer = self.issuer_of(header, &claims)?;
        claims.in_time(self.clock.now(), self.options.leeway)?;
        let keys = keys_of(issuer, header.key_id.as_deref())?;
        self.check_signature(token, compact, header, &keys)?;
        Ok(claims.verified(payload, issuer)?)
    }

    /// A token of a key that its issuer does not have is refused before its claims are read, where that can be told at once:
    /// it is what a flood of made-up tokens looks like. Whether a key has to be fetched is found out later. Headers that are
    /// known have a key that was there.
    fn refuse_unknown_key(&self, compact: &Compact<'_>, header: &Header<'_>) -> Result<(), JwtError> {
        let (Some(id), mut buffer) = (header.key_id.as_deref(), [0; _]) else { return Ok(()) };
        let Some(name) = compact.beginning(&mut buffer).and_then(leading_issuer) else { return Ok(()) };
        let mut named = self.issuers.iter().filter(|issuer| issuer.issuer == name).peekable();
        let lacks = |issuer: &TrustedIssuer| keys_of(issuer, Some(id)).is_ok_and(|keys| keys.lacks(Some(id)));
        if named.peek().is_some() && named.all(lacks) { Err(JwtError::UnknownKey) } else { Ok(()) }
    }

    /// The first entry that the token fits; otherwise why it does not fit the first entry of its issuer.
    fn issuer_of(&self, header: &Header<'_>, claims: &Registered<'_>) -> Result<&TrustedIssuer, JwtError> {
        let name = claims.issuer().ok_or(JwtError::UnknownIssuer)?;
        let mut misfit = None;
        for issuer in self.issuers.iter().filter(|issuer| issuer.issuer == name) {
            let why = if !header.is_of(&issuer.types) {
                JwtError::WrongType
            } else if !issuer.algorithms.contains(&header.algorithm) {
                JwtError::AlgorithmNotAllowed
            } else if !claims.is_for(&issuer.audiences) {
                JwtError::WrongAudience
            } else {
                return Ok(issuer);
            };
            misfit.get_or_insert(why);
        }
        Err(misfit.unwrap_or(JwtError::UnknownIssuer))
    }

    fn check_signature(
        &self,
        token: &[u8],
        compact: &Compact<'_>,
        header: &Header<'_>,
        keys: &KeySet,
    ) -> Result<(), JwtError> {
        let id = header.key_id.as_deref();
        let mut candidates = keys.candidates(id, header.algorithm).peekable();
        if candidates.peek().is_none() {
            // Is the key there, and one for another algorithm?
            return Err(if keys.lacks(id) { JwtError::UnknownKey } else { JwtError::AlgorithmNotAllowed });
        }
        let signature = compact.signature()?;
        for key in candidates {
            let fingerprint = LazyCell::new(|| RefusedTokens::fingerprint(key, token));
            if self.refused.as_ref().is_some_and(|refused| refused.has(|| *fingerprint)) {
                continue;
            }
            if key.verify(compact.signed, &signature) {
                return Ok(());
            }
            if let Some(refused) = &self.refused {
                refused.insert(*fingerprint);
            }
        }
        Err(JwtError::BadSignature)
    }
}

/// The issuer's keys, if they are at hand and the one that the token names may be among them.
fn keys_of<'a>(issuer: &'a TrustedIssuer, id: Option<&str>) -> Result<Cow<'a, KeySet>, Stop<'a>> {
    match &issuer.keys {
        KeySource::Pinned(keys) => Ok(Cow::Borrowed(keys)),
        KeySource::Own(keys) => Ok(Cow::Owned(keys.public_keys())),
        KeySource::Jwks(cache) => match cache.keys(id) {
            Keys::AtHand(keys) => Ok(Cow::Owned(keys)),
            Keys::Fetch { round } => Err(Stop::Fetch(cache, round)),
            Keys::Unavailable { retry_after, cause } => {
                Err(Stop::Refused(JwtError::KeysUnavailable { retry_after, cause }))
            }
        },
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuers", &self.issuers)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
