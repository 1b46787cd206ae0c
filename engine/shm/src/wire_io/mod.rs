//! Packets on the control socket: payloads and descriptors through Unix SEQPACKET.
//!
//! What flows in: payloads, and descriptors beside them. What flows out: whole packets, or a typed
//! error; nothing of the peer's is believed before it was checked. A payload over
//! [`INLINE_BYTES`] travels in a memfd whose contents can no longer change (seals SHRINK, GROW and
//! WRITE, checked by the receiver), and is read with `pread`, never mapped.
//!
//! Both directions work on blocking and on non-blocking sockets; on the latter they may say
//! [`WireError::WouldBlock`], and then nothing was sent or taken.

mod error;
mod talk;

use core::mem::MaybeUninit;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, SealFlags};
use rustix::io::Errno;
use rustix::net::{
    self, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::region::memfd;
use crate::wire::{FLAG_MEMFD, INLINE_BYTES, MAGIC, PacketHeader, VERSION};

pub use error::WireError;
pub use talk::{
    FLAG_MISMATCH, Mismatch, Welcome, call, call_within, greet, hello, read_hello, refuse_layout,
    text,
};

/// Longest payload in either direction.
pub const PAYLOAD_BYTES: usize = 1 << 30;
/// Most descriptors beside one packet, that of a large payload included.
pub const DESCRIPTORS: usize = 4;
/// Most that the system lets anybody send beside one (`SCM_MAX_FD`).
const SENT: usize = 253;

const HEADER_BYTES: usize = size_of::<PacketHeader>();

/// What came over the socket.
#[derive(Debug)]
pub struct Packet {
    /// Its head.
    pub header: PacketHeader,
    /// Its payload, in private memory.
    pub payload: Vec<u8>,
    /// The descriptors beside it, close-on-exec; that of a large payload is not among them.
    pub fds: Vec<OwnedFd>,
}

/// Who is at the other end of a Unix socket, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerCredentials {
    /// Process id in our PID namespace; 0 if it has none there.
    pub pid: u32,
    /// User id at the time of its connect.
    pub uid: u32,
    /// Group id at the time of its connect.
    pub gid: u32,
}

/// Sends one packet: whole or not at all.
///
/// # Errors
/// A peer that is gone, no room ([`WireError::WouldBlock`]), or more bytes or descriptors than may be.
pub fn send(
    fd: impl AsFd,
    id: u32,
    payload: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<(), WireError> {
    send_flagged(fd.as_fd(), id, 0, payload, fds)
}

/// A payload that is ready to be sent: a large one lies in its memfd already, so that trying to send
/// it again and again copies nothing.
#[derive(Debug)]
pub struct Ready {
    inline: Vec<u8>,
    memory: Option<OwnedFd>,
    length: u32,
}

impl Ready {
    /// Takes a payload.
    ///
    /// # Errors
    /// More bytes than may be, or no memory for the memfd.
    pub fn new(payload: Vec<u8>) -> Result<Self, WireError> {
        if payload.len() > PAYLOAD_BYTES {
            let (found, allowed) = (payload.len() as u64, PAYLOAD_BYTES as u64);
            return Err(WireError::TooLarge { found, allowed });
        }
        let length = payload.len() as u32;
        if payload.len() <= INLINE_BYTES {
            return Ok(Self { inline: payload, memory: None, length });
        }
        Ok(Self { inline: Vec::new(), memory: Some(sealed_copy(&payload)?), length })
    }

    /// Bytes that it takes until its receiver has read it, where that is a memfd.
    pub fn memory_bytes(&self) -> u64 {
        if self.memory.is_some() { self.length.into() } else { 0 }
    }

    /// Sends it as [`send`] would.
    ///
    /// # Errors
    /// As [`send`].
    pub fn send(&self, fd: impl AsFd, id: u32, fds: &[BorrowedFd<'_>]) -> Result<(), WireError> {
        let flags = if self.memory.is_some() { FLAG_MEMFD } else { 0 };
        let header =
            PacketHeader { magic: MAGIC, version: VERSION, flags, id, length: self.length };
        let own = self.memory.as_ref().map(AsFd::as_fd);
        let all: Vec<_> = own.into_iter().chain(fds.iter().copied()).collect();
        send_packet(fd.as_fd(), &header, &self.inline, &all)
    }
}

/// Whether the other side has read everything that was sent.
///
/// # Errors
/// Not a socket.
pub fn is_read(fd: impl AsFd) -> Result<bool, WireError> {
    let mut unread: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (which is TIOCOUTQ) writes one int.
    let status = unsafe {
        libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCOUTQ, core::ptr::from_mut(&mut unread))
    };
    if status != 0 {
        let source = Errno::from_io_error(&std::io::Error::last_os_error());
        let source = source.unwrap_or(Errno::INVAL);
        return Err(WireError::System { what: "SIOCOUTQ of the control socket", source });
    }
    Ok(unread == 0)
}

fn send_flagged(
    fd: BorrowedFd<'_>,
    id: u32,
    flags: u16,
    payload: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<(), WireError> {
    if payload.len() > PAYLOAD_BYTES {
        let (found, allowed) = (payload.len() as u64, PAYLOAD_BYTES as u64);
        return Err(WireError::TooLarge { found, allowed });
    }
    let length = payload.len() as u32;
    let header = PacketHeader { magic: MAGIC, version: VERSION, flags, id, length };
    if payload.len() <= INLINE_BYTES {
        return send_packet(fd, &header, payload, fds);
    }
    let memory = sealed_copy(payload)?;
    let header = PacketHeader { flags: flags | FLAG_MEMFD, ..header };
    let all: Vec<_> = core::iter::once(memory.as_fd()).chain(fds.iter().copied()).collect();
    send_packet(fd, &header, &[], &all)
}

fn send_packet(
    fd: BorrowedFd<'_>,
    header: &PacketHeader,
    payload: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<(), WireError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sent = fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(fds));
    if !sent || fds.len() > DESCRIPTORS {
        let (found, expected) = (fds.len() as u64, DESCRIPTORS as u64);
        return Err(WireError::Malformed { what: "number of descriptors", found, expected });
    }
    let parts = [IoSlice::new(header.as_bytes()), IoSlice::new(payload)];
    loop {
        match net::sendmsg(fd, &parts, &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(e) => return Err(WireError::system("sendmsg on the control socket")(e)),
        }
    }
}

/// A memfd with a copy of `bytes` that nobody can change any more.
fn sealed_copy(bytes: &[u8]) -> Result<OwnedFd, WireError> {
    let failed = |what| move |source| WireError::System { what, source };
    let memory = memfd("shmirror-payload")
        .map_err(|_| failed("memfd_create for a large payload")(Errno::NOMEM))?;
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(&memory, rest) {
            Ok(n) => rest = &rest[n.min(rest.len())..],
            Err(Errno::INTR) => {}
            Err(e) => return Err(failed("writing a large payload")(e)),
        }
    }
    fs::fcntl_add_seals(&memory, payload_seals() | SealFlags::SEAL)
        .map_err(failed("sealing a large payload"))?;
    Ok(memory)
}

fn payload_seals() -> SealFlags {
    SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE
}

/// The next packet, with a payload of up to [`PAYLOAD_BYTES`].
///
/// # Errors
/// As [`recv_within`].
pub fn recv(fd: impl AsFd) -> Result<Packet, WireError> {
    recv_within(fd, PAYLOAD_BYTES)
}

/// The next packet, with a payload of up to `limit` bytes. Descriptors beside a packet that is
/// refused are closed.
///
/// # Errors
/// A peer that is gone, nothing there ([`WireError::WouldBlock`]), a packet that is none of ours, or
/// one with a payload over `limit`.
pub fn recv_within(fd: impl AsFd, limit: usize) -> Result<Packet, WireError> {
    let mut fds = Vec::new();
    let packet = recv_keeping(fd, limit, &mut fds)?;
    Ok(Packet { fds, ..packet })
}

/// The same for who must not wait: who closes a descriptor waits for what is behind it, so this closes
/// none. All that came, also beside a packet that is refused, are in `fds`, but that of a payload which was
/// taken.
///
/// # Errors
/// As [`recv_within`].
pub fn recv_keeping(
    fd: impl AsFd,
    limit: usize,
    fds: &mut Vec<OwnedFd>,
) -> Result<Packet, WireError> {
    let mut buffer = vec![0; HEADER_BYTES + INLINE_BYTES];
    // The system would close those that have no room.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SENT))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        match net::recvmsg(fd.as_fd(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received,
            Err(Errno::INTR) => {}
            Err(e) => return Err(WireError::system("recvmsg on the control socket")(e)),
        }
    };
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            fds.extend(sent);
        }
    }
    if received.bytes == 0 {
        return Err(WireError::Closed);
    }
    for (flag, what) in [
        (ReturnFlags::TRUNC, "bytes cut off the packet, flag"),
        (ReturnFlags::CTRUNC, "descriptors cut off the packet, flag"),
    ] {
        if received.flags.contains(flag) {
            let found = flag.bits().into();
            return Err(WireError::Malformed { what, found, expected: 0 });
        }
    }
    if fds.len() > DESCRIPTORS {
        let (found, expected) = (fds.len() as u64, DESCRIPTORS as u64);
        return Err(WireError::Malformed { what: "number of descriptors", found, expected });
    }
    buffer.truncate(received.bytes);
    let header = check_header(&buffer)?;
    let length = header.length as usize;
    if length > limit.min(PAYLOAD_BYTES) {
        let (found, allowed) = (length as u64, limit.min(PAYLOAD_BYTES) as u64);
        return Err(WireError::TooLarge { found, allowed });
    }
    let payload = if header.flags & FLAG_MEMFD == 0 {
        buffer.drain(..HEADER_BYTES);
        buffer
    } else if fds.is_empty() {
        let what = "descriptors beside a packet with a large payload";
        return Err(WireError::Malformed { what, found: 0, expected: 1 });
    } else {
        // A memfd, once it is known to be that, is closed at once.
        let payload = read_sealed(&fds[0], length)?;
        drop(fds.remove(0));
        payload
    };
    if payload.len() != length {
        let (found, expected) = (payload.len() as u64, length as u64);
        return Err(WireError::Malformed { what: "bytes of payload", found, expected });
    }
    Ok(Packet { header, payload, fds: Vec::new() })
}

fn check_header(packet: &[u8]) -> Result<PacketHeader, WireError> {
    let Ok((header, _)) = PacketHeader::read_from_prefix(packet) else {
        let (found, expected) = (packet.len() as u64, HEADER_BYTES as u64);
        return Err(WireError::Malformed { what: "bytes of the packet", found, expected });
    };
    for (what, found, expected) in [
        ("first word", header.magic, MAGIC),
        ("version of the packet", header.version.into(), VERSION.into()),
    ] {
        if found != expected {
            let (found, expected) = (found.into(), expected.into());
            return Err(WireError::Malformed { what, found, expected });
        }
    }
    Ok(header)
}

/// The contents of a payload's memfd, after it was checked that they can no longer change and are
/// as long as the packet said.
fn read_sealed(memory: &OwnedFd, length: usize) -> Result<Vec<u8>, WireError> {
    let expected = payload_seals();
    let found = fs::fcntl_get_seals(memory).unwrap_or(SealFlags::empty());
    if !found.contains(expected) {
        let (found, expected) = (found.bits().into(), expected.bits().into());
        return Err(WireError::Malformed { what: "seals of a large payload", found, expected });
    }
    let failed = |source| WireError::System { what: "reading a large payload", source };
    let size = fs::fstat(memory).map_err(failed)?.st_size as u64;
    if size != length as u64 {
        let expected = length as u64;
        return Err(WireError::Malformed {
            what: "bytes of a large payload",
            found: size,
            expected,
        });
    }
    let mut payload = Vec::new();
    payload.try_reserve_exact(length).map_err(|_| failed(Errno::NOMEM))?;
    payload.resize(length, 0);
    let mut done = 0;
    while done < length {
        match rustix::io::pread(memory, &mut payload[done..], done as u64) {
            Ok(0) => return Err(failed(Errno::IO)),
            Ok(n) => done += n,
            Err(Errno::INTR) => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(payload)
}

/// Who is at the other end (`SO_PEERCRED`).
///
/// # Errors
/// Not a connected Unix socket.
pub fn peer_credentials(fd: impl AsFd) -> Result<PeerCredentials, WireError> {
    // Not rustix's: its pid type has no zero, which is what a peer of another PID namespace has.
    let mut found = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `found` is plain data and `length` its size; the kernel writes no more than that.
    let status = unsafe {
        libc::getsockopt(
            fd.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut length,
        )
    };
    if status != 0 || length as usize != size_of::<libc::ucred>() || found.uid == u32::MAX {
        let source = Errno::from_io_error(&std::io::Error::last_os_error());
        let source = source.filter(|_| status != 0).unwrap_or(Errno::NOTCONN);
        return Err(WireError::System { what: "SO_PEERCRED of the control socket", source });
    }
    let pid = u32::try_from(found.pid).unwrap_or(0);
    Ok(PeerCredentials { pid, uid: found.uid, gid: found.gid })
}

/// The supplementary groups of the process at the other end, as the kernel took them down at its
/// connect (`SO_PEERGROUPS`, Linux 4.13).
///
/// # Errors
/// No Unix socket, or one that is not connected.
pub fn peer_groups(fd: impl AsFd) -> Result<Vec<u32>, WireError> {
    let fd = fd.as_fd();
    let mut groups: Vec<u32> = vec![0; 64];
    loop {
        let space = size_of_val(&groups[..]);
        let mut length = space as libc::socklen_t;
        // SAFETY: `groups` has `length` bytes of plain data; the kernel writes no more than that.
        let status = unsafe {
            libc::getsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = length as usize / size_of::<u32>();
        if status == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let source = Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL);
        // With too little room the kernel says how much there should be.
        if source == Errno::RANGE && length as usize > space {
            groups.resize(count, 0);
            continue;
        }
        return Err(WireError::System { what: "SO_PEERGROUPS of the control socket", source });
    }
}

#[cfg(test)]
mod tests;
