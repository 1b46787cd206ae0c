//! From a cell of a file, or a word of the command line, to the value that a column takes.

use shmirror_shm::catalogue::{Affinity, ColumnDef, Generated, KeyKind, TableDef};
use shmirror_shm::key::numeric_text;
use shmirror_shm::limits;
use shmirror_shm::value::Value;

use super::Raw;
use crate::text;

/// What a column takes, by its declared type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Integers.
    Integer,
    /// Numbers, as doubles.
    Real,
    /// Text.
    Text,
    /// Numbers where it looks like one, else text (DATE, DECIMAL, BOOLEAN …).
    Numeric,
    /// Bytes.
    Blob,
    /// No type is declared: what stands there.
    Any,
}

impl Kind {
    /// The kind of a column as it is declared.
    pub fn of(column: &ColumnDef) -> Self {
        let declared = column.decl_type.to_ascii_uppercase();
        match column.affinity {
            _ if declared.is_empty() || declared == "ANY" => Self::Any,
            Affinity::Integer => Self::Integer,
            Affinity::Real => Self::Real,
            Affinity::Text => Self::Text,
            Affinity::Numeric => Self::Numeric,
            Affinity::Blob => Self::Blob,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Integer => "an integer",
            Self::Real => "a number",
            Self::Text => "text",
            Self::Numeric => "a number or text",
            Self::Blob => "0x and hexadecimal digits",
            Self::Any => "any value",
        }
    }
}

/// A column that cells of a file go to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub kind: Kind,
    /// It takes no NULL.
    pub not_null: bool,
}

impl Target {
    /// The target that this column of a table is. A NULL for an INTEGER PRIMARY KEY is allowed:
    /// SQLite picks a number.
    pub fn of(table: &TableDef, index: usize) -> Option<Self> {
        let column = table.columns.get(index)?;
        let in_key = column.key_position > 0 && !column.hidden;
        let not_null = if in_key { table.key != KeyKind::Integer } else { column.not_null };
        Some(Self {
            name: column.name.clone(),
            kind: Kind::of(column),
            not_null: not_null && column.generated == Generated::No,
        })
    }
}

/// The value of a cell for its column. `any_type` takes what SQLite would take: a value that does
/// not fit the declared type is passed on as it is.
///
/// # Errors
/// What was found and what the column expects.
pub fn cell(raw: Raw<'_>, target: &Target, any_type: bool) -> Result<Value, String> {
    let value = typed(raw, target.kind);
    let fits = match (&value, target.kind) {
        (Value::Null, _) if target.not_null => {
            return Err(format!(
                "column {}: nothing found, expected {} (the column is NOT NULL or of the key)",
                target.name,
                target.kind.expected()
            ));
        }
        (Value::Real(_), Kind::Integer) => any_type,
        (Value::Text(_) | Value::Blob(_), Kind::Integer | Kind::Real) => any_type,
        _ => true,
    };
    if !fits {
        return Err(format!(
            "column {}: {} found, expected {}",
            target.name,
            shortened(&text::literal(value.as_ref())),
            target.kind.expected()
        ));
    }
    let length = value.as_ref().var_len();
    if length > limits::VALUE_BYTES {
        return Err(format!(
            "column {}: a value of {length} bytes found, expected at most {}",
            target.name,
            limits::VALUE_BYTES
        ));
    }
    Ok(value)
}

fn typed(raw: Raw<'_>, kind: Kind) -> Value {
    let number = |t: &str| numeric_text(t).map(|v| v.to_owned());
    // Text of these words is quoted where it is written.
    let bare = |t: &str| number(t).or_else(|| infinity(t));
    match (raw, kind) {
        (Raw::Null, _) => Value::Null,
        (Raw::Real(r), Kind::Integer) => whole(r).map_or(Value::Real(r), Value::Integer),
        (Raw::Integer(i), _) => Value::Integer(i),
        (Raw::Real(r), _) => Value::Real(r),
        (Raw::Bare(t) | Raw::Text(t), Kind::Integer) => match number(t) {
            Some(Value::Real(r)) => whole(r).map_or_else(|| t.into(), Value::Integer),
            Some(value) => value,
            None => t.into(),
        },
        (Raw::Bare(t) | Raw::Text(t), Kind::Real) => bare(t).unwrap_or_else(|| t.into()),
        (Raw::Bare(t), Kind::Numeric) => bare(t).unwrap_or_else(|| t.into()),
        (Raw::Text(t), Kind::Numeric) => number(t).unwrap_or_else(|| t.into()),
        (Raw::Bare(t), Kind::Blob | Kind::Any) => blob_or(t, bare(t)),
        (Raw::Text(t), Kind::Blob) => blob_or(t, None),
        (Raw::Bare(t) | Raw::Text(t), Kind::Text | Kind::Any) => t.into(),
    }
}

fn blob_or(t: &str, number: Option<Value>) -> Value {
    text::unhex(t).map(Value::Blob).or(number).unwrap_or_else(|| t.into())
}

/// The infinity that is written as this word.
fn infinity(t: &str) -> Option<Value> {
    match t {
        "inf" => Some(Value::Real(f64::INFINITY)),
        "-inf" => Some(Value::Real(f64::NEG_INFINITY)),
        _ => None,
    }
}

/// The integer that a double is, where a double of that size is exact.
fn whole(r: f64) -> Option<i64> {
    (r.trunc() == r && r.abs() <= 9_007_199_254_740_992.0).then_some(r as i64)
}

fn shortened(t: &str) -> String {
    match t.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &t[..at]),
        None => t.to_owned(),
    }
}

/// The value of one word of the command line for this column: `NULL` is NULL, `'NULL'` is that
/// text, `0x…` is bytes for a BLOB column, a number is one where the column takes numbers, and
/// whatever does not fit goes on as text, for the daemon to judge.
pub fn word(word: &str, column: &ColumnDef) -> Value {
    match word {
        "NULL" => Value::Null,
        "'NULL'" => "NULL".into(),
        word => typed(Raw::Bare(word), Kind::of(column)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(raw: Raw<'_>, kind: Kind) -> Result<Value, String> {
        let target = Target { name: "c".into(), kind, not_null: false };
        cell(raw, &target, false)
    }

    #[test]
    fn cells_become_what_the_column_takes() {
        assert_eq!(take(Raw::Bare("12"), Kind::Integer), Ok(Value::Integer(12)));
        assert_eq!(take(Raw::Text("12"), Kind::Integer), Ok(Value::Integer(12)));
        assert_eq!(take(Raw::Real(3.0), Kind::Integer), Ok(Value::Integer(3)));
        assert_eq!(take(Raw::Bare("1e3"), Kind::Real), Ok(Value::Real(1000.0)));
        assert_eq!(take(Raw::Bare("-inf"), Kind::Real), Ok(Value::Real(f64::NEG_INFINITY)));
        for kind in [Kind::Numeric, Kind::Any, Kind::Blob] {
            assert_eq!(take(Raw::Bare("inf"), kind), Ok(Value::Real(f64::INFINITY)), "{kind:?}");
            assert_eq!(take(Raw::Text("inf"), kind), Ok("inf".into()), "{kind:?}");
        }
        assert_eq!(take(Raw::Bare("inf"), Kind::Text), Ok("inf".into()));
        assert_eq!(take(Raw::Bare("007"), Kind::Text), Ok("007".into()));
        assert_eq!(take(Raw::Bare("2020-01-01"), Kind::Numeric), Ok("2020-01-01".into()));
        assert_eq!(take(Raw::Bare("0x00ff"), Kind::Blob), Ok(Value::Blob(vec![0, 255])));
        assert_eq!(take(Raw::Bare("0x00ff"), Kind::Text), Ok("0x00ff".into()));
        assert_eq!(take(Raw::Text("5"), Kind::Any), Ok("5".into()));
        assert_eq!(take(Raw::Bare("5"), Kind::Any), Ok(Value::Integer(5)));
        assert_eq!(take(Raw::Text(""), Kind::Text), Ok("".into()));
        assert_eq!(take(Raw::Null, Kind::Text), Ok(Value::Null));
    }

    #[test]
    fn cells_that_do_not_fit_are_named() {
        let bad = take(Raw::Bare("12a"), Kind::Integer).unwrap_err();
        assert_eq!(bad, "column c: '12a' found, expected an integer");
        assert!(take(Raw::Bare("1.5"), Kind::Integer).is_err());
        assert!(take(Raw::Bare("9223372036854775808"), Kind::Integer).is_err());
        assert!(take(Raw::Bare("warm"), Kind::Real).is_err());
        let target = Target { name: "c".into(), kind: Kind::Integer, not_null: true };
        assert!(cell(Raw::Null, &target, true).unwrap_err().contains("nothing found"));
        assert_eq!(cell(Raw::Bare("x"), &target, true), Ok("x".into()));
        let long = "x".repeat(limits::VALUE_BYTES + 1);
        assert!(take(Raw::Bare(&long), Kind::Text).unwrap_err().contains("16777217 bytes"));
    }
}
