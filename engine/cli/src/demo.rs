//! The demo: a private instance, real series, processes that write, read and follow, and what they
//! found.

use std::time::{Duration, Instant};

use shmirror::Producer;
use shmirror_shm::request::{Action, Change, OnConflict};

use crate::failure::Failure;
use crate::histogram::{Histogram, duration};
use crate::input::{Format, Input};
use crate::load::{self, Job};
use crate::output::Out;
use crate::part::{LIVE, SERIES, SLOTS, TWIN, live_row};
use crate::private::{Part, Private};
use crate::table;

/// The series, in the order of [`SERIES`]; `examples/data/README.md` says where they are from.
const FILES: [&[u8]; 3] = [
    include_bytes!("../../../examples/data/nab/machine_temperature_system_failure.csv"),
    include_bytes!("../../../examples/data/indsl/suct_pressure_barg.csv"),
    include_bytes!("../../../examples/data/indsl/vol_flow_rate_m3h.csv"),
];

const SCHEMA: &str = "
    CREATE TABLE live (id INTEGER PRIMARY KEY, series TEXT NOT NULL, at TEXT NOT NULL,
        value REAL NOT NULL, note TEXT NOT NULL, seq INTEGER NOT NULL, proof INTEGER NOT NULL);
    CREATE TABLE probe (id INTEGER PRIMARY KEY, sent INTEGER NOT NULL);
    CREATE TABLE demo_end (id INTEGER PRIMARY KEY);
    INSERT INTO probe VALUES (1, 0);";

const NEXT: &str = "
The private instance is gone. To go on with your own:
  shmirror serve &                                       a daemon in ./shmirror-data
  shmirror sql 'CREATE TABLE pump(id INTEGER PRIMARY KEY, state TEXT, flow REAL)'
  shmirror put pump 7 state=run flow=12.5
  shmirror get pump 7
  shmirror watch pump &                                  each change as it comes
  shmirror load temperature examples/data/nab/machine_temperature_system_failure.csv --create
  shmirror status";

/// Readers and subscribers; producers are one a series.
const READERS: u64 = 2;
const SUBSCRIBERS: usize = 2;

/// What all processes together found.
#[derive(Default)]
struct Found {
    transactions: u64,
    changes: u64,
    reads: u64,
    pairs: u64,
    reads_a_second: f64,
    torn: u64,
    latency: Histogram,
    events: u64,
    missed: u64,
    wrong: u64,
    visible: Histogram,
    puts: Histogram,
}

/// Runs the demo.
pub fn run(seconds: f64) -> Result<(), Failure> {
    let mut out = Out::new();
    let mut private = Private::start()?;
    out.line(&format!(
        "A private instance is up: pid {}, store in {}, synchronous=FULL.",
        private.pid(),
        private.path("data").display()
    ))?;
    out.flush()?;
    load_series(&private, &mut out)?;

    let mut found = Found::default();
    run_all(&private, seconds, &mut out, &mut found)?;
    run_probe(&private, (seconds / 2.0).min(3.0), &mut found)?;
    let complete = found.events + found.missed == SUBSCRIBERS as u64 * found.changes;
    report(&mut out, seconds, &found)?;
    private.down()?;
    out.line(NEXT)?;
    out.flush()?;
    if found.torn > 0 || found.wrong > 0 || !complete {
        return Err(Failure::Refused(format!(
            "{} torn reads, {} wrong events, {} of {} events: this must never be",
            found.torn,
            found.wrong,
            found.events + found.missed,
            SUBSCRIBERS as u64 * found.changes
        )));
    }
    Ok(())
}

fn load_series(private: &Private, out: &mut Out) -> Result<(), Failure> {
    let (mirror, producer) = (private.mirror()?, Producer::attach(&private.options())?);
    for (name, bytes) in SERIES.iter().zip(FILES) {
        let job = Job {
            table: (*name).to_owned(),
            input: Input::of_bytes(name, Format::Csv, bytes),
            create: true,
            key: Vec::new(),
            on_conflict: OnConflict::Fail,
            keep_good: false,
            any_type: false,
            batch: 8192,
            progress: false,
        };
        let loaded = load::run(&mirror, &producer, &job)?;
        out.line(&format!(
            "loaded {name}: {} in {:.2} s ({} rows/s)",
            table::count(loaded.rows, "row"),
            loaded.seconds,
            table::thousands((loaded.rows as f64 / loaded.seconds.max(1e-9)) as u64)
        ))?;
    }
    producer.execute(SCHEMA)?;
    let mut rows = Vec::new();
    for (number, name) in SERIES.iter().enumerate() {
        for slot in 0..SLOTS {
            let id = number as i64 * 1000 + slot;
            rows.push(live_row(id, name, "", 0.0, 0));
            rows.push(live_row(id + TWIN, name, "", 0.0, 0));
        }
    }
    let action = Action::Insert {
        columns: LIVE.map(str::to_owned).into(),
        rows,
        on_conflict: OnConflict::Fail,
        if_revision: None,
    };
    let commit = producer.submit(vec![Change { table: "live".into(), action }])?.wait()?;
    mirror.wait_revision(commit.revision, Duration::from_secs(10))?;
    Ok(())
}

/// Producers, readers and subscribers at once.
fn run_all(
    private: &Private,
    seconds: f64,
    out: &mut Out,
    found: &mut Found,
) -> Result<(), Failure> {
    let seconds = format!("{seconds}");
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let mut part = private.part(&["subscriber"])?;
        part.says()?;
        subscribers.push(part);
    }
    let start = |role: &str, count: u64| -> Result<Vec<Part>, Failure> {
        (0..count)
            .map(|n| private.part(&[role, "--seconds", &seconds, "--number", &n.to_string()]))
            .collect()
    };
    let mut readers = start("reader", READERS)?;
    let mut producers = start("producer", SERIES.len() as u64)?;
    let pids =
        |parts: &[Part]| parts.iter().map(|p| p.pid().to_string()).collect::<Vec<_>>().join(", ");
    out.line(&format!(
        "running for {seconds} s: producers {}; readers {}; subscribers {} (process ids)",
        pids(&producers),
        pids(&readers),
        pids(&subscribers)
    ))?;
    out.flush()?;
    for part in &mut producers {
        let said = part.says()?;
        found.transactions += number(&said, "transactions");
        found.changes += number(&said, "changes");
    }
    for part in &mut readers {
        let said = part.says()?;
        found.reads += number(&said, "reads");
        found.pairs += number(&said, "pairs");
        found.torn += number(&said, "torn");
        let took = said.get("seconds").and_then(serde_json::Value::as_f64).unwrap_or(1.0);
        found.reads_a_second += number(&said, "reads") as f64 / took;
        found.latency.merge(&histogram(&said, "latency"));
    }
    Producer::attach(&private.options())?.execute("INSERT INTO demo_end VALUES (1)")?;
    for part in &mut subscribers {
        let said = part.says()?;
        found.events += number(&said, "events");
        found.missed += number(&said, "missed");
        found.wrong += number(&said, "wrong");
    }
    Ok(())
}

/// One writer and one watcher, to see how long a write takes to be visible elsewhere.
fn run_probe(private: &Private, seconds: f64, found: &mut Found) -> Result<(), Failure> {
    let mut watcher = private.part(&["watcher", "--seconds", &format!("{seconds}")])?;
    watcher.says()?;
    let left = format!("{}", seconds - 0.1);
    let mut prober = private.part(&["prober", "--seconds", &left])?;
    let begun = Instant::now();
    found.puts = histogram(&prober.says()?, "puts");
    found.visible = histogram(&watcher.says()?, "latency");
    if found.visible.count() == 0 {
        return Err(Failure::Refused(format!(
            "no write became visible within {:.1} s",
            begun.elapsed().as_secs_f64()
        )));
    }
    Ok(())
}

fn number(said: &serde_json::Value, name: &str) -> u64 {
    said.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0)
}

fn histogram(said: &serde_json::Value, name: &str) -> Histogram {
    said.get(name).and_then(Histogram::of_json).unwrap_or_default()
}

fn report(out: &mut Out, seconds: f64, found: &Found) -> Result<(), Failure> {
    let spread = |h: &Histogram, shares: &[f64]| {
        let parts: Vec<String> = shares.iter().map(|s| duration(h.percentile(*s) as f64)).collect();
        parts.join(" / ")
    };
    let count = table::thousands;
    let lines = [
        ("reads", format!("{}/s, each checked", count(found.reads_a_second as u64))),
        (
            "read latency p50 / p99 / p99.9",
            format!(
                "{} (the clock's own time included)",
                spread(&found.latency, &[0.5, 0.99, 0.999])
            ),
        ),
        ("write to visible p50 / p99", spread(&found.visible, &[0.5, 0.99])),
        ("synchronous put p50 / p99", spread(&found.puts, &[0.5, 0.99])),
        (
            "transactions",
            format!(
                "{} ({}/s, two rows each)",
                count(found.transactions),
                count((found.transactions as f64 / seconds) as u64)
            ),
        ),
        (
            "events delivered",
            format!(
                "{} of {} to {SUBSCRIBERS} subscribers{}",
                count(found.events),
                count(SUBSCRIBERS as u64 * found.changes),
                match found.missed {
                    0 => String::new(),
                    n => format!(", {} told as missed", count(n)),
                }
            ),
        ),
        (
            "torn reads",
            format!(
                "{} of {} rows and {} pairs",
                found.torn,
                count(found.reads),
                count(found.pairs)
            ),
        ),
    ];
    let rows: Vec<Vec<String>> =
        lines.into_iter().map(|(what, value)| vec![what.to_owned(), value]).collect();
    out.line("")?;
    out.text(&table::render_text(&["what".into(), "measured".into()], &rows, &[false, false]))?;
    out.flush()
}
