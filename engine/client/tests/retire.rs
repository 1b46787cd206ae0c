//! A requests lane is retired under its producers: nothing is lost, nothing is done twice.

mod common;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{LONG, Place, until};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde_json::json;
use shmirror_shm::wire::{Answer, Call, ROLE_PRODUCER};
use shmirror_shm::wire_io;

/// Has the present lane retired, as a producer does that finds its mutex stuck.
fn retire(socket: &OwnedFd) {
    let call = |call: &Call| wire_io::call_within(socket, call, LONG).unwrap().0;
    let Answer::Lane { lane, .. } = call(&Call::Lane) else { panic!("no lane") };
    let Answer::Lane { lane: fresh, .. } = call(&Call::RetireLane(lane)) else { panic!("no lane") };
    assert_ne!(lane, fresh);
}

#[test]
fn what_was_taken_is_answered_and_what_was_not_is_submitted_again() {
    let place = Place::served();
    let producer = place.producer();
    producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)").unwrap();
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    rustix::net::connect(&socket, &SocketAddrUnix::new(place.socket()).unwrap()).unwrap();
    wire_io::greet(&socket, ROLE_PRODUCER, "test", LONG).unwrap();

    const WRITERS: i64 = 3;
    for id in 0..WRITERS {
        producer.insert("t", &json!({"id": id, "v": 0})).unwrap();
    }
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let count = "UPDATE t SET v = v + 1 WHERE id = ?1";
    let done: Vec<i64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|id| {
                let (producer, stop, acknowledged) = (producer.clone(), &stop, &acknowledged);
                scope.spawn(move || {
                    let mut done = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let (commit, _) = producer.sql(count, &[id.into()]).unwrap();
                        assert_eq!(commit.changes, 1);
                        done += 1;
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                    done
                })
            })
            .collect();
        for _ in 0..20 {
            let before = acknowledged.load(Ordering::Relaxed);
            until("progress", || acknowledged.load(Ordering::Relaxed) > before + 10);
            retire(&socket);
        }
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    let table = place.mirror().table("t").unwrap();
    for (id, done) in (0..).zip(done) {
        assert_eq!(table.get(id).unwrap().unwrap().get::<i64>("v").unwrap(), done, "writer {id}");
    }
}

#[test]
fn tickets_outlive_a_clean_stop() {
    let mut place = Place::served();
    let producer = place.producer();
    producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").unwrap();
    let tickets: Vec<_> = (0..200)
        .map(|i| {
            let row = json!({"id": i, "v": "x".repeat(50)});
            producer.begin().insert("t", &row).unwrap().submit().unwrap()
        })
        .collect();
    place.stop();
    place.start();
    let mut newest = 0;
    for ticket in tickets {
        let commit = ticket.wait().unwrap();
        assert!(commit.revision > newest, "in the order of submission");
        newest = commit.revision;
    }
    assert_eq!(place.mirror().table("t").unwrap().len(), 200);
}

#[test]
fn a_full_lane_says_so_at_once_or_is_waited_for() {
    let place = Place::served();
    let producer = place.producer();
    producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").unwrap();
    let changes = |i: i64| {
        let row = json!({"id": i, "v": "x".repeat(100_000)});
        producer.begin().insert("t", &row).unwrap().into_changes().unwrap()
    };
    // Twelve times the lane: some are refused, unless the daemon is faster than this loop.
    let (mut tickets, mut full) = (Vec::new(), 0);
    for i in 0..120 {
        match producer.try_submit(changes(i)) {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => {
                assert_eq!(error.code(), "full", "{error}");
                full += 1;
                tickets.push(producer.submit(changes(i)).unwrap());
            }
        }
    }
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    assert_eq!(place.mirror().table("t").unwrap().len(), 120);
    println!("{full} of 120 found the lane full");
}

#[test]
fn who_asks_too_late_is_told_so() {
    let place = Place::served();
    let (producer, other) = (place.producer(), place.producer());
    producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").unwrap();
    let late = producer.begin().upsert("t", &json!({"id": 0})).unwrap().submit().unwrap();
    // The same lane, by another producer, so that the first one does not take its outcome meanwhile.
    let rest: Vec<_> = (0..4200)
        .map(|i| {
            other.begin().upsert("t", &json!({"id": i % 7, "v": i})).unwrap().submit().unwrap()
        })
        .collect();
    for ticket in rest {
        ticket.wait().unwrap();
    }
    assert_eq!(late.wait().unwrap_err().code(), "outcome-expired");
}
