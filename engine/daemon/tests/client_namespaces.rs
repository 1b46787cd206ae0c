//! Several namespaces: tables of the same name are different tables, transactions reach over them, and a
//! subscriber of all of them is told one stream.

#[path = "client_common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::{LONG, Place, serve_if_told, until};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;
use shmirror::{CellError, ChangeEvent, Error, Event, Rows, Subscriber, Value};
use shmirror_daemon::Config;

fn spaces(config: &mut Config) {
    for name in ["plant", "desk"] {
        config.namespaces.entry(name.to_owned()).or_default();
    }
}

fn served() -> Place {
    let mut place = Place::new(spaces);
    place.start();
    place
}

/// One table of the same name and form in each namespace.
const TABLES: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v);
    CREATE TABLE plant.t (id INTEGER PRIMARY KEY, v);
    CREATE TABLE desk.t (id INTEGER PRIMARY KEY, v)";

fn change(event: Option<Event>) -> ChangeEvent {
    match event {
        Some(Event::Change(change)) => change,
        other => panic!("expected a change, found {other:?}"),
    }
}

/// The next change, with the changes of the schema before it passed over.
fn next_change(subscriber: &mut Subscriber) -> ChangeEvent {
    loop {
        match subscriber.next(LONG).unwrap() {
            Some(Event::Schema(_)) => {}
            other => return change(other),
        }
    }
}

#[test]
fn serve_when_told() {
    serve_if_told(spaces);
}

#[test]
fn tables_of_one_name_in_three_namespaces() {
    let place = served();
    let producer = place.producer();
    TABLES.split(';').for_each(|sql| _ = producer.execute(sql).unwrap());
    let commit = producer
        .begin()
        .insert("t", &json!({"id": 1, "v": "of main"}))
        .unwrap()
        .insert("plant.t", &json!({"id": 1, "v": "of plant"}))
        .unwrap()
        .insert("desk.t", &json!({"id": 1, "v": "of desk"}))
        .unwrap()
        .insert("desk.t", &json!({"id": 2, "v": "too"}))
        .unwrap()
        .commit()
        .unwrap();
    assert_eq!(commit.changes, 4);

    let mirror = place.mirror();
    let names: Vec<_> = mirror.namespaces().unwrap().into_iter().map(|s| s.name).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[0], "main");
    assert!(mirror.namespaces().unwrap().iter().all(|s| s.writable));
    assert_eq!(mirror.tables().unwrap(), ["t", "plant.t", "desk.t"]);
    let catalogue = mirror.catalogue().unwrap();
    assert_eq!(catalogue.table("PLANT.T").unwrap().namespace, "plant");
    assert!(std::sync::Arc::ptr_eq(&catalogue, &mirror.catalogue().unwrap()));

    let read = |name: &str| -> String {
        mirror.table(name).unwrap().get(1).unwrap().unwrap().get("v").unwrap()
    };
    assert_eq!(
        ["t", "main.t", "plant.t", "Plant.T", "desk.t"].map(read),
        ["of main", "of main", "of plant", "of plant", "of desk"]
    );
    let desk = mirror.table("desk.t").unwrap();
    assert_eq!((desk.name(), desk.form().unwrap().table(), desk.len()), ("desk.t", "desk.t", 2));
    assert_eq!(desk.schema().full_name(), "desk.t");
    assert_eq!(desk.scan().unwrap().revision(), commit.revision);
    let (revision, rows) = desk.get_many(&[1, 2, 3]).unwrap();
    assert_eq!((revision, rows.iter().flatten().count()), (commit.revision, 2));
    let mut all = Rows::default();
    desk.scan_sorted_into(&mut all).unwrap();
    assert_eq!((all.len(), all.form().table()), (2, "desk.t"));

    // A cell of each: changed one by one, each alone changes.
    let cells = ["t", "plant.t", "desk.t"].map(|n| mirror.table(n).unwrap().cell(1, "v").unwrap());
    let numbers = || [0, 1, 2].map(|i: usize| cells[i].i64());
    for (value, name) in (1i64..).zip(["t", "plant.t", "desk.t"]) {
        producer.update(name, 1, &json!({"v": value})).unwrap();
    }
    assert_eq!(numbers(), [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(cells[1].table(), "plant.t");
    let newest = producer.delete("plant.t", 1).unwrap().revision;
    assert_eq!(numbers(), [Ok(1), Err(CellError::Deleted), Ok(3)]);
    mirror.wait_revision(newest, LONG).unwrap();
    assert_eq!(mirror.revision(), newest, "of all namespaces, whichever was changed");
    let e = mirror.wait_revision(newest + 1, Duration::from_millis(20)).unwrap_err();
    assert_eq!(e.code(), "timed-out");
}

#[test]
fn names_that_are_nothing_are_all_answered_alike() {
    let place = served();
    let producer = place.producer();
    TABLES.split(';').for_each(|sql| _ = producer.execute(sql).unwrap());
    producer
        .execute(r#"CREATE TABLE "desk.lamp" (id INTEGER PRIMARY KEY); CREATE TABLE "a.b" (id INTEGER PRIMARY KEY)"#)
        .unwrap();
    let mirror = place.mirror();
    let all = ["t", "plant.t", "desk.t", "desk.lamp", "a.b"];
    for name in ["x", "plant.x", "nowhere.t", "main.plant.t", "plant.main.t", ".t", "t.", ""] {
        match mirror.table(name).unwrap_err() {
            Error::UnknownTable { table, known } => {
                assert_eq!((table.as_str(), &known[..]), (name, &all.map(String::from)[..]))
            }
            other => panic!("{name:?}: {other}"),
        }
        assert_eq!(mirror.history(0, &[name]).unwrap_err().code(), "unknown-table", "{name:?}");
    }
    // A dot in the name of a table of main.
    assert_eq!(mirror.table("desk.lamp").unwrap().form().unwrap().table(), "desk.lamp");
    assert_eq!(mirror.table("main.a.b").unwrap().len(), 0);
    producer.execute("CREATE TABLE desk.lamp (id INTEGER PRIMARY KEY, of_desk)").unwrap();
    assert_eq!(mirror.table("desk.lamp").unwrap().schema().columns.len(), 2, "desk goes first");
    let e = mirror
        .table("plant.t")
        .unwrap()
        .get("no")
        .map(|_| ())
        .and_then(|()| mirror.table("plant.t").unwrap().cell(77, "v").map(|_| ()));
    assert!(e.unwrap_err().to_string().contains("\"plant.t\""));
    producer.execute("DROP TABLE plant.t").unwrap();
    let e = mirror.table("plant.t").unwrap_err();
    assert_eq!(e.code(), "unknown-table");
}

#[test]
fn a_namespace_that_comes_later_is_found() {
    let mut place = served();
    let producer = place.producer();
    producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)").unwrap();
    let mirror = place.mirror();
    let mut named =
        Subscriber::builder(&place.options()).tables(&["late.t", "t"]).subscribe().unwrap();
    let mut later_only =
        Subscriber::builder(&place.options()).tables(&["late.t"]).subscribe().unwrap();
    let mut all = Subscriber::builder(&place.options()).subscribe().unwrap();
    assert_eq!(mirror.table("late.t").unwrap_err().code(), "unknown-table");
    assert!(later_only.next(Duration::from_millis(300)).unwrap().is_none());

    let mut config = place.config();
    config.namespaces.entry("late".to_owned()).or_default();
    let daemon = place.daemon.as_ref().unwrap();
    daemon.reload_rules(&config).unwrap();
    // The subscribers that wait for it by name look now and then.
    let created = "CREATE TABLE IF NOT EXISTS late.t (id INTEGER PRIMARY KEY)";
    producer.execute(created).unwrap();
    assert_eq!(mirror.table("late.t").unwrap().len(), 0);
    assert_eq!(mirror.tables().unwrap(), ["t", "late.t"]);
    let mut key = 0i64;
    let mut told = [0; 2];
    until("the namespace that was waited for", || {
        key += 1;
        producer.insert("late.t", &json!({"id": key})).unwrap();
        for (told, subscriber) in told.iter_mut().zip([&mut named, &mut later_only]) {
            while let Some(event) = subscriber.next(Duration::from_millis(20)).unwrap() {
                if let Event::Change(change) = event {
                    assert_eq!(change.table, "late.t");
                    let [Value::Integer(id)] = change.key[..] else { panic!() };
                    assert!(*told == 0 || id == *told + 1, "without a gap once it began");
                    *told = id;
                }
            }
        }
        told == [key; 2]
    });
    // Who follows all is told by the next greeting at the latest, from its first row on.
    place.stop();
    place.start();
    producer.execute("CREATE TABLE late.u (id INTEGER PRIMARY KEY)").unwrap();
    producer.insert("late.u", &json!({"id": 1})).unwrap();
    producer.insert("t", &json!({"id": 1})).unwrap();
    let mut order = Vec::new();
    while order.last().is_none_or(|table| table != "t") {
        order.push(next_change(&mut all).table);
    }
    assert!(order.contains(&"late.u".to_owned()), "{order:?}");
}

#[test]
fn what_is_not_read_from_is_only_glanced_at() {
    let mut place = served();
    let producer = place.producer();
    producer.execute(TABLES).unwrap();
    let mirror = place.mirror();
    let connections = || mirror.status().unwrap()["clients"].as_array().unwrap().len();
    let before = connections();
    assert_eq!((mirror.tables().unwrap().len(), connections()), (3, before));
    producer.execute("CREATE TABLE desk.u (id INTEGER PRIMARY KEY)").unwrap();
    assert_eq!(mirror.tables().unwrap().len(), 4);
    let plant = mirror.table("plant.t").unwrap();
    assert_eq!(connections(), before + 1, "a keeper for plant");
    let again = mirror.clone().table("plant.t").unwrap();
    assert_eq!((again.len(), plant.len(), connections()), (0, 0, before + 1));
    place.stop();
    place.start();
    until("reattaching", || mirror.is_live());
    producer.execute("DROP TABLE desk.t").unwrap();
    assert_eq!(mirror.tables().unwrap().len(), 3);
    drop(mirror);
    // A handle holds its namespace.
    producer.insert("plant.t", &json!({"id": 1})).unwrap();
    until("the row through the handle", || plant.len() == 1);
}

#[test]
fn one_stream_of_all_namespaces_in_order() {
    let place = served();
    let producer = place.producer();
    let mut all = Subscriber::builder(&place.options()).subscribe().unwrap();
    let mut some =
        Subscriber::builder(&place.options()).tables(&["desk.t", "t"]).subscribe().unwrap();
    let mut one = Subscriber::builder(&place.options()).tables(&["plant.t"]).subscribe().unwrap();
    producer.execute(TABLES).unwrap();
    let numbers: BTreeMap<String, u16> =
        place.mirror().namespaces().unwrap().into_iter().map(|s| (s.name, s.id)).collect();
    // A record of the schema for each namespace.
    let mut created = Vec::new();
    while created.len() < 3 {
        match all.next(LONG).unwrap() {
            Some(Event::Schema(e)) => created.extend(e.created),
            other => panic!("{other:?}"),
        }
    }
    let mut expected: Vec<(u16, &str)> =
        vec![(numbers["main"], "t"), (numbers["plant"], "plant.t"), (numbers["desk"], "desk.t")];
    expected.sort();
    let in_order: Vec<&str> = expected.iter().map(|(_, name)| *name).collect();
    assert_eq!(created, in_order);

    for id in 1..=50i64 {
        // Against the order of the namespaces, and not all of them each time.
        let mut transaction = producer.begin();
        for name in in_order.iter().rev().skip(id as usize % 3) {
            transaction = transaction.insert(name, &json!({"id": id})).unwrap();
        }
        let revision = transaction.commit().unwrap().revision;
        let tables = &in_order[..3 - id as usize % 3];
        for (i, table) in tables.iter().enumerate() {
            let change = change(all.next(LONG).unwrap());
            assert_eq!((change.revision, change.table.as_str()), (revision, *table));
            assert_eq!(change.last_of_transaction, i + 1 == tables.len());
        }
        for table in tables.iter().filter(|t| **t != "plant.t") {
            let change = next_change(&mut some);
            assert_eq!((change.revision, change.table.as_str()), (revision, *table));
        }
        if tables.contains(&"plant.t") {
            assert_eq!(next_change(&mut one).revision, revision);
        }
    }
    assert!(all.next(Duration::from_millis(30)).unwrap().is_none());
    assert!(all.try_next().unwrap().is_none() && some.try_next().unwrap().is_none());
    // Back, all at once.
    all.resume_from(0).unwrap();
    let mut count = 0;
    while let Some(event) = all.next(Duration::from_millis(100)).unwrap() {
        count += usize::from(matches!(event, Event::Change(_)));
    }
    assert_eq!(count, (1..=50).map(|id| 3 - id % 3).sum::<usize>());
    let e = all.resume_from(u64::MAX).and_then(|()| all.try_next());
    assert!(e.unwrap().is_none(), "the future");
}

#[test]
fn an_epoll_loop_over_several_namespaces() {
    let mut place = served();
    let producer = place.producer();
    producer.execute(TABLES).unwrap();
    let mut subscriber =
        Subscriber::builder(&place.options()).tables(&["t", "desk.t"]).subscribe().unwrap();
    fn readable(subscriber: &Subscriber, time: Duration) -> bool {
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        poll(&mut [PollFd::from_borrowed_fd(subscriber.fd(), PollFlags::IN)], Some(&time)).unwrap()
            > 0
    }
    let mut told = Vec::new();
    let mut turn = |subscriber: &mut Subscriber, most: usize, count: &mut usize| {
        while *count < most && readable(subscriber, LONG) {
            while let Some(event) = subscriber.try_next().unwrap() {
                told.push(change(Some(event)).table);
                *count += 1;
            }
        }
    };
    let mut count = 0;
    assert!(readable(&subscriber, LONG), "once, for what came before");
    assert!(subscriber.try_next().unwrap().is_none());
    assert!(!readable(&subscriber, Duration::from_millis(100)));
    producer.insert("plant.t", &json!({"id": 1})).unwrap();
    assert!(!readable(&subscriber, Duration::from_millis(100)), "another table rings no bell");
    producer.insert("desk.t", &json!({"id": 1})).unwrap();
    turn(&mut subscriber, 1, &mut count);
    producer.insert("t", &json!({"id": 1})).unwrap();
    turn(&mut subscriber, 2, &mut count);
    place.stop();
    place.start();
    producer.insert("desk.t", &json!({"id": 2})).unwrap();
    turn(&mut subscriber, 3, &mut count);
    producer.insert("t", &json!({"id": 2})).unwrap();
    turn(&mut subscriber, 4, &mut count);
    assert_eq!(told, ["desk.t", "t", "desk.t", "t"]);
}

#[test]
fn one_namespace_lags_and_the_others_go_on() {
    let place = served();
    let producer = place.producer();
    producer.execute(TABLES).unwrap();
    let mut all = Subscriber::builder(&place.options()).subscribe().unwrap();
    // Three times what plant's lane holds, and a row of main after each.
    let mut revisions = Vec::new();
    for id in 0..300 {
        let large = json!({"id": id, "v": "x".repeat(10_000)});
        revisions.push(producer.insert("plant.t", &large).unwrap().revision);
        producer.insert("t", &json!({"id": id})).unwrap();
    }
    let (mut lagged, mut of_main, mut of_plant, mut newest) = (Vec::new(), 0, 0, 0);
    while let Some(event) = all.next(Duration::from_millis(200)).unwrap() {
        assert!(event.revision() >= newest, "in order");
        newest = event.revision();
        match event {
            Event::Lagged { missed, first_revision } => lagged.push((first_revision, missed)),
            Event::Change(change) if change.table == "t" => of_main += 1,
            Event::Change(_) => of_plant += 1,
            other => panic!("{other:?}"),
        }
    }
    let [(first, missed)] = lagged[..] else { panic!("{lagged:?}") };
    assert_eq!((first, of_main), (revisions[0], 300), "of main nothing is missing");
    assert_eq!(missed + of_plant, 300);
    all.resume_from(first).unwrap();
    for id in 0..600 {
        assert_eq!(change(all.next(LONG).unwrap()).revision, first + id);
    }
}

#[test]
fn history_of_all_of_some_and_of_one_namespace() {
    let place = served();
    let producer = place.producer();
    let first = producer.execute(TABLES).unwrap().revision;
    for id in 1..=3i64 {
        let insert = producer.begin().insert("t", &json!({"id": id})).unwrap();
        insert.insert("plant.t", &json!({"id": id, "v": "p"})).unwrap().commit().unwrap();
        producer.insert("desk.t", &json!({"id": id})).unwrap();
    }
    let mirror = place.mirror();
    let told = |tables: &[&str]| -> Vec<String> {
        let events = mirror.history(first, tables).unwrap().map(Result::unwrap);
        events
            .map(|event| match event {
                Event::Schema(e) => format!("+{}", e.created.join("+")),
                Event::Change(e) => {
                    let [Value::Integer(id)] = e.key[..] else { panic!("{e:?}") };
                    format!("{}{id}", e.table)
                }
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(told(&["plant.t"]), ["+plant.t", "plant.t1", "plant.t2", "plant.t3"]);
    assert_eq!(told(&["main.t"]), ["+t", "t1", "t2", "t3"]);
    let mut some = told(&["T", "Desk.t"]);
    some[..2].sort();
    assert_eq!(some, ["+desk.t", "+t", "t1", "desk.t1", "t2", "desk.t2", "t3", "desk.t3"]);
    assert_eq!(told(&[]).len(), 3 + 9);
}

#[test]
fn each_namespace_grows_by_itself() {
    let mut place = Place::new(|config| {
        spaces(config);
        config.segment.reserve = Some(4 << 20);
    });
    place.start();
    let producer = place.producer();
    producer.execute(TABLES).unwrap();
    let both = |id: i64, v: i64, text: &str| {
        let row = json!({"id": id, "v": text});
        let transaction = producer.begin().upsert("plant.t", &row).unwrap();
        let transaction = transaction.upsert("plant.t", &json!({"id": 0, "v": v})).unwrap();
        transaction.upsert("t", &json!({"id": 0, "v": v})).unwrap().commit().unwrap().revision
    };
    both(1, 0, "");
    let mirror = place.mirror();
    let (t, plant) = (mirror.table("t").unwrap(), mirror.table("plant.t").unwrap());
    let cells = [t.cell(0, "v").unwrap(), plant.cell(0, "v").unwrap()];
    let generation = mirror.generation();
    let mut all = Subscriber::builder(&place.options()).subscribe().unwrap();
    let text = "x".repeat(12_000);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0u64;
            while !stop.load(Ordering::Relaxed) {
                // All segments are published before main's revision moves on.
                let of_main = cells[0].i64().unwrap();
                assert!(cells[1].i64().unwrap() >= of_main);
                reads += 1;
            }
            reads
        });
        for id in 1..=600i64 {
            let revision = both(id, id, &text);
            assert!(mirror.revision() >= revision);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
    assert_eq!((cells[0].i64(), cells[1].i64(), plant.len()), (Ok(600), Ok(600), 601));
    assert_eq!(mirror.generation(), generation, "main has not grown");
    let mut newest = 0;
    while let Some(event) = all.next(Duration::from_millis(200)).unwrap() {
        assert!(event.revision() >= newest);
        newest = event.revision();
    }
    assert_eq!(newest, mirror.revision());
    place.stop();
    place.start();
    // Each namespace has a keeper of its own; this waits for both.
    mirror.wait_revision(both(0, 700, ""), LONG).unwrap();
    assert_eq!((cells[0].i64(), cells[1].i64()), (Ok(700), Ok(700)));
}

#[test]
fn killed_again_and_again_transactions_over_namespaces_are_told_whole_and_once() {
    let place = Place::new(spaces);
    let mut daemon = place.start_process();
    let producer = place.producer();
    producer.execute(TABLES).unwrap();
    const WRITERS: i64 = 3;
    const NAMES: [&str; 3] = ["t", "plant.t", "desk.t"];
    for id in 0..WRITERS {
        for name in NAMES {
            producer.insert(name, &json!({"id": id, "v": 0})).unwrap();
        }
    }
    let mirror = place.mirror();
    let numbers: BTreeMap<String, u16> =
        mirror.namespaces().unwrap().into_iter().map(|s| (s.name, s.id)).collect();
    let number = |table: &str| numbers[table.split_once('.').map_or("main", |(space, _)| space)];
    let mut subscriber =
        Subscriber::builder(&place.options()).from_revision(0).subscribe().unwrap();
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut state: BTreeMap<(String, i64), i64> = BTreeMap::new();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|id| {
                let (producer, stop, acknowledged) = (producer.clone(), &stop, &acknowledged);
                scope.spawn(move || {
                    let mut done = 0i64;
                    while !stop.load(Ordering::Relaxed) {
                        done += 1;
                        let mut transaction = producer.begin();
                        // Each a different part of the namespaces, the whole every third time.
                        for (i, name) in NAMES.iter().enumerate() {
                            if done % 3 == 0 || (done + i as i64) % 3 != 1 {
                                let row = json!({"v": done});
                                transaction = transaction.update(name, id, &row).unwrap();
                            }
                        }
                        transaction.commit().unwrap();
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                    done
                })
            })
            .collect();
        let follower = scope.spawn(|| {
            let mut newest = (0, 0);
            let mut transaction: Vec<(i64, String, i64)> = Vec::new();
            let mut revision = 0;
            let check = |transaction: &mut Vec<(i64, String, i64)>| {
                if let Some((key, _, done)) = transaction.first().cloned() {
                    if done > 0 {
                        let count = if done % 3 == 0 { 3 } else { 2 };
                        assert_eq!(transaction.len(), count, "{transaction:?} of {key}");
                    }
                    assert!(transaction.iter().all(|(k, _, d)| (*k, *d) == (key, done)));
                }
                transaction.clear();
            };
            loop {
                match subscriber.next(Duration::from_millis(100)).unwrap() {
                    Some(Event::Change(change)) => {
                        let place = (change.revision, number(&change.table));
                        assert!(place > newest, "{place:?} after {newest:?}");
                        newest = place;
                        if change.revision != revision {
                            check(&mut transaction);
                            revision = change.revision;
                        }
                        let [Value::Integer(key)] = change.key[..] else { panic!() };
                        let value: i64 = change.row.unwrap().get("v").unwrap();
                        transaction.push((key, change.table.clone(), value));
                        let before = state.insert((change.table, key), value);
                        assert!(before.is_none_or(|b| b < value && b + 3 >= value), "{before:?}");
                    }
                    Some(Event::Schema(_)) => {}
                    Some(other) => panic!("{other:?}"),
                    None if stop.load(Ordering::Relaxed) && newest.0 >= mirror.revision() => break,
                    None => {}
                }
            }
            check(&mut transaction);
        });
        for _ in 0..6 {
            let before = acknowledged.load(Ordering::Relaxed);
            until("progress", || acknowledged.load(Ordering::Relaxed) > before + 50);
            daemon.kill().unwrap();
            daemon.wait().unwrap();
            daemon = place.start_process();
        }
        let before = acknowledged.load(Ordering::Relaxed);
        until("progress", || acknowledged.load(Ordering::Relaxed) > before + 50);
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|w| _ = w.join().unwrap());
        follower.join().unwrap();
    });
    for name in NAMES {
        let scan = mirror.table(name).unwrap().scan().unwrap();
        for row in scan.iter() {
            let (id, v): (i64, i64) = (row.get("id").unwrap(), row.get("v").unwrap());
            assert_eq!(state[&(name.to_owned(), id)], v, "{name} {id}");
        }
    }
    drop(daemon.stdin.take());
    assert!(daemon.wait().unwrap().success());
}

#[test]
fn an_idle_subscriber_of_several_uses_no_processor_to_speak_of() {
    let place = served();
    let mut subscriber = Subscriber::builder(&place.options()).subscribe().unwrap();
    let thread_time = || {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
    };
    let before = thread_time();
    assert!(subscriber.next(Duration::from_secs(2)).unwrap().is_none());
    let used = thread_time() - before;
    assert!(used < Duration::from_millis(20), "{used:?}");
}
