//! KEY on the command line: one value, or, for a composite key, several with commas between them or
//! a JSON array.

use shmirror_shm::catalogue::{ColumnDef, KeyKind, TableDef};
use shmirror_shm::value::Value;

use super::convert;
use crate::failure::Failure;
use crate::text;

/// How keys are written, for the help of every command that takes one.
pub const HELP: &str = r#"A KEY is written by the table's key columns:
  one column        the value as it is: 42, pump-7, 0x00ff (in a BLOB column)
  several columns   in key order with commas between: north,7 (in a value, \, is a comma and \\ a
                    backslash), or a JSON array: '["north", 7]'
  no key declared   the rowid: 1
A text key that begins with - goes behind `--`."#;

/// The values of KEY for this table, in key order.
///
/// # Errors
/// A wrong number of values, or a value that the key column never takes.
pub fn parse(table: &TableDef, key: &str) -> Result<Vec<Value>, Failure> {
    let columns: Vec<&ColumnDef> = table.key_defs().collect();
    let bad = |what: String| {
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        Failure::Refused(format!(
            "key {key:?} of table {}: {what} (its key is {})",
            table.full_name(),
            names.join(", ")
        ))
    };
    let values = match columns.as_slice() {
        [column] => vec![convert::word(key, column)],
        _ if key.starts_with('[') => of_array(key, &columns).map_err(&bad)?,
        _ => {
            let parts = split(key);
            let typed = |(i, part): (usize, &String)| match columns.get(i) {
                Some(column) => convert::word(part, column),
                None => part.as_str().into(),
            };
            parts.iter().enumerate().map(typed).collect()
        }
    };
    if values.len() != columns.len() {
        return Err(bad(format!("{} values found, expected {}", values.len(), columns.len())));
    }
    for (value, column) in values.iter().zip(&columns) {
        if *value == Value::Null {
            return Err(bad(format!("NULL found, column {} of a key takes none", column.name)));
        }
        if table.key != KeyKind::Columns && !matches!(value, Value::Integer(_)) {
            return Err(bad(format!(
                "{} found, column {} expects an integer",
                text::literal(value.as_ref()),
                column.name
            )));
        }
    }
    Ok(values)
}

fn of_array(key: &str, columns: &[&ColumnDef]) -> Result<Vec<Value>, String> {
    let array: Vec<serde_json::Value> =
        serde_json::from_str(key).map_err(|e| format!("no JSON array of values: {e}"))?;
    array.iter().enumerate().map(|(i, value)| of_json(value, columns.get(i).copied())).collect()
}

fn of_json(value: &serde_json::Value, column: Option<&ColumnDef>) -> Result<Value, String> {
    use serde_json::Value as J;
    Ok(match value {
        J::Null => Value::Null,
        J::Bool(b) => Value::Integer(i64::from(*b)),
        J::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Value::Integer(i),
            (None, Some(r)) => Value::Real(r),
            _ => return Err(format!("{n} found, expected a 64-bit number")),
        },
        J::String(t) => match column.map(convert::Kind::of) {
            Some(convert::Kind::Blob) => {
                text::unhex(t).map_or_else(|| t.as_str().into(), Value::Blob)
            }
            _ => t.as_str().into(),
        },
        other => return Err(format!("{other} found, expected a number or text")),
    })
}

fn split(key: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut chars = key.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => part.push(chars.next().unwrap_or('\\')),
            ',' => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    parts.push(part);
    parts
}

/// A key for people: `3`, `'north', 7`.
pub fn show(values: &[Value]) -> String {
    let parts: Vec<String> = values.iter().map(|v| text::literal(v.as_ref())).collect();
    parts.join(", ")
}

#[cfg(test)]
pub(crate) mod tests {
    use shmirror_shm::catalogue::{Affinity, Collation, Generated};

    use super::*;

    pub(crate) fn column(name: &str, declared: &str, key_position: u16) -> ColumnDef {
        ColumnDef {
            id: 1,
            name: name.into(),
            decl_type: declared.into(),
            affinity: Affinity::of_declared(declared),
            not_null: false,
            default_sql: None,
            key_position,
            generated: Generated::No,
            hidden: false,
            collation: Collation::Binary,
        }
    }

    pub(crate) fn table(key: KeyKind, columns: Vec<ColumnDef>) -> TableDef {
        let mut key_columns: Vec<u16> = (0..columns.len() as u16)
            .filter(|i| columns[usize::from(*i)].key_position > 0)
            .collect();
        key_columns.sort_by_key(|i| columns[usize::from(*i)].key_position);
        TableDef {
            id: 1,
            namespace: "main".to_owned(),
            name: "t".into(),
            shape: 1,
            sql: String::new(),
            key,
            key_columns,
            columns,
            without_rowid: false,
            strict: false,
            past_shapes: vec![],
        }
    }

    #[test]
    fn one_column_is_taken_as_it_is() {
        let texts = table(KeyKind::Columns, vec![column("k", "TEXT", 1)]);
        for key in ["a,b\\", "[1]", "42", ""] {
            assert_eq!(parse(&texts, key).unwrap(), [Value::from(key)]);
        }
        let ints = table(KeyKind::Integer, vec![column("k", "INTEGER", 1)]);
        assert_eq!(parse(&ints, "-42").unwrap(), [Value::Integer(-42)]);
        let e = parse(&ints, "abc").unwrap_err().to_string();
        assert!(e.contains("'abc' found, column k expects an integer"), "{e}");
        let blobs = table(KeyKind::Columns, vec![column("k", "BLOB", 1)]);
        assert_eq!(parse(&blobs, "0x0a").unwrap(), [Value::Blob(vec![10])]);
    }

    #[test]
    fn composite_keys_split_or_are_json() {
        let both =
            table(KeyKind::Columns, vec![column("n", "INTEGER", 2), column("site", "TEXT", 1)]);
        let expected = [Value::from(r"a,b\"), Value::Integer(7)];
        assert_eq!(parse(&both, r"a\,b\\,7").unwrap(), expected);
        assert_eq!(parse(&both, r#"["a,b\\", 7]"#).unwrap(), expected);
        let e = parse(&both, "a").unwrap_err().to_string();
        assert!(e.contains("1 values found, expected 2") && e.contains("site, n"), "{e}");
        assert!(parse(&both, "a,1,2").is_err());
        assert!(parse(&both, "a,NULL").is_err());
        assert!(parse(&both, "[1").is_err());
    }
}
