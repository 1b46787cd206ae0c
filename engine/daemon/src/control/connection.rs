//! One client's connection: packets come in and answers go out, neither ever waits.
//!
//! A connection has at most [`UNDER_WAY`] calls unanswered or unsent; with so many the daemon stops
//! reading from it until its owner has read answers. That bounds what a slow or hostile client
//! costs, and it costs no other client anything.
//!
//! An answer that was sent and not read holds what it carries, descriptors and memory, though it is no
//! longer here. So of such answers only some may be unread ([`FLIGHT`], [`FLIGHT_BYTES`]), and not for
//! ever ([`UNREAD`]).

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use shmirror_shm::wire::Hello;
use shmirror_shm::wire_io;

use crate::access::{Peer, Roles};
use crate::exchange::Packed;
use crate::rights::Rights;

/// Most calls of one connection that are not yet answered, or whose answer is not yet sent.
pub(crate) const UNDER_WAY: usize = 32;

/// Most unread answers of one connection that carry descriptors.
const FLIGHT: usize = 16;
/// Most bytes of memory that they carry, if there are several.
const FLIGHT_BYTES: u64 = 64 << 20;
/// How long they may stay unread.
const UNREAD: Duration = Duration::from_secs(60);

/// Longest call: a query with its parameters.
const CALL_BYTES: usize = 16 << 20;

/// What the client said of itself; for display only, never trusted.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    pub program: String,
    pub version: String,
    pub roles: Roles,
    /// Its pid as it calls itself.
    pub pid: u32,
}

impl Introduction {
    pub fn of(hello: &Hello) -> Self {
        Self {
            program: wire_io::text(&hello.program),
            version: wire_io::text(&hello.version),
            roles: Roles(hello.roles),
            pid: hello.pid,
        }
    }
}

/// A connection of the control socket.
pub(crate) struct Connection {
    fd: OwnedFd,
    pub peer: Peer,
    /// What the peer may do.
    pub rights: Rights,
    pub since: Instant,
    pub since_us: i64,
    /// Set by an accepted `Hello`.
    pub client: Option<Introduction>,
    /// Calls whose answer is still being made.
    pub unanswered: usize,
    /// There are too many clients, so many: its greeting is answered so.
    pub turned_away: Option<String>,
    /// No more calls are read; it goes once everything is sent.
    pub ending: bool,
    outgoing: VecDeque<(u32, Packed)>,
    /// Answers that carry descriptors and were perhaps not read yet: how many, of how many bytes, and
    /// since when there are any.
    flight: (usize, u64),
    unread_since: Option<Instant>,
    /// There are so many that the next has to wait.
    choked: bool,
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
    pub fn new(fd: OwnedFd, peer: Peer, rights: Rights, since_us: i64) -> Self {
        Self {
            fd,
            peer,
            rights,
            since: Instant::now(),
            since_us,
            client: None,
            unanswered: 0,
            turned_away: None,
            ending: false,
            outgoing: VecDeque::new(),
            flight: (0, 0),
            unread_since: None,
            choked: false,
            interest: (true, false),
        }
    }

    /// Whose allowance of lines is used where something is told of it.
    pub fn teller(&self) -> Option<u32> {
        self.rights.may_attach().then_some(self.peer.uid)
    }

    /// Whether another call may be read.
    pub fn may_read(&self) -> bool {
        !self.ending && self.unanswered + self.outgoing.len() < UNDER_WAY
    }

    /// Whether answers wait to be sent.
    pub fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether answers wait for room in the socket.
    pub fn wants_room(&self) -> bool {
        self.has_outgoing() && !self.choked
    }

    /// Whether it is to be looked at again soon, as nothing tells when its owner reads.
    pub fn is_choked(&self) -> bool {
        self.choked
    }

    /// Bytes of memory that its answers hold.
    pub fn held_bytes(&self) -> u64 {
        self.flight.1 + self.outgoing.iter().map(|(_, packed)| packed.bytes).sum::<u64>()
    }

    /// Its answers that carry descriptors and were perhaps not read yet.
    pub fn held_answers(&self) -> usize {
        self.flight.0 + self.outgoing.iter().filter(|(_, packed)| packed.carries()).count()
    }

    /// Looks whether what was sent was read. An error: it was not, for too long.
    pub fn look(&mut self) -> Result<(), String> {
        let Some(since) = self.unread_since else { return Ok(()) };
        // An error is of a socket that is gone, which is met elsewhere.
        if wire_io::is_read(&self.fd).unwrap_or(true) {
            (self.flight, self.unread_since, self.choked) = ((0, 0), None, false);
        } else if since.elapsed() > UNREAD {
            return Err(format!("its answers were not read for {} s", UNREAD.as_secs()));
        }
        Ok(())
    }

    /// Its socket; what was not sent stays unsent.
    pub fn into_socket(self) -> OwnedFd {
        self.fd
    }

    /// The next packet; the descriptors that came beside it go to `sent`.
    pub fn read(&mut self, sent: &mut Vec<OwnedFd>) -> Progress<wire_io::Packet> {
        match wire_io::recv_keeping(&self.fd, CALL_BYTES, sent) {
            Ok(packet) => Progress::Done(packet),
            Err(error) if error.is_would_block() => Progress::Later,
            Err(error) if error.is_disconnect() => Progress::Gone(None),
            Err(error) => Progress::Gone(Some(error.to_string())),
        }
    }

    /// Queues the answer to call `id`.
    pub fn answer(&mut self, id: u32, packed: Option<Packed>) {
        match packed {
            Some(packed) => self.outgoing.push_back((id, packed)),
            // Not even a refusal can be written: the client learns it from the end of the line.
            None => self.ending = true,
        }
    }

    /// Sends what the peer takes now.
    pub fn flush(&mut self) -> Progress<()> {
        while let Some((id, packed)) = self.outgoing.front() {
            let (count, bytes) = self.flight;
            let over = count >= FLIGHT || (count > 0 && bytes + packed.bytes > FLIGHT_BYTES);
            if packed.carries() && over {
                if !wire_io::is_read(&self.fd).unwrap_or(true) {
                    self.choked = true;
                    return Progress::Later;
                }
                (self.flight, self.unread_since) = ((0, 0), None);
            }
            match packed.send(&self.fd, *id) {
                Ok(()) => {
                    if packed.carries() {
                        self.flight = (self.flight.0 + 1, self.flight.1 + packed.bytes);
                        self.unread_since.get_or_insert_with(Instant::now);
                    }
                    self.outgoing.pop_front();
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use shmirror_shm::wire::Answer;

    #[test]
    fn what_is_sent_and_not_read_is_bounded() {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let peer = Peer { pid: 1, uid: 0, groups: [].into(), pid_namespace: 0 };
        let mut connection = Connection::new(ours, peer, Rights::all(), 0);
        const ANSWERS: u32 = 30;
        let large = "x".repeat(4 << 20);
        for id in 0..ANSWERS {
            connection.answer(id, Packed::of((Answer::Text(large.clone()), vec![])));
        }
        let mut read = 0;
        while read < ANSWERS {
            assert!(!matches!(connection.flush(), Progress::Gone(_)));
            assert_eq!(connection.is_choked(), connection.has_outgoing());
            assert!(!connection.wants_room());
            let most = (FLIGHT_BYTES / large.len() as u64) as u32;
            let arrived = std::iter::from_fn(|| wire_io::recv(&theirs).ok()).count() as u32;
            assert!((1..=most).contains(&arrived), "{arrived}");
            read += arrived;
            connection.look().unwrap();
            assert!(!connection.is_choked() && connection.flight == (0, 0));
        }
        assert_eq!(connection.held_bytes(), 0);
        // Who never reads is sent away.
        connection.answer(0, Packed::of((Answer::Text(large), vec![])));
        assert!(matches!(connection.flush(), Progress::Done(())));
        connection.look().unwrap();
        connection.unread_since = Instant::now().checked_sub(UNREAD * 2);
        assert!(connection.look().is_err());
    }
}
