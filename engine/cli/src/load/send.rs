//! Sending rows to their table: all at once, one batch behind the other, or keeping what is good.

use std::collections::VecDeque;

use shmirror::{Error, Ticket};
use shmirror_shm::request::{Action, Change, OnConflict, RejectCode};

use super::checker::{Batch, Checker};
use super::find::first_bad;
use super::survey::Survey;
use super::{Load, Loaded, Progress};
use crate::failure::Failure;
use crate::input::{BadLine, RawRow};
use crate::name::Name;
use crate::output;

/// Bytes of one batch, and how many batches may be under way.
const BATCH_BYTES: u64 = 512 << 10;
const UNDER_WAY: usize = 8;

/// A name that no table has: a change to it makes a transaction fail, and says that everything
/// before it was fine.
const PROBE: &str = "_shmirror_probe";

/// The probe, in the namespace of the rows: they may be all that this process may write.
pub fn probe(load: &Load<'_>) -> Name {
    Name::of(&load.schema).beside(PROBE)
}

/// Reads the file and hands it over in batches; the number of rows. Keys that come twice are looked
/// for here where no survey did.
pub fn batches(
    load: &Load<'_>,
    mut bad_line: impl FnMut(BadLine) -> Result<(), Failure>,
    mut take: impl FnMut(Batch) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let job = load.job;
    let unique = (job.keep_good || job.create) && job.on_conflict == OnConflict::Fail;
    let progress = Progress::new("loading", job.input.bytes()?, job.progress);
    let mut reader = job.input.open()?;
    let mut checker = Checker::new(&load.schema, unique, job.any_type);
    checker.columns(&reader, 1).map_err(|bad| bad.in_file(&job.input.name))?;
    let (mut raw, mut batch, mut rows) = (RawRow::default(), Batch::default(), 0u64);
    loop {
        let row = match reader.next(&mut raw) {
            Ok(false) => break,
            Ok(true) => checker.row(&reader, &raw),
            Err(bad) => Err(bad),
        };
        match row {
            Ok(row) => batch.push(row),
            Err(bad) => {
                bad_line(bad)?;
                continue;
            }
        }
        rows += 1;
        if batch.len() >= job.batch || batch.bytes >= BATCH_BYTES {
            load.go_on()?;
            take(std::mem::take(&mut batch))?;
            progress.at(reader.bytes(), rows);
        }
    }
    if batch.len() > 0 {
        take(batch)?;
    }
    Ok(rows)
}

/// A bad line ends the load.
pub fn all_or_nothing(load: &Load<'_>) -> impl Fn(BadLine) -> Result<(), Failure> {
    let name = load.job.input.name.clone();
    move |bad| Err(bad.in_file(&name))
}

/// Everything as one transaction.
pub fn at_once(load: &Load<'_>, survey: &Survey) -> Result<Loaded, Failure> {
    let mut all = Batch::default();
    let mut checker = Checker::new(&load.schema, false, load.job.any_type);
    let mut reader = load.job.input.open()?;
    let mut raw = RawRow::default();
    let named = |bad: BadLine| bad.in_file(&load.job.input.name);
    while reader.next(&mut raw).map_err(named)? {
        all.push(checker.row(&reader, &raw).map_err(named)?);
    }
    let changes = all.changes(&load.schema, load.job.on_conflict, all.len());
    if changes.is_empty() {
        return Ok(Loaded::default());
    }
    match load.producer.submit(changes).and_then(Ticket::wait) {
        Ok(commit) => {
            Ok(Loaded { rows: survey.rows, revision: commit.revision, ..Loaded::default() })
        }
        Err(Error::Rejected { code, message }) if of_the_rows(code) => {
            let found = first_bad(all.len(), |count| {
                let mut changes = all.changes(&load.schema, load.job.on_conflict, count);
                let action = Action::Delete { key: vec![], if_revision: None };
                changes.push(Change { table: probe(load).full(), action });
                fails(load.producer.submit(changes).and_then(Ticket::wait).map(drop))
            })?;
            Err(rejected(load, found.map(|i| all.lines[i]), message))
        }
        Err(e) => Err(e.into()),
    }
}

/// Whether a transaction that ends with the probe failed before it came to it.
pub fn fails(answer: Result<(), Error>) -> Result<bool, Failure> {
    match answer {
        Err(Error::Rejected { message, .. }) => Ok(!message.contains(PROBE)),
        Err(e) => Err(e.into()),
        Ok(()) => Err(Failure::Refused("a transaction that must fail was committed".into())),
    }
}

/// The failure for a rejected row.
pub fn rejected(load: &Load<'_>, line: Option<u64>, what: String) -> Failure {
    match line {
        Some(line) => Failure::Line { file: load.job.input.name.clone(), line, what },
        None => Failure::Refused(format!("{}: {what}", load.job.input.name)),
    }
}

/// Whether it is the rows' fault, not the daemon's.
pub fn of_the_rows(code: RejectCode) -> bool {
    use RejectCode as R;
    matches!(
        code,
        R::BadKey
            | R::NotNull
            | R::Unique
            | R::PrimaryKey
            | R::Check
            | R::ForeignKey
            | R::Trigger
            | R::Datatype
            | R::NotUtf8
    )
}

/// Batches one behind the other, for a table that is dropped if one of them fails.
pub fn pipelined(load: &Load<'_>) -> Result<Loaded, Failure> {
    let mut loaded = Loaded::default();
    let mut under_way: VecDeque<(Ticket, u64, u64)> = VecDeque::new();
    let mut settle = |(ticket, first, last): (Ticket, u64, u64)| match ticket.wait() {
        Ok(commit) => {
            loaded.revision = loaded.revision.max(commit.revision);
            Ok(())
        }
        Err(e) => {
            Err(Failure::Refused(format!("{}: lines {first} to {last}: {e}", load.job.input.name)))
        }
    };
    let sent = batches(load, all_or_nothing(load), |batch| {
        let (first, last) = (batch.lines[0], batch.lines[batch.len() - 1]);
        let changes = batch.into_changes(&load.schema, load.job.on_conflict);
        under_way.push_back((load.producer.submit(changes)?, first, last));
        match under_way.len() {
            UNDER_WAY => under_way.pop_front().map_or(Ok(()), &mut settle),
            _ => Ok(()),
        }
    });
    // Everything under way is settled before a failure lets the table be dropped.
    let mut outcome = sent;
    for entry in under_way {
        let settled = settle(entry);
        outcome = outcome.and_then(|rows| settled.map(|()| rows));
    }
    loaded.rows = outcome?;
    Ok(loaded)
}

/// Batch by batch; bad lines and rejected rows are named and left out.
pub fn keep_good(load: &Load<'_>) -> Result<Loaded, Failure> {
    let mut loaded = Loaded::default();
    let name = &load.job.input.name;
    let bad_lines = std::cell::Cell::new(0u64);
    let bad_line = |bad: BadLine| {
        bad_lines.set(bad_lines.get() + 1);
        if bad.fatal {
            return Err(bad.in_file(name));
        }
        output::note(&bad.in_file(name).to_string());
        Ok(())
    };
    batches(load, bad_line, |batch| {
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            load.go_on()?;
            let changes = batch.changes(&load.schema, load.job.on_conflict, batch.len());
            match load.producer.submit(changes).and_then(Ticket::wait) {
                Ok(commit) => {
                    loaded.rows += batch.len() as u64;
                    loaded.revision = loaded.revision.max(commit.revision);
                }
                Err(Error::Rejected { code, message }) if of_the_rows(code) => {
                    if batch.len() == 1 {
                        bad_lines.set(bad_lines.get() + 1);
                        output::note(
                            &rejected(load, batch.lines.first().copied(), message).to_string(),
                        );
                    } else {
                        // The first half is taken next, as the order of rows may matter.
                        let [first, second] = batch.halves();
                        waiting.push(second);
                        waiting.push(first);
                    }
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    })?;
    loaded.bad = bad_lines.get();
    Ok(loaded)
}
