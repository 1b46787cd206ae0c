//! R4: several processes read the same table, alone and beside a writer that never pauses.
//!
//! Each read checks the row that it got, whose last word follows from the others. What a read takes is the
//! processor time of the process, so that waiting for a core is not in it. One read of every so many is timed
//! alone, between two readings of the clock which are part of its time; the others are not timed one by one.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value as Json, json};
use shmirror::{Mirror, Row, monotonic_ns};

use super::write;
use crate::context::{Context, directory};
use crate::instance::{Instance, options};
use crate::measure::{Measured, Round, Runner, median, quantile, race};
use crate::report::{Better, Demand, Line, OURS};
use crate::system::{KeyKind, Shape, iceoryx, lmdb, ours, proof, shape, sqlite, text};
use crate::worker::{self, Make, Part, Worker};

/// What processes of this row do.
pub const PARTS: &[(&str, Make)] = &[("crowd", crowd), ("board", board)];

/// The table, R1's.
const TABLE: Shape = Shape::numbers(10_000);
/// Reads that an LMDB transaction serves before the next begins, which sees what was written since.
const RENEWED: usize = 256;

/// A row of eight words.
type Words = [u64; 8];

/// Reads, as told: of which `system`, at what `place`.
fn crowd(told: &Json) -> Result<Box<dyn Part>> {
    let (path, shape) = (Path::new(text(told, "place")?), shape(told)?);
    Ok(match text(told, "system")? {
        "shmirror" => reading(shape, 256, ours_rows(path)?),
        "lmdb" => reading(shape, 256, lmdb_rows(path)?),
        "sqlite" => reading(shape, 16, sqlite_rows(path)?),
        "iceoryx2" => reading(shape, 256, iceoryx::rows::<8>(text(told, "place")?, shape.rows)?),
        other => bail!("no system {other}"),
    })
}

fn ours_rows(socket: &Path) -> Result<impl FnMut(u64, &mut Words) -> Result<()> + use<>> {
    let mirror = Mirror::attach(&options(socket))?;
    let table = mirror.table(ours::TABLE)?;
    let mut row = Row::default();
    Ok(move |key: u64, words: &mut Words| {
        ensure!(table.read(key as i64, &mut row)?, "no row {key}");
        let row = row.as_ref();
        for (at, word) in words.iter_mut().enumerate() {
            *word = row.integer_at(at).context("no integer")? as u64;
        }
        Ok(())
    })
}

fn lmdb_rows(directory: &Path) -> Result<impl FnMut(u64, &mut Words) -> Result<()> + use<>> {
    let env = lmdb::open(directory)?;
    let table = lmdb::table(&env, KeyKind::Integer)?;
    let (mut transaction, mut left) = (None, 0);
    Ok(move |key: u64, words: &mut Words| {
        if left == 0 {
            // The old one first: its place among the readers is free again.
            drop(transaction.take());
            left = RENEWED;
        }
        left -= 1;
        let transaction = match &mut transaction {
            Some(transaction) => transaction,
            none => none.insert(env.clone().static_read_txn()?),
        };
        let value = table.get(transaction, &key.to_ne_bytes())?.context("no row")?;
        for (word, bytes) in words.iter_mut().zip(value.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into()?);
        }
        Ok(())
    })
}

fn sqlite_rows(directory: &Path) -> Result<impl FnMut(u64, &mut Words) -> Result<()> + use<>> {
    // It lives as long as the process: the statement borrows it.
    let connection: &'static rusqlite::Connection = Box::leak(Box::new(sqlite::open(directory)?));
    let mut statement =
        connection.prepare("SELECT id, a, b, c, d, e, f, g FROM bench WHERE id = ?1")?;
    Ok(move |key: u64, words: &mut Words| {
        let mut rows = statement.query([key as i64])?;
        let found = rows.next()?.context("no row")?;
        for (at, word) in words.iter_mut().enumerate() {
            *word = found.get::<_, i64>(at)? as u64;
        }
        Ok(())
    })
}

/// Reads random keys for as long as it is told. One read of `alone` is timed alone.
fn reading(
    shape: Shape,
    alone: usize,
    mut read: impl FnMut(u64, &mut Words) -> Result<()> + 'static,
) -> Box<dyn Part> {
    let keys = shape.keys();
    let (mut at, mut times) = (0, Vec::new());
    Box::new(move |order: &Json| {
        let time = Duration::from_secs_f64(order["seconds"].as_f64().context("no seconds")?);
        let (mut reads, mut torn) = (0_u64, 0_u64);
        let mut one = || -> Result<()> {
            let key = keys[at];
            at = if at + 1 == keys.len() { 0 } else { at + 1 };
            let mut words = [0; 8];
            read(key, &mut words)?;
            torn += u64::from(words[0] != key || words[7] != proof(&words[..7]));
            Ok(())
        };
        times.clear();
        let (from, begun, used) = (monotonic_ns(), Instant::now(), processor_time());
        while begun.elapsed() < time {
            for _ in 1..alone {
                one()?;
            }
            let start = Instant::now();
            one()?;
            times.push(start.elapsed().as_nanos() as f64);
            reads += alone as u64;
        }
        let (upto, used) = (monotonic_ns(), processor_time() - used);
        times.sort_by(f64::total_cmp);
        Ok(json!({
            "ns": used.as_nanos() as f64 / reads as f64,
            "reads": reads,
            "from": from,
            "upto": upto,
            "p99.9": quantile(&times, 0.999),
            "torn": torn,
        }))
    })
}

/// Processor time that this thread has used.
fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// An iceoryx2 blackboard with the rows, and its writer.
fn board(told: &Json) -> Result<Box<dyn Part>> {
    let shape = shape(told)?;
    let server = iceoryx::Server::start(&shape)?;
    let writer = server.writer::<8>(shape.rows)?;
    let mut numbers = crate::measure::Numbers(3);
    Ok(Box::new(move |order: &Json| {
        if order["name"] == true {
            return Ok(json!({"name": server.name()}));
        }
        if order["stop"] == true {
            return Ok(json!({}));
        }
        let (begun, mut written) = (Instant::now(), 0_u64);
        while !worker::is_told()? {
            for _ in 0..16 {
                let mut words = [0; 8].map(|_: u64| numbers.next() >> 1);
                words[0] = numbers.below(shape.rows);
                words[7] = proof(&words[..7]);
                writer.write(words[0], words)?;
            }
            written += 16;
        }
        Ok(json!({"rows/s": written as f64 / begun.elapsed().as_secs_f64()}))
    }))
}

/// Writes without pause while there are orders to.
struct Writer(Option<(Worker, Json)>);

impl Writer {
    fn begin(&mut self) -> Result<()> {
        self.0.as_mut().map_or(Ok(()), |(worker, order)| worker.tell(order))
    }

    /// Rows that it wrote in a second.
    fn end(&mut self) -> Result<Option<f64>> {
        let Some((worker, _)) = &mut self.0 else { return Ok(None) };
        Ok(Some(worker.stop()?["rows/s"].as_f64().context("no rows/s")?))
    }
}

/// Where each system has its rows.
struct Places {
    instance: Instance,
    lmdb: tempfile::TempDir,
    sqlite: tempfile::TempDir,
}

const LMDB: &str = "LMDB, a transaction anew for every 256";
const SQLITE: &str = "SQLite, prepared";
const ICEORYX: &str = "iceoryx2 entry, no lookup";

/// R4: 1, 2, 4 and 8 readers, without and with a writer.
pub fn readers(context: &Context) -> Result<Vec<Line>> {
    let places =
        Places { instance: Instance::start(context)?, lmdb: directory()?, sqlite: directory()? };
    ours::fill(&places.instance.producer()?, &TABLE)?;
    lmdb::fill(places.lmdb.path(), &TABLE)?;
    sqlite::fill(places.sqlite.path(), &TABLE)?;
    let mut lines = Vec::new();
    for has_writer in [false, true] {
        for count in [1, 2, 4, 8] {
            lines.push(line(context, &places, count, has_writer)?);
        }
    }
    Ok(lines)
}

fn line(context: &Context, places: &Places, count: usize, has_writer: bool) -> Result<Line> {
    let board = Worker::start("board", &json!({"shape": TABLE}), context.serving())?;
    let mut board = Some(board);
    let name = board.as_mut().context("there is one")?.ask(&json!({"name": true}))?;
    let name = name["name"].as_str().context("no name")?.to_owned();
    let socket = places.instance.socket();
    // Of the control's readers one is like the others'; the rest read memory of their own.
    let control = format!("{OURS}, one of {count}: the others share nothing");
    let control: &'static str = Box::leak(control.into_boxed_str());
    let mut systems = vec![(OURS, "shmirror", socket.as_path())];
    if count > 1 {
        systems.push((control, "shmirror", socket.as_path()));
    }
    systems.extend([
        (ICEORYX, "iceoryx2", Path::new(&name)),
        (LMDB, "lmdb", places.lmdb.path()),
        (SQLITE, "sqlite", places.sqlite.path()),
    ]);
    let order = json!({"seconds": context.round().as_secs_f64()});
    let mut runners = Vec::new();
    for (name, system, place) in systems {
        let told = json!({"system": system, "place": place, "shape": TABLE});
        let bare = json!({"system": "bare", "place": "", "shape": TABLE});
        let readers = if name == control { 1 } else { count };
        let start = |at: usize| match at < readers {
            true => Worker::start("crowd", &told, context.in_turns(at)),
            false => Worker::start("read", &bare, context.in_turns(at)),
        };
        let mut workers = (0..count).map(start).collect::<Result<Vec<_>>>()?;
        let mut writer = Writer(match (has_writer, system) {
            (false, _) => None,
            (true, "iceoryx2") => board.take().map(|board| (board, json!({"write": true}))),
            (true, _) => {
                let worker = write::worker(system, place, TABLE.rows, context.serving())?;
                Some((worker, json!({"rows": 16, "scattered": true})))
            }
        });
        let order = order.clone();
        runners.push(Runner::new(name, move || {
            writer.begin()?;
            workers.iter_mut().try_for_each(|worker| worker.tell(&order))?;
            let answers = workers.iter_mut().map(Worker::hear).collect::<Result<Vec<_>>>()?;
            let written = writer.end()?;
            let of = |what: &str| -> Result<Vec<f64>> {
                let of =
                    |answer: &Json| answer[what].as_f64().with_context(|| format!("no {what}"));
                answers[..readers].iter().map(of).collect()
            };
            let mut round = Round::from(median(&of("ns")?).context("somebody reads")?);
            round.beside.insert("p99.9".into(), median(&of("p99.9")?).context("the same")?);
            // From the first one's beginning to the last one's end: they take turns on the cores.
            let from = of("from")?.into_iter().fold(f64::INFINITY, f64::min);
            let upto = of("upto")?.into_iter().fold(0.0, f64::max);
            let reads: f64 = of("reads")?.iter().sum();
            round.beside.insert("reads/s of all".into(), reads / (upto - from) * 1e9);
            round.beside.insert("torn".into(), of("torn")?.iter().sum());
            if let Some(written) = written {
                round.beside.insert("rows written a second".into(), written);
            }
            Ok(round)
        }));
    }
    let measured: Vec<Measured> = race(context, runners)?;
    let mut demands = vec![Demand::Exactly("torn", 0.0)];
    if count > 1 {
        demands.push(Demand::Near(control, 1.1));
    }
    let processes = if count == 1 { "process" } else { "processes" };
    let beside = if has_writer { ", beside a writer that never pauses" } else { "" };
    Ok(Line {
        id: "R4",
        what: format!(
            "keyed read of a 64 B row of 10,000, {count} {processes}{beside}, processor time of each read"
        ),
        unit: "ns",
        better: Better::Lower,
        systems: measured,
        demands,
        growth: None,
    })
}
