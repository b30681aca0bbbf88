//! The signing keys at rest: sealed, in the state store, made at first use, rotated on schedule.

use std::{sync::Arc, time::Duration};

use authchain::{
    core::{AuthError, Clock, Expect, Namespace, StateKey, StateStore, StoreError, Version, Versioned},
    jwt::{Algorithm, KeyError, Rotation, SigningKeys},
    store::seal::{KeyId, Keyring, recipients},
};
use tracing::{error, info};

use crate::Parts;

const KEYS: Namespace = Namespace("signing-keys");
const ASSOCIATED: &[u8] = b"authchain signing keys";
const WHAT: &str = "the signing keys in the state store";
const LOOK_EVERY: Duration = Duration::from_secs(600);

fn key() -> StateKey {
    StateKey::new(KEYS, "current")
}

/// The stored keys, or new ones where there are none. Of several instances that start at once, one makes them.
pub(super) async fn open(
    state: &Arc<dyn StateStore>,
    keyring: &Keyring,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<SigningKeys>, AuthError> {
    if let Some(stored) = read(state, keyring).await? {
        return Ok(Arc::new(stored.value));
    }
    let made = SigningKeys::generate(Algorithm::EdDSA).map_err(unusable)?;
    match write(state, keyring, &made, Expect::Absent).await {
        Ok(_) => {
            info!(kid = made.current_id(), at = clock.now().0, "made new signing keys");
            Ok(Arc::new(made))
        }
        Err(StoreError::Conflict { .. }) => match read(state, keyring).await? {
            Some(stored) => Ok(Arc::new(stored.value)),
            None => Err(AuthError::Configuration("the signing keys vanished while they were read".into())),
        },
        Err(error) => Err(error.into()),
    }
}

/// Rotates the keys when their time has come, and takes over what another instance rotated. Runs until it is aborted.
pub(super) async fn keep_rotating(parts: Parts) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Err(error) = look(&parts).await {
            error!(%error, "the signing keys could not be looked after; the present ones stay");
        }
    }
}

async fn look(parts: &Parts) -> Result<(), AuthError> {
    let Some(stored) = read(&parts.state, &parts.keyring).await? else {
        return write(&parts.state, &parts.keyring, &parts.signing, Expect::Absent).await.map(drop).map_err(Into::into);
    };
    let rotated = stored.value.rotated(parts.clock.now(), &Rotation::default()).map_err(unusable)?;
    let Some(rotated) = rotated else {
        parts.signing.install(stored.value);
        return Ok(());
    };
    match write(&parts.state, &parts.keyring, &rotated, Expect::Version(stored.version)).await {
        Ok(_) => {
            info!(kid = rotated.current_id(), "rotated the signing keys");
            parts.signing.install(rotated);
            Ok(())
        }
        // Another instance was first; its keys are taken over at the next look.
        Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The keys that the stored signing keys open with; `None` where there are none.
pub(super) async fn sealed_with(state: &Arc<dyn StateStore>) -> Result<Option<Vec<KeyId>>, StoreError> {
    Ok(state.get(&key()).await?.map(|sealed| recipients(&sealed.value)))
}

/// Seals the stored signing keys for the primary key, unless they are. A server that rotates them meanwhile seals them so
/// itself.
pub(super) async fn reseal(state: &Arc<dyn StateStore>, keyring: &Keyring) -> Result<bool, StoreError> {
    let Some(stored) = state.get(&key()).await? else { return Ok(false) };
    let Some(fresh) = keyring.rewrap(ASSOCIATED, &stored.value, WHAT)? else { return Ok(false) };
    match state.put(&key(), &fresh, Duration::MAX, Expect::Version(stored.version)).await {
        Ok(_) => Ok(true),
        Err(StoreError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn read(state: &Arc<dyn StateStore>, keyring: &Keyring) -> Result<Option<Versioned<SigningKeys>>, AuthError> {
    let Some(sealed) = state.get(&key()).await? else { return Ok(None) };
    let bytes = keyring.open(ASSOCIATED, &sealed.value, WHAT)?;
    let keys = SigningKeys::from_bytes(&bytes).map_err(unusable)?;
    Ok(Some(Versioned { value: keys, version: sealed.version }))
}

async fn write(
    state: &Arc<dyn StateStore>,
    keyring: &Keyring,
    keys: &SigningKeys,
    expect: Expect,
) -> Result<Version, StoreError> {
    // A new primary key may have been made, and the old one retired: what is written now must open with what there is now.
    keyring.refresh()?;
    let sealed = keyring.seal(ASSOCIATED, &keys.to_bytes())?;
    state.put(&key(), &sealed, Duration::MAX, expect).await
}

fn unusable(error: KeyError) -> AuthError {
    AuthError::Configuration(format!("the signing keys cannot be used: {error}"))
}
