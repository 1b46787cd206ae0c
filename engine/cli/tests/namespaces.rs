//! Tables of other namespaces than `main`, by every command that takes a table; and two tables of one name.
#![allow(missing_docs, reason = "tests")]

mod common;

use common::{Instance, rows};
use serde_json::{Value as Json, json};

const CONFIG: &str = "[namespaces.plant]\n[namespaces.desk]\n";

fn instance() -> Instance {
    let i = Instance::configured(CONFIG);
    i.sql("CREATE TABLE pid (loop TEXT PRIMARY KEY, kp REAL NOT NULL, CHECK (kp > 0))");
    i.sql("CREATE TABLE plant.pid (loop TEXT PRIMARY KEY, kp REAL NOT NULL, CHECK (kp > 0))");
    i
}

#[test]
fn put_get_del_dump_and_sql() {
    let i = instance();
    i.run(&["put", "plant.pid", "boiler", "kp=1.25"]).ok();
    i.run(&["put", "Plant.PID", "pump", "kp=4"]).ok();
    i.run(&["put", "pid", "boiler", "kp=9"]).ok();
    assert_eq!(i.run(&["get", "plant.pid", "boiler", "kp"]).ok(), "1.25\n");
    assert_eq!(i.run(&["get", "pid", "boiler", "kp"]).ok(), "9.0\n");
    assert_eq!(i.run(&["get", "main.pid", "boiler", "kp"]).ok(), "9.0\n");
    assert_eq!(
        rows(&i, "plant.pid"),
        json!([{"loop": "boiler", "kp": 1.25}, {"loop": "pump", "kp": 4.0}])
    );
    let both = "SELECT p.kp AS one, m.kp AS other FROM plant.pid p JOIN main.pid m USING (loop)";
    let both: Json = serde_json::from_str(&i.run(&["sql", "--json", both]).ok()).unwrap();
    assert_eq!(both, json!([{"one": 1.25, "other": 9.0}]));
    i.run(&["del", "plant.pid", "boiler"]).ok();
    assert_eq!(rows(&i, "plant.pid"), json!([{"loop": "pump", "kp": 4.0}]));
    assert_eq!(rows(&i, "pid"), json!([{"loop": "boiler", "kp": 9.0}]));
    log_tells_full_names(&i);

    // Messages have the whole name.
    for (arguments, part) in [
        (&["put", "plant.pid", "pump", "kp=-1"][..], "plant.pid"),
        (&["put", "plant.pid", "pump", "kq=1"], "table plant.pid has no column \"kq\""),
        (&["get", "plant.pid", "gone"], "no row with key 'gone' in table plant.pid"),
        (&["get", "plant.pidd", "gone"], "\"plant.pidd\""),
        (&["get", "desk.pid", "gone"], "\"desk.pid\""),
        (&["get", "nowhere.pid", "gone"], "\"nowhere.pid\""),
    ] {
        let said = i.run(arguments).fails(1);
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
}

fn log_tells_full_names(i: &Instance) {
    let log = i.run(&["log", "plant.pid"]).ok();
    assert!(log.contains("schema  created plant.pid"), "{log}");
    assert_eq!(log.matches("  plant.pid  insert  ").count(), 2, "{log}");
    assert_eq!(log.matches("  plant.pid  delete  ").count(), 1, "{log}");
    assert!(!log.contains("  pid  "), "{log}");
    let log = i.run(&["log", "pid", "boiler"]).ok();
    assert!(log.lines().count() == 1 && log.contains("  pid  insert  "), "{log}");
}

#[test]
fn watch_tells_full_names() {
    let i = instance();
    let watcher = i.spawn(&["watch", "plant.pid", "--since", "1", "--count", "3"]);
    i.run(&["put", "pid", "boiler", "kp=9"]).ok();
    i.sql("INSERT INTO plant.pid VALUES ('a', 1); INSERT INTO pid VALUES ('b', 2)");
    i.run(&["put", "plant.pid", "a", "kp=2"]).ok();
    let said = watcher.output();
    let told: Vec<&str> = said.lines().collect();
    assert!(told[0].contains("  schema  created plant.pid"), "{said}");
    assert!(told[1].contains("  plant.pid  insert  key 'a'"), "{said}");
    assert!(told[2].contains("  plant.pid  update  key 'a'"), "{said}");
}

#[test]
fn load_into_a_namespace() {
    let i = instance();
    let csv = i.file("sample.csv", "id,v\n1,1.5\n2,2.5\n");
    i.run(&["load", "plant.sample", &csv, "--create", "--key", "id"]).ok();
    assert_eq!(rows(&i, "plant.sample"), json!([{"id": 1, "v": 1.5}, {"id": 2, "v": 2.5}]));
    assert!(i.run(&["dump", "sample"]).fails(1).contains("\"sample\""));
    let said = i.run(&["load", "plant.sample", &csv, "--create"]).fails(1);
    assert!(said.contains("table plant.sample is there already"), "{said}");
    // A bad row of a table that is made: it goes away again.
    let bad = i.file("bad.csv", "id,v\n1,1.5\n1,2.5\n");
    i.run(&["load", "plant.bad", &bad, "--create", "--key", "id"]).fails(1);
    assert!(i.run(&["dump", "plant.bad"]).fails(1).contains("\"plant.bad\""));
    // One transaction, whose bad line is looked for.
    let loops = i.file("loop.csv", "loop,kp\na,1\nb,-1\nc,2\n");
    let said = i.run(&["load", "plant.pid", &loops]).fails(1);
    assert!(said.contains("loop.csv:3") && said.contains("plant"), "{said}");
    assert_eq!(rows(&i, "plant.pid"), json!([]));
    // Too much for one: by way of a table beside it.
    let mut long = "loop,kp\n".to_owned();
    let padding = "~".repeat(900);
    for n in 1..=6_000 {
        long.push_str(&format!("the loop {n} {padding},{n}\n"));
    }
    let good = i.file("long.csv", &long);
    i.run(&["load", "plant.pid", &good]).ok();
    assert_eq!(rows(&i, "plant.pid").as_array().unwrap().len(), 6_000);
    let names = "SELECT name FROM plant.sqlite_schema WHERE type = 'table' ORDER BY name";
    let names: Json = serde_json::from_str(&i.run(&["sql", "--json", names]).ok()).unwrap();
    assert_eq!(names, json!([{"name": "pid"}, {"name": "sample"}]));
    assert_eq!(rows(&i, "pid"), json!([]));
    long.push_str("one more,-1\n");
    let bad = i.file("long_bad.csv", &long.replace("the loop", "a loop"));
    let said = i.run(&["load", "plant.pid", &bad]).fails(1);
    assert!(said.contains("long_bad.csv:6002"), "{said}");
    assert_eq!(rows(&i, "plant.pid").as_array().unwrap().len(), 6_000);

    let said = i.run(&["load", "hall.sample", &csv, "--create"]).fails(1);
    assert!(said.contains("no namespace \"hall\""), "{said}");
    assert!(said.contains("main.hall.sample"), "{said}");
    i.run(&["load", "main.hall.sample", &csv, "--create"]).ok();
    assert_eq!(rows(&i, "main.hall.sample"), rows(&i, "hall.sample"));
}

#[test]
fn a_database_comes_into_a_namespace() {
    let i = instance();
    let file = i.path("plant.db");
    let source = rusqlite::Connection::open(&file).unwrap();
    source
        .execute_batch(
            "CREATE TABLE [unit one] (code TEXT PRIMARY KEY, parent TEXT REFERENCES [unit one]);
             CREATE TABLE IF NOT EXISTS pump (id INTEGER PRIMARY KEY AUTOINCREMENT,
                 unit TEXT REFERENCES \"unit one\"(code)); -- of a unit
             CREATE UNIQUE INDEX main.by_unit ON pump (unit, id);
             CREATE INDEX at_all ON pump (id) WHERE unit IS NOT NULL;
             CREATE VIEW IF NOT EXISTS seen AS SELECT p.id, u.parent FROM pump p
                 JOIN [unit one] u ON u.code = p.unit;
             CREATE TRIGGER told AFTER INSERT ON pump WHEN new.unit IS NULL
                 BEGIN UPDATE pump SET unit = 'U1' WHERE id = new.id; END;
             INSERT INTO [unit one] VALUES ('U2', 'U1'), ('U1', NULL);
             INSERT INTO pump VALUES (1, 'U2'), (7, 'U1'); DELETE FROM pump WHERE id = 7;",
        )
        .unwrap();
    let file = file.to_str().unwrap();
    let said = i.run(&["import", file, "--into", "PLANT"]).ok();
    assert!(said.contains("plant.pump") && said.contains("plant.unit one"), "{said}");
    assert_eq!(rows(&i, "plant.pump"), json!([{"id": 1, "unit": "U2"}]));
    let seen = i.run(&["sql", "--json", "SELECT * FROM plant.seen"]).ok();
    assert_eq!(serde_json::from_str::<Json>(&seen).unwrap(), json!([{"id": 1, "parent": "U1"}]));
    // Sequence and trigger are those of the namespace.
    i.sql("INSERT INTO plant.pump (unit) VALUES (NULL)");
    assert_eq!(i.run(&["get", "plant.pump", "8"]).ok(), "{\"id\":8,\"unit\":\"U1\"}\n");
    let names = |space: &str| {
        let sql = format!(
            "SELECT name FROM {space}.sqlite_schema WHERE sql IS NOT NULL \
                           AND name NOT LIKE 'sqlite%' ORDER BY name"
        );
        i.run(&["sql", "--csv", &sql]).ok()
    };
    assert_eq!(names("main"), "name\npid\n");
    assert_eq!(names("plant"), "name\nat_all\nby_unit\npid\npump\nseen\ntold\nunit one\n");

    // It is there: in that namespace, not in another.
    let said = i.run(&["import", file, "--into", "plant"]).fails(1);
    assert!(said.contains("plant.pump") && said.contains("is there already"), "{said}");
    let said = i.run(&["import", file, "--into", "hall"]).fails(1);
    assert!(said.contains("no namespace \"hall\", there is main"), "{said}");
    // What fails half way is taken back from there.
    source.execute_batch("CREATE TABLE odd (k TEXT PRIMARY KEY) WITHOUT ROWID").unwrap();
    source.execute("INSERT INTO odd VALUES (CAST(x'ff' AS TEXT))", []).unwrap();
    i.run(&["import", file, "--into", "desk"]).fails(1);
    assert_eq!(names("desk"), "name\n");
    i.run(&["import", file, "--into", "desk", "--except", "odd"]).ok();
    assert_eq!(rows(&i, "desk.pump"), json!([{"id": 1, "unit": "U2"}]));
    i.run(&["check"]).ok();
}

#[test]
fn status_lists_namespaces_and_full_names() {
    let mut i = instance();
    let status = |i: &Instance| -> Json {
        serde_json::from_str(&i.run(&["status", "--json"]).ok()).unwrap()
    };
    let found = status(&i);
    let of = |list: &str| -> Vec<String> {
        let list = found[list].as_array().unwrap().iter();
        list.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of("tables"), ["pid", "plant.pid"]);
    let mut spaces = of("namespaces");
    assert_eq!(spaces.remove(0), "main");
    spaces.sort();
    assert_eq!(spaces, ["desk", "plant"]);
    let plant = found["namespaces"].as_array().unwrap().iter().find(|n| n["name"] == "plant");
    assert_eq!(plant.unwrap()["tables"], 1);
    assert_eq!(plant.unwrap()["writable"], true);
    let shown = i.run(&["status"]).ok();
    assert!(shown.contains("namespaces (3)") && shown.contains("plant.pid"), "{shown}");

    // A namespace that the configuration has no longer keeps its tables.
    i.run(&["put", "plant.pid", "a", "kp=1"]).ok();
    std::fs::write(i.path("data/shmirror.toml"), "").unwrap();
    i.restart();
    assert_eq!(rows(&i, "plant.pid"), json!([{"loop": "a", "kp": 1.0}]));
}
