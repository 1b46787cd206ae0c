//! The control socket under clients that are slow, wrong or hostile: nobody else notices.
#![allow(missing_docs)]

mod common;

use std::io::IoSlice;
use std::time::Duration;

use common::{Client, LONG, Place, connect, until};
use rustix::net::{SendFlags, send};
use shmirror_shm::wire::{self, Answer, Call, Hello, RefuseCode};
use shmirror_shm::wire_io::{self, WireError};
use shmirror_shm::{archive, layout, limits};
use zerocopy::IntoBytes;

#[test]
fn another_layout_is_refused_by_name() {
    let place = Place::new();
    let daemon = place.start();
    let fd = connect(daemon.socket());
    let hello = Hello { layout_hash: layout::LAYOUT_HASH ^ 1, ..wire_io::hello(1, "old") };
    wire_io::send(&fd, 0, hello.as_bytes(), &[]).unwrap();
    let packet = wire_io::recv(&fd).unwrap();
    assert_ne!(packet.header.flags & wire_io::FLAG_MISMATCH, 0);
    assert!(matches!(wire_io::recv(&fd), Err(WireError::Closed)));
    daemon.stop().unwrap();
}

#[test]
fn nonsense_ends_its_own_connection_alone() {
    let place = Place::new();
    let daemon = place.start();
    let good = Client::attach(daemon.socket());
    for nonsense in [&b"x"[..], &[0u8; 16], &[0xFF; 4_000]] {
        let fd = connect(daemon.socket());
        send(&fd, nonsense, SendFlags::empty()).unwrap();
        assert!(matches!(wire_io::recv(&fd), Err(WireError::Closed)));
    }
    // A greeted client that sends what is no call is told so and may go on.
    wire_io::send(&good.fd, 7, b"what?", &[]).unwrap();
    let packet = wire_io::recv(&good.fd).unwrap();
    assert_eq!(packet.header.id, 7);
    let answer = archive::from_bytes::<Answer>(&packet.payload).unwrap();
    assert!(matches!(answer, Answer::Refused { code: RefuseCode::Malformed, .. }));
    assert!(good.call(&Call::Segment("main".to_owned())).is_ok());
    // A call for another kind of client, before any Hello.
    let fd = connect(daemon.socket());
    let call = archive::to_bytes(&Call::Segment("main".to_owned())).unwrap();
    wire_io::send(&fd, 1, &call, &[]).unwrap();
    assert!(matches!(wire_io::recv(&fd), Err(WireError::Closed)));
    daemon.stop().unwrap();
}

#[test]
fn a_client_that_never_reads_holds_up_nobody() {
    let place = Place::new();
    let daemon = place.start();
    let deaf = Client::attach(daemon.socket());
    let call = archive::to_bytes(&Call::Status).unwrap();
    // Far more calls than may be under way: the daemon stops reading them.
    let mut sent = 0;
    for id in 0..100_000u32 {
        let header = wire::PacketHeader {
            magic: wire::MAGIC,
            version: wire::VERSION,
            flags: 0,
            id,
            length: call.len() as u32,
        };
        let parts = [IoSlice::new(header.as_bytes()), IoSlice::new(&call)];
        let mut none = rustix::net::SendAncillaryBuffer::default();
        match rustix::net::sendmsg(&deaf.fd, &parts, &mut none, SendFlags::DONTWAIT) {
            Ok(_) => sent += 1,
            Err(_) => {
                if sent > 64 {
                    break;
                }
            }
        }
    }
    let silent = connect(daemon.socket());
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    assert!(lane.insert("t", &[(1, "x")]).committed);
    // Once it reads, it gets every answer, in order.
    for id in 0..sent.min(500) {
        assert_eq!(wire_io::recv(&deaf.fd).unwrap().header.id, id);
    }
    drop(silent);
    daemon.stop().unwrap();
}

#[test]
fn who_does_not_greet_is_sent_away() {
    let place = Place::new();
    let daemon = place.start();
    let silent = connect(daemon.socket());
    let ended = std::thread::spawn(move || wire_io::recv(&silent));
    let client = Client::attach(daemon.socket());
    until("the end of the silent one", || ended.is_finished());
    assert!(matches!(ended.join().unwrap(), Err(WireError::Closed)));
    assert!(client.call(&Call::Status).is_ok());
    daemon.stop().unwrap();
}

#[test]
fn a_scribbled_lane_is_closed_and_remade() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    client.lane().sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let (answer, mut fds) = client.call(&Call::Lane).unwrap();
    let Answer::Lane { lane, bytes } = answer else { panic!("{answer:?}") };
    let region = shmirror_shm::Region::map_read_write(fds.remove(0), bytes).unwrap();
    // Everything behind the header's constants, outcomes and ring included.
    for offset in (64..bytes).step_by(8) {
        let word = region.word(offset).unwrap();
        word.store(0xDEAD_BEEF_DEAD_BEEF, std::sync::atomic::Ordering::Relaxed);
    }
    until("a lane of another id", || {
        let (answer, _) = client.call(&Call::Lane).unwrap();
        matches!(answer, Answer::Lane { lane: fresh, .. } if fresh != lane)
    });
    assert!(client.lane().insert("t", &[(1, "works")]).committed);
    daemon.stop().unwrap();
}

#[test]
fn calls_of_a_stopping_daemon_and_after() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let socket = daemon.socket().to_owned();
    daemon.stop().unwrap();
    let called = wire_io::call_within(&client.fd, &Call::Status, Duration::from_secs(5));
    assert!(called.is_err());
    assert!(!socket.exists());
}

#[test]
fn one_client_too_many_is_refused_until_another_leaves() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let place = Place::new();
    let daemon = place.start();
    let mut clients: Vec<Client> =
        (0..limits::CLIENTS).map(|_| Client::attach(daemon.socket())).collect();
    let fd = connect(daemon.socket());
    let refused = wire_io::greet(&fd, wire::ROLE_MIRROR, "one more", LONG);
    assert!(
        matches!(refused, Err(WireError::Refused { code: RefuseCode::Limit, .. })),
        "{refused:?}"
    );
    assert!(clients[0].call(&Call::Segment("main".to_owned())).is_ok());
    clients.pop();
    until("a free place", || {
        wire_io::greet(connect(daemon.socket()), wire::ROLE_MIRROR, "again", LONG).is_ok()
    });
    daemon.stop().unwrap();
}
