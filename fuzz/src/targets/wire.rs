//! The control socket: packets, the greeting, calls and answers.
//!
//! In: what it is, then a call's or an answer's archive, the bytes of a packet with descriptors beside
//! it, or a payload.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FlockOperation, MemfdFlags, Mode, OFlags, SealFlags, flock};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use shmirror_shm::archive;
use shmirror_shm::wire::{
    Answer, Call, FLAG_MEMFD, INLINE_BYTES, MAGIC, PacketHeader, ROLE_MIRROR, VERSION,
};
use shmirror_shm::wire_io::{self, DESCRIPTORS, WireError};
use zerocopy::IntoBytes;

use crate::bytes::{Bytes, joined};
use crate::is_understood;
use crate::memory::within;
use crate::samples;

const HEADER: usize = size_of::<PacketHeader>();

/// Reads what a peer may send.
pub fn run(data: &[u8]) {
    let mut input = Bytes::new(data);
    match input.u8() % 4 {
        0 => archived(input.rest(), archive::from_bytes::<Call>, archive::to_bytes::<Call>),
        1 => archived(input.rest(), archive::from_bytes::<Answer>, archive::to_bytes::<Answer>),
        2 => packet(&mut input),
        _ => whole(&mut input),
    }
}

fn archived<T: std::fmt::Debug, E: std::error::Error>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, E>,
    write: impl Fn(&T) -> Result<Vec<u8>, E>,
) {
    let Ok(value) = within(4096 + 16 * bytes.len(), "a message", || read(bytes)) else { return };
    let written = write(&value).expect("there is memory");
    let again = read(&written).expect("what was written is read");
    assert_eq!(write(&again).expect("there is memory"), written);
    assert_eq!(format!("{again:?}"), format!("{value:?}"));
    is_understood();
}

fn pair() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .expect("a pair of sockets")
}

/// A memfd with these bytes, sealed or not.
fn memory(bytes: &[u8], seals: SealFlags) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = rustix::fs::memfd_create("fuzz", flags).expect("a memfd");
    rustix::io::write(&fd, bytes).expect("room for a few bytes");
    rustix::fs::fcntl_add_seals(&fd, seals).expect("seals of one's own memfd");
    fd
}

/// Says whether a memfd is still open on the descriptors that it was made with, their duplicates in a
/// socket or at a receiver's included: its lock is theirs, and goes with the last of them.
struct Witness(OwnedFd);

impl Witness {
    fn of(memory: &OwnedFd) -> Self {
        flock(memory, FlockOperation::LockExclusive).expect("nobody else has it");
        let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Self(rustix::fs::open(path, flags, Mode::empty()).expect("it is there"))
    }

    fn all_closed(&self) -> bool {
        flock(&self.0, FlockOperation::NonBlockingLockExclusive).is_ok()
    }
}

/// A packet of any bytes, with any descriptors.
fn packet(input: &mut Bytes<'_>) {
    let (beside, limit) = (usize::from(input.u8() % 6), usize::from(input.u16()));
    let (kind, length) = (input.u8(), usize::from(input.u8()));
    let content = input.take(length);
    let bytes = input.rest();
    if bytes.len() > HEADER + INLINE_BYTES {
        return;
    }
    let seals = SealFlags::from_bits_truncate(u32::from(kind & 15));
    let memory = memory(content, seals);
    let witness = Witness::of(&memory);
    assert!(!witness.all_closed());
    {
        let (ours, theirs) = pair();
        let memory = memory; // closed with the sockets
        let fds: Vec<BorrowedFd<'_>> = (0..beside).map(|_| memory.as_fd()).collect();
        send_raw(&ours, bytes, &fds);
        let most = HEADER + INLINE_BYTES + 4096 + limit.max(bytes.len());
        let got = within(most, "a packet", || wire_io::recv_within(&theirs, limit));
        match got {
            Ok(packet) => {
                let header = packet.header;
                assert_eq!((header.magic, header.version), (MAGIC, VERSION));
                assert_eq!(header.as_bytes(), &bytes[..HEADER]);
                assert_eq!(packet.payload.len(), header.length as usize);
                assert!(packet.payload.len() <= limit);
                let in_memory = header.flags & FLAG_MEMFD != 0;
                assert_eq!(packet.payload, if in_memory { content } else { &bytes[HEADER..] });
                assert_eq!(packet.fds.len() + usize::from(in_memory), beside);
                is_understood();
                let needed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
                assert!(!in_memory || seals.contains(needed), "it may still change");
                if let Ok(hello) = wire_io::read_hello(&packet) {
                    assert_eq!(hello.as_bytes(), packet.payload);
                    for text in [wire_io::text(&hello.program), wire_io::text(&hello.version)] {
                        assert!(!text.contains(char::is_control));
                    }
                }
            }
            Err(WireError::Closed) => assert!(bytes.is_empty()),
            Err(WireError::Malformed { .. } | WireError::TooLarge { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        assert!(matches!(wire_io::recv_within(&theirs, limit), Err(WireError::WouldBlock)));
    }
    assert!(witness.all_closed(), "a descriptor was left open");
}

fn send_raw(fd: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    sendmsg(fd, &[std::io::IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
        .expect("a packet of this size goes into an empty socket");
}

/// What was sent by the rules arrives as it was sent, whatever its length.
fn whole(input: &mut Bytes<'_>) {
    let (id, times, beside) = (input.u32(), usize::from(input.u8()), usize::from(input.u8() % 6));
    let payload = input.rest().repeat(times);
    let (ours, theirs) = pair();
    let memory = memory(&[1], SealFlags::empty());
    let fds: Vec<BorrowedFd<'_>> = (0..beside).map(|_| memory.as_fd()).collect();
    let sent = wire_io::send(&ours, id, &payload, &fds);
    let room = DESCRIPTORS - usize::from(payload.len() > INLINE_BYTES);
    if beside > room {
        assert!(matches!(sent, Err(WireError::Malformed { .. })));
        return;
    }
    sent.expect("a packet goes into an empty socket");
    let packet = wire_io::recv(&theirs).expect("it was sent by the rules");
    assert_eq!((packet.header.id, packet.payload), (id, payload));
    assert_eq!(packet.fds.len(), beside);
    is_understood();
}

/// Calls, answers, a greeting, a packet with a payload in a memfd.
pub fn seeds() -> Vec<Vec<u8>> {
    let calls = samples::calls();
    let answers = samples::answers();
    let calls = calls.iter().filter_map(|call| archive::to_bytes(call).ok());
    let answers = answers.iter().filter_map(|answer| archive::to_bytes(answer).ok());
    let mut seeds: Vec<_> = calls.map(|bytes| joined(&[&[0], &bytes])).collect();
    seeds.extend(answers.map(|bytes| joined(&[&[1], &bytes])));
    let head =
        |flags, length| PacketHeader { magic: MAGIC, version: VERSION, flags, id: 7, length };
    let hello = wire_io::hello(ROLE_MIRROR, "shmirror");
    let inline = head(0, size_of_val(&hello) as u32);
    seeds.push(joined(&[&[2, 1, 0, 1, 0, 0], inline.as_bytes(), hello.as_bytes()]));
    let large = head(FLAG_MEMFD, 5);
    seeds.push(joined(&[&[2, 2, 0, 1, 15, 5], b"bytes", large.as_bytes()]));
    seeds.push(joined(&[&[3, 1, 0, 0, 0, 200, 3], &[0x5A; 300]]));
    seeds
}
