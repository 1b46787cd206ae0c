//! SQLite itself, unencrypted: WAL, mapped, with prepared statements.

use std::path::Path;

use anyhow::{Context as _, Result};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::{KeyKind, Read, Shape, composite_key, second, text_key};

/// Opens the database of a directory.
pub fn open(directory: &Path) -> Result<Connection> {
    let connection = Connection::open(directory.join("bench.db"))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA mmap_size = 8589934592;
         PRAGMA cache_size = -262144; PRAGMA temp_store = MEMORY;",
    )?;
    connection.busy_timeout(std::time::Duration::from_secs(60))?;
    Ok(connection)
}

/// Makes the table and fills it.
pub fn fill(directory: &Path, shape: &Shape) -> Result<()> {
    let mut connection = open(directory)?;
    let numbers = "a INTEGER, b INTEGER, c INTEGER, d INTEGER, e INTEGER, f INTEGER, g INTEGER";
    let rest = if shape.bytes == 64 { numbers } else { "payload BLOB" };
    connection.execute_batch(&match shape.key {
        KeyKind::Integer => format!("CREATE TABLE bench (id INTEGER PRIMARY KEY, {rest})"),
        KeyKind::Text => format!("CREATE TABLE bench (id TEXT PRIMARY KEY, {rest}) WITHOUT ROWID"),
        KeyKind::Composite => format!(
            "CREATE TABLE bench (plant TEXT, id INTEGER, {rest}, PRIMARY KEY (plant, id)) WITHOUT ROWID"
        ),
    })?;
    let transaction = connection.transaction()?;
    let count = values(shape, 0).len();
    {
        let marks = vec!["?"; count].join(", ");
        let mut insert = transaction.prepare(&format!("INSERT INTO bench VALUES ({marks})"))?;
        for key in 0..shape.rows {
            insert.execute(rusqlite::params_from_iter(values(shape, key)))?;
        }
    }
    transaction.commit()?;
    // Readers find all of it in the database itself.
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); ANALYZE;")?;
    Ok(())
}

fn values(shape: &Shape, key: u64) -> Vec<Value> {
    let mut values = match shape.key {
        KeyKind::Integer => vec![Value::Integer(key as i64)],
        KeyKind::Text => vec![Value::Text(text_key(key))],
        KeyKind::Composite => {
            let (plant, id) = composite_key(key);
            vec![Value::Text(plant), Value::Integer(id as i64)]
        }
    };
    match shape.bytes {
        64 => values.extend(shape.words(key)[1..].iter().map(|word| Value::Integer(*word as i64))),
        _ => values.push(Value::Blob(shape.value(key))),
    }
    values
}

/// Reads rows by a prepared statement; with `open`, all in one transaction.
pub fn reader(directory: &Path, shape: &Shape, open_transaction: bool) -> Result<Read> {
    // It lives as long as the process: the statement borrows it.
    let connection: &'static Connection = Box::leak(Box::new(open(directory)?));
    if open_transaction {
        connection.execute_batch("BEGIN")?;
    }
    let wanted = if shape.bytes == 64 { "a, b, c, d, e, f, g" } else { "payload" };
    let condition = match shape.key {
        KeyKind::Composite => "plant = ?1 AND id = ?2",
        _ => "id = ?1",
    };
    let mut statement =
        connection.prepare(&format!("SELECT {wanted} FROM bench WHERE {condition}"))?;
    let (mut numbers, mut payload) = ([0_i64; 7], vec![0; shape.bytes]);
    let (kind, is_numbers) = (shape.key, shape.bytes == 64);
    let texts: Vec<String> = match kind {
        KeyKind::Text => (0..shape.rows).map(text_key).collect(),
        KeyKind::Composite => (0..shape.rows).map(|key| composite_key(key).0).collect(),
        KeyKind::Integer => Vec::new(),
    };
    Ok(Box::new(move |key: u64| {
        let mut rows = match kind {
            KeyKind::Integer => statement.query([key as i64]),
            KeyKind::Text => statement.query([&texts[key as usize]]),
            KeyKind::Composite => statement.query((&texts[key as usize], (key / 1000) as i64)),
        }?;
        let found = rows.next()?.context("no row")?;
        if is_numbers {
            for (at, word) in numbers.iter_mut().enumerate() {
                *word = found.get(at)?;
            }
            return Ok(std::hint::black_box(&numbers)[0] as u64);
        }
        payload.copy_from_slice(found.get_ref(0)?.as_blob()?);
        second(std::hint::black_box(&payload)).context("no word")
    }))
}

/// Reads all rows by one statement, and adds up their second words.
pub fn scanner(directory: &Path) -> Result<impl FnMut() -> Result<(u64, u64)> + use<>> {
    let connection: &'static Connection = Box::leak(Box::new(open(directory)?));
    let mut statement = connection.prepare("SELECT id, a, b, c, d, e, f, g FROM bench")?;
    let mut row = [0_i64; 8];
    Ok(move || {
        let (mut count, mut sum) = (0, 0_u64);
        let mut rows = statement.query([])?;
        while let Some(found) = rows.next()? {
            for (at, word) in row.iter_mut().enumerate() {
                *word = found.get(at)?;
            }
            sum = sum.wrapping_add(std::hint::black_box(&row)[1] as u64);
            count += 1;
        }
        Ok((count, sum))
    })
}
