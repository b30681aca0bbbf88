//! The connections: how many, how they are made again, and how long anybody waits.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
    time::{Duration, Instant},
};

use authchain_core::{Cause, Secret, StoreError};
use authchain_trust::Trust;
use tokio::{sync::Mutex, time::timeout};
use tokio_postgres::{Client, Config, Error, error::SqlState};

use super::{
    address::Address,
    schema::{Statements, Unusable, set_up},
    tls::{self, Tls},
};

/// How long a statement may take before its connection counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a caller waits for a database that is away, and how often it is tried meanwhile.
const WAIT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

/// For how long a database that was away is not tried again: nobody waits where others have just waited in vain.
const REST: Duration = Duration::from_millis(500);

/// More connections than this help nobody.
const MOST: usize = 8;

/// Connections to one database.
pub(super) struct Connections {
    config: Config,
    tls: Tls,
    name: String,
    slots: Vec<Slot>,
    next: AtomicUsize,
    /// When connecting last failed, and why; nothing once it has succeeded.
    outage: RwLock<Option<(Instant, StoreError)>>,
}

#[derive(Default)]
struct Slot {
    live: RwLock<Option<Arc<Live>>>,
    /// Held by the one who connects.
    connecting: Mutex<()>,
}

/// A connection that works, or did a moment ago.
pub(super) struct Live {
    pub(super) client: Client,
    pub(super) statements: Statements,
}

/// How a statement went wrong.
pub(super) enum Trouble {
    /// The connection is gone: nobody knows whether the statement was carried out.
    Lost(StoreError),
    /// The database refused it: it was not carried out.
    Refused(StoreError),
}

impl Trouble {
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Lost(error) | Self::Refused(error) => error,
        }
    }
}

impl Connections {
    /// Reads the URL; nothing is connected yet.
    pub(super) fn new(url: &Secret, trust: &Trust) -> Result<Self, StoreError> {
        let address = Address::read(url)?;
        let name = address.name();
        let Address { mut config, roots } = address;
        let tls = Tls::new(trust, roots.as_deref())?;
        config.connect_timeout(WAIT).keepalives_idle(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("authchain");
        }
        let count = available_parallelism().map_or(2, |cores| cores.get().min(MOST));
        let slots = std::iter::repeat_with(Slot::default).take(count).collect();
        Ok(Self { config, tls, name, slots, next: AtomicUsize::new(0), outage: RwLock::default() })
    }

    /// What the database is called in errors.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Makes the first connection, so that what is wrong is known at the start.
    pub(super) async fn first(&self) -> Result<(), StoreError> {
        self.live().await.map(drop)
    }

    /// A connection for one statement.
    async fn live(&self) -> Result<Arc<Live>, StoreError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(slot) = self.slots.get(turn.checked_rem(self.slots.len()).unwrap_or(0)) else {
            return Err(self.away(Cause::text("there is no connection")));
        };
        if let Some(live) = slot.get() {
            return Ok(live);
        }
        // One connects, and the others who need this connection wait for it: a lock is what they wait at.
        let _connecting = slot.connecting.lock().await;
        if let Some(live) = slot.get() {
            return Ok(live);
        }
        if let Some((at, error)) = &*self.outage.read().unwrap_or_else(PoisonError::into_inner)
            && at.elapsed() < REST
        {
            return Err(error.clone());
        }
        let outage = |now| *self.outage.write().unwrap_or_else(PoisonError::into_inner) = now;
        let started = Instant::now();
        loop {
            match self.open().await {
                Ok(live) => {
                    let live = Arc::new(live);
                    *slot.live.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&live));
                    outage(None);
                    return Ok(live);
                }
                Err(Trouble::Lost(error)) if started.elapsed() < WAIT => {
                    tracing::debug!(%error, "the database is away");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(Trouble::Lost(error) | Trouble::Refused(error)) => {
                    outage(Some((Instant::now(), error.clone())));
                    return Err(error);
                }
            }
        }
    }

    /// What it says when it fails tells whether there is something to wait for.
    async fn open(&self) -> Result<Live, Trouble> {
        let opening = async {
            let (mut client, connection) = self.config.connect(self.tls.clone()).await?;
            // It ends when the client is dropped or the server goes away; either is noticed by whoever asks next.
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the database has ended");
                }
            });
            set_up(&mut client, &self.name).await?;
            let statements = Statements::prepare(&client).await?;
            Ok(Live { client, statements })
        };
        match timeout(PATIENCE, opening).await {
            Err(_) => Err(Trouble::Lost(self.away(Cause::text("it does not answer")))),
            Ok(Ok(live)) => Ok(live),
            Ok(Err(Unusable::Refused(error))) => Err(Trouble::Refused(error)),
            Ok(Err(Unusable::Failed(error))) => {
                // A certificate is the same a moment later; whatever else is wrong may be mended meanwhile.
                let is_final = tls::refusal(&error).is_some();
                let error = self.failed(error).into_error();
                Err(if is_final { Trouble::Refused(error) } else { Trouble::Lost(error) })
            }
        }
    }

    /// A connection of one's own, for listening; with what makes it move.
    pub(super) async fn dedicated(
        &self,
    ) -> Result<(Client, tokio_postgres::Connection<tokio_postgres::Socket, super::tls::Stream>), StoreError> {
        let connected = timeout(PATIENCE, self.config.connect(self.tls.clone())).await;
        let connected = connected.map_err(|_| self.away(Cause::text("it does not answer")))?;
        connected.map_err(|error| self.failed(error).into_error())
    }

    /// Carries out one statement. What it says when it fails tells whether it may have been carried out.
    pub(super) async fn run<T, F>(&self, statement: impl FnOnce(Arc<Live>) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let live = self.live().await.map_err(Trouble::Refused)?;
        match timeout(PATIENCE, statement(Arc::clone(&live))).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                let trouble = self.failed(error);
                if matches!(trouble, Trouble::Lost(_)) {
                    self.forget(&live);
                }
                Err(trouble)
            }
            Err(_) => {
                self.forget(&live);
                Err(Trouble::Lost(self.away(Cause::text("it does not answer"))))
            }
        }
    }

    /// How often it makes sense to try again: each connection may turn out to be lost, and the next one is new.
    pub(super) fn tries(&self) -> usize {
        self.slots.len().saturating_add(1)
    }

    /// Carries out a statement that changes nothing, again if its connection is lost.
    pub(super) async fn read<T, F>(&self, statement: impl Fn(Arc<Live>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        for _ in 1..self.tries() {
            match self.run(&statement).await {
                Err(Trouble::Lost(_)) => {}
                other => return other.map_err(Trouble::into_error),
            }
        }
        self.run(&statement).await.map_err(Trouble::into_error)
    }

    /// Nobody gets this connection any more.
    fn forget(&self, dead: &Arc<Live>) {
        for slot in &self.slots {
            let mut live = slot.live.write().unwrap_or_else(PoisonError::into_inner);
            if live.as_ref().is_some_and(|live| Arc::ptr_eq(live, dead)) {
                *live = None;
            }
        }
    }

    /// What an error of a connection of one's own means.
    pub(super) fn explain(&self, error: Error) -> StoreError {
        self.failed(error).into_error()
    }

    fn away(&self, cause: Cause) -> StoreError {
        StoreError::Unavailable { what: format!("use {}", self.name), cause }
    }

    fn failed(&self, error: Error) -> Trouble {
        // The server ended the session, is starting, or is stopping: another session may do better.
        let ended = error.code().is_none_or(|code| {
            [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW].contains(code)
                || code.code().starts_with("08")
        });
        let words = match (error.as_db_error(), tls::refusal(&error)) {
            // Its detail may quote the row; its message does not.
            (Some(said), _) => format!("{}: {}", said.code().code(), said.message()),
            (None, Some(refusal)) => refusal,
            (None, None) => match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
        };
        let failed = self.away(Cause::text(words));
        if ended { Trouble::Lost(failed) } else { Trouble::Refused(failed) }
    }
}

impl Slot {
    fn get(&self) -> Option<Arc<Live>> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.as_ref().filter(|live| !live.client.is_closed()).map(Arc::clone)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("name", &self.name).finish_non_exhaustive()
    }
}
