//! Figures of reading: keyed get, cell, and a scan beside a writer that never pauses.

use std::hint::black_box;
use std::time::{Duration, Instant};

use shmirror::{Mirror, Producer, Row};
use shmirror_shm::request::{Action, Change, OnConflict};
use shmirror_shm::value::Value;

use super::{Demand, Figures};
use crate::failure::Failure;
use crate::part::{Numbers, PAIRS};
use crate::private::Private;
use crate::table;

/// Rows of the table that is read, of eight columns of 8 bytes.
const ROWS: i64 = 10_000;

/// Makes the tables and measures.
pub fn measure(private: &Private, quick: bool, figures: &mut Figures) -> Result<(), Failure> {
    let producer = Producer::attach(&private.options())?;
    producer.execute(
        "CREATE TABLE row64 (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c INTEGER, d REAL,
             e REAL, f REAL, g REAL);
         CREATE TABLE pair (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL);
         CREATE TABLE probe (id INTEGER PRIMARY KEY, sent INTEGER NOT NULL);
         INSERT INTO probe VALUES (1, 0);",
    )?;
    let row64 = |id: i64| -> Vec<Value> {
        let real = |n: f64| Value::Real(id as f64 * n);
        let integer = |n: i64| Value::Integer(id * n);
        vec![
            id.into(),
            integer(2),
            integer(3),
            integer(4),
            real(0.1),
            real(0.2),
            real(0.3),
            real(0.4),
        ]
    };
    fill(&producer, "row64", &["id", "a", "b", "c", "d", "e", "f", "g"], ROWS, row64)?;
    let pair = |id: i64| -> Vec<Value> { vec![id.into(), 0i64.into()] };
    fill(&producer, "pair", &["id", "amount"], 2 * PAIRS as i64, pair)?;

    let mirror = private.mirror()?;
    let batches = if quick { 50 } else { 400 };
    keyed_get(&mirror, batches, figures)?;
    cell(&mirror, batches, figures)?;
    scan(private, &mirror, if quick { 1.0 } else { 4.0 }, figures)
}

fn fill(
    producer: &Producer,
    table: &str,
    columns: &[&str],
    rows: i64,
    row: impl Fn(i64) -> Vec<Value>,
) -> Result<(), Failure> {
    let action = Action::Insert {
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        rows: (0..rows).map(row).collect(),
        on_conflict: OnConflict::Fail,
        if_revision: None,
    };
    producer.submit(vec![Change { table: table.into(), action }])?.wait()?;
    Ok(())
}

/// Nanoseconds of one operation: the median over batches.
fn median(mut batches: Vec<f64>) -> f64 {
    batches.sort_by(f64::total_cmp);
    batches.get(batches.len() / 2).copied().unwrap_or(f64::NAN)
}

fn keyed_get(mirror: &Mirror, batches: usize, figures: &mut Figures) -> Result<(), Failure> {
    let table = mirror.table("row64")?;
    let mut numbers = Numbers(7);
    let keys: Vec<i64> = (0..ROWS).map(|_| numbers.below(ROWS as u64) as i64).collect();
    let mut row = Row::default();
    let (mut reads, mut gets) = (Vec::new(), Vec::new());
    for _ in 0..batches {
        let start = Instant::now();
        for key in &keys {
            if !table.read(black_box(*key), &mut row)? {
                return Err(Failure::Refused(format!("no row with key {key} in table row64")));
            }
            black_box(&row);
        }
        reads.push(start.elapsed().as_nanos() as f64 / keys.len() as f64);
        let start = Instant::now();
        for key in &keys {
            let row = table.get(black_box(*key))?;
            black_box(&row);
        }
        gets.push(start.elapsed().as_nanos() as f64 / keys.len() as f64);
    }
    if row.get::<i64>("a")? != 2 * row.get::<i64>("id")? {
        return Err(Failure::Refused("a row of table row64 has other values than written".into()));
    }
    let how = |what: &str| {
        format!("{what}, 64-byte row of 10,000, random keys, median of {batches} batches")
    };
    figures.add("get", median(gets), "ns", Demand::AtMost(25.0), how("a row of its own"));
    figures.add("get into a buffer", median(reads), "ns", Demand::AtMost(25.0), how("Table::read"));
    Ok(())
}

fn cell(mirror: &Mirror, batches: usize, figures: &mut Figures) -> Result<(), Failure> {
    const READS: u32 = 100_000;
    let cell = mirror.table("row64")?.cell(4321i64, "a")?;
    let mut times = Vec::new();
    for _ in 0..batches {
        let start = Instant::now();
        for _ in 0..READS {
            // A refusal is an answer too; its value is checked below.
            let _ = black_box(black_box(&cell).i64());
        }
        times.push(start.elapsed().as_nanos() as f64 / f64::from(READS));
    }
    match cell.i64() {
        Ok(8642) => {}
        other => return Err(Failure::Refused(format!("cell: {other:?} found, expected 8642"))),
    }
    let how = format!("8 bytes, median of {batches} batches");
    figures.add("cell", median(times), "ns", Demand::AtMost(5.0), how);
    Ok(())
}

fn scan(
    private: &Private,
    mirror: &Mirror,
    seconds: f64,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let table = mirror.table("pair")?;
    let mut writer = private.part(&["hammer", "--seconds", &format!("{}", seconds + 0.5)])?;
    writer.says()?;
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let (mut times, mut revisions, mut first) = (Vec::new(), 0u64, None);
    while Instant::now() < until {
        let start = Instant::now();
        let scan = table.scan()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        let mut sum = 0i64;
        for row in scan.iter() {
            sum += row.get_at::<i64>(1)?;
        }
        if sum != 0 || scan.len() != 2 * PAIRS as usize {
            return Err(Failure::Refused(format!(
                "a scan at revision {} has {} rows and the sum {sum}, expected {} and 0: it is not \
                 of one revision",
                scan.revision(),
                scan.len(),
                2 * PAIRS
            )));
        }
        first.get_or_insert(scan.revision());
        revisions = scan.revision();
    }
    let said = writer.says()?;
    let written = said.get("transactions").and_then(serde_json::Value::as_u64).unwrap_or(0);
    times.sort_by(f64::total_cmp);
    let worst = times.last().copied().unwrap_or(f64::NAN);
    let how = format!(
        "10,000 rows, {} scans, each of one revision (checked), worst {worst:.1} ms; {} transactions \
         beside it",
        times.len(),
        table::thousands(written)
    );
    if first == Some(revisions) {
        return Err(Failure::Refused("the writer beside the scans wrote nothing".into()));
    }
    figures.add("scan under a writer", median(times), "ms", Demand::Nothing, how);
    Ok(())
}
