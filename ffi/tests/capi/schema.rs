//! Mirrors, schemas, results and the commit log as C sees them, beside what the binary prints.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;

use crate::common::Instance;
use crate::program;

const SETUP: &[&str] = &[
    "CREATE TABLE pump(id INTEGER PRIMARY KEY, state TEXT NOT NULL DEFAULT 'stop', flow REAL, \
     twice AS (flow * 2), sum REAL AS (flow + 1) STORED)",
    "CREATE TABLE valve(area TEXT COLLATE NOCASE, no INT, \"Größe\" NUMERIC DEFAULT (1 + 2), \
     raw BLOB, tail VARCHAR(9) COLLATE RTRIM, PRIMARY KEY(no, area, tail)) WITHOUT ROWID",
    "CREATE TABLE firm(name TEXT PRIMARY KEY, anything ANY) STRICT",
    "CREATE TABLE loose(x, y DOUBLE)",
    "CREATE TABLE blob_key(b BLOB PRIMARY KEY) WITHOUT ROWID",
    "CREATE INDEX by_state ON pump(state, flow DESC)",
    "CREATE VIEW flows AS SELECT id, flow FROM pump",
    "CREATE TRIGGER onward AFTER INSERT ON loose BEGIN UPDATE pump SET flow = new.y; END",
    "INSERT INTO pump(id, state, flow) VALUES (1, 'run', 1.5), (2, 'a|b \"c\"', NULL), (-3, '', 0)",
    "INSERT INTO valve VALUES ('Nord', 7, 1.25, x'00ff', 'a'), ('Süd', 8, 'x', NULL, '')",
    "UPDATE pump SET flow = 2.5, state = 'halt' WHERE id = 1",
    "DELETE FROM pump WHERE id = 2",
    "INSERT INTO loose VALUES ('1', 4.5)",
    "INSERT INTO blob_key VALUES (x''), (x'0102')",
    "CREATE TABLE short_lived(id INTEGER PRIMARY KEY); ALTER TABLE loose ADD COLUMN z INT",
    "ALTER TABLE firm RENAME TO company; DROP TABLE short_lived",
    "INSERT INTO company VALUES ('x', 1)",
];

/// Affinity and collation.
type Column = (i32, i32);

/// Kind of key, and of each column what no PRAGMA tells.
const TABLES: &[(&str, i32, &[Column])] = &[
    ("pump", 0, &[(3, 0), (1, 0), (4, 0), (0, 0), (4, 0)]),
    ("valve", 1, &[(1, 1), (3, 0), (2, 0), (0, 0), (1, 2)]),
    ("company", 1, &[(1, 0), (0, 0)]),
    ("loose", 2, &[(0, 0), (4, 0), (3, 0), (3, 0)]),
    ("blob_key", 1, &[(0, 0)]),
];

fn instance() -> Instance {
    let instance = program::instance();
    for sql in SETUP {
        instance.sql(sql);
    }
    instance
}

fn start(source: &str, name: &str, arguments: [&str; 2]) -> Child {
    let program = program::build(source, name, &[&["-std=c99"], program::SANITIZED].concat());
    Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().unwrap()
}

fn select(instance: &Instance, sql: &str) -> Vec<Json> {
    serde_json::from_str(&instance.run(&["sql", "--json", sql]).ok()).unwrap()
}

/// A text of a row as C prints it.
fn text(row: &Json, name: &str) -> String {
    match &row[name] {
        Json::String(text) => text.clone(),
        Json::Null => "NULL".to_owned(),
        other => other.to_string(),
    }
}

fn expected_tables(instance: &Instance) -> Vec<String> {
    let sql = "SELECT t.name, wr, strict, sql FROM pragma_table_list AS t \
               JOIN sqlite_schema AS s USING (name) WHERE s.type = 'table'";
    let found: HashMap<String, Json> =
        select(instance, sql).into_iter().map(|row| (text(&row, "name"), row)).collect();
    assert_eq!(found.len(), TABLES.len());
    let mut lines = Vec::new();
    for (name, kind, columns) in TABLES {
        let (wr, strict, sql) =
            (&found[*name]["wr"], &found[*name]["strict"], &found[*name]["sql"]);
        lines.push(format!("table|{name}|{kind}|{wr}|{strict}|{}", sql.as_str().unwrap()));
        let infos = select(instance, &format!("SELECT * FROM pragma_table_xinfo('{name}')"));
        let mut key = Vec::new();
        for (i, (affinity, collation)) in columns.iter().enumerate() {
            let Some(info) = infos.get(i) else {
                lines.push(format!("column|{name}|{i}|rowid|INTEGER|1|NULL|1|1|0|3|0"));
                key.push((1, "rowid".to_owned()));
                continue;
            };
            let (column, kind, default) =
                (text(info, "name"), text(info, "type"), text(info, "dflt_value"));
            let (not_null, pk) = (&info["notnull"], info["pk"].as_u64().unwrap());
            let generated = info["hidden"].as_i64().unwrap().max(1) - 1;
            lines.push(format!(
                "column|{name}|{i}|{column}|{kind}|{not_null}|{default}|{pk}|0|{generated}|\
                 {affinity}|{collation}"
            ));
            if pk > 0 {
                key.push((pk, column));
            }
        }
        key.sort();
        let key: Vec<String> = key.into_iter().map(|(_, column)| column).collect();
        lines.push(format!("key|{name}|{}", key.join("|")));
    }
    lines
}

fn expected_objects(instance: &Instance) -> Vec<String> {
    let sql = "SELECT CASE type WHEN 'index' THEN 0 WHEN 'view' THEN 1 ELSE 2 END AS kind, name, \
               tbl_name, sql FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL";
    let line = |row: &Json| {
        let parts = ["kind", "name", "tbl_name", "sql"].map(|name| text(row, name));
        format!("object|{}", parts.join("|"))
    };
    select(instance, sql).iter().map(line).collect()
}

fn expected_rows(instance: &Instance) -> Vec<String> {
    let sql = "SELECT id, state, flow, -9223372036854775807 - 1 AS p, 'ü' AS \"Größe\", \
               x'00ff' AS raw FROM pump ORDER BY id";
    let line = |row: &Json| {
        let names = ["id", "state", "flow", "p", "Größe", "raw"];
        let parts = names.map(|name| match &row[name] {
            Json::String(text) => format!("{name}|\"{text}\""),
            // C has no ".0".
            number => format!("{name}|{}", number.to_string().trim_end_matches(".0")),
        });
        format!("row|{}", parts.join("|"))
    };
    select(instance, sql).iter().map(line).collect()
}

#[test]
fn a_mirror_its_schemas_and_results() {
    let mut instance = instance();
    let tables = expected_tables(&instance);
    let objects = expected_objects(&instance);
    let rows = expected_rows(&instance);
    let status: Json = serde_json::from_str(&instance.run(&["status", "--json"]).ok()).unwrap();
    let backup = instance.path("copy.db");

    let socket = instance.socket();
    let arguments = [socket.to_str().unwrap(), backup.to_str().unwrap()];
    let mut child = start("ffi/tests/c/schema.c", "schema", arguments);
    let mut lines: Vec<String> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.as_str() {
            "wait" => drop(instance.sql("INSERT INTO pump(id) VALUES (100)")),
            "stop" => assert_eq!(instance.stop(), 0),
            _ => lines.push(line),
        }
    }
    assert!(child.wait().unwrap().success());

    let of = |kinds: &[&str]| -> Vec<String> {
        let found = |l: &&String| kinds.contains(&l.split('|').next().unwrap());
        lines.iter().filter(found).cloned().collect()
    };
    let one = |kind: &str| -> String {
        let [line] = <[String; 1]>::try_from(of(&[kind])).unwrap();
        line.split_once('|').unwrap().1.to_owned()
    };
    assert_eq!(of(&["table", "column", "key"]), tables);
    assert_eq!(of(&["object"]), objects);
    assert_eq!(objects.len(), 3, "an index, a view and a trigger");
    assert_eq!(of(&["row"]), rows);
    let revision = status["revision"].as_u64().unwrap();
    assert_eq!(one("result"), format!("{revision}|1|6|{}", rows.len()));
    // Of the statements, those that change the schema: one version each.
    let ddl = SETUP.iter().filter(|sql| !["INS", "UPD", "DEL"].contains(&&sql[..3])).count();
    assert_eq!(one("version"), ddl.to_string());
    assert_eq!(Json::from(one("name")), status["instance"]);
    assert_eq!(one("id").len(), 32);
    assert_eq!(one("now"), format!("1|{revision}|1"));
    assert_eq!(one("came"), "1");

    let json = |kind: &str| -> Json { serde_json::from_str(&one(kind)).unwrap() };
    assert_eq!(json("status")["revision"], revision);
    let keys = |json: &Json| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&json("status")), keys(&status));
    assert_eq!(json("check")["differences"], Json::Array(Vec::new()));
    assert_eq!(json("backup")["revision"], revision);
    assert!(backup.metadata().unwrap().len() > 0);
}

/// The parts of an event of the commit log, as C prints them; but for the time.
fn expected_parts(event: &Json, is_last: bool) -> (String, String) {
    let names = |name: &str| -> String {
        let names = event[name].as_array().unwrap();
        names.iter().map(|n| n.as_str().unwrap()).collect::<Vec<_>>().join(",")
    };
    let operation = event["operation"].as_str().unwrap();
    let (kind, rest) = if operation == "schema" {
        (2, ["created", "changed", "dropped"].map(|n| names(n) + "|").concat())
    } else {
        let number = ["insert", "update", "delete"].iter().position(|o| *o == operation).unwrap();
        let key: String =
            event["key"].as_array().unwrap().iter().map(|k| format!("{k}|")).collect();
        let (table, columns) = (event["table"].as_str().unwrap(), names("columns"));
        let last = i32::from(is_last);
        (1, format!("{table}|{}|{}|{last}|{key}{columns}|", number + 1, event["sequence"]))
    };
    let (revision, uid, pid) = (&event["revision"], &event["uid"], &event["pid"]);
    (format!("parts|{kind}|{revision}|{uid}|{pid}|"), format!("|{rest}"))
}

#[test]
fn the_commit_log_and_its_events() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let before = now();
    let instance = instance();
    let log = instance.run(&["log", "--json"]).ok();
    let log: Vec<Json> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    let (socket, pid) = (instance.socket(), instance.daemon.0.id().to_string());
    let child = start("ffi/tests/c/events.c", "events", [socket.to_str().unwrap(), &pid]);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let output = String::from_utf8(output.stdout).unwrap();

    let mut lines = output.lines();
    for (index, event) in log.iter().enumerate() {
        let found = lines.next().unwrap().strip_prefix("event|").unwrap();
        assert_eq!(serde_json::from_str::<Json>(found).unwrap(), *event);
        let later = &log[index + 1..];
        let same = |e: &&Json| e["revision"] == event["revision"] && e["operation"] != "schema";
        let (head, tail) = expected_parts(event, later.iter().find(same).is_none());
        let found = lines.next().unwrap();
        let middle = found.strip_prefix(&head).and_then(|f| f.strip_suffix(&tail));
        let at: u128 = middle
            .and_then(|at| at.parse().ok())
            .unwrap_or_else(|| panic!("found {found:?}, expected {head:?} TIME {tail:?}"));
        assert!((before..=now()).contains(&at), "{found}");
        if event["row"].is_object() {
            let found = lines.next().unwrap().strip_prefix("row|").unwrap();
            let (revision, row) = found.split_once('|').unwrap();
            assert_eq!(revision, event["revision"].to_string());
            assert_eq!(serde_json::from_str::<Json>(row).unwrap(), event["row"]);
        }
    }
    assert_eq!(lines.next(), None);
    let operations = ["schema", "insert", "update", "delete"];
    let seen = |operation: &&&str| log.iter().any(|e| e["operation"] == ***operation);
    assert_eq!(operations.iter().filter(seen).count(), 4);
}
