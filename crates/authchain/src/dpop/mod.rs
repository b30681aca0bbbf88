//! DPoP (RFC 9449): tokens that are worth nothing without the key that they are bound to.
//!
//! The authorization server binds a token to the key of a proof; tiers 1 and 2 of the chain take such a token only with a
//! fresh proof by that key. A proof is for one request: method, address, token and a nonce of ours are in it, it is a few
//! minutes old at most, and it is taken once, on all instances.

mod nonce;
mod proof;

use std::{fmt, sync::Arc, time::Duration};

use authchain_core::{AuthError, AuthRequest, Clock, Expect, Namespace, Presented, StateKey, StateStore, StoreError};
use authchain_store::seal::Keyring;
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, Method};
use serde_json::{Map, Value};
use url::Url;

use nonce::Nonces;
use proof::Proof;

/// The header of a proof (RFC 9449, section 4.1).
pub const PROOF: &str = "dpop";
/// The header in which a server names the nonce to use next (RFC 9449, section 8).
pub const NONCE: &str = "dpop-nonce";

const SEEN: Namespace = Namespace("dpop");
/// How old a proof may be, in seconds. The nonce bounds it already; this bounds what clocks may differ by.
const OLDEST: f64 = 300.0;
/// How far the clock of a client may run ahead, in seconds.
const AHEAD: f64 = 60.0;
/// A proof is remembered for longer than it is good.
const REMEMBERED: Duration = Duration::from_secs(480);

/// Checks proofs.
pub struct Dpop {
    /// Where this server is, as clients see it.
    public_url: Url,
    nonces: Nonces,
    state: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
}

impl Dpop {
    /// Checks proofs for requests below `public_url`; only its scheme, host and port count.
    pub fn new(public_url: Url, keyring: &Keyring, state: Arc<dyn StateStore>, clock: Arc<dyn Clock>) -> Self {
        Self { public_url, nonces: Nonces::new(keyring), state, clock }
    }

    /// A nonce for the next proof of any client.
    pub fn nonce(&self) -> String {
        self.nonces.make(self.clock.now())
    }

    /// The thumbprint of the key that signed the proof of a request to `path`, with `token` where one is presented.
    ///
    /// # Errors
    /// [`AuthError::InvalidDpopProof`] for a missing or bad proof, [`AuthError::UseDpopNonce`] for one without a nonce that
    /// is good now, [`AuthError::Store`] when it cannot be told whether it was used before.
    pub async fn check(
        &self,
        headers: &HeaderMap,
        method: &Method,
        path: &str,
        token: Option<&str>,
    ) -> Result<String, AuthError> {
        let proof = Proof::read(only(headers)?).map_err(AuthError::InvalidDpopProof)?;
        let mut target = self.public_url.clone();
        target.set_path(path);
        if !proof.is_for(method, &target) {
            return Err(AuthError::InvalidDpopProof("the proof is for another request: see htm and htu"));
        }
        if token.is_some_and(|token| !proof.is_with(token)) {
            return Err(AuthError::InvalidDpopProof("the proof is for another token: see ath"));
        }
        let now = self.clock.now();
        if !proof.nonce().is_some_and(|nonce| self.nonces.knows(nonce, now)) {
            return Err(AuthError::UseDpopNonce { nonce: self.nonces.make(now) });
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in 53 bits")]
        let age = now.0 as f64 - proof.issued_at();
        if !(-AHEAD..=OLDEST).contains(&age) {
            return Err(AuthError::InvalidDpopProof("the proof is too old, or its clock runs ahead: see iat"));
        }
        let id = format!("{}\n{}", proof.thumbprint, proof.id());
        let id = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, id.as_bytes()));
        match self.state.put(&StateKey::new(SEEN, id), b"", REMEMBERED, Expect::Absent).await {
            Ok(_) => Ok(proof.thumbprint),
            Err(StoreError::Conflict { .. }) => Err(AuthError::InvalidDpopProof("the proof was used before: see jti")),
            Err(error) => Err(error.into()),
        }
    }

    /// The token of a request, if its proof fits it: signed by the key that the token is bound to.
    pub(crate) async fn check_bound(
        &self,
        request: &AuthRequest<'_>,
        token: &str,
        claims: &Map<String, Value>,
    ) -> Result<(), AuthError> {
        let bound_to = claims
            .get("cnf")
            .and_then(|cnf| cnf.get("jkt"))
            .and_then(Value::as_str)
            .ok_or(AuthError::InvalidToken("it is not bound to a key, and was presented with DPoP"))?;
        let proven = self.check(request.headers, request.method, request.uri.path(), Some(token)).await?;
        if proven == bound_to {
            Ok(())
        } else {
            Err(AuthError::InvalidDpopProof("the proof is by another key than the token's"))
        }
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop").field("public_url", &self.public_url.as_str()).finish_non_exhaustive()
    }
}

/// A bound token that comes without a proof is a stolen one, by whichever method it is bound (RFC 7800).
pub(crate) fn refuse_bound(claims: &Map<String, Value>) -> Result<(), AuthError> {
    match claims.get("cnf") {
        None | Some(Value::Null) => Ok(()),
        Some(_) => Err(AuthError::InvalidToken("it is bound to a key, and was presented without a proof")),
    }
}

/// The token that a request presents with DPoP.
pub(crate) fn presented<'a>(request: &AuthRequest<'a>) -> Option<&'a str> {
    match request.presented {
        Presented::Dpop(token) => Some(token.as_str()),
        _ => None,
    }
}

fn only(headers: &HeaderMap) -> Result<&str, AuthError> {
    let mut proofs = headers.get_all(PROOF).iter();
    let proof = proofs.next().ok_or(AuthError::InvalidDpopProof("there is no DPoP header"))?;
    if proofs.next().is_some() {
        return Err(AuthError::InvalidDpopProof("there is more than one DPoP header"));
    }
    proof.to_str().map_err(|_| AuthError::InvalidDpopProof("the proof is not text"))
}
