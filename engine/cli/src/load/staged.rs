//! A file too long for one transaction, into a table that is there already: batches go into a
//! staging table, then one transaction moves all of them over and drops it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use shmirror::{Error, Ticket};
use shmirror_shm::catalogue::{Affinity, Generated};
use shmirror_shm::request::{Action, Change, OnConflict, RejectCode};
use shmirror_shm::value::Value;

use super::checker::Batch;
use super::find::first_bad;
use super::survey::Survey;
use super::{Load, Loaded, send, undone};
use crate::failure::Failure;
use crate::name::Name;
use crate::text::quoted_name;

const UNDER_WAY: usize = 8;

/// Columns of the staging table in front of the table's own: the line, and which columns the row
/// gives (the others take their DEFAULT).
const LINE: &str = "_shmirror_line";
const GIVEN: &str = "_shmirror_given";

/// Loads the file by way of a staging table.
pub fn run(load: &Load<'_>, survey: &Survey) -> Result<Loaded, Failure> {
    let staging = Name::of(&load.schema).beside(&format!("_shmirror_load_{}", std::process::id()));
    load.producer.execute(&create(load, &staging))?;
    let done = fill(load, &staging).and_then(|sets| move_over(load, survey, &staging, &sets));
    done.map_err(|failure| undone(load.producer, &staging, failure))
}

fn create(load: &Load<'_>, staging: &Name) -> String {
    let mut parts = vec![format!("{LINE} INTEGER PRIMARY KEY"), format!("{GIVEN} INTEGER")];
    for column in load.schema.columns.iter().filter(|c| c.generated == Generated::No) {
        // The affinity alone: no rule. The rules hold where the rows end up.
        let declared = match column.affinity {
            Affinity::Integer => "INTEGER",
            Affinity::Real => "REAL",
            Affinity::Text => "TEXT",
            Affinity::Numeric => "NUMERIC",
            Affinity::Blob => "BLOB",
        };
        parts.push(format!("{} {declared}", quoted_name(&column.name)));
    }
    format!("CREATE TABLE {} ({})", staging.sql(), parts.join(", "))
}

/// Sets of columns that rows give, by their number.
type Sets = BTreeMap<Arc<[usize]>, i64>;

fn fill(load: &Load<'_>, staging: &Name) -> Result<Sets, Failure> {
    let mut sets = Sets::new();
    let mut under_way: VecDeque<Ticket> = VecDeque::new();
    let settle = |ticket: Ticket| ticket.wait().map(drop).map_err(Failure::from);
    let sent = send::batches(load, send::all_or_nothing(load), |batch| {
        let changes = staged_changes(load, staging, batch, &mut sets);
        under_way.push_back(load.producer.submit(changes)?);
        match under_way.len() {
            UNDER_WAY => under_way.pop_front().map_or(Ok(()), settle),
            _ => Ok(()),
        }
    });
    let mut outcome = sent.map(drop);
    for ticket in under_way {
        outcome = outcome.and(settle(ticket));
    }
    outcome.map(|()| sets)
}

fn staged_changes(load: &Load<'_>, staging: &Name, batch: Batch, sets: &mut Sets) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut lines = batch.lines.clone().into_iter();
    for (columns, rows) in batch.into_runs() {
        let next = sets.len() as i64;
        let set = *sets.entry(Arc::clone(&columns)).or_insert(next);
        let mut names = vec![LINE.to_owned(), GIVEN.to_owned()];
        names.extend(columns.iter().map(|&i| load.schema.columns[i].name.clone()));
        let rows = rows
            .into_iter()
            .zip(lines.by_ref())
            .map(|(values, line)| {
                let mut row = vec![Value::Integer(line as i64), Value::Integer(set)];
                row.extend(values);
                row
            })
            .collect();
        let on_conflict = OnConflict::Fail;
        let action = Action::Insert { columns: names, rows, on_conflict, if_revision: None };
        changes.push(Change { table: staging.full(), action });
    }
    changes
}

fn move_over(
    load: &Load<'_>,
    survey: &Survey,
    staging: &Name,
    sets: &Sets,
) -> Result<Loaded, Failure> {
    load.go_on()?;
    let insert = insert(load, staging, sets, "");
    let drop_table = format!("DROP TABLE {}", staging.sql());
    match load.producer.execute(&format!("{insert}; {drop_table}")) {
        Ok(commit) => {
            Ok(Loaded { rows: survey.rows, revision: commit.revision, ..Loaded::default() })
        }
        Err(Error::Rejected { code, message }) if send::of_the_rows(code) => {
            // Lines that hold rows lie between 1 and the last; a line without one changes nothing.
            let last = last_line(load, staging)?;
            let found = first_bad(last, |line| {
                let prefix = self::insert(load, staging, sets, &format!(" AND {LINE} <= {line}"));
                send::fails(
                    load.producer
                        .execute(&format!("{prefix}; DELETE FROM {}", send::probe(load).sql()))
                        .map(drop),
                )
            })?;
            // Where it is in our own SQL is nobody's business.
            let what =
                message.split_once(": ").filter(|(place, _)| place.starts_with("statement "));
            let what = what.map_or(message.clone(), |(_, what)| what.to_owned());
            Err(send::rejected(load, found.map(|i| i as u64 + 1), what))
        }
        Err(Error::Rejected { code: RejectCode::TimeLimit | RejectCode::Limit, message }) => {
            Err(Failure::Advised(
                format!("{}: too long for one transaction: {message}", load.job.input.name),
                "load it in parts, or with --keep-good, or raise limits.transaction_time".into(),
            ))
        }
        Err(e) => Err(e.into()),
    }
}

fn last_line(load: &Load<'_>, staging: &Name) -> Result<usize, Failure> {
    let sql = format!("SELECT max({LINE}) FROM {}", staging.sql());
    let (_, sets) = load.producer.sql(&sql, &[])?;
    match sets.first().and_then(|s| s.rows.first()).and_then(|r| r.first()) {
        Some(Value::Integer(line)) => Ok(usize::try_from(*line).unwrap_or(0)),
        _ => Ok(0),
    }
}

/// `INSERT INTO table SELECT … FROM staging`, in the order of the lines.
fn insert(load: &Load<'_>, staging: &Name, sets: &Sets, filter: &str) -> String {
    let mut given: Vec<usize> = sets.keys().flat_map(|set| set.iter().copied()).collect();
    given.sort_unstable();
    given.dedup();
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for index in given {
        let column = &load.schema.columns[index];
        let name = quoted_name(&column.name);
        let without: Vec<String> = sets
            .iter()
            .filter(|(set, _)| !set.contains(&index))
            .map(|(_, number)| number.to_string())
            .collect();
        values.push(match (&column.default_sql, without.is_empty()) {
            (Some(default), false) => format!(
                "CASE WHEN {GIVEN} IN ({}) THEN ({default}) ELSE {name} END",
                without.join(", ")
            ),
            _ => name.clone(),
        });
        names.push(name);
    }
    let (verb, conflict) = match load.job.on_conflict {
        OnConflict::Replace => ("INSERT OR REPLACE", ""),
        OnConflict::Skip => ("INSERT", " ON CONFLICT DO NOTHING"),
        _ => ("INSERT", ""),
    };
    format!(
        "{verb} INTO {} ({}) SELECT {} FROM {} WHERE true{filter} ORDER BY {LINE}{conflict}",
        Name::of(&load.schema).sql(),
        names.join(", "),
        values.join(", "),
        staging.sql()
    )
}
