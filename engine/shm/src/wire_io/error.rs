//! What can go wrong on the control socket.

use rustix::io::Errno;

use crate::archive::ArchiveError;
use crate::wire::RefuseCode;

/// A packet that could not be sent, received or understood, or a call that was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The other side is gone.
    #[error("the other side closed the control socket")]
    Closed,
    /// Nothing to be had, or no room, at the moment; only from a non-blocking socket.
    #[error("the control socket is not ready")]
    WouldBlock,
    /// No answer in time.
    #[error("no answer on the control socket within {millis} ms")]
    TimedOut {
        /// How long it was waited.
        millis: u128,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// The system's reason.
        source: Errno,
    },
    /// A packet that is none of ours.
    #[error("bad packet: {what} is {found:#x}, expected {expected:#x}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
        /// What was found.
        found: u64,
        /// What must be there, or its bound.
        expected: u64,
    },
    /// More than fits.
    #[error("payload of {found} bytes, at most {allowed} allowed")]
    TooLarge {
        /// Bytes there are.
        found: u64,
        /// Bytes there may be.
        allowed: u64,
    },
    /// A payload that is no archive of what was expected.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The daemon's refusal.
    #[error("refused: {message}")]
    Refused {
        /// Why.
        code: RefuseCode,
        /// What was found and what was expected.
        message: String,
    },
    /// The two sides are built for different layouts.
    #[error(
        "the client (version {client_version}, layout {client:016x}) and the daemon (version \
         {daemon_version}, layout {daemon:016x}) are built for different layouts of shared memory; \
         use the same version for both"
    )]
    Layout {
        /// The client's layout hash.
        client: u64,
        /// The client's version.
        client_version: String,
        /// The daemon's layout hash.
        daemon: u64,
        /// The daemon's version.
        daemon_version: String,
    },
}

impl WireError {
    /// Whether to try again once the socket is ready.
    pub fn is_would_block(&self) -> bool {
        matches!(self, Self::WouldBlock)
    }

    /// Whether the other side is gone.
    pub fn is_disconnect(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// For `map_err` on a system call on the socket.
    pub(super) fn system(what: &'static str) -> impl FnOnce(Errno) -> Self {
        move |source| match source {
            Errno::AGAIN => Self::WouldBlock,
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => Self::Closed,
            source => Self::System { what, source },
        }
    }
}
