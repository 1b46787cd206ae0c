//! What can go wrong with a daemon as a whole; single requests and calls have their own refusals.

use std::path::PathBuf;

use shmirror_shm::limits;

/// Why a daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// A bad configuration.
    #[error("configuration {}: {message}", file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// What was found and what was expected.
        message: String,
    },
    /// A file that cannot be read, written or made.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another daemon serves this socket.
    #[error("socket {} is in use by another daemon that answers on it", socket.display())]
    SocketInUse {
        /// The socket.
        socket: PathBuf,
    },
    /// The path does not fit into a socket address.
    #[error(
        "socket path {} is {found} bytes long, at most {} fit into a socket address",
        path.display(), limits::SOCKET_PATH_BYTES
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        found: usize,
    },
    /// The socket's directory could be changed by somebody else.
    #[error("socket directory {}: {found}; expected a directory of uid {uid}", path.display())]
    SocketDirectory {
        /// The directory.
        path: PathBuf,
        /// What was found.
        found: String,
        /// The daemon's uid.
        uid: u32,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] shmirror_store::StoreError),
    /// Shared memory.
    #[error(transparent)]
    Shared(#[from] shmirror_shm::ShmError),
    /// The snapshot segment.
    #[error("snapshot segment: {0}")]
    Segment(#[from] shmirror_shm::snapshot::SegmentError),
    /// The working copy.
    #[error(transparent)]
    Apply(#[from] crate::apply::ApplyError),
    /// More namespaces than an instance can have: those of the configuration, and those that the store
    /// has tables in.
    #[error(
        "{found} namespaces besides main, configured or with tables in the store; at most {} allowed",
        limits::NAMESPACES
    )]
    TooManyNamespaces {
        /// How many.
        found: usize,
    },
    /// What the store holds does not fit together.
    #[error("store: {0}")]
    Inconsistent(String),
    /// The system refused something.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// A thread of the daemon ended with a panic.
    #[error("thread {0} of the daemon ended unexpectedly")]
    Thread(&'static str),
}

impl DaemonError {
    pub(crate) fn system(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::System { what, source: errno.into() }
    }
}
