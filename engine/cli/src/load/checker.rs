//! From the rows of a file to rows of the table: columns matched by name, every value typed and
//! checked against its column, keys that come twice found.

use std::sync::Arc;

use shmirror_shm::catalogue::{Generated, TableDef};
use shmirror_shm::limits;
use shmirror_shm::request::{Action, Change, OnConflict};
use shmirror_shm::value::Value;

use super::duplicates::Duplicates;
use crate::input::convert::{self, Target};
use crate::input::{BadLine, RawRow, Reader, assign};
use crate::name::Name;

/// Where a column of the file goes.
enum Slot {
    /// Nowhere: the table computes that column itself.
    Computed,
    /// To this column of the table.
    Column(usize, Target),
}

/// One row for the table.
pub struct Row {
    /// Line that it begins on.
    pub line: u64,
    /// Indices of the table's columns that it has values for.
    pub columns: Arc<[usize]>,
    /// The values.
    pub values: Vec<Value>,
}

impl Row {
    /// About the bytes that it takes in a request.
    pub fn bytes(&self) -> u64 {
        8 + self.values.iter().map(|v| 16 + v.as_ref().var_len() as u64).sum::<u64>()
    }
}

/// Checks rows of one file, in their order.
pub struct Checker {
    schema: Arc<TableDef>,
    slots: Vec<Slot>,
    duplicates: Option<Duplicates>,
    any_type: bool,
    /// The columns of the row before, which are mostly those of the next.
    columns: Arc<[usize]>,
    /// What those columns lack.
    lacking: Option<String>,
}

impl Checker {
    /// For rows of this table; keys that come twice are errors where `unique_keys` says so.
    pub fn new(schema: &Arc<TableDef>, unique_keys: bool, any_type: bool) -> Self {
        Self {
            schema: Arc::clone(schema),
            slots: Vec::new(),
            duplicates: unique_keys.then(|| Duplicates::new(schema)),
            any_type,
            columns: Arc::from([]),
            lacking: None,
        }
    }

    /// The first column that needs a value and is not among these.
    fn lacking(&self, given: &[usize]) -> Option<String> {
        (0..self.schema.columns.len()).find_map(|index| {
            let column = &self.schema.columns[index];
            let target = Target::of(&self.schema, index)?;
            let lacks = target.not_null
                && !column.hidden
                && column.default_sql.is_none()
                && !given.contains(&index);
            lacks.then(|| {
                format!("no column {}, expected one (it is NOT NULL or of the key)", column.name)
            })
        })
    }

    /// Matches those columns of the file that were not seen before.
    ///
    /// # Errors
    /// A column that the table does not have.
    pub fn columns(&mut self, reader: &Reader, line: u64) -> Result<(), BadLine> {
        for name in reader.columns().iter().skip(self.slots.len()) {
            let index = assign::column(&self.schema, name).map_err(|e| BadLine {
                line,
                what: e.to_string(),
                fatal: true,
            })?;
            let slot =
                match (&self.schema.columns[index].generated, Target::of(&self.schema, index)) {
                    (Generated::No, Some(target)) => Slot::Column(index, target),
                    _ => Slot::Computed,
                };
            self.slots.push(slot);
        }
        Ok(())
    }

    /// The row for the table.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn row(&mut self, reader: &Reader, raw: &RawRow) -> Result<Row, BadLine> {
        self.columns(reader, raw.line)?;
        let bad = |what| BadLine { line: raw.line, what, fatal: false };
        let mut values = Vec::with_capacity(raw.len());
        let mut same = true;
        for (column, cell) in raw.cells() {
            if let Some(Slot::Column(index, target)) = self.slots.get(column) {
                same &= self.columns.get(values.len()) == Some(index);
                values.push(convert::cell(cell, target, self.any_type).map_err(bad)?);
            }
        }
        if !same || self.columns.len() != values.len() {
            let given = raw.cells().filter_map(|(column, _)| match self.slots.get(column) {
                Some(Slot::Column(index, _)) => Some(*index),
                _ => None,
            });
            self.columns = given.collect();
            self.lacking = self.lacking(&self.columns);
        }
        if let Some(what) = &self.lacking {
            return Err(bad(what.clone()));
        }
        let row = Row { line: raw.line, columns: Arc::clone(&self.columns), values };
        if row.bytes() > limits::ROW_BYTES as u64 {
            return Err(bad(format!(
                "a row of {} bytes found, expected at most {}",
                row.bytes(),
                limits::ROW_BYTES
            )));
        }
        if let Some(duplicates) = &mut self.duplicates {
            let key: Vec<Option<&Value>> = self
                .schema
                .key_columns
                .iter()
                .map(|&k| {
                    let at = row.columns.iter().position(|c| *c == usize::from(k))?;
                    row.values.get(at)
                })
                .collect();
            duplicates.see(raw.line, &key).map_err(bad)?;
        }
        Ok(row)
    }
}

/// Rows with values for the same columns: those columns, and the values of each row.
pub type Run = (Arc<[usize]>, Vec<Vec<Value>>);

/// Rows that go together, with the lines they came from.
#[derive(Default)]
pub struct Batch {
    runs: Vec<Run>,
    /// Line of each row.
    pub lines: Vec<u64>,
    /// About the bytes that they take.
    pub bytes: u64,
}

impl Batch {
    /// Takes a row.
    pub fn push(&mut self, row: Row) {
        self.lines.push(row.line);
        self.bytes += row.bytes();
        match self.runs.last_mut() {
            Some((columns, rows))
                if Arc::ptr_eq(columns, &row.columns) || **columns == *row.columns =>
            {
                rows.push(row.values);
            }
            _ => self.runs.push((row.columns, vec![row.values])),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// The changes that make the first `count` of these rows.
    pub fn changes(&self, schema: &TableDef, conflict: OnConflict, count: usize) -> Vec<Change> {
        let mut left = count;
        let mut changes = Vec::with_capacity(self.runs.len());
        for (columns, rows) in &self.runs {
            let taken = rows.len().min(left);
            left -= taken;
            if taken > 0 {
                changes.push(insert(schema, columns, rows[..taken].to_vec(), conflict));
            }
        }
        changes
    }

    /// The changes that make all of these rows.
    pub fn into_changes(self, schema: &TableDef, conflict: OnConflict) -> Vec<Change> {
        let runs = self.runs.into_iter();
        runs.map(|(columns, rows)| insert(schema, &columns, rows, conflict)).collect()
    }

    /// The rows, those with the same columns together.
    pub fn into_runs(self) -> Vec<Run> {
        self.runs
    }

    /// The same rows in two halves.
    pub fn halves(self) -> [Self; 2] {
        let middle = self.len() / 2;
        let mut halves = [Self::default(), Self::default()];
        let rows = self.runs.into_iter().flat_map(|(columns, rows)| {
            rows.into_iter().map(move |values| (Arc::clone(&columns), values))
        });
        for (i, ((columns, values), line)) in rows.zip(self.lines).enumerate() {
            halves[usize::from(i >= middle)].push(Row { line, columns, values });
        }
        halves
    }
}

fn insert(
    schema: &TableDef,
    columns: &[usize],
    rows: Vec<Vec<Value>>,
    on_conflict: OnConflict,
) -> Change {
    let columns = columns.iter().map(|&i| schema.columns[i].name.clone()).collect();
    let action = Action::Insert { columns, rows, on_conflict, if_revision: None };
    Change { table: Name::of(schema).full(), action }
}
