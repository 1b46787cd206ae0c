//! What the working copy costs: rows a second for a load, for inserts, updates and deletes in
//! requests of several sizes. Run with `cargo run --release -p shmirror-daemon --example apply_cost
//! [rows]`.

use std::time::Instant;

use shmirror_daemon::apply::{Applied, Budget, RowRevisions, WorkingCopy};
use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::image::Image;
use shmirror_shm::key::Key;
use shmirror_shm::request::{Action, Change, OnConflict, Request, SqlRequest};
use shmirror_shm::value::{Value, ValueRef};

struct None;

impl RowRevisions for None {
    fn revision_of(&self, _: u32, _: &Key) -> Option<u64> {
        Option::None
    }
}

type Failure = Box<dyn std::error::Error>;

fn apply(copy: &mut WorkingCopy, request: &Request) -> Result<Applied, Failure> {
    copy.begin_group()?;
    let budget = Budget { time: std::time::Duration::from_secs(300), ..Budget::default() };
    let applied = copy.apply(request, &None, &budget)?;
    copy.commit_group()?;
    Ok(applied)
}

fn sql(copy: &mut WorkingCopy, text: &str) -> Result<Applied, Failure> {
    let sql = text.to_owned();
    apply(copy, &Request::Sql(SqlRequest { sql, params: vec![], want_rows: false }))
}

fn report(what: &str, rows: usize, start: Instant) {
    let took = start.elapsed();
    println!("{what:<48} {:>9.0} rows/s  {took:>8.2?}", rows as f64 / took.as_secs_f64());
}

/// A row of about 100 bytes.
fn row(i: usize) -> Vec<Value> {
    vec![
        Value::Integer(i as i64),
        Value::Text(format!("sensor-{:05}", i % 50_000)),
        Value::Real(i as f64 * 0.25),
        Value::Integer(1_700_000_000_000 + i as i64),
        Value::Text(format!("a text of some forty characters, no {i:09}")),
    ]
}

fn main() -> Result<(), Failure> {
    let rows: usize = std::env::args().nth(1).map_or(Ok(1_000_000), |a| a.parse())?;
    let mut copy = WorkingCopy::new(&Catalogue::default())?;
    copy.finish_load()?;
    sql(
        &mut copy,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT, v REAL, at INTEGER, note TEXT)",
    )?;
    let catalogue = copy.catalogue().clone();

    let images: Vec<Image> = (0..rows)
        .map(|i| {
            let row = row(i);
            let values: Vec<ValueRef<'_>> = row.iter().map(Value::as_ref).collect();
            Image::encode(values.into_iter())
        })
        .collect();
    let start = Instant::now();
    let mut loaded = WorkingCopy::new(&catalogue)?;
    for image in &images {
        loaded.load_row(1, 1, &image.as_ref())?;
    }
    loaded.finish_load()?;
    report("load", rows, start);
    drop((loaded, images));

    let columns = ["id", "s", "v", "at", "note"].map(str::to_owned).to_vec();
    let mut next = 0;
    for size in [1, 10, 1_000, 100_000] {
        let requests = (rows / 8 / size).max(1);
        let all: Vec<Request> = (0..requests)
            .map(|_| {
                let rows = (next..next + size).map(row).collect();
                next += size;
                let action = Action::Insert {
                    columns: columns.clone(),
                    rows,
                    on_conflict: OnConflict::Fail,
                    if_revision: Option::None,
                };
                Request::Transaction(vec![Change { table: "t".into(), action }])
            })
            .collect();
        let start = Instant::now();
        for request in &all {
            apply(&mut copy, request)?;
        }
        report(&format!("insert, {size} rows a request"), requests * size, start);
    }
    for size in [1, 10, 1_000, 100_000] {
        let requests = (rows / 8 / size).max(1);
        let all: Vec<Request> = (0..requests)
            .map(|n| {
                let changes = (0..size)
                    .map(|i| Change {
                        table: "t".into(),
                        action: Action::Update {
                            key: vec![Value::Integer(((n * size + i) % next) as i64)],
                            columns: vec!["v".into()],
                            values: vec![Value::Real(i as f64 + size as f64 * 0.001)],
                            if_revision: Option::None,
                        },
                    })
                    .collect();
                Request::Transaction(changes)
            })
            .collect();
        let start = Instant::now();
        for request in &all {
            apply(&mut copy, request)?;
        }
        report(&format!("update by key, {size} rows a request"), requests * size, start);
    }
    let start = Instant::now();
    let applied = sql(&mut copy, "UPDATE t SET v=v+1, at=at+1")?;
    report("UPDATE of all rows", applied.changes.len(), start);
    let start = Instant::now();
    let applied = sql(&mut copy, "INSERT INTO t SELECT id+1000000000,s,v,at,note FROM t")?;
    report("INSERT … SELECT", applied.changes.len(), start);
    let start = Instant::now();
    let applied = sql(&mut copy, "DELETE FROM t")?;
    report("DELETE of all rows", applied.changes.len(), start);
    Ok(())
}
