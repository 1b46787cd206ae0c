//! The daemon goes away, cleanly or by kill -9, and comes back: readers move over within a second,
//! every request is committed once, every change is told once.

#[path = "client_common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{LONG, Place, serve_if_told, until};
use serde_json::json;
use shmirror::{CellError, Error, Event, Mirror, Options, Subscriber, Value};

#[test]
fn serve_when_told() {
    serve_if_told(|_| ());
}

#[test]
fn readers_go_on_while_it_is_away_and_move_over_within_a_second() {
    let mut place = Place::served();
    let producer = place.producer();
    producer
        .execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v, s TEXT);
             INSERT INTO t VALUES (1, 10, 'one'), (2, 20, 'two')",
        )
        .unwrap();
    let mirror = place.mirror();
    let table = mirror.table("t").unwrap();
    let (first, second) = (table.cell(1, "v").unwrap(), table.cell(2, "v").unwrap());
    let (generation, revision) = (mirror.generation(), mirror.revision());
    assert!(mirror.is_live());

    place.stop();
    until("the mirror's noticing", || !mirror.is_live());
    assert_eq!((mirror.revision(), mirror.generation()), (revision, generation));
    assert_eq!((first.i64(), table.len()), (Ok(10), 2));
    assert_eq!(table.get(1).unwrap().unwrap().get::<&str>("s").unwrap(), "one");
    assert_eq!(table.scan().unwrap().len(), 2);
    assert_eq!(mirror.status().unwrap_err().code(), "no-daemon");

    place.start();
    let took = until("reattaching", || mirror.generation() > generation && mirror.is_live());
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!((first.i64(), second.i64(), table.len()), (Ok(10), Ok(20), 2));

    // The producer reattaches by itself, and what it does is seen through the old handles.
    producer.update("t", 1, &json!({"v": 11})).unwrap();
    producer.delete("t", 2).unwrap();
    assert_eq!((first.i64(), second.i64()), (Ok(11), Err(CellError::Deleted)));
    assert_eq!(table.get(1).unwrap().unwrap().get::<i64>("v").unwrap(), 11);
    assert!(mirror.status().unwrap().is_object());
}

#[test]
fn a_cell_learns_what_happened_to_its_row_while_nobody_looked() {
    let mut place = Place::served();
    let producer = place.producer();
    producer
        .execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2)")
        .unwrap();
    let mirror = place.mirror();
    let table = mirror.table("t").unwrap();
    let (kept, replaced) = (table.cell(1, "v").unwrap(), table.cell(2, "v").unwrap());
    let generation = mirror.generation();
    producer.delete("t", 2).unwrap();
    producer.insert("t", &json!({"id": 2, "v": 22})).unwrap();
    place.stop();
    place.start();
    until("reattaching", || mirror.generation() > generation);
    assert_eq!((kept.i64(), replaced.i64()), (Ok(1), Err(CellError::Deleted)));
    replaced.refresh().unwrap();
    assert_eq!(replaced.i64(), Ok(22));
}

#[test]
fn a_process_that_is_not_there_yet_is_waited_for() {
    let mut place = Place::new(|_| ());
    let options = place.options();
    let waiting = std::thread::spawn(move || Mirror::attach(&options).map(|m| m.generation()));
    place.start();
    assert!(waiting.join().unwrap().is_ok());
    let impatient = Options::new().socket(place.dir.path().join("none"));
    let start = Instant::now();
    assert_eq!(Mirror::attach(&impatient).unwrap_err().code(), "no-daemon");
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn an_absent_daemon_is_waited_for_no_longer_than_asked() {
    let mut place = Place::served();
    let producer = place.producer().with_timeout(Duration::from_millis(300));
    producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)").unwrap();
    place.stop();
    until("the producer's noticing", || !producer.is_live());
    let start = Instant::now();
    let e = producer.insert("t", &json!({"id": 1})).unwrap_err();
    assert!(matches!(e, Error::NoDaemon { .. } | Error::Disconnected { .. }), "{e}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    place.start();
    producer.with_timeout(LONG).insert("t", &json!({"id": 2})).unwrap();
}

#[test]
fn nobody_waits_longer_than_asked_because_another_thread_does() {
    let mut place = Place::served();
    let patient = place.producer().with_timeout(LONG);
    patient.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)").unwrap();
    place.stop();
    until("the producer's noticing", || !patient.is_live());
    std::thread::scope(|scope| {
        let inserted = scope.spawn(|| patient.insert("t", &json!({"id": 1})));
        // All of one lane: clones of a producer share it. Once the patient one is at it, the others meet
        // it again and again.
        let hasty = patient.clone().with_timeout(Duration::from_millis(50));
        let end = Instant::now() + Duration::from_secs(1);
        while Instant::now() < end {
            let start = Instant::now();
            let e = hasty.insert("t", &json!({"id": 2})).unwrap_err();
            assert!(matches!(e, Error::NoDaemon { .. } | Error::Disconnected { .. }), "{e}");
            assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        }
        place.start();
        inserted.join().unwrap().unwrap();
    });
    assert_eq!(place.mirror().table("t").unwrap().len(), 1);
}

/// What a subscriber was told, applied: key → value.
fn replay(state: &mut BTreeMap<i64, i64>, event: Event, newest: &mut u64) {
    let Event::Change(change) = event else { return };
    assert!(change.revision >= *newest, "{} after {newest}", change.revision);
    *newest = change.revision;
    let [Value::Integer(key)] = change.key[..] else { panic!("{:?}", change.key) };
    match &change.row {
        Some(row) => {
            let value: i64 = row.get("v").unwrap();
            let before = state.insert(key, value);
            // Each writer counts up by one: a change lost or told twice breaks the count.
            assert_eq!(value, before.map_or(0, |b| b + 1), "key {key}");
        }
        None => drop(state.remove(&key)),
    }
}

#[test]
fn killed_again_and_again_every_request_commits_once_and_is_told_once() {
    let place = Place::new(|_| ());
    let mut daemon = place.start_process();
    let options = place.options();
    let producer = place.producer();
    producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)").unwrap();
    // Half of them count by SQL, which would count a request that was done twice; half have several
    // requests under way, which would show one that was lost or out of order.
    const WRITERS: i64 = 4;
    for id in 0..WRITERS {
        producer.insert("t", &json!({"id": id, "v": 0})).unwrap();
    }
    let mut subscriber =
        Subscriber::builder(&options).tables(&["t"]).from_revision(0).subscribe().unwrap();
    let mirror = place.mirror();
    let table = mirror.table("t").unwrap();
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut state = BTreeMap::new();

    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|id| {
                let (producer, stop, acknowledged) = (producer.clone(), &stop, &acknowledged);
                scope.spawn(move || {
                    let mut done = 0i64;
                    while !stop.load(Ordering::Relaxed) {
                        if id % 2 == 0 {
                            let sql = "UPDATE t SET v = v + 1 WHERE id = ?1";
                            producer.sql(sql, &[id.into()]).unwrap();
                            done += 1;
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        let tickets: Vec<_> = (0..8)
                            .map(|i| {
                                let v = done + i + 1;
                                let change = producer.begin().update("t", id, &json!({"v": v}));
                                change.unwrap().submit().unwrap()
                            })
                            .collect();
                        for ticket in tickets {
                            ticket.wait().unwrap();
                            done += 1;
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    done
                })
            })
            .collect();
        let follower = scope.spawn(|| {
            let mut newest = 0;
            let start = Instant::now();
            loop {
                match subscriber.next(Duration::from_millis(100)).unwrap() {
                    Some(event) => replay(&mut state, event, &mut newest),
                    None if stop.load(Ordering::Relaxed) && newest >= mirror.revision() => break,
                    None => assert!(start.elapsed() < 4 * LONG),
                }
            }
            newest
        });
        for round in 0..8 {
            let before = acknowledged.load(Ordering::Relaxed);
            until("progress", || acknowledged.load(Ordering::Relaxed) > before + 50);
            daemon.kill().unwrap();
            daemon.wait().unwrap();
            assert!(table.get(0).unwrap().is_some(), "round {round}");
            daemon = place.start_process();
        }
        let before = acknowledged.load(Ordering::Relaxed);
        until("progress", || acknowledged.load(Ordering::Relaxed) > before + 50);
        stop.store(true, Ordering::Relaxed);
        let done: Vec<i64> = writers.into_iter().map(|w| w.join().unwrap()).collect();
        follower.join().unwrap();
        for (id, done) in (0..).zip(&done) {
            let row = table.get(id).unwrap().unwrap();
            assert_eq!(row.get::<i64>("v").unwrap(), *done, "writer {id}");
        }
    });
    let scan: BTreeMap<i64, i64> =
        table.scan().unwrap().iter().map(|r| (r.get("id").unwrap(), r.get("v").unwrap())).collect();
    assert_eq!(state, scan, "the stream, replayed, is the table");
    drop(daemon.stdin.take());
    assert!(daemon.wait().unwrap().success());
}
