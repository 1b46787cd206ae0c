//! Whole exchanges on the control socket: the greeting, and calls with their answers.
//!
//! The greeting comes before the two sides know that they speak one language, so nothing in it may
//! depend on the build: `Hello` up, and down, where the layouts differ, [`Mismatch`], both of fixed
//! form for ever. Only after that come archives.

use core::time::Duration;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Packet, WireError, recv, send, send_flagged};
use crate::archive;
use crate::layout::LAYOUT_HASH;
use crate::wire::{Answer, Call, Hello, Seen};

/// Flag of a packet whose payload is a [`Mismatch`].
pub const FLAG_MISMATCH: u16 = 2;

/// The version of this build, for the greeting.
const BUILD: &str = env!("CARGO_PKG_VERSION");

/// The daemon's answer to a `Hello` of another layout; then it closes the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Mismatch {
    /// The daemon's layout hash.
    pub layout_hash: u64,
    /// The daemon's version, zero-padded.
    pub version: [u8; 16],
}

const _: () = assert!(size_of::<Hello>() == 64 && size_of::<Mismatch>() == 24);

/// What the daemon says of itself in its [`Answer::Welcome`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Instance id.
    pub instance: [u8; 16],
    /// The instance's name.
    pub name: String,
    /// Generation that the daemon began with.
    pub generation: u64,
    /// Version of the daemon.
    pub version: String,
    /// The daemon's pid.
    pub pid: u32,
    /// Revision at this moment.
    pub revision: u64,
    /// What this process may see, by rising number of the namespace.
    pub namespaces: Vec<Seen>,
}

/// The `Hello` of this build; `program` is cut where it is too long.
pub fn hello(roles: u32, program: &str) -> Hello {
    Hello {
        layout_hash: LAYOUT_HASH,
        roles,
        pid: std::process::id(),
        version: padded(BUILD),
        program: padded(program),
    }
}

/// The `Hello` in a packet (daemon's side). Whether its layout fits is for the caller to see.
///
/// # Errors
/// The payload is no `Hello`.
pub fn read_hello(packet: &Packet) -> Result<Hello, WireError> {
    Hello::read_from_bytes(&packet.payload).map_err(|_| WireError::Malformed {
        what: "bytes of the first packet's payload",
        found: packet.payload.len() as u64,
        expected: size_of::<Hello>() as u64,
    })
}

/// Tells a client of another layout so, in a form that every build reads (daemon's side).
///
/// # Errors
/// As [`send`].
pub fn refuse_layout(fd: impl AsFd, id: u32) -> Result<(), WireError> {
    let mismatch = Mismatch { layout_hash: LAYOUT_HASH, version: padded(BUILD) };
    send_flagged(fd.as_fd(), id, FLAG_MISMATCH, mismatch.as_bytes(), &[])
}

/// Greets the daemon (client's side) and returns what it says of itself.
///
/// # Errors
/// [`WireError::Layout`] if the builds differ, [`WireError::Refused`], or no answer in time.
pub fn greet(
    fd: impl AsFd,
    roles: u32,
    program: &str,
    timeout: Duration,
) -> Result<Welcome, WireError> {
    let fd = fd.as_fd();
    let ours = hello(roles, program);
    let until = Until::new(timeout);
    until.retry(fd, PollFlags::OUT, || send(fd, 0, ours.as_bytes(), &[]))?;
    let packet = until.retry(fd, PollFlags::IN, || recv(fd))?;
    if packet.header.flags & FLAG_MISMATCH != 0 {
        let theirs = Mismatch::read_from_bytes(&packet.payload).map_err(|_| {
            let (found, expected) = (packet.payload.len() as u64, size_of::<Mismatch>() as u64);
            WireError::Malformed { what: "bytes of a refusal", found, expected }
        })?;
        return Err(WireError::Layout {
            client: ours.layout_hash,
            client_version: BUILD.to_owned(),
            daemon: theirs.layout_hash,
            daemon_version: text(&theirs.version),
        });
    }
    match archive::from_bytes(&packet.payload)? {
        Answer::Welcome { instance, name, generation, version, pid, revision, namespaces } => {
            Ok(Welcome { instance, name, generation, version, pid, revision, namespaces })
        }
        Answer::Refused { code, message } => Err(WireError::Refused { code, message }),
        _ => Err(WireError::Malformed { what: "answer to Hello, kind", found: 1, expected: 0 }),
    }
}

/// Asks the daemon, and waits for its answer however long that takes.
///
/// # Errors
/// As [`call_within`], without a deadline.
pub fn call(fd: impl AsFd, call: &Call) -> Result<(Answer, Vec<OwnedFd>), WireError> {
    call_within(fd, call, Duration::MAX)
}

/// Asks the daemon, and waits up to `timeout` for its answer and the descriptors beside it. A refusal
/// is an error. Answers to earlier calls, given up by their callers, are dropped; so one caller at a
/// time uses a socket.
///
/// # Errors
/// [`WireError::Refused`], a peer that is gone, no answer in time, or an answer that is none.
pub fn call_within(
    fd: impl AsFd,
    call: &Call,
    timeout: Duration,
) -> Result<(Answer, Vec<OwnedFd>), WireError> {
    static CALLS: AtomicU32 = AtomicU32::new(1);
    let fd = fd.as_fd();
    let id = CALLS.fetch_add(1, Ordering::Relaxed);
    let payload = archive::to_bytes(call)?;
    let until = Until::new(timeout);
    until.retry(fd, PollFlags::OUT, || send(fd, id, &payload, &[]))?;
    loop {
        let packet = until.retry(fd, PollFlags::IN, || recv(fd))?;
        if packet.header.id != id {
            continue;
        }
        return match archive::from_bytes(&packet.payload)? {
            Answer::Refused { code, message } => Err(WireError::Refused { code, message }),
            answer => Ok((answer, packet.fds)),
        };
    }
}

/// Zero-padded text of a greeting: up to its first zero, control characters replaced, so that it can
/// be shown and logged.
pub fn text(padded: &[u8]) -> String {
    let end = padded.iter().position(|b| *b == 0).unwrap_or(padded.len());
    let text = String::from_utf8_lossy(&padded[..end]);
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let end = (0..=text.len().min(N)).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
    bytes
}

/// A deadline, and the time that it was set for.
struct Until {
    timeout: Duration,
    deadline: Option<Instant>,
}

impl Until {
    fn new(timeout: Duration) -> Self {
        Self { timeout, deadline: Instant::now().checked_add(timeout) }
    }

    /// Waits until the socket is ready, then tries; again while it is not ready after all.
    fn retry<T>(
        &self,
        fd: BorrowedFd<'_>,
        events: PollFlags,
        mut attempt: impl FnMut() -> Result<T, WireError>,
    ) -> Result<T, WireError> {
        loop {
            let left = self.deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| left.try_into().ok());
            match poll(&mut [PollFd::from_borrowed_fd(fd, events)], left.as_ref()) {
                Ok(0) => return Err(WireError::TimedOut { millis: self.timeout.as_millis() }),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(e) => return Err(WireError::system("poll of the control socket")(e)),
            }
            match attempt() {
                Err(WireError::WouldBlock) => {}
                done => return done,
            }
        }
    }
}
