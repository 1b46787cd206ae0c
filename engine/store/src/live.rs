//! The writer's SQLite connection once the store was found good: transactions, durability levels,
//! and when SQLite's write-ahead log goes into the file.
//!
//! ```text
//! below 16 MiB            nothing
//! from 16 MiB on          a checkpoint step asks SQLite to move it (it waits for no reader)
//! from 128 MiB on         each commit asks
//! ```

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, OpenFlags};

use crate::error::{StoreError, sqlite};
use crate::format::PAGE_BYTES;
use crate::store::Synchronous;

const WAL_SOFT: u64 = (16 << 20) / PAGE_BYTES;
const WAL_HARD: u64 = (128 << 20) / PAGE_BYTES;

/// The writer's connection.
pub(crate) struct Live {
    conn: Connection,
    wal_pages: Arc<AtomicU64>,
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
        let wal_pages = Arc::new(AtomicU64::new(0));
        let pages = Arc::clone(&wal_pages);
        // The hook replaces SQLite's own automatic checkpoint. It runs after the commit is done and
        // never reports an error: that would make a durable commit look failed.
        let hook = move |wal: &mut Wal, in_wal: std::ffi::c_int| {
            let in_wal = u64::try_from(in_wal).unwrap_or(0);
            pages.store(in_wal, Ordering::Relaxed);
            if in_wal >= WAL_HARD
                && let Err(error) = wal.checkpoint()
            {
                tracing::warn!(%error, pages = in_wal, "write-ahead log could not be checkpointed");
            }
            Ok(())
        };
        conn.wal_hook(Some(hook)).map_err(&opening)?;
        Ok(Self { conn, wal_pages, level: None, log_blob: Vec::new() })
    }

    pub fn conn(&self) -> &Connection {
        &self.conn
    }

    pub fn wal_pages(&self) -> u64 {
        self.wal_pages.load(Ordering::Relaxed)
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

    /// Moves SQLite's write-ahead log into the file where it has grown long. Never an error: the log
    /// may stay as it is.
    pub fn relieve_wal(&self) {
        if self.wal_pages() < WAL_SOFT {
            return;
        }
        let moved = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |r| {
            Ok((r.get::<_, i64>(1)?, r.get::<_, i64>(2)?))
        });
        match moved {
            Ok((in_wal, done)) if in_wal == done => self.wal_pages.store(0, Ordering::Relaxed),
            Ok(_) => {} // a reader still needs some of it
            Err(error) => tracing::warn!(%error, "write-ahead log could not be checkpointed"),
        }
    }

    pub fn close(self, path: &Path) -> Result<(), StoreError> {
        self.conn.close().map_err(|(_, e)| sqlite(path, "closing the store")(e))
    }
}
