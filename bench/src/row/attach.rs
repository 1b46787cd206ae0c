//! A1: what it takes to begin: to attach to rows that are there, to start a server with them; and what a row
//! takes in memory and in files.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value as Json, json};
use shmirror::Mirror;

use crate::context::{Context, directory, field};
use crate::growth::Growth;
use crate::instance::{Instance, options};
use crate::measure::{Measured, Runner, median, race, race_rounds};
use crate::report::{Better, Demand, Line, OURS, short};
use crate::system::{KeyKind, Shape, lmdb, ours, redis, second, shape, sqlite, text};
use crate::worker::{Make, Part, Worker};

/// What processes of this row do.
pub const PARTS: &[(&str, Make)] = &[("attach", attach)];

/// Bytes of a row's payload. Its key has eight.
const PAYLOAD: usize = 96;
const RAW: f64 = PAYLOAD as f64 + 8.0;
/// Rows with which a start may take [`START`].
const MANY: u64 = 1_000_000;
const START: f64 = 10.0;
/// Rounds of starts, as one takes seconds.
const STARTS: usize = 7;
/// How often attaching is tried in a round.
const TIMES: usize = 5;

const LMDB: &str = "LMDB, env opened";
const SQLITE: &str = "SQLite, opened";
const REDIS: &str = "Redis, connected";

/// Attaches and reads a row, as told: to which `system`, at what `place`, with rows of what `shape`.
fn attach(told: &Json) -> Result<Box<dyn Part>> {
    let (path, shape) = (Path::new(text(told, "place")?).to_owned(), shape(told)?);
    let name = format!("{}", shape.rows / 2);
    let key = shape.rows / 2;
    let once: fn(&Path, &Shape, u64) -> Result<(Duration, u64)> = match text(told, "system")? {
        "shmirror" => |socket, _, key| {
            let begun = Instant::now();
            let mirror = Mirror::attach(&options(socket))?;
            let row = mirror.table(ours::TABLE)?.get(key as i64)?.context("no row")?;
            let found = second(row.get_at::<&[u8]>(1)?).context("no payload")?;
            Ok((begun.elapsed(), found))
        },
        "lmdb" => |directory, shape, key| {
            let begun = Instant::now();
            let env = lmdb::open(directory)?;
            let transaction = env.read_txn()?;
            let table = env.database_options().types::<heed::types::Bytes, heed::types::Bytes>();
            let table = table.open(&transaction)?.context("no table")?;
            let value = table.get(&transaction, &key.to_ne_bytes())?.context("no row")?;
            let found = second(value).context("no word")?;
            let took = begun.elapsed();
            ensure!(value.len() == shape.bytes, "{} bytes", value.len());
            drop(transaction);
            // A process has an environment open once.
            env.prepare_for_closing().wait();
            Ok((took, found))
        },
        "sqlite" => |directory, _, key| {
            let begun = Instant::now();
            let connection = sqlite::open(directory)?;
            let found = connection.query_row(
                "SELECT payload FROM bench WHERE id = ?1",
                [key as i64],
                |row| Ok(second(row.get_ref(0)?.as_blob().unwrap_or_default())),
            )?;
            Ok((begun.elapsed(), found.context("no word")?))
        },
        "redis" => |socket, _, key| {
            let begun = Instant::now();
            let mut connection = redis::connect(socket)?;
            let value: Vec<u8> = ::redis::cmd("GET").arg(key).query(&mut connection)?;
            Ok((begun.elapsed(), second(&value).context("no word")?))
        },
        other => bail!("no system {other}"),
    };
    Ok(Box::new(move |_: &Json| {
        let mut times = Vec::new();
        for _ in 0..TIMES {
            let (took, found) = once(&path, &shape, key)?;
            ensure!(found == Shape::sum(key), "row {name} has {found}");
            times.push(took.as_secs_f64() * 1e3);
        }
        Ok(json!({"ms": median(&times)}))
    }))
}

/// All systems with the same rows.
struct Filled {
    shape: Shape,
    instance: Instance,
    lmdb: tempfile::TempDir,
    sqlite: tempfile::TempDir,
    redis: Option<redis::Server>,
}

impl Filled {
    fn new(context: &Context, rows: u64) -> Result<Self> {
        let shape = Shape { rows, bytes: PAYLOAD, key: KeyKind::Integer };
        let this = Self {
            shape,
            instance: Instance::start(context)?,
            lmdb: directory()?,
            sqlite: directory()?,
            redis: redis::Server::start(context, false)?,
        };
        ours::fill(&this.instance.producer()?, &shape)?;
        lmdb::fill(this.lmdb.path(), &shape)?;
        sqlite::fill(this.sqlite.path(), &shape)?;
        if let Some(server) = &this.redis {
            redis::fill(&server.socket(), &shape)?;
            server.keep(redis::Kept::Aof)?;
            server.keep(redis::Kept::Rdb)?;
        }
        this.instance.rest()?;
        Ok(this)
    }
}

/// A1: for more and more rows.
pub fn begin(context: &Context) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for rows in context.sizes() {
        let mut filled = Filled::new(context, *rows)?;
        lines.push(attaching(context, &filled)?);
        lines.extend(sizes_of(&filled)?);
        lines.push(starting(context, &mut filled)?);
    }
    Ok(lines)
}

fn attaching(context: &Context, filled: &Filled) -> Result<Line> {
    let (socket, shape) = (filled.instance.socket(), filled.shape);
    let mut systems = vec![
        (OURS, "shmirror", socket),
        (LMDB, "lmdb", filled.lmdb.path().to_owned()),
        (SQLITE, "sqlite", filled.sqlite.path().to_owned()),
    ];
    if let Some(server) = &filled.redis {
        systems.push((REDIS, "redis", server.socket()));
    }
    let mut runners = Vec::new();
    for (name, system, place) in systems {
        let told = json!({"system": system, "place": place, "shape": shape});
        let mut worker = Worker::start("attach", &told, context.measuring())?;
        runners.push(Runner::new(name, move || worker.number(&json!({}), "ms")));
    }
    let mut systems = race(context, runners)?;
    if filled.redis.is_none() {
        systems.push(Measured::cannot(REDIS, redis::WITHOUT));
    }
    Ok(Line {
        id: "A1",
        what: format!("attach to {} rows of {RAW} B and read one", short(shape.rows as f64)),
        unit: "ms",
        better: Better::Lower,
        systems,
        demands: vec![Demand::AtMost(5.0)],
        growth: Some(Growth { of: "attach and read a row", rows: shape.rows }),
    })
}

/// Memory and files, for each row.
fn sizes_of(filled: &Filled) -> Result<Vec<Line>> {
    let rows = filled.shape.rows as f64;
    let status = filled.instance.mirror()?.status()?;
    let of = |part: &str, what: &str| status[part][what].as_f64().context("a number of the status");
    let daemon = format!("/proc/{}/status", filled.instance.pid());
    let anonymous = kilobytes(&daemon, "RssAnon")? / rows;
    let resident = kilobytes(&daemon, "VmRSS")? / rows;
    let one = |name: &str, value: f64, beside: &[(&str, f64)]| Measured {
        name: name.to_owned(),
        rounds: vec![value],
        beside: beside.iter().map(|(what, value)| ((*what).to_owned(), *value)).collect(),
        note: None,
    };
    let segment = of("segment", "populated")? / rows;
    let mut memory = vec![one(
        OURS,
        segment,
        &[
            ("daemon's own memory besides", anonymous),
            ("daemon's RSS, segment included", resident),
            ("times the raw bytes", segment / RAW),
        ],
    )];
    let mut files = vec![one(OURS, bytes_in(&filled.instance.path("data"))? / rows, &[])];
    files.push(one("LMDB", bytes_in(filled.lmdb.path())? / rows, &[]));
    files.push(one("SQLite, unencrypted", bytes_in(filled.sqlite.path())? / rows, &[]));
    match &filled.redis {
        Some(server) => {
            let status = format!("/proc/{}/status", server.pid());
            memory.push(one("Redis", kilobytes(&status, "VmRSS")? / rows, &[]));
            for (name, file) in [("Redis, AOF", redis::Kept::Aof), ("Redis, RDB", redis::Kept::Rdb)]
            {
                files.push(one(name, bytes_in(&server.kept(file))? / rows, &[]));
            }
        }
        None => memory.push(Measured::cannot("Redis", redis::WITHOUT)),
    }
    let why = "mapped files in the page cache: see the files";
    memory.push(Measured::cannot("LMDB", why));
    memory.push(Measured::cannot("SQLite, unencrypted", why));
    let what = |what: &str| format!("{what} for each of {} rows of {RAW} B", short(rows));
    let growth = |of: &'static str| Some(Growth { of, rows: filled.shape.rows });
    Ok(vec![
        Line {
            id: "A1",
            what: what("memory (of ours the segment)"),
            unit: "B",
            better: Better::Lower,
            systems: memory,
            // What is there but once is most of it in a small table.
            demands: if rows == MANY as f64 { vec![Demand::AtMost(3.5 * RAW)] } else { Vec::new() },
            growth: growth("memory, each row of 104 B"),
        },
        Line {
            id: "A1",
            what: what("files (of ours store and log)"),
            unit: "B",
            better: Better::Lower,
            systems: files,
            demands: Vec::new(),
            growth: growth("files, each row of 104 B"),
        },
    ])
}

/// A line of `/proc/PID/status`, in bytes.
fn kilobytes(file: &str, name: &str) -> Result<f64> {
    let text = field(file, name).with_context(|| format!("no {name} in {file}"))?;
    let number = text.split_whitespace().next().context("a number")?;
    Ok(number.parse::<f64>()? * 1024.0)
}

/// Bytes of all files below a directory, as far as the disk has them.
fn bytes_in(path: &Path) -> Result<f64> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = std::fs::symlink_metadata(path).with_context(|| path.display().to_string())?;
    if !meta.is_dir() {
        return Ok(meta.blocks() as f64 * 512.0);
    }
    let mut all = 0.0;
    for entry in std::fs::read_dir(path)? {
        all += bytes_in(&entry?.path())?;
    }
    Ok(all)
}

/// From the start of the program until it serves.
fn starting(context: &Context, filled: &mut Filled) -> Result<Line> {
    let rows = filled.shape.rows;
    let names = ["Redis, AOF", "Redis, RDB"];
    let (instance, server) = (&mut filled.instance, &mut filled.redis);
    let mut runners = vec![Runner::new(OURS, || {
        instance.down()?;
        Ok(instance.up()?.as_secs_f64())
    })];
    // One server after the other out of the same directory.
    let server = std::cell::RefCell::new(server.as_mut());
    if server.borrow().is_some() {
        for (name, kept) in names.into_iter().zip([redis::Kept::Aof, redis::Kept::Rdb]) {
            let server = &server;
            runners.push(Runner::new(name, move || {
                let mut server = server.borrow_mut();
                let server = server.as_mut().context("there is one")?;
                let took = server.restart(context, kept)?;
                let found: u64 =
                    ::redis::cmd("DBSIZE").query(&mut redis::connect(&server.socket())?)?;
                ensure!(found == rows, "{found} rows, not {rows}");
                Ok(took.as_secs_f64())
            }));
        }
    }
    let mut systems = race_rounds(STARTS, runners)?;
    if filled.redis.is_none() {
        systems.push(Measured::cannot(names[0], redis::WITHOUT));
    }
    for name in ["LMDB", "SQLite"] {
        systems.push(Measured::cannot(name, "has no server to start"));
    }
    let mirror = filled.instance.mirror()?;
    let found = mirror.table(ours::TABLE)?.len() as u64;
    ensure!(found == rows, "{found} rows after the start, not {rows}");
    Ok(Line {
        id: "A1",
        what: format!("start with {} rows of {RAW} B until it serves", short(rows as f64)),
        unit: "s",
        better: Better::Lower,
        systems,
        demands: if rows == MANY { vec![Demand::AtMost(START)] } else { Vec::new() },
        growth: Some(Growth { of: "start until it serves", rows }),
    })
}
