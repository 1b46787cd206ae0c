//! R1 and R2: one row, one value.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value as Json, json};

use crate::context::{Context, directory};
use crate::growth::Growth;
use crate::instance::Instance;
use crate::measure::{Measured, Runner, nanoseconds, race};
use crate::report::{Better, Demand, Line, OURS, short};
use crate::system::{KeyKind, Shape, bare, iceoryx, lmdb, mmap, ours, redis, shape, sqlite, text};
use crate::worker::{Make, Part, Worker};

/// What processes of these rows do.
pub const PARTS: &[(&str, Make)] = &[("read", read)];

/// Reads, as told: of which `system`, from what `place`, rows of what `shape`.
fn read(told: &Json) -> Result<Box<dyn Part>> {
    let (system, place, shape) = (text(told, "system")?, text(told, "place")?, shape(told)?);
    let path = Path::new(place);
    let rows = shape.rows;
    Ok(match (system, shape.bytes) {
        ("shmirror", 64) if shape.key == KeyKind::Integer => reading(shape, ours::numbers(path)?),
        ("shmirror", _) => reading(shape, ours::reader(path, &shape)?),
        ("shmirror-typed", _) => reading(shape, ours::typed(path)?),
        ("lmdb", _) => reading(shape, lmdb::reader(path, &shape)?),
        ("sqlite", _) => reading(shape, sqlite::reader(path, &shape, false)?),
        ("sqlite-open", _) => reading(shape, sqlite::reader(path, &shape, true)?),
        ("redis", _) => reading(shape, redis::reader(path, &shape)?),
        ("mmap-sync", _) => reading(shape, mmap::reader(path)?),
        ("iceoryx2", 64) => reading(shape, iceoryx::reader::<8>(place, rows)?),
        ("iceoryx2", 1024) => reading(shape, iceoryx::reader::<128>(place, rows)?),
        ("iceoryx2", 16384) => reading(shape, iceoryx::reader::<2048>(place, rows)?),
        ("bare", 64) => reading(shape, bare::reader::<8>(&shape)?),
        ("bare", 1024) => reading(shape, bare::reader::<128>(&shape)?),
        ("bare", 16384) => reading(shape, bare::reader::<2048>(&shape)?),
        ("shmirror-cell", _) => reading(shape, ours::cell(path, 0)?),
        ("iceoryx2-cell", _) => reading(shape, iceoryx::cell(place)?),
        ("seqlock", _) => reading(shape, bare::seqlock()?),
        other => anyhow::bail!("no system {other:?}"),
    })
}

/// How long rows are looked at before the first round: all but Redis have read a million of them by then.
const CHECKED: Duration = Duration::from_secs(3);

/// For how long at most, and what each key's result is to be.
type Pass = (Duration, Option<fn(u64) -> u64>);

/// Reads random keys for as long as it is told, and says how long one took.
fn reading(shape: Shape, mut read: impl FnMut(u64) -> Result<u64> + 'static) -> Box<dyn Part> {
    let keys = if shape.rows == 1 { vec![0; 256] } else { shape.keys() };
    let mut is_checked = false;
    Box::new(move |order: &Json| {
        let time = Duration::from_secs_f64(order["seconds"].as_f64().unwrap_or(0.1));
        let mut ns = 0.0;
        // One loop for both, so that `read` is called from one place alone and becomes part of it: on every system,
        // however long its way of reading is.
        let passes: &[Pass] = match std::mem::replace(&mut is_checked, true) {
            false => &[(CHECKED, Some(Shape::sum)), (time, None)],
            true => &[(time, None)],
        };
        for &(time, expected) in passes {
            ns = nanoseconds(&keys, time, expected, &mut read)?;
        }
        Ok(json!({"ns": ns}))
    })
}

/// A process that reads.
fn worker(context: &Context, system: &str, place: &str, shape: &Shape) -> Result<Worker> {
    let told = json!({"system": system, "place": place, "shape": shape});
    Worker::start("read", &told, context.measuring())
}

fn runner<'a>(context: &Context, name: &str, mut worker: Worker) -> Runner<'a> {
    let order = json!({"seconds": context.round().as_secs_f64()});
    Runner::new(name, move || worker.number(&order, "ns"))
}

/// Keyed reads of rows of one shape on every system that can.
fn line(context: &Context, id: &'static str, shape: &Shape, what: String) -> Result<Line> {
    let (lmdb_at, sqlite_at, mmap_at) = (directory()?, directory()?, directory()?);
    let instance = Instance::start(context)?;
    ours::fill(&instance.producer()?, shape)?;
    lmdb::fill(lmdb_at.path(), shape)?;
    sqlite::fill(sqlite_at.path(), shape)?;
    let has_integers = shape.key == KeyKind::Integer;
    let is_numbers = has_integers && shape.bytes == 64;
    // A blackboard's entries are added one by one, each looking at all before it.
    let board = match has_integers && shape.rows <= 10_000 {
        true => Some(iceoryx::Server::start(shape)?),
        false => None,
    };
    let redis = redis::Server::start(context, false)?;
    let at = |directory: &tempfile::TempDir| directory.path().display().to_string();
    let mut runners = Vec::new();
    let mut add = |name: &str, system: &str, place: &str| -> Result<()> {
        runners.push(runner(context, name, worker(context, system, place, shape)?));
        Ok(())
    };
    add(OURS, "shmirror", &instance.socket().display().to_string())?;
    if has_integers {
        add(BARE, "bare", "")?;
    }
    if let Some(board) = &board {
        add(ICEORYX, "iceoryx2", board.name())?;
    }
    if is_numbers {
        mmap::fill(mmap_at.path(), shape)?;
        add("mmap-sync", "mmap-sync", &at(&mmap_at))?;
    }
    add(LMDB, "lmdb", &at(&lmdb_at))?;
    add("SQLite, open transaction", "sqlite-open", &at(&sqlite_at))?;
    add(SQLITE, "sqlite", &at(&sqlite_at))?;
    if let Some(server) = &redis {
        redis::fill(&server.socket(), shape)?;
        add("Redis", "redis", &server.socket().display().to_string())?;
    }
    let mut systems = race(context, runners)?;
    if redis.is_none() {
        systems.push(Measured::cannot("Redis", redis::WITHOUT));
    }
    if board.is_none() {
        let why = if has_integers {
            "makes a board of so many entries too slowly"
        } else {
            "has no such keys"
        };
        systems.push(Measured::cannot(ICEORYX, why));
    }
    if !is_numbers {
        systems
            .push(Measured::cannot("mmap-sync", "one value of one type: measured with 64 B rows"));
    }
    Ok(Line {
        id,
        what,
        unit: "ns",
        better: Better::Lower,
        systems,
        demands: Vec::new(),
        growth: None,
    })
}

const BARE: &str = "bare latch, no lookup";
const ICEORYX: &str = "iceoryx2 entry, no lookup";
const LMDB: &str = "LMDB, open transaction";
const SQLITE: &str = "SQLite, prepared";

/// R1: a row of 64 bytes out of 10,000, by its key; and how that grows with the table.
pub fn keyed(context: &Context) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for rows in context.sizes().iter().copied() {
        let what = format!("keyed read of a 64 B row of {}, random keys", short(rows as f64));
        let mut line = line(context, "R1", &Shape::numbers(rows), what)?;
        line.growth = Some(Growth { of: "keyed read of a 64 B row", rows });
        if rows == 10_000 {
            line.demands = vec![
                Demand::Beats(LMDB, 20.0),
                Demand::Beats(SQLITE, 75.0),
                Demand::Beats("Redis", 600.0),
                Demand::Beats(ICEORYX, 1.0),
                Demand::Near(BARE, 3.0),
            ];
        }
        lines.push(line);
    }
    Ok(lines)
}

/// R3: the same with larger rows, other keys, many of them; and rows as a type.
pub fn others(context: &Context) -> Result<Vec<Line>> {
    let large = if context.quick { 1_000 } else { 10_000 };
    let integer = KeyKind::Integer;
    let texts = |rows| Shape { key: KeyKind::Text, ..Shape::numbers(rows) };
    let mut shapes = vec![
        (Shape { rows: 10_000, bytes: 1024, key: integer }, "rows of 1 KiB"),
        (Shape { rows: large, bytes: 16384, key: integer }, "rows of 16 KiB"),
        (texts(10_000), "64 B rows, text keys of 14 B"),
        (
            Shape { key: KeyKind::Composite, ..Shape::numbers(10_000) },
            "64 B rows, keys of a text and a number",
        ),
    ];
    // With integer keys: R1.
    if !context.quick {
        shapes.push((texts(1_000_000), "64 B rows, text keys of 14 B"));
    }
    let mut lines = Vec::new();
    for (shape, what) in shapes {
        let what = format!("keyed read of {} {what}", short(shape.rows as f64));
        lines.push(line(context, "R3", &shape, what)?);
    }
    let shape = Shape::numbers(10_000);
    let (instance, sqlite_at) = (Instance::start(context)?, directory()?);
    ours::fill(&instance.producer()?, &shape)?;
    sqlite::fill(sqlite_at.path(), &shape)?;
    let socket = instance.socket().display().to_string();
    let file = sqlite_at.path().display().to_string();
    let runners = vec![
        runner(context, OURS, worker(context, "shmirror-typed", &socket, &shape)?),
        runner(context, SQLITE, worker(context, "sqlite", &file, &shape)?),
    ];
    lines.push(Line {
        id: "R3",
        what: "keyed read of a 64 B row as a type of eight fields, by serde".into(),
        unit: "ns",
        better: Better::Lower,
        systems: race(context, runners)?,
        demands: Vec::new(),
        growth: None,
    });
    Ok(lines)
}

/// R2: one value of 8 bytes, again and again.
pub fn cells(context: &Context) -> Result<Vec<Line>> {
    let one = Shape { rows: 1, bytes: 8, key: KeyKind::Integer };
    let instance = Instance::start(context)?;
    ours::fill(&instance.producer()?, &Shape::numbers(1))?;
    let board = iceoryx::Server::start(&one)?;
    let socket = instance.socket().display().to_string();
    let runners = vec![
        runner(context, OURS, worker(context, "shmirror-cell", &socket, &one)?),
        runner(context, "bare seqlock", worker(context, "seqlock", "", &one)?),
        runner(context, "iceoryx2 entry", worker(context, "iceoryx2-cell", board.name(), &one)?),
    ];
    Ok(vec![Line {
        id: "R2",
        what: "read of one value of 8 B, again and again".into(),
        unit: "ns",
        better: Better::Lower,
        systems: race(context, runners)?,
        demands: vec![Demand::Near("bare seqlock", 2.5), Demand::Beats("iceoryx2 entry", 4.0)],
        growth: None,
    }])
}
