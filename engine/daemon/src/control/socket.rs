//! The control socket as a file: a path goes in, a listening socket that nobody else can reach or
//! replace comes out; at the end the file goes away again.
//!
//! Who cleans up a directory for temporary files may remove it meanwhile. Who is attached notices nothing, but
//! nobody new gets in: so [`ControlSocket::is_there`] is asked from time to time, and another is bound then. A
//! name that leads elsewhere by now is left to whoever has it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use shmirror_shm::limits;
use shmirror_shm::socket_path::{DEFAULT_INSTANCE, default_socket_path};

use crate::error::DaemonError;

/// A bound, listening control socket. Dropping it removes its file, if it is still its own.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    fd: OwnedFd,
    path: PathBuf,
    /// Its device and number. The bound socket holds on to the file, so no other gets that number meanwhile.
    inode: (u64, u64),
}

/// Connections that wait to be accepted, at most.
pub(crate) const BACKLOG: usize = 128;

impl ControlSocket {
    /// Binds and listens at `path`. A file left behind by a daemon that died is replaced; one that
    /// a daemon answers on is not. Until [`ControlSocket::admit`] the daemon's own user alone can connect.
    pub fn bind(path: &Path) -> Result<Self, DaemonError> {
        let found = path.as_os_str().as_bytes().len();
        if found > limits::SOCKET_PATH_BYTES {
            return Err(DaemonError::SocketPathTooLong { path: path.to_owned(), found });
        }
        let uid = rustix::process::getuid().as_raw();
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            prepare_directory(parent, uid)?;
        }
        let address = SocketAddrUnix::new(path).map_err(DaemonError::system("name the socket"))?;
        clear_stale(path, &address)?;
        let fd = seqpacket()?;
        // The file that `bind` makes takes its mode from the socket: nobody can connect in between.
        rustix::fs::fchmod(&fd, Mode::RUSR | Mode::WUSR)
            .map_err(DaemonError::system("restrict the control socket"))?;
        rustix::net::bind(&fd, &address).map_err(|e| match e {
            Errno::ADDRINUSE => DaemonError::SocketInUse { socket: path.to_owned() },
            e => file_error("make socket", path, e.into()),
        })?;
        let meta =
            std::fs::symlink_metadata(path).map_err(|e| file_error("look at socket", path, e))?;
        let socket = Self { fd, path: path.to_owned(), inode: (meta.dev(), meta.ino()) };
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .map_err(|e| file_error("restrict socket", path, e))?;
        rustix::net::listen(&socket.fd, BACKLOG as i32)
            .map_err(DaemonError::system("listen on the control socket"))?;
        Ok(socket)
    }

    /// Lets other users connect too, or not. Who of them may do what is decided after that, and whether
    /// they get as far as the file is for its directories' modes: what keeps them away is told.
    pub fn admit(&self, others: bool) {
        let mode = if others { 0o666 } else { 0o600 };
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        if let Err(error) = std::fs::set_permissions(&self.path, permissions) {
            tracing::warn!(%error, "the mode of the control socket's file could not be set");
        }
        if !others {
            return;
        }
        let Some(parent) = self.path.parent() else { return };
        let is_ours = |meta: &std::fs::Metadata| {
            meta.uid() == rustix::process::geteuid().as_raw() && is_default_directory(parent)
        };
        // Who may only search it can open what they know the name of.
        if let Ok(meta) = std::fs::metadata(parent)
            && meta.mode() & 0o001 == 0
            && is_ours(&meta)
        {
            let permissions =
                std::os::unix::fs::PermissionsExt::from_mode(meta.mode() & 0o7777 | 0o011);
            // What remains is told below.
            let _ = std::fs::set_permissions(parent, permissions);
        }
        let closed = parent.ancestors().find(|directory| {
            std::fs::metadata(directory).is_ok_and(|meta| meta.mode() & 0o001 == 0)
        });
        if let Some(directory) = closed {
            tracing::warn!(
                directory = %directory.display(),
                "rules admit other users, whom the directory's mode keeps from the control socket"
            );
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its path still leads to it.
    pub fn is_there(&self) -> bool {
        std::fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == self.inode)
    }
}

impl AsFd for ControlSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if self.is_there()
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(%error, "the control socket's file could not be removed");
        }
    }
}

/// Whether it is a directory that is made for control sockets alone.
fn is_default_directory(path: &Path) -> bool {
    default_socket_path(DEFAULT_INSTANCE).parent() == Some(path)
}

fn file_error(what: &'static str, path: &Path, source: std::io::Error) -> DaemonError {
    DaemonError::File { what, path: path.to_owned(), source }
}

fn seqpacket() -> Result<OwnedFd, DaemonError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(DaemonError::system("make the control socket"))
}

/// Makes the directory with mode 0700, or checks that nobody else could replace what is in it.
fn prepare_directory(path: &Path, uid: u32) -> Result<(), DaemonError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| file_error("make socket directory", path, e))?;
    let bad = |found: String| DaemonError::SocketDirectory { path: path.to_owned(), found, uid };
    // The path may lead there over symbolic links (/var/run); what counts is where it ends.
    let meta = std::fs::metadata(path).map_err(|e| file_error("look at directory", path, e))?;
    if !meta.is_dir() {
        return Err(bad("it is no directory".to_owned()));
    }
    if meta.uid() != uid && meta.uid() != 0 {
        return Err(bad(format!("it belongs to uid {}", meta.uid())));
    }
    let (shared, sticky) = (meta.mode() & 0o022 != 0, meta.mode() & 0o1000 != 0);
    if shared && !sticky {
        return Err(bad(format!(
            "its mode {:04o} lets others replace files in it",
            meta.mode() & 0o7777
        )));
    }
    Ok(())
}

fn clear_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), DaemonError> {
    let meta = match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(file_error("look at socket", path, e)),
        Ok(meta) => meta,
    };
    if !meta.file_type().is_socket() {
        let exists = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(file_error("make socket (a file that is no socket is there)", path, exists));
    }
    match rustix::net::connect(seqpacket()?, address) {
        Err(Errno::CONNREFUSED) => {
            tracing::info!("replacing the socket file of a daemon that is gone");
            std::fs::remove_file(path).map_err(|e| file_error("remove stale socket", path, e))
        }
        Err(Errno::NOENT) => Ok(()),
        // A full backlog is a sign of life as well.
        Ok(()) | Err(Errno::AGAIN) => Err(DaemonError::SocketInUse { socket: path.to_owned() }),
        Err(e) => Err(file_error("connect to socket", path, e.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_file_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/a.sock");
        let first = ControlSocket::bind(&path).unwrap();
        let mode = |p: &Path| std::fs::symlink_metadata(p).unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert!(matches!(ControlSocket::bind(&path), Err(DaemonError::SocketInUse { .. })));
        // A daemon that was killed leaves the file.
        let leaked = first.path.clone();
        std::mem::forget(std::fs::hard_link(&leaked, dir.path().join("sub/kept")));
        drop(first);
        std::fs::rename(dir.path().join("sub/kept"), &path).unwrap();
        let second = ControlSocket::bind(&path).unwrap();
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_not_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let first = ControlSocket::bind(&path).unwrap();
        assert!(first.is_there());
        // A file that is made now would get the number of one that is gone for good, on most file systems.
        std::fs::remove_file(&path).unwrap();
        assert!(!first.is_there());
        let second = ControlSocket::bind(&path).unwrap();
        assert!(!first.is_there() && second.is_there());
        drop(first);
        assert!(second.is_there(), "the first took away what is the second's");
        std::fs::rename(dir.path(), dir.path().with_extension("moved")).unwrap();
        assert!(!second.is_there());
        std::fs::rename(dir.path().with_extension("moved"), dir.path()).unwrap();
        assert!(second.is_there());
    }

    #[test]
    fn others_can_connect_only_while_rules_admit_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let socket = ControlSocket::bind(&path).unwrap();
        let mode = || std::fs::symlink_metadata(&path).unwrap().mode() & 0o777;
        let directory = || std::fs::metadata(dir.path()).unwrap().mode() & 0o777;
        let before = directory();
        assert_eq!(mode(), 0o600);
        socket.admit(true);
        assert_eq!(mode(), 0o666);
        socket.admit(false);
        assert_eq!(mode(), 0o600);
        // A directory that somebody else chose is not opened for them.
        assert_eq!(directory(), before);
    }

    #[test]
    fn bad_places_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(120));
        let message = ControlSocket::bind(&long).unwrap_err().to_string();
        assert!(message.contains("107") && message.contains("xxx"), "{message}");
        let file = dir.path().join("file");
        std::fs::write(&file, "mine").unwrap();
        assert!(matches!(ControlSocket::bind(&file), Err(DaemonError::File { .. })));
        assert_eq!(std::fs::read(&file).unwrap(), b"mine");
        let open = dir.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .unwrap();
        let refused = ControlSocket::bind(&open.join("a.sock"));
        assert!(matches!(refused, Err(DaemonError::SocketDirectory { .. })));
    }
}
