//! Where the daemon is, and who asks.
//!
//! In: what the program says, else the environment. Out: the path of a control socket.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shmirror_shm::limits;

use crate::error::Error;

/// Environment variable that holds the path of the control socket.
pub const SOCKET_VARIABLE: &str = "SHMIRROR_SOCKET";
/// Environment variable that holds the name of the instance.
pub const INSTANCE_VARIABLE: &str = "SHMIRROR_INSTANCE";
/// The instance that is meant where nothing names one.
pub const DEFAULT_INSTANCE: &str = "default";

/// Which daemon to attach to, and how.
///
/// `Options::default()` is what a program wants that does not care: the socket that
/// `SHMIRROR_SOCKET` names, else that of the instance that `SHMIRROR_INSTANCE` names, else that of
/// the instance `default`. What the program sets goes before the environment.
///
/// ```
/// use std::time::Duration;
/// let options = shmirror::Options::new()
///     .socket("/run/plant/mirror.sock")
///     .program("pump-control")
///     .attach_timeout(Duration::from_secs(5));
/// assert_eq!(options.socket_path()?.to_str(), Some("/run/plant/mirror.sock"));
/// # Ok::<(), shmirror::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    instance: Option<String>,
    socket: Option<PathBuf>,
    program: Option<String>,
    attach_timeout: Duration,
}

impl Options {
    /// The same as `Options::default()`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The instance with this name. The last of `instance` and [`Options::socket`] holds.
    pub fn instance(mut self, name: &str) -> Self {
        self.instance = Some(name.to_owned());
        self.socket = None;
        self
    }

    /// The daemon with its control socket at this path.
    pub fn socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.socket = Some(path.into());
        self.instance = None;
        self
    }

    /// The name under which the daemon's status shows this program: by default that of the
    /// executable. At most 32 bytes of it are shown.
    pub fn program(mut self, name: &str) -> Self {
        self.program = Some(name.to_owned());
        self
    }

    /// How long attaching waits for a daemon that is not there yet. Zero, the default: not at all.
    pub fn attach_timeout(mut self, timeout: Duration) -> Self {
        self.attach_timeout = timeout;
        self
    }

    /// The path of the control socket that these options mean.
    ///
    /// # Errors
    /// [`Error::InstanceName`], [`Error::SocketPathTooLong`].
    pub fn socket_path(&self) -> Result<PathBuf, Error> {
        let set = |name| env::var_os(name).filter(|v| !v.is_empty());
        let path = if let Some(path) = &self.socket {
            path.clone()
        } else if let Some(name) = &self.instance {
            instance_path(name)?
        } else if let Some(path) = set(SOCKET_VARIABLE) {
            PathBuf::from(path)
        } else if let Some(name) = set(INSTANCE_VARIABLE) {
            instance_path(&name.to_string_lossy())?
        } else {
            instance_path(DEFAULT_INSTANCE)?
        };
        fits(path)
    }

    /// The name to show for this program.
    pub(crate) fn program_name(&self) -> String {
        self.program.clone().unwrap_or_else(|| {
            env::current_exe()
                .ok()
                .as_deref()
                .and_then(Path::file_name)
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default()
        })
    }

    pub(crate) fn attach_time(&self) -> Duration {
        self.attach_timeout
    }
}

/// The socket of an instance, by the rule that the daemon shares.
fn instance_path(name: &str) -> Result<PathBuf, Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(allowed) {
        return Err(Error::InstanceName {
            name: name.to_owned(),
            expected: "expected letters, digits, '-', '_' and '.', not beginning with '.'",
        });
    }
    Ok(shmirror_shm::socket_path::default_socket_path(name))
}

fn fits(path: PathBuf) -> Result<PathBuf, Error> {
    let found = path.as_os_str().len();
    if found > limits::SOCKET_PATH_BYTES {
        let limit = limits::SOCKET_PATH_BYTES;
        return Err(Error::SocketPathTooLong { path, found, limit });
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_instance_and_socket_holds() {
        let o = Options::new().instance("a").socket("/tmp/x.sock");
        assert_eq!(o.socket_path().unwrap(), PathBuf::from("/tmp/x.sock"));
        let o = o.instance("plant");
        assert!(o.socket_path().unwrap().ends_with("plant.sock"));
    }

    #[test]
    fn a_path_over_the_limit_is_named_with_both_numbers() {
        let path = format!("/{}", "s".repeat(limits::SOCKET_PATH_BYTES - 1));
        assert!(Options::new().socket(&path).socket_path().is_ok(), "at the limit");
        let e = Options::new().socket(format!("{path}x")).socket_path().unwrap_err();
        assert!(matches!(e, Error::SocketPathTooLong { found: 108, limit: 107, .. }), "{e}");
    }

    #[test]
    fn an_instance_name_cannot_leave_its_folder() {
        for name in ["", "..", "a/b", "../x", "a b", ".hidden"] {
            let e = Options::new().instance(name).socket_path().unwrap_err();
            assert_eq!(e.code(), "instance-name", "{name:?}");
        }
    }
}
