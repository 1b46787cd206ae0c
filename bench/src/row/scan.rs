//! R5: all rows of a table, as of one moment.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value as Json, json};

use super::write;
use crate::context::{Context, directory};
use crate::growth::Growth;
use crate::instance::Instance;
use crate::measure::{Measured, Round, Runner, race};
use crate::report::{Better, Demand, Line, OURS, short};
use crate::system::{Shape, lmdb, mmap, ours, shape, sqlite, text};
use crate::worker::{Make, Part, Worker};

/// What processes of this row do.
pub const PARTS: &[(&str, Make)] = &[("scan", scan)];

fn scan(told: &Json) -> Result<Box<dyn Part>> {
    let (path, shape) = (Path::new(text(told, "place")?), shape(told)?);
    Ok(match text(told, "system")? {
        "shmirror" => scanning(shape, ours::scanner(path)?),
        "lmdb" => scanning(shape, lmdb::scanner(path)?),
        "sqlite" => scanning(shape, sqlite::scanner(path)?),
        "mmap-sync" => scanning(shape, mmap::scanner(path)?),
        other => bail!("no system {other}"),
    })
}

/// Scans for as long as it is told, at least once; gigabytes of rows a second, and the longest scan.
fn scanning(shape: Shape, mut scan: impl FnMut() -> Result<(u64, u64)> + 'static) -> Box<dyn Part> {
    Box::new(move |order: &Json| {
        let time = Duration::from_secs_f64(order["seconds"].as_f64().context("no seconds")?);
        let is_quiet = order["quiet"].as_bool().unwrap_or(true);
        let expected = (0..shape.rows).map(Shape::sum).fold(0, u64::wrapping_add);
        let (begun, mut scans, mut longest) = (Instant::now(), 0_u64, Duration::ZERO);
        while scans == 0 || begun.elapsed() < time {
            let start = Instant::now();
            let (rows, sum) = scan()?;
            longest = longest.max(start.elapsed());
            ensure!(rows == shape.rows, "{rows} rows, not {}", shape.rows);
            ensure!(!is_quiet || sum == expected, "the rows add up to {sum}, not {expected}");
            scans += 1;
        }
        let bytes = (scans * shape.rows * shape.bytes as u64) as f64;
        Ok(json!({
            "GB/s": bytes / begun.elapsed().as_nanos() as f64,
            "longest": longest.as_secs_f64() * 1e3,
        }))
    })
}

/// All rows, idle and beside a writer that never pauses.
pub fn whole(context: &Context) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for rows in context.sizes() {
        let shape = Shape::numbers(*rows);
        let (lmdb_at, sqlite_at, mmap_at) = (directory()?, directory()?, directory()?);
        let instance = Instance::start(context)?;
        ours::fill(&instance.producer()?, &shape)?;
        lmdb::fill(lmdb_at.path(), &shape)?;
        sqlite::fill(sqlite_at.path(), &shape)?;
        mmap::fill(mmap_at.path(), &shape)?;
        let socket = instance.socket();
        let systems = [
            (OURS, "shmirror", socket.as_path()),
            ("mmap-sync", "mmap-sync", mmap_at.path()),
            ("LMDB", "lmdb", lmdb_at.path()),
            ("SQLite", "sqlite", sqlite_at.path()),
        ];
        for is_quiet in [true, false] {
            let mut runners = Vec::new();
            for (name, system, place) in systems {
                if !is_quiet && system == "mmap-sync" {
                    continue;
                }
                let told = json!({"system": system, "place": place, "shape": shape});
                let mut scanner = Worker::start("scan", &told, context.measuring())?;
                let mut writer = match is_quiet {
                    true => None,
                    false => Some(write::worker(system, place, *rows, context.serving())?),
                };
                let seconds = context.round().as_secs_f64();
                runners.push(Runner::new(name, move || {
                    if let Some(writer) = &mut writer {
                        writer.tell(&json!({"rows": 16}))?;
                    }
                    let answer = scanner.ask(&json!({"seconds": seconds, "quiet": is_quiet}))?;
                    let of = |what: &str| answer[what].as_f64().context("no number");
                    let mut round = Round::from(of("GB/s")?);
                    round.beside.insert("longest, ms".into(), of("longest")?);
                    if let Some(writer) = &mut writer {
                        let written = writer.stop()?["rows/s"].as_f64().context("no rows/s")?;
                        round.beside.insert("rows written a second".into(), written);
                    }
                    Ok(round)
                }));
            }
            let mut measured = race(context, runners)?;
            let why = "writes the whole table anew for each change";
            if !is_quiet {
                measured.push(Measured::cannot("mmap-sync", why));
            }
            measured.push(Measured::cannot("Redis", "has no scan as of one moment"));
            measured.push(Measured::cannot("iceoryx2", "has no scan as of one moment"));
            let (beside, of) = match is_quiet {
                true => ("idle", "scan of a table of 64 B rows, idle"),
                false => ("beside a writer that never pauses", "scan, beside a writer"),
            };
            let demands = match is_quiet {
                true => vec![Demand::AtLeast(1.0)],
                // It finished in every round, else there were no line.
                false => Vec::new(),
            };
            lines.push(Line {
                id: "R5",
                what: format!("scan of {} rows of 64 B, {beside}", short(*rows as f64)),
                unit: "GB/s",
                better: Better::Higher,
                systems: measured,
                demands,
                growth: Some(Growth { of, rows: *rows }),
            });
        }
    }
    Ok(lines)
}
