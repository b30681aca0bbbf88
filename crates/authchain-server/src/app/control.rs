//! The socket for commands, open as long as a server serves.

use std::{sync::Arc, time::Duration};

use authchain::{
    core::CredentialStore,
    store::{StorageMode, migrate::Place},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};
use tracing::warn;

use crate::{
    Parts,
    config::{ServerSection, StorageSection},
    control::{Address, Control, Memory, Migrations, Name, Places},
};

/// How long a migration may take to end once the server is asked to stop.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// What the socket is opened with.
pub(super) struct ControlParts {
    pub(super) server: ServerSection,
    pub(super) storage: StorageSection,
    pub(super) stored: Arc<dyn CredentialStore>,
}

/// An open socket and whoever attends to it.
pub(super) struct Attended {
    name: Name,
    stopping: watch::Sender<bool>,
    attending: JoinHandle<()>,
}

impl ControlParts {
    /// Opens the socket of a server on this listener. A server without it serves as well: the log says why.
    pub(super) fn open(&self, listener: &TcpListener, parts: &Parts) -> Option<Attended> {
        let port = listener.local_addr().map_or(self.server.port, |address| address.port());
        let address = Address { host: self.server.host, port };
        let memory = (self.storage.mode == StorageMode::MemoryOnly).then(|| Memory {
            place: Place::new(format!("memory_only in the server at {address}"), self.stored.clone()),
            manager: parts.credentials.clone(),
            accounts: parts.accounts.clone(),
        });
        let places = Places::of_process(self.server.control_directory.clone());
        match Control::open(&places, address) {
            Ok((control, name)) => {
                let (stopping, stopped) = watch::channel(false);
                let migrations = Arc::new(Migrations::new(self.storage.clone(), memory));
                let attending = tokio::spawn(control.serve(migrations, stopped));
                Some(Attended { name, stopping, attending })
            }
            Err(error) => {
                warn!(%error, "commands cannot reach this server: its control socket cannot be opened");
                None
            }
        }
    }
}

/// A `stop` after which the socket is closed, and what to wait for at the very end. The name of the socket is free before
/// the port is: for the server that is started in this one's place.
pub(super) fn close_before(
    stop: impl Future<Output = ()> + Send + 'static,
    attended: Option<Attended>,
) -> (impl Future<Output = ()> + Send + 'static, impl Future<Output = ()> + Send) {
    let (closing, attending) = attended.map(|all| ((all.name, all.stopping), all.attending)).unzip();
    let stop = async move {
        stop.await;
        if let Some((name, stopping)) = closing {
            drop(name);
            let _ = stopping.send(true);
        }
    };
    // What is on its way to another store arrives.
    let ended = async move {
        if let Some(attending) = attending {
            let _ = timeout(LAST_RECORDS, attending).await;
        }
    };
    (stop, ended)
}

#[cfg(test)]
mod tests;
