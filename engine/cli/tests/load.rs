//! `load` with the real binary: real series, every form, and nothing kept of a bad file.

mod common;

use common::{Instance, rows};
use serde_json::json;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data");

fn nab() -> String {
    format!("{DATA}/nab/machine_temperature_system_failure.csv")
}

#[test]
fn the_real_series_load_as_they_are() {
    let i = Instance::start();
    let said = i.run(&["load", "temperature", &nab(), "--create"]).ok();
    assert!(said.starts_with("22,695 rows in ") && said.contains(" rows/s"), "{said}");
    let flow = format!("{DATA}/indsl/vol_flow_rate_m3h.csv");
    assert!(
        i.run(&["load", "flow", &flow, "--create", "--key", "timestamp"])
            .ok()
            .starts_with("1,061 rows")
    );
    assert_eq!(
        i.run(&["get", "flow", "2021-05-10 00:00:04.272", "Volumetric flow rate (m3/h)"]).ok(),
        "45560.6015625\n"
    );
    let shown = i
        .run(&["sql", "--csv", "SELECT count(*), min(value), typeof(value) FROM temperature"])
        .ok();
    assert!(shown.contains("22695,2.0847212059999998,real"), "{shown}");
    assert!(i.run(&["load", "flow", &flow, "--create"]).fails(1).contains("is there already"));
    // The same file again, key by key.
    assert!(i.run(&["load", "flow", &flow]).fails(1).contains(".csv:2: "));
    assert!(i.run(&["load", "flow", &flow, "--on-conflict", "skip"]).ok().starts_with("1,061"));
    assert!(i.run(&["check"]).ok().contains("temperature"));
}

#[test]
fn a_key_that_comes_twice_is_named_with_both_lines() {
    let i = Instance::start();
    let load = |table: &str, conflict: &str| {
        i.run(&["load", table, &nab(), "--create", "--key", "timestamp", "--on-conflict", conflict])
    };
    let said = load("t", "fail").fails(1);
    assert!(said.contains("machine_temperature_system_failure.csv:"), "{said}");
    assert!(said.contains("is there already, at line"), "{said}");
    assert!(i.run(&["dump", "t"]).fails(1).contains("no table"), "nothing is kept");
    load("t", "skip").ok();
    load("u", "replace").ok();
    assert_eq!(rows(&i, "t").as_array().unwrap().len(), 22_683);
    assert_eq!(rows(&i, "u").as_array().unwrap().len(), 22_683);
    assert_ne!(rows(&i, "t"), rows(&i, "u"), "the first and the last of a key differ");
}

#[test]
fn dump_and_load_are_inverse() {
    let i = Instance::start();
    let schema = "(id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB, x, \
                   twice INTEGER GENERATED ALWAYS AS (i * 2) VIRTUAL)";
    i.sql(&format!("CREATE TABLE a {schema}"));
    i.sql(
        "INSERT INTO a VALUES \
         (1, 9223372036854775807, 0.1, 'ä \"q\", ''x''' || char(10) || '温度', x'00ff', 'text'), \
         (2, NULL, NULL, NULL, NULL, NULL), (3, -1, 1e300, '', x'', '12'), \
         (4, 0, -0.0, '0x12', x'30783132', 12), (5, 1, 9e999, ' 007', x'01', 1.5), \
         (6, 1, -9e999, 'NULL', x'02', x'0a0b')",
    );
    let expected = i
        .run(&["sql", "--json", "SELECT *, typeof(i), typeof(r), typeof(t), typeof(b) FROM a"])
        .ok();
    for format in ["json", "ndjson", "csv"] {
        let dumped = i.run(&["dump", "a", "--format", format]).ok();
        let table = format!("a_{format}");
        i.sql(&format!("CREATE TABLE {table} {schema}"));
        i.feed(&["load", &table, "-", "--format", format], &dumped).ok();
        assert_eq!(i.run(&["dump", &table, "--format", format]).ok(), dumped);
        let types = format!("SELECT *, typeof(i), typeof(r), typeof(t), typeof(b) FROM {table}");
        assert_eq!(i.run(&["sql", "--json", &types]).ok(), expected, "{format}");
    }
    // CSV keeps even the classes of a column without a type.
    let classes =
        |table: &str| i.run(&["sql", "--csv", &format!("SELECT typeof(x) FROM {table}")]).ok();
    assert_eq!(classes("a_csv"), classes("a"));
}

#[test]
fn bad_lines_are_named_and_nothing_is_kept() {
    let i = Instance::start();
    i.sql("CREATE TABLE p(id INTEGER PRIMARY KEY, v REAL NOT NULL CHECK (v < 100), u TEXT UNIQUE)");
    i.sql("INSERT INTO p VALUES (1000, 1, 'taken')");
    let before = i.run(&["dump", "p"]).ok();
    let cases = [
        ("id,v,u\n1,1.5,a\n2,warm,b\n", ":3: column v: 'warm' found, expected a number"),
        ("id,v,u\n1,1.5,a\n2,2.5\n", ":3: 2 fields found, expected 3"),
        ("id,v,u\n1,1.5,a\n1,2.5,b\n", ":3: key id 1 is there already, at line 2"),
        ("id,v,u\n1,1.5,a\n2,,b\n", ":3: column v: nothing found, expected a number"),
        ("id,v,u\n1,1.5,a\n2,100,b\n3,1,c\n", ":3: "),
        ("id,v,u\n1,1.5,a\n\n2,1,b\n3,1,taken\n4,1,d\n", ":5: "),
        ("id,v,u\n1000,1.5,a\n", ":2: "),
        ("id,v,w\n1,1.5,a\n", ":1: table p has no column \"w\""),
        ("id,v,u\n1,1.5,\"a\n", ":2: a quoted field that is never closed"),
    ];
    for (text, expected) in cases {
        let file = i.file("p.csv", text);
        let said = i.run(&["load", "p", &file]).fails(1);
        assert!(said.contains(&format!("{file}{expected}")), "{expected:?} is missing in {said}");
        assert_eq!(i.run(&["dump", "p"]).ok(), before, "{expected}");
    }
    let json = i.file("p.json", "[{\"id\": 1, \"v\": 1},\n {\"id\": 2, \"v\": [}]\n");
    assert!(i.run(&["load", "p", &json]).fails(1).contains("p.json:2: "));
    let json = i.file("q.json", "[{\"id\": 1, \"v\": 1},\n {\"id\": 2}]\n");
    assert!(i.run(&["load", "p", &json]).fails(1).contains("q.json:2: no column v, expected one"));
    assert!(i.run(&["load", "p", "/no/such.csv"]).fails(1).contains("/no/such.csv"));
    assert!(i.run(&["load", "p", "rows"]).fails(2).contains("--format"));
    let said = i.run(&["load", "nowhere", &json]).fails(1);
    assert!(said.contains("no table \"nowhere\""), "{said}");
}

#[test]
fn good_rows_are_kept_where_it_is_asked_for() {
    let i = Instance::start();
    i.sql("CREATE TABLE p(id INTEGER PRIMARY KEY, v REAL CHECK (v < 100))");
    let mut text = String::from("id,v\n");
    for n in 0..1000 {
        text.push_str(&match n {
            10 => "10,warm\n".to_owned(),
            500 => "500,101\n".to_owned(),
            700 => "5,1\n".to_owned(),
            n => format!("{n},1\n"),
        });
    }
    let file = i.file("p.csv", &text);
    let ran = i.run(&["load", "p", &file, "--keep-good"]);
    assert_eq!(ran.code, 1);
    for expected in
        ["p.csv:12: column v", "p.csv:502: ", "p.csv:702: key id 5", "3 bad lines left out"]
    {
        assert!(ran.err.contains(expected), "{expected} is missing in {}", ran.err);
    }
    assert!(ran.out.starts_with("997 rows"), "{}", ran.out);
    assert_eq!(rows(&i, "p").as_array().unwrap().len(), 997);
}

#[test]
fn a_long_file_is_all_or_nothing_too() {
    let i = Instance::start();
    i.sql("CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT UNIQUE, n INTEGER DEFAULT 5)");
    i.sql("INSERT INTO p VALUES (0, 'clash', 0)");
    let before = i.run(&["dump", "p"]).ok();
    // Over the size of one transaction, so it goes by way of a staging table.
    let long = "x".repeat(300);
    let row = |n: u64| match n {
        25_000 => format!("{{\"id\":{n},\"v\":\"clash\"}}\n"),
        n if n % 2 == 0 => format!("{{\"id\":{n},\"v\":\"{n} {long}\"}}\n"),
        n => format!("{{\"id\":{n},\"v\":\"{n} {long}\",\"n\":{n}}}\n"),
    };
    let bad: String = (1..=30_000).map(row).collect();
    let file = i.file("p.ndjson", &bad);
    let said = i.run(&["load", "p", &file]).fails(1);
    assert!(said.contains("p.ndjson:25000: UNIQUE"), "{said}");
    assert_eq!(i.run(&["dump", "p"]).ok(), before);
    let tables =
        i.run(&["sql", "--csv", "SELECT name FROM sqlite_schema WHERE type = 'table'"]).ok();
    assert_eq!(tables, "name\np\n");

    assert!(i.run(&["load", "p", &file, "--on-conflict", "skip"]).ok().starts_with("30,000 rows"));
    let shown = i.run(&["sql", "--csv", "SELECT count(*), sum(n) FROM p"]).ok();
    // Odd rows have their own number, even ones the DEFAULT, one was skipped.
    let sum: u64 = (1..=30_000).filter(|n| n % 2 == 1).sum::<u64>() + 5 * 14_999;
    assert_eq!(shown, format!("count(*),sum(n)\n30000,{sum}\n"));
}

#[test]
fn types_are_inferred_and_keys_are_made() {
    let i = Instance::start();
    let csv = "id,code,share,name,when\n1,007,1,x,2020-01-01\n2,008,0.5,,2020-01-02\n";
    i.feed(&["load", "t", "-", "--create", "--key", "code,id"], csv).ok();
    let schema = i.run(&["sql", "--csv", "SELECT name, type, pk FROM pragma_table_info('t')"]).ok();
    assert_eq!(
        schema,
        "name,type,pk\nid,INTEGER,2\ncode,TEXT,1\nshare,REAL,0\nname,TEXT,0\nwhen,TEXT,0\n"
    );
    assert_eq!(i.run(&["get", "t", "007,1", "share"]).ok(), "1.0\n");
    assert_eq!(i.run(&["get", "t", "008,2", "name"]).ok(), "NULL\n");
    let json = r#"[{"b": true, "n": {"x": [1]}}, {"b": 2, "extra": 1.5}]"#;
    i.feed(&["load", "j", "-", "--create", "--format", "json"], json).ok();
    assert_eq!(
        rows(&i, "j"),
        json!([{"b": 1, "n": "{\"x\":[1]}", "extra": null}, {"b": 2, "n": null, "extra": 1.5}])
    );
    assert!(
        i.feed(&["load", "k", "-", "--create", "--key", "nope"], "a\n1\n")
            .fails(1)
            .contains("nope")
    );
    i.feed(&["load", "k", "-", "--key", "a"], "a\n1\n").code.eq(&2).then_some(()).unwrap();
}
