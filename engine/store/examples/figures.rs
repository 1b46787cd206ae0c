//! Figures of the store at a million rows: `cargo run --release -p shmirror-store --example figures`.
#![allow(missing_docs, reason = "an example that measures")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::*;
use shmirror_shm::image::Image;
use shmirror_shm::record::{FLAG_LAST, Operation, RecordHeader, RowRecord};
use shmirror_shm::value::ValueRef;
use shmirror_store::{Group, Store, StoreError};

const ROWS: u64 = 1_000_000;
const GROUP: u64 = 4_096;

/// Rows of five columns, about 100 bytes of values.
fn record(birth: u64, revision: u64, operation: Operation, out: &mut Vec<u64>) {
    let text = format!("station-{birth:012}-of-the-northern-network-at-{revision:010}");
    let values = [
        ValueRef::Integer(birth as i64),
        ValueRef::Real(birth as f64 / 7.0),
        ValueRef::Integer(revision as i64),
        ValueRef::Text(&text),
        ValueRef::Null,
    ];
    let image = Image::encode(values.into_iter());
    let key = Image::encode([values[0]].into_iter());
    let origin = RecordHeader { flags: FLAG_LAST, lane: 1, ticket: revision, ..Default::default() };
    RowRecord {
        operation,
        table: (1, 1),
        birth,
        revision,
        origin,
        changed: &[31],
        key: key.as_ref(),
        row: Some(image.as_ref()),
        columns: 5,
    }
    .encode(out);
}

/// Wall time, and the processor time of the process, which a busy machine does not stretch.
struct Clock(Instant, f64);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), Self::processor())
    }

    fn processor() -> f64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    }

    fn told(&self, rows: u64) -> String {
        let (wall, processor) = (self.0.elapsed().as_secs_f64(), Self::processor() - self.1);
        let rate = rows as f64 / wall;
        format!("{wall:.2} s ({processor:.2} s of processor), {rate:.0} rows/s")
    }
}

fn main() {
    let dir = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let (mut store, ..) = open(dir.path()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    let mut revision = 1;
    let loading = Clock::start();
    let (mut slowest, mut spent) = (Duration::ZERO, Duration::ZERO);
    let mut words = Vec::new();
    let mut birth = 1;
    while birth <= ROWS {
        words.clear();
        let first = revision + 1;
        while birth <= ROWS && revision - first + 1 < GROUP {
            revision += 1;
            record(birth, revision, Operation::Insert, &mut words);
            birth += 1;
        }
        let group = Group {
            first_revision: first,
            last_revision: revision,
            at_us: now_us(),
            records: &words,
            catalogue: None,
            next_birth: birth,
            sequences: None,
        };
        let begun = Instant::now();
        store.commit(&group).unwrap();
        let took = begun.elapsed();
        slowest = slowest.max(took);
        spent += took;
    }
    let figures = store.figures();
    println!(
        "commit of {ROWS} rows in groups of {GROUP}, FULL, with making the records: {}; \
         mean group {:?}, slowest {slowest:?}",
        loading.told(ROWS),
        spent / (ROWS / GROUP) as u32
    );
    println!("log {} MB sealed, {} bytes a row", figures.log_bytes >> 20, figures.log_bytes / ROWS);

    let begun = Instant::now();
    drop(store);
    println!("close: {:?}", begun.elapsed());
    let load = |what: &str| {
        let begun = Clock::start();
        let (mut store, _) = Store::open(dir.path(), Default::default()).unwrap();
        let mut rows = 0;
        store
            .load_rows(|_| -> Result<(), StoreError> {
                rows += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(rows, ROWS);
        println!("load, {what}: {}", begun.told(ROWS));
        store
    };
    let mut store = load("all in the log's tail");

    let (begun, mut slowest) = (Clock::start(), Duration::ZERO);
    loop {
        let step = Instant::now();
        if store.checkpoint_step(4_096).unwrap() == 0 {
            break;
        }
        slowest = slowest.max(step.elapsed());
    }
    println!("checkpoint: {}; slowest step {slowest:?}", begun.told(ROWS));
    drop(store);
    let mut store = load("all checkpointed");
    println!("store.db {} MB", std::fs::metadata(store.path()).unwrap().len() >> 20);

    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    const SINGLES: u64 = 2_000;
    for i in 0..SINGLES {
        words.clear();
        revision += 1;
        record(1 + i % 100, revision, Operation::Update, &mut words);
        let group = Group {
            first_revision: revision,
            last_revision: revision,
            at_us: now_us(),
            records: &words,
            catalogue: None,
            next_birth: birth,
            sequences: None,
        };
        let one = Instant::now();
        store.commit(&group).unwrap();
        slowest = slowest.max(one.elapsed());
    }
    println!(
        "single-row commits, FULL: {:?} each, slowest {slowest:?}",
        begun.elapsed() / SINGLES as u32
    );
    let begun = Instant::now();
    assert!(store.checkpoint_step(10_000).unwrap() > 0);
    println!("checkpoint of {SINGLES} groups on 100 rows: {:?}", begun.elapsed());

    let mut reader = store.reader().unwrap();
    let begun = Clock::start();
    let (mut at, mut out) = (1, Vec::new());
    while at <= revision {
        out.clear();
        at = reader.history(at, &[], None, 4 << 20, &mut out).unwrap().through + 1;
    }
    println!("history of everything: {}", begun.told(ROWS));
    let begun = Instant::now();
    assert_eq!(reader.settled(1, 3).unwrap(), Some(3));
    println!("settled, oldest ticket, first time: {:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(reader.settled(1, 4).unwrap(), Some(4));
    println!("settled, again: {:?}", begun.elapsed());
    let begun = Clock::start();
    let report = reader.snapshot(|_| ()).unwrap();
    assert_eq!((report.fault_count, report.rows), (0, ROWS));
    println!("snapshot: {}", begun.told(ROWS));
    let begun = Instant::now();
    let report = reader.backup_to(&dir.path().join("copy.db")).unwrap();
    println!("backup of {} MB: {:?}", report.bytes >> 20, begun.elapsed());
}
