//! Every command of the tour, with the real binary: what it prints and how it ends.

mod common;

use std::io::{BufRead, BufReader};

use common::{Instance, rows};
use rustix::process::Signal;
use serde_json::{Value, json};

const PUMPS: &str = "CREATE TABLE pump(id INTEGER PRIMARY KEY, state TEXT DEFAULT 'new', flow REAL, \
                     raw BLOB)";

#[test]
fn put_get_del_and_dump() {
    let i = Instance::start();
    assert!(i.sql(PUMPS).starts_with("revision 1, "));
    assert_eq!(i.run(&["put", "pump", "7", "state=run", "flow=12.5"]).ok(), "revision 2\n");
    assert_eq!(
        i.run(&["get", "pump", "7"]).ok(),
        "{\"id\":7,\"state\":\"run\",\"flow\":12.5,\"raw\":null}\n"
    );
    assert_eq!(i.run(&["get", "pump", "7", "flow"]).ok(), "12.5\n");
    assert_eq!(i.run(&["get", "PUMP", "7", "STATE", "--json"]).ok(), "\"run\"\n");
    assert_eq!(i.run(&["get", "pump", "7", "raw"]).ok(), "NULL\n");

    // An upsert leaves the other columns alone, an insert gives the DEFAULT.
    assert_eq!(i.run(&["put", "pump", "7", "flow=NULL", "raw=0x00ff"]).ok(), "revision 3\n");
    assert_eq!(i.run(&["put", "pump", "-3"]).ok(), "revision 4\n");
    assert_eq!(
        i.run(&["dump", "pump"]).ok(),
        "[{\"id\":-3,\"state\":\"new\",\"flow\":null,\"raw\":null},\n \
         {\"id\":7,\"state\":\"run\",\"flow\":null,\"raw\":\"0x00ff\"}]\n"
    );
    assert_eq!(
        i.run(&["dump", "pump", "--format", "csv"]).ok(),
        "id,state,flow,raw\n-3,new,,\n7,run,,0x00ff\n"
    );
    assert_eq!(i.run(&["dump", "pump", "--format", "ndjson"]).ok().lines().count(), 2);

    // Compare and set.
    assert!(
        i.run(&["put", "pump", "7", "flow=1", "--if-revision", "2"]).fails(1).contains("revision")
    );
    assert_eq!(i.run(&["put", "pump", "7", "flow=1", "--if-revision", "3"]).ok(), "revision 5\n");
    assert_eq!(i.run(&["put", "pump", "8", "flow=1", "--if-revision", "0"]).ok(), "revision 6\n");
    i.run(&["put", "pump", "8", "flow=2", "--if-revision", "0"]).fails(1);
    i.run(&["put", "pump", "8", "--insert"]).fails(1);
    i.run(&["put", "pump", "9", "flow=2", "--update"]).fails(1);
    i.run(&["del", "pump", "8", "--if-revision", "2"]).fails(1);
    assert_eq!(i.run(&["del", "pump", "8", "--if-revision", "6"]).ok(), "revision 7\n");
    assert!(i.run(&["del", "pump", "8"]).fails(1).contains('8'));
    let gone = i.run(&["get", "pump", "8"]).fails(1);
    assert!(gone.contains("no row with key 8 in table pump"), "{gone}");
}

#[test]
fn composite_and_text_keys_and_no_key() {
    let i = Instance::start();
    i.sql("CREATE TABLE valve(area TEXT, n INTEGER, open INTEGER, PRIMARY KEY(area, n)) WITHOUT ROWID");
    i.sql("CREATE TABLE note(text TEXT)");
    i.run(&["put", "valve", "north,7", "open=1"]).ok();
    i.run(&["put", "valve", "[\"a,b\", 1]", "open=0"]).ok();
    assert_eq!(i.run(&["get", "valve", "north,7", "open"]).ok(), "1\n");
    assert_eq!(i.run(&["get", "valve", "a\\,b,1", "open"]).ok(), "0\n");
    i.sql("INSERT INTO note VALUES ('one'), ('two')");
    assert_eq!(i.run(&["get", "note", "2"]).ok(), "{\"text\":\"two\"}\n");
    assert_eq!(
        i.run(&["dump", "note", "--rowid", "--format", "csv"]).ok(),
        "text,rowid\none,1\ntwo,2\n"
    );
    i.run(&["put", "note", "2", "text=zwei"]).ok();
    assert_eq!(i.run(&["get", "note", "2", "text"]).ok(), "zwei\n");
    i.run(&["del", "note", "1"]).ok();
    assert_eq!(rows(&i, "note"), json!([{"text": "zwei"}]));
}

#[test]
fn sql_prints_tables_json_and_csv() {
    let i = Instance::start();
    i.sql(PUMPS);
    let sql = "INSERT INTO pump(id, state, flow) VALUES (1, 'läuft', 2.5), (20, '', NULL)";
    assert_eq!(i.sql(sql), "revision 2, 2 rows changed\n");
    let shown = i.sql("SELECT id, state, flow FROM pump ORDER BY id");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "id  state  flow");
    assert_eq!(lines[2], " 1  läuft   2.5");
    assert_eq!(lines[3], "20         NULL");
    assert_eq!(lines[4], "(2 rows at revision 2)");
    assert_eq!(
        i.run(&["sql", "--json", "SELECT id, flow FROM pump ORDER BY id"]).ok(),
        "[{\"id\":1,\"flow\":2.5},\n {\"id\":20,\"flow\":null}]\n"
    );
    assert_eq!(
        i.run(&["sql", "--csv", "SELECT state, flow FROM pump ORDER BY id"]).ok(),
        "state,flow\nläuft,2.5\n\"\",\n"
    );
    assert_eq!(
        i.run(&["sql", "--json", "DELETE FROM pump WHERE id = 20"]).ok(),
        "{\"revision\":3,\"changes\":1}\n"
    );
    let returned = i.sql("INSERT INTO pump(id) VALUES (30) RETURNING id, state");
    assert!(returned.contains("30  new"), "{returned}");
    assert!(returned.ends_with("revision 4, 1 row changed\n"), "{returned}");

    // Several statements are one transaction.
    i.run(&["sql", "INSERT INTO pump(id) VALUES (40); INSERT INTO pump(id) VALUES (1)"]).fails(1);
    assert!(i.run(&["get", "pump", "40"]).fails(1).contains("no row"));
    assert_eq!(
        i.sql("INSERT INTO pump(id) VALUES (40); UPDATE pump SET flow = 1"),
        "revision 5, 3 rows changed\n"
    );

    assert_eq!(i.feed(&["sql", "-", "--csv"], "SELECT 1 AS one;\n").ok(), "one\n1\n");
    let file = i.file("s.sql", "CREATE TABLE a(x);\nCREATE TABLE b(y); -- done");
    assert!(i.run(&["sql", "-f", &file]).ok().starts_with("revision 6"));
    assert_eq!(
        i.sql("WITH n(i) AS (VALUES (1), (2)) INSERT INTO a SELECT i FROM n"),
        "revision 7, 2 rows changed\n"
    );
}

#[test]
fn watch_tells_each_change_and_ends_on_interrupt() {
    let i = Instance::start();
    i.sql(PUMPS);
    let mut watcher = i.spawn(&["watch", "pump", "--json", "--since", "2"]);
    let mut lines = BufReader::new(watcher.0.stdout.take().unwrap());
    let mut put = i.spawn(&["put", "pump", "7", "state=run", "flow=1.5"]);
    let pid = put.0.id();
    assert_eq!(put.end(), 0);
    i.run(&["put", "pump", "7", "flow=2.5"]).ok();
    i.run(&["del", "pump", "7"]).ok();
    let mut next = || -> Value {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    let insert = next();
    assert_eq!(insert["operation"], "insert");
    assert_eq!((&insert["table"], &insert["key"]), (&json!("pump"), &json!([7])));
    assert_eq!(insert["row"]["flow"], 1.5);
    assert_eq!(insert["pid"], pid);
    assert_eq!(insert["revision"], 2);
    let update = next();
    assert_eq!((&update["operation"], &update["columns"]), (&json!("update"), &json!(["flow"])));
    let delete = next();
    assert_eq!((&delete["operation"], &delete["row"]), (&json!("delete"), &Value::Null));
    watcher.signal(Signal::INT);
    assert_eq!(watcher.end(), 0);

    // From a revision on, in words, and no longer than asked for.
    let told = i.run(&["watch", "pump", "--since", "2", "--count", "3"]).ok();
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.len(), 3);
    assert!(told[0].starts_with("revision 2  pump  insert  key 7  "), "{told:?}");
    assert!(told[0].contains("flow=1.5") && told[0].contains("state='run'"), "{told:?}");
    assert!(told[0].contains(&format!("pid {pid}  20")), "{told:?}");
    assert!(told[1].contains("update  key 7  flow=2.5  uid"), "{told:?}");
    assert!(told[2].contains("delete  key 7  uid"), "{told:?}");
}

#[test]
fn log_is_the_history() {
    let i = Instance::start();
    i.sql(PUMPS);
    for n in 1..=3 {
        i.run(&["put", "pump", "1", &format!("flow={n}")]).ok();
        i.run(&["put", "pump", "2", &format!("flow={n}")]).ok();
    }
    let all = i.run(&["log"]).ok();
    assert_eq!(all.lines().count(), 7, "{all}");
    assert!(all.lines().next().unwrap().contains("schema  created pump"), "{all}");
    let one = i.run(&["log", "pump", "2"]).ok();
    assert_eq!(one.lines().count(), 3, "{one}");
    assert!(one.lines().all(|l| l.contains("key 2")), "{one}");
    let newest = i.run(&["log", "pump", "--limit", "2", "--json"]).ok();
    let newest: Vec<Value> = newest.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(newest.len(), 2);
    assert_eq!(newest[1]["row"], json!({"id": 2, "state": "new", "flow": 3.0, "raw": null}));
    assert_eq!(i.run(&["log", "--since", "6"]).ok().lines().count(), 2);
    assert!(i.run(&["log", "pump", "x"]).fails(1).contains("'x' found"));
}

#[test]
fn status_check_and_backup() {
    let mut i = Instance::start();
    i.sql(PUMPS);
    i.run(&["put", "pump", "1", "state=läuft"]).ok();
    let status: Value = serde_json::from_str(&i.run(&["status", "--json"]).ok()).unwrap();
    assert_eq!(status["revision"], 2);
    assert_eq!(status["tables"][0]["name"], "pump");
    assert_eq!(status["tables"][0]["rows"], 1);
    let shown = i.run(&["status"]).ok();
    for expected in ["revision", "pump", "durability"] {
        assert!(shown.contains(expected), "{expected} is missing in\n{shown}");
    }
    let checked: Value = serde_json::from_str(&i.run(&["check", "--json"]).ok()).unwrap();
    assert_eq!((&checked["ok"], &checked["differences"]), (&json!(true), &json!([])));
    i.run(&["check"]).ok();

    let copy = i.path("copy.db");
    let copy = copy.to_str().unwrap();
    i.run(&["backup", copy]).ok();
    assert!(i.run(&["backup", copy]).fails(1).contains("exists"));
    i.run(&["put", "pump", "1", "state=aus"]).ok();
    assert_eq!(i.stop(), 0);
    let (mut daemon, _) = common::serve(std::path::Path::new(copy), &i.socket());
    assert_eq!(i.run(&["get", "pump", "1", "state"]).ok(), "läuft\n");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 0);
}

#[test]
fn everything_is_there_after_a_restart() {
    let mut i = Instance::start();
    i.sql(PUMPS);
    i.run(&["put", "pump", "1", "state=a", "raw=0x01"]).ok();
    let before = i.run(&["dump", "pump"]).ok();
    i.restart();
    assert_eq!(i.run(&["dump", "pump"]).ok(), before);
    assert_eq!(i.run(&["put", "pump", "2"]).ok(), "revision 3\n");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let i = Instance::start();
    i.sql("CREATE TABLE n(i INTEGER PRIMARY KEY, t TEXT)");
    i.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) \
           INSERT INTO n SELECT i, 'some text to fill a pipe with' FROM n",
    );
    let mut dump = i.spawn(&["dump", "n"]);
    let mut first = String::new();
    BufReader::with_capacity(16, dump.0.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("[{\"i\":1,"), "{first}");
    assert_eq!(dump.end(), 0);
}

#[test]
fn a_service_manager_is_told_of_readiness_and_of_the_stop() {
    let directory = tempfile::Builder::new().prefix("sm-").tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let manager = std::os::unix::net::UnixDatagram::bind(at("notify")).unwrap();
    manager.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let mut command = common::shmirror(&["serve", "--data", &at("data"), "--socket", &at("s")]);
    command.env("NOTIFY_SOCKET", at("notify"));
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut daemon = common::Process(command.spawn().unwrap());
    let told = || {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(told(), "READY=1\n");
    assert_eq!(common::run(&["sql", "SELECT 1", "--socket", &at("s")]).code, 0);
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(told(), "STOPPING=1\n");
    assert_eq!(daemon.end(), 0);
}
