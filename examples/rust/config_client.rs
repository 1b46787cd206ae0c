//! The tour that a user of a configuration-share service expects: make a table from SQL, log in with
//! the table of interest, add, change one column by key, query as JSON, delete, and be told of each
//! change with the changer's pid.
//!
//! Start a daemon (`shmirror serve`), then `cargo run -p shmirror-examples --bin config_client`.

use std::error::Error;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shmirror::{Event, Mirror, Options, Producer, Subscriber};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Loop {
    name: String,
    kp: f64,
    ki: f64,
    enabled: bool,
    note: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::new().program("config_client");

    // Connect. Reading, writing and following changes are separate; take what you need.
    let producer = Producer::attach(&options)?;
    let mirror = Mirror::attach(&options)?;

    println!("create_table: from SQL");
    producer.execute(
        "CREATE TABLE IF NOT EXISTS pid_loop (
           name TEXT PRIMARY KEY, kp REAL NOT NULL, ki REAL NOT NULL,
           enabled INTEGER NOT NULL DEFAULT 1, note TEXT);
         DELETE FROM pid_loop",
    )?;

    // Log in with the tables of interest: from now on each change of them is told.
    let mut changes = Subscriber::builder(&options).tables(&["pid_loop"]).from_now().subscribe()?;

    println!("add: two rows in one transaction");
    let boiler = Loop {
        name: "boiler".into(),
        kp: 1.25,
        ki: 0.5,
        enabled: true,
        note: Some("Überhitzer".into()),
    };
    let pump = Loop { name: "pump".into(), kp: 4.0, ki: 0.1, enabled: false, note: None };
    let commit =
        producer.begin().insert("pid_loop", &boiler)?.insert("pid_loop", &pump)?.commit()?;
    println!("  committed at revision {}", commit.revision);

    println!("change: one column, by key");
    producer.update("pid_loop", "pump", &serde_json::json!({ "kp": 3.5 }))?;

    println!("query: the table, as JSON, at one revision");
    let table = mirror.table("pid_loop")?;
    let scan = table.scan()?;
    let rows: Vec<_> = scan.sorted().map(|row| row.to_json()).collect();
    println!("  revision {}: {}", scan.revision(), serde_json::to_string(&rows)?);

    println!("query: one row, into a struct");
    let row = table.get("boiler")?.ok_or("no such row")?;
    assert_eq!(row.deserialize::<Loop>()?, boiler);
    println!("  {boiler:?}");

    println!("query: with SQL");
    let (_, sets) =
        mirror.query("SELECT count(*), sum(kp) FROM pid_loop WHERE kp > ?1", &[1.0.into()])?;
    println!("  {:?}", sets.first().map(|s| &s.rows));

    println!("delete: by key");
    producer.delete("pid_loop", "boiler")?;

    println!("notification: what was told meanwhile");
    for _ in 0..4 {
        match changes.next(Duration::from_secs(5))? {
            Some(Event::Change(change)) => println!(
                "  revision {}: {} of {} {:?}, columns {:?}, by pid {} (this is pid {})",
                change.revision,
                change.operation.name(),
                change.table,
                change.key,
                change.changed,
                change.pid,
                std::process::id(),
            ),
            other => return Err(format!("expected a change, found {other:?}").into()),
        }
    }

    // Log out and close: dropping is enough.
    drop(changes);
    producer.execute("DROP TABLE pid_loop")?;
    println!("done");
    Ok(())
}
