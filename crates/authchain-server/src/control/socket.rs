//! The server's end: a Unix domain socket that the server's own user and root may use, and nobody else.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{fs::PermissionsExt, net},
    path::PathBuf,
    sync::Arc,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinSet,
};
use tracing::warn;

use super::{
    folder::{Address, Places},
    migration::Migrations,
};
use crate::audit;

/// An open socket.
pub(crate) struct Control {
    listener: UnixListener,
    me: u32,
}

/// The socket's name in its folder, which is free again when this is dropped.
pub(crate) struct Name(PathBuf);

impl Drop for Name {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Control {
    /// Opens the socket of a server that listens on this address. What a server that was killed left there is replaced.
    ///
    /// # Errors
    /// [`io::Error`] with the path: when the folder is not ours alone, or another server answers there.
    pub(crate) fn open(places: &Places, address: Address) -> io::Result<(Self, Name)> {
        let path = places.to_open_in()?.join(address.file_name());
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        match net::UnixStream::connect(&path) {
            Ok(_) => return Err(named(io::Error::new(io::ErrorKind::AddrInUse, "another server answers there"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(&path).map_err(named)?,
            Err(error) => return Err(named(error)),
        }
        let listener = UnixListener::bind(&path).map_err(named)?;
        let name = Name(path.clone());
        // Nobody gets to it through the folder before.
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(named)?;
        Ok((Self { listener, me: places.me }, name))
    }

    /// Attends to commands until `stop` says so. Then what is on its way arrives, and this ends.
    pub(crate) async fn serve(self, migrations: Arc<Migrations>, mut stop: watch::Receiver<bool>) {
        let Self { listener, me } = self;
        let (mut attended, stopped) = (JoinSet::new(), stop.clone());
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        attended.spawn(attend(stream, me, Arc::clone(&migrations), stopped.clone()));
                    }
                    // Too many files are open: those who wait are still there when some are closed.
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
                },
                Some(_) = attended.join_next() => {}
                () = async { drop(stop.wait_for(|stop| *stop).await) } => break,
            }
        }
        drop(listener);
        while attended.join_next().await.is_some() {}
    }
}

async fn attend(stream: UnixStream, me: u32, migrations: Arc<Migrations>, mut stop: watch::Receiver<bool>) {
    let peer = match stream.peer_cred() {
        Ok(peer) => peer.uid(),
        Err(error) => return warn!(%error, "who uses the control socket cannot be found out; nothing was done"),
    };
    if !may_ask(peer, me) {
        return warn!(uid = peer, "somebody else tried the control socket; nothing was done");
    }
    let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
    if let Some(carried) = migrations.attend(stream, stopped).await {
        audit::migrated(peer, &carried);
    }
}

/// The user whom the server runs as, and root.
fn may_ask(peer: u32, me: u32) -> bool {
    peer == me || peer == 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_servers_own_user_and_root_may_ask_and_nobody_else() {
        assert!(may_ask(1000, 1000) && may_ask(0, 1000) && may_ask(0, 0));
        assert!(!may_ask(1001, 1000) && !may_ask(1000, 0));
    }

    #[tokio::test]
    async fn a_socket_that_a_killed_server_left_is_replaced_and_that_of_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let me = rustix::process::geteuid().as_raw();
        let places = Places { configured: None, runtime: None, temporary: dir.path().into(), me };
        let address = Address { host: "127.0.0.1".parse().unwrap(), port: 8002 };
        let path = places.to_open_in().unwrap().join("127.0.0.1-8002.sock");
        drop(net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "as after kill -9");
        let open = Control::open(&places, address).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let second = Control::open(&places, address).err().unwrap().to_string();
        assert!(second.contains("another server answers") && second.contains("127.0.0.1-8002.sock"), "{second}");
        drop(open);
        assert!(!path.exists());
    }
}
