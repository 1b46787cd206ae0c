//! A daemon driven over its real socket and lanes: what is written becomes durable, visible and
//! announced, or nothing at all.
#![allow(missing_docs)]

mod common;

use std::collections::HashSet;
use std::time::Instant;

use common::{Client, LONG, Place, insert, next_event, row, sql_request, table, until};
use shmirror_shm::lane::{FLAG_HAS_ROWS, Poll};
use shmirror_shm::record::{FLAG_LAST, Operation, RecordRef, records};
use shmirror_shm::request::{RejectCode, Request, SqlRequest};
use shmirror_shm::value::Value;
use shmirror_shm::wire::{Answer, Call, RefuseCode};
use shmirror_shm::wire_io::{self, WireError};

fn text(v: &str) -> Value {
    Value::from(v)
}

fn code(outcome: &shmirror_shm::lane::RawOutcome) -> RejectCode {
    assert!(!outcome.committed);
    RejectCode::from_number(outcome.code)
}

#[test]
fn a_write_is_visible_announced_and_answered() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let (segment, lane, mut events) = (client.segment(), client.lane(), client.events());
    assert_eq!(lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)"), 1);
    assert_eq!(row(&segment, "t", 1), None);

    let outcome = lane.insert("t", &[(1, "one"), (2, "two")]);
    assert!(outcome.committed, "{}", outcome.message);
    assert_eq!((outcome.revision, outcome.changes), (2, 2));
    // Whoever is told so can read it at once.
    assert_eq!(row(&segment, "t", 1), Some(vec![Value::Integer(1), text("one")]));
    assert!(segment.revision() >= 2);

    let schema = next_event(&mut events);
    let schema = RecordRef::parse(&schema).unwrap();
    assert!(!schema.is_row());
    assert!(schema.catalogue().unwrap().table("t").is_some());
    for (id, last) in [(1, false), (2, true)] {
        let words = next_event(&mut events);
        let event = RecordRef::parse(&words).unwrap();
        let header = event.header();
        assert_eq!((header.revision, event.operation().unwrap()), (2, Operation::Insert));
        assert_eq!(event.key().unwrap().to_values().unwrap(), [Value::Integer(id)]);
        assert_eq!(header.flags & FLAG_LAST != 0, last);
        assert_eq!(
            (header.pid, header.uid),
            (std::process::id(), rustix::process::getuid().as_raw())
        );
        assert_eq!((header.lane, header.ticket), (lane.producer.lane_id(), 2));
        assert!(header.at_us > 1_600_000_000_000_000);
    }

    // What changes nothing gets no revision and no event.
    let outcome = lane.insert("t", &[(1, "one")]);
    assert_eq!((outcome.committed, outcome.revision, outcome.changes), (true, 2, 0));
    // What is rejected leaves nothing, and says why.
    let outcome = lane.run(&insert("nowhere", &[(1, "x")]));
    assert_eq!(code(&outcome), RejectCode::UnknownTable);
    assert!(outcome.message.contains("nowhere"), "{}", outcome.message);
    assert_eq!(segment.revision(), 2);
    daemon.stop().unwrap();
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let place = Place::new();
    let daemon = place.start();
    let first = Client::attach(daemon.socket());
    let lane = first.lane();
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let rows: Vec<(i64, String)> = (0..5_000).map(|i| (i, format!("value {i}"))).collect();
    let rows: Vec<(i64, &str)> = rows.iter().map(|(i, v)| (*i, v.as_str())).collect();
    assert!(lane.insert("t", &rows).committed);
    let revision = lane.sql("DELETE FROM t WHERE id >= 4000; UPDATE t SET v = 'new' WHERE id = 7");
    let ticket = lane.submit(&insert("t", &[(9_999, "late")]));
    assert!(lane.outcome(ticket).unwrap().committed);
    daemon.stop().unwrap();

    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    assert_eq!(client.welcome.instance, first.welcome.instance);
    assert_eq!(client.welcome.revision, revision + 1);
    assert!(client.welcome.generation > first.welcome.generation);
    let segment = client.segment();
    assert_eq!(segment.revision(), revision + 1);
    let (_, view) = table(&segment, "t").unwrap();
    assert_eq!(view.rows(), 4_001);
    assert_eq!(row(&segment, "t", 7).unwrap()[1], text("new"));
    assert_eq!(row(&segment, "t", 4_000), None);
    assert_eq!(row(&segment, "t", 9_999).unwrap()[1], text("late"));
    // The ticket of the daemon before is settled by the log.
    let settled = |ticket| client.call(&Call::Settled { lane: lane.producer.lane_id(), ticket });
    assert_eq!(settled(ticket).unwrap().0, Answer::Settled(Some(revision + 1)));
    assert_eq!(settled(ticket + 1).unwrap().0, Answer::Settled(None));
    // And writing goes on where it ended.
    assert_eq!(client.lane().sql("DELETE FROM t WHERE id = 9999"), revision + 2);
    daemon.stop().unwrap();
}

#[test]
fn the_log_keeps_to_its_bound_under_a_writer_that_never_pauses() {
    let place = Place::new();
    let mut config = place.config();
    config.store.log_keep_bytes = 1 << 20;
    let daemon = shmirror_daemon::Daemon::start(config).unwrap();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql("CREATE TABLE hot(id INTEGER PRIMARY KEY, v TEXT)");
    lane.sql("INSERT INTO hot VALUES (1, '')");
    let store = || client.json(&Call::Status)["store"].clone();
    let deadline = Instant::now() + LONG;
    let (mut written, mut oldest) = (0, 1);
    // One row alone: never many rows to checkpoint, only a long tail.
    while written < 16 << 20 || oldest == 1 {
        assert!(Instant::now() < deadline, "after {written} bytes: {}", store());
        for _ in 0..20 {
            lane.sql("UPDATE hot SET v = hex(randomblob(8000)) WHERE id = 1");
            written += 16_000;
        }
        oldest = store()["log_oldest_revision"].as_u64().unwrap();
    }
    let most = 6 << 20;
    let now = store();
    assert!(now["log_bytes"].as_u64().unwrap() < most, "{now}");
    // And the rows of a table that is no more leave the store.
    let rows = || store()["rows"].as_u64().unwrap();
    until("the row to be checkpointed", || rows() == 1);
    lane.sql("DROP TABLE hot");
    until("the dropped table's row to go", || rows() == 0);
    daemon.stop().unwrap();
}

#[test]
fn a_reshaped_table_moves_with_its_rows() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let (segment, lane) = (client.segment(), client.lane());
    lane.sql(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE u(id INTEGER PRIMARY KEY)",
    );
    lane.insert("t", &[(1, "a"), (2, "b")]);
    let (before, old_view) = table(&segment, "t").unwrap();
    lane.sql("ALTER TABLE t ADD COLUMN w DEFAULT 5");
    let (after, _) = table(&segment, "t").unwrap();
    assert_eq!((after.id, after.shape), (before.id, before.shape + 1));
    let expected = vec![Value::Integer(1), text("a"), Value::Integer(5)];
    assert_eq!(row(&segment, "t", 1), Some(expected.clone()));
    // Who still holds the old view is told.
    let key = shmirror_shm::key::Key::Int(1);
    assert!(old_view.get(&key, &mut shmirror_shm::snapshot::RowBuf::new()).is_err());
    // DDL, a new shape and rows in one transaction.
    lane.sql("ALTER TABLE t DROP COLUMN v; UPDATE t SET w = 6 WHERE id = 2; DROP TABLE u");
    assert_eq!(row(&segment, "t", 2), Some(vec![Value::Integer(2), Value::Integer(6)]));
    assert!(table(&segment, "u").is_none());
    daemon.stop().unwrap();

    // Row 1 was never written in the new shapes: the store has it in its first.
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let segment = client.segment();
    assert_eq!(row(&segment, "t", 1), Some(vec![Value::Integer(1), Value::Integer(5)]));
    assert_eq!(row(&segment, "t", 2), Some(vec![Value::Integer(2), Value::Integer(6)]));
    let report = client.json(&Call::Check);
    assert_eq!(report["ok"], true, "{report:#}");
    daemon.stop().unwrap();
}

#[test]
fn a_full_store_refuses_and_changes_nothing() {
    let place = Place::new();
    let mut config = place.config();
    config.store.max_pages = Some(200);
    let daemon = shmirror_daemon::Daemon::start(config).unwrap();
    let client = Client::attach(daemon.socket());
    let (segment, lane) = (client.segment(), client.lane());
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT UNIQUE)");
    let wide = "x".repeat(40_000);
    let mut stored = 0;
    let refused = loop {
        let outcome = lane.insert("t", &[(stored, &format!("{wide}{stored}"))]);
        if !outcome.committed {
            break outcome;
        }
        stored += 1;
        assert!(stored < 1_000, "the limit has no effect");
    };
    assert_eq!(code(&refused), RejectCode::Store);
    assert!(stored > 0);
    // Nothing of it can be seen, in shared memory or by SQL rules, and reading goes on.
    assert_eq!(row(&segment, "t", stored), None);
    assert!(row(&segment, "t", stored - 1).is_some());
    let again = lane.insert("t", &[(stored, &format!("{wide}{stored}"))]);
    assert_eq!(code(&again), RejectCode::Store);
    // Nor of a change of schema, of which everything but the commit was done.
    let schema = segment.schema_version();
    let sql = format!(
        "ALTER TABLE t RENAME COLUMN v TO w; ALTER TABLE t ADD COLUMN x DEFAULT 5; \
         CREATE TABLE u(id INTEGER PRIMARY KEY AUTOINCREMENT, v); \
         INSERT INTO u(v) VALUES('{wide}'); DELETE FROM t WHERE id = 0"
    );
    assert_eq!(code(&lane.run(&sql_request(&sql))), RejectCode::Store);
    assert_eq!(segment.schema_version(), schema);
    assert!(row(&segment, "t", 0).is_some() && table(&segment, "u").is_none());
    let (_, rows) = client.rows(&lane, "SELECT count(v) FROM t");
    assert_eq!(rows, [[Value::Integer(stored)]]);
    let report = client.json(&Call::Check);
    assert_eq!(report["ok"], true, "{report:#}");
    let revision = segment.revision();
    daemon.stop().unwrap();

    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    assert_eq!(client.welcome.revision, revision);
    let (_, view) = table(&client.segment(), "t").unwrap();
    assert_eq!(view.rows() as i64, stored);
    assert!(client.lane().insert("t", &[(stored, "room again")]).committed);
    daemon.stop().unwrap();
}

#[test]
fn a_full_segment_is_followed_by_a_larger_generation() {
    let place = Place::new();
    let mut config = place.config();
    config.segment.reserve = Some(1 << 20);
    let daemon = shmirror_daemon::Daemon::start(config.clone()).unwrap();
    let client = Client::attach(daemon.socket());
    let (first, lane) = (client.segment(), client.lane());
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let wide = "y".repeat(1_000);
    for i in 0..4_000 {
        lane.submit(&insert("t", &[(i, &wide)]));
    }
    let outcome = lane.run(&insert("t", &[(4_000, "last")]));
    assert!(outcome.committed, "{}", outcome.message);
    assert!(first.is_retired());
    let second = client.segment();
    assert!(second.generation() > first.generation());
    assert!(!second.is_retired());
    let (_, view) = table(&second, "t").unwrap();
    assert_eq!(view.rows(), 4_001);
    assert_eq!(second.revision(), outcome.revision);
    assert_eq!(row(&second, "t", 0).unwrap()[1], text(&wide));
    let report = client.json(&Call::Check);
    assert_eq!(report["ok"], true, "{report:#}");
    daemon.stop().unwrap();
    // No generation is given out twice.
    let daemon = shmirror_daemon::Daemon::start(config).unwrap();
    assert!(Client::attach(daemon.socket()).welcome.generation > second.generation());
    daemon.stop().unwrap();
}

#[test]
fn a_retired_lane_ends_at_a_definite_ticket() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let old = client.lane();
    old.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let last = old.submit(&insert("t", &[(1, "taken")]));
    assert!(old.outcome(last).unwrap().committed);
    let id = old.producer.lane_id();
    let fresh = client.lane_by(&Call::RetireLane(id));
    assert_ne!(fresh.producer.lane_id(), id);
    assert_eq!(old.producer.retired(), Some(last));
    assert!(old.try_submit(&insert("t", &[(2, "not taken")])).is_err());
    assert_eq!(old.outcome(last).unwrap().ticket, last);
    // Who comes too late with the same complaint gets the lane that is there.
    let other = Client::attach(daemon.socket()).lane_by(&Call::RetireLane(id));
    assert_eq!(other.producer.lane_id(), fresh.producer.lane_id());
    assert!(fresh.insert("t", &[(2, "once")]).committed);
    let settled = |ticket| client.call(&Call::Settled { lane: id, ticket }).unwrap().0;
    assert_eq!(settled(last), Answer::Settled(Some(2)));
    assert_eq!(settled(last + 1), Answer::Settled(None));
    // A live lane settles its tickets itself.
    let live = Call::Settled { lane: fresh.producer.lane_id(), ticket: 99 };
    assert!(matches!(client.call(&live), Err(WireError::Refused { .. })));
    daemon.stop().unwrap();
}

#[test]
fn a_stop_answers_everything_that_was_submitted() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let (segment, lane) = (client.segment(), client.lane());
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let tickets: Vec<u64> = (0..2_000).map(|i| lane.submit(&insert("t", &[(i, "v")]))).collect();
    let socket = daemon.socket().to_owned();
    daemon.stop().unwrap();
    assert!(!socket.exists());
    for ticket in &tickets {
        let outcome = lane.outcome(*ticket).unwrap();
        assert!(outcome.committed, "{}", outcome.message);
    }
    assert!(lane.try_submit(&insert("t", &[(1, "later")])).is_err());
    // Readers go on with the last published state.
    assert_eq!(table(&segment, "t").unwrap().1.rows(), 2_000);
    let daemon = place.start();
    let segment = Client::attach(daemon.socket()).segment();
    assert_eq!(table(&segment, "t").unwrap().1.rows(), 2_000);
    daemon.stop().unwrap();
}

#[test]
fn producers_share_groups_and_each_gets_its_own_outcome() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    client.lane().sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT CHECK (v <> 'bad'))");
    let revisions: Vec<HashSet<u64>> = std::thread::scope(|scope| {
        let socket = daemon.socket();
        let threads: Vec<_> = (0..4i64)
            .map(|n| {
                scope.spawn(move || {
                    let client = Client::attach(socket);
                    let lane = client.lane();
                    let tickets: Vec<u64> = (0..200)
                        .map(|i| {
                            let v = if i % 10 == 3 { "bad" } else { "good" };
                            lane.submit(&insert("t", &[(n * 1_000 + i, v)]))
                        })
                        .collect();
                    let mut revisions = HashSet::new();
                    for (i, ticket) in tickets.into_iter().enumerate() {
                        let outcome = lane.outcome(ticket).unwrap();
                        if i % 10 == 3 {
                            assert_eq!(code(&outcome), RejectCode::Check);
                        } else {
                            assert!(outcome.committed && revisions.insert(outcome.revision));
                        }
                    }
                    revisions
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    // 720 transactions changed something; each has a revision of its own, without a gap.
    let all: HashSet<u64> = revisions.iter().flatten().copied().collect();
    assert_eq!(all, (2..=721).collect::<HashSet<u64>>());
    assert_eq!(table(&client.segment(), "t").unwrap().1.rows(), 720);
    daemon.stop().unwrap();
}

#[test]
fn rows_of_a_select_and_long_messages_are_fetched_once() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    lane.insert("t", &[(1, "a"), (2, "b")]);
    let id = lane.producer.lane_id();
    let ticket = lane.submit(&sql_request("SELECT v FROM t ORDER BY id"));
    let outcome = lane.outcome(ticket).unwrap();
    assert_eq!((outcome.flags & FLAG_HAS_ROWS, outcome.revision), (FLAG_HAS_ROWS, 2));
    let fetch = || client.call(&Call::Result { lane: id, ticket });
    let Answer::Rows { revision, sets } = fetch().unwrap().0 else { panic!("no rows") };
    assert_eq!(revision, 2);
    assert_eq!(sets[0].rows, [[text("a")], [text("b")]]);
    let again = fetch().unwrap_err();
    assert!(matches!(again, WireError::Refused { code: RefuseCode::Expired, .. }), "{again}");

    let name = "long".repeat(100);
    let ticket = lane.submit(&insert(&name, &[(1, "a")]));
    let short = lane.outcome(ticket).unwrap();
    assert!(!short.message.contains(&name));
    let Answer::Text(long) = client.call(&Call::Result { lane: id, ticket }).unwrap().0 else {
        panic!("no text")
    };
    assert!(long.contains(&name) && long.starts_with(&short.message));
    daemon.stop().unwrap();
}

#[test]
fn history_copies_bells_and_status() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE u(id INTEGER PRIMARY KEY, v)",
    );
    let (t, _) = table(&client.segment(), "t").unwrap();
    let (answer, mut fds) = client.call(&Call::Notify(vec![t.id])).unwrap();
    assert_eq!(answer, Answer::Done);
    let bell = fds.remove(0);
    let mut eight = [0u8; 8];
    lane.insert("u", &[(1, "x")]);
    assert!(rustix::io::read(&bell, &mut eight).is_err());
    lane.insert("t", &[(1, "x")]);
    until("the bell", || rustix::io::read(&bell, &mut eight).is_ok());
    assert_eq!(u64::from_ne_bytes(eight), 1);

    let words = |fd: &std::os::fd::OwnedFd, bytes: u64| {
        let mut buffer = vec![0u64; bytes as usize / 8];
        let read = rustix::io::pread(fd, zerocopy::IntoBytes::as_mut_bytes(&mut buffer[..]), 0);
        assert_eq!(read.unwrap() as u64, bytes);
        buffer
    };
    let history =
        Call::History { from: 2, namespace: String::new(), tables: vec![t.id], max_bytes: 1 << 20 };
    let (answer, fds) = client.call(&history).unwrap();
    let Answer::History { through, oldest, newest, bytes } = answer else { panic!("{answer:?}") };
    assert_eq!((through, oldest, newest), (3, 1, 3));
    let buffer = words(&fds[0], bytes);
    let found: Vec<_> = records(&buffer).map(Result::unwrap).collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].header().revision, found[0].header().table), (3, t.id));

    let (answer, fds) = client.call(&Call::TableCopy(t.id)).unwrap();
    let Answer::TableCopy { revision, rows, bytes } = answer else { panic!("{answer:?}") };
    assert_eq!((revision, rows), (3, 1));
    assert_eq!(words(&fds[0], bytes)[0], 3);
    assert!(client.call(&Call::TableCopy(99)).is_err());

    let status = client.json(&Call::Status);
    assert_eq!(status["revision"], 3);
    assert_eq!(status["tables"][0]["name"], "t");
    assert_eq!(status["tables"][0]["rows"], 1);
    assert!(status["tables"][0]["slot_bytes"].as_u64().unwrap() > 100);
    assert_eq!(status["lag"]["requests_waiting"], 0);
    assert!(status["lag"]["revisions_held_for_subscribers"].as_u64().unwrap() <= 3);
    assert_eq!(status["clients"][0]["program"], "test");
    assert_eq!(status["lanes"][0]["committed"], 3);
    assert!(status["durability"].as_str().unwrap().contains("on the disk"));
    daemon.stop().unwrap();
}

#[test]
fn a_backup_is_a_store_of_its_own() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    lane.insert("t", &[(1, "kept")]);
    let file = place.dir.path().join("copy");
    let call = Call::Backup(file.to_str().unwrap().to_owned());
    let report = client.json(&call);
    assert_eq!(report["revision"], 2);
    assert!(client.call(&call).is_err(), "an existing file is left alone");
    lane.insert("t", &[(1, "later")]);
    let mode = |p: &std::path::Path| {
        std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(p).unwrap()) & 0o777
    };
    let key = place.dir.path().join("copy.key");
    assert_eq!((mode(&file), mode(&key)), (0o600, 0o600));
    daemon.stop().unwrap();

    let restored = Place::new();
    std::fs::create_dir(restored.data()).unwrap();
    std::fs::copy(&file, restored.data().join("store.db")).unwrap();
    std::fs::copy(&key, restored.data().join("key")).unwrap();
    let daemon = restored.start();
    let segment = Client::attach(daemon.socket()).segment();
    assert_eq!(row(&segment, "t", 1).unwrap()[1], text("kept"));
    daemon.stop().unwrap();
}

#[test]
fn two_instances_in_one_process_and_never_one_place_for_two() {
    let (one, two) = (Place::new(), Place::new());
    let (a, b) = (one.start(), two.start());
    Client::attach(a.socket()).lane().sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    assert!(table(&Client::attach(b.socket()).segment(), "t").is_none());

    let mut config = one.config();
    config.instance.socket = Some(one.dir.path().join("other"));
    let error = shmirror_daemon::Daemon::start(config).unwrap_err();
    assert!(matches!(error, shmirror_daemon::DaemonError::Store(_)), "{error}");
    let third = Place::new();
    let mut config = third.config();
    config.instance.socket = Some(a.socket().to_owned());
    let error = shmirror_daemon::Daemon::start(config).unwrap_err();
    assert!(matches!(error, shmirror_daemon::DaemonError::SocketInUse { .. }), "{error}");
    // Neither attempt disturbed who was there.
    assert_eq!(Client::attach(a.socket()).welcome.revision, 1);
    a.stop().unwrap();
    b.stop().unwrap();
}

#[test]
fn an_idle_daemon_rests() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    client.lane().sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let segment = client.segment();
    let beat = segment.heartbeat();
    let since = Instant::now();
    until("heartbeats", || segment.heartbeat() > beat + 600_000_000);
    assert!(since.elapsed().as_millis() >= 500);
    daemon.stop().unwrap();
}

#[test]
fn a_malformed_request_is_the_senders_matter_alone() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let kind = shmirror_shm::lane::RequestKind::REQUEST;
    let ticket = lane.producer.try_submit(kind, b"no archive at all").unwrap();
    assert_eq!(code(&lane.outcome(ticket).unwrap()), RejectCode::Malformed);
    let ticket = lane.producer.try_submit(shmirror_shm::lane::RequestKind(77), b"").unwrap();
    assert_eq!(code(&lane.outcome(ticket).unwrap()), RejectCode::Malformed);
    assert!(lane.run(&Request::Transaction(vec![])).committed);
    assert!(lane.insert("t", &[(1, "still works")]).committed);
    daemon.stop().unwrap();
}

#[test]
fn a_query_sees_one_revision_and_writes_nothing() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    lane.insert("t", &[(1, "a"), (2, "b")]);
    let query = |sql: &str| {
        let request =
            SqlRequest { sql: sql.to_owned(), params: vec![Value::Integer(1)], want_rows: true };
        client.call(&Call::Query(request)).map(|(answer, _)| answer)
    };
    let Answer::Rows { revision, sets } = query("SELECT v FROM t WHERE id > ?1").unwrap() else {
        panic!("no rows")
    };
    assert_eq!(revision, 2);
    assert_eq!(
        (&sets[0].columns[..], &sets[0].rows[..]),
        (&["v".to_owned()][..], &[vec![text("b")]][..])
    );
    for refused in ["DELETE FROM t WHERE id = ?1", "SELECT nothing FROM t WHERE id = ?1"] {
        let error = query(refused).unwrap_err();
        assert!(matches!(error, WireError::Refused { code: RefuseCode::Sql, .. }), "{error}");
    }
    daemon.stop().unwrap();
}

#[test]
fn a_stop_under_fire_ends_and_says_of_each_ticket_what_became_of_it() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let since = Instant::now();
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            // Until the lane is retired: then it was told so.
            let mut committed = 0i64;
            let mut last = 0;
            while let Ok(ticket) = lane.try_submit(&insert("t", &[(committed, "x")])) {
                last = ticket;
                match lane.outcome(ticket) {
                    Ok(outcome) if outcome.committed => committed += 1,
                    Ok(outcome) => panic!("what was taken is committed: {outcome:?}"),
                    Err(_) => break,
                }
            }
            let cursor = lane.producer.retired().expect("the lane is retired");
            (committed, last, cursor)
        });
        until("some commits", || client.segment().revision() > 10);
        daemon.stop().unwrap();
        assert!(since.elapsed().as_secs() < 15);
        let (committed, last, cursor) = producer.join().unwrap();
        assert!(last <= cursor || last == cursor + 1, "{last} after {cursor}");
        let daemon = place.start();
        let segment = Client::attach(daemon.socket()).segment();
        assert_eq!(table(&segment, "t").unwrap().1.rows() as i64, committed);
        daemon.stop().unwrap();
    });
}

#[test]
fn a_long_transaction_ends_at_its_limit_and_the_daemon_looks_alive_meanwhile() {
    let place = Place::new();
    let mut config = place.config();
    config.limits.transaction_time = std::time::Duration::from_secs(2);
    let daemon = shmirror_daemon::Daemon::start(config).unwrap();
    let client = Client::attach(daemon.socket());
    let (segment, lane) = (client.segment(), client.lane());
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let endless =
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT max(i) FROM c";
    let ticket = lane.submit(&sql_request(endless));
    let since = Instant::now();
    until("the end of an endless query", || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        assert!(now - segment.heartbeat() < 1_500_000_000, "no heartbeat");
        !matches!(lane.producer.poll(ticket), shmirror_shm::lane::Poll::Pending)
    });
    assert!(since.elapsed().as_millis() > 1_500);
    assert_eq!(code(&lane.outcome(ticket).unwrap()), RejectCode::TimeLimit);
    assert!(lane.insert("t", &[(1, "next")]).committed);
    daemon.stop().unwrap();
}

/// SQL that takes a good while and changes nothing.
const SLOW: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) \
                    SELECT count(*) FROM n";

#[test]
fn slow_requests_do_not_keep_calls_waiting() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    let tickets: Vec<u64> = (0..30).map(|_| lane.submit(&sql_request(SLOW))).collect();
    assert!(lane.outcome(tickets[0]).unwrap().committed);
    // What the pipeline answers comes between two of them, not behind all.
    client.json(&Call::Status);
    assert!(matches!(lane.producer.poll(tickets[29]), Poll::Pending));
    for ticket in tickets {
        assert!(lane.outcome(ticket).unwrap().committed);
    }
    daemon.stop().unwrap();
}

#[test]
fn copies_of_tables_do_not_keep_requests_waiting() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    lane.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) \
         INSERT INTO t SELECT i, 'value ' || i FROM n",
    );
    let greedy = Client::attach(daemon.socket());
    let id = table(&client.segment(), "t").unwrap().0.id;
    let call = shmirror_shm::archive::to_bytes(&Call::TableCopy(id)).unwrap();
    const COPIES: usize = 30;
    for number in 0..COPIES {
        wire_io::send(&greedy.fd, number as u32, &call, &[]).unwrap();
    }
    assert!(lane.insert("t", &[(0, "between")]).committed);
    rustix::fs::fcntl_setfl(&greedy.fd, rustix::fs::OFlags::NONBLOCK).unwrap();
    let answered = std::iter::from_fn(|| wire_io::recv(&greedy.fd).ok()).count();
    assert!(answered < COPIES / 2, "{answered} copies came first");
    daemon.stop().unwrap();
}
