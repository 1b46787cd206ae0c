//! Read-only SQL beside the pipeline, at one revision.
//!
//! What flows in: SQL text and the segments of the namespaces that whoever asks may read. What flows
//! out: result rows and the revision that all of them are of. Nothing here touches the pipeline's
//! thread, but for the last resort.
//!
//! ```text
//! direct   tables are virtual tables over the segment; the whole key finds its row at once; a full
//!          scan copies the table once
//! copied   where a table would be scanned over and over (a join that no key helps) or the schema
//!          itself is asked for: the tables that the query reads are copied into real tables with
//!          their indexes, in memory
//! ```
//! A namespace is a database of that name, attached to the query's connection; what is not among the
//! segments is not there, and SQLite says of it what it says of any unknown name.
//!
//! Every access is as of the same revision R ([`SegmentSource`] says how). Where R is no longer to be
//! had, as a row has moved on twice since, the query begins anew with a newer R; after a bounded
//! number of tries the caller gives a copy of the tables between two commits.

mod copied;
mod direct;
mod names;
mod source;
#[cfg(test)]
mod tests;
mod vtab;

use std::sync::Arc;
use std::time::Instant;

use shmirror_shm::request::{RejectCode, ResultSet, SqlRequest};
use shmirror_shm::snapshot::Segment;

use crate::apply::create::create_in;
use crate::apply::db::{Db, SqlError};
use crate::apply::guard::{Guard, Mode, Notes, READ_ONLY};
use crate::apply::script::{Output, Place, check_params, check_text};
use crate::apply::{Budget, Reject};

pub use source::{Copies, RowSet, SegmentSource, SourceError, TableSource};

/// Tries with ever newer revisions before the caller's copy is asked for.
const TRIES: usize = 8;

/// Why a run ended without rows.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The revision is no longer to be had.
    Stale,
    /// Real tables are needed.
    NeedsCopy,
    /// Refused for good.
    Reject(Reject),
}

impl From<Reject> for Stop {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Stale => Self::Stale,
            SourceError::Failed(what) => Self::Reject(Reject::internal("reading a table", what)),
        }
    }
}

/// Runs the statements of `request` against `segments`, one for each namespace that may be read and by
/// rising number of the namespace, all as of one revision, which is returned with their rows. Call it
/// from any thread but the pipeline's; `copies` is called at most once, when the writer outruns the
/// query or a segment is retired, with the ids of the tables that the query can read (none, where that
/// is not known: then all are wanted), and gives them as they are between two commits.
///
/// # Errors
/// A statement that would write, SQL that SQLite refuses, more time or rows than `budget` has, or
/// what `copies` fails with.
pub fn run_query(
    segments: &[Arc<Segment>],
    request: &SqlRequest,
    budget: &Budget,
    copies: &dyn Fn(&[u32]) -> Result<Copies, Reject>,
) -> Result<(u64, Vec<ResultSet>), Reject> {
    check_text(request)?;
    let start = Instant::now();
    let left = || Budget { time: budget.time.saturating_sub(start.elapsed()), ..*budget };
    let in_time = |reject: Reject| match reject.code {
        RejectCode::TimeLimit => {
            let took = format!("the query took longer than the {:?} that it may take", budget.time);
            Reject::new(RejectCode::TimeLimit, took)
        }
        _ => reject,
    };
    let mut catalogue = None;
    for _ in 0..TRIES {
        let source = match SegmentSource::new(segments, left().time) {
            Ok(source) => source,
            Err(SourceError::Stale) => continue,
            Err(SourceError::Failed(what)) => {
                return Err(Reject::internal("reading the catalogue", what));
            }
        };
        let source: Arc<dyn TableSource> = Arc::new(source);
        match run_on(&source, request, &left()) {
            Ok(sets) => return Ok((source.revision(), sets)),
            Err(Stop::Reject(reject)) => return Err(in_time(reject)),
            Err(Stop::Stale | Stop::NeedsCopy) => catalogue = Some(source.catalogue().clone()),
        }
    }
    let tables = catalogue.map(|c| names::mentioned(&c, &request.sql)).unwrap_or_default();
    let source: Arc<dyn TableSource> = Arc::new(copies(&tables)?);
    match copied::run(&source, request, &left()) {
        Ok(sets) => Ok((source.revision(), sets)),
        Err(Stop::Reject(reject)) => Err(in_time(reject)),
        // The schema changed between the last try and the copy, so that a table is missing in it.
        Err(Stop::Stale | Stop::NeedsCopy) => Err(Reject::internal(
            "running a query",
            "the tables changed faster than they could be read; try again",
        )),
    }
}

/// Runs the statements of `request` on one source.
pub(crate) fn run_on(
    source: &Arc<dyn TableSource>,
    request: &SqlRequest,
    budget: &Budget,
) -> Result<Vec<ResultSet>, Stop> {
    match direct::run(source, request, budget) {
        Err(Stop::NeedsCopy) => copied::run(source, request, budget),
        done => done,
    }
}

/// What is done before a query's own statements.
const PREPARING: &str = "preparing a query";

/// Makes the object of `namespace` that `sql`, of a catalogue, describes.
fn create(db: &Db, namespace: &str, sql: &str) -> Result<(), Reject> {
    let text = create_in(namespace, sql);
    let text = text.ok_or_else(|| Reject::internal(PREPARING, "an object that is not created"))?;
    db.exec(&text).map_err(|e| Reject::internal(PREPARING, e))
}

/// What runs the statements of a query: [`direct`] or [`copied`].
trait Engine {
    /// The connection.
    fn db(&self) -> &Db;
    /// Its guard.
    fn guard(&self) -> &Guard;
    /// Called once it is known what a statement reads, before it runs.
    fn ready(&mut self, notes: &Notes) -> Result<(), Stop>;
    /// Why an access failed that SQLite tells of as an error.
    fn trouble(&self) -> Option<Stop>;
}

/// Runs all statements on `engine`.
fn run_statements(
    engine: &mut impl Engine,
    request: &SqlRequest,
    budget: &Budget,
) -> Result<Vec<ResultSet>, Stop> {
    let sql = check_text(request)?;
    engine.guard().start_clock(budget.time);
    let mut output = Output::new(true, budget.result_bytes);
    let (mut at, mut number) = (0, 0);
    while at < sql.len() {
        let place = Place { sql, start: at, number: number + 1 };
        let (used, is_statement) = run_statement(engine, request, &place, &mut output)?;
        at += used.max(1);
        number += usize::from(is_statement);
        if number > 1 && !request.params.is_empty() {
            let why = "values for parameters are allowed for a single statement, but the SQL text \
                       has several";
            return Err(Reject::new(RejectCode::Malformed, why).into());
        }
    }
    Ok(output.sets)
}

fn run_statement(
    engine: &mut impl Engine,
    request: &SqlRequest,
    place: &Place<'_>,
    output: &mut Output,
) -> Result<(usize, bool), Stop> {
    let guard = engine.guard().clone();
    let prepare = |db: &Db| {
        let (made, notes) = guard.watch(Mode::Query, || {
            let (stmt, used) = db.prepare_first(place.rest())?;
            Ok::<_, SqlError>((stmt.map(|s| s.is_read_only()), used))
        });
        match made {
            Ok((read_only, used)) => Ok((read_only, used, notes)),
            // SQLite says so of a table that cannot be written, before it asks the guard.
            Err(error) if error.message.ends_with(" may not be modified") => {
                Err(place.not_allowed(READ_ONLY))
            }
            Err(error) => Err(place.refused(&error, &notes)),
        }
    };
    let (read_only, used, notes) = prepare(engine.db())?;
    match read_only {
        None => return Ok((used, false)),
        Some(false) => return Err(place.not_allowed(READ_ONLY).into()),
        Some(true) => {}
    }
    engine.ready(&notes)?;
    let values: Vec<_> = request.params.iter().map(|v| v.as_ref()).collect();
    let (done, notes) = guard.watch(Mode::Query, || {
        let (stmt, _) = engine.db().prepare_first(place.rest()).map_err(Ended::Sqlite)?;
        let Some(mut stmt) = stmt else { return Ok(()) };
        check_params(&stmt, &request.params).map_err(Ended::Reject)?;
        stmt.bind(&values).map_err(Ended::Sqlite)?;
        output.start(&stmt);
        while stmt.step().map_err(Ended::Sqlite)? {
            output.take(&stmt).map_err(Ended::Reject)?;
        }
        Ok(())
    });
    match done {
        Ok(()) => Ok((used, true)),
        Err(ended) => Err(match (engine.trouble(), ended) {
            (Some(stop), _) => stop,
            (None, Ended::Reject(reject)) => reject.into(),
            (None, Ended::Sqlite(error)) => place.refused(&error, &notes).into(),
        }),
    }
}

enum Ended {
    Sqlite(SqlError),
    Reject(Reject),
}
