//! Packets over a real socket pair, and peers that send garbage.

use super::*;
use crate::wire::{Answer, Call, Hello, ROLE_MIRROR, RefuseCode, Seen};
use crate::{archive, layout};
use core::time::Duration;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::thread;

const LONG: Duration = Duration::from_secs(20);

fn pair(flags: SocketFlags) -> (OwnedFd, OwnedFd) {
    let flags = flags | SocketFlags::CLOEXEC;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("a socket pair")
}

fn raw(header: PacketHeader, payload: &[u8], fds: &[BorrowedFd<'_>]) -> Result<Packet, WireError> {
    let (a, b) = pair(SocketFlags::NONBLOCK);
    send_packet(a.as_fd(), &header, payload, fds).expect("room for one packet");
    recv(&b)
}

fn header(flags: u16, length: usize) -> PacketHeader {
    PacketHeader { magic: MAGIC, version: VERSION, flags, id: 1, length: length as u32 }
}

#[test]
fn payloads_of_every_size_and_descriptors_arrive() {
    let (a, b) = pair(SocketFlags::NONBLOCK);
    for size in [0, 1, INLINE_BYTES - 1, INLINE_BYTES, INLINE_BYTES + 1, 5 << 20] {
        let payload: Vec<u8> = (0..size).map(|i| (i * 31 % 251) as u8).collect();
        send(&a, 77, &payload, &[a.as_fd(), b.as_fd()]).expect("sending");
        let packet = recv(&b).expect("receiving");
        assert_eq!(packet.header.id, 77);
        assert_eq!(packet.payload, payload, "{size} bytes");
        assert_eq!(packet.fds.len(), 2, "{size} bytes");
        for fd in &packet.fds {
            let flags = rustix::io::fcntl_getfd(fd).expect("an open descriptor");
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }
    assert!(recv(&b).expect_err("nothing was sent").is_would_block());
    drop(a);
    assert!(recv(&b).expect_err("the peer is gone").is_disconnect());
    assert!(send(&b, 1, &[], &[]).expect_err("the peer is gone").is_disconnect());
}

#[test]
fn a_full_socket_blocks_nobody() {
    let (a, b) = pair(SocketFlags::NONBLOCK);
    let mut sent = 0;
    while match send(&a, sent, &[7; 40_000], &[]) {
        Ok(()) => true,
        Err(e) => !e.is_would_block(),
    } {
        sent += 1;
        assert!(sent < 100_000, "a socket takes no more than its buffer");
    }
    assert!(sent > 0);
    assert_eq!(recv(&b).expect("the first packet").header.id, 0);
    send(&a, sent, &[], &[]).expect("room again");
}

#[test]
fn too_many_bytes_or_descriptors_are_refused() {
    let (a, b) = pair(SocketFlags::NONBLOCK);
    let five = [a.as_fd(); DESCRIPTORS + 1];
    assert!(matches!(send(&a, 1, &[], &five), Err(WireError::Malformed { found: 5, .. })));
    send(&a, 1, &[1; 100], &[]).expect("sending");
    let refused = recv_within(&b, 99);
    assert!(matches!(refused, Err(WireError::TooLarge { found: 100, allowed: 99 })), "{refused:?}");
    let refused = raw(header(FLAG_MEMFD, PAYLOAD_BYTES + 1), &[], &[a.as_fd()]);
    assert!(matches!(refused, Err(WireError::TooLarge { .. })), "{refused:?}");
}

#[test]
fn garbage_is_a_typed_error() {
    let (a, b) = pair(SocketFlags::NONBLOCK);
    for garbage in [&b"x"[..], b"fifteen bytes..", &[0; 16], &[0xFF; 4000]] {
        rustix::net::send(&a, garbage, SendFlags::empty()).expect("room");
        let error = recv(&b).expect_err("garbage");
        assert!(matches!(error, WireError::Malformed { .. }), "{error}");
    }
    rustix::net::send(&a, &[1; 100_000], SendFlags::empty()).expect("room");
    let error = recv(&b).expect_err("a packet longer than ours can be");
    assert!(error.to_string().contains("cut off"), "{error}");
    let bad = PacketHeader { version: VERSION + 1, ..header(0, 0) };
    assert!(raw(bad, &[], &[]).is_err());
    for (claimed, sent) in [(5, 4), (4, 5), (0, 1), (1, 0)] {
        let error = raw(header(0, claimed), &vec![0; sent], &[]).expect_err("a lie");
        assert!(error.to_string().contains("bytes of payload"), "{error}");
    }
}

#[test]
fn a_large_payload_that_could_change_is_refused() {
    let memory = |bytes: &[u8], seals: SealFlags| {
        let fd = memfd("test").expect("a memfd");
        rustix::io::write(&fd, bytes).expect("writing");
        fs::fcntl_add_seals(&fd, seals).expect("sealing");
        fd
    };
    let all = payload_seals();
    let good = memory(b"abc", all);
    let packet = raw(header(FLAG_MEMFD, 3), &[], &[good.as_fd()]).expect("a sealed payload");
    assert_eq!((packet.payload.as_slice(), packet.fds.len()), (&b"abc"[..], 0));
    for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::WRITE] {
        let fd = memory(b"abc", all - missing);
        let error = raw(header(FLAG_MEMFD, 3), &[], &[fd.as_fd()]).expect_err("not sealed");
        assert!(error.to_string().contains("seals"), "{error}");
    }
    for length in [0, 2, 4, 1 << 29] {
        let fd = memory(b"abc", all);
        let error =
            raw(header(FLAG_MEMFD, length), &[], &[fd.as_fd()]).expect_err("another length");
        assert!(error.to_string().contains("bytes of a large payload"), "{error}");
    }
    assert!(raw(header(FLAG_MEMFD, 3), &[], &[]).is_err(), "no descriptor");
    let (a, _b) = pair(SocketFlags::empty());
    assert!(raw(header(FLAG_MEMFD, 3), &[], &[a.as_fd()]).is_err(), "a socket");
}

#[test]
fn the_peer_is_who_the_kernel_says() {
    let (a, _b) = pair(SocketFlags::empty());
    let peer = peer_credentials(&a).expect("a connected socket");
    assert_eq!(peer.pid, std::process::id());
    assert_eq!(peer.uid, rustix::process::getuid().as_raw());
    assert_eq!(peer.gid, rustix::process::getgid().as_raw());
    let file = memfd("test").expect("a memfd");
    assert!(matches!(
        peer_credentials(&file),
        Err(WireError::System { source: Errno::NOTSOCK, .. })
    ));
}

#[test]
fn a_greeting_and_a_call() {
    let (client, daemon) = pair(SocketFlags::NONBLOCK);
    let daemon = thread::spawn(move || {
        let until = |_| thread::yield_now();
        let next =
            || (0..).find_map(|i| recv(&daemon).map_err(|_| until(i)).ok()).expect("a packet");
        let packet = next();
        let hello = read_hello(&packet).expect("a Hello");
        assert_eq!(hello.layout_hash, layout::LAYOUT_HASH);
        assert_eq!((hello.roles, text(&hello.program)), (ROLE_MIRROR, "prögram".to_owned()));
        let welcome = Answer::Welcome {
            instance: [3; 16],
            name: "plant".into(),
            generation: 4,
            version: "1".into(),
            pid: 5,
            revision: 6,
            namespaces: vec![Seen { id: 3, name: "plant".into(), writable: true }],
        };
        send(&daemon, 0, &archive::to_bytes(&welcome).expect("an archive"), &[]).expect("room");
        let packet = next();
        assert_eq!(archive::from_bytes::<Call>(&packet.payload).expect("a call"), Call::Status);
        let id = packet.header.id;
        let late = archive::to_bytes(&Answer::Done).expect("an archive");
        send(&daemon, id.wrapping_sub(1), &late, &[]).expect("room");
        let answer = archive::to_bytes(&Answer::Text("x".repeat(200_000))).expect("an archive");
        send(&daemon, id, &answer, &[daemon.as_fd()]).expect("room");
        let id = next().header.id;
        let refusal = Answer::Refused { code: RefuseCode::Denied, message: "no".into() };
        send(&daemon, id, &archive::to_bytes(&refusal).expect("an archive"), &[]).expect("room");
        next()
    });
    let welcome = greet(&client, ROLE_MIRROR, "prögram", LONG).expect("a welcome");
    assert_eq!((welcome.name.as_str(), welcome.revision), ("plant", 6));
    let (answer, fds) = call_within(&client, &Call::Status, LONG).expect("an answer");
    assert!(matches!(answer, Answer::Text(t) if t.len() == 200_000));
    assert_eq!(fds.len(), 1);
    let refused = call(&client, &Call::Check).expect_err("a refusal");
    assert!(matches!(refused, WireError::Refused { code: RefuseCode::Denied, .. }));
    let brief = Duration::from_millis(5);
    let error = call_within(&client, &Call::Check, brief).expect_err("no answer");
    assert!(matches!(error, WireError::TimedOut { millis: 5 }) || error.is_disconnect(), "{error}");
    daemon.join().expect("the daemon's side passes");
}

#[test]
fn builds_of_another_layout_name_both_sides() {
    let (client, daemon) = pair(SocketFlags::empty());
    refuse_layout(&daemon, 0).expect("room");
    match greet(&client, 0, "p", LONG) {
        Err(WireError::Layout { client, daemon, daemon_version, .. }) => {
            assert_eq!((client, daemon), (layout::LAYOUT_HASH, layout::LAYOUT_HASH));
            assert_eq!(daemon_version, env!("CARGO_PKG_VERSION"));
        }
        other => panic!("{other:?}"),
    }
    let sent = read_hello(&recv(&daemon).expect("the Hello")).expect("a Hello");
    assert_eq!(sent.pid, std::process::id());
}

#[test]
fn a_hello_is_exactly_one() {
    for length in [0, 63, 65, 4000] {
        let packet = Packet { header: header(0, length), payload: vec![1; length], fds: vec![] };
        assert!(read_hello(&packet).is_err(), "{length} bytes");
    }
    let packet = Packet { header: header(0, 64), payload: vec![0xFF; 64], fds: vec![] };
    let hello: Hello = read_hello(&packet).expect("64 bytes of whatever");
    assert_eq!(text(&hello.program), "\u{fffd}".repeat(32));
    assert_eq!(text(b"a\nb\x1b[1m\0c"), "a?b?[1m");
    let long = "ä".repeat(20);
    assert_eq!(text(&super::talk::hello(0, &long).program), "ä".repeat(16));
    assert_eq!(text(&super::talk::hello(0, &format!("x{long}")).program).len(), 31);
}
