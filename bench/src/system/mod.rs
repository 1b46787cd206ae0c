//! The systems that are measured, each as its own documentation says to run it fast.

pub mod bare;
pub mod futex;
pub mod iceoryx;
pub mod lmdb;
pub mod mmap;
pub mod ours;
pub mod pthread;
pub mod raw;
pub mod redis;
pub mod shared;
pub mod sqlite;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::measure::Numbers;

/// Reads the row with a key, and gives its second word.
pub type Read = Box<dyn FnMut(u64) -> Result<u64>>;

/// What kind of key a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    /// A number.
    Integer,
    /// A text of 14 bytes.
    Text,
    /// A text of 8 bytes and a number.
    Composite,
}

/// Rows of a table, the same on every system: `rows` of `bytes` each.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Shape {
    /// How many.
    pub rows: u64,
    /// Bytes of a row: 64 are an integer key and seven numbers; others a key and a BLOB.
    pub bytes: usize,
    /// The kind of its key.
    pub key: KeyKind,
}

impl Shape {
    /// Rows of 64 bytes under integer keys.
    pub const fn numbers(rows: u64) -> Self {
        Self { rows, bytes: 64, key: KeyKind::Integer }
    }

    /// Keys for random reads: so many that a processor does not learn their order.
    pub fn keys(&self) -> Vec<u64> {
        let mut numbers = Numbers(7);
        (0..self.rows.clamp(10_000, 1_000_000)).map(|_| numbers.below(self.rows)).collect()
    }

    /// The words of the row with this key; the first is the key, the second is what readers add up.
    pub fn words(&self, key: u64) -> Vec<u64> {
        let mut numbers = Numbers(key);
        let mut words = vec![key, key * 3 + 1];
        // Positive as an SQL integer.
        words.extend((2..self.bytes / 8).map(|_| numbers.next() >> 1));
        if let [others @ .., last] = &mut words[..]
            && others.len() > 2
        {
            *last = proof(others);
        }
        words
    }

    /// The same as bytes.
    pub fn value(&self, key: u64) -> Vec<u8> {
        self.words(key).iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// What a read of this key is to give.
    pub fn sum(key: u64) -> u64 {
        key * 3 + 1
    }
}

/// The last word of a row of several: it follows from the others, so a row of two moments shows itself.
pub fn proof(others: &[u64]) -> u64 {
    others.iter().fold(0, |sum, word| sum ^ word)
}

/// The text of a key.
pub fn text_key(key: u64) -> String {
    format!("tag/{key:010}")
}

/// The texts and the numbers of composite keys.
pub fn composite_key(key: u64) -> (String, u64) {
    (format!("plant{:03}", key % 1000), key / 1000)
}

/// A key as bytes, for systems that know no other.
pub fn key_bytes(kind: KeyKind, key: u64) -> Vec<u8> {
    match kind {
        KeyKind::Integer => key.to_ne_bytes().into(),
        KeyKind::Text => text_key(key).into(),
        KeyKind::Composite => {
            let (plant, id) = composite_key(key);
            [plant.as_bytes(), &id.to_be_bytes()].concat()
        }
    }
}

/// Second word of a value of bytes.
pub fn second(value: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(value.get(8..16)?.try_into().ok()?))
}

/// A text of what a part is told.
pub fn text<'a>(told: &'a Json, name: &str) -> Result<&'a str> {
    told[name].as_str().with_context(|| format!("no {name} in {told}"))
}

/// The shape of what a part is told.
pub fn shape(told: &Json) -> Result<Shape> {
    Ok(serde_json::from_value(told["shape"].clone())?)
}
