//! The writer's SQLite connection once the store was found good: transactions and their durability.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{StoreError, sqlite};
use crate::format::PAGE_BYTES;
use crate::store::Synchronous;
use crate::wal::{WAL_SOFT, WalMover};

/// The writer's connection.
pub(crate) struct Live {
    // Before `conn`: the connection that is closed last tidies up, and that should be this one.
    mover: WalMover,
    conn: Connection,
    level: Option<Synchronous>,
    /// The blob of the group that is committed, kept for its memory.
    pub log_blob: Vec<u8>,
}

impl Live {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let opening = sqlite(path, "opening the store");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(path, flags).map_err(&opening)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(&opening)?;
        conn.set_prepared_statement_cache_capacity(32);
        conn.execute_batch(&format!(
            "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; \
             PRAGMA cell_size_check = ON; PRAGMA cache_size = -16384; \
             PRAGMA journal_size_limit = {};",
            WAL_SOFT * PAGE_BYTES * 2
        ))
        .map_err(&opening)?;
        let mode: String =
            conn.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0)).map_err(&opening)?;
        if mode != "wal" {
            let what = format!("journal mode {mode}, expected wal");
            return Err(StoreError::Damaged { file: path.to_path_buf(), what });
        }
        let mover = WalMover::start(path, &mut conn)?;
        Ok(Self { mover, conn, level: None, log_blob: Vec::new() })
    }

    pub fn conn(&self) -> &Connection {
        &self.conn
    }

    pub fn wal_pages(&self) -> u64 {
        self.mover.pages()
    }

    /// Runs `work` in one write transaction of this durability. On any error it is rolled back.
    pub fn transaction<T>(
        &mut self,
        path: &Path,
        doing: &'static str,
        level: Synchronous,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let failed = sqlite(path, doing);
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK").map_err(&failed)?; // an earlier rollback failed
        }
        if self.level != Some(level) {
            let sql = match level {
                Synchronous::Full => "PRAGMA synchronous = FULL",
                Synchronous::Normal => "PRAGMA synchronous = NORMAL",
            };
            self.conn.execute_batch(sql).map_err(&failed)?;
            self.level = Some(level);
        }
        let run = |sql: &str| {
            self.conn.prepare_cached(sql).and_then(|mut s| s.execute([])).map_err(&failed)
        };
        run("BEGIN IMMEDIATE")?;
        let done = work(&self.conn).and_then(|value| run("COMMIT").map(|_| value));
        if done.is_err() && !self.conn.is_autocommit() {
            let _ = run("ROLLBACK"); // tried again before the next transaction
        }
        done
    }

    pub fn close(self, path: &Path) -> Result<(), StoreError> {
        let Self { mover, conn, .. } = self;
        drop(mover);
        conn.close().map_err(|(_, e)| sqlite(path, "closing the store")(e))
    }
}
