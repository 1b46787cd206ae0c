//! W1 and W2: durable writes, many rows at once and one after another.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value as Json, json};
use shmirror::monotonic_ns;

use super::later::Later;
use super::writers::writer;
use crate::context::{Context, directory};
use crate::growth::Growth;
use crate::instance::Instance;
use crate::measure::{LATER, Measured, Numbers, Round, Runner, race};
use crate::report::{Better, Demand, Line, OURS, short};
use crate::system::{Shape, lmdb, ours, proof, redis, sqlite, text};
use crate::worker::{self, Make, Part, Worker};

/// What processes of these rows do.
pub const PARTS: &[(&str, Make)] = &[("write", write)];

/// Rows of the table that is written.
const ROWS: u64 = 10_000;
/// From one scattered row to the next: a prime that does not divide the number of rows.
const SCATTER: u64 = 7_919;

/// Writes, as told: to which `system`, at what `place`.
fn write(told: &Json) -> Result<Box<dyn Part>> {
    let (system, place) = (text(told, "system")?, Path::new(text(told, "place")?));
    let mut numbers = Numbers(told["seed"].as_u64().unwrap_or(1));
    let all = told["rows"].as_u64().unwrap_or(ROWS);
    let mut writer = writer(system, place)?;
    Ok(Box::new(move |order: &Json| {
        if order["stop"] == true {
            return Ok(json!({}));
        }
        let size = order["rows"].as_u64().context("no rows")?;
        // Rows one after another, or all over the table, each once.
        let stride = if order["scattered"] == true { SCATTER } else { 1 };
        // Without a time until the next order comes.
        let time = order["seconds"].as_f64().map(Duration::from_secs_f64);
        let idle = order["idle"].as_f64().map(Duration::from_secs_f64);
        let (mut times, mut rows) = (Vec::new(), Vec::new());
        let (begun, from_ns) = (Instant::now(), monotonic_ns());
        while time
            .map_or_else(|| Ok(!worker::is_told()?), |time| anyhow::Ok(begun.elapsed() < time))?
        {
            let from = numbers.below(all);
            rows.clear();
            rows.extend((0..size).map(|i| {
                // Values that really change, all of them.
                let mut words = [0; 8].map(|_: u64| numbers.next() >> 1);
                words[0] = (from + i * stride) % all;
                words[7] = proof(&words[..7]);
                words
            }));
            if let Some(idle) = idle {
                std::thread::sleep(idle);
            }
            let start = Instant::now();
            writer.commit(&rows)?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        writer.settle()?;
        let written = times.len() as u64 * size;
        Ok(json!({
            "rows/s": written as f64 / begun.elapsed().as_secs_f64(),
            "rows": written,
            "from": from_ns,
            "upto": monotonic_ns(),
            "times": if order["timed"] == true { times } else { Vec::new() },
        }))
    }))
}

/// All systems, each with its rows, and where it is.
struct Servers {
    rows: u64,
    tickets: Instance,
    /// Of its own, as what a daemon puts off comes in the pause behind a round.
    waited: Instance,
    sqlite: tempfile::TempDir,
    lmdb: tempfile::TempDir,
    redis: Option<redis::Server>,
}

impl Servers {
    fn start(context: &Context, rows: u64) -> Result<Self> {
        let shape = Shape::numbers(rows);
        let this = Self {
            rows,
            tickets: Instance::start(context)?,
            waited: Instance::start(context)?,
            sqlite: directory()?,
            lmdb: directory()?,
            redis: redis::Server::start(context, true)?,
        };
        ours::fill(&this.tickets.producer()?, &shape)?;
        ours::fill(&this.waited.producer()?, &shape)?;
        sqlite::fill(this.sqlite.path(), &shape)?;
        lmdb::fill(this.lmdb.path(), &shape)?;
        if let Some(server) = &this.redis {
            redis::fill(&server.socket(), &shape)?;
        }
        this.tickets.rest()?;
        this.waited.rest()?;
        Ok(this)
    }

    /// The process that commits for others.
    fn server(&self, system: &str) -> Option<u32> {
        match system {
            "shmirror-tickets" => Some(self.tickets.pid()),
            "shmirror" => Some(self.waited.pid()),
            "redis" => self.redis.as_ref().map(redis::Server::pid),
            _ => None,
        }
    }

    /// So many processes that write. Who commits by itself has the core of who serves, as that is who commits
    /// for the others; several of them have all cores.
    fn workers(&self, context: &Context, system: &str, count: usize) -> Result<Vec<Worker>> {
        let has_server = !matches!(system, "sqlite" | "lmdb");
        let core = |at: usize| match has_server {
            true => context.measuring(),
            false => context.in_turns(at + 1),
        };
        let place = match system {
            "sqlite" => self.sqlite.path().to_owned(),
            "lmdb" => self.lmdb.path().to_owned(),
            "redis" => self.redis.as_ref().context("no Redis")?.socket(),
            "shmirror" => self.waited.socket(),
            _ => self.tickets.socket(),
        };
        let start = |at: usize| {
            let told = json!({"system": system, "place": place, "seed": at + 1, "rows": self.rows});
            Worker::start("write", &told, core(at))
        };
        (0..count).map(start).collect()
    }
}

const SYSTEMS: [(&str, &str); 5] = [
    (OURS, "shmirror-tickets"),
    ("shmirror, each waited for", "shmirror"),
    ("SQLite, unencrypted", "sqlite"),
    ("LMDB", "lmdb"),
    ("Redis, AOF always", "redis"),
];

fn systems(servers: &Servers) -> impl Iterator<Item = (&'static str, &'static str)> {
    let with_redis = servers.redis.is_some();
    SYSTEMS.into_iter().filter(move |(_, system)| with_redis || *system != "redis")
}

fn add_absent(servers: &Servers, measured: &mut Vec<Measured>) {
    if servers.redis.is_none() {
        measured.push(Measured::cannot("Redis, AOF always", redis::WITHOUT));
    }
}

/// The rates that there were if a round went on until the server has done all that it puts off.
fn with_later(system: &Measured) -> Option<Measured> {
    let longer = 1.0 + system.beside.get(LATER)? / 100.0;
    Some(Measured {
        name: format!("{OURS}, later work counted"),
        rounds: system.rounds.iter().map(|rate| rate / longer).collect(),
        beside: Default::default(),
        note: Some("the same rounds, longer by what was used later".into()),
    })
}

/// A process that writes to a table of so many rows.
pub fn worker(system: &str, place: &Path, rows: u64, core: Option<usize>) -> Result<Worker> {
    Worker::start("write", &json!({"system": system, "place": place, "rows": rows}), core)
}

/// W1: rows per second, durable.
pub fn many(context: &Context) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let counts: &[usize] = if context.growth { &[] } else { &[1, 2, 4] };
    for count in counts.iter().copied() {
        for rows in [1, 16, 256, 4096] {
            let has_both = rows > 1 && (!context.quick || (count, rows) == (1, GROWING));
            let orders: &[bool] = if has_both { &[true, false] } else { &[true] };
            for scattered in orders {
                lines.push(many_of(context, ROWS, count, rows, *scattered)?);
            }
        }
    }
    for of in context.sizes().iter().filter(|of| **of != ROWS || context.growth) {
        lines.push(many_of(context, *of, 1, GROWING, true)?);
    }
    Ok(lines)
}

/// Rows of the transactions that show what becomes of them in larger tables.
const GROWING: u64 = 256;

fn many_of(context: &Context, of: u64, count: usize, rows: u64, scattered: bool) -> Result<Line> {
    // Afresh for each: what one leaves behind is not another's to clear away.
    let servers = Servers::start(context, of)?;
    let seconds = context.round().as_secs_f64().max(if rows > 256 { 0.2 } else { 0.1 });
    let order = json!({"rows": rows, "seconds": seconds, "scattered": scattered});
    let mut runners = Vec::new();
    for (name, system) in systems(&servers) {
        let mut workers = servers.workers(context, system, count)?;
        let order = order.clone();
        let mut later = Later::new(servers.server(system));
        runners.push(Runner::new(name, move || {
            let put_off = later.part()?;
            // The order goes to all, then all are heard.
            workers.iter_mut().try_for_each(|worker| worker.tell(&order))?;
            let answers = workers.iter_mut().map(Worker::hear).collect::<Result<Vec<_>>>()?;
            let of = |what: &'static str| {
                answers.iter().map(move |answer| answer[what].as_u64().context("no number"))
            };
            let written = of("rows").sum::<Result<u64>>()?;
            // From the first one's beginning until all of the last one's rows are durable: before and after,
            // nothing is under way.
            let from = of("from").collect::<Result<Vec<_>>>()?.into_iter().min();
            let upto = of("upto").collect::<Result<Vec<_>>>()?.into_iter().max();
            let took = from.zip(upto).map(|(from, upto)| upto - from).context("nobody writes")?;
            later.ends(Duration::from_nanos(took))?;
            let mut round = Round::from(written as f64 / took as f64 * 1e9);
            if let Some(part) = put_off {
                round.beside.insert(LATER.into(), 100.0 * part);
            }
            Ok(round)
        }));
    }
    let mut measured = race(context, runners)?;
    if let Some(counted) = measured.iter().find(|system| system.name == OURS).and_then(with_later) {
        measured.insert(1, counted);
    }
    add_absent(&servers, &mut measured);
    let mut demands = Vec::new();
    if count == 1 && rows >= 256 {
        demands.push(Demand::Beats("SQLite, unencrypted", 2.0));
    }
    if count == 4 {
        demands.push(Demand::Beats("SQLite, unencrypted", 4.0));
    }
    let plural = if rows == 1 { "row" } else { "rows" };
    let processes = if count == 1 { "process" } else { "processes" };
    let order = if scattered { "all over" } else { "one after another in" };
    Ok(Line {
        id: "W1",
        what: format!(
            "durable updates of 64 B rows, {count} {processes}, transactions of {rows} {plural} {order} a table of {}",
            short(of as f64)
        ),
        unit: "rows/s",
        better: Better::Higher,
        systems: measured,
        demands,
        growth: (count == 1 && rows == GROWING && scattered)
            .then_some(Growth { of: "durable rows, 256 in a transaction", rows: of }),
    })
}

/// W2: how long one durable put takes.
pub fn one(context: &Context) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for idle in [None, Some(0.01)] {
        let servers = Servers::start(context, ROWS)?;
        let seconds = context.round().as_secs_f64() * if idle.is_some() { 4.0 } else { 2.0 };
        let order = json!({"rows": 1, "seconds": seconds, "idle": idle, "timed": true});
        let mut runners = Vec::new();
        for (name, system) in systems(&servers).filter(|(_, system)| *system != "shmirror-tickets")
        {
            let name = if system == "shmirror" { OURS } else { name };
            let mut worker = servers.workers(context, system, 1)?.remove(0);
            let order = order.clone();
            runners
                .push(Runner::new(name, move || Round::of_times(worker.numbers(&order, "times")?)));
        }
        let mut measured = race(context, runners)?;
        add_absent(&servers, &mut measured);
        lines.push(Line {
            id: "W2",
            what: match idle {
                None => "one durable put of a 64 B row, back to back, p50".into(),
                Some(_) => "one durable put of a 64 B row, after 10 ms of idleness, p50".into(),
            },
            unit: "µs",
            better: Better::Lower,
            systems: measured,
            demands: vec![Demand::Near("SQLite, unencrypted", 1.25)],
            growth: None,
        });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_later_makes_rounds_longer() {
        let mut ours =
            Measured { note: None, rounds: vec![300.0, 150.0], ..Measured::cannot(OURS, "") };
        assert!(with_later(&ours).is_none());
        ours.beside.insert(LATER.into(), 50.0);
        assert_eq!(with_later(&ours).map(|counted| counted.rounds), Some(vec![200.0, 100.0]));
    }
}
