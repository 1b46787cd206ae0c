//! Closes what came from clients, in threads of its own.
//!
//! A client can send descriptors beside any packet, asked for or not, and who closes the last one of a file
//! waits for whatever that file waits for: a TCP socket that lingers, a file of a file system that somebody has
//! mounted. So does who closes a connection in whose buffer such descriptors lie. The control thread must
//! never wait. So it hands over what it has received, and connections as a whole.
//!
//! Sockets are told not to linger. What waits all the same takes one thread, and others are begun up to
//! [`THREADS`]. Who sends more than can be closed is not read from until it is ([`Closer::has_enough_of`]).

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use rustix::net::{Shutdown, sockopt};
use shmirror_shm::wire_io;

/// Most threads, each of which may wait for something that a client has sent.
const THREADS: usize = 64;
/// Most descriptors of one user that are to be closed, before no more are taken.
const OF_ONE: usize = 512;
/// Most packets and connections that are to be closed, before nobody new is let in.
const QUEUE: usize = 2_048;
/// How long the end waits for what is not closed yet.
const PATIENCE: Duration = Duration::from_millis(500);

enum What {
    /// What a client sent.
    Sent(Vec<OwnedFd>),
    /// A connection, with what is still in its buffer.
    Connection(OwnedFd),
}

struct Item {
    uid: u32,
    what: What,
}

/// How many descriptors of each user are to be closed.
type Held = Arc<Mutex<HashMap<u32, usize>>>;

fn lock(held: &Held) -> MutexGuard<'_, HashMap<u32, usize>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The control thread's side.
pub(crate) struct Closer {
    hand: Sender<Item>,
    queue: Receiver<Item>,
    held: Held,
    handed: u64,
    closed: Arc<AtomicU64>,
    /// What was closed when that was last looked at.
    seen: u64,
    threads: usize,
}

impl Closer {
    pub fn new() -> Self {
        let (hand, queue) = unbounded();
        let (held, closed) = (Held::default(), Arc::default());
        Self { hand, queue, held, handed: 0, closed, seen: 0, threads: 0 }
    }

    /// Closes what a client of this user sent.
    pub fn sent(&mut self, uid: u32, descriptors: Vec<OwnedFd>) {
        if !descriptors.is_empty() {
            self.give(Item { uid, what: What::Sent(descriptors) });
        }
    }

    /// Ends a connection at once, and closes it.
    pub fn connection(&mut self, uid: u32, connection: OwnedFd) {
        // One that its peer has ended needs none.
        let _ = rustix::net::shutdown(&connection, Shutdown::Both);
        self.give(Item { uid, what: What::Connection(connection) });
    }

    /// Whether so much of this user is to be closed that no more is to be taken.
    pub fn has_enough_of(&self, uid: u32) -> bool {
        lock(&self.held).get(&uid).is_some_and(|held| *held >= OF_ONE)
    }

    /// Whether so much is to be closed that nobody new is to be let in.
    pub fn is_full(&self) -> bool {
        self.queue.len() >= QUEUE
    }

    fn give(&mut self, item: Item) {
        self.handed += 1;
        *lock(&self.held).entry(item.uid).or_default() += item.what.count();
        // The other end is kept here too.
        let _ = self.hand.send(item);
        if self.threads == 0 {
            self.begin();
        }
    }

    /// To be called every now and then: where nothing went on since the last time, another thread helps.
    pub fn look(&mut self) {
        let closed = self.closed.load(Ordering::Relaxed);
        if closed < self.handed && closed == self.seen && self.threads < THREADS {
            self.begin();
        }
        self.seen = closed;
    }

    fn begin(&mut self) {
        let (queue, closed) = (self.queue.clone(), Arc::clone(&self.closed));
        let held = Arc::clone(&self.held);
        let close = move || {
            for Item { uid, what } in &queue {
                let count = what.count();
                what.close();
                closed.fetch_add(1, Ordering::Relaxed);
                let mut held = lock(&held);
                if let Some(left) = held.get_mut(&uid) {
                    *left = left.saturating_sub(count);
                    if *left == 0 {
                        held.remove(&uid);
                    }
                }
            }
        };
        // With none to be had it is tried again at the next look.
        let spawned = std::thread::Builder::new().name("closer".to_owned()).spawn(close);
        self.threads += usize::from(spawned.is_ok());
    }

    /// Waits for what can be closed soon. What cannot be is left to its threads.
    pub fn end(self) {
        let until = Instant::now() + PATIENCE;
        while self.closed.load(Ordering::Relaxed) < self.handed && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl What {
    fn count(&self) -> usize {
        match self {
            Self::Sent(descriptors) => descriptors.len(),
            Self::Connection(_) => 1,
        }
    }

    fn close(self) {
        match self {
            Self::Sent(descriptors) => close(descriptors),
            Self::Connection(connection) => {
                let mut descriptors = Vec::new();
                // Its peer can add nothing any more.
                loop {
                    let received = wire_io::recv_keeping(&connection, 0, &mut descriptors);
                    close(std::mem::take(&mut descriptors));
                    match received {
                        Err(e) if e.is_would_block() || e.is_disconnect() => break,
                        Err(wire_io::WireError::System { .. }) => break,
                        Ok(_) | Err(_) => {}
                    }
                }
            }
        }
    }
}

fn close(descriptors: Vec<OwnedFd>) {
    for descriptor in descriptors {
        // Most are no sockets.
        let _ = sockopt::set_socket_linger(&descriptor, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
        SocketType, sendmsg, socketpair,
    };
    use std::io::IoSlice;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    /// A socket that would be closed in an hour, and the side that never reads.
    fn lingering() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, _) = listener.accept().unwrap();
        sockopt::set_socket_linger(&stream, Some(Duration::from_secs(3_600))).unwrap();
        stream.set_nonblocking(true).unwrap();
        while std::io::Write::write(&mut &stream, &[0; 65_536]).is_ok() {}
        (stream, other)
    }

    fn send(to: &OwnedFd, stream: TcpStream) {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [stream.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(to, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
    }

    #[test]
    fn nobody_waits_for_what_a_client_sent() {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let pair = || socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let mut closer = Closer::new();
        let begun = Instant::now();
        let mut never_read = Vec::new();
        for _ in 0..3 {
            let (stream, other) = lingering();
            never_read.push(other);
            closer.sent(7, vec![stream.into()]);
            let (ours, theirs) = pair();
            let (stream, other) = lingering();
            never_read.push(other);
            send(&theirs, stream);
            closer.connection(7, ours);
        }
        // A connection in a connection's buffer: that one nobody can look into.
        let (ours, theirs) = pair();
        let (inner, inner_theirs) = pair();
        let (stream, other) = lingering();
        send(&inner_theirs, stream);
        drop(inner_theirs);
        let inner = TcpStream::from(inner);
        send(&theirs, inner);
        closer.connection(7, ours);
        let (ours, theirs) = pair();
        closer.connection(7, ours);
        // Somebody else goes on with the last one.
        while closer.closed.load(Ordering::Relaxed) < closer.handed - 1 {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(20));
            closer.look();
        }
        assert!(closer.threads <= THREADS);
        // One waits still; who has sent so many has to wait, others have not.
        assert_eq!(lock(&closer.held).get(&7), Some(&1));
        let many = || (0..OF_ONE).map(|_| std::fs::File::open("/dev/null").unwrap().into());
        *lock(&closer.held).get_mut(&7).unwrap() += OF_ONE;
        assert!(closer.has_enough_of(7) && !closer.has_enough_of(8));
        *lock(&closer.held).get_mut(&7).unwrap() -= OF_ONE;
        closer.sent(8, many().collect());
        while lock(&closer.held).contains_key(&8) {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(1));
        }
        drop((never_read, other, theirs));
    }
}
