//! `import` with the real binary: a plant's database as it is, odd schemas, and what is refused.

mod common;

use common::{Instance, rows};
use rusqlite::Connection;
use serde_json::json;

const PLANT: &str = include_str!("../../../examples/data/plant.sql");

fn database(i: &Instance, name: &str, sql: &str) -> String {
    let path = i.path(name);
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    connection.execute_batch(sql).unwrap();
    path.to_str().unwrap().to_owned()
}

/// All rows of a query over a plain database, as `sql --json` writes them.
fn plain(file: &str, sql: &str) -> serde_json::Value {
    let connection = Connection::open(file).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut found = statement.query([]).unwrap();
    let mut out = Vec::new();
    while let Some(row) = found.next().unwrap() {
        let object = names.iter().enumerate().map(|(i, name)| {
            use rusqlite::types::ValueRef as V;
            let value = match row.get_ref(i).unwrap() {
                V::Null => json!(null),
                V::Integer(i) => json!(i),
                V::Real(r) => json!(r),
                V::Text(t) => json!(std::str::from_utf8(t).unwrap()),
                V::Blob(b) => json!(b.iter().fold("0x".to_owned(), |s, b| s + &format!("{b:02x}"))),
            };
            (name.clone(), value)
        });
        out.push(serde_json::Value::Object(object.collect()));
    }
    out.into()
}

#[test]
fn a_plant_comes_over_as_it_is() {
    let mut i = Instance::start();
    let file = database(&i, "plant.db", PLANT);
    let bytes = std::fs::read(&file).unwrap();
    let said = i.run(&["import", &file]).ok();
    assert!(said.contains("sample    100,000"), "{said}");
    assert!(said.contains("6 tables") && said.contains(" rows/s"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "the file is not touched");
    let same = |i: &Instance| {
        for (table, order) in [
            ("unit", "code"),
            ("tag", "tag_id"),
            ("setpoint", "unit, loop, shift"),
            ("sample", "tag_id, at"),
            ("journal", "rowid"),
            ("counter", "name"),
        ] {
            let expected = plain(&file, &format!("SELECT * FROM {table} ORDER BY {order}"));
            assert!(rows(i, table) == expected, "table {table} is not as in the file");
        }
        let view = "SELECT * FROM out_of_band ORDER BY 1, 3";
        let found: serde_json::Value =
            serde_json::from_str(&i.run(&["sql", "--json", view]).ok()).unwrap();
        assert_eq!(found, plain(&file, view));
    };
    same(&i);
    i.run(&["check"]).ok();
    i.restart();
    same(&i);

    // Its rules hold here: CHECK, foreign key, generated column, trigger.
    assert!(i.run(&["put", "tag", "1", "deadband=-1"]).fails(1).contains("deadband"));
    assert!(
        i.run(&["put", "sample", "9999,1", "value=1"])
            .fails(1)
            .to_lowercase()
            .contains("foreign key")
    );
    assert!(i.run(&["put", "tag", "1", "span=3"]).fails(1).contains("generated"));
    i.run(&["put", "setpoint", "P,1,day", "kp=2"]).ok();
    assert_eq!(i.run(&["get", "counter", "setpoint changes", "n"]).ok(), "1\n");
    // A second time, and a name that is taken.
    assert!(i.run(&["import", &file]).fails(1).contains("is there already; nothing was written"));
}

#[test]
fn odd_schemas_come_over_too() {
    let i = Instance::start();
    let file = database(
        &i,
        "odd.db",
        "CREATE TABLE chicken(id INTEGER PRIMARY KEY, egg INTEGER REFERENCES egg(id) DEFERRABLE INITIALLY DEFERRED);
         CREATE TABLE egg(id INTEGER PRIMARY KEY, chicken INTEGER NOT NULL REFERENCES chicken);
         INSERT INTO chicken VALUES (1, 1), (2, NULL), (3, 2);
         INSERT INTO egg VALUES (1, 1), (2, 2);
         CREATE TABLE tree(name TEXT PRIMARY KEY, up TEXT REFERENCES tree(name));
         INSERT INTO tree VALUES ('leaf', 'twig'), ('twig', 'branch'), ('branch', NULL), ('own', 'own');
         CREATE TABLE \"a \"\"b\"\"\"(\"x y\" INTEGER, z TEXT DEFAULT 'q', PRIMARY KEY(\"x y\" DESC));
         INSERT INTO \"a \"\"b\"\"\" VALUES (1, 'one'), (2, '');
         CREATE TABLE child(of INTEGER REFERENCES parent(n));
         CREATE TABLE parent(id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER);
         CREATE UNIQUE INDEX parent_n ON parent(n);
         INSERT INTO parent(n) VALUES (10), (20);
         INSERT INTO child VALUES (20), (10), (NULL);
         CREATE TABLE gaps(v); INSERT INTO gaps(rowid, v) VALUES (5, 'a'), (100, x'00'), (7, 1.5);
         CREATE INDEX gaps_v ON gaps(v) WHERE v IS NOT NULL;",
    );
    i.run(&["import", &file]).ok();
    for (table, order) in [("chicken", "id"), ("egg", "id"), ("tree", "name"), ("parent", "id")] {
        assert_eq!(
            rows(&i, table),
            plain(&file, &format!("SELECT * FROM {table} ORDER BY {order}"))
        );
    }
    assert_eq!(rows(&i, "a \"b\""), json!([{"x y": 1, "z": "one"}, {"x y": 2, "z": ""}]));
    assert_eq!(
        i.run(&["dump", "gaps", "--rowid", "--format", "csv"]).ok(),
        "v,rowid\na,5\n1.5,7\n0x00,100\n"
    );
    i.run(&["check"]).ok();
}

#[test]
fn autoincrement_goes_on_where_the_file_stands() {
    let mut i = Instance::start();
    let file = database(
        &i,
        "auto.db",
        "CREATE TABLE \"it's\"(id INTEGER PRIMARY KEY AUTOINCREMENT, v);
         INSERT INTO \"it's\"(v) VALUES (1), (2), (3), (4);
         DELETE FROM \"it's\" WHERE id > 2;
         CREATE TABLE empty(id INTEGER PRIMARY KEY AUTOINCREMENT);
         INSERT INTO empty DEFAULT VALUES; DELETE FROM empty",
    );
    i.run(&["import", &file]).ok();
    i.restart();
    i.sql("INSERT INTO \"it's\"(v) VALUES (5); INSERT INTO empty DEFAULT VALUES");
    assert_eq!(rows(&i, "it's")[2]["id"], 5);
    assert_eq!(rows(&i, "empty")[0]["id"], 2);
}

#[test]
fn what_is_no_plain_database_is_refused() {
    let i = Instance::start();
    let refused = |file: &str, expected: &str| {
        let said = i.run(&["import", file]).fails(1);
        assert!(said.contains(expected), "{expected:?} is missing in {said}");
        assert_eq!(
            i.run(&["sql", "--csv", "SELECT count(*) FROM sqlite_schema"]).ok(),
            "count(*)\n0\n"
        );
    };
    refused("/no/such.db", "/no/such.db");
    refused(&i.file("text.db", "not a database at all"), "no SQLite database");
    refused(&i.file("none.db", ""), "no SQLite database");
    refused(i.path("data/store.db").to_str().unwrap(), "a sealed store of shmirror");
    refused(&database(&i, "bare.db", "PRAGMA user_version = 1; VACUUM"), "no table in it");
    let broken = "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p); INSERT INTO c VALUES (5);";
    refused(&database(&i, "broken.db", broken), "breaks its own foreign keys");
    let check = "CREATE TABLE good(a); INSERT INTO good VALUES (1);
                 CREATE TABLE t(a CHECK (a > 0)); PRAGMA ignore_check_constraints = ON; INSERT INTO t VALUES (-1);";
    refused(&database(&i, "check.db", check), "a > 0");
    let text = "CREATE TABLE t(a TEXT); INSERT INTO t VALUES (CAST(x'ff' AS TEXT));";
    refused(&database(&i, "text8.db", text), "not UTF-8");
    let full = database(&i, "fts.db", "CREATE TABLE t(a); CREATE VIRTUAL TABLE f USING fts5(a);");
    refused(&full, "virtual table");
    let mut damaged = std::fs::read(database(&i, "damaged.db", PLANT)).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 65_536].fill(0xA5);
    let path = i.path("damaged.db");
    std::fs::write(&path, damaged).unwrap();
    refused(path.to_str().unwrap(), "damaged");
}
