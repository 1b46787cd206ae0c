//! COLUMN=VALUE on the command line.

use shmirror_shm::catalogue::{Generated, TableDef};
use shmirror_shm::value::Value;

use super::convert;
use crate::failure::Failure;

/// Column names and values of these words.
///
/// # Errors
/// A word without `=`, a column that the table does not have, that is computed, or is given twice.
pub fn parse(table: &TableDef, words: &[String]) -> Result<(Vec<String>, Vec<Value>), Failure> {
    let (mut names, mut values): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
    for word in words {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("{word:?} found, expected COLUMN=VALUE")))?;
        let index = column(table, name)?;
        let column = &table.columns[index];
        if column.generated != Generated::No {
            return Err(Failure::Refused(format!(
                "column {} of table {} is generated, it takes no value",
                column.name,
                table.full_name()
            )));
        }
        if names.contains(&column.name) {
            return Err(Failure::Usage(format!("column {} is given twice", column.name)));
        }
        names.push(column.name.clone());
        values.push(convert::word(value, column));
    }
    Ok((names, values))
}

/// The index of the column of this name.
///
/// # Errors
/// No such column; the message lists those there are.
pub fn column(table: &TableDef, name: &str) -> Result<usize, Failure> {
    table.column_index(name).ok_or_else(|| {
        let known: Vec<&str> = table.visible().map(|(_, c)| c.name.as_str()).collect();
        Failure::Refused(format!(
            "table {} has no column {name:?}, it has {}",
            table.full_name(),
            known.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use shmirror_shm::catalogue::KeyKind;

    use super::super::key::tests::{column, table};
    use super::*;

    #[test]
    fn words_become_values() {
        let t = table(
            KeyKind::Integer,
            vec![column("id", "INTEGER", 1), column("Name", "TEXT", 0), column("v", "REAL", 0)],
        );
        let words: Vec<String> = ["name=a=b", "v=1.5"].map(String::from).into();
        let (names, values) = parse(&t, &words).unwrap();
        assert_eq!(names, ["Name", "v"]);
        assert_eq!(values, [Value::from("a=b"), Value::Real(1.5)]);
        let one = |word: &str| parse(&t, &[word.to_owned()]).map(|(_, v)| v[0].clone());
        assert_eq!(one("name=NULL").unwrap(), Value::Null);
        assert_eq!(one("name='NULL'").unwrap(), Value::from("NULL"));
        assert_eq!(one("name=").unwrap(), Value::from(""));
        assert_eq!(one("v=warm").unwrap(), Value::from("warm"));
        assert!(one("name").unwrap_err().to_string().contains("expected COLUMN=VALUE"));
        assert!(one("nam=1").unwrap_err().to_string().contains("it has id, Name, v"));
        assert!(parse(&t, &["v=1".into(), "V=2".into()]).is_err());
    }
}
