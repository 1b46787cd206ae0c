//! What goes in through a producer comes out of the mirror, by every way there is; and what is wrong
//! is named.

#[path = "client_common/mod.rs"]
mod common;

use common::Place;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shmirror::{CellError, Error, Event, OnConflict, Operation, RejectCode, Row, Value};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pump {
    id: i64,
    name: String,
    on: bool,
    level: Option<f64>,
    raw: Vec<u8>,
}

fn pump(id: i64) -> Pump {
    Pump {
        id,
        name: format!("Pumpe {id} Süd"),
        on: id % 2 == 0,
        level: (id % 3 != 0).then_some(id as f64 / 4.0),
        raw: vec![id as u8; id as usize % 40],
    }
}

const PUMP: &str = r#"CREATE TABLE pump (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "on", level
    REAL, raw BLOB CHECK (length(raw) < 100))"#;

#[test]
fn rows_come_back_as_they_went_in() {
    let place = Place::served();
    let producer = place.producer();
    producer.execute(PUMP).unwrap();
    let mut transaction = producer.begin();
    for id in 0..100 {
        transaction = transaction.insert("pump", &pump(id)).unwrap();
    }
    let commit = transaction.commit().unwrap();
    assert_eq!(commit.changes, 100);

    let mirror = place.mirror();
    assert!(mirror.is_live() && mirror.revision() >= commit.revision);
    assert_eq!(mirror.tables().unwrap(), ["pump"]);
    let table = mirror.table("PUMP").unwrap();
    assert_eq!((table.len(), table.schema().columns.len()), (100, 5));
    let mut row = Row::default();
    for id in 0..100 {
        assert_eq!(table.get(id).unwrap().unwrap().deserialize::<Pump>().unwrap(), pump(id));
        assert!(table.read(id, &mut row).unwrap());
        assert_eq!((row.get::<i64>("id").unwrap(), row.revision()), (id, commit.revision));
    }
    assert!(table.get(100).unwrap().is_none());
    assert!(table.get("7").unwrap().is_some(), "text that is a number finds an INTEGER key");
    assert!(table.get(7.0).unwrap().is_some());
    assert!(table.get("seven").unwrap().is_none());

    let (revision, rows) = table.get_many(&[5, 500, 1]).unwrap();
    assert_eq!(revision, commit.revision);
    let ids: Vec<_> =
        rows.iter().map(|r| r.as_ref().map(|r| r.get::<i64>("id").unwrap())).collect();
    assert_eq!(ids, [Some(5), None, Some(1)]);

    let scan = table.scan().unwrap();
    assert_eq!((scan.len(), scan.revision()), (100, commit.revision));
    let all: Vec<Pump> = scan.sorted().map(|r| r.deserialize().unwrap()).collect();
    assert_eq!(all, (0..100).map(pump).collect::<Vec<_>>());
    assert_eq!(table.scan().unwrap().into_iter().count(), 100);

    let (at, sets) =
        mirror.query("SELECT count(*), max(id) FROM pump WHERE id < ?1", &[50.into()]).unwrap();
    assert_eq!((at, &sets[0].rows), (commit.revision, &vec![vec![50.into(), 49.into()]]));
}

#[test]
fn one_change_at_a_time() {
    let place = Place::served();
    let producer = place.producer();
    producer.execute(PUMP).unwrap();
    let mirror = place.mirror();
    let table = mirror.table("pump").unwrap();

    let first = producer.insert("pump", &pump(1)).unwrap();
    let second = producer.update("pump", 1, &json!({"level": 9.5})).unwrap();
    assert_eq!((second.revision, second.changes), (first.revision + 1, 1));
    let row = table.get(1).unwrap().unwrap();
    assert_eq!(row.get::<f64>("level").unwrap(), 9.5);
    assert_eq!(row.get::<String>("name").unwrap(), pump(1).name, "other columns stay");

    producer.upsert("pump", &json!({"id": 1, "level": null, "name": "x"})).unwrap();
    producer.upsert("pump", &json!({"id": 2, "name": "y"})).unwrap();
    let row = table.get(1).unwrap().unwrap();
    assert_eq!(row.get::<Option<f64>>("level").unwrap(), None);
    assert_eq!(row.get::<Vec<u8>>("raw").unwrap(), pump(1).raw);
    assert_eq!(table.get(2).unwrap().unwrap().get::<&str>("name").unwrap(), "y");

    let unchanged = producer.update("pump", 2, &json!({"name": "y"})).unwrap();
    assert_eq!(unchanged.revision, mirror.revision(), "nothing changed, no revision");

    producer.delete("pump", 1).unwrap();
    assert!(table.get(1).unwrap().is_none());
    assert_eq!(table.len(), 1);

    let rows = vec![vec![2.into(), "taken".into()], vec![3.into(), "z".into()]];
    let ticket = producer.insert_rows("pump", &["id", "name"], rows, OnConflict::Skip).unwrap();
    assert_eq!(ticket.wait().unwrap().changes, 1);
    assert_eq!(table.get(2).unwrap().unwrap().get::<&str>("name").unwrap(), "y");

    let (commit, sets) = producer
        .sql(
            "UPDATE pump SET level = ?1 WHERE id > ?2 RETURNING id, level",
            &[1.5.into(), 0.into()],
        )
        .unwrap();
    assert_eq!((commit.changes, sets[0].rows.len()), (2, 2));
    assert_eq!(sets[0].columns, ["id", "level"]);
}

#[test]
fn compare_and_set() {
    let place = Place::served();
    let producer = place.producer();
    producer.execute("CREATE TABLE t (k TEXT PRIMARY KEY, v)").unwrap();
    let set = |v: i64, revision: u64| {
        let change = producer.begin().update("t", "a", &json!({"v": v})).unwrap();
        change.if_revision(revision).commit()
    };
    let fresh = producer.begin().insert("t", &json!({"k": "a", "v": 1})).unwrap().if_revision(0);
    let first = fresh.commit().unwrap();
    let second = set(2, first.revision).unwrap();
    let e = set(3, first.revision).unwrap_err();
    assert!(matches!(e, Error::Rejected { code: RejectCode::RevisionMismatch, .. }), "{e}");
    assert_eq!(e.code(), "revision-mismatch");
    assert_eq!(
        place.mirror().table("t").unwrap().get("a").unwrap().unwrap().revision(),
        second.revision
    );
    let delete = producer.begin().delete("t", "a").unwrap().if_revision(second.revision);
    delete.commit().unwrap();
    let e = producer.begin().if_revision(1).commit().unwrap_err();
    assert_eq!(e.code(), "usage");
}

#[test]
fn keys_of_every_kind() {
    let place = Place::served();
    let producer = place.producer();
    producer
        .execute(
            "CREATE TABLE pair (a TEXT, b INTEGER, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
             CREATE TABLE blob (k BLOB PRIMARY KEY, v);
             CREATE TABLE keyless (v);
             INSERT INTO pair VALUES ('north', 7, 'x'), ('north', 8, 'y'), ('ü', -1, 'z');
             INSERT INTO blob VALUES (x'0001', 1), (x'ff', 2);
             INSERT INTO keyless VALUES ('first'), ('second')",
        )
        .unwrap();
    let mirror = place.mirror();
    let pair = mirror.table("pair").unwrap();
    assert_eq!(pair.get(("north", 8)).unwrap().unwrap().get::<&str>("v").unwrap(), "y");
    let key = vec![Value::from("ü"), Value::from(-1i64)];
    let row = pair.get(&key).unwrap().unwrap();
    assert_eq!((row.get::<&str>("v").unwrap(), row.key()), ("z", key));
    let e = pair.get("north").unwrap_err();
    assert!(e.to_string().contains("key of 1 values, 2 expected (the key is a, b)"), "{e}");
    assert_eq!(pair.get(7).unwrap_err().code(), "bad-key");
    assert_eq!(pair.get(("north", Value::Null)).unwrap_err().code(), "bad-key");
    let keys: Vec<Vec<Value>> = pair.scan().unwrap().sorted().map(|r| r.key()).collect();
    assert_eq!(keys[0], ["north".into(), Value::from(7)]);
    assert_eq!(keys[2], ["ü".into(), Value::from(-1)]);

    let blob = mirror.table("blob").unwrap();
    assert_eq!(blob.get(&[0u8, 1][..]).unwrap().unwrap().get::<i64>("v").unwrap(), 1);
    let keyless = mirror.table("keyless").unwrap();
    let row = keyless.get(2).unwrap().unwrap();
    assert_eq!(row.get::<&str>("v").unwrap(), "second");
    assert_eq!((row.key(), row.get::<i64>("rowid").unwrap()), (vec![2.into()], 2));
    assert_eq!(row.to_json(), json!({"v": "second"}));
    producer.delete("keyless", 1).unwrap();
    assert_eq!(keyless.len(), 1);
}

#[test]
fn cells() {
    let place = Place::served();
    let producer = place.producer();
    producer.execute(PUMP).unwrap();
    producer.insert("pump", &pump(4)).unwrap();
    let mirror = place.mirror();
    let table = mirror.table("pump").unwrap();
    let (id, on) = (table.cell(4, "id").unwrap(), table.cell(4, "on").unwrap());
    let (level, name) = (table.cell(4, "level").unwrap(), table.cell(4, "NAME").unwrap());
    let raw = table.cell(4, "raw").unwrap();
    assert_eq!((id.i64(), id.f64(), on.bool()), (Ok(4), Ok(4.0), Ok(true)));
    assert_eq!((level.f64(), level.i64(), level.bool()), (Ok(1.0), Ok(1), Ok(true)));
    let (mut text, mut bytes) = (String::new(), Vec::new());
    name.text(&mut text).unwrap();
    raw.bytes(&mut bytes).unwrap();
    assert_eq!((text.as_str(), bytes.as_slice()), (pump(4).name.as_str(), &[4u8; 4][..]));
    assert_eq!(name.load().unwrap(), Value::from(pump(4).name));
    assert!(matches!(name.i64(), Err(CellError::Type { .. })));

    producer.update("pump", 4, &json!({"level": null, "on": 2, "name": "n"})).unwrap();
    assert!(matches!(level.f64(), Err(CellError::Null { .. })));
    assert_eq!((level.is_null(), level.load().unwrap()), (Ok(true), Value::Null));
    assert!(on.bool().is_err());
    name.text(&mut text).unwrap();
    assert_eq!(text, "n");

    producer.delete("pump", 4).unwrap();
    assert_eq!(id.i64(), Err(CellError::Deleted));
    producer.insert("pump", &pump(4)).unwrap();
    assert_eq!(id.i64(), Err(CellError::Deleted), "another row with the same key is another row");
    id.refresh().unwrap();
    assert_eq!(id.i64(), Ok(4));
    assert_eq!(table.cell(5, "id").unwrap_err().code(), "no-such-row");
    assert_eq!(table.cell(4, "idd").unwrap_err().code(), "unknown-column");
}

#[test]
fn tables_that_change_are_followed_and_cells_say_so() {
    let place = Place::served();
    let producer = place.producer();
    producer
        .execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'x')")
        .unwrap();
    let mirror = place.mirror();
    let table = mirror.table("t").unwrap();
    let cell = table.cell(1, "a").unwrap();
    producer.execute("ALTER TABLE t ADD COLUMN b DEFAULT 5").unwrap();
    let row = table.get(1).unwrap().unwrap();
    assert_eq!((row.get::<&str>("a").unwrap(), row.get::<i64>("b").unwrap()), ("x", 5));
    assert_eq!(table.schema().columns.len(), 3);
    assert_eq!(cell.load().unwrap_err().code(), "reshaped");
    cell.refresh().unwrap();
    assert_eq!(cell.load().unwrap(), Value::from("x"));

    producer.execute("DROP TABLE t").unwrap();
    for e in [table.get(1).unwrap_err(), table.scan().unwrap_err(), cell.refresh().unwrap_err()] {
        assert_eq!(e.code(), "unknown-table", "{e}");
    }
    assert_eq!((table.len(), cell.load().unwrap_err().code()), (0, "reshaped"));
    producer
        .execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'new')")
        .unwrap();
    assert_eq!(table.get(1).unwrap().unwrap().get::<&str>("a").unwrap(), "new");
    assert_eq!(cell.load().unwrap_err().code(), "reshaped");
}

#[test]
fn a_handle_is_of_the_table_that_has_its_name_now() {
    let place = Place::served();
    let producer = place.producer();
    producer
        .execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'old')")
        .unwrap();
    let mirror = place.mirror();
    let (table, cell) = (mirror.table("t").unwrap(), mirror.table("t").unwrap().cell(1, "a"));
    let cell = cell.unwrap();
    producer.execute("ALTER TABLE t RENAME TO u").unwrap();
    assert_eq!(table.get(1).unwrap_err().code(), "unknown-table");
    assert_eq!((table.len(), cell.load().unwrap_err().code()), (0, "reshaped"));
    let renamed = mirror.table("u").unwrap();
    assert_eq!(renamed.get(1).unwrap().unwrap().get::<&str>("a").unwrap(), "old");

    producer
        .execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'new')")
        .unwrap();
    for table in [table, mirror.table("t").unwrap()] {
        assert_eq!(table.get(1).unwrap().unwrap().get::<&str>("a").unwrap(), "new");
    }
    cell.refresh().unwrap();
    assert_eq!(cell.load().unwrap(), Value::from("new"));
    assert_eq!(renamed.scan().unwrap().len(), 1);
}

#[test]
fn what_is_wrong_is_named() {
    let place = Place::served();
    let producer = place.producer();
    producer.execute(PUMP).unwrap();
    producer.insert("pump", &pump(1)).unwrap();
    let before = place.mirror().revision();
    let rejected = |e: Error, code: RejectCode, names: &str| match e {
        Error::Rejected { code: found, message } => {
            assert_eq!(found, code, "{message}");
            assert!(message.contains(names), "{message}");
        }
        other => panic!("{other}"),
    };
    let insert = |row: serde_json::Value| producer.insert("pump", &row).unwrap_err();
    rejected(insert(json!({"id": 1, "name": "b"})), RejectCode::PrimaryKey, "pump");
    rejected(insert(json!({"id": 2, "name": pump(1).name})), RejectCode::Unique, "name");
    rejected(insert(json!({"id": 2})), RejectCode::NotNull, "name");
    rejected(insert(json!({"id": 2, "nam": "x"})), RejectCode::UnknownColumn, "nam");
    let blob = json!({"id": 2, "name": "n", "raw": "x".repeat(100)});
    rejected(insert(blob), RejectCode::Check, "raw");
    rejected(producer.insert("pomp", &pump(2)).unwrap_err(), RejectCode::UnknownTable, "pomp");
    rejected(producer.delete("pump", 9).unwrap_err(), RejectCode::NoSuchRow, "pump");
    rejected(producer.execute("CREATE TABEL x").unwrap_err(), RejectCode::Sql, "TABEL");
    let both = producer.begin().insert("pump", &pump(5)).unwrap().insert("pump", &pump(1)).unwrap();
    rejected(both.commit().unwrap_err(), RejectCode::PrimaryKey, "pump");
    assert_eq!(place.mirror().revision(), before, "nothing was done");

    assert_eq!(producer.insert("pump", &json!({"raw": {"deep": 1}})).unwrap_err().code(), "encode");
    let rows = vec![vec![Value::Real(f64::NAN)]];
    let e = producer.insert_rows("pump", &["level"], rows, OnConflict::Fail).unwrap_err();
    assert!(e.to_string().contains("column \"level\": found NaN"), "{e}");
    let rows = vec![vec![Value::Blob(vec![0; 1 << 20])]];
    let e = producer.insert_rows("pump", &["raw"], rows, OnConflict::Fail).unwrap_err();
    assert!(matches!(e, Error::TooLarge { found, allowed, .. } if found > allowed), "{e}");

    let mirror = place.mirror();
    let e = mirror.table("pum").unwrap_err();
    assert_eq!(e.to_string(), r#"no table "pum"; did you mean pump?"#);
    let e = mirror.query("SELECT * FROM nothing", &[]).unwrap_err();
    assert!(e.to_string().contains("nothing"), "{e}");
    let missing = place.dir.path().join("nobody");
    let e = shmirror::Mirror::attach(&shmirror::Options::new().socket(&missing)).unwrap_err();
    assert!(matches!(&e, Error::NoDaemon { socket, .. } if *socket == missing), "{e}");
}

#[test]
fn history_tells_what_was_committed() {
    let place = Place::served();
    let producer = place.producer();
    let created = producer.execute(PUMP).unwrap();
    producer.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)").unwrap();
    producer.insert("pump", &pump(1)).unwrap();
    producer.insert("other", &json!({"id": 1})).unwrap();
    producer.update("pump", 1, &json!({"level": 2.5})).unwrap();
    let last = producer.delete("pump", 1).unwrap();
    let mirror = place.mirror();
    let told: Vec<Event> =
        mirror.history(created.revision, &["pump"]).unwrap().collect::<Result<_, _>>().unwrap();
    let changes: Vec<_> = told
        .iter()
        .filter_map(|e| match e {
            Event::Change(c) => Some(c),
            _ => None,
        })
        .collect();
    let operations: Vec<_> = changes.iter().map(|c| c.operation).collect();
    assert_eq!(operations, [Operation::Insert, Operation::Update, Operation::Delete]);
    assert_eq!(changes[1].changed, ["level"]);
    assert_eq!(changes[1].row.as_ref().unwrap().get::<f64>("level").unwrap(), 2.5);
    assert_eq!((changes[2].revision, changes[2].key.clone()), (last.revision, vec![1.into()]));
    assert!(changes[2].row.is_none() && changes[2].last_of_transaction);
    assert_eq!(changes[0].pid, std::process::id());
    let json = changes[1].to_json();
    assert_eq!((&json["operation"], &json["columns"]), (&json!("update"), &json!(["level"])));
    assert_eq!(mirror.history(last.revision + 1, &[]).unwrap().count(), 0);
    assert!(mirror.history(0, &[]).unwrap().count() >= 6);
    assert_eq!(mirror.history(0, &["pomp"]).unwrap_err().code(), "unknown-table");

    assert!(mirror.status().unwrap().is_object());
    assert!(mirror.check().unwrap().is_object());
    let copy = place.dir.path().join("copy.db");
    mirror.backup(&copy).unwrap();
    assert!(copy.exists());
    assert!(mirror.backup(&copy).is_err(), "a file that is there is not overwritten");
}

#[test]
fn a_scan_finishes_and_is_of_one_revision_while_a_writer_commits() {
    let place = Place::served();
    let producer = place.producer();
    producer
        .execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO t SELECT i, 0 FROM n",
        )
        .unwrap();
    let mirror = place.mirror();
    let table = mirror.table("t").unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                producer.execute("UPDATE t SET v = v + 1").unwrap();
            }
        });
        let mut newest = 0;
        for _ in 0..30 {
            let scan = table.scan().unwrap();
            let values: Vec<i64> = scan.iter().map(|r| r.get("v").unwrap()).collect();
            assert!(values.len() == 2000 && values.iter().all(|v| *v == values[0]));
            assert!(values[0] >= newest);
            newest = values[0];
            let (_, rows) = table.get_many(&[1, 1000, 2000]).unwrap();
            let values: Vec<i64> = rows.iter().flatten().map(|r| r.get("v").unwrap()).collect();
            assert!(values.len() == 3 && values.iter().all(|v| *v == values[0]));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn who_sees_a_row_sees_when_it_was_committed() {
    let place = Place::served();
    let producer = place.producer();
    let mirror = place.mirror();
    assert_eq!(mirror.committed_at(), None);
    producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, at INTEGER)").unwrap();
    producer.execute("INSERT INTO t VALUES (1, 0)").unwrap();
    let cell = mirror.table("t").unwrap().cell(1, "at").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut asked, mut committed) = (0, 0);
            while asked >= 0 {
                let newest = cell.i64().unwrap();
                let found = mirror.committed_at().expect("something was committed");
                let now = shmirror::monotonic_ns();
                assert!(committed <= found && found <= now, "{committed} {found} {now}");
                // The value is when it was asked for, so it was committed later.
                assert!(newest < 0 || newest as u64 <= found, "{newest} {found}");
                (asked, committed) = (newest, found);
            }
        });
        for _ in 0..200 {
            let asked = shmirror::monotonic_ns();
            producer.execute(&format!("UPDATE t SET at = {asked}")).unwrap();
            let (found, now) = (mirror.committed_at().unwrap(), shmirror::monotonic_ns());
            assert!(asked < found && found < now, "{asked} {found} {now}");
        }
        producer.execute("UPDATE t SET at = -1").unwrap();
    });
}
