//! The command's end: an order to a server that runs, or to this process itself where no server is needed.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, duplex},
    net::UnixStream,
    task::JoinHandle,
};

use super::{
    folder::{Address, Places, check},
    migration::Migrations,
    wire::{Hearing, MigrationOrder, Ordered, Said, Saying, wire},
};
use crate::config::Config;

/// What is on its way between the two ends within one process.
const BUFFER: usize = 64 << 10;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Why nobody carries out an order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// There is no such server, as far as this user can see.
    #[error("no server of this user runs at {address} here")]
    NoServer {
        /// The address of the configuration.
        address: SocketAddr,
        /// The sockets where it would be.
        looked_at: Vec<PathBuf>,
        /// The servers that do run.
        others: Vec<SocketAddr>,
    },
    /// The socket is not what it should be, or cannot be used.
    #[error("the server cannot be asked: {0}")]
    Socket(io::Error),
    /// The other end said nothing more: the server was killed, or is of another version.
    #[error("the server ended the conversation")]
    Ended,
}

/// An order that somebody carries out. Dropping it stops that after what is on its way.
pub struct Asked {
    hearing: Hearing<Box<dyn Stream>>,
    saying: Saying<Box<dyn Stream>>,
    /// Whoever carries it out in this process.
    own: Option<JoinHandle<()>>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            own.abort();
        }
    }
}

impl Asked {
    /// Has the server of a configuration carry out an order.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn of_server(config: &Config, order: MigrationOrder) -> Result<Self, AskError> {
        let places = Places::of_process(config.server.control_directory.clone());
        let address = Address { host: config.server.host, port: config.server.port };
        let stream = find(&places, address).await?;
        Self::of(Box::new(stream), None, order).await
    }

    /// Carries it out in this process: between stores that any process reaches.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn of_myself(config: &Config, order: MigrationOrder) -> Result<Self, AskError> {
        let (near, far) = duplex(BUFFER);
        let migrations = Arc::new(Migrations::new(config.storage.clone(), None));
        let own = tokio::spawn(async move { drop(migrations.attend(far, std::future::pending()).await) });
        Self::of(Box::new(near), Some(own), order).await
    }

    async fn of(stream: Box<dyn Stream>, own: Option<JoinHandle<()>>, order: MigrationOrder) -> Result<Self, AskError> {
        let (hearing, saying) = wire(stream);
        let mut asked = Self { hearing, saying, own };
        asked.say(&Ordered::Migrate(order)).await?;
        Ok(asked)
    }

    /// What the other end says next.
    ///
    /// # Errors
    /// [`AskError::Ended`] when it says nothing more before the end; [`AskError::Socket`] when it says what means nothing.
    pub async fn next(&mut self) -> Result<Said, AskError> {
        match self.hearing.hear().await {
            Ok(Some(said)) => Ok(said),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(AskError::Socket(error)),
            Ok(None) | Err(_) => Err(AskError::Ended),
        }
    }

    /// The plan is good.
    ///
    /// # Errors
    /// [`AskError::Ended`].
    pub async fn go(&mut self) -> Result<(), AskError> {
        self.say(&Ordered::Go).await
    }

    async fn say(&mut self, what: &Ordered) -> Result<(), AskError> {
        self.saying.say(what).await.map_err(|_| AskError::Ended)
    }
}

/// A connection to the server of this address.
async fn find(places: &Places, address: Address) -> Result<UnixStream, AskError> {
    let (mut looked_at, mut others) = (Vec::new(), Vec::new());
    for folder in places.to_look_in() {
        let path = folder.join(address.file_name());
        match check(&folder, |owner| places.may_be_of(owner)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                looked_at.push(path);
                continue;
            }
            Err(error) => return Err(AskError::Socket(error)),
        }
        if let Some(stream) = connect(&path).await.map_err(AskError::Socket)? {
            let owner = stream.peer_cred().map_err(AskError::Socket)?.uid();
            if places.may_be_of(owner) {
                return Ok(stream);
            }
            let why = format!("{} is answered by user {owner}", path.display());
            return Err(AskError::Socket(io::Error::new(io::ErrorKind::PermissionDenied, why)));
        }
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if let (Some(other), Ok(Some(_))) = (Address::named(&path), connect(&path).await) {
                others.push(other);
            }
        }
        looked_at.push(path);
    }
    others.sort();
    Err(AskError::NoServer { address: SocketAddr::new(address.host, address.port), looked_at, others })
}

/// `None` where nobody listens (any more).
async fn connect(path: &Path) -> io::Result<Option<UnixStream>> {
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}
