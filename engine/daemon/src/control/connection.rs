//! One client's connection: packets come in and answers go out, neither ever waits.
//!
//! A connection has at most [`UNDER_WAY`] calls unanswered or unsent; with so many the daemon stops
//! reading from it until its owner has read answers. That bounds what a slow or hostile client
//! costs, and it costs no other client anything.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use shmirror_shm::wire::{self, Answer, Hello};
use shmirror_shm::{archive, wire_io};

use crate::access::{Peer, Roles};
use crate::exchange::Reply;

/// Most calls of one connection that are not yet answered, or whose answer is not yet sent.
pub(crate) const UNDER_WAY: usize = 32;

/// Longest call: a query with its parameters.
const CALL_BYTES: usize = 16 << 20;

/// What the client said of itself; for display only, never trusted.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    pub program: String,
    pub version: String,
    pub roles: Roles,
}

impl Introduction {
    pub fn of(hello: &Hello) -> Self {
        Self {
            program: wire_io::text(&hello.program),
            version: wire_io::text(&hello.version),
            roles: Roles(hello.roles),
        }
    }
}

/// A connection of the control socket.
pub(crate) struct Connection {
    fd: OwnedFd,
    pub peer: Peer,
    pub since: Instant,
    pub since_us: i64,
    /// Set by an accepted `Hello`.
    pub client: Option<Introduction>,
    /// Calls whose answer is still being made.
    pub unanswered: usize,
    /// There are too many clients: its greeting is answered so.
    pub turned_away: bool,
    /// No more calls are read; it goes once everything is sent.
    pub ending: bool,
    outgoing: VecDeque<(u32, Vec<u8>, Vec<OwnedFd>)>,
    /// Interest last told to epoll: read, write.
    pub interest: (bool, bool),
}

/// What became of an attempt to read or write.
pub(crate) enum Progress<T> {
    Done(T),
    /// Nothing to be had at the moment.
    Later,
    /// The peer is gone, or speaks another language; the reason is for the log.
    Gone(Option<String>),
}

impl Connection {
    pub fn new(fd: OwnedFd, peer: Peer, since_us: i64) -> Self {
        Self {
            fd,
            peer,
            since: Instant::now(),
            since_us,
            client: None,
            unanswered: 0,
            turned_away: false,
            ending: false,
            outgoing: VecDeque::new(),
            interest: (true, false),
        }
    }

    /// Whether another call may be read.
    pub fn may_read(&self) -> bool {
        !self.ending && self.unanswered + self.outgoing.len() < UNDER_WAY
    }

    /// Whether answers wait to be sent.
    pub fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// The next packet.
    pub fn read(&mut self) -> Progress<wire_io::Packet> {
        match wire_io::recv_within(&self.fd, CALL_BYTES) {
            Ok(packet) => Progress::Done(packet),
            Err(error) if error.is_would_block() => Progress::Later,
            Err(error) if error.is_disconnect() => Progress::Gone(None),
            Err(error) => Progress::Gone(Some(error.to_string())),
        }
    }

    /// Queues the answer to call `id`.
    pub fn answer(&mut self, id: u32, (answer, fds): Reply) {
        let payload = archive::to_bytes(&answer).or_else(|error| {
            let message = error.to_string();
            let code = wire::RefuseCode::Internal;
            archive::to_bytes(&Answer::Refused { code, message })
        });
        match payload {
            Ok(payload) => self.outgoing.push_back((id, payload, fds)),
            // Not even a refusal can be written: the client learns it from the end of the line.
            Err(_) => self.ending = true,
        }
    }

    /// Sends what the peer takes now.
    pub fn flush(&mut self) -> Progress<()> {
        while let Some((id, payload, fds)) = self.outgoing.front() {
            let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            match wire_io::send(&self.fd, *id, payload, &borrowed) {
                Ok(()) => drop(self.outgoing.pop_front()),
                Err(error) if error.is_would_block() => return Progress::Later,
                Err(error) if error.is_disconnect() => return Progress::Gone(None),
                Err(error) => return Progress::Gone(Some(error.to_string())),
            }
        }
        Progress::Done(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
