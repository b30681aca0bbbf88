//! Where a server's socket is: in a folder that belongs to its user alone, under a name made of the server's address, so
//! that a command with the same configuration finds it.

use std::{
    fmt,
    fs::{self, DirBuilder},
    io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

/// What the name of a socket ends with.
const EXTENSION: &str = "sock";

/// Which server: what it listens on, as its configuration says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&SocketAddr::new(self.host, self.port), f)
    }
}

impl Address {
    /// The name of its socket.
    pub(super) fn file_name(self) -> String {
        format!("{}-{}.{EXTENSION}", self.host, self.port)
    }

    /// The address that a socket is named by.
    pub(super) fn named(path: &Path) -> Option<SocketAddr> {
        let name = path.file_name()?.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
        let (host, port) = name.rsplit_once('-')?;
        Some(SocketAddr::new(host.parse().ok()?, port.parse().ok()?))
    }
}

/// Where folders of sockets may be: what a process knows of itself.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// `server.control_directory`.
    pub(crate) configured: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime: Option<PathBuf>,
    /// The folder for temporary files.
    pub(crate) temporary: PathBuf,
    /// The user whom the process runs as.
    pub(crate) me: u32,
}

impl Places {
    /// Those of this process.
    pub(crate) fn of_process(configured: Option<PathBuf>) -> Self {
        Self {
            configured,
            runtime: std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute()),
            temporary: std::env::temp_dir(),
            me: rustix::process::geteuid().as_raw(),
        }
    }

    /// The folders in which a command looks. Where nothing is configured there are two, because a service has no runtime
    /// folder where its user's shell has one.
    pub(super) fn to_look_in(&self) -> Vec<PathBuf> {
        if let Some(folder) = &self.configured {
            return vec![folder.clone()];
        }
        let temporary = self.temporary.join(format!("authchain-{}", self.me));
        // What `sudo` leaves in the environment is somebody else's.
        let own =
            |path: &&PathBuf| fs::symlink_metadata(path).is_ok_and(|about| about.is_dir() && about.uid() == self.me);
        self.runtime.iter().filter(own).map(|path| path.join("authchain")).chain([temporary]).collect()
    }

    /// Whether a folder, and a server that listens there, may belong to this user. Root may ask servers of others, where
    /// the configuration says so: what anybody could have put below the temporary folder is no configuration.
    pub(super) fn may_be_of(&self, owner: u32) -> bool {
        owner == self.me || (self.me == 0 && self.configured.is_some())
    }

    /// The folder in which a server opens its socket; made if it is not there.
    ///
    /// # Errors
    /// [`io::Error`] with the path: when it cannot be made, or is not ours alone.
    pub(super) fn to_open_in(&self) -> io::Result<PathBuf> {
        let folder = self.to_look_in().into_iter().next().unwrap_or_else(|| self.temporary.clone());
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", folder.display()))),
        }
        check(&folder, |owner| owner == self.me)?;
        Ok(folder)
    }
}

/// Refuses what is no folder, belongs to somebody else, or lets others in.
///
/// # Errors
/// [`io::Error`] with the path and why.
pub(super) fn check(folder: &Path, may_be_of: impl Fn(u32) -> bool) -> io::Result<()> {
    let about = fs::symlink_metadata(folder)?;
    let refuse =
        |why: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{}: {why}", folder.display())));
    let mode = about.mode() & 0o7777;
    if about.file_type().is_symlink() {
        refuse("it is a symbolic link, and whoever made it chooses where it leads".into())
    } else if !about.is_dir() {
        refuse("it is not a folder".into())
    } else if !may_be_of(about.uid()) {
        refuse(format!("it belongs to user {}", about.uid()))
    } else if mode & 0o077 != 0 {
        refuse(format!(
            "its mode is {mode:04o}, and only its owner may have access; mend it with: chmod 700 {}",
            folder.display()
        ))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    fn places(temporary: &Path, runtime: Option<&Path>) -> Places {
        let me = rustix::process::geteuid().as_raw();
        Places { configured: None, runtime: runtime.map(Into::into), temporary: temporary.into(), me }
    }

    #[test]
    fn a_socket_is_named_by_its_servers_address_and_read_back() {
        for text in ["127.0.0.1:8002", "[::1]:1", "0.0.0.0:65535"] {
            let address: SocketAddr = text.parse().unwrap();
            let name = Address { host: address.ip(), port: address.port() }.file_name();
            assert_eq!(Address::named(&Path::new("/run").join(&name)), Some(address), "{name}");
        }
        for other in ["notes.txt", "x-1.sock", "127.0.0.1-.sock", ".sock"] {
            assert_eq!(Address::named(Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn the_folder_is_made_for_its_user_alone_in_the_runtime_folder_or_below_the_temporary_one() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = dir.path().join("run");
        let without = places(dir.path(), Some(&runtime));
        let temporary = dir.path().join(format!("authchain-{}", without.me));
        assert_eq!(without.to_open_in().unwrap(), temporary, "there is no such runtime folder");
        assert_eq!(fs::metadata(&temporary).unwrap().mode() & 0o7777, 0o700);
        fs::create_dir(&runtime).unwrap();
        let with = places(dir.path(), Some(&runtime));
        assert_eq!(with.to_open_in().unwrap(), runtime.join("authchain"));
        assert_eq!(with.to_look_in(), [runtime.join("authchain"), temporary], "a command looks in both");
        let configured = Places { configured: Some(dir.path().join("mine")), ..with };
        assert_eq!(configured.to_open_in().unwrap(), dir.path().join("mine"));
        assert_eq!(configured.to_look_in(), [dir.path().join("mine")]);
    }

    #[test]
    fn a_folder_of_somebody_else_or_open_to_others_is_refused_and_so_is_a_link_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path(), None);
        let folder = dir.path().join(format!("authchain-{}", places.me));
        let refused = |word: &str| {
            let error = places.to_open_in().unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("authchain-"), "{error}");
        };
        std::os::unix::fs::symlink(dir.path(), &folder).unwrap();
        refused("symbolic link");
        fs::remove_file(&folder).unwrap();
        fs::write(&folder, "").unwrap();
        refused("not a folder");
        fs::remove_file(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o750)).unwrap();
        refused("chmod 700");
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        assert!(places.to_open_in().is_ok());
        // Only root can give folders away; whoever cannot is somebody else to a folder of their own.
        if std::os::unix::fs::chown(&folder, Some(12345), None).is_ok() {
            refused("belongs to user 12345");
            assert!(
                check(&folder, |owner| places.may_be_of(owner)).is_err(),
                "root neither, where nothing is configured"
            );
        }
        let stranger = Places { me: places.me + 1, ..places.clone() };
        assert!(check(dir.path(), |owner| stranger.may_be_of(owner)).is_err());
    }

    #[test]
    fn root_asks_servers_of_others_only_where_the_configuration_names_the_folder() {
        let root = Places { me: 0, ..places(Path::new("/tmp"), None) };
        assert!(root.may_be_of(0) && !root.may_be_of(1000));
        let configured = Places { configured: Some("/run/authchain".into()), ..root };
        assert!(configured.may_be_of(1000));
        assert!(!Places { me: 1001, ..configured }.may_be_of(1000));
    }
}
