//! This system.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use shmirror::{Mirror, Producer, Row, Rows};
use shmirror_shm::request::{Action, Change, OnConflict};
use shmirror_shm::value::Value;

use super::{KeyKind, Read, Shape, composite_key, second, text_key};
use crate::instance::options;

/// Its table.
pub const TABLE: &str = "bench";

/// Makes the table and fills it.
pub fn fill(producer: &Producer, shape: &Shape) -> Result<()> {
    let (columns, key) = match shape.key {
        KeyKind::Integer => ("id INTEGER PRIMARY KEY", ""),
        KeyKind::Text => ("id TEXT PRIMARY KEY", ""),
        KeyKind::Composite => {
            ("plant TEXT NOT NULL, id INTEGER NOT NULL", ", PRIMARY KEY (plant, id)")
        }
    };
    let rest = match shape.bytes {
        64 => "a INTEGER, b INTEGER, c INTEGER, d INTEGER, e INTEGER, f INTEGER, g INTEGER",
        _ => "payload BLOB",
    };
    producer.execute(&format!("CREATE TABLE {TABLE} ({columns}, {rest}{key})"))?;
    let mut names: Vec<String> = match shape.key {
        KeyKind::Composite => vec!["plant".into(), "id".into()],
        _ => vec!["id".into()],
    };
    match shape.bytes {
        64 => names.extend(["a", "b", "c", "d", "e", "f", "g"].map(str::to_owned)),
        _ => names.push("payload".into()),
    }
    let batch = (1 << 20) / shape.bytes as u64;
    let mut at = 0;
    while at < shape.rows {
        let upto = shape.rows.min(at + batch.clamp(1, 4096));
        let rows = (at..upto).map(|key| values(shape, key)).collect();
        let action = Action::Insert {
            columns: names.clone(),
            rows,
            on_conflict: OnConflict::Fail,
            if_revision: None,
        };
        producer.submit(vec![Change { table: TABLE.into(), action }])?.wait()?;
        at = upto;
    }
    Ok(())
}

/// The values of a row.
pub fn values(shape: &Shape, key: u64) -> Vec<Value> {
    let words = shape.words(key);
    let integer = |word: u64| Value::Integer(word as i64);
    let mut values = match shape.key {
        KeyKind::Integer => vec![integer(key)],
        KeyKind::Text => vec![Value::Text(text_key(key))],
        KeyKind::Composite => {
            let (plant, id) = composite_key(key);
            vec![Value::Text(plant), integer(id)]
        }
    };
    match shape.bytes {
        64 => values.extend(words[1..].iter().map(|word| integer(*word))),
        _ => values.push(Value::Blob(shape.value(key))),
    }
    values
}

/// Reads rows, each into the same buffer.
pub fn reader(socket: &Path, shape: &Shape) -> Result<Read> {
    let mirror = Mirror::attach(&options(socket))?;
    let table = mirror.table(TABLE)?;
    let mut row = Row::default();
    let is_numbers = shape.bytes == 64;
    let at = if shape.key == KeyKind::Composite { 2 } else { 1 };
    // The second word: a column of its own, or in the payload.
    let word = move |row: &Row| {
        let row = row.as_ref();
        match is_numbers {
            true => row.integer_at(at).map(|n| n as u64).context("no integer"),
            false => second(row.get_at::<&[u8]>(at)?).context("no payload"),
        }
    };
    Ok(match shape.key {
        KeyKind::Integer => Box::new(move |key| {
            ensure!(table.read(key as i64, &mut row)?, "no row {key}");
            word(&row)
        }),
        KeyKind::Text => {
            let keys: Vec<String> = (0..shape.rows).map(text_key).collect();
            Box::new(move |key| {
                ensure!(table.read(keys[key as usize].as_str(), &mut row)?, "no row {key}");
                word(&row)
            })
        }
        KeyKind::Composite => {
            let keys: Vec<_> = (0..shape.rows).map(composite_key).collect();
            Box::new(move |key| {
                let (plant, id) = &keys[key as usize];
                ensure!(table.read((plant.as_str(), *id as i64), &mut row)?, "no row {key}");
                word(&row)
            })
        }
    })
}

/// Reads rows of 64 bytes under integer keys, each into the same buffer; nothing is decided anew for each.
pub fn numbers(socket: &Path) -> Result<impl FnMut(u64) -> Result<u64> + use<>> {
    let mirror = Mirror::attach(&options(socket))?;
    let table = mirror.table(TABLE)?;
    let mut row = Row::default();
    Ok(move |key: u64| {
        ensure!(table.read(key as i64, &mut row)?, "no row {key}");
        row.integer_at(1).map(|n| n as u64).context("no integer")
    })
}

/// A row of 64 bytes as a type.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "all fields are read from the row; one of them is looked at")]
pub struct Typed {
    /// The key.
    pub id: i64,
    /// Numbers.
    pub a: i64,
    /// Numbers.
    pub b: i64,
    /// Numbers.
    pub c: i64,
    /// Numbers.
    pub d: i64,
    /// Numbers.
    pub e: i64,
    /// Numbers.
    pub f: i64,
    /// Numbers.
    pub g: i64,
}

/// Reads rows of 64 bytes as a type.
pub fn typed(socket: &Path) -> Result<impl FnMut(u64) -> Result<u64> + use<>> {
    let mirror = Mirror::attach(&options(socket))?;
    let table = mirror.table(TABLE)?;
    let mut row = Row::default();
    Ok(move |key: u64| {
        ensure!(table.read(key as i64, &mut row)?, "no row {key}");
        Ok(std::hint::black_box(row.deserialize::<Typed>()?).a as u64)
    })
}

/// Reads one value again and again.
pub fn cell(socket: &Path, key: u64) -> Result<impl FnMut(u64) -> Result<u64> + use<>> {
    let mirror = Mirror::attach(&options(socket))?;
    let cell = mirror.table(TABLE)?.cell(key as i64, "a")?;
    Ok(move |_| Ok(cell.i64()? as u64))
}

/// Reads all rows as of one revision, and adds up their second words.
pub fn scanner(socket: &Path) -> Result<impl FnMut() -> Result<(u64, u64)> + use<>> {
    let mirror = Mirror::attach(&options(socket))?;
    let table = mirror.table(TABLE)?;
    let mut rows = Rows::default();
    Ok(move || {
        table.scan_into(&mut rows)?;
        let mut sum = 0_u64;
        for row in rows.iter() {
            sum = sum.wrapping_add(row.integer_at(1).context("no integer")? as u64);
        }
        Ok((rows.len() as u64, sum))
    })
}
