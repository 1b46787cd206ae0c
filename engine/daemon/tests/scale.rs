//! A million rows: loading, restart, footprint. Run with `--release -- --ignored --nocapture`.
#![allow(missing_docs)]

mod common;

use std::time::Instant;

use common::{Client, Place, table};
use shmirror_shm::request::{Action, Change, OnConflict, Request};
use shmirror_shm::value::Value;
use shmirror_shm::wire::Call;

#[test]
#[ignore = "takes long; its figures are printed, not asserted"]
fn a_million_rows() {
    const ROWS: i64 = 1_000_000;
    let place = Place::new();
    let mut config = place.config();
    config.segment.reserve = None;
    config.lanes.requests_bytes = 16 << 20;
    let daemon = shmirror_daemon::Daemon::start(config.clone()).unwrap();
    let client = Client::attach(daemon.socket());
    let lane = client.lane();
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, a REAL, b REAL, note TEXT)");
    let columns: Vec<String> = ["id", "name", "a", "b", "note"].map(String::from).to_vec();
    let started = Instant::now();
    let mut tickets = Vec::new();
    for batch in 0..ROWS / 1_000 {
        let row = |i: i64| {
            vec![
                Value::Integer(i),
                Value::Text(format!("sensor-{i:08}")),
                Value::Real(i as f64 * 0.5),
                Value::Real(-1.25),
                Value::Text("a note of about fifty bytes, as people write them.".to_owned()),
            ]
        };
        tickets.push(lane.submit(&Request::Transaction(vec![Change {
            table: "t".to_owned(),
            action: Action::Insert {
                columns: columns.clone(),
                rows: (batch * 1_000..(batch + 1) * 1_000).map(row).collect(),
                on_conflict: OnConflict::Fail,
                if_revision: None,
            },
        }])));
    }
    for ticket in tickets {
        assert!(lane.outcome(ticket).unwrap().committed);
    }
    let loaded = started.elapsed();
    println!("loaded {ROWS} rows in {loaded:?}: {:.0} rows/s", ROWS as f64 / loaded.as_secs_f64());
    let status = client.json(&Call::Status);
    println!("segment {}", status["segment"]);
    println!("store {}", status["store"]);
    let since = Instant::now();
    let report = client.json(&Call::Check);
    assert_eq!(report["ok"], true, "{report:#}");
    println!("checked in {:?}", since.elapsed());
    let since = Instant::now();
    daemon.stop().unwrap();
    println!("stopped in {:?}", since.elapsed());
    for what in ["at once", "once more"] {
        let since = Instant::now();
        let daemon = shmirror_daemon::Daemon::start(config.clone()).unwrap();
        println!("restarted {what} in {:?}", since.elapsed());
        let client = Client::attach(daemon.socket());
        let (_, view) = table(&client.segment(), "t").unwrap();
        assert_eq!(view.rows() as i64, ROWS);
        common::until("the checkpoint", || client.json(&Call::Status)["store"]["dirty_rows"] == 0);
        println!("checkpointed after {:?}", since.elapsed());
        println!("store {}", client.json(&Call::Status)["store"]);
        daemon.stop().unwrap();
    }
}
