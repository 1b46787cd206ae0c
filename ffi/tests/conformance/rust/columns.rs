//! Columns and their values, as a row for serde.

use serde::ser::{Serialize, SerializeMap, Serializer};
use shmirror::Value;

use super::words::{text, value};

/// Columns and their values, as a row for serde.
pub struct Columns(Vec<(String, Value)>);

impl Columns {
    /// Of words `name=value`.
    pub fn of(words: &[&str]) -> Self {
        let column = |word: &&str| {
            let (name, is) = word.split_once('=').expect("name=value");
            (text(name), value(is))
        };
        Self(words.iter().map(column).collect())
    }
}

struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => to.serialize_none(),
            Value::Integer(i) => to.serialize_i64(*i),
            Value::Real(r) => to.serialize_f64(*r),
            Value::Text(t) => to.serialize_str(t),
            Value::Blob(b) => to.serialize_bytes(b),
        }
    }
}

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, &Plain(value))?;
        }
        map.end()
    }
}
