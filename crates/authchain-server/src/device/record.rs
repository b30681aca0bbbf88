//! What is stored of a device that waits: found by the hash of its code, or by a keyed hash of the person's code, which is
//! too short to be hashed without a key.

use authchain::core::{
    AuthError, ClientId, Email, Expect, Namespace, Scopes, Secret, StateKey, StoreError, Timestamp, Version, Versioned,
};
use serde::{Deserialize, Serialize};

use super::codes;
use crate::{
    keys::{Tag, base64url, hashed},
    server::Shared,
};

const DEVICE: Namespace = Namespace("device");
const USER_CODE: Namespace = Namespace("user_code");
/// For so long a device that comes too late is told so.
const AFTERWARDS: std::time::Duration = std::time::Duration::from_secs(10 * 60);
/// Two codes for people are hardly ever the same; five times in a row they are not.
const TRIES: usize = 5;
/// How often the page of one code is shown. Nobody needs more, and somebody who tries codes gets no more.
const MOST_SHOWN: u32 = 20;

/// A device that asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) client: ClientId,
    /// As the client calls itself.
    pub(crate) client_name: String,
    /// What it will get at most.
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: Timestamp,
    /// How long it has to wait between two questions, in seconds.
    pub(crate) interval: u64,
    /// When it asked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_asked: Option<Timestamp>,
    /// How often its page was shown.
    #[serde(default)]
    pub(crate) shown: u32,
    /// The key that it proved when it asked (RFC 9449).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bound_to: Option<String>,
    pub(crate) answer: Answer,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Nobody has answered yet.
    None,
    /// Somebody said no.
    Denied,
    /// This person signed in and said yes.
    Allowed { email: Email, scopes: Scopes },
    /// The device has its tokens.
    Redeemed,
}

/// The codes of a device that asked.
pub(super) struct Issued {
    pub(super) device_code: Secret,
    pub(super) user_code: String,
}

/// Files a device and makes its codes.
pub(super) async fn issue(server: &Shared, device: &Device) -> Result<Issued, AuthError> {
    let device_code = codes::new_device_code(server)?;
    let id = id_of(&device_code);
    write(server, &id, device, Expect::Absent).await?;
    let life = server.options.grants.device_code_life;
    for _ in 0..TRIES {
        let user_code = codes::new_user_code()?;
        let key = StateKey::new(USER_CODE, base64url(server.keys.user_codes.tag(&[user_code.as_bytes()])));
        match server.parts.state.put(&key, id.as_bytes(), life, Expect::Absent).await {
            Ok(_) => return Ok(Issued { device_code, user_code }),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Unsupported("no code was free".into()).into())
}

/// Under what a device is stored; public, and does not lead back to its code.
pub(crate) fn id_of(device_code: &Secret) -> String {
    hashed(device_code.expose())
}

/// Reads a device, also one whose time is over.
pub(crate) async fn read(server: &Shared, id: &str) -> Result<Option<Versioned<Device>>, StoreError> {
    let Some(stored) = server.parts.state.get(&StateKey::new(DEVICE, id)).await? else { return Ok(None) };
    let device = serde_json::from_slice(&stored.value)
        .map_err(|e| StoreError::Corrupt { what: "a device that waits".into(), why: e.to_string() })?;
    Ok(Some(Versioned { value: device, version: stored.version }))
}

/// Writes a device.
pub(crate) async fn write(server: &Shared, id: &str, device: &Device, expect: Expect) -> Result<Version, StoreError> {
    let record = serde_json::to_vec(device).map_err(|e| StoreError::Unsupported(e.to_string()))?;
    let life = std::time::Duration::from_secs(device.expires_at.since(server.parts.clock.now()).as_secs()) + AFTERWARDS;
    server.parts.state.put(&StateKey::new(DEVICE, id), &record, life, expect).await
}

/// The device that shows this code, if nobody has answered it; one more time that its page is shown.
pub(super) async fn show(server: &Shared, user_code: &str) -> Result<Option<(String, Device)>, StoreError> {
    let keys = &server.keys.user_codes;
    let mut id = find(server, &keys.tags(&[user_code.as_bytes()])).await?;
    if id.is_none() && keys.look_again() {
        id = find(server, &keys.tags(&[user_code.as_bytes()])).await?;
    }
    let Some(id) = id else { return Ok(None) };
    let change = |device: Device| Device { shown: device.shown.saturating_add(1), ..device };
    let shown = change_waiting(server, &id, |device| (device.shown < MOST_SHOWN).then(|| change(device))).await?;
    Ok(shown.map(|device| (id, device)))
}

async fn find(server: &Shared, tags: &[Tag]) -> Result<Option<String>, StoreError> {
    for tag in tags {
        if let Some(found) = server.parts.state.get(&StateKey::new(USER_CODE, base64url(tag))).await? {
            return Ok(String::from_utf8(found.value).ok());
        }
    }
    Ok(None)
}

/// Whether a device still waits for an answer.
pub(super) async fn waits(server: &Shared, id: &str) -> Result<bool, StoreError> {
    Ok(read(server, id).await?.is_some_and(|stored| is_waiting(server, &stored.value)))
}

/// Writes an answer down. `false` where there is one already, or the time is over.
pub(super) async fn answer(server: &Shared, id: &str, answer: &Answer) -> Result<bool, StoreError> {
    let answered = |device| Some(Device { answer: answer.clone(), ..device });
    Ok(change_waiting(server, id, answered).await?.is_some())
}

/// Changes a device that waits, whoever changes it at the same time: it asks again and again meanwhile.
async fn change_waiting(
    server: &Shared,
    id: &str,
    change: impl Fn(Device) -> Option<Device>,
) -> Result<Option<Device>, StoreError> {
    loop {
        let Some(stored) = read(server, id).await? else { return Ok(None) };
        if !is_waiting(server, &stored.value) {
            return Ok(None);
        }
        let Some(changed) = change(stored.value) else { return Ok(None) };
        match write(server, id, &changed, Expect::Version(stored.version)).await {
            Ok(_) => return Ok(Some(changed)),
            // Of those who write at once one gets through, so this ends.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_waiting(server: &Shared, device: &Device) -> bool {
    device.answer == Answer::None && server.parts.clock.now() <= device.expires_at
}
