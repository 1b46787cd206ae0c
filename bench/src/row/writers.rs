//! Who writes: one durable transaction after another, to each system.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use shmirror::{Producer, Ticket};
use shmirror_shm::request::{Action, Change, OnConflict};
use shmirror_shm::value::Value;

use crate::instance::options;
use crate::system::{KeyKind, lmdb, ours, redis, sqlite};

/// Columns of the table.
pub const COLUMNS: [&str; 8] = ["id", "a", "b", "c", "d", "e", "f", "g"];
/// Transactions that a producer has under way at most, where it need not wait for each; and rows of all of them,
/// if more than one: what is under way when time is up is waited for, and is to be a small part of a round.
const UNDER_WAY: usize = 16;
const ROWS_UNDER_WAY: usize = 16_384;

/// Makes one durable transaction: these rows, each with these words.
pub trait Writer {
    /// Returns when it is durable, or where several may be under way when there are not too many.
    fn commit(&mut self, rows: &[[u64; 8]]) -> Result<()>;

    /// Waits until all is durable.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A writer to this `system`, at this place.
pub fn writer(system: &str, place: &Path) -> Result<Box<dyn Writer>> {
    Ok(match system {
        "shmirror" => Box::new(Ours::new(place, 1)?),
        "shmirror-tickets" => Box::new(Ours::new(place, UNDER_WAY)?),
        "sqlite" => Box::new(Sqlite::new(place)?),
        "lmdb" => Box::new(Lmdb::new(place)?),
        "redis" => Box::new(Redis(redis::connect(place)?)),
        other => bail!("no system {other}"),
    })
}

struct Ours {
    producer: Producer,
    most: usize,
    under_way: VecDeque<Ticket>,
}

impl Ours {
    fn new(place: &Path, most: usize) -> Result<Self> {
        let producer = Producer::attach(&options(place))?;
        Ok(Self { producer, most, under_way: VecDeque::new() })
    }
}

impl Writer for Ours {
    fn commit(&mut self, rows: &[[u64; 8]]) -> Result<()> {
        let integers = |row: &[u64; 8]| row.map(|word| Value::Integer(word as i64)).to_vec();
        let action = Action::Insert {
            columns: COLUMNS.map(str::to_owned).to_vec(),
            rows: rows.iter().map(integers).collect(),
            on_conflict: OnConflict::Update,
            if_revision: None,
        };
        let change = Change { table: ours::TABLE.into(), action };
        self.under_way.push_back(self.producer.submit(vec![change])?);
        let most = self.most.min((ROWS_UNDER_WAY / rows.len()).max(1));
        while self.under_way.len() >= most {
            self.under_way.pop_front().context("there is one")?.wait()?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        self.under_way.drain(..).try_for_each(|ticket| ticket.wait().map(|_| ()))?;
        Ok(())
    }
}

struct Sqlite {
    connection: &'static rusqlite::Connection,
    update: rusqlite::Statement<'static>,
    begin: rusqlite::Statement<'static>,
    commit: rusqlite::Statement<'static>,
}

impl Sqlite {
    fn new(place: &Path) -> Result<Self> {
        // It lives as long as the process: the statements borrow it.
        let connection: &'static rusqlite::Connection = Box::leak(Box::new(sqlite::open(place)?));
        let update =
            "UPDATE bench SET a = ?2, b = ?3, c = ?4, d = ?5, e = ?6, f = ?7, g = ?8 WHERE id = ?1";
        Ok(Self {
            connection,
            update: connection.prepare(update)?,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
        })
    }
}

impl Writer for Sqlite {
    fn commit(&mut self, rows: &[[u64; 8]]) -> Result<()> {
        self.begin.execute([])?;
        for row in rows {
            let changed = self.update.execute(row.map(|word| word as i64))?;
            anyhow::ensure!(changed == 1, "row {} is not there", row[0]);
        }
        self.commit.execute([])?;
        debug_assert!(self.connection.is_autocommit());
        Ok(())
    }
}

struct Lmdb {
    env: heed::Env<heed::WithoutTls>,
    table: lmdb::Table,
}

impl Lmdb {
    fn new(place: &Path) -> Result<Self> {
        let env = lmdb::open(place)?;
        let table = lmdb::table(&env, KeyKind::Integer)?;
        Ok(Self { env, table })
    }
}

fn bytes(row: &[u64; 8]) -> Vec<u8> {
    row.iter().flat_map(|word| word.to_le_bytes()).collect()
}

impl Writer for Lmdb {
    fn commit(&mut self, rows: &[[u64; 8]]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for row in rows {
            self.table.put(&mut transaction, &row[0].to_ne_bytes(), &bytes(row))?;
        }
        Ok(transaction.commit()?)
    }
}

struct Redis(::redis::Connection);

impl Writer for Redis {
    fn commit(&mut self, rows: &[[u64; 8]]) -> Result<()> {
        let mut all = ::redis::pipe();
        all.atomic();
        for row in rows {
            all.cmd("SET").arg(row[0]).arg(bytes(row)).ignore();
        }
        Ok(all.query::<()>(&mut self.0)?)
    }
}
