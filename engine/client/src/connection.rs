//! One connection to a daemon's control socket: greeting, and calls one at a time.
//!
//! In: where the daemon is, what we come for. Out: answers and the descriptors beside them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use shmirror_shm::layout::LAYOUT_HASH;
use shmirror_shm::wire::{Answer, Call, RefuseCode, Seen};
use shmirror_shm::wire_io::{self, Welcome, WireError};

use crate::error::Error;
use crate::name::seen_as;
use crate::options::Options;

/// How long a daemon may take to answer the greeting.
const GREETING: Duration = Duration::from_secs(5);
/// How long a daemon may take to answer a call that does little work.
pub(crate) const CALL: Duration = Duration::from_secs(10);
/// Time between two attempts to attach to a daemon that is not there yet: first, and most.
pub(crate) const BACKOFF: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_millis(200));

/// Time between two looks at whether a daemon that denies allows again: first, and most.
pub(crate) const DENIED_BACKOFF: (Duration, Duration) =
    (Duration::from_millis(200), Duration::from_secs(3));

/// Where a daemon is and who asks, settled once, as the environment may change.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    socket: PathBuf,
    program: String,
}

impl Place {
    pub(crate) fn of(options: &Options) -> Result<Self, Error> {
        Ok(Self { socket: options.socket_path()?, program: options.program_name() })
    }
}

/// A greeted connection. Calls are serialized: an answer belongs to whoever asked.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    welcome: Welcome,
    opened: Instant,
    calls: Mutex<()>,
    pid: u32,
}

impl Connection {
    /// Connects and greets, waiting for a daemon as long as `patience` says.
    pub(crate) fn open(place: &Place, roles: u32, patience: Duration) -> Result<Self, Error> {
        let deadline = Instant::now().checked_add(patience);
        let mut pause = BACKOFF.0;
        loop {
            let error = match Self::try_open(place, roles) {
                Ok(connection) => return Ok(connection),
                Err(e @ (Error::NoDaemon { .. } | Error::Disconnected { .. })) => e,
                Err(e) => return Err(e),
            };
            let left = deadline.map_or(pause, |d| d.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(error);
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// Connects and greets, now or not at all.
    pub(crate) fn try_open(place: &Place, roles: u32) -> Result<Self, Error> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(|e| Error::io("making a socket", e))?;
        let address = SocketAddrUnix::new(&place.socket)
            .map_err(|e| Error::io(format!("socket path {}", place.socket.display()), e))?;
        let begun = Instant::now();
        loop {
            match connect(&socket, &address) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                // So many connect that the daemon has not come to all of them yet.
                Err(Errno::AGAIN) if begun.elapsed() < GREETING => thread::sleep(BACKOFF.0),
                Err(e @ (Errno::ACCESS | Errno::PERM)) => {
                    let path = place.socket.display();
                    return Err(Error::Denied { message: format!("socket {path}: {e}") });
                }
                Err(e) => {
                    let socket = place.socket.clone();
                    return Err(Error::NoDaemon { socket, source: e.into() });
                }
            }
        }
        let welcome = wire_io::greet(&socket, roles, &place.program, GREETING)
            .map_err(|e| wire_error(e, "greeting the daemon"))?;
        let (opened, calls, pid) = (Instant::now(), Mutex::new(()), std::process::id());
        Ok(Self { socket, welcome, opened, calls, pid })
    }

    /// What the daemon said of itself.
    pub(crate) fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// When it was greeted.
    pub(crate) fn opened(&self) -> Instant {
        self.opened
    }

    /// The namespace of this name, as this process may see it.
    pub(crate) fn sees(&self, namespace: &str) -> Result<&Seen, Error> {
        seen_as(&self.welcome.namespaces, namespace).ok_or_else(|| Error::Denied {
            message: format!(
                "instance {:?} has no namespace {namespace:?} that this process may read",
                self.welcome.name
            ),
        })
    }

    /// What this process may see, by rising number of the namespace; never nothing.
    pub(crate) fn visible(&self) -> Result<&[Seen], Error> {
        match &self.welcome.namespaces[..] {
            [] => Err(Error::Denied {
                message: format!(
                    "instance {:?} has nothing that this process may read",
                    self.welcome.name
                ),
            }),
            seen => Ok(seen),
        }
    }

    /// Asks and waits for the answer; `what` is for the error.
    pub(crate) fn call(
        &self,
        call: &Call,
        timeout: Duration,
        what: &str,
    ) -> Result<(Answer, Vec<OwnedFd>), Error> {
        // Before the lock: a child must not wait for a lock that a thread of its parent held.
        same_process(self.pid)?;
        let _turn = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        wire_io::call_within(&self.socket, call, timeout).map_err(|e| wire_error(e, what))
    }

    /// Whether the daemon's end is still open. One system call.
    pub(crate) fn is_up(&self) -> bool {
        let now = Timespec::default();
        let mut watched = [PollFd::new(&self.socket, PollFlags::empty())];
        loop {
            match poll(&mut watched, Some(&now)) {
                Ok(0) => return true,
                Ok(_) => return false,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// That this process is the one that attached.
pub(crate) fn same_process(attached: u32) -> Result<(), Error> {
    let child = shmirror_shm::process_id();
    if child == attached { Ok(()) } else { Err(Error::Forked { attached, child }) }
}

/// The error that an answer of the wrong kind is.
pub(crate) fn wrong_answer(what: &str) -> Error {
    Error::Protocol(format!("the answer to {what:?} is of another kind"))
}

/// The one descriptor that an answer must have.
pub(crate) fn only(fds: Vec<OwnedFd>, what: &str) -> Result<OwnedFd, Error> {
    let found = fds.len();
    let mut fds = fds.into_iter();
    match (fds.next(), fds.next()) {
        (Some(fd), None) => Ok(fd),
        _ => Err(Error::Protocol(format!("{what}: {found} descriptors came, expected 1"))),
    }
}

fn wire_error(error: WireError, what: &str) -> Error {
    match error {
        WireError::Closed => Error::Disconnected { what: what.to_owned() },
        WireError::TimedOut { millis } => {
            Error::TimedOut { what: format!("{what}, no answer in {millis} ms") }
        }
        WireError::System { what: call, source } => Error::io(format!("{what}: {call}"), source),
        WireError::TooLarge { found, allowed } => Error::TooLarge {
            what: "call",
            found: usize::try_from(found).unwrap_or(usize::MAX),
            allowed: usize::try_from(allowed).unwrap_or(usize::MAX),
        },
        WireError::Refused { code: RefuseCode::Denied, message } => Error::Denied { message },
        // As good as gone: who waits for the next daemon waits now.
        WireError::Refused { code: RefuseCode::Stopping, message } => {
            Error::Disconnected { what: message }
        }
        WireError::Refused { code: RefuseCode::Layout, message } => {
            Error::Layout { client: this_build(), daemon: message }
        }
        WireError::Refused { code, message } => Error::Refused { code, message },
        WireError::Layout { daemon, daemon_version, .. } => Error::Layout {
            client: this_build(),
            daemon: format!("version {daemon_version}, layout {daemon:016x}"),
        },
        other => Error::Protocol(format!("{what}: {other}")),
    }
}

/// This build, for errors about layouts.
pub(crate) fn this_build() -> String {
    format!("version {}, layout {LAYOUT_HASH:016x}", env!("CARGO_PKG_VERSION"))
}
