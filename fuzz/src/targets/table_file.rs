//! What CSV and JSON files have in common: read to the end, turned into values, written as `dump` does,
//! read again.

use shmirror_shm::value::{Value, ValueRef};

use super::image::same;
use crate::input::convert::{self, Kind, Target};
use crate::input::{Format, Input, Raw, RawRow};
use crate::memory::within;

/// All kinds of columns.
pub const KINDS: [Kind; 6] =
    [Kind::Integer, Kind::Real, Kind::Text, Kind::Numeric, Kind::Blob, Kind::Any];

/// A row: its line, and its cells by column.
pub type Row = (u64, Vec<(usize, Cell)>);

/// A cell that owns its text.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// [`Raw::Null`].
    Null,
    /// [`Raw::Integer`].
    Integer(i64),
    /// [`Raw::Real`].
    Real(f64),
    /// [`Raw::Bare`].
    Bare(String),
    /// [`Raw::Text`].
    Text(String),
}

impl Cell {
    fn of(raw: Raw<'_>) -> Self {
        match raw {
            Raw::Null => Self::Null,
            Raw::Integer(i) => Self::Integer(i),
            Raw::Real(r) => Self::Real(r),
            Raw::Bare(t) => Self::Bare(t.to_owned()),
            Raw::Text(t) => Self::Text(t.to_owned()),
        }
    }

    fn raw(&self) -> Raw<'_> {
        match self {
            Self::Null => Raw::Null,
            Self::Integer(i) => Raw::Integer(*i),
            Self::Real(r) => Raw::Real(*r),
            Self::Bare(t) => Raw::Bare(t),
            Self::Text(t) => Raw::Text(t),
        }
    }
}

/// What is in a file.
#[derive(Debug)]
pub struct Table {
    /// Names of its columns.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Whether any line was bad.
    pub bad: bool,
}

/// Reads a file without keeping its rows: that takes a reader's buffer, and what the cells of one row and
/// the names of one header take.
pub fn bounded(format: Format, bytes: &[u8]) {
    let most = (600 << 10) + 600 * bytes.len();
    within(most, "reading a file", || pass(format, bytes, |_, _| ()));
}

/// Reads all of a file. `None` where its header makes no sense.
pub fn read(format: Format, bytes: &[u8]) -> Option<Table> {
    let mut rows = Vec::new();
    let (columns, bad) = pass(format, bytes, |line, row| {
        rows.push((line, row.cells().map(|(column, raw)| (column, Cell::of(raw))).collect()));
    })?;
    for (_, cells) in &rows {
        let cells: &Vec<(usize, Cell)> = cells;
        assert!(cells.iter().all(|(column, _)| *column < columns.len()));
    }
    Some(Table { columns, rows, bad })
}

/// One pass over a file: names of its columns, and whether a line was bad.
fn pass(
    format: Format,
    bytes: &[u8],
    mut seen: impl FnMut(u64, &RawRow),
) -> Option<(Vec<String>, bool)> {
    let input = Input::of_bytes("fuzz", format, bytes);
    let mut reader = match input.open() {
        Ok(reader) => reader,
        Err(failure) => {
            assert!(failure.to_string().starts_with("fuzz:1: "), "{failure}");
            return None;
        }
    };
    let lines = bytes.iter().filter(|b| **b == b'\n').count() as u64 + 1;
    // Several objects of an array may stand on one line.
    let mut turns = bytes.len() + 2;
    let (mut row, mut bad, mut last) = (RawRow::default(), false, 1);
    loop {
        turns = turns.checked_sub(1).expect("it comes to an end");
        match reader.next(&mut row) {
            Ok(true) => {
                assert!((last..=lines).contains(&row.line), "line {} after {last}", row.line);
                assert_eq!(row.len(), row.cells().count());
                last = row.line;
                seen(row.line, &row);
            }
            Ok(false) => break,
            Err(error) => {
                assert!((1..=lines).contains(&error.line), "line {} of {lines}", error.line);
                assert!(!error.what.is_empty());
                bad = true;
                if error.fatal {
                    assert!(!matches!(reader.next(&mut row), Ok(true)), "it goes on");
                    break;
                }
            }
        }
    }
    assert!(reader.bytes() <= bytes.len() as u64);
    Some((reader.columns().to_vec(), bad))
}

/// The values of a row for columns of one kind, NULL where it has none.
pub fn values(columns: usize, row: &Row, kind: Kind) -> Vec<Value> {
    let mut values = vec![Value::Null; columns];
    for (column, cell) in &row.1 {
        let target = |not_null| Target { name: "c".into(), kind, not_null };
        let strict = convert::cell(cell.raw(), &target(true), false);
        let value = convert::cell(cell.raw(), &target(false), true).expect("any value is taken");
        match strict {
            Ok(strict) => assert!(same(strict.as_ref(), value.as_ref()) && strict != Value::Null),
            Err(what) => assert!(what.starts_with("column c: "), "{what}"),
        }
        values[*column] = value;
    }
    values
}

/// Whether two rows have the same values.
pub fn same_row(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a.as_ref(), b.as_ref()))
}

/// Whether it is a double that JSON has no number for.
pub fn infinite(value: &Value) -> bool {
    matches!(value.as_ref(), ValueRef::Real(r) if r.is_infinite())
}
