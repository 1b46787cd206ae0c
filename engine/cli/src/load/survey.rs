//! The first pass over a file: what is in it, and whether all of it can be read.

use super::checker::Checker;
use super::{Job, Load, Progress};
use crate::failure::Failure;
use crate::input::RawRow;
use crate::input::infer::Inference;
use crate::name::Name;
use shmirror_shm::request::OnConflict;

/// What the first pass found.
pub struct Survey {
    /// Rows.
    pub rows: u64,
    /// About the bytes that they take in requests.
    pub bytes: u64,
}

/// Reads and checks every row against the table.
///
/// # Errors
/// The first bad line.
pub fn check(load: &Load<'_>) -> Result<Survey, Failure> {
    let job = load.job;
    let named = |bad: crate::input::BadLine| bad.in_file(&job.input.name);
    let progress = Progress::new("checking", job.input.bytes()?, job.progress);
    let mut reader = job.input.open()?;
    let mut checker = Checker::new(&load.schema, job.on_conflict == OnConflict::Fail, job.any_type);
    checker.columns(&reader, 1).map_err(named)?;
    let mut raw = RawRow::default();
    let mut survey = Survey { rows: 0, bytes: 0 };
    while reader.next(&mut raw).map_err(named)? {
        survey.bytes += checker.row(&reader, &raw).map_err(named)?.bytes();
        survey.rows += 1;
        if survey.rows.is_multiple_of(4096) {
            progress.at(reader.bytes(), survey.rows);
            load.go_on()?;
        }
    }
    Ok(survey)
}

/// Reads every row and gives the `CREATE TABLE` for them.
///
/// # Errors
/// A line that cannot be read (where good rows are to be kept, it is passed over), no columns at
/// all, or a key column that the file does not have.
pub fn infer(job: &Job, table: &Name) -> Result<String, Failure> {
    let progress = Progress::new("reading", job.input.bytes()?, job.progress);
    let mut reader = job.input.open()?;
    let mut inference = Inference::default();
    let (mut raw, mut rows) = (RawRow::default(), 0u64);
    loop {
        match reader.next(&mut raw) {
            Ok(true) => inference.see(&raw),
            Ok(false) => break,
            Err(bad) if job.keep_good && !bad.fatal => {}
            Err(bad) => return Err(bad.in_file(&job.input.name)),
        }
        rows += 1;
        if rows.is_multiple_of(4096) {
            progress.at(reader.bytes(), rows);
        }
    }
    let columns = reader.columns();
    if columns.is_empty() {
        return Err(Failure::Refused(format!(
            "{}: no column in it, a table needs one",
            job.input.name
        )));
    }
    for key in &job.key {
        if !columns.iter().any(|c| c.eq_ignore_ascii_case(key)) {
            return Err(Failure::Refused(format!(
                "{}: no column {key:?} for the key, it has {}",
                job.input.name,
                columns.join(", ")
            )));
        }
    }
    Ok(inference.create_table(table, columns, &job.key))
}
