//! Loading a file into a table, all or nothing.
//!
//! ```text
//! file ─► survey: every row read and checked, or types inferred ─► which way:
//!   new table              CREATE, checked batches one behind the other, DROP if anything fails
//!   fits one transaction   one transaction
//!   longer                 batches into a staging table, then one transaction moves them over
//!   keep what is good      batches; one that is rejected is halved until the bad rows are alone
//! ```

mod checker;
mod duplicates;
mod find;
pub mod progress;
mod send;
mod staged;
mod survey;

pub use progress::Progress;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use shmirror::{Mirror, Producer};
use shmirror_shm::catalogue::TableDef;
use shmirror_shm::request::OnConflict;

use crate::failure::Failure;
use crate::input::Input;
use crate::name::Name;

/// Bytes of rows, as [`checker::Row::bytes`] counts them, that go as one transaction. The lane takes
/// more; a transaction of this size is applied well within its time.
const ONE_TRANSACTION: u64 = 4 << 20;

/// What to load, where to, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// The table.
    pub table: String,
    /// The file.
    pub input: Input,
    /// Make the table, its types inferred.
    pub create: bool,
    /// Key columns of the table that is made.
    pub key: Vec<String>,
    /// What to do where a row's key is there already.
    pub on_conflict: OnConflict,
    /// Leave bad rows out instead of failing.
    pub keep_good: bool,
    /// Take values that do not fit the declared type.
    pub any_type: bool,
    /// Most rows in one batch.
    pub batch: usize,
    /// Show how far it is, where standard error is a terminal.
    pub progress: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loaded {
    /// Rows of the file that went in.
    pub rows: u64,
    /// Lines that were left out.
    pub bad: u64,
    /// Newest revision of the load.
    pub revision: u64,
    /// Seconds it took, reading and checking included.
    pub seconds: f64,
}

/// Everything that the ways of loading share.
pub(crate) struct Load<'a> {
    pub job: &'a Job,
    pub producer: &'a Producer,
    pub schema: Arc<TableDef>,
    pub stop: Arc<AtomicBool>,
}

impl Load<'_> {
    /// Fails once somebody pressed Ctrl-C, so that what was begun is undone.
    pub fn go_on(&self) -> Result<(), Failure> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Failure::Refused("interrupted; nothing of the file was kept".into()));
        }
        Ok(())
    }
}

/// Loads the file.
pub fn run(mirror: &Mirror, producer: &Producer, job: &Job) -> Result<Loaded, Failure> {
    let start = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut loaded = if job.create {
        create(mirror, producer, job, stop)?
    } else {
        let schema = mirror.table(&job.table)?.schema();
        let load = Load { job, producer, schema, stop };
        if job.keep_good {
            send::keep_good(&load)?
        } else {
            let survey = survey::check(&load)?;
            if survey.bytes <= ONE_TRANSACTION {
                send::at_once(&load, &survey)?
            } else {
                staged::run(&load, &survey)?
            }
        }
    };
    loaded.seconds = start.elapsed().as_secs_f64();
    Ok(loaded)
}

fn create(
    mirror: &Mirror,
    producer: &Producer,
    job: &Job,
    stop: Arc<AtomicBool>,
) -> Result<Loaded, Failure> {
    let catalogue = mirror.catalogue()?;
    let name = Name::parse(&catalogue, &job.table)?;
    if let Some(table) = catalogue.table(&name.full()) {
        return Err(Failure::Advised(
            format!("table {} is there already", table.full_name()),
            "leave --create out to load into it, or name another table".into(),
        ));
    }
    let sql = survey::infer(job, &name)?;
    let commit = producer.execute(&sql)?;
    let undo = |failure| undone(producer, &name, failure);
    let schema = mirror
        .wait_revision(commit.revision, producer.timeout())
        .and_then(|()| mirror.table(&name.full()))
        .map_err(|e| undo(e.into()))?
        .schema();
    let load = Load { job, producer, schema, stop };
    let done = if job.keep_good { send::keep_good(&load) } else { send::pipelined(&load) };
    done.map_err(undo)
}

/// Drops a table that was made for the load, then gives back why.
fn undone(producer: &Producer, table: &Name, failure: Failure) -> Failure {
    match producer.execute(&format!("DROP TABLE {}", table.sql())) {
        Ok(_) => failure,
        Err(e) => Failure::Advised(
            format!("{failure}; and table {} could not be dropped again: {e}", table.full()),
            format!("drop it with `shmirror sql 'DROP TABLE {}'`", table.sql()),
        ),
    }
}
