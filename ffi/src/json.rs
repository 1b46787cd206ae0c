//! Rows as JSON: a text in, columns and values out.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use shmirror::{Error, Value, limits};

/// Columns, and a value for each.
pub(crate) type Fields = (Vec<String>, Vec<Value>);

/// The members of a JSON object, which is a row for `table`: null is NULL, true and false are 1 and 0, a
/// string is TEXT; a number is INTEGER where it is written without fraction and exponent, else REAL.
pub(crate) fn fields(table: &str, json: &str) -> Result<Fields, Error> {
    let Members(members) = serde_json::from_str(json).map_err(|e| {
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

/// The members of an object, each name once: with what comes last of it. (A map of the standard library
/// makes this library some KB longer.)
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members<'de>, A::Error> {
        let mut members: Vec<(String, &RawValue)> = Vec::new();
        while let Some((name, value)) = object.next_entry()? {
            match members.iter().position(|(known, _)| *known == name) {
                Some(at) => members[at].1 = value,
                // The rowid may stand beside the columns.
                None if members.len() > limits::COLUMNS => {
                    let most = limits::COLUMNS;
                    return Err(A::Error::custom(format_args!("more than {most} columns")));
                }
                None => members.push((name, value)),
            }
        }
        Ok(Members(members))
    }
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
        assert_eq!(of(r#"{"b": 1, "a": 2, "b": 3}"#).unwrap(), "b=Integer(3) a=Integer(2) ");
    }

    #[test]
    fn what_is_no_row_is_told_with_table_and_column() {
        let many: Vec<String> = (0..258).map(|i| format!("\"c{i}\": 1")).collect();
        let many = format!("{{{}}}", many.join(","));
        for (json, part) in [
            ("[1]", "row for table \"t\": "),
            ("", "EOF"),
            ("{\"a\": 1} x", "trailing"),
            (&many, "more than 256 columns at line 1"),
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
