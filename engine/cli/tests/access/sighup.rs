//! Rules that change while the daemon serves: who lost a right is shut out, who kept theirs notices
//! nothing, and who was shut out sees nothing of what comes after.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use shmirror::{Error, Event, Mirror, Producer, Subscriber};
use shmirror_shm::region::Region;
use shmirror_shm::wire::{Answer, Call, ROLE_MIRROR, ROLE_SUBSCRIBER};
use shmirror_shm::wire_io;

use crate::common::{Instance, PATIENCE, until};
use crate::people::{Person, Task, User, say};
use crate::{ENGINEER, ENGINEERS, OPERATOR, OPERATORS, RULES, instance, is_root, log};

/// Follows `plant`, reads and writes it, until it is shut out, and after that.
pub fn follow(task: &Task) {
    let mirror = Mirror::attach(&task.options()).unwrap();
    let table = mirror.table("plant.pid").unwrap();
    let producer = Producer::attach(&task.options());
    let mut changes =
        Subscriber::builder(&task.options()).tables(&["plant.pid"]).subscribe().unwrap();
    say("following");
    while let Some(line) = task.hear() {
        match line.split_once(' ').unwrap() {
            // A row that must come, by the mirror and by the subscriber.
            ("sees", value) => {
                let deadline = Instant::now() + PATIENCE;
                let told = |event: &Event| event.to_json().to_string().contains(value);
                while !changes.next(Duration::from_secs(1)).unwrap().is_some_and(|e| told(&e)) {
                    assert!(Instant::now() < deadline, "no event of {value}");
                }
                let rows = table.scan().unwrap();
                assert!(rows.iter().any(|row| row.to_json().to_string().contains(value)));
                say("seen");
            }
            // Every way in is shut.
            ("shut", value) => {
                let deadline = Instant::now() + PATIENCE;
                let denied = |what: &str, found: Result<(), Error>| match found {
                    Err(Error::Denied { .. }) => true,
                    Ok(()) => false,
                    Err(error) => {
                        assert!(Instant::now() < deadline, "{what}: {error}");
                        false
                    }
                };
                until("reads are denied", || denied("get", table.get(1).map(|_| ())));
                until("following is denied", || {
                    denied(
                        "following",
                        match changes.next(Duration::from_millis(100)) {
                            Ok(Some(event)) => {
                                assert!(!event.to_json().to_string().contains(value), "{event:?}");
                                Ok(())
                            }
                            other => other.map(|_| ()),
                        },
                    )
                });
                if let Ok(producer) = &producer {
                    until("writing is denied", || {
                        let row = json!({"v": "by one who may not"});
                        denied("put", producer.insert("plant.pid", &row).map(|_| ()))
                    });
                }
                until("attaching is denied", || {
                    denied("attach", Mirror::attach(&task.options()).map(|_| ()))
                });
                assert!(!mirror.is_live());
                say("shut");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Keeps the memory that it was handed, and lets go of everything else.
pub fn keep(task: &Task) {
    use rustix::net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
    };
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    connect(&socket, &SocketAddrUnix::new(&task.socket).unwrap()).unwrap();
    wire_io::greet(&socket, ROLE_MIRROR | ROLE_SUBSCRIBER, "keeper", PATIENCE).unwrap();
    let regions: Vec<Region> = [Call::Segment("plant".into()), Call::Events("plant".into())]
        .iter()
        .map(|call| {
            let (answer, mut fds) = wire_io::call(&socket, call).unwrap();
            let (Answer::Segment { bytes, .. } | Answer::Events { bytes, .. }) = answer else {
                panic!("{answer:?}")
            };
            Region::map_read_only(fds.remove(0), bytes).unwrap()
        })
        .collect();
    drop(socket);
    say("keeping");
    while let Some(text) = task.hear() {
        // Only what has memory behind it: the rest of the reserve is empty.
        let found = regions.iter().any(|region| {
            let words = usize::try_from(region.len() / 8).unwrap().min(4 << 20);
            let words = region.words(0, words).unwrap();
            let load = |w: &std::sync::atomic::AtomicU64| {
                w.load(std::sync::atomic::Ordering::Relaxed).to_le_bytes()
            };
            let bytes: Vec<u8> = words.iter().flat_map(load).collect();
            bytes.windows(text.len()).any(|w| w == text.as_bytes())
        });
        say(if found { "found" } else { "not found" });
    }
}

fn rules(i: &Instance, text: &str) {
    let before = log(i).matches("SIGHUP").count();
    std::fs::write(i.path("data").join("shmirror.toml"), text).unwrap();
    i.daemon.signal(Signal::HUP);
    until("the rules were read", || log(i).matches("SIGHUP").count() > before);
}

fn put(i: &Instance, value: &str) {
    i.sql(&format!("INSERT INTO plant.pid(v) VALUES('{value}')"));
}

#[test]
fn who_loses_a_right_is_shut_out_and_who_keeps_it_notices_nothing() {
    if !is_root("what changed rules do to other users") {
        return;
    }
    let i = instance(RULES);
    i.sql("CREATE TABLE plant.pid(id INTEGER PRIMARY KEY, v)");
    put(&i, "first-value");
    let start = |uid, groups: &[u32], role| {
        let person = Person::start(&i, Some(User(uid, groups)), role);
        assert!(["following", "keeping"].contains(&&*person.hear()));
        person
    };
    let mut loser = start(OPERATOR, &[OPERATOR], "follower");
    let mut writer = start(61_020, &[61_020, ENGINEERS], "follower");
    let mut stays = start(61_021, &[61_021, OPERATORS], "follower");
    let mut keeper = start(OPERATOR, &[OPERATOR], "keeper");
    put(&i, "second-value");
    for person in [&mut loser, &mut writer, &mut stays] {
        assert_eq!(person.ask("sees second-value"), "seen");
    }
    // The memory does hold rows, as long as its owner may see them.
    assert_eq!(keeper.ask("second-value"), "found");

    // A mistake in the file changes nothing.
    rules(&i, "[namespaces.plant]\nreaders = ['group:there-is-no-such-group']");
    assert!(log(&i).contains("there-is-no-such-group"));
    put(&i, "third-value");
    assert_eq!(loser.ask("sees third-value"), "seen");

    // Reading by its uid goes, writing by its group goes, reading by the other group stays.
    rules(&i, "[namespaces.plant]\nreaders = ['group:61010']");
    put(&i, "fourth-value");
    assert_eq!(stays.ask("sees fourth-value"), "seen");
    assert_eq!(loser.ask("shut fourth-value"), "shut");
    assert_eq!(writer.ask("shut fourth-value"), "shut");
    assert_eq!(keeper.ask("fourth-value"), "not found");
    let rows = i.run(&["sql", "SELECT v FROM plant.pid"]).ok();
    assert!(!rows.contains("may not"), "{rows}");

    // What they get back they have, the handles of before too, where the program went on.
    rules(&i, RULES);
    put(&i, "fifth-value");
    assert_eq!(stays.ask("sees fifth-value"), "seen");
    assert_eq!(keeper.ask("fifth-value"), "not found");
    let mut again = start(OPERATOR, &[OPERATOR], "follower");
    put(&i, "sixth-value");
    assert_eq!(again.ask("sees sixth-value"), "seen");
    for person in [loser, writer, stays, keeper, again] {
        person.finish();
    }
    assert_eq!(i.run(&["check"]).code, 0);
}

#[test]
fn a_namespace_that_is_new_is_there_at_once() {
    let i = instance("");
    let refused = i.run(&["sql", "CREATE TABLE cell.oven(id INTEGER PRIMARY KEY, v)"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    rules(&i, "[namespaces.cell]\nreaders = ['user:61002']\n");
    i.sql(
        "CREATE TABLE cell.oven(id INTEGER PRIMARY KEY, v); INSERT INTO cell.oven VALUES(1,'hot')",
    );
    assert_eq!(i.run(&["get", "cell.oven", "1", "v"]).ok().trim(), "hot");
    if is_root("that a new namespace's rule holds") {
        let ran = User(ENGINEER, &[ENGINEER]).run(&i, &["get", "cell.oven", "1", "v"]);
        assert_eq!(String::from_utf8(ran.stdout).unwrap().trim(), "hot");
    }
    // Taken out of the configuration it keeps its tables, for the daemon's own user.
    let mut i = i;
    rules(&i, "");
    assert_eq!(i.run(&["get", "cell.oven", "1", "v"]).ok().trim(), "hot");
    i.restart();
    assert_eq!(i.run(&["get", "cell.oven", "1", "v"]).ok().trim(), "hot");
}
