//! Figures of a large table: loading it, the memory that it takes, restarting with it, and readers
//! that find the next daemon.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use shmirror::{Mirror, Producer};
use shmirror_shm::request::OnConflict;

use super::{Demand, Figures};
use crate::failure::Failure;
use crate::input::{Format, Input};
use crate::load::{self, Job};
use crate::part::Numbers;
use crate::private::Private;
use crate::table;

/// Loads `rows` rows, restarts the daemon, and attaches.
pub fn measure(private: &mut Private, rows: u64, figures: &mut Figures) -> Result<(), Failure> {
    let path = private.path("rows.csv");
    let raw = write_rows(&path, rows).map_err(Failure::file(&path))?;
    let mirror = private.mirror()?;
    let producer = Producer::attach(&private.options())?;
    let job = Job {
        table: "measurement".into(),
        input: Input::new(&path, Some(Format::Csv), b',')?,
        create: true,
        key: vec!["id".into()],
        on_conflict: OnConflict::Fail,
        keep_good: false,
        any_type: false,
        batch: 8192,
        progress: true,
    };
    let loaded = load::run(&mirror, &producer, &job)?;
    let how = format!(
        "{} of {} bytes, CSV read and checked, synchronous=FULL, {:.2} s",
        table::count(loaded.rows, "row"),
        raw / rows,
        loaded.seconds
    );
    let rate = loaded.rows as f64 / loaded.seconds;
    figures.add("load", rate, "rows/s", Demand::AtLeast(100_000.0), how);

    let status = mirror.status()?;
    let used = status.pointer("/segment/used").and_then(serde_json::Value::as_f64);
    let used = used.ok_or_else(|| Failure::Refused("the status has no segment.used".into()))?;
    figures.add(
        "segment / raw bytes",
        used / raw as f64,
        "×",
        Demand::AtMost(3.5),
        format!("{} MB for {} MB of values", used as u64 / 1_000_000, raw / 1_000_000),
    );
    restart(private, &mirror, rows, figures)?;
    attach(private, figures)
}

fn restart(
    private: &mut Private,
    mirror: &Mirror,
    rows: u64,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let table = mirror.table("measurement")?;
    let generation = mirror.generation();
    private.down()?;
    let ready = private.up()?;
    let begun = Instant::now();
    let how = format!("{} opened and published", table::count(rows, "row"));
    figures.add("restart to ready", ready.as_secs_f64(), "s", Demand::AtMost(10.0), how);
    while mirror.generation() == generation || !mirror.is_live() {
        if begun.elapsed() > Duration::from_secs(20) {
            return Err(Failure::Refused("an attached reader did not come back".into()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let found = table.len() as u64;
    if found != rows || table.get(1i64)?.is_none() {
        return Err(Failure::Refused(format!("{found} rows after the restart, expected {rows}")));
    }
    figures.add(
        "reattach",
        begun.elapsed().as_secs_f64(),
        "s",
        Demand::AtMost(1.0),
        "an attached reader on the next generation, from the line `ready`",
    );
    Ok(())
}

fn attach(private: &Private, figures: &mut Figures) -> Result<(), Failure> {
    let mut times = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        let mirror = private.mirror()?;
        let found = mirror.table("measurement")?.get(1i64)?.is_some();
        times.push(start.elapsed());
        if !found {
            return Err(Failure::Refused("no row with key 1 in table measurement".into()));
        }
    }
    times.sort();
    figures.add(
        "attach of a reader",
        times[times.len() / 2].as_secs_f64() * 1e3,
        "ms",
        Demand::AtMost(5.0),
        "attach, look up the table, first get; median of 21",
    );
    Ok(())
}

/// A file of rows of about 100 bytes; the bytes of their values (8 a number).
fn write_rows(path: &Path, rows: u64) -> std::io::Result<u64> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "id,at,station,temperature,flow,state,note,counter")?;
    let mut numbers = Numbers(1);
    let (mut line, mut raw) = (String::new(), 0u64);
    for id in 1..=rows {
        line.clear();
        let station = numbers.below(500);
        let second = id % 86_400;
        // Writing to a String cannot fail.
        let _ = writeln!(
            line,
            "{id},2024-05-{:02} {:02}:{:02}:{:02}.{:03},station-{station:04},{:.6},{:.5},{},batch {:08x} checked,{}",
            1 + id / 86_400 % 28,
            second / 3600,
            second / 60 % 60,
            second % 60,
            numbers.below(1000),
            20.0 + numbers.below(80_000_000) as f64 / 1e6,
            100.0 + numbers.below(50_000_000) as f64 / 1e5 + 0.000_01,
            ["running", "stopped", "standby"][numbers.below(3) as usize],
            numbers.next() as u32,
            numbers.below(1_000_000)
        );
        file.write_all(line.as_bytes())?;
        raw += 4 * 8 + 23 + 12 + 7 + 22;
    }
    file.flush()?;
    Ok(raw)
}
