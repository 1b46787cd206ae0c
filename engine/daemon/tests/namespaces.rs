//! Several namespaces in one daemon: each has a segment and an events lane of its own with what is in it
//! and nothing else, all of them at one revision.
#![allow(missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::{Client, LONG, Place, insert, next_event, row, sql_request, table, until};
use shmirror_daemon::Daemon;
use shmirror_daemon::config::{Config, NamespaceConfig};
use shmirror_shm::Region;
use shmirror_shm::lane::{EventsReader, WaitError, layout};
use shmirror_shm::record::{FLAG_LAST, RecordRef};
use shmirror_shm::request::{RejectCode, Request, SqlRequest};
use shmirror_shm::snapshot::Segment;
use shmirror_shm::value::Value;
use shmirror_shm::wire::{self, Answer, Call};
use shmirror_shm::wire_io::{self, WireError};

/// A configuration with these namespaces, which nobody but the daemon's own user may see.
fn config(place: &Place, names: &[&str]) -> Config {
    let mut config = place.config();
    for name in names {
        config.namespaces.insert((*name).to_owned(), NamespaceConfig::default());
    }
    config
}

/// A table of two columns in each of main, plant and lab.
fn with_tables(place: &Place) -> (Daemon, Client) {
    let daemon = Daemon::start(config(place, &["lab", "plant"])).unwrap();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    for name in ["t", "plant.t", "lab.only"] {
        lane.sql(&format!("CREATE TABLE {name}(id INTEGER PRIMARY KEY, v TEXT)"));
    }
    (daemon, client)
}

fn numbers(client: &Client) -> BTreeMap<String, u16> {
    client.welcome.namespaces.iter().map(|n| (n.name.clone(), n.id)).collect()
}

fn names_in(segment: &Arc<Segment>) -> Vec<String> {
    let found = segment.catalogue().unwrap().catalogue;
    found.tables.iter().map(|t| t.full_name().into_owned()).collect()
}

/// Namespace, revision and whether it is its transaction's last, of all that is left in a lane.
fn all_records(memory: &Arc<Region>) -> Vec<(u16, u64, bool)> {
    let mut lane = EventsReader::open(Arc::clone(memory)).unwrap();
    lane.from_oldest();
    let (mut words, mut found) = (Vec::new(), Vec::new());
    while lane.next(&mut words).unwrap().is_some() {
        let header = *RecordRef::parse(&words).unwrap().header();
        found.push((header.namespace, header.revision, header.flags & FLAG_LAST != 0));
    }
    found
}

#[test]
fn each_has_only_its_own_tables_and_records() {
    let place = Place::new();
    let (daemon, client) = with_tables(&place);
    let lane = client.lane();
    let ids = numbers(&client);
    assert_eq!(ids.keys().collect::<Vec<_>>(), ["lab", "main", "plant"]);
    // Plant first: the records of a transaction stand by the numbers of namespaces all the same.
    let both = |v: &str| {
        let (Request::Transaction(mut plant), Request::Transaction(main)) =
            (insert("plant.t", &[(1, v)]), insert("t", &[(1, v)]))
        else {
            unreachable!("they are transactions")
        };
        plant.extend(main);
        Request::Transaction(plant)
    };
    let outcome = lane.run(&both("x"));
    assert!(outcome.committed && outcome.revision == 4, "{}", outcome.message);
    for (name, expected) in [("main", "t"), ("plant", "plant.t"), ("lab", "lab.only")] {
        let segment = client.segment_of(name);
        assert_eq!(names_in(&segment), [expected]);
        let catalogue = segment.catalogue().unwrap().catalogue;
        let spaces: Vec<_> = catalogue.namespaces.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(spaces, [name].into_iter().filter(|n| *n != "main").collect::<Vec<_>>());
        assert_eq!((catalogue.next_table_id, catalogue.next_namespace_id), (0, 0));
        // One revision over all of them, whether it changed anything there or not.
        assert_eq!(segment.revision(), 4, "{name}");
        let memory = client.events_memory(name);
        assert_eq!(EventsReader::open(Arc::clone(&memory)).unwrap().newest_revision(), 4);
        let id = ids[name];
        let expected: &[(u16, u64, bool)] = match name {
            "main" => &[(0, 1, true), (0, 4, false)],
            "plant" => &[(id, 2, true), (id, 4, true)],
            _ => &[(id, 3, true)],
        };
        assert_eq!(all_records(&memory), expected, "{name}");
    }
    assert_eq!(row(&client.segment_of("plant"), "plant.t", 1).unwrap()[1], Value::from("x"));
    let report = client.json(&Call::Check);
    assert_eq!(report["ok"], true, "{report:#}");
    let names: Vec<_> = report["tables"].as_array().unwrap().iter().map(|t| &t["name"]).collect();
    assert_eq!(names, ["t", "lab.only", "plant.t"]);
    let status = client.json(&Call::Status);
    let spaces = status["namespaces"].as_array().unwrap();
    let told: Vec<_> = spaces.iter().map(|n| (n["name"].as_str().unwrap(), &n["rows"])).collect();
    let lab_first = ids["lab"] < ids["plant"];
    assert!(lab_first, "{ids:?}");
    assert_eq!(told, [("main", &1.into()), ("lab", &0.into()), ("plant", &1.into())]);
    daemon.stop().unwrap();
}

#[test]
fn one_script_changes_several_parts_of_the_schema_in_one_transaction() {
    let place = Place::new();
    let (daemon, client) = with_tables(&place);
    let lane = client.lane();
    let ids = numbers(&client);
    let lab = client.segment_of("lab");
    let before = lab.schema_version();
    let revision = lane.sql(
        "ALTER TABLE plant.t ADD COLUMN w; CREATE TABLE u(id INTEGER PRIMARY KEY); \
         INSERT INTO lab.only VALUES(7, 'seven')",
    );
    let mut records = Vec::new();
    for name in ["main", "lab", "plant"] {
        let found = all_records(&client.events_memory(name));
        records.extend(found.into_iter().filter(|(_, at, _)| *at == revision));
    }
    // Schemas first, then rows: the last of all is the row, in a namespace between the two.
    let (lab_id, plant_id) = (ids["lab"], ids["plant"]);
    let expected = [(0, revision, false), (lab_id, revision, true), (plant_id, revision, false)];
    assert_eq!(records, expected);
    assert_eq!(names_in(&client.segment()), ["t", "u"]);
    assert_eq!(row(&lab, "lab.only", 7).unwrap()[1], Value::from("seven"));
    // The part that did not change stays as it is.
    assert_eq!(lab.schema_version(), before);
    assert_eq!(table(&client.segment_of("plant"), "plant.t").unwrap().0.columns.len(), 3);
    daemon.stop().unwrap();
}

#[test]
fn what_is_not_changed_wakes_nobody() {
    let place = Place::new();
    let (daemon, client) = with_tables(&place);
    let lane = client.lane();
    let memory = client.events_memory("plant");
    let turns = || -> Vec<u32> {
        let tables = (0..layout::TABLE_WORDS).map(|table| layout::TABLES + 4 * table);
        let words = tables.chain([layout::ALL_TABLES]);
        words.map(|at| memory.word32(at).unwrap().load(Ordering::Acquire)).collect()
    };
    let bell = |tables: Vec<u32>| client.call(&Call::Notify(tables)).unwrap().1.remove(0);
    let id = table(&client.segment_of("plant"), "plant.t").unwrap().0.id;
    let (bell, before) = (bell(vec![id]), turns());
    for i in 0..50 {
        assert!(lane.insert("t", &[(i, "main")]).committed);
    }
    assert!(lane.insert("lab.only", &[(1, "lab")]).committed);
    let mut reader = EventsReader::open(Arc::clone(&memory)).unwrap();
    assert_eq!(reader.newest_revision(), 54);
    // Who sleeps on a word that stays as it is sleeps on.
    assert_eq!(turns(), before);
    let mut eight = [0u8; 8];
    assert!(rustix::io::read(&bell, &mut eight).is_err());
    assert!(lane.insert("plant.t", &[(1, "plant")]).committed);
    assert_ne!(turns(), before);
    until("the bell", || rustix::io::read(&bell, &mut eight).is_ok());
    let words = next_event(&mut reader);
    assert_eq!(RecordRef::parse(&words).unwrap().header().revision, 55);
    daemon.stop().unwrap();
}

#[test]
fn one_segment_grows_and_the_others_stay() {
    let place = Place::new();
    let mut config = config(&place, &["plant"]);
    config.segment.reserve = Some(1 << 20);
    let daemon = Daemon::start(config.clone()).unwrap();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    lane.sql("CREATE TABLE plant.t(id INTEGER PRIMARY KEY, v TEXT)");
    assert!(lane.insert("t", &[(1, "main")]).committed);
    let (main, first) = (client.segment(), client.segment_of("plant"));
    let events = client.events_memory("plant");
    let wide = "y".repeat(1_000);
    for i in 0..4_000 {
        lane.submit(&insert("plant.t", &[(i, &wide)]));
    }
    let outcome = lane.run(&insert("plant.t", &[(4_000, "last")]));
    assert!(outcome.committed, "{}", outcome.message);
    assert!(first.is_retired() && !main.is_retired());
    let second = client.segment_of("plant");
    assert!(second.generation() > first.generation());
    assert_eq!(client.segment().generation(), main.generation());
    assert_eq!(table(&second, "plant.t").unwrap().1.rows(), 4_001);
    assert_eq!((main.revision(), second.revision()), (outcome.revision, outcome.revision));
    assert_eq!(row(&main, "t", 1).unwrap()[1], Value::from("main"));
    // The lane went on.
    let lane = EventsReader::open(events).unwrap();
    assert!(!lane.is_retired() && lane.newest_revision() == outcome.revision);
    let report = client.json(&Call::Check);
    assert_eq!(report["ok"], true, "{report:#}");
    daemon.stop().unwrap();
    // So does that of a daemon which finds as much in the store.
    let daemon = Daemon::start(config).unwrap();
    let client = Client::attach(daemon.socket());
    assert_eq!(table(&client.segment_of("plant"), "plant.t").unwrap().1.rows(), 4_001);
    let reserves = client.json(&Call::Status);
    let reserve = |i: usize| reserves["namespaces"][i]["segment"]["reserve"].as_u64().unwrap();
    assert!(reserve(0) == 1 << 20 && reserve(1) > 4 << 20, "{reserves:#}");
    daemon.stop().unwrap();
}

#[test]
fn rows_of_all_are_there_after_a_restart_and_numbers_stay() {
    let place = Place::new();
    let (daemon, client) = with_tables(&place);
    let lane = client.lane();
    let before = numbers(&client);
    let rows: Vec<(i64, &str)> = (0..5_000).map(|i| (i, "v")).collect();
    assert!(lane.insert("plant.t", &rows).committed);
    assert!(lane.insert("t", &rows[..10]).committed);
    let revision = lane.sql("ALTER TABLE plant.t ADD COLUMN w DEFAULT 5");
    daemon.stop().unwrap();

    // Not configured any more, but with tables: it stays, for the daemon's own user.
    let daemon = Daemon::start(config(&place, &["another"])).unwrap();
    let client = Client::attach(daemon.socket());
    let now = numbers(&client);
    assert!(before.iter().all(|(name, id)| now[name] == *id), "{now:?}");
    assert!(!before.values().any(|id| *id == now["another"]), "{now:?}");
    for (name, of, count) in [("main", "t", 10), ("plant", "plant.t", 5_000)] {
        let segment = client.segment_of(name);
        assert_eq!(segment.revision(), revision);
        assert_eq!(table(&segment, of).unwrap().1.rows(), count);
    }
    let expected = vec![Value::Integer(9), Value::from("v"), Value::Integer(5)];
    assert_eq!(row(&client.segment_of("plant"), "plant.t", 9), Some(expected));
    let report = client.json(&Call::Check);
    assert_eq!(report["ok"], true, "{report:#}");
    client.lane().sql("DROP TABLE plant.t; CREATE TABLE another.one(id INTEGER PRIMARY KEY)");
    let another = now["another"];
    daemon.stop().unwrap();

    // With nothing in it, it is gone, and its number is not used again.
    let daemon = Daemon::start(config(&place, &["another", "third"])).unwrap();
    let client = Client::attach(daemon.socket());
    let now = numbers(&client);
    assert!(!now.contains_key("plant") && now["another"] == another, "{now:?}");
    assert!(!before.values().any(|id| *id == now["third"]), "{now:?}");
    assert!(client.call(&Call::Segment("plant".to_owned())).is_err());
    daemon.stop().unwrap();
}

#[test]
fn too_many_are_told_and_nothing_is_touched() {
    let place = Place::new();
    let names: Vec<String> = (0..30).map(|i| format!("space{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let daemon = Daemon::start(config(&place, &names)).unwrap();
    let client = Client::attach(daemon.socket());
    assert_eq!(client.welcome.namespaces.len(), 31);
    client.lane().sql("CREATE TABLE space0.t(id INTEGER PRIMARY KEY, v TEXT)");
    let more = config(&place, &["one_more"]);
    let error = daemon.reload_rules(&more).unwrap_err().to_string();
    assert!(error.contains("31 namespaces"), "{error}");
    daemon.stop().unwrap();
    let mut names = names;
    names[0] = "one_more";
    let error = Daemon::start(config(&place, &names)).unwrap_err().to_string();
    assert!(error.contains("31 namespaces") && error.contains("30"), "{error}");
    let daemon = Daemon::start(config(&place, &[])).unwrap();
    assert_eq!(numbers(&Client::attach(daemon.socket())).len(), 2);
    daemon.stop().unwrap();
}

/// All bytes behind a descriptor.
fn bytes_of(fd: &OwnedFd, count: u64) -> Vec<u8> {
    let mut bytes = vec![0; count as usize];
    let mut at = 0;
    while at < bytes.len() {
        let read = rustix::io::pread(fd, &mut bytes[at..], at as u64).unwrap();
        assert!(read > 0);
        at += read;
    }
    bytes
}

#[test]
fn what_is_withdrawn_goes_on_elsewhere_and_stays_as_it_is_where_it_was() {
    let place = Place::new();
    let section = "[namespaces.plant]\nreaders = ['user:54321']";
    let reader = |names: &[&str]| config_with(&place, names, section);
    let daemon = Daemon::start(reader(&["lab"])).unwrap();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql("CREATE TABLE plant.t(id INTEGER PRIMARY KEY, v TEXT)");
    lane.sql("CREATE TABLE lab.t(id INTEGER PRIMARY KEY, v TEXT)");
    assert!(lane.insert("plant.t", &[(1, "before")]).committed);
    let fetch = |name: &str| {
        let (answer, mut fds) = client.call(&Call::Segment(name.to_owned())).unwrap();
        let Answer::Segment { bytes: segment, .. } = answer else { panic!("{answer:?}") };
        let (answer, mut more) = client.call(&Call::Events(name.to_owned())).unwrap();
        let Answer::Events { bytes: events, .. } = answer else { panic!("{answer:?}") };
        [(fds.remove(0), segment), (more.remove(0), events)]
    };
    let (old_segment, lab) = (client.segment_of("plant"), client.segment_of("lab"));
    let old_lane = EventsReader::open(client.events_memory("plant")).unwrap();
    let handed_out = fetch("plant");
    // The same rules: nothing changes.
    daemon.reload_rules(&reader(&["lab"])).unwrap();
    assert!(!old_segment.is_retired() && !old_lane.is_retired());

    daemon.reload_rules(&config(&place, &["lab", "plant"])).unwrap();
    assert!(old_segment.is_retired() && old_lane.is_retired() && !lab.is_retired());
    let kept = handed_out.each_ref().map(|(fd, count)| bytes_of(fd, *count));
    let (segment, memory) = (client.segment_of("plant"), client.events_memory("plant"));
    assert!(segment.generation() > old_segment.generation());
    assert_eq!(row(&segment, "plant.t", 1).unwrap()[1], Value::from("before"));
    assert_eq!(segment.revision(), old_segment.revision());
    let mut events = EventsReader::open(memory).unwrap();
    assert_eq!(events.newest_revision(), segment.revision());
    assert_eq!(events.oldest_revision(), segment.revision() + 1);
    // The lane of the daemon's own user goes on.
    let outcome = lane.insert("plant.t", &[(1, "after"), (2, "new")]);
    assert!(outcome.committed, "{}", outcome.message);
    lane.sql("ALTER TABLE plant.t ADD COLUMN w");
    assert!(lane.insert("lab.t", &[(1, "elsewhere")]).committed);
    let words = next_event(&mut events);
    assert_eq!(RecordRef::parse(&words).unwrap().header().revision, outcome.revision);
    assert_eq!(row(&segment, "plant.t", 2).unwrap()[1], Value::from("new"));
    // A heartbeat comes as often as that.
    let heartbeat = segment.heartbeat();
    until("a heartbeat", || segment.heartbeat() > heartbeat);
    for ((fd, count), kept) in handed_out.iter().zip(&kept) {
        assert!(bytes_of(fd, *count) == *kept, "what was withdrawn has changed");
    }
    let report = client.json(&Call::Check);
    assert_eq!(report["ok"], true, "{report:#}");
    daemon.stop().unwrap();
}

#[test]
fn a_new_namespace_is_there_at_once() {
    let place = Place::new();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    assert!(client.call(&Call::Segment("plant".to_owned())).is_err());
    daemon.reload_rules(&config(&place, &["plant"])).unwrap();
    let segment = client.segment_of("plant");
    assert_eq!((segment.revision(), names_in(&segment)), (1, vec![]));
    lane.sql("CREATE TABLE plant.t(id INTEGER PRIMARY KEY, v TEXT)");
    assert!(lane.insert("plant.t", &[(1, "x")]).committed);
    assert_eq!(row(&segment, "plant.t", 1).unwrap()[1], Value::from("x"));
    daemon.stop().unwrap();
    let daemon = place.start();
    let client = Client::attach(daemon.socket());
    assert_eq!(row(&client.segment_of("plant"), "plant.t", 1).unwrap()[1], Value::from("x"));
    daemon.stop().unwrap();
}

/// Set for the child alone, which is this very test binary.
const SOCKET: &str = "SHMIRROR_TEST_SOCKET";
/// Ids of a table that the child may not see, and of one that there is not.
const TABLES: &str = "SHMIRROR_TEST_TABLES";
const OTHER_USER: u32 = 54_321;

/// Not a test: what the child runs.
#[test]
fn child() {
    let Some(socket) = std::env::var_os(SOCKET).map(PathBuf::from) else { return };
    if std::env::var_os(TABLES).is_some() { look(&socket) } else { write_until_denied(&socket) }
}

/// It may read plant, and write nothing.
fn look(socket: &Path) {
    let ids: Vec<u32> =
        std::env::var(TABLES).unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
    let fd = common::connect(socket);
    let welcome = wire_io::greet(&fd, wire::ROLE_MIRROR, "child", LONG).unwrap();
    let client = Client { fd, welcome };
    let seen: Vec<_> = client.welcome.namespaces.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(seen, ["plant"]);
    assert!(!client.welcome.namespaces[0].writable);
    // What is hidden and what is not there: the same, but for the name that was asked for.
    let told = |call: &Call, names: &[&str]| -> String {
        let mut told = match client.call(call) {
            Ok((answer, fds)) => format!("{answer:?} and {} descriptors", fds.len()),
            Err(error @ WireError::Refused { .. }) => format!("{error:?}"),
            Err(error) => panic!("{call:?}: {error}"),
        };
        names.iter().for_each(|name| told = told.replace(name, "NAME"));
        told
    };
    let sql = |name: &str| {
        let sql = format!("SELECT * FROM {name}.t");
        Call::Query(SqlRequest { sql, params: vec![], want_rows: true })
    };
    let history = |tables: Vec<u32>, namespace: &str| Call::History {
        from: 1,
        namespace: namespace.to_owned(),
        tables,
        max_bytes: 1 << 20,
    };
    let numbers: Vec<String> = ids.iter().map(u32::to_string).collect();
    for space in ["main", "lab"] {
        for call in [|n: &str| Call::Segment(n.to_owned()), |n: &str| Call::Events(n.to_owned())] {
            assert_eq!(told(&call(space), &[space]), told(&call("nowhere"), &["nowhere"]));
        }
        let (hidden, none) = (history(vec![], space), history(vec![], "nowhere"));
        assert_eq!(told(&hidden, &[space]), told(&none, &["nowhere"]));
        if space != "main" {
            assert_eq!(told(&sql(space), &[space]), told(&sql("nowhere"), &["nowhere"]));
        }
    }
    for call in [Call::TableCopy, |id| Call::Notify(vec![id])] {
        assert_eq!(told(&call(ids[0]), &[&numbers[0]]), told(&call(ids[1]), &[&numbers[1]]));
    }
    assert_eq!(told(&history(vec![ids[0]], ""), &[]), told(&history(vec![ids[1]], ""), &[]));
    for call in [Call::Lane, Call::Check, Call::RotateKey(None), Call::Backup("/x".to_owned())] {
        assert!(told(&call, &[]).contains("Denied"), "{call:?}");
    }
    let status = client.json(&Call::Status);
    let text = status.to_string();
    assert!(!text.contains("lab") && !text.contains("secret"), "{text}");
    for absent in ["store", "lag", "data"] {
        assert!(status.get(absent).is_none(), "{absent}: {text}");
    }
    let list = |key: &str| -> Vec<&str> {
        let items = status[key].as_array().unwrap().iter();
        items.map(|item| item["name"].as_str().unwrap()).collect()
    };
    assert_eq!((list("tables"), list("namespaces")), (vec!["plant.t"], vec!["plant"]));
    assert!(status["lanes"].as_array().unwrap().is_empty(), "{text}");
    assert_eq!(row(&client.segment_of("plant"), "plant.t", 1).unwrap()[1], Value::from("seen"));
    println!("@seen");
}

/// A daemon whose rules have this section beside the namespaces of these names, at a place that other
/// users can reach; `None`, and a word about it, where nobody can become another user.
fn for_another_user(names: &[&str], section: &str) -> Option<(Place, Daemon)> {
    if !rustix::process::geteuid().is_root() {
        println!("left out: only root can start a process of another user");
        return None;
    }
    let place = Place::new();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.dir.path(), open).unwrap();
    let daemon = Daemon::start(config_with(&place, names, section)).unwrap();
    Some((place, daemon))
}

fn config_with(place: &Place, names: &[&str], section: &str) -> Config {
    let mut config = config(place, names);
    let parsed = Config::parse(place.data(), &place.data().join("rules"), section).unwrap();
    config.namespaces.extend(parsed.namespaces);
    config
}

/// A copy of this binary as a process of the other user.
fn other_user(place: &Place, daemon: &Daemon, tables: Option<String>) -> Command {
    let binary = place.dir.path().join("child");
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&binary);
    command
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(SOCKET, daemon.socket())
        .current_dir("/")
        .uid(OTHER_USER)
        .gid(OTHER_USER);
    if let Some(tables) = tables {
        command.env(TABLES, tables);
    }
    command
}

#[test]
fn to_another_user_what_is_hidden_is_not_there() {
    let section = format!("[namespaces.plant]\nreaders = ['user:{OTHER_USER}']");
    let Some((place, daemon)) = for_another_user(&["lab"], &section) else { return };
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    for name in ["t", "plant.t", "lab.t", "lab.secret"] {
        lane.sql(&format!("CREATE TABLE {name}(id INTEGER PRIMARY KEY, v TEXT)"));
        assert!(lane.insert(name, &[(1, if name == "plant.t" { "seen" } else { "x" })]).committed);
    }
    let hidden = table(&client.segment_of("lab"), "lab.t").unwrap().0.id;
    let out = other_user(&place, &daemon, Some(format!("{hidden} 9999"))).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(said.contains("@seen"), "{said}{}", String::from_utf8_lossy(&out.stderr));
    daemon.stop().unwrap();
}

/// It may write plant, until it may not: all that it submits is in the lane, and much of it taken, when
/// its right ends.
fn write_until_denied(socket: &Path) {
    let fd = common::connect(socket);
    let roles = wire::ROLE_MIRROR | wire::ROLE_PRODUCER;
    let welcome = wire_io::greet(&fd, roles, "child", LONG).unwrap();
    let client = Client { fd, welcome };
    let lane = client.lane();
    let slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) \
                INSERT INTO plant.t SELECT NULL, count(*) FROM n";
    let tickets: Vec<u64> = (0..200).map(|_| lane.submit(&sql_request(slow))).collect();
    assert!(lane.outcome(tickets[0]).unwrap().committed);
    println!("@writes");
    let (mut committed, mut denied, mut left) = (0, 0, 0);
    for ticket in tickets {
        match lane.outcome(ticket) {
            Ok(outcome) if outcome.committed => {
                // Once denied, for good.
                assert_eq!((denied, left), (0, 0));
                committed += 1;
            }
            Ok(outcome) => {
                let code = RejectCode::from_number(outcome.code);
                assert_eq!(code, RejectCode::Denied, "{}", outcome.message);
                denied += 1;
            }
            Err(WaitError::Retired { .. }) => left += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(denied > 0, "{committed} were committed, {denied} denied, {left} not taken");
    println!("@committed {committed}");
}

#[test]
fn what_was_taken_before_the_rules_changed_is_refused_after_it() {
    let section = format!("[namespaces.plant]\nwriters = ['user:{OTHER_USER}']");
    let Some((place, daemon)) = for_another_user(&[], &section) else { return };
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql("CREATE TABLE plant.t(id INTEGER PRIMARY KEY, v)");
    let mut child = other_user(&place, &daemon, None).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("@writes")), "it ended early");
    let section = format!("[namespaces.plant]\nreaders = ['user:{OTHER_USER}']");
    daemon.reload_rules(&config_with(&place, &[], &section)).unwrap();
    // Nothing of it comes after that.
    let segment = client.segment_of("plant");
    let rows = table(&segment, "plant.t").unwrap().1.rows();
    assert!(lane.insert("plant.t", &[(-1, "ours")]).committed);
    let said = lines.find(|line| line.contains("@committed")).expect("what became of it");
    assert_eq!(said, format!("@committed {rows}"));
    assert!(child.wait().unwrap().success());
    let view = table(&segment, "plant.t").unwrap().1;
    assert_eq!(view.rows(), rows + 1);
    daemon.stop().unwrap();
}
