//! A subscriber's stream is the table: replayed from the first revision, it equals `dump`, whatever
//! several processes wrote meanwhile, and across a restart of the daemon.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

use common::Instance;
use serde_json::Value;

#[test]
fn a_stream_replayed_equals_the_dump() {
    let mut i = Instance::start();
    i.sql(
        "CREATE TABLE t(a TEXT, n INTEGER, v, PRIMARY KEY(a, n)) WITHOUT ROWID; \
           CREATE TABLE other(x); CREATE TABLE done(id INTEGER PRIMARY KEY)",
    );
    let mut watcher = i.spawn(&["watch", "t", "done", "--since", "1", "--json"]);
    let lines = BufReader::new(watcher.0.stdout.take().unwrap()).lines();

    // Several processes at once, of every kind of change.
    let csv: String = (0..5000).map(|n| format!("load,{n},{}\n", n * 7 % 1000)).collect();
    let file = i.file("t.csv", &format!("a,n,v\n{csv}"));
    let mut writers = vec![i.spawn(&["load", "t", &file, "--batch", "100"])];
    for writer in 0..4 {
        let sql: String = (0..50)
            .map(|n| {
                format!(
                    "INSERT OR REPLACE INTO t VALUES ('w{}', {}, '{n}');\
                     UPDATE t SET n = n + 100, v = v || 'x' WHERE a = 'w{}' AND n = {};\
                     DELETE FROM t WHERE n % 17 = {};",
                    writer % 2,
                    n % 20,
                    (writer + 1) % 2,
                    n % 10,
                    n % 17
                )
            })
            .collect();
        writers.push(i.spawn(&["sql", &sql]));
    }
    for writer in &mut writers {
        assert_eq!(writer.end(), 0);
    }
    i.restart();
    i.run(&["put", "t", "after,1", "v=restart"]).ok();
    i.sql("INSERT INTO other VALUES (1); UPDATE t SET v = NULL WHERE a = 'load' AND n < 20");
    i.sql("INSERT INTO done VALUES (1)");

    let mut table: BTreeMap<String, Value> = BTreeMap::new();
    let mut newest = 0;
    for line in lines {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let revision = event["revision"].as_u64().unwrap();
        assert!(revision >= newest, "{event} after revision {newest}");
        newest = revision;
        if event["operation"] == "schema" {
            continue;
        }
        if event["table"] == "done" {
            break;
        }
        assert_eq!(event["table"], "t");
        let key = event["key"].to_string();
        let before = match event["operation"].as_str().unwrap() {
            "delete" => table.remove(&key).is_some(),
            "insert" => table.insert(key, event["row"].clone()).is_none(),
            "update" => table.insert(key, event["row"].clone()).is_some(),
            other => panic!("{other}"),
        };
        assert!(before, "{event} does not fit what the stream told before");
    }
    watcher.signal(rustix::process::Signal::TERM);
    assert_eq!(watcher.end(), 0);

    let dumped = common::rows(&i, "t");
    let dumped: BTreeMap<String, Value> = dumped
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (Value::Array(vec![row["a"].clone(), row["n"].clone()]).to_string(), row.clone())
        })
        .collect();
    assert!(dumped.len() > 4000, "{} rows", dumped.len());
    assert!(table == dumped, "{} rows replayed, {} dumped", table.len(), dumped.len());
    assert_eq!(i.run(&["log", "t"]).ok().lines().filter(|l| l.contains("after")).count(), 1);
}
