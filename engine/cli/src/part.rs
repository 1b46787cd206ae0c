//! The parts that processes of the demo and the benchmark play. Each prints lines of JSON for the
//! process that started it.
//!
//! The rows of table `live` carry a proof of their own values, and come in pairs that one
//! transaction writes: so a reader sees by itself whether it was given a torn row or a torn pair.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::json;
use shmirror::{Event, Mirror, Options, Producer, Row, Subscriber, Ticket};
use shmirror_shm::request::{Action, Change, OnConflict};
use shmirror_shm::value::Value;

use crate::failure::Failure;
use crate::histogram::Histogram;
use crate::output::Out;

/// The series of the demo: name of their table.
pub const SERIES: [&str; 3] = ["machine_temperature", "suction_pressure", "volume_flow"];
/// Rows of `live` for each series; each has a twin.
pub const SLOTS: i64 = 300;
/// How far from a row its twin is.
pub const TWIN: i64 = 10_000;
/// Columns of `live`.
pub const LIVE: [&str; 7] = ["id", "series", "at", "value", "note", "seq", "proof"];
/// Pairs of rows of `pair`, the table of [`Role::Hammer`]: 2i and 2i + 1. All `amount`s add up to 0.
pub const PAIRS: u64 = 5_000;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Replays a series into `live`.
    Producer,
    /// Reads rows and pairs of `live` and checks them.
    Reader,
    /// Counts the changes of `live` until the demo ends.
    Subscriber,
    /// Writes the time into `probe`, again and again.
    Prober,
    /// Looks at `probe` and sees how old the time is.
    Watcher,
    /// Moves amounts between rows of `pair` without pause.
    Hammer,
    /// Waits for changes that do not come.
    Idler,
}

/// Plays a part.
pub fn run(options: &Options, role: Role, seconds: f64, number: u64) -> Result<(), Failure> {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    match role {
        Role::Producer => produce(options, until, number),
        Role::Reader => read(options, until, number),
        Role::Subscriber => subscribe(options),
        Role::Prober => probe(options, until),
        Role::Watcher => watch(options, until),
        Role::Hammer => hammer(options, until, number),
        Role::Idler => idle(options, until),
    }
}

fn say(value: serde_json::Value) -> Result<(), Failure> {
    let mut out = Out::new();
    out.line(&value.to_string())?;
    out.flush()
}

/// Numbers that look random (splitmix64, Steele, Lea and Flood 2014).
pub struct Numbers(pub u64);

impl Numbers {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// What a row of `live` has to have as its proof: FNV-1a over its other values.
pub fn proof(id: i64, at: &str, value: f64, note: &str, seq: i64) -> i64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut take = |bytes: &[u8]| {
        for b in bytes {
            hash = (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    take(&id.to_le_bytes());
    take(at.as_bytes());
    take(&value.to_le_bytes());
    take(note.as_bytes());
    take(&seq.to_le_bytes());
    hash as i64
}

/// A row of `live`; its note changes its length from row to row, so that blocks are used again.
pub fn live_row(id: i64, series: &str, at: &str, value: f64, seq: i64) -> Vec<Value> {
    let note = "~".repeat((seq.unsigned_abs() % 97) as usize);
    let proof = proof(id, at, value, &note, seq);
    vec![id.into(), series.into(), at.into(), value.into(), note.into(), seq.into(), proof.into()]
}

/// Whether a row of `live` proves itself; its `seq`.
fn proven(row: &Row) -> Result<Option<i64>, Failure> {
    let seq = row.get_at::<i64>(5)?;
    let expected =
        proof(row.get_at(0)?, row.get_at::<&str>(2)?, row.get_at(3)?, row.get_at::<&str>(4)?, seq);
    Ok((row.get_at::<i64>(6)? == expected).then_some(seq))
}

fn produce(options: &Options, until: Instant, number: u64) -> Result<(), Failure> {
    let name = SERIES[number as usize % SERIES.len()];
    let base = number as i64 * 1000;
    let mirror = Mirror::attach(options)?;
    let mut samples: Vec<(String, f64)> = Vec::new();
    for row in mirror.table(name)?.scan()?.sorted() {
        samples.push((row.get_at::<String>(0)?, row.get_at::<f64>(1)?));
    }
    let producer = Producer::attach(options)?;
    let mut under_way: VecDeque<Ticket> = VecDeque::new();
    let (mut transactions, mut changes) = (0u64, 0u64);
    let mut settle = |ticket: Ticket| -> Result<(), Failure> {
        changes += ticket.wait()?.changes;
        transactions += 1;
        Ok(())
    };
    let mut seq = 0i64;
    while Instant::now() < until {
        seq += 1;
        let (at, value) = &samples[seq as usize % samples.len()];
        let id = base + seq % SLOTS;
        let rows =
            vec![live_row(id, name, at, *value, seq), live_row(id + TWIN, name, at, *value, seq)];
        let action = Action::Insert {
            columns: LIVE.map(str::to_owned).into(),
            rows,
            on_conflict: OnConflict::Update,
            if_revision: None,
        };
        under_way.push_back(producer.submit(vec![Change { table: "live".into(), action }])?);
        if under_way.len() >= 32
            && let Some(ticket) = under_way.pop_front()
        {
            settle(ticket)?;
        }
    }
    under_way.into_iter().try_for_each(&mut settle)?;
    say(json!({"transactions": transactions, "changes": changes}))
}

fn read(options: &Options, until: Instant, number: u64) -> Result<(), Failure> {
    let mirror = Mirror::attach(options)?;
    let table = mirror.table("live")?;
    let mut numbers = Numbers(number);
    let mut latency = Histogram::default();
    let (mut reads, mut pairs, mut torn) = (0u64, 0u64, 0u64);
    let mut row = Row::default();
    let begun = Instant::now();
    'all: loop {
        for _ in 0..32 {
            for turn in 0..16 {
                let series = numbers.below(SERIES.len() as u64) as i64;
                let id = series * 1000 + numbers.below(SLOTS as u64) as i64;
                let found = if turn == 0 {
                    let start = Instant::now();
                    let found = table.read(id, &mut row)?;
                    latency.add(start.elapsed().as_nanos() as u64);
                    found
                } else {
                    table.read(id, &mut row)?
                };
                reads += 1;
                torn += u64::from(!found || proven(&row)?.is_none());
            }
            let series = numbers.below(SERIES.len() as u64) as i64;
            let id = series * 1000 + numbers.below(SLOTS as u64) as i64;
            let (_, rows) = table.get_many(&[id, id + TWIN])?;
            let mut seqs = [None, None];
            for (seq, row) in seqs.iter_mut().zip(&rows) {
                *seq = row.as_ref().map(proven).transpose()?.flatten();
            }
            pairs += 1;
            torn += u64::from(seqs[0].is_none() || seqs[0] != seqs[1]);
            if Instant::now() >= until {
                break 'all;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    say(json!({
        "reads": reads, "pairs": pairs, "torn": torn, "seconds": seconds,
        "latency": latency.to_json(),
    }))
}

fn subscribe(options: &Options) -> Result<(), Failure> {
    let mut subscriber =
        Subscriber::builder(options).tables(&["live", "demo_end"]).from_now().subscribe()?;
    say(json!({"ready": true}))?;
    let (mut events, mut missed, mut wrong, mut newest) = (0u64, 0u64, 0u64, 0u64);
    loop {
        match subscriber.next(Duration::from_secs(30))? {
            None => return Err(Failure::Refused("no event for 30 s".into())),
            Some(Event::Change(change)) if change.table == "demo_end" => break,
            Some(Event::Change(change)) => {
                events += 1;
                let proves = change.row.as_ref().map(proven).transpose()?.flatten().is_some();
                wrong += u64::from(!proves || change.revision < newest);
                newest = change.revision;
            }
            Some(Event::Lagged { missed: m, .. }) => missed += m,
            Some(_) => {}
        }
    }
    say(json!({"events": events, "missed": missed, "wrong": wrong}))
}

/// Nanoseconds of the clock that all processes of the host share.
fn now() -> i64 {
    let at = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    at.tv_sec * 1_000_000_000 + at.tv_nsec
}

fn probe(options: &Options, until: Instant) -> Result<(), Failure> {
    let producer = Producer::attach(options)?;
    let mut puts = Histogram::default();
    while Instant::now() < until {
        let start = Instant::now();
        let action = Action::Update {
            key: vec![1i64.into()],
            columns: vec!["sent".into()],
            values: vec![now().into()],
            if_revision: None,
        };
        producer.submit(vec![Change { table: "probe".into(), action }])?.wait()?;
        puts.add(start.elapsed().as_nanos() as u64);
    }
    say(json!({"puts": puts.to_json()}))
}

fn watch(options: &Options, until: Instant) -> Result<(), Failure> {
    let mirror = Mirror::attach(options)?;
    let cell = mirror.table("probe")?.cell(1i64, "sent")?;
    say(json!({"ready": true}))?;
    let mut latency = Histogram::default();
    let mut last = cell.i64().unwrap_or(0);
    while Instant::now() < until {
        for _ in 0..64 {
            if let Ok(sent) = cell.i64()
                && sent != last
            {
                last = sent;
                latency.add((now() - sent).unsigned_abs());
            }
            std::hint::spin_loop();
        }
    }
    say(json!({"latency": latency.to_json()}))
}

fn hammer(options: &Options, until: Instant, number: u64) -> Result<(), Failure> {
    let producer = Producer::attach(options)?;
    let mut numbers = Numbers(number);
    let mut under_way: VecDeque<Ticket> = VecDeque::new();
    let mut transactions = 0u64;
    say(json!({"ready": true}))?;
    while Instant::now() < until {
        let a = numbers.below(PAIRS);
        let b = (a + 1 + numbers.below(PAIRS - 1)) % PAIRS;
        // What one row of a pair gets, the other loses.
        let amount = numbers.below(1000) as i64;
        let rows = [(2 * a, amount), (2 * a + 1, -amount), (2 * b, -amount), (2 * b + 1, amount)]
            .map(|(id, amount)| vec![(id as i64).into(), amount.into()])
            .into();
        let action = Action::Insert {
            columns: vec!["id".into(), "amount".into()],
            rows,
            on_conflict: OnConflict::Update,
            if_revision: None,
        };
        under_way.push_back(producer.submit(vec![Change { table: "pair".into(), action }])?);
        if under_way.len() >= 64
            && let Some(ticket) = under_way.pop_front()
        {
            ticket.wait()?;
            transactions += 1;
        }
    }
    for ticket in under_way {
        ticket.wait()?;
        transactions += 1;
    }
    say(json!({"transactions": transactions}))
}

fn idle(options: &Options, until: Instant) -> Result<(), Failure> {
    let mut subscriber = Subscriber::builder(options).from_now().subscribe()?;
    say(json!({"ready": true}))?;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        subscriber.next(left)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_row_alone() {
        let row = live_row(7, "a", "2020-01-01", 1.5, 9);
        assert_eq!(row[6], Value::Integer(proof(7, "2020-01-01", 1.5, "~~~~~~~~~", 9)));
        assert_ne!(row[6], Value::Integer(proof(7, "2020-01-01", 1.5, "~~~~~~~~~", 10)));
        assert_ne!(row[6], Value::Integer(proof(7, "2020-01-02", 1.5, "~~~~~~~~~", 9)));
    }
}
