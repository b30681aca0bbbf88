//! Files and folders that only their owner may read: how they are opened, checked, created and made durable.
//!
//! Unix only: the checks rest on owners and mode bits.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use authchain_core::{Cause, StoreError};
use rustix::fs::{Mode, OFlags};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// No file of ours comes near this size; whatever is larger is not ours.
const LARGEST_FILE: u64 = 1 << 20;

/// What temporary files are called. Whoever holds a folder's lock may remove what is called so.
const TEMPORARY: (&str, &str) = (".authchain-", ".tmp");

/// An [`StoreError::Unavailable`] that names a path.
pub(crate) fn unavailable(doing: &str, path: &Path, error: io::Error) -> StoreError {
    StoreError::unavailable(format!("{doing} {}", path.display()), error)
}

/// An [`StoreError::Corrupt`] that names a path.
pub(crate) fn corrupt(path: &Path, why: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: path.display().to_string(), why: why.into() }
}

/// A path as one word of a shell command.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn insecure(path: &Path, why: impl Into<String>, fix: impl Into<String>) -> StoreError {
    StoreError::Insecure { what: path.display().to_string(), why: why.into(), fix: fix.into() }
}

fn symbolic_link(path: &Path) -> StoreError {
    let why = "it is a symbolic link, and whoever made it chooses where secrets go";
    insecure(path, why, format!("ls -l {}", quoted(path)))
}

/// Refuses what belongs to somebody else.
fn check_owner(path: &Path, owner: u32) -> Result<(), StoreError> {
    let me = rustix::process::geteuid().as_raw();
    if owner == me {
        return Ok(());
    }
    let why = format!("it belongs to user {owner}, and this program runs as user {me}");
    Err(insecure(path, why, format!("chown {me} {}", quoted(path))))
}

/// Opens an existing file: never through a symbolic link, never a device or pipe, only if nobody but its owner, who we
/// are, can read it.
fn open_private(path: &Path, flags: OFlags) -> Result<Option<File>, StoreError> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => return Err(symbolic_link(path)),
        Err(error) => return Err(unavailable("open", path, error.into())),
    };
    check_private(path, &file)?;
    Ok(Some(file))
}

/// Refuses what is no regular file, belongs to somebody else, or can be read by others.
pub(crate) fn check_private(path: &Path, file: &File) -> Result<(), StoreError> {
    let about = file.metadata().map_err(|e| unavailable("look at", path, e))?;
    if !about.is_file() {
        return Err(corrupt(path, "it is not a regular file"));
    }
    check_owner(path, about.uid())?;
    let mode = about.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(insecure(path, format!("its mode is {mode:04o}"), format!("chmod 600 {}", quoted(path))));
    }
    Ok(())
}

/// Reads a private file as a whole. `None` when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let Some(file) = open_private(path, OFlags::RDONLY)? else { return Ok(None) };
    // Larger than any record: a buffer that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 << 10));
    (&file).take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|e| unavailable("read", path, e))?;
    if u64::try_from(bytes.len()).is_ok_and(|n| n > LARGEST_FILE) {
        return Err(corrupt(path, "it is larger than one mebibyte"));
    }
    Ok(Some(bytes))
}

/// Reads a private file if that takes no disk: its name and its content are in the kernel's memory. `None` for everything
/// else, an error too; then [`read`] tells. It may be called where blocking is not allowed.
#[cfg(target_os = "linux")]
pub(crate) fn read_cached(path: &Path) -> Option<Zeroizing<Vec<u8>>> {
    use rustix::{
        fs::{CWD, ResolveFlags, openat2},
        io::ReadWriteFlags,
    };

    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok()?);
    check_private(path, &file).ok()?;
    let size = usize::try_from(file.metadata().ok()?.len().min(LARGEST_FILE)).ok()?;
    // One more byte than there should be, so that the end is seen.
    let mut bytes = Zeroizing::new(vec![0; size.saturating_add(1)]);
    let mut buffer = [io::IoSliceMut::new(&mut bytes)];
    let read = rustix::io::preadv2(&file, &mut buffer, 0, ReadWriteFlags::NOWAIT).ok()?;
    bytes.truncate(read);
    // Files are replaced as a whole: what is not as long as it was a moment ago is looked at again.
    (read == size).then_some(bytes)
}

/// There is no such question on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn read_cached(_: &Path) -> Option<Zeroizing<Vec<u8>>> {
    None
}

/// Opens a file to read and write, and creates it with mode 0600 if there is none.
pub(crate) fn open_or_create(path: &Path) -> Result<File, StoreError> {
    loop {
        if let Some(file) = open_private(path, OFlags::RDWR)? {
            return Ok(file);
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => {
                let file = File::from(fd);
                // A umask may have taken bits away.
                file.set_permissions(Permissions::from_mode(0o600)).map_err(|e| unavailable("create", path, e))?;
                return Ok(file);
            }
            // Somebody else was quicker: open theirs.
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(unavailable("create", path, error.into())),
        }
    }
}

/// Makes sure that there is a folder with mode 0700 that belongs to us.
///
/// A folder of ours that others can look into is closed silently as long as nothing secret lies in it (a fresh check-out
/// of a repository looks so); with secrets in it the operator is told instead.
pub(crate) fn ensure_folder(path: &Path) -> Result<(), StoreError> {
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| unavailable("create", path, e))?;
            close_to_others(path)?;
            if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
                sync_folder(parent)?;
            }
            fs::symlink_metadata(path).map_err(|e| unavailable("look at", path, e))?
        }
        Err(error) => return Err(unavailable("look at", path, error)),
    };
    if about.file_type().is_symlink() {
        return Err(symbolic_link(path));
    }
    if !about.is_dir() {
        let cause = Cause::text("it is not a folder");
        return Err(StoreError::Unavailable { what: format!("use {}", path.display()), cause });
    }
    check_owner(path, about.uid())?;
    let mode = about.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    if mode & 0o022 == 0 && !holds_secrets(path)? {
        return close_to_others(path);
    }
    Err(insecure(path, format!("its mode is {mode:04o}"), format!("chmod 700 {}", quoted(path))))
}

fn close_to_others(path: &Path) -> Result<(), StoreError> {
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(|e| unavailable("close to others", path, e))
}

fn holds_secrets(path: &Path) -> Result<bool, StoreError> {
    let secret = |name: &Path| {
        let extension = name.extension().unwrap_or_default();
        extension == "enc" || extension == "json" || name.file_name().is_some_and(|n| n == ".auth_encryption_key")
    };
    Ok(entries(path)?.iter().any(|entry| secret(entry)))
}

/// The paths of everything in a folder.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let list = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    list().map_err(|e| unavailable("list", folder, e))
}

/// Makes creations, renames and removals in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| unavailable("sync", folder, e))
}

/// A file of mode 0600 beside `target` with all of `bytes` in it, not yet durable. It is removed when dropped.
pub(crate) fn write_beside(target: &Path, bytes: &[u8]) -> Result<NamedTempFile, StoreError> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::Builder::new()
            .prefix(TEMPORARY.0)
            .suffix(TEMPORARY.1)
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        // A umask may have taken bits away.
        if file.as_file().metadata()?.mode() & 0o7777 != 0o600 {
            file.as_file().set_permissions(Permissions::from_mode(0o600))?;
        }
        file.write_all(bytes)?;
        Ok(file)
    };
    write().map_err(|e| unavailable("write beside", target, e))
}

/// Removes temporary files that a killed process left. Only for the holder of the folder's lock.
pub(crate) fn sweep(folder: &Path) -> Result<(), StoreError> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(unavailable("remove", &path, error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        let dir = folder();
        let path = dir.path().join("it's.json");
        fs::write(&path, "{}").unwrap();
        for mode in [0o640, 0o604, 0o666] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err();
            let StoreError::Insecure { fix, .. } = &error else { panic!("{error}") };
            assert!(fix.starts_with("chmod 600 '") && fix.ends_with(r"it'\''s.json'"), "{fix}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().as_slice(), b"{}");
    }

    #[test]
    fn a_file_of_somebody_else_is_refused() {
        let dir = folder();
        let path = dir.path().join("a");
        fs::write(&path, "{}").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        // Only root can give files away; for others there is nothing to test.
        if std::os::unix::fs::chown(&path, Some(12345), None).is_ok() {
            let error = read(&path).unwrap_err();
            assert!(matches!(&error, StoreError::Insecure { fix, .. } if fix.starts_with("chown ")), "{error}");
        }
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let dir = folder();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::write(&target, "{}").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(read(&link), Err(StoreError::Insecure { .. })));
        assert!(matches!(open_or_create(&link), Err(StoreError::Insecure { .. })));
        let folder_link = dir.path().join("folder");
        std::os::unix::fs::symlink(dir.path(), &folder_link).unwrap();
        assert!(matches!(ensure_folder(&folder_link), Err(StoreError::Insecure { .. })));
    }

    #[test]
    fn a_pipe_or_a_folder_in_place_of_a_file_is_refused_and_waits_for_nobody() {
        let dir = folder();
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        assert!(matches!(read(&pipe), Err(StoreError::Corrupt { .. })));
        assert!(matches!(read(dir.path()), Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn what_is_in_the_kernels_memory_is_read_at_once_and_only_what_may_be_read() {
        let dir = folder();
        let (path, link) = (dir.path().join("a"), dir.path().join("link"));
        fs::write(&path, "{}").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(read_cached(&path).is_none(), "others can read it");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        // Whether it is in memory is the kernel's affair; what is read then is right.
        assert!(read_cached(&path).is_none_or(|bytes| *bytes == *b"{}"));
        assert!(read_cached(&link).is_none() && read_cached(dir.path()).is_none());
        assert!(read_cached(&dir.path().join("nothing")).is_none());
    }

    #[test]
    fn an_endless_file_is_not_read_to_its_end() {
        let dir = folder();
        let path = dir.path().join("a");
        let file = open_or_create(&path).unwrap();
        file.set_len(LARGEST_FILE + 1).unwrap();
        assert!(matches!(read(&path), Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn a_new_folder_is_closed_to_others() {
        let dir = folder();
        let path = dir.path().join("a/b");
        ensure_folder(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
    }

    #[test]
    fn an_open_folder_is_closed_while_it_is_empty_and_refused_once_it_holds_secrets() {
        let dir = folder();
        let path = dir.path().join("credentials");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("README.md"), "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        ensure_folder(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);

        fs::write(path.join("x.enc"), "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let error = ensure_folder(&path).unwrap_err();
        assert!(matches!(&error, StoreError::Insecure { fix, .. } if fix.starts_with("chmod 700 ")), "{error}");
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let dir = folder();
        let temporary = write_beside(&dir.path().join("x.json"), b"half").unwrap().keep().unwrap().1;
        let kept = dir.path().join("x.json");
        fs::write(&kept, "{}").unwrap();
        sweep(dir.path()).unwrap();
        assert!(!temporary.exists() && kept.exists());
    }
}
