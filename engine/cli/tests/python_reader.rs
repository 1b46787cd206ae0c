//! A second reader of the store's files, in Python and written from FORMAT.md alone, reads what the
//! daemon wrote: byte for byte what `dump` prints, whatever state the daemon left the files in.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::{Instance, PATIENCE, Process, serve};
use rusqlite::Connection;
use rusqlite::types::Value;
use rustix::process::Signal;
use shmirror_store::cipher::Algorithm;
use shmirror_store::{RotateStep, Store, StoreError, StoreOptions};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../store/tests/reader/read_store.py");

/// All kinds of keys and of columns.
const SCHEMA: &[&str] = &[
    "CREATE TABLE empty (id INTEGER PRIMARY KEY, a)",
    "CREATE TABLE gone (id INTEGER PRIMARY KEY, a)",
    "CREATE TABLE value (id INTEGER PRIMARY KEY, class TEXT, v)",
    "CREATE TABLE tag (name TEXT PRIMARY KEY COLLATE NOCASE, v REAL NOT NULL DEFAULT 0.5, \"a \"\"b\" INT)",
    "CREATE TABLE trimmed (name TEXT COLLATE RTRIM PRIMARY KEY, v) WITHOUT ROWID",
    "CREATE TABLE pair (b INT, a TEXT, v BLOB, PRIMARY KEY (a, b)) WITHOUT ROWID",
    "CREATE TABLE mixed (k BLOB PRIMARY KEY, v) WITHOUT ROWID",
    "CREATE TABLE measured (at REAL PRIMARY KEY, v NUMERIC)",
    "CREATE TABLE line (text TEXT, rowid TEXT)",
    "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, v ANY, CHECK (v <> 'never')) STRICT",
    "CREATE TABLE computed (id INTEGER PRIMARY KEY, a REAL, twice AS (a * 2), \
     kept TEXT GENERATED ALWAYS AS (a || '!') STORED)",
    "CREATE INDEX tag_v ON tag (v)",
    "CREATE VIEW high AS SELECT name FROM tag WHERE v > 1",
    "CREATE TRIGGER counting AFTER DELETE ON tag BEGIN INSERT INTO counted (v) VALUES (old.name); END",
    // Of the same name as one in main, and one with a dot in its name.
    "CREATE TABLE plant.value (id INTEGER PRIMARY KEY, of_plant TEXT)",
    "CREATE TABLE plant.\"pid.loop\" (loop TEXT PRIMARY KEY COLLATE NOCASE, kp REAL) WITHOUT ROWID",
    "CREATE INDEX plant.value_plant ON value (of_plant)",
    "CREATE TABLE \"a.name_with_a_dot\" (id INTEGER PRIMARY KEY, v)",
];

/// Its name is one that an archive keeps elsewhere than in its place.
const CONFIG: &str = "[namespaces.plant]\n[namespaces.a_namespace_of_a_long_name]\n";

/// Values of all classes, as SQL has them.
const VALUES: &[&str] = &[
    "NULL",
    "0",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "0.0",
    "-0.0",
    "1.0",
    "0.1",
    "5e-324",
    "1.7976931348623157e308",
    "1e16",
    "9999999999999998.0",
    "123456789012345680.0",
    "0.0001",
    "0.00001234",
    "9e999",
    "-9e999",
    "''",
    "'text'",
    "'Übergröße 温度 🜂'",
    "char(1) || '\"\\ /' || char(9, 10, 13, 127, 8232)",
    "printf('%.*c', 10000, 'x')",
    "x''",
    "x'00ff'",
    "randomblob(5000)",
];

fn write_rows(i: &Instance) {
    for sql in SCHEMA {
        i.sql(sql);
    }
    for value in VALUES {
        i.sql(&format!(
            "INSERT INTO value (class, v) SELECT typeof(v), v FROM (SELECT {value} AS v)"
        ));
        i.sql(&format!("INSERT INTO counted (v) VALUES ({value})"));
    }
    for sql in [
        "INSERT INTO gone VALUES (1, 'of a table that is dropped')",
        "INSERT INTO tag (name) VALUES ('b'), ('A'), ('a1'), ('Ä'), ('ä'), ('_'), ('Z')",
        "INSERT INTO trimmed VALUES ('a  ', 1), ('a b', 2), ('', 3), ('a' || char(9), 4)",
        "INSERT INTO pair VALUES (2, 'x', x'01'), (10, 'x', NULL), (-1, 'x', 2.5), (1, '', 'y')",
        "INSERT INTO mixed VALUES (1, 1), (1.5, 2), ('1', 3), (x'31', 4), (-3, 5), ('', 6), (x'', 7), \
         (9223372036854775807, 8), (9223372036854775806, 9), (9.2e18, 10), (9e999, 11), \
         (9007199254740993, 12), (9007199254740992.0, 13)",
        "INSERT INTO measured VALUES (3, 1), (2.5, '1.0'), (-1e300, 'x'), (-0.0, 1.5)",
        "INSERT INTO line VALUES ('b', 'x'), ('a', NULL), ('b', 'x')",
        "INSERT INTO computed (a) VALUES (1.5), (NULL), (-2)",
        "CREATE TABLE wide (id INTEGER PRIMARY KEY)",
        "INSERT INTO plant.value VALUES (1, 'plant'), (2, NULL)",
        "INSERT INTO plant.\"pid.loop\" VALUES ('boiler', 1.25), ('Pump', 4)",
        "CREATE TABLE a_namespace_of_a_long_name.wide (id INTEGER PRIMARY KEY, v)",
        "INSERT INTO a_namespace_of_a_long_name.wide VALUES (7, 'seven')",
    ] {
        i.sql(sql);
    }
    for column in 0..100 {
        i.sql(&format!("ALTER TABLE wide ADD COLUMN c{column} DEFAULT {column}"));
        if column % 33 == 0 {
            i.sql("INSERT INTO wide (id) VALUES (NULL)");
        }
    }
}

/// After which many rows are of a past shape.
fn alter(i: &Instance) {
    for sql in [
        "ALTER TABLE value ADD COLUMN more INT NOT NULL DEFAULT '7'",
        "ALTER TABLE value ADD COLUMN \"and\" REAL DEFAULT 1",
        "ALTER TABLE value ADD COLUMN kind AS (typeof(v))",
        "INSERT INTO value (v, more) VALUES ('later', 8)",
        "ALTER TABLE value DROP COLUMN class",
        "ALTER TABLE value ADD COLUMN class DEFAULT x'00'",
        "ALTER TABLE value RENAME COLUMN v TO w",
        "UPDATE value SET w = 'later yet' WHERE id = 2",
        "ALTER TABLE tag RENAME COLUMN name TO label",
        "ALTER TABLE tag RENAME TO label",
        "ALTER TABLE pair DROP COLUMN v",
        "ALTER TABLE line ADD COLUMN note DEFAULT 'taken'",
        "ALTER TABLE counted ADD COLUMN note TEXT DEFAULT 'none'",
        "ALTER TABLE computed RENAME COLUMN a TO b",
        "DROP TABLE gone",
        "ALTER TABLE plant.value ADD COLUMN more INT NOT NULL DEFAULT 9",
        "ALTER TABLE plant.value RENAME COLUMN of_plant TO text",
        "CREATE TABLE plant.gone (id INTEGER PRIMARY KEY); DROP TABLE plant.gone",
    ] {
        i.sql(sql);
    }
}

/// Rows that come, change and go, in one transaction.
fn change(i: &Instance, turn: usize) {
    let all = [
        format!("UPDATE value SET w = {turn} WHERE id = 3"),
        format!("INSERT INTO value (w, more) VALUES ('turn', {turn})"),
        "DELETE FROM value WHERE id = (SELECT min(id) FROM value)".into(),
        format!(
            "UPDATE label SET label = 'renamed {turn}' WHERE label = (SELECT min(label) FROM label)"
        ),
        "DELETE FROM label WHERE label = (SELECT max(label) FROM label)".into(),
        format!("INSERT INTO label VALUES ('new {turn}', {turn}, NULL)"),
        format!("INSERT INTO line (text) VALUES ('{turn}')"),
        "DELETE FROM mixed WHERE k = 1.5".into(),
        "INSERT INTO mixed VALUES (1.5, 'again')".into(),
        format!("UPDATE plant.value SET text = 'turn {turn}' WHERE id = 1"),
        format!("INSERT OR REPLACE INTO plant.\"pid.loop\" VALUES ('Boiler', {turn}.5)"),
        format!("INSERT INTO plant.value (text) VALUES ('{turn}')"),
    ];
    i.sql(&all.join("; "));
}

const TABLES: &[&str] = &[
    "empty",
    "value",
    "LABEL",
    "trimmed",
    "pair",
    "mixed",
    "measured",
    "line",
    "counted",
    "computed",
    "wide",
    "plant.value",
    "PLANT.pid.loop",
    "a_namespace_of_a_long_name.wide",
    "main.value",
    "a.name_with_a_dot",
];

/// Names of all tables, as requests and messages have them.
const NAMES: &[&str] = &[
    "a.name_with_a_dot",
    "a_namespace_of_a_long_name.wide",
    "computed",
    "counted",
    "empty",
    "label",
    "line",
    "measured",
    "mixed",
    "pair",
    "plant.pid.loop",
    "plant.value",
    "trimmed",
    "value",
    "wide",
];

fn dumps(i: &Instance) -> Vec<String> {
    TABLES.iter().map(|table| i.run(&["dump", table]).ok()).collect()
}

/// The script on a table of the store in `data`; without one, on the names of all.
fn script(data: &Path, table: &str) -> Output {
    let python = std::env::var_os("SHMIRROR_PYTHON");
    let python =
        python.expect("SHMIRROR_PYTHON is a Python 3 that has PyNaCl: `make test` sets it");
    let table = Some(table).filter(|table| !table.is_empty());
    Command::new(python).arg("-B").arg(SCRIPT).arg(data).args(table).output().unwrap()
}

#[track_caller]
fn assert_read(data: &Path, dumps: &[String], state: &str) {
    let names = script(data, "");
    let mut names: Vec<&str> = std::str::from_utf8(&names.stdout).unwrap().lines().collect();
    names.sort_unstable();
    assert_eq!(names, NAMES, "{state}");
    for (table, expected) in TABLES.iter().zip(dumps) {
        let read = script(data, table);
        let (out, err) =
            (String::from_utf8_lossy(&read.stdout), String::from_utf8_lossy(&read.stderr));
        assert!(read.status.success(), "{state}, table {table}: {err}");
        let mut lines = out.lines().zip(expected.lines());
        if let Some((found, expected)) = lines.find(|(a, b)| a != b) {
            panic!("{state}, table {table}: read\n{found}\nexpected\n{expected}");
        }
        assert!(
            out == *expected,
            "{state}, table {table}: {} bytes for {}",
            out.len(),
            expected.len()
        );
    }
}

/// Whether some rows are in table `row`, and newer ones in the log alone.
fn has_checkpoint_and_tail(data: &Path) -> bool {
    let copy = copy_of(data);
    let conn = Connection::open(copy.path().join("store.db")).unwrap();
    conn.query_row(
        "SELECT ifnull((SELECT max(revision) FROM row) < (SELECT max(last_revision) FROM commit_log), 0)",
        [],
        |r| r.get(0),
    )
    .unwrap()
}

fn copy_of(data: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(data).unwrap().map(Result::unwrap) {
        if entry.metadata().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

fn kill(daemon: &mut Process) {
    daemon.signal(Signal::KILL);
    daemon.end();
}

#[test]
#[cfg_attr(not(python), ignore = "needs Python 3 with PyNaCl; `make test` installs it")]
fn a_reader_written_from_the_format_alone_reads_what_dump_prints() {
    let mut i = Instance::configured(CONFIG);
    let data = i.path("data");
    write_rows(&i);
    common::until("the rows are checkpointed", || {
        let status = i.run(&["status", "--json"]).ok();
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        status["store"]["dirty_rows"] == 0
    });
    assert_eq!(i.stop(), 0);
    (i.daemon, _) = serve(&data, &i.socket());
    alter(&i);

    // Killed before the checkpoint of the last commit; the daemon may be quicker, so not at each try.
    let deadline = Instant::now() + PATIENCE;
    let mut turn = 0;
    loop {
        turn += 1;
        change(&i, turn);
        kill(&mut i.daemon);
        if has_checkpoint_and_tail(&data) {
            break;
        }
        assert!(Instant::now() < deadline, "no kill found a tail of the log");
        (i.daemon, _) = serve(&data, &i.socket());
    }
    assert!(data.join("store.db-wal").metadata().unwrap().len() > 0);
    let left = copy_of(&data);
    (i.daemon, _) = serve(&data, &i.socket());
    assert_read(left.path(), &dumps(&i), "killed");
    every_place_is_named(left.path());

    let busy = script(&data, "value");
    assert!(
        !busy.status.success() && String::from_utf8_lossy(&busy.stderr).contains("a daemon has it")
    );
    change(&i, 0);
    let stopped = dumps(&i);
    assert_eq!(i.stop(), 0);
    assert_read(&data, &stopped, "stopped");

    // Half way between two data keys, of two ciphers; then with the second alone.
    let aes = Algorithm::of_name("aes-256-gcm").unwrap();
    let mut store = opened(&data);
    store.rotate(Some(aes)).unwrap();
    while !matches!(store.rotate_step(Duration::from_micros(1)).unwrap(), RotateStep::Ended(_)) {
        if keys_of_rows(&data) == 2 {
            break;
        }
    }
    drop(store);
    assert_eq!(keys_of_rows(&data), 2, "rows under both keys");
    assert_read(&data, &stopped, "between two keys");

    (i.daemon, _) = serve(&data, &i.socket());
    common::until("the rotation ends", || {
        let status = i.run(&["key", "rotate", "--cipher", "xchacha20-poly1305"]);
        status.code == 0
    });
    change(&i, 9);
    let rotated = dumps(&i);
    kill(&mut i.daemon);
    assert_eq!(keys_of_rows(&data), 1);
    assert_read(&data, &rotated, "rotated");
}

fn opened(data: &Path) -> Store {
    let (mut store, _) = Store::open(data, StoreOptions::default()).unwrap();
    store.load_rows(|_| Ok::<(), StoreError>(())).unwrap();
    store
}

/// How many data keys the seals in table `row` name.
fn keys_of_rows(data: &Path) -> i64 {
    let copy = copy_of(data);
    let conn = Connection::open(copy.path().join("store.db")).unwrap();
    let sql = "SELECT count(DISTINCT substr(sealed, 5, 4)) FROM row";
    conn.query_row(sql, [], |r| r.get(0)).unwrap()
}

/// One flipped bit in some sealed value of each kind, and what else is not as it was written: the script
/// says where it is, and prints no row.
fn every_place_is_named(data: &Path) {
    let mut seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
    println!("seed {seed}");
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (seed >> 33) as usize % below
    };
    for (table, key, value, filter) in [
        ("row", "slot", "sealed", ""),
        ("commit_log", "first_revision", "sealed", ""),
        ("meta", "name", "value", "WHERE name = 'state'"),
        ("meta", "name", "value", "WHERE name = 'catalogue'"),
        ("key_slot", "id", "wrapped", ""),
    ] {
        let copy = copy_of(data);
        let conn = Connection::open(copy.path().join("store.db")).unwrap();
        let count = format!("SELECT count(*) FROM {table} {filter}");
        let count: i64 = conn.query_row(&count, [], |r| r.get(0)).unwrap();
        let sql = format!("SELECT {key}, {value} FROM {table} {filter} LIMIT 1 OFFSET ?1");
        let (id, mut blob): (Value, Vec<u8>) = conn
            .query_row(&sql, [random(count as usize) as i64], |r| Ok((r.get(0)?, r.get(1)?)))
            .unwrap();
        let bit = random(blob.len() * 8);
        blob[bit / 8] ^= 1 << (bit % 8);
        let sql = format!("UPDATE {table} SET {value} = ?1 WHERE {key} = ?2");
        assert_eq!(conn.execute(&sql, (&blob, &id)).unwrap(), 1);
        let place = match &id {
            Value::Integer(id) => format!("{table}, {key} {id}: "),
            Value::Text(name) => format!("{table}, {name}: "),
            other => panic!("{other:?}"),
        };
        drop(conn);
        refused(copy.path(), &place, &format!("bit {bit}"));
    }
    for (sql, place) in [
        ("DELETE FROM row WHERE slot = (SELECT max(slot) FROM row)", "table row: "),
        ("DELETE FROM commit_log WHERE first_revision = 9", "commit_log, first_revision 8: "),
        ("DELETE FROM commit_log WHERE first_revision = 1", "commit_log: "),
        ("UPDATE row SET revision = revision + 1 WHERE slot = 1", "row, slot 1: "),
        (
            "UPDATE commit_log SET at = at + 1 WHERE first_revision = 9",
            "commit_log, first_revision 9: ",
        ),
    ] {
        let copy = copy_of(data);
        let conn = Connection::open(copy.path().join("store.db")).unwrap();
        assert_eq!(conn.execute(sql, []).unwrap(), 1, "{sql}");
        drop(conn);
        refused(copy.path(), place, sql);
    }
}

#[track_caller]
fn refused(data: &Path, place: &str, what: &str) {
    let read = script(data, "value");
    let err = String::from_utf8_lossy(&read.stderr);
    assert_eq!(read.status.code(), Some(1), "{what}: {err}");
    assert!(read.stdout.is_empty() && err.contains(place), "{what}: {err}, expected {place}");
    assert!(!err.contains("Traceback"), "{what}: {err}");
}
