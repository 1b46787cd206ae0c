//! Who made a change: the user and process that the lane tells of, whatever a record says; and a lane is
//! nobody else's.

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::WaitOptions;
use serde_json::Value as Json;
use shmirror_shm::lane::{Poll, RequestKind, RequestsProducer};
use shmirror_shm::region::Region;
use shmirror_shm::request::{Request, SqlRequest};
use shmirror_shm::wire::{Answer, Call, ROLE_PRODUCER, RefuseCode};
use shmirror_shm::wire_io::WireError;
use shmirror_shm::{archive, wire_io};

use crate::common::{PATIENCE, until};
use crate::people::{Person, Task, User, say};
use crate::{ENGINEERS, OPERATOR, instance, is_root};

const RULES: &str = "[namespaces.plant]\nwriters = ['user:61001', 'group:61011']\n\
                     [namespaces.desk]\nwriters = ['group:61012']\n";

/// A connection that greeted as a producer.
fn attach(task: &Task) -> rustix::fd::OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    connect(&socket, &SocketAddrUnix::new(&task.socket).unwrap()).unwrap();
    wire_io::greet(&socket, ROLE_PRODUCER, "writer", PATIENCE).unwrap();
    socket
}

fn lane(socket: impl AsFd) -> (RequestsProducer, (u64, u64)) {
    let (answer, fds) = wire_io::call(socket, &Call::Lane).unwrap();
    let Answer::Lane { bytes, .. } = answer else { panic!("{answer:?}") };
    let [memory, doorbell] = <[_; 2]>::try_from(fds).unwrap();
    let file = rustix::fs::fstat(&memory).unwrap();
    let region = Region::map_read_write(memory, bytes).unwrap();
    (RequestsProducer::open(Arc::new(region), doorbell).unwrap(), (file.st_dev, file.st_ino))
}

fn submit(lane: &RequestsProducer, sql: &str) {
    let request =
        Request::Sql(SqlRequest { sql: sql.to_owned(), params: vec![], want_rows: false });
    let payload = archive::to_bytes(&request).unwrap();
    let ticket = lane.try_submit(RequestKind::REQUEST, &payload).unwrap();
    until("the outcome", || match lane.poll(ticket) {
        Poll::Done(outcome) => {
            assert!(outcome.committed, "{}", outcome.message);
            true
        }
        _ => false,
    });
}

/// Writes as itself, then as a process that never attached and says so in its record.
pub fn write(task: &Task) {
    say(std::process::id());
    let socket = attach(task);
    let (lane, _) = lane(&socket);
    while let Some(line) = task.hear() {
        match line.as_str() {
            "own" => submit(&lane, "INSERT INTO plant.pid(v) VALUES('own')"),
            // The pid in the record is that of the process that writes it: of one that the daemon has
            // never heard of.
            "forked" => {
                // SAFETY: the child allocates only after a fork of a process whose other threads wait for
                // nothing, writes into the lane and ends; it runs none of the harness.
                let child = unsafe { libc_fork() };
                if child == 0 {
                    submit(&lane, "INSERT INTO plant.pid(v) VALUES('forked')");
                    std::process::exit(0);
                }
                let pid = rustix::process::Pid::from_raw(child).unwrap();
                let status = rustix::process::waitpid(Some(pid), WaitOptions::empty()).unwrap();
                assert!(status.is_some_and(|(_, s)| s.exit_status() == Some(0)));
                say(child);
                continue;
            }
            other => panic!("{other}"),
        }
        say("done");
    }
}

/// As the system's `fork`: nothing of this program is to run at it.
unsafe fn libc_fork() -> i32 {
    unsafe extern "C" {
        fn fork() -> i32;
    }
    // SAFETY: as the caller says.
    unsafe { fork() }
}

#[test]
fn every_change_says_which_user_and_process_the_lane_is_of() {
    if !is_root("who made a change, where it is another user") {
        return;
    }
    let i = instance(RULES);
    i.sql("CREATE TABLE plant.pid(id INTEGER PRIMARY KEY, v)");
    let user = Some(User(OPERATOR, &[OPERATOR]));
    let mut first = Person::start(&i, user, "writer");
    let first_pid: u32 = first.hear().parse().unwrap();
    first.ask("own");
    let unheard_of: u32 = first.ask("forked").parse().unwrap();
    let mut second = Person::start(&i, user, "writer");
    let second_pid: u32 = second.hear().parse().unwrap();
    second.ask("own");
    first.ask("own");
    second.ask("forked");
    first.finish();
    second.finish();
    let history: Vec<Json> = i
        .run(&["log", "plant.pid", "--json"])
        .ok()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Json| event["operation"] == "insert")
        .collect();
    let who: Vec<(u64, u64)> =
        history.iter().map(|e| (e["uid"].as_u64().unwrap(), e["pid"].as_u64().unwrap())).collect();
    let by = |pid: u32| (u64::from(OPERATOR), u64::from(pid));
    // Whoever else writes into a lane of which one process is known is that one; of several it is not
    // known which, and never who it says.
    assert_eq!(who, [by(first_pid), by(first_pid), by(second_pid), by(first_pid), by(0)]);
    assert!(!who.contains(&by(unheard_of)));
}

/// Says which lane it has, and tries for others.
pub fn ask_for_lanes(task: &Task) {
    let socket = attach(task);
    let (own, file) = lane(&socket);
    say(format!("{} {} {}", own.lane_id(), file.0, file.1));
    while let Some(other) = task.hear() {
        let other: u64 = other.parse().unwrap();
        // Retiring it brings the own one, and does nothing to the other.
        let (answer, _) = wire_io::call(&socket, &Call::RetireLane(other)).unwrap();
        assert!(matches!(answer, Answer::Lane { lane, .. } if lane == own.lane_id()), "{answer:?}");
        let refused = |call: &Call| match wire_io::call(&socket, call) {
            Err(WireError::Refused { code, .. }) => code,
            answer => panic!("{answer:?}"),
        };
        for ticket in 0..4 {
            let code = refused(&Call::Result { lane: other, ticket });
            assert_eq!(code, RefuseCode::Expired);
        }
        say("nothing");
    }
}

#[test]
fn a_lane_of_one_user_is_not_to_be_had_by_another() {
    if !is_root("that a lane is its user's alone") {
        return;
    }
    let i = instance(RULES);
    i.sql("CREATE TABLE plant.pid(id INTEGER PRIMARY KEY, v)");
    let start = |uid, groups: &[u32]| {
        let person = Person::start(&i, Some(User(uid, groups)), "laner");
        let said = person.hear();
        let (lane, file) = said.split_once(' ').unwrap();
        (person, lane.to_owned(), file.to_owned())
    };
    let (mut one, lane_of_one, file_of_one) = start(OPERATOR, &[OPERATOR]);
    let (same, lane_of_same, file_of_same) = start(OPERATOR, &[OPERATOR]);
    assert_eq!((&lane_of_same, &file_of_same), (&lane_of_one, &file_of_one));
    let (mut two, lane_of_two, file_of_two) = start(61_020, &[61_020, ENGINEERS]);
    assert!(lane_of_two != lane_of_one && file_of_two != file_of_one);
    // The same user with other groups may do other things: another lane.
    let (more, lane_of_more, file_of_more) = start(OPERATOR, &[OPERATOR, 61_012]);
    assert!(lane_of_more != lane_of_one && file_of_more != file_of_one);
    assert_eq!(two.ask(&lane_of_one), "nothing");
    assert_eq!(one.ask(&lane_of_two), "nothing");
    // It is still there, as it was.
    let status: Json = serde_json::from_str(&i.run(&["status", "--json"]).ok()).unwrap();
    let lanes: Vec<u64> = status["lanes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| u64::from_str_radix(l["id"].as_str().unwrap(), 16).unwrap())
        .collect();
    assert!(lanes.contains(&lane_of_one.parse().unwrap()), "{lanes:?}");
    assert!(lanes.contains(&lane_of_two.parse().unwrap()), "{lanes:?}");
    for person in [one, same, two, more] {
        person.finish();
    }
}
