//! What other servers write, as the database tells it.

use std::{fmt, sync::Arc, time::Duration};

use authchain_core::{CredentialKey, StoreError};
use futures_util::future::poll_fn;
use tokio::{sync::mpsc, task::AbortHandle};
use tokio_postgres::AsyncMessage;

use super::{connection::Connections, schema::CHANNEL};

/// How long after a failure the database is asked to tell again.
const PAUSE: Duration = Duration::from_millis(500);

/// What another server has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has written or deleted this credential.
    Of(CredentialKey),
    /// Nobody listened for a while: anything may have changed.
    Anything,
}

/// Changes as they come. Dropping it ends the listening.
#[derive(Debug)]
pub struct Changes {
    inbox: mpsc::UnboundedReceiver<Change>,
    listening: AbortHandle,
}

/// A change as it is told: who tells it, and the key in JSON.
pub(super) struct Notice {
    pub(super) from: u64,
    pub(super) key: CredentialKey,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = serde_json::to_string(&self.key).map_err(|_| fmt::Error)?;
        write!(f, "{:016x} {key}", self.from)
    }
}

impl Notice {
    fn read(text: &str) -> Option<Self> {
        let (from, key) = text.split_once(' ')?;
        Some(Self { from: u64::from_str_radix(from, 16).ok()?, key: serde_json::from_str(key).ok()? })
    }
}

impl Changes {
    pub(super) fn listen(connections: Arc<Connections>, own: u64) -> Self {
        let (tell, inbox) = mpsc::unbounded_channel();
        let listening = tokio::spawn(async move {
            loop {
                if let Err(error) = hear(&connections, own, &tell).await {
                    tracing::warn!(%error, "changes by other servers are not heard of for the moment");
                }
                if tell.is_closed() {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { inbox, listening: listening.abort_handle() }
    }

    /// The next change.
    pub async fn next(&mut self) -> Option<Change> {
        self.inbox.recv().await
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Listens until the connection ends. What was written before is not told; so first of all, anything may have changed.
async fn hear(connections: &Connections, own: u64, tell: &mpsc::UnboundedSender<Change>) -> Result<(), StoreError> {
    let (client, mut connection) = connections.dedicated().await?;
    let failed = |error| StoreError::unavailable(format!("listen to {}", connections.name()), error);
    let listen = async {
        let listened = client.batch_execute(&format!("LISTEN {CHANNEL}")).await;
        if listened.is_ok() {
            // Whoever has stopped listening does not hear it.
            let _ = tell.send(Change::Anything);
        }
        listened
    };
    tokio::pin!(listen);
    let mut listening = false;
    loop {
        tokio::select! {
            listened = &mut listen, if !listening => {
                listened.map_err(failed)?;
                listening = true;
            }
            message = poll_fn(|cx| connection.poll_message(cx)) => match message {
                None => return Ok(()),
                Some(Err(error)) => return Err(failed(error)),
                Some(Ok(AsyncMessage::Notification(told))) => match Notice::read(told.payload()) {
                    Some(notice) if notice.from == own => {}
                    Some(notice) => { let _ = tell.send(Change::Of(notice.key)); }
                    None => { let _ = tell.send(Change::Anything); }
                },
                Some(Ok(_)) => {}
            },
        }
    }
}
