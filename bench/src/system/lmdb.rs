//! LMDB, by heed: a memory-mapped B+ tree. Integer keys, and a read transaction that stays open.

use std::path::Path;

use anyhow::{Context as _, Result};
use heed::types::Bytes;
use heed::{Database, DatabaseFlags, Env, EnvOpenOptions, WithoutTls};

use super::{KeyKind, Read, Shape, key_bytes, second};

/// A table. Its integer keys are eight bytes as the processor has them.
pub type Table = Database<Bytes, Bytes>;

/// Opens an environment.
pub fn open(directory: &Path) -> Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    // SAFETY: the directory is the benchmark's own, on a local file system, and nobody changes its files but
    // by LMDB.
    let env = unsafe { options.map_size(8 << 30).max_readers(64).open(directory) };
    env.with_context(|| directory.display().to_string())
}

/// Its table, which is made where it is not there.
pub fn table(env: &Env<WithoutTls>, key: KeyKind) -> Result<Table> {
    #[expect(deprecated, reason = "the comparator would make another type of each kind of key")]
    let flags = match key {
        KeyKind::Integer => DatabaseFlags::INTEGER_KEY,
        _ => DatabaseFlags::empty(),
    };
    let mut transaction = env.write_txn()?;
    let table =
        env.database_options().types::<Bytes, Bytes>().flags(flags).create(&mut transaction)?;
    transaction.commit()?;
    Ok(table)
}

/// Fills the table.
pub fn fill(directory: &Path, shape: &Shape) -> Result<()> {
    let env = open(directory)?;
    let table = table(&env, shape.key)?;
    let mut transaction = env.write_txn()?;
    for key in 0..shape.rows {
        table.put(&mut transaction, &key_bytes(shape.key, key), &shape.value(key))?;
    }
    transaction.commit()?;
    Ok(())
}

/// Reads rows in one transaction, each into the same buffer.
pub fn reader(directory: &Path, shape: &Shape) -> Result<Read> {
    let env = open(directory)?;
    let table = table(&env, shape.key)?;
    let transaction = env.static_read_txn()?;
    let mut row = vec![0; shape.bytes];
    let keys: Vec<_> = match shape.key {
        KeyKind::Integer => Vec::new(),
        kind => (0..shape.rows).map(|key| key_bytes(kind, key)).collect(),
    };
    Ok(Box::new(move |key: u64| {
        let value = match keys.get(key as usize) {
            Some(text) => table.get(&transaction, text),
            None => table.get(&transaction, &key.to_ne_bytes()),
        };
        row.copy_from_slice(value?.context("no row")?);
        second(std::hint::black_box(&row)).context("no word")
    }))
}

/// Reads all rows in one transaction, and adds up their second words.
pub fn scanner(directory: &Path) -> Result<impl FnMut() -> Result<(u64, u64)> + use<>> {
    let env = open(directory)?;
    let table = table(&env, KeyKind::Integer)?;
    let mut row = [0; 64];
    Ok(move || {
        let transaction = env.read_txn()?;
        let (mut rows, mut sum) = (0, 0_u64);
        for found in table.iter(&transaction)? {
            row.copy_from_slice(found?.1);
            sum = sum.wrapping_add(second(std::hint::black_box(&row)).context("no word")?);
            rows += 1;
        }
        Ok((rows, sum))
    })
}
