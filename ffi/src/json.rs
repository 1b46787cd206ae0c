//! Rows as JSON: a text in, columns and values out.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use shmirror::{Error, Value};

/// Columns, and a value for each.
pub(crate) type Fields = (Vec<String>, Vec<Value>);

/// The members of a JSON object, which is a row for `table`: null is NULL, true and false are 1 and 0, a
/// string is TEXT; a number is INTEGER where it is written without fraction and exponent, else REAL.
pub(crate) fn fields(table: &str, json: &str) -> Result<Fields, Error> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).map_err(|e| {
        let message = format!("{e}; expected a JSON object of columns and their values");
        Error::Encode { table: table.to_owned(), column: None, message }
    })?;
    let mut fields: Fields = (Vec::new(), Vec::new());
    for (column, raw) in members {
        let value = value(raw.get()).map_err(|message| Error::Encode {
            table: table.to_owned(),
            column: Some(column.clone()),
            message,
        })?;
        fields.0.push(column);
        fields.1.push(value);
    }
    Ok(fields)
}

/// A value out of its text, which is JSON.
fn value(text: &str) -> Result<Value, String> {
    let told = |e: serde_json::Error| e.to_string();
    match text.as_bytes().first() {
        Some(b'n') => Ok(Value::Null),
        Some(b't') => Ok(Value::Integer(1)),
        Some(b'f') => Ok(Value::Integer(0)),
        Some(b'"') => serde_json::from_str(text).map(Value::Text).map_err(told),
        Some(b'{') => Err("found an object, expected one value".to_owned()),
        Some(b'[') => Err("found an array, expected one value".to_owned()),
        _ if text.contains(['.', 'e', 'E']) => {
            serde_json::from_str(text).map(Value::Real).map_err(told)
        }
        _ => text.parse().map(Value::Integer).map_err(|_| {
            format!("found integer {text}, expected {} to {} (SQL integers)", i64::MIN, i64::MAX)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<String, String> {
        let (columns, values) = fields("t", json).map_err(|e| e.to_string())?;
        Ok(columns.iter().zip(values).map(|(c, v)| format!("{c}={v:?} ")).collect())
    }

    #[test]
    fn values_keep_their_type() {
        let row = r#" {"a": 1, "b": 1.0, "c": -1e3, "d": null, "e": true, "f": "\u00fc\"\\", "g": -9223372036854775808} "#;
        assert_eq!(
            of(row).unwrap(),
            "a=Integer(1) b=Real(1.0) c=Real(-1000.0) d=Null e=Integer(1) f=Text(\"ü\\\"\\\\\") \
             g=Integer(-9223372036854775808) "
        );
        assert_eq!(of("{}").unwrap(), "");
        assert_eq!(of(r#"{"x": 0.1}"#).unwrap(), "x=Real(0.1) ");
        assert_eq!(of(r#"{"\u0061": 1}"#).unwrap(), "a=Integer(1) ", "an escaped name");
    }

    #[test]
    fn what_is_no_row_is_told_with_table_and_column() {
        for (json, part) in [
            ("[1]", "row for table \"t\": "),
            ("", "EOF"),
            ("{\"a\": 1} x", "trailing"),
            ("{\"a\": NaN}", "expected value"),
            ("{\"a\": [1]}", "column \"a\": found an array"),
            ("{\"a\": {}}", "column \"a\": found an object"),
            ("{\"a\": 9223372036854775808}", "column \"a\": found integer 9223372036854775808"),
            ("{\"a\": 1e999}", "column \"a\": number out of range"),
        ] {
            let message = of(json).unwrap_err();
            assert!(message.contains(part), "{json}: {message}");
        }
    }
}
