//! A hostile client: it attacks the control socket, or (in `scribble`) the requests lane that it was given.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use shmirror_shm::archive;
use shmirror_shm::layout::LAYOUT_HASH;
use shmirror_shm::request::SqlRequest;
use shmirror_shm::value::Value;
use shmirror_shm::wire::{
    Call, FLAG_MEMFD, MAGIC, ROLE_ADMIN, ROLE_MIRROR, ROLE_PRODUCER, ROLE_SUBSCRIBER, VERSION,
};
use shmirror_shm::wire_io;

use super::{Stop, scribble};
use crate::random::Random;

/// An attack.
pub struct Attack {
    /// Its name.
    pub name: &'static str,
    /// It is on the words of a lane, which processes of one user share: they cannot be protected from each
    /// other there.
    pub on_lane: bool,
    run: fn(&mut Hostile<'_>),
}

const fn on_socket(name: &'static str, run: fn(&mut Hostile<'_>)) -> Attack {
    Attack { name, on_lane: false, run }
}

const fn on_lane(name: &'static str, run: fn(&mut Hostile<'_>)) -> Attack {
    Attack { name, on_lane: true, run }
}

/// All attacks.
pub const ATTACKS: &[Attack] = &[
    on_socket("greetings in pieces", pieces),
    on_socket("packets of every length", lengths),
    on_socket("random calls", calls),
    on_socket("calls with huge vectors", vectors),
    on_socket("answers never read", unread),
    on_socket("descriptors sent", descriptors),
    on_socket("sockets that linger", lingering),
    on_socket("10,000 attaches", attaches),
    on_socket("records of any content", scribble::contents),
    on_lane("words scribbled over", scribble::words),
    on_lane("header and outcomes wiped", scribble::wipes),
    on_lane("doorbells", scribble::doorbells),
    on_lane("bytes that change", scribble::flips),
    on_lane("records of any form", scribble::forms),
];

const ROLES: u32 = ROLE_MIRROR | ROLE_PRODUCER | ROLE_SUBSCRIBER | ROLE_ADMIN;
const TIME: Duration = Duration::from_secs(20);
/// Descriptors that one packet can carry (`SCM_MAX_FD`).
const MOST_DESCRIPTORS: usize = 253;

/// The attacker.
pub struct Hostile<'a> {
    socket: PathBuf,
    /// Everything random.
    pub random: Random,
    stop: &'a Stop,
    /// The daemon's pid.
    pub victim: u32,
    /// Attaches of the attack that makes them.
    attaches: u64,
    done: u64,
}

/// Attacks until it is stopped. `numbers`: which attack, the seed, the daemon's pid, how many attaches.
pub fn attack(socket: &str, numbers: &[u64], stop: &Stop) {
    let &[which, seed, victim, attaches] = numbers else { return };
    let Some(attack) = ATTACKS.get(which as usize) else { return };
    let (socket, random) = (PathBuf::from(socket), Random::of(seed, attack.name));
    let victim = victim as u32;
    println!("begun {which}");
    let mut hostile = Hostile { socket, random, stop, victim, attaches, done: 0 };
    (attack.run)(&mut hostile);
    println!("done {}", hostile.done);
}

impl<'a> Hostile<'a> {
    /// One that has only its lane to fill.
    pub fn of(socket: &str, stop: &'a Stop) -> Self {
        let (socket, random) = (PathBuf::from(socket), Random::of(0, "flood"));
        Self { socket, random, stop, victim: 0, attaches: 0, done: 0 }
    }

    /// Counts a blow; whether there is to be another.
    pub fn goes_on(&mut self) -> bool {
        self.done += 1;
        !self.stop.is_said()
    }

    /// One of so many cases.
    pub fn one_of(&mut self, cases: u64) -> u64 {
        self.random.below(cases)
    }

    /// Random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.random.next() as u8).collect()
    }

    /// Bytes that were good, with some of them changed.
    pub fn mutated(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..1 + self.one_of(6) {
            let length = bytes.len() as u64;
            if length < 8 {
                return bytes;
            }
            let at = self.one_of(length) as usize;
            match self.one_of(6) {
                0 => bytes[at] ^= 1 << self.one_of(8),
                1 => bytes[at] = [0, 0x7F, 0x80, 0xFF][self.one_of(4) as usize],
                // A count, or an offset, that is huge or leads elsewhere.
                2 | 3 => {
                    let at = at / 4 * 4;
                    let word = match self.one_of(4) {
                        0 => u32::MAX >> self.one_of(32),
                        1 => (self.one_of(256) as u32).wrapping_sub(128),
                        2 => length as u32,
                        _ => self.random.next() as u32,
                    };
                    if let Some(place) = bytes.get_mut(at..at + 4) {
                        place.copy_from_slice(&word.to_le_bytes());
                    }
                }
                4 => bytes.truncate(at),
                _ => {
                    let copy = bytes[at..].to_vec();
                    bytes.extend(copy);
                }
            }
        }
        bytes
    }

    fn connect(&self) -> Option<OwnedFd> {
        let flags = SocketFlags::CLOEXEC;
        let kind = SocketType::SEQPACKET;
        let fd = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None).ok()?;
        rustix::net::connect(&fd, &SocketAddrUnix::new(&self.socket).ok()?).ok()?;
        Some(fd)
    }

    /// A connection that has greeted; nothing on it waits from then on.
    pub fn greeted(&self, roles: u32) -> Option<OwnedFd> {
        let fd = self.connect()?;
        wire_io::greet(&fd, roles, "hostile", TIME).ok()?;
        rustix::io::ioctl_fionbio(&fd, true).ok()?;
        Some(fd)
    }

    /// Connects until that works, or this is to stop.
    fn surely(&mut self, greets: bool) -> Option<OwnedFd> {
        while !self.stop.is_said() {
            let fd = if greets { self.greeted(ROLES) } else { self.connect() };
            if fd.is_some() {
                return fd;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

/// One packet as it is; whether the socket took it.
fn send(fd: &OwnedFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> bool {
    let mut space = vec![std::mem::MaybeUninit::uninit(); 16 + 4 * MOST_DESCRIPTORS + 16];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(fd, &[IoSlice::new(bytes)], &mut control, flags).is_ok()
}

/// A packet: its head, which may lie about the length, and its payload.
fn packet(flags: u16, id: u32, length: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + payload.len());
    bytes.extend(MAGIC.to_le_bytes());
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend(id.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(payload);
    bytes
}

fn whole(id: u32, payload: &[u8]) -> Vec<u8> {
    packet(0, id, payload.len() as u32, payload)
}

fn hello() -> Vec<u8> {
    let mut bytes = [0; 64];
    bytes[..8].copy_from_slice(&LAYOUT_HASH.to_le_bytes());
    bytes[8..12].copy_from_slice(&ROLES.to_le_bytes());
    bytes[16..19].copy_from_slice(b"0.1");
    bytes[32..40].copy_from_slice(b"host\x1B[2J");
    whole(0, &bytes)
}

/// Reads what has come, and lets go of it.
fn drain(fd: &OwnedFd) {
    while wire_io::recv(fd).is_ok() {}
}

/// Half a greeting, one in pieces, one that lies, or none at all.
fn pieces(h: &mut Hostile<'_>) {
    let mut silent = std::collections::VecDeque::new();
    while h.goes_on() {
        let Some(fd) = h.surely(false) else { break };
        let greeting = match h.one_of(3) {
            0 => h.mutated(hello()),
            _ => hello(),
        };
        let size = 1 + h.one_of(40) as usize;
        match h.one_of(4) {
            0 => _ = greeting.chunks(size).all(|piece| send(&fd, piece, &[])),
            1 => _ = send(&fd, &greeting[..size.min(greeting.len())], &[]),
            2 => _ = send(&fd, &greeting, &[]),
            _ => {}
        }
        silent.push_back(fd);
        if silent.len() > 100 {
            silent.pop_front();
        }
    }
}

/// Garbage of every length, before and after the greeting.
fn lengths(h: &mut Hostile<'_>) {
    let mut length = 0;
    while h.goes_on() {
        length = match length {
            0..=300 => length + 1,
            _ => h.one_of(80_000) as usize,
        };
        let greets = h.one_of(2) == 0;
        let Some(fd) = h.surely(greets) else { break };
        let garbage = h.bytes(length);
        let framed = match h.one_of(3) {
            0 => garbage,
            1 => whole(7, &garbage),
            _ => packet(h.random.next() as u16, 7, h.random.next() as u32, &garbage),
        };
        send(&fd, &framed, &[]);
        if h.one_of(2) == 0 {
            send(&fd, &[], &[]);
        }
    }
}

fn a_call(h: &mut Hostile<'_>) -> Call {
    let number = match h.one_of(4) {
        0 => h.random.next(),
        1 => u64::MAX,
        _ => h.one_of(5),
    };
    let name = match h.one_of(4) {
        0 => String::from_utf8_lossy(&h.bytes(200)).into_owned(),
        1 => String::new(),
        _ => "main".to_owned(),
    };
    let sql = |sql: &str| SqlRequest { sql: sql.to_owned(), params: vec![], want_rows: true };
    match h.one_of(14) {
        0 => Call::Segment(name),
        1 => Call::Lane,
        2 => Call::Events(name),
        3 => Call::Notify(vec![number as u32; h.one_of(30) as usize]),
        4 => Call::Settled { lane: number, ticket: number },
        5 => Call::TableCopy(number as u32),
        6 => Call::History { from: number, namespace: name, tables: vec![], max_bytes: number },
        7 => Call::Result { lane: number, ticket: number },
        8 => Call::Query(sql("SELECT * FROM part, other LIMIT 9")),
        9 => Call::Query(sql(&name)),
        10 => Call::Status,
        11 => Call::RetireLane(number),
        12 => Call::Backup(name),
        _ => Call::RotateKey(Some(name)),
    }
}

/// Calls, most of them with changed bytes; their answers are read now and then.
fn calls(h: &mut Hostile<'_>) {
    let Some(mut fd) = h.surely(true) else { return };
    while h.goes_on() {
        let call = a_call(h);
        let Ok(good) = archive::to_bytes(&call) else { continue };
        // The daemon's own user may do these, and then they would succeed.
        let may_succeed = matches!(call, Call::Backup(_) | Call::RotateKey(_));
        let payload = if may_succeed || h.one_of(3) > 0 { h.mutated(good) } else { good };
        let id = h.random.next() as u32;
        if !send(&fd, &whole(id, &payload), &[]) {
            drain(&fd);
            let Some(next) = h.surely(true) else { return };
            fd = next;
        }
        if h.one_of(8) == 0 {
            drain(&fd);
        }
    }
}

/// Calls of megabytes.
fn vectors(h: &mut Hostile<'_>) {
    while h.goes_on() {
        let Some(fd) = h.surely(true) else { return };
        for _ in 0..4 {
            let many = 1 << h.one_of(21);
            let call = match h.one_of(5) {
                0 => Call::Notify(vec![1; many]),
                1 => {
                    let (from, namespace, tables) = (1, String::new(), vec![7; many]);
                    Call::History { from, namespace, tables, max_bytes: u64::MAX }
                }
                2 => Call::Segment("s".repeat(many)),
                3 => {
                    let (sql, params) = ("SELECT ?1".to_owned(), vec![Value::Null; many / 8]);
                    Call::Query(SqlRequest { sql, params, want_rows: true })
                }
                _ => {
                    let sql = "SELECT ".to_owned() + &"(".repeat(many);
                    Call::Query(SqlRequest { sql, params: vec![], want_rows: true })
                }
            };
            let Ok(good) = archive::to_bytes(&call) else { continue };
            let payload = if h.one_of(2) == 0 { h.mutated(good) } else { good };
            // What is refused for its length is what this is about.
            let _ = wire_io::send(&fd, 1, &payload, &[]);
        }
        std::thread::sleep(Duration::from_millis(h.one_of(20)));
    }
}

/// Asks for all that is large, and never reads.
fn unread(h: &mut Hostile<'_>) {
    let mut connections = Vec::new();
    while connections.len() < 150 {
        let Some(fd) = h.surely(true) else { return };
        connections.push(fd);
    }
    while h.goes_on() {
        for fd in &connections {
            let sql = "SELECT zeroblob(100000) FROM part LIMIT 50".to_owned();
            let history = Call::History {
                from: 1,
                namespace: String::new(),
                tables: vec![],
                max_bytes: u64::MAX,
            };
            let call = match h.one_of(6) {
                0 => Call::TableCopy(1),
                1 => history,
                2 => Call::Segment("main".to_owned()),
                3 => Call::Events("main".to_owned()),
                4 => Call::Query(SqlRequest { sql, params: vec![], want_rows: true }),
                _ => Call::Notify(vec![]),
            };
            let Ok(payload) = archive::to_bytes(&call) else { continue };
            send(fd, &whole(1, &payload), &[]);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Descriptors that nobody asked for, beside anything.
fn descriptors(h: &mut Hostile<'_>) {
    while h.goes_on() {
        let greets = h.one_of(2) == 0;
        let Some(fd) = h.surely(greets) else { return };
        let (Ok(pipe), Ok(file)) = (rustix::pipe::pipe(), std::fs::File::open("/dev/zero")) else {
            continue;
        };
        // Among them the socket itself.
        let each = [pipe.0.as_fd(), pipe.1.as_fd(), file.as_fd(), fd.as_fd()];
        let many = match h.one_of(3) {
            0 => MOST_DESCRIPTORS,
            1 => 1,
            _ => 1 + h.one_of(8) as usize,
        };
        let sent: Vec<BorrowedFd<'_>> = (0..many).map(|i| each[i % each.len()]).collect();
        for _ in 0..4 {
            let bytes = match h.one_of(4) {
                0 => hello(),
                1 => packet(FLAG_MEMFD, 3, h.random.next() as u32, &[]),
                2 => packet(FLAG_MEMFD, 3, 4096, &[]),
                _ => archive::to_bytes(&Call::Status).map_or(vec![1], |call| whole(2, &call)),
            };
            send(&fd, &bytes, &sent);
        }
    }
}

/// Sockets whose close waits until the other side has read, which it never does.
fn lingering(h: &mut Hostile<'_>) {
    use std::net::{TcpListener, TcpStream};
    let Ok(listener) = TcpListener::bind("127.0.0.1:0") else { return };
    let Ok(address) = listener.local_addr() else { return };
    let mut never_read = Vec::new();
    while h.goes_on() {
        std::thread::sleep(Duration::from_millis(2));
        // The system bounds what all such sockets hold.
        if never_read.len() < 30 {
            let Ok(stream) = TcpStream::connect(address) else { continue };
            // One that the system could not queue never comes.
            let _ = listener.set_nonblocking(true);
            let Ok((other, _)) = listener.accept() else { continue };
            let wait = Some(Duration::from_secs(3_600));
            let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, 4_096);
            let _ = rustix::net::sockopt::set_socket_linger(&stream, wait);
            let _ = stream.set_nonblocking(true);
            while std::io::Write::write(&mut &stream, &[0; 65_536]).is_ok() {}
            never_read.push(other);
            let greets = h.one_of(2) == 0;
            let Some(fd) = h.surely(greets) else { return };
            let bytes = if greets { whole(9, &[1]) } else { h.bytes(30) };
            // Some are in packets that the daemon never reads.
            for _ in 0..1 + h.one_of(3) {
                send(&fd, &bytes, &[stream.as_fd()]);
            }
            // If this is the last to close it, this waits.
            std::thread::spawn(move || drop(stream));
        }
    }
}

/// As many clients at once as there may be, then one after another.
fn attaches(h: &mut Hostile<'_>) {
    let mut at_once = Vec::new();
    let mut refused = 0;
    while refused < 100 && at_once.len() < 1_200 {
        match h.greeted(ROLES) {
            Some(fd) => at_once.push(fd),
            None => refused += 1,
        }
    }
    println!("at once {}", at_once.len());
    h.done += at_once.len() as u64;
    // Others want to get in meanwhile.
    std::thread::sleep(Duration::from_secs(2));
    drop(at_once);
    while h.done < h.attaches {
        match h.greeted(ROLE_MIRROR) {
            Some(_) => h.done += 1,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    println!("through {}", h.done);
    while !h.stop.is_said() {
        std::thread::sleep(Duration::from_millis(5));
    }
}
