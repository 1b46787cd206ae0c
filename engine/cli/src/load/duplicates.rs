//! Keys that a file has twice, found before anything is sent: so both lines can be named.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use shmirror_shm::catalogue::TableDef;
use shmirror_shm::key::{Key, KeyPart};
use shmirror_shm::value::{Value, ValueRef};

use crate::input::key::show;

/// Keys seen so far, as 128 bits of two keyed hashes, with their lines. Two different keys of one
/// file meet in them with a chance of about n²/2^129.
pub struct Duplicates {
    parts: Vec<KeyPart>,
    names: Vec<String>,
    hashers: [RandomState; 2],
    lines: HashMap<u128, u64>,
}

impl Duplicates {
    /// For the key of this table.
    pub fn new(schema: &TableDef) -> Self {
        let indices = schema.key_columns.iter().map(|&i| usize::from(i));
        Self {
            parts: indices
                .filter_map(|i| schema.columns.get(i).map(|c| KeyPart::of(i, c)))
                .collect(),
            names: schema.key_defs().map(|c| c.name.clone()).collect(),
            hashers: [RandomState::new(), RandomState::new()],
            lines: HashMap::new(),
        }
    }

    /// Takes the key of the row on `line`: `None` for key columns that the row does not give.
    ///
    /// # Errors
    /// A key that an earlier line has, or that is no key of the table.
    pub fn see(&mut self, line: u64, key: &[Option<&Value>]) -> Result<(), String> {
        // A key that is not given whole is filled in by SQLite (rowid, DEFAULT).
        let Some(values) = key.iter().copied().collect::<Option<Vec<&Value>>>() else {
            return Ok(());
        };
        if let [Value::Null] = values.as_slice() {
            return Ok(());
        }
        let refs: Vec<ValueRef<'_>> = values.iter().map(|v| v.as_ref()).collect();
        let canonical = Key::new(&self.parts, &refs).map_err(|e| e.to_string())?;
        let [a, b] = [0, 1].map(|i: usize| self.hashers[i].hash_one(&canonical));
        let hash = u128::from(a) << 64 | u128::from(b);
        match self.lines.insert(hash, line) {
            None => Ok(()),
            Some(first) => {
                self.lines.insert(hash, first);
                let owned: Vec<Value> = values.into_iter().cloned().collect();
                Err(format!(
                    "key {} {} is there already, at line {first}; expected a new one \
                     (--on-conflict replace or skip takes it)",
                    self.names.join(", "),
                    show(&owned)
                ))
            }
        }
    }
}
