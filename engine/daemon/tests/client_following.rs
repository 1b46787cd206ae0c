//! A subscriber is told each change once and in order, from any revision, or is told what it missed.

#[path = "client_common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{LONG, Place, until};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value as Json, json};
use shmirror::{ChangeEvent, Error, Event, Operation, SchemaEvent, Subscriber, Value};

fn change(event: Option<Event>) -> ChangeEvent {
    match event {
        Some(Event::Change(change)) => change,
        other => panic!("expected a change, found {other:?}"),
    }
}

fn schema(event: Option<Event>) -> SchemaEvent {
    match event {
        Some(Event::Schema(schema)) => schema,
        other => panic!("expected a change of the schema, found {other:?}"),
    }
}

fn short(subscriber: &mut Subscriber) -> Option<Event> {
    subscriber.next(Duration::from_millis(50)).unwrap()
}

#[test]
fn who_subscribes_now_is_told_what_comes() {
    let place = Place::served();
    let producer = place.producer();
    producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)").unwrap();
    producer.insert("t", &json!({"id": 1})).unwrap();
    let mut subscriber = Subscriber::builder(&place.options()).from_now().subscribe().unwrap();
    assert!(short(&mut subscriber).is_none() && subscriber.try_next().unwrap().is_none());

    let commit = producer
        .begin()
        .insert("t", &json!({"id": 2, "a": "x"}))
        .unwrap()
        .update("t", 1, &json!({"b": 5}))
        .unwrap()
        .commit()
        .unwrap();
    let (first, second) = (change(subscriber.next(LONG).unwrap()), change(short(&mut subscriber)));
    assert_eq!((first.operation, second.operation), (Operation::Insert, Operation::Update));
    assert_eq!((first.revision, second.revision), (commit.revision, commit.revision));
    assert!(second.sequence == first.sequence + 1 && first.sequence > 0);
    assert_eq!((first.last_of_transaction, second.last_of_transaction), (false, true));
    assert_eq!(
        (first.changed, second.changed),
        (vec!["id".into(), "a".into(), "b".into()], vec!["b".to_owned()])
    );
    assert_eq!(second.row.unwrap().to_json(), json!({"id": 1, "a": null, "b": 5}));
    assert_eq!((first.pid, second.table.as_str()), (std::process::id(), "t"));
    assert!(first.at_us > 1_700_000_000_000_000);
    producer.delete("t", 1).unwrap();
    let gone = change(subscriber.next(LONG).unwrap());
    assert_eq!(
        (gone.operation, gone.key, gone.row.is_none()),
        (Operation::Delete, vec![1.into()], true)
    );
    assert!(short(&mut subscriber).is_none());
}

#[test]
fn the_schema_is_told_and_old_shapes_are_read() {
    let place = Place::served();
    let producer = place.producer();
    let first = producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)").unwrap().revision;
    producer.insert("t", &json!({"id": 1, "a": 1, "b": 2})).unwrap();
    producer.execute("ALTER TABLE t DROP COLUMN a").unwrap();
    producer.insert("t", &json!({"id": 2, "b": 3})).unwrap();
    producer.execute("CREATE TABLE u (k PRIMARY KEY); DROP TABLE t").unwrap();
    for _ in 0..2 {
        let mut subscriber =
            Subscriber::builder(&place.options()).from_revision(first).subscribe().unwrap();
        let mut told = Vec::new();
        while told.len() < 5 {
            told.push(subscriber.next(LONG).unwrap().unwrap());
        }
        assert!(short(&mut subscriber).is_none());
        let mut told = told.into_iter().map(Some);
        let mut next = || told.next().unwrap();
        schema(next());
        let row = change(next());
        assert_eq!(row.row.unwrap().to_json(), json!({"id": 1, "a": 1, "b": 2}));
        assert_eq!(row.table, "t");
        assert_eq!(schema(next()).changed, ["t"]);
        assert_eq!(change(next()).row.unwrap().to_json(), json!({"id": 2, "b": 3}));
        let last = schema(next());
        assert_eq!((last.created, last.dropped), (vec!["u".to_owned()], vec!["t".to_owned()]));
    }
}

#[test]
fn only_the_tables_of_interest_also_those_that_come_later() {
    let place = Place::served();
    let producer = place.producer();
    producer
        .execute("CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)")
        .unwrap();
    let mut subscriber =
        Subscriber::builder(&place.options()).tables(&["B", "later"]).subscribe().unwrap();
    producer.insert("a", &json!({"id": 1})).unwrap();
    producer.insert("b", &json!({"id": 1})).unwrap();
    assert_eq!(change(subscriber.next(LONG).unwrap()).table, "b");
    producer
        .execute("CREATE TABLE later (id INTEGER PRIMARY KEY); INSERT INTO later VALUES (7)")
        .unwrap();
    assert_eq!(schema(subscriber.next(LONG).unwrap()).created, ["later"]);
    assert_eq!(change(subscriber.next(LONG).unwrap()).key, [Value::from(7)]);
    producer.execute("DROP TABLE b").unwrap();
    assert_eq!(schema(subscriber.next(LONG).unwrap()).dropped, ["b"]);
    producer.execute("CREATE TABLE b (id INTEGER PRIMARY KEY)").unwrap();
    assert_eq!(schema(subscriber.next(LONG).unwrap()).created, ["b"]);
    std::thread::sleep(Duration::from_millis(1)); // it may be asleep on the new table's word, or not yet
    producer.insert("b", &json!({"id": 3})).unwrap();
    assert_eq!(change(subscriber.next(LONG).unwrap()).key, [Value::from(3)]);
    producer.insert("a", &json!({"id": 2})).unwrap();
    assert!(short(&mut subscriber).is_none());
}

/// Applies what a subscriber is told of table `t`.
fn apply(state: &mut BTreeMap<i64, Json>, event: &Event) {
    if let Event::Change(change) = event {
        let [Value::Integer(key)] = change.key[..] else { panic!("{:?}", change.key) };
        match &change.row {
            Some(row) => drop(state.insert(key, row.to_json())),
            None => drop(state.remove(&key)),
        }
    }
}

#[test]
fn the_stream_replayed_is_the_table_through_log_lane_and_restarts() {
    let mut place = Place::served();
    let producer = place.producer();
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = seed | 1;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let first =
        producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v, s TEXT)").unwrap().revision;
    let mut subscriber = Subscriber::builder(&place.options())
        .tables(&["t"])
        .from_revision(first)
        .subscribe()
        .unwrap();
    let (mut state, mut newest, mut overtaken) = (BTreeMap::new(), 0, 0);
    let mut take = |subscriber: &mut Subscriber, event: Event| {
        if let Event::Lagged { first_revision, .. } = event {
            // The lane is small: what is missing comes from the log, some of it again.
            overtaken += 1;
            newest = first_revision;
            return subscriber.resume_from(first_revision).unwrap();
        }
        assert!(event.revision() >= newest, "in order");
        newest = event.revision();
        apply(&mut state, &event);
    };
    for round in 0..6 {
        for _ in 0..60 {
            // Transactions of several rows, some of them large.
            let mut statements = String::new();
            for _ in 0..1 + next(6) {
                let id = next(40);
                let length = if next(10) == 0 { 20_000 } else { next(30) };
                statements += &match next(5) {
                    0 => format!("DELETE FROM t WHERE id = {id};"),
                    1 => format!("UPDATE t SET v = {} WHERE id < {id};", next(1000)),
                    2 => format!("UPDATE t SET id = {} WHERE id = {id};", 100 + next(10_000)),
                    _ => format!(
                        "INSERT OR REPLACE INTO t VALUES ({id}, {}, printf('%.*c', {length}, 'x'));",
                        next(9)
                    ),
                };
            }
            match producer.execute(&statements) {
                Ok(_) => {}
                Err(Error::Rejected { .. }) => {} // a key that was there
                Err(error) => panic!("{error}"),
            }
            if next(3) == 0 {
                for _ in 0..next(8) {
                    let Some(event) = subscriber.try_next().unwrap() else { break };
                    take(&mut subscriber, event);
                }
            }
        }
        if round % 2 == 1 {
            place.stop();
            place.start();
        }
    }
    let mirror = place.mirror();
    let mark = producer.execute("INSERT INTO t VALUES (-1, NULL, 'the end')").unwrap().revision;
    loop {
        let event = subscriber.next(LONG).unwrap().expect("there is more");
        let revision = event.revision();
        take(&mut subscriber, event);
        if revision == mark {
            break;
        }
    }
    println!("overtaken {overtaken} times");
    let scan = mirror.table("t").unwrap().scan().unwrap();
    let scan: BTreeMap<i64, Json> =
        scan.iter().map(|r| (r.get("id").unwrap(), r.to_json())).collect();
    let short =
        |row: Option<&Json>| row.map(|r| r.to_string().chars().take(60).collect::<String>());
    for key in state.keys().chain(scan.keys()) {
        let (told, is) = (state.get(key), scan.get(key));
        assert!(told == is, "key {key}: told {:?}, is {:?}", short(told), short(is));
    }
}

#[test]
fn who_is_too_slow_is_told_once_and_can_go_back() {
    let place = Place::served();
    let producer = place.producer();
    producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE quiet (id INTEGER PRIMARY KEY)").unwrap();
    let mut subscriber = Subscriber::builder(&place.options()).subscribe().unwrap();
    let mut quiet = Subscriber::builder(&place.options()).tables(&["quiet"]).subscribe().unwrap();
    // Three times what the lane holds.
    let mut revisions = Vec::new();
    for id in 0..300 {
        let row = json!({"id": id, "v": "x".repeat(10_000)});
        revisions.push(producer.insert("t", &row).unwrap().revision);
    }
    let Some(Event::Lagged { missed, first_revision }) = subscriber.next(LONG).unwrap() else {
        panic!("it was overtaken");
    };
    assert_eq!(first_revision, revisions[0]);
    let next = change(subscriber.next(LONG).unwrap());
    assert_eq!(next.revision, revisions[0] + missed, "exactly so many are missing");
    let mut newest = next.revision;
    while let Some(event) = short(&mut subscriber) {
        assert_eq!(change(Some(event)).revision, newest + 1);
        newest += 1;
    }
    assert_eq!(newest, *revisions.last().unwrap());

    subscriber.resume_from(first_revision).unwrap();
    for revision in &revisions {
        assert_eq!(change(subscriber.next(LONG).unwrap()).revision, *revision);
    }
    assert!(short(&mut subscriber).is_none());

    // Nothing of interest was overwritten, so nothing was missed.
    assert!(short(&mut quiet).is_none());
    producer.insert("quiet", &json!({"id": 1})).unwrap();
    assert_eq!(change(quiet.next(LONG).unwrap()).table, "quiet");
}

#[test]
fn a_row_too_long_for_the_lane_comes_whole() {
    let place = Place::served();
    let producer = place.producer();
    producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)").unwrap();
    let mut subscriber = Subscriber::builder(&place.options()).subscribe().unwrap();
    producer
        .execute("INSERT INTO t VALUES (1, 'a'), (2, printf('%.*c', 500000, 'x')), (3, 'b')")
        .unwrap();
    for (id, length) in [(1, 1), (2, 500_000), (3, 1)] {
        let change = change(subscriber.next(LONG).unwrap());
        let row = change.row.unwrap();
        assert_eq!(
            (row.get::<i64>("id").unwrap(), row.get::<&str>("v").unwrap().len()),
            (id, length)
        );
        assert!(change.sequence > 0);
    }
}

#[test]
fn a_descriptor_for_epoll_stays_the_same_through_a_restart() {
    let mut place = Place::served();
    let producer = place.producer();
    producer
        .execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE other (id INTEGER PRIMARY KEY)",
        )
        .unwrap();
    let mut subscriber = Subscriber::builder(&place.options()).tables(&["t"]).subscribe().unwrap();
    fn readable(subscriber: &Subscriber, time: Duration) -> bool {
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        poll(&mut [PollFd::from_borrowed_fd(subscriber.fd(), PollFlags::IN)], Some(&time)).unwrap()
            > 0
    }
    // As an epoll loop does: waits, then takes until there is nothing.
    fn turn(subscriber: &mut Subscriber, told: &mut Vec<i64>) {
        if readable(subscriber, LONG) {
            while let Some(event) = subscriber.try_next().unwrap() {
                let Value::Integer(key) = change(Some(event)).key[0] else { panic!() };
                told.push(key);
            }
        }
    }
    use std::os::fd::AsRawFd;
    let number = subscriber.fd().as_raw_fd();
    let mut told = Vec::new();
    turn(&mut subscriber, &mut told); // readable once, for what came before
    assert!(!readable(&subscriber, Duration::from_millis(100)));
    producer.insert("other", &json!({"id": 1})).unwrap();
    assert!(!readable(&subscriber, Duration::from_millis(100)), "another table rings no bell");
    producer.insert("t", &json!({"id": 1})).unwrap();
    while told.is_empty() {
        turn(&mut subscriber, &mut told);
    }
    place.stop();
    place.start();
    producer.insert("t", &json!({"id": 2})).unwrap();
    while told.len() < 2 {
        turn(&mut subscriber, &mut told);
    }
    producer.insert("t", &json!({"id": 3})).unwrap();
    while told.len() < 3 {
        turn(&mut subscriber, &mut told);
    }
    assert_eq!((told, subscriber.fd().as_raw_fd()), (vec![1, 2, 3], number));
}

#[test]
fn revisions_that_are_not_there_are_named() {
    let place = Place::served();
    let producer = place.producer();
    let newest = producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)").unwrap().revision;
    // The future: nothing before it is told.
    let mut subscriber =
        Subscriber::builder(&place.options()).from_revision(newest + 2).subscribe().unwrap();
    producer.insert("t", &json!({"id": 1})).unwrap();
    producer.insert("t", &json!({"id": 2})).unwrap();
    assert_eq!(change(subscriber.next(LONG).unwrap()).key, [Value::from(2)]);
}

#[test]
fn an_idle_subscriber_uses_no_processor_to_speak_of() {
    let place = Place::served();
    let mut subscriber = Subscriber::builder(&place.options()).subscribe().unwrap();
    let thread_time = || {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
    };
    let (before, start) = (thread_time(), Instant::now());
    assert!(subscriber.next(Duration::from_secs(2)).unwrap().is_none());
    let used = thread_time() - before;
    assert!(
        start.elapsed() >= Duration::from_secs(2) && used < Duration::from_millis(20),
        "{used:?}"
    );
}

#[test]
fn a_subscriber_wakes_while_it_sleeps() {
    let place = Place::served();
    let producer = place.producer();
    producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)").unwrap();
    let mut subscriber = Subscriber::builder(&place.options()).tables(&["t"]).subscribe().unwrap();
    let asleep = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let told = scope.spawn(|| {
            asleep.store(true, Ordering::Relaxed);
            (0..20)
                .map(|_| change(subscriber.next(LONG).unwrap()).key[0].clone())
                .collect::<Vec<_>>()
        });
        until("the subscriber", || asleep.load(Ordering::Relaxed));
        for id in 0..20 {
            producer.insert("t", &json!({"id": id})).unwrap();
        }
        assert_eq!(told.join().unwrap(), (0..20i64).map(Value::from).collect::<Vec<_>>());
    });
}
